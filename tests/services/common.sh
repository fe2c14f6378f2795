# Sourced by the scripts beside it. Each is `NAME up|down|url DIR`; all state lives below DIR/NAME, all ports are on loopback.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A zombie has ended: only its parent does not know yet.
alive() {
    local pid
    read -r pid 2>/dev/null <"$1" && [ -d "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status" 2>/dev/null
}

# stop_pid FILE SIGNAL: asks, waits ten seconds, then kills.
stop_pid() {
    local pid i
    if alive "$1"; then
        read -r pid <"$1"
        kill "-$2" "$pid" 2>/dev/null || true
        for ((i = 0; i < 100; i++)); do
            alive "$1" || break
            sleep 0.1
        done
        if alive "$1"; then
            say "pid $pid ignored SIG$2, killing it"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    fi
    rm -f "$1"
}

# wait_for SECONDS PIDFILE LOG COMMAND...: until COMMAND succeeds; shows the end of LOG when the process ends before.
wait_for() {
    local i patience=$1 pidfile=$2 log=$3
    shift 3
    for ((i = 0; i < patience * 10; i++)); do
        "$@" >/dev/null 2>&1 && return
        alive "$pidfile" || break
        sleep 0.1
    done
    tail -n 20 "$log" >&2 || true
    die "does not answer; the end of $log is above"
}

# Servers that refuse to run as root run as the user that their package made.
as_user() {
    local user=$1
    shift
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
    else
        "$@"
    fi
}

own_by() {
    [ "$(id -u)" != 0 ] || chown -R "$1" "$2"
}

# run_service NAME ARGUMENTS...: calls `up` or `down`, which the caller has defined, with $dir set.
run_service() {
    local name=$1
    shift
    [ $# = 2 ] || die "usage: $name up|down|url DIR"
    mkdir -p "$2"
    # Another user's server must be able to reach its own folder inside.
    chmod a+x "$2"
    dir=$(cd -- "$2" && pwd)/$name
    case $1 in
    up) up && cat "$dir/url" ;;
    down) [ ! -d "$dir" ] || down ;;
    url) cat "$dir/url" ;;
    *) die "usage: $name up|down|url DIR" ;;
    esac
}
