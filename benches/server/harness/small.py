"""Small requests: one image, lists of a large table, writes."""

import random

from . import wrk
from .client import parallel
from .dataset import image

PAGE = 20


def read(bench):
    paths = [
        ("GET image", f"/v2/images/{image(7)['id']}"),
        ("GET schemas/image", "/v2/schemas/image"),
        ("GET / (versions)", "/"),
    ]
    for name, path in paths:
        for connections in bench.plan.connections:
            for target in bench.turns():
                bench.add(f"{name}, c={connections}", target, wrk.run(bench, target, path, connections))


def lists(bench):
    count = bench.plan.images
    markers = {target.name: deep_marker(target, deep_offset(count)) for target in bench.targets}
    queries = [
        ("page 1", "", bench.plan.connections),
        (f"page {deep_offset(count) // PAGE + 1}", None, [16]),
        ("limit=1000", "&limit=1000", [1]),
        ("name=", f"&name=bench-{count // 2:06d}", [16]),
        ("visibility=public", "&visibility=public", [16]),
        ("tag=", "&tag=t7", [16]),
        ("os_distro=", "&os_distro=distro3", [16]),
        ("build= and os_distro=", "&build=b42&os_distro=distro2", [16]),
        ("sort=name:asc", "&sort=name:asc", [16]),
    ]
    for name, query, all_connections in queries:
        for connections in all_connections:
            for target in bench.turns():
                more = f"&marker={markers[target.name]}" if query is None else query
                path = f"/v2/images?{more[1:]}" if "limit=" in more else f"/v2/images?limit={PAGE}{more}"
                # Glance takes seconds for a page of 1000.
                seconds = max(6, bench.plan.seconds) if name == "limit=1000" else None
                row = wrk.run(bench, target, path, connections, seconds=seconds)
                bench.add(f"list of {count:,}: {name}, c={connections}", target, row)


def deep_offset(count):
    """Where page 500 of 20 begins; the middle of a data set that has fewer."""
    return min(499 * PAGE, count // 2 // PAGE * PAGE)


def deep_marker(target, offset):
    """The image before that page, in the default order."""
    marker, seen = None, 0
    while seen < offset:
        query = f"/v2/images?limit={min(1000, offset - seen)}" + (f"&marker={marker}" if marker else "")
        page = target.must("GET", query)["images"]
        marker, seen = page[-1]["id"], seen + len(page)
    return marker


def write(bench):
    """POST, then PATCH and DELETE of what was made."""
    for connections in bench.plan.connections:
        for target in bench.turns():
            _write_once(bench, target, connections)


def _write_once(bench, target, connections):
    prefix = f"{random.getrandbits(32):08x}"
    row = wrk.run(bench, target, "/", connections, mode="create", prefix=prefix)
    bench.add(f"POST image, c={connections}", target, row)
    # The last ones may be cut off in flight: whether they exist is not known.
    made = max(0, row["requests"] - connections)
    made = _at_least(target, prefix, made, 2 * connections + 16)
    row = wrk.run(bench, target, "/", connections, mode="patch", prefix=prefix, count=made)
    bench.add(f"PATCH image, c={connections}", target, row)
    row = wrk.run(bench, target, "/", connections, mode="delete", prefix=prefix, count=made)
    bench.add(f"DELETE image, c={connections}", target, row)
    for _ in range(20):
        if row["exhausted"]:
            break
        row = wrk.run(bench, target, "/", 16, seconds=3, mode="delete", prefix=prefix, count=made)
    for index in range(made, made + 3 * connections):
        target.call("DELETE", f"/v2/images/{_id(prefix, index)}")


def _id(prefix, index):
    return f"{prefix}-0000-4000-8000-{index:012x}"


def _at_least(target, prefix, made, need):
    """Images prefix-0 … prefix-(need-1) exist afterwards; those cut off in flight may have come into being."""
    new = [_id(prefix, index) for index in range(made, max(made, need))]
    body = {"name": "load", "disk_format": "raw", "container_format": "bare"}

    def create(worker):
        for item in new[worker::8]:
            target.call("POST", "/v2/images", {"id": item, **body})

    parallel(8, create)
    return max(made, need)
