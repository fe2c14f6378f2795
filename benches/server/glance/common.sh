# Sourced by setup, up, down and fill. Everything below can be set from the environment.
HERE=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
PEER_DIR=${PEER_DIR:-$HERE/../../../target/bench/glance}     # Python environment, database, stores, logs, pid files
GLANCE_VERSION=${GLANCE_VERSION:-33.0.0}
GLANCE_STORE_VERSION=${GLANCE_STORE_VERSION:-5.7.0}
GLANCE_LISTEN=${GLANCE_LISTEN:-127.0.0.1:19292}
GLANCE_PROCESSES=${GLANCE_PROCESSES:-$(nproc)}              # as many as there are cores, so that Glance may use them all
GLANCE_THREADS=${GLANCE_THREADS:-1}                         # per process; upstream's file sets none, which means 1
DB_PORT=${GLANCE_DB_PORT:-23306}                            # below the ephemeral range, or some client may sit on it
DB_BUFFER_POOL=${GLANCE_DB_BUFFER_POOL:-1G}

mkdir -p "$PEER_DIR"
PEER_DIR=$(cd -- "$PEER_DIR" && pwd)
VENV=$PEER_DIR/venv
STATE=$PEER_DIR/state
# A socket's path may have 107 bytes only, and a checkout can lie deep.
DB_SOCK=${TMPDIR:-/tmp}/fanlight-bench-db-$(id -u)-$DB_PORT.sock

say() { printf '%s\n' "$*" >&2; }

alive() { # pid file
    local pid
    { read -r pid <"$1"; } 2>/dev/null && [ -d "/proc/$pid" ] && ! grep -q '^State:.*Z' "/proc/$pid/status"
}

stop_pid() { # pid file, signal, seconds of patience
    local pid i
    alive "$1" || { rm -f "$1"; return 0; }
    read -r pid <"$1"
    kill "-$2" "$pid"
    for ((i = 0; i < $3 * 10; i++)); do
        alive "$1" || break
        sleep 0.1
    done
    if alive "$1"; then
        say "process $pid ignores SIG$2: killing it and its children"
        # shellcheck disable=SC2046 # one word per child is meant
        kill -KILL $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null || true
    fi
    rm -f "$1"
}

sql() { mariadb --no-defaults -uroot -S "$DB_SOCK" "$@"; }
