"""What is measured, contender by contender in turn. Nothing stays in a pool: each begins with both of them empty."""

import collections
import hashlib
import os
import subprocess
import sys

from harness import bodies, limits
from harness.client import download, parallel, source_file
from harness.process import measure
from harness.targets import Failed

from .clusters import Busy

MIB = 1 << 20
STREAMS = 8
SPREAD_MIB = 128
"""Size of each of the parallel uploads."""


def _row(row, count, seconds, serves):
    """CPU of whoever moves the bytes, and of the daemons; what only loads a service counts for nothing."""
    mover = row["cpu_server_s"] if serves else row["cpu_load_s"]
    row.update(mb_s=count / seconds / 1e6, seconds=seconds, bytes=count)
    row.update(cpu_mover_s_per_gib=mover * 2**30 / count, cpu_ceph_s_per_gib=row["cpu_db_s"] * 2**30 / count)
    return row


def verify(bench):
    """What a service stored is what `rbd export` reads and what the service gives back."""
    size = 33 * MIB + 5
    source = source_file(bench.scratch, size)
    digest = bodies.sha512(source)
    for one in bench.targets:
        if not one.serves:
            continue
        for store in "ab":
            for chunked in (False, True):
                _, image = one.put(source, size, chunked, store)
                export = ["rbd", "-c", one.clusters.conf(store), "--id", "glance", "--no-progress", "export"]
                with subprocess.Popen([*export, f"images/{image}@snap", "-"], stdout=subprocess.PIPE) as process:
                    in_pool = hashlib.file_digest(process.stdout, "sha512")
                back = hashlib.sha512()
                download(one, f"/v2/images/{image}/file", digest=back)
                if not digest.digest() == in_pool.digest() == back.digest() or one.store_of(image) != store:
                    raise Failed(f"{one.name}: what was uploaded, stored and downloaded differs")
                one.delete(image)


def streams(bench):
    """One stream: up, down twice, away."""
    size = bench.plan.body_mib * MIB
    source = source_file(bench.scratch, size)
    for one in bench.turns():
        os.sync()
        with measure(one, bench.plan.wait_quiet) as row:
            seconds, handle = one.put(source, size)
        bench.add("upload", one, _row(row, size, seconds, one.serves))
        if one.name.startswith("rbd, "):
            one.delete(handle)
            continue
        for name in ("download, from the osd's disk", "download, again"):
            os.sync()
            with measure(one, bench.plan.wait_quiet) as row:
                seconds = one.get(handle)
            bench.add(name, one, _row(row, size, seconds, one.serves))
        one.delete(handle)
        if one.name == "rbd":
            continue
        os.sync()
        with measure(one, bench.plan.wait_quiet) as row:
            seconds, handle = one.put(source, size, chunked=True)
        bench.add("upload of unknown size", one, _row(row, size, seconds, one.serves))
        one.delete(handle)
    bench.clusters.check_empty()


def command_start(bench):
    """What of an `rbd import` is not work: start of the program, connecting to the cluster."""
    for _ in range(bench.plan.repetitions):
        with measure(bench.named("rbd")) as row:
            seconds = bench.clusters.rbd("a", "ls", "images")
        bench.add("start of the command: rbd ls", bench.named("rbd"), dict(row, seconds=seconds))


def spread(bench):
    """Eight uploads at once over both clusters, by name; and where Fanlight puts them when nobody names a store."""
    source = source_file(bench.scratch, SPREAD_MIB * MIB)
    chosen = [bench.named(name) for name in ("rbd", "glance", "fanlight")]
    for _ in range(bench.plan.repetitions):
        for one in chosen:
            _spread_once(bench, one, source, "ab", "named in turn")
        _spread_once(bench, bench.named("fanlight"), source, [None], "placed by the shipped plug-in")
    bench.clusters.check_empty()


def _spread_once(bench, one, source, stores, how):
    size, handles = SPREAD_MIB * MIB, [None] * STREAMS

    def put(k):
        handles[k] = one.put(source, size, store=stores[k % len(stores)])[1]

    os.sync()
    with measure(one, bench.plan.wait_quiet) as row, Busy(bench.clusters) as busy:
        seconds = parallel(STREAMS, put)
    count = collections.Counter(one.store_of(handle) if one.serves else handle[0] for handle in handles)
    row.update(busy.row(), mib_more=max(count.values()) * SPREAD_MIB, mib_less=min(count["a"], count["b"]) * SPREAD_MIB)
    bench.add(f"{STREAMS} uploads of {SPREAD_MIB} MiB, stores {how}", one, _row(row, STREAMS * size, seconds, one.serves))
    for handle in handles:
        one.delete(handle)


def memory(bench):
    """Peak above what the process held before, in a fresh one that has talked to both clusters, for each stream."""
    for one in [bench.named("glance"), bench.named("fanlight")]:
        for count in (1, STREAMS):
            for mib in bench.plan.memory_mib:
                for _ in range(bench.plan.repetitions):
                    _memory_once(bench, one, count, mib)
    bench.clusters.check_empty()


def _memory_once(bench, one, count, mib):
    size, images = mib * MIB, [None] * count
    source, small = source_file(bench.scratch, size), source_file(bench.scratch, MIB)

    def put(k):
        images[k] = one.put(source, size, store="ab"[k % 2])[1]

    for way, work in (("up", put), ("down", lambda k: one.get(images[k]))):
        one.stop()
        one.start()
        for _ in range(2):
            for store in "ab":
                image = one.put(small, MIB, store=store)[1]
                one.get(image)
                one.delete(image)
        with measure(one, sample=0.01) as row:
            seconds = parallel(count, work)
        row["rss_stream"] = max(0, row["rss_peak"] - row["rss_before"]) / count
        bench.add(f"memory: {count} {way}, {mib} MiB each", one, _row(row, count * size, seconds, True))
    for image in images:
        one.delete(image)


PARTS = {"limits": limits.limits, "streams": streams, "command": command_start, "spread": spread, "memory": memory}


def all_parts(bench, only):
    print("== does what comes back equal what was sent?", file=sys.stderr)
    verify(bench)
    for name in only:
        print(f"== {name}", file=sys.stderr)
        PARTS[name](bench)
