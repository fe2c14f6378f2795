"""A real boot medium makes the whole journey: uploaded, placed, shared, downloaded, and it still boots."""

import pathlib
import subprocess
import threading

import pytest
from cloud import ALICE, BOB, Cloud, unique

# Debian's package grub-rescue-pc: one file that boots as a disk and as a CD.
MEDIUM = pathlib.Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
BANNER = b"GNU GRUB"


def boots(path: pathlib.Path, disk_format: str, patience: float = 90) -> bool:
    """Starts a machine without network, so that only this disk can boot, and waits for GRUB on its console."""
    machine = subprocess.Popen(
        [
            "qemu-system-x86_64", "-accel", "tcg", "-m", "128", "-nodefaults", "-nographic", "-serial", "stdio",
            "-nic", "none", "-boot", "order=c,strict=on",
            "-drive", f"file={path},format={disk_format},if=ide,snapshot=on",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    watchdog = threading.Timer(patience, machine.kill)
    watchdog.start()
    try:
        console = b""
        # Ends at the banner, or when the watchdog ends the machine and with it its output.
        while BANNER not in console and (some := machine.stdout.read1(4096)):
            console += some
        return BANNER in console
    finally:
        watchdog.cancel()
        machine.kill()
        machine.wait()
        machine.stdout.close()


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
