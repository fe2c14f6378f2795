"""A real boot medium makes the whole journey: uploaded, placed, shared, downloaded, and it still boots."""

import subprocess

import pytest
from cloud import ALICE, BOB, Cloud, unique
from machine import MEDIUM, boots


@pytest.fixture(scope="module", params=["qcow2", "raw"])
def disk(request, tmp_path_factory):
    """The medium as a disk image, and its format."""
    path = tmp_path_factory.mktemp("boot") / f"rescue.{request.param}"
    subprocess.run(
        ["qemu-img", "convert", "-f", "raw", "-O", request.param, MEDIUM, path], check=True, stdin=subprocess.DEVNULL
    )
    return path, request.param


def test_an_empty_disk_does_not_boot(tmp_path):
    """Else the test below could not fail."""
    empty = tmp_path / "empty.raw"
    empty.write_bytes(bytes(1 << 20))
    assert not boots(empty, "raw", patience=10)


@pytest.mark.parametrize(("wanted", "store"), [("ssd", "alpha"), ("hdd", "beta")])
def test_journey(dev_gateway, dev_cloud: Cloud, disk, wanted, store, tmp_path):
    path, disk_format = disk
    name = unique(f"rescue-{disk_format}")
    before = len(dev_gateway.files(store))
    made = dev_cloud.json(
        ALICE, "image", "create", name, "--file", path, "--disk-format", disk_format, "--container-format", "bare",
        "--property", f"storage_class={wanted}",
    )  # fmt: skip
    assert name in [row["Name"] for row in dev_cloud.json(ALICE, "image", "list")]
    shown = dev_cloud.json(ALICE, "image", "show", name)
    assert (shown["status"], shown["size"]) == ("active", path.stat().st_size)
    # The label of the store, not its weight or its free space, decided.
    assert shown["properties"]["stores"] == store
    assert len(dev_gateway.files(store)) == before + 1

    owner, receiver = dev_cloud.sdk(ALICE).image, dev_cloud.sdk(BOB).image
    owner.add_member(made["id"], member_id=BOB.project)
    receiver.update_member(BOB.project, made["id"], status="accepted")
    copy = tmp_path / "copy"
    dev_cloud.run(BOB, "image", "save", "--file", copy, made["id"])
    assert copy.read_bytes() == path.read_bytes()
    assert boots(copy, disk_format)

    dev_cloud.run(ALICE, "image", "delete", made["id"])
    assert len(dev_gateway.files(store)) == before
