"""Who is measured. Each puts, gets and deletes one image; `server` and `database` are the processes that it costs.

`database` are the daemons of the clusters for all of them. The `rbd` command and the driver are children of this
process, so what they use is counted as the load's.
"""

import copy
import glob
import os
import subprocess
import time
import uuid

from harness.client import download, upload
from harness.process import Tree
from harness.targets import Failed, Fanlight, Glance

from .clusters import NAMES

STORE = "X-Image-Meta-Store"


class Child:
    """What runs as a child of this process."""

    serves = False

    def __init__(self, name, clusters):
        self.name, self.clusters = name, clusters
        self.server, self.database = Tree(lambda: None), clusters.daemons()


class Rbd(Child):
    """`rbd import` from a file, `rbd export` to a pipe's end that is thrown away: no hash, no snapshot."""

    def __init__(self, name, clusters, *options):
        super().__init__(name, clusters)
        self._options = options

    def put(self, source, size, chunked=False, store="a"):
        image = str(uuid.uuid4())
        seconds = self.clusters.rbd(store, "import", "--no-progress", *self._options, source, f"images/{image}")
        return seconds, (store, image)

    def get(self, handle):
        store, image = handle
        return self.clusters.rbd(store, "export", "--no-progress", f"images/{image}", "-")

    def delete(self, handle):
        store, image = handle
        self.clusters.rbd(store, "rm", "--no-progress", f"images/{image}")


class HashedRbd(Rbd):
    """`rbd import`, with md5sum and sha512sum of the same file beside it: the work of an image service, by commands."""

    def put(self, source, size, chunked=False, store="a"):
        start = time.monotonic()
        sums = [subprocess.Popen([tool, source], stdout=subprocess.DEVNULL) for tool in ("md5sum", "sha512sum")]
        _, handle = super().put(source, size, chunked, store)
        if any(process.wait() != 0 for process in sums):
            raise Failed("md5sum or sha512sum failed")
        return time.monotonic() - start, handle


class Driver(Child):
    """glance_store's driver, without a Glance around it."""

    def __init__(self, clusters, glance, program):
        super().__init__("glance_store", clusters)
        self._start = [glance.python, program, glance.state / "etc/glance-api.conf"]

    def _call(self, *words):
        done = subprocess.run([*self._start, *map(str, words)], capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"driver.py {words[0]}: {done.stderr[-1500:]}")
        seconds, url = done.stdout.split()
        return float(seconds), url

    def put(self, source, size, chunked=False, store="a"):
        seconds, url = self._call("add", store, source, uuid.uuid4(), 0 if chunked else size)
        return seconds, (store, url)

    def get(self, handle):
        return self._call("get", *handle)[0]

    def delete(self, handle):
        self._call("delete", *handle)


class Service:
    """What Glance and Fanlight have in common: the images API."""

    serves = True

    def put(self, source, size, chunked=False, store="a"):
        image = self.new_image()
        asked = copy.copy(self)
        if store:
            asked.headers = {**self.headers, STORE: store}
        return upload(asked, f"/v2/images/{image}/file", source, size, chunked), image

    def get(self, image):
        return download(self, f"/v2/images/{image}/file")[0]

    def delete(self, image):
        self.delete_image(image)

    def store_of(self, image):
        return self.must("GET", f"/v2/images/{image}")["stores"]


class CephGlance(Service, Glance):
    """Glance as shipped, on the pools of both clusters."""

    def __init__(self, args, folder, clusters):
        super().__init__(args, folder)
        self.clusters = clusters
        self.database = clusters.daemons()

    def setup(self):
        super().setup()
        (site,) = glob.glob(str(self.python.parents[1] / "lib/python3*/site-packages"))
        bindings = [f for name in ("rados", "rbd") for f in glob.glob(f"/usr/lib/python3/dist-packages/{name}.*.so")]
        if len(bindings) != 2:
            raise Failed("python3-rados and python3-rbd are missing; tests/install installs them")
        for file in bindings:
            link = os.path.join(site, os.path.basename(file))
            if not os.path.lexists(link):
                os.symlink(file, link)
        self._configure()

    def _configure(self):
        path = self.state / "etc/glance-api.conf"
        kept, skip = [], False
        for line in path.read_text().splitlines():
            if line.startswith("["):
                skip = line in ("[fast]", "[slow]")
            if line.startswith("enabled_backends"):
                line = "enabled_backends = " + ", ".join(f"{store}:rbd" for store in NAMES)
            elif line.startswith("default_backend"):
                line = "default_backend = a"
            if not skip:
                kept.append(line)
        for store in NAMES:
            kept += [f"[{store}]", f"rbd_store_ceph_conf = {self.clusters.conf(store)}", "rbd_store_user = glance",
                     "rbd_store_pool = images"]  # fmt: skip
        path.write_text("\n".join(kept) + "\n")


class CephFanlight(Service, Fanlight):
    """The release build, two stores, all else default: the shipped policies and plug-ins place what asks for no store."""

    def __init__(self, args, folder, clusters):
        address = [f"127.0.0.1:{args.fanlight_port + n}" for n in range(2)]
        super().__init__("fanlight", args, folder, *address)
        self.clusters, self.database = clusters, clusters.daemons()
        self.kind = "development identity, SQLite, two rbd stores" + "".join(f", {option}" for option in args.store)
        lines = ["[identity]", 'mode = "dev"']
        for store in NAMES:
            lines += [f"[store.{store}]", 'type = "rbd"', 'pool = "images"', 'user = "glance"',
                      f'conf = "{clusters.conf(store)}"', f'keyring = "{clusters.keyring(store)}"', *args.store]  # fmt: skip
            lines += ["default = true"] if store == "a" else []
        self.config.write_text("\n".join(lines) + "\n")
