"""What processes use: CPU seconds and memory, of a server with all its descendants and of everybody else."""

import contextlib
import os
import pathlib
import threading
import time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

CALM = 0.4
"""CPUs that others may use in a measurement that still counts as calm."""


def _stat(pid):
    """The fields of /proc/PID/stat from the third on, or None. The second may hold spaces and parentheses."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None


def _children():
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(name)):
            found.setdefault(int(fields[1]), []).append(int(name))
    return found


class Tree:
    """A process and its descendants. `root` is asked for the process id whenever the tree is looked at anew."""

    def __init__(self, root):
        self._root = root
        self.pids = []

    def refresh(self):
        self.pids = []
        pid = self._root()
        if pid is None:
            return self
        children, todo = _children(), [pid]
        while todo:
            pid = todo.pop()
            self.pids.append(pid)
            todo += children.get(pid, [])
        return self

    def cpu(self):
        """Seconds, user and system."""
        stats = [_stat(pid) for pid in self.pids]
        return sum(int(s[11]) + int(s[12]) for s in stats if s) / TICKS

    def rss(self):
        """Bytes; pages that processes share count once for each."""
        total = 0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                total += int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        return total

    def pss(self):
        """Bytes; pages that processes share count once."""
        total = 0
        for pid in self.pids:
            with contextlib.suppress(OSError):
                for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total


def pid_in(path):
    """Reads a pid file at each call; None while there is no such process."""

    def read():
        try:
            pid = int(path.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if os.path.isdir(f"/proc/{pid}") else None

    return read


def machine_cpu():
    """Seconds of work of the whole machine: everything but idle and waiting for I/O."""
    with open("/proc/stat") as f:
        ticks = [int(x) for x in f.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICKS


def own_cpu():
    """Seconds of this process and of the children that it has waited for."""
    return sum(os.times()[:4])


def settle(trees, patience=20.0):
    """Waits until the servers are idle: a load generator that has left leaves requests behind."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        before = sum(tree.cpu() for tree in trees)
        time.sleep(0.2)
        if sum(tree.cpu() for tree in trees) - before < 0.03:
            return


def wait_quiet(seconds):
    """Waits, so long at most, for half a second in which the machine is idle."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before, start = machine_cpu(), time.monotonic()
        time.sleep(0.5)
        if (machine_cpu() - before) / (time.monotonic() - start) < 0.3:
            return


@contextlib.contextmanager
def measure(target, quiet=0.0, sample=0.05, settled=True):
    """Yields a dict that holds, when the block has ended, what the server, its database and the rest used.

    `settled`: begin only when the server is idle.
    """
    server, database = target.server.refresh(), target.database.refresh()
    if settled:
        wait_quiet(quiet)
        settle([server, database])
    row = {"rss_before": server.rss(), "rss_peak": server.rss()}
    stop = threading.Event()

    def watch():
        while not stop.wait(sample):
            row["rss_peak"] = max(row["rss_peak"], server.rss())

    watcher = threading.Thread(target=watch, daemon=True)
    before = (server.cpu(), database.cpu(), machine_cpu(), own_cpu(), time.monotonic())
    watcher.start()
    try:
        yield row
    finally:
        after = (server.cpu(), database.cpu(), machine_cpu(), own_cpu(), time.monotonic())
        stop.set()
        watcher.join()
        in_server, in_database, in_all, in_load, wall = (b - a for a, b in zip(before, after))
        others = max(0.0, (in_all - in_server - in_database - in_load) / wall)
        row.update(wall_s=wall, cpu_server_s=in_server, cpu_db_s=in_database, cpu_load_s=in_load, others_cpu=others)
