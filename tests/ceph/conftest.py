"""A gateway over three real clusters and a folder, and the people in front of it.

`FANLIGHT_TEST_CEPH` names clusters made by `tests/services/ceph up`; without it they are started here and stopped.
"""

import os
import pathlib
import shutil
import subprocess
import tempfile

import gateway
import images
import peers
import pytest
from cloud import Cloud
from clusters import CONTROL, Cluster, rbd_store

# `c` writes its data into an erasure-coded pool. `b` is set up in another way than a Glance is as shipped.
MORE = """
[store.files]
type = "file"
path = "{folder}/files"
labels = {{ class = "files" }}

[images]
show_direct_url = true
show_locations = true

[rules]
policies = "{folder}/policies"
plugins = "{folder}/plugins"
debounce_ms = 50
poll_s = 1
"""


@pytest.fixture(scope="session")
def state():
    given = os.environ.get("FANLIGHT_TEST_CEPH")
    if given:
        yield pathlib.Path(given)
        return
    # Not pytest's own folder: the paths of Unix sockets must be short.
    folder = tempfile.mkdtemp(prefix="fanlight-")
    try:
        subprocess.run([CONTROL, "up", folder], check=True, stdout=subprocess.DEVNULL, timeout=300)
        yield pathlib.Path(folder)
    finally:
        subprocess.run([CONTROL, "down", folder], check=True, timeout=60)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def a(state):
    return Cluster(state, "ceph-a")


@pytest.fixture(scope="session")
def b(state):
    return Cluster(state, "ceph-b")


@pytest.fixture(scope="session")
def c(state):
    """Three osds, with the pool `images-data`, erasure-coded."""
    return Cluster(state, "ceph-c")


@pytest.fixture(scope="session")
def clusters(a, b, c):
    return {"a": a, "b": b, "c": c}


@pytest.fixture(scope="session", autouse=True)
def drivers(a, b, tmp_path_factory):
    peers.configure(tmp_path_factory.mktemp("openstack"), a, b)


@pytest.fixture(scope="session")
def server(clusters, tmp_path_factory):
    stores = "\n".join(
        [
            rbd_store("a", clusters["a"], default=True, labels={"class": "ssd"}),
            rbd_store("b", clusters["b"], chunk_size_mib=2, thin_provisioning=True, labels={"class": "hdd"}),
            rbd_store("c", clusters["c"], data_pool="images-data", labels={"class": "archive"}),
        ]
    )
    folder = tmp_path_factory.mktemp("gateway")
    shutil.copytree(gateway.ROOT / "policies", folder / "policies", ignore=shutil.ignore_patterns("tests"))
    shutil.copytree(gateway.ROOT / "plugins" / "dist", folder / "plugins")
    running = gateway.Gateway(folder, gateway.DEV, stores + MORE)
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def cloud(server, tmp_path_factory):
    return Cloud(server.url, tmp_path_factory.mktemp("home"))


def inventory(clusters: dict[str, Cluster]) -> dict[str, tuple]:
    return {
        f"{name} {pool}": (cluster.images(pool), cluster.trash(pool), cluster.objects(pool))
        for name, cluster in clusters.items()
        for pool in ("images", "vms", *(["images-data"] if name == "c" else []))
    }


@pytest.fixture
def tidy(clusters):
    """When the test is over, the pools hold what they held before. For tests that delete their images."""
    before = inventory(clusters)
    yield
    assert images.eventually(lambda: inventory(clusters) == before, 60), (before, inventory(clusters))


@pytest.fixture
def policies(server):
    """Policies of a test, in force when the call returns and gone after the test."""
    path = server.folder / "policies" / "of-the-test.cedar"

    def put(text: str) -> None:
        images.changed(server, lambda: path.write_text(text))

    yield put
    if path.exists():
        images.changed(server, path.unlink)


@pytest.fixture
def plugins(server):
    """Puts the example plug-in beside the shipped one; it pins the images of a project to a store."""
    folder, example = server.folder / "plugins", gateway.ROOT / "plugins" / "examples"

    def pin(project: str, store: str) -> None:
        manifest = (example / "by-project.toml").read_text()
        head, _, _ = manifest.partition("[settings]")
        shutil.copy(example / "by-project.wasm", folder)
        images.changed(server, lambda: (folder / "by-project.toml").write_text(f'{head}[settings]\n{project} = "{store}"\n'))

    def remove() -> None:
        (folder / "by-project.wasm").unlink(missing_ok=True)
        images.changed(server, lambda: (folder / "by-project.toml").unlink())

    pin.remove = remove
    yield pin
    if (folder / "by-project.toml").exists():
        remove()
