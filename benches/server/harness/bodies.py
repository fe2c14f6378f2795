"""Image data up and down: one stream, several, chunked, ranges; and the memory that it takes."""

import hashlib
import os
import random

from .client import download, parallel, source_file, upload
from .process import measure
from .targets import Failed

MIB = 1 << 20


def _row(row, count, seconds):
    row.update(mb_s=count / seconds / 1e6, seconds=seconds, bytes=count)
    row["cpu_server_s_per_gib"] = row["cpu_server_s"] / count * (1 << 30)
    return row


def bodies(bench):
    size = bench.plan.body_mib * MIB
    source = source_file(bench.scratch, size)
    digest = sha512(source)
    kept = {target.name: verified(target, source, size, digest) for target in bench.targets}
    for chunked in (False, True):
        for target in bench.turns():
            _upload_once(bench, target, source, size, chunked)
    for target in bench.turns():
        _upload_eight(bench, target, source, size // 16)
    os.sync()
    for target in bench.turns():
        _download_once(bench, target, kept[target.name])
    for target in bench.turns():
        _download_ranges(bench, target, kept[target.name], size // 16)
    for target in bench.turns():
        _small_ranges(bench, target, kept[target.name], size)
    for target in bench.targets:
        target.delete_image(kept[target.name])


def sha512(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha512")


def verified(target, source, size, digest):
    """Uploads, and checks that the server stored and gives back exactly those bytes. Returns the image."""
    image = target.new_image()
    upload(target, f"/v2/images/{image}/file", source, size)
    shown = target.must("GET", f"/v2/images/{image}")
    if shown.get("os_hash_algo") == "sha512" and shown.get("os_hash_value") != digest.hexdigest():
        raise Failed(f"{target.name}: os_hash_value is wrong")
    back = hashlib.sha512()
    download(target, f"/v2/images/{image}/file", digest=back)
    if back.digest() != digest.digest():
        raise Failed(f"{target.name}: the download differs from the upload")
    return image


def _upload_once(bench, target, source, size, chunked):
    image = target.new_image()
    os.sync()
    with measure(target, bench.plan.wait_quiet) as row:
        seconds = upload(target, f"/v2/images/{image}/file", source, size, chunked)
    name = f"PUT {size // MIB} MiB" + (", chunked" if chunked else "")
    bench.add(name, target, _row(row, size, seconds))
    target.delete_image(image)


def _upload_eight(bench, target, source, size, name=None):
    images = [target.new_image() for _ in range(8)]
    os.sync()
    with measure(target, bench.plan.wait_quiet, sample=0.01) as row:
        seconds = parallel(8, lambda k: upload(target, f"/v2/images/{images[k]}/file", source, size))
    row["rss_growth"] = max(0, row["rss_peak"] - row["rss_before"])
    bench.add(name or f"PUT 8 × {size // MIB} MiB", target, _row(row, 8 * size, seconds))
    for image in images:
        target.delete_image(image)


def _download_once(bench, target, image):
    with measure(target, bench.plan.wait_quiet) as row:
        seconds, count, to_head = download(target, f"/v2/images/{image}/file")
    row["ttfb_ms"] = to_head * 1e3
    bench.add(f"GET {count // MIB} MiB", target, _row(row, count, seconds))


def _download_ranges(bench, target, image, part):
    def one(k):
        download(target, f"/v2/images/{image}/file", [f"Range: bytes={k * part}-{(k + 1) * part - 1}"])

    with measure(target, bench.plan.wait_quiet) as row:
        seconds = parallel(8, one)
    bench.add(f"GET 8 ranges of {part // MIB} MiB", target, _row(row, 8 * part, seconds))


def _small_ranges(bench, target, image, size):
    """One client that reads here and there, as a lazy boot does."""
    places, times, count = random.Random(1), [], 100
    with measure(target, bench.plan.wait_quiet) as row:
        for _ in range(count):
            start = places.randrange(0, size - MIB)
            seconds, got, _ = download(target, f"/v2/images/{image}/file", [f"Range: bytes={start}-{start + MIB - 1}"])
            if got != MIB:
                raise Failed(f"{target.name}: a range of 1 MiB had {got} bytes")
            times.append(seconds)
    times.sort()
    row.update(rps=count / sum(times), p50_ms=times[count // 2] * 1e3, p99_ms=times[-2] * 1e3)
    bench.add("GET range 1 MiB, c=1", target, _row(row, count * MIB, sum(times)))


def memory(bench):
    """Eight uploads at once, small and eight times as large: memory must not follow the size.

    Each in a fresh process: what an earlier load has left to the allocator would hide the growth.
    """
    for size in memory_sizes(bench.plan):
        source = source_file(bench.scratch, size * MIB)
        for target in bench.turns():
            target.stop()
            target.start()
            for _ in range(20):
                target.must("GET", "/v2/images?limit=20")
            _upload_eight(bench, target, source, size * MIB, f"memory: 8 uploads of {size} MiB at once")


def memory_sizes(plan):
    """MiB of each upload."""
    large = max(16, plan.body_mib // 8)
    return [large // 8, large]
