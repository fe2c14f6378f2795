"""A virtual machine that shows whether a disk boots."""

import pathlib
import subprocess
import threading

# Debian's package grub-rescue-pc: one file that boots as a disk and as a CD.
MEDIUM = pathlib.Path("/usr/lib/grub-rescue/grub-rescue-cdrom.iso")
BANNER = b"GNU GRUB"


def boots(path: pathlib.Path | str, disk_format: str, patience: float = 90) -> bool:
    """Starts a machine without network, so that only this disk can boot, and waits for GRUB on its console.

    `path` is a file, or whatever else QEMU understands, for instance `rbd:POOL/IMAGE`.
    """
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
        # Not killed: QEMU closes its disk then, and a cluster would hold that for its user a while longer.
        machine.terminate()
        machine.wait()
        watchdog.cancel()
        machine.stdout.close()
