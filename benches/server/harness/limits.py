"""What this machine can do at all: hashes, and copying to the disk that the stores are on."""

import hashlib
import mmap
import os
import shutil

from .client import parallel, source_file
from .process import machine_cpu, own_cpu

MIB = 1 << 20


def limits(bench):
    size = bench.plan.body_mib * MIB
    source = source_file(bench.scratch, size)
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data, memoryview(data) as view:
        for _ in range(bench.plan.repetitions):
            for name, algorithms in (
                ("md5", ["md5"]),
                ("sha512", ["sha512"]),
                ("md5 and sha512, a thread each", ["md5", "sha512"]),
            ):
                _add(bench, f"limit: {name}", size, lambda chosen=algorithms: _hash(view, chosen))
    copy = bench.folder / "copy"
    for _ in range(bench.plan.repetitions):
        for name, durable in (("copy to the page cache", False), ("copy and fsync", True)):
            os.sync()
            _add(bench, f"limit: {name}", size, lambda sync=durable: _copy(source, copy, sync))
    copy.unlink()


def _add(bench, name, size, work):
    all_before, own_before = machine_cpu(), own_cpu()
    seconds = parallel(1, lambda _: work())
    others = (machine_cpu() - all_before - own_cpu() + own_before) / seconds
    bench.add_machine(name, {"mb_s": size / seconds / 1e6, "seconds": seconds, "others_cpu": max(0.0, others)})


def _hash(view, algorithms):
    def one(k):
        digest = hashlib.new(algorithms[k])
        for offset in range(0, len(view), MIB):
            digest.update(view[offset : offset + MIB])

    parallel(len(algorithms), one)


def _copy(source, copy, durable):
    shutil.copyfile(source, copy)
    if durable:
        with open(copy, "rb") as file:
            os.fsync(file.fileno())
