"""Copies between two pools of one cluster with the command that an operator types: made by the cluster's own library, verified,
and taken up again by a gateway that was killed in the middle of one."""

import dataclasses
import json
import os
import subprocess

import gateway
import images
import pytest
from cloud import ALICE, Cloud
from clusters import rbd_store

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture(scope="module")
def pools(a, tmp_path_factory):
    """A gateway with two pools of one cluster; the second one is slow."""
    stores = [
        rbd_store("fast", a, default=True),
        rbd_store("slow", a, pool="vms", user="nova-direct", in_flight=1, chunk_size_mib=1),
    ]
    more = "\n[images]\nshow_locations = true\n"
    running = gateway.Gateway(tmp_path_factory.mktemp("copies"), gateway.DEV, "\n".join(stores) + more)
    running.start()
    yield running
    running.stop()


def fanlight(server, *words: str) -> subprocess.CompletedProcess:
    command = [gateway.binary(), *words, "--config", server.config]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def copies(server) -> list[dict]:
    listed = fanlight(server, "store", "copies", "--json")
    assert listed.returncode == 0, listed.stderr
    return json.loads(listed.stdout)["copies"]


def test_a_copy_keeps_what_is_empty(pools, a):
    cloud = Cloud(pools.url, pools.folder / "home")
    image = images.upload(cloud, ALICE, images.DATA, "fast")
    done = fanlight(pools, "store", "copy", image, "--store", "slow", "--wait")
    assert done.returncode == 0, done.stderr
    assert images.show(cloud, ALICE, image)["stores"] == "fast,slow"
    assert a.url(image, "vms") in images.urls(cloud, ALICE, image)
    assert a.read(image, "vms") == images.DATA
    layout, uploaded = a.layout(image, "vms"), a.layout(image)
    assert (layout.order, layout.stripe) == (20, (1 << 20, 1))
    assert dataclasses.replace(layout, order=uploaded.order, stripe=uploaded.stripe) == uploaded
    # As uploaded the zeros are there, as copied they are not.
    assert a.stored(image, "vms") < a.stored(image) - (10 << 20)
    images.delete(cloud, ALICE, image)


def test_a_killed_gateway_goes_on(pools, a):
    cloud = Cloud(pools.url, pools.folder / "home")
    data = os.urandom(1 << 20) * 1024
    image = images.upload(cloud, ALICE, data, "fast")
    assert fanlight(pools, "store", "copy", image, "--store", "slow").returncode == 0
    mine = lambda: next(copy for copy in copies(pools) if copy["image_id"] == image)  # noqa: E731
    assert images.eventually(lambda: mine()["done"] > 0), mine()
    assert mine()["state"] == "running", mine()
    pools.process.kill()
    pools.process.wait()
    assert not any(name == "snap" for name, *_ in a.layout(image, "vms").snapshots), "it was whole before it was verified"
    pools.start()
    assert images.eventually(lambda: mine()["state"] == "done", 180), mine()
    assert a.read(image, "vms") == data
    assert "copy goes on where it was" in (pools.folder / "log").read_text()
    images.delete(cloud, ALICE, image)
