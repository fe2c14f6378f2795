"""The whole story with the commands that people type: a cluster by choice, by plug-in, none by policy, and an instance that
boots from a clone; rules and plug-ins change in between, and the gateway is never started again."""

import pathlib
import subprocess
import threading

import glanceclient
import images
import peers
import pytest
from cloud import ALICE, BOB, Failed, unique
from machine import MEDIUM, boots

pytestmark = pytest.mark.usefixtures("tidy")

NOT_ON_C = """
@id("cluster-c-is-green")
forbid (principal, action == Action::"place_image", resource == Store::"c")
unless { principal in Project::"green" };
"""


@pytest.fixture(scope="module")
def disk(tmp_path_factory) -> pathlib.Path:
    """A boot medium as a raw disk."""
    path = tmp_path_factory.mktemp("boot") / "rescue.raw"
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "raw", MEDIUM, path], check=True, stdin=subprocess.DEVNULL)
    return path


def create(cloud, person, path, *more: object) -> dict:
    """`openstack image create`; the image as `image show` shows it."""
    name = unique("journey")
    cloud.run(person, "image", "create", name, "--file", path, "--disk-format", "raw", "--container-format", "bare", *more)
    shown = cloud.json(person, "image", "show", name)
    assert (shown["status"], shown["size"]) == ("active", path.stat().st_size)
    return {"id": shown["id"], "store": shown["properties"]["stores"]}


def chosen(cloud, person, path, store: str) -> dict:
    """By name of the store, which Glance's client can say and the command `openstack image create` cannot."""
    made = cloud.json(person, "image", "create", unique("chosen"), "--disk-format", "raw", "--container-format", "bare")
    try:
        with open(path, "rb") as data:
            cloud.glance(person).images.upload(made["id"], data, backend=store)
    except glanceclient.exc.HTTPException:
        cloud.run(person, "image", "delete", made["id"])
        raise
    shown = cloud.json(person, "image", "show", made["id"])
    assert shown["status"] == "active"
    return {"id": made["id"], "store": shown["properties"]["stores"]}


def test_the_journey(server, cloud, clusters, disk, plugins, policies, tmp_path):
    pid, made = server.process.pid, []

    # Cluster A by choice, by a property for the shipped plug-in and by name.
    made.append(create(cloud, ALICE, disk, "--property", "storage_class=ssd"))
    made.append(chosen(cloud, ALICE, disk, "a"))
    assert [one["store"] for one in made] == ["a", "a"]

    # Cluster B by a plug-in that is put in place while an upload to A is under way.
    slow, release = images.create(cloud, ALICE, storage_class="ssd"), threading.Event()
    answers = []

    def body():
        data = disk.read_bytes()
        yield data[: 1 << 20]
        release.wait(60)
        yield data[1 << 20 :]

    upload = threading.Thread(target=lambda: answers.append(images.put(cloud, ALICE, slow, body())))
    upload.start()
    assert images.eventually(lambda: images.show(cloud, ALICE, slow)["status"] == "saving")
    plugins("blue", "b")
    made.append(create(cloud, ALICE, disk))
    assert made[-1]["store"] == "b" and made[-1]["id"] in clusters["b"].images()
    release.set()
    upload.join()
    assert answers[0].status_code == 204, answers[0].text
    assert images.show(cloud, ALICE, slow)["stores"] == "a"
    # The plug-in pins one project only.
    theirs = create(cloud, BOB, disk, "--property", "storage_class=ssd")
    assert theirs["store"] == "a"
    plugins.remove()
    made.append(create(cloud, ALICE, disk, "--property", "storage_class=ssd"))
    assert made[-1]["store"] == "a"

    # Cluster C: open, then refused by policy to all but one project.
    made.append(chosen(cloud, ALICE, disk, "c"))
    assert made[-1]["store"] == "c"
    policies(NOT_ON_C)
    with pytest.raises(glanceclient.exc.HTTPForbidden):
        chosen(cloud, ALICE, disk, "c")
    # No other store has the label, and the command removes the image that it could not fill.
    with pytest.raises(Failed, match="409"):
        create(cloud, ALICE, disk, "--property", "storage_class=archive")
    green = chosen(cloud, BOB, disk, "c")
    assert green["store"] == "c"

    # Everything reads the same, wherever it lies.
    cloud.run(ALICE, "image", "save", "--file", tmp_path / "copy", made[2]["id"])
    assert (tmp_path / "copy").read_bytes() == disk.read_bytes()
    for one in (*made, {"id": slow}):
        assert images.download(cloud, ALICE, one["id"]) == disk.read_bytes()

    assert server.process.pid == pid and server.process.poll() is None
    listed = {row["ID"] for row in cloud.json(ALICE, "image", "list")}
    assert listed == {slow, *(one["id"] for one in made)}
    cloud.run(ALICE, "image", "delete", *listed)
    cloud.run(BOB, "image", "delete", theirs["id"], green["id"])


def test_an_instance_boots_from_a_clone(server, cloud, a, disk):
    """Nova clones, and QEMU boots from the clone in the cluster as Nova's user, without any copy."""
    image = create(cloud, ALICE, disk, "--property", "storage_class=ssd")
    assert image["store"] == "a"
    nova = peers.Nova(server.url, ALICE.dev_token)
    clone = nova.disk(peers.Instance())
    clone.clone(nova.context, image["id"])
    # As Nova does for a flavour with a larger disk.
    clone.resize_image(64 << 20)
    try:
        # Nova's own words for QEMU.
        assert clone.path == f"rbd:vms/{clone.rbd_name}:id=nova:conf={a.conf}"
        assert boots(clone.path, "raw")
        with pytest.raises(Failed, match="409|in use"):
            cloud.run(ALICE, "image", "delete", image["id"])
    finally:
        a.remove(clone.rbd_name)
    cloud.run(ALICE, "image", "delete", image["id"])
