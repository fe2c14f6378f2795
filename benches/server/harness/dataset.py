"""The images that both servers hold: the same ids, names, properties and tags. `../glance/fill` writes the same by SQL."""

import http.client
import json
import sys
import threading
import time

CONNECTIONS = 16


def image(index):
    visibility = {0: "public", 1: "private", 2: "community"}.get(index % 10, "shared")
    return {
        "id": f"be9c0000-0000-4000-8000-{index:012x}",
        "name": f"bench-{index:06d}",
        "disk_format": "raw",
        "container_format": "bare",
        "visibility": visibility,
        "os_distro": f"distro{index % 8}",
        "hw_arch": ("x86_64", "aarch64")[index % 2],
        "build": f"b{index % 100}",
        "tags": ["bench", f"t{index % 50}"],
    }


class _Connection:
    def __init__(self, target):
        self.target = target
        self.http = http.client.HTTPConnection(target.host, target.port, timeout=60)

    def send(self, method, path, body, kind):
        self.http.request(method, path, body, dict(self.target.headers, **{"Content-Type": kind}))
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status not in (201, 204):
            raise RuntimeError(f"{self.target.name}: {method} {path} -> {answer.status} {text[:300]!r}")
        if answer.will_close:
            self.http.close()


def fill_by_api(target, first, end):
    """Creates images first … end-1 and gives each 16 bytes of data, over several connections."""
    indices, lock, errors, start = iter(range(first, end)), threading.Lock(), [], time.monotonic()

    def work():
        connection = _Connection(target)
        try:
            while not errors:
                with lock:
                    index = next(indices, None)
                if index is None:
                    break
                _create(connection, index)
                if sys.stderr.isatty() and index % 100 == 0:
                    rate = (index - first + 1) / (time.monotonic() - start)
                    print(f"\r  {target.name}: image {index} of {end}, {rate:.0f}/s ", end="", file=sys.stderr, flush=True)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    if errors:
        raise errors[0]


def _create(connection, index):
    item = image(index)
    connection.send("POST", "/v2/images", json.dumps(item), "application/json")
    connection.send("PUT", f"/v2/images/{item['id']}/file", b"%-16d" % index, "application/octet-stream")
