"""The two clusters, made by tests/services/ceph, and what their daemons use."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

from harness.process import TICKS, Tree, _stat
from harness.targets import Failed

CONTROL = pathlib.Path(__file__).resolve().parents[3] / "tests/services/ceph"
NAMES = {"a": "ceph-a", "b": "ceph-b"}
"""Stores, and the clusters below them."""


class Daemons(Tree):
    """All daemons of some clusters."""

    def __init__(self, folders, kinds=("mon", "mgr", "osd")):
        super().__init__(lambda: None)
        self._folders, self._kinds = folders, kinds

    def refresh(self):
        files = [f for folder in self._folders for kind in self._kinds for f in folder.glob(f"run/{kind}.*.pid")]
        self.pids = [int(file.read_text().split()[0]) for file in files]
        return self


class Clusters:
    def __init__(self, objectstore):
        # Not below the checkout: the paths of Unix sockets must be short.
        self.state = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-ceph-"))
        self._environment = dict(os.environ, CEPH_OBJECTSTORE=objectstore)

    def up(self):
        done = subprocess.run([CONTROL, "up", self.state, *NAMES.values()], env=self._environment, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed("the clusters do not start; is Ceph installed? tests/install does it")

    def down(self):
        subprocess.run([CONTROL, "down", self.state], stdout=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.state, ignore_errors=True)

    def folder(self, store):
        return self.state / NAMES[store]

    def conf(self, store):
        return self.folder(store) / "ceph.conf"

    def keyring(self, store):
        return self.folder(store) / "client.glance.keyring"

    def daemons(self):
        return Daemons([self.folder(store) for store in NAMES])

    def rbd(self, store, *words, **more):
        """The `rbd` command as client.glance; returns seconds."""
        command = ["rbd", "-c", self.conf(store), "--id", "glance", *words]
        start = time.monotonic()
        done = subprocess.run(command, stderr=subprocess.PIPE, **{"stdout": subprocess.DEVNULL, **more})
        seconds = time.monotonic() - start
        if done.returncode != 0:
            raise Failed(f"rbd {' '.join(map(str, words))}: {done.stderr.decode(errors='replace')[-500:]}")
        return seconds

    def check_empty(self):
        """What one contender leaves behind would slow the next."""
        for store in NAMES:
            left = subprocess.run(
                ["rbd", "-c", self.conf(store), "--id", "glance", "ls", "images"], capture_output=True, text=True, check=True
            ).stdout.split()
            if left:
                raise Failed(f"left behind in {NAMES[store]}: {left}")


class Busy:
    """Watches in how many tenths of a second each cluster's osd worked: used a tenth of a core or more."""

    STEP, WORKS = 0.1, 0.1

    def __init__(self, clusters):
        self._osds = {store: Daemons([clusters.folder(store)], ("osd",)).refresh() for store in NAMES}
        self._cpu = {store: [] for store in NAMES}
        self._stop, self._watcher = threading.Event(), threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        before, then = self._now(), time.monotonic()
        while not self._stop.wait(self.STEP):
            after, now = self._now(), time.monotonic()
            for store in NAMES:
                self._cpu[store].append((after[store] - before[store]) / (now - then))
            before, then = after, now

    def _now(self):
        # Not Tree.cpu: what runs here must cost next to nothing.
        return {store: sum(sum(map(int, s[11:13])) for s in map(_stat, osd.pids) if s) / TICKS for store, osd in self._osds.items()}

    def __enter__(self):
        self._watcher.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._watcher.join()

    def row(self):
        found = {store: sum(cpu >= self.WORKS for cpu in used) / max(1, len(used)) for store, used in self._cpu.items()}
        return {"busy_more": max(found.values()), "busy_less": min(found.values())}
