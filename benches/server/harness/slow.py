"""64 clients download slowly: do others still get answers?"""

import multiprocessing
import socket
import time

from . import wrk
from .client import request_head, source_file, upload

CLIENTS = 64
RATE = 128 << 10
"""Bytes a second that each client takes."""

SIZE = 64 << 20


def slow(bench):
    source = source_file(bench.scratch, SIZE)
    for target in bench.turns():
        image = target.new_image()
        upload(target, f"/v2/images/{image}/file", source, SIZE)
        try:
            _once(bench, target, f"/v2/images/{image}/file")
        finally:
            target.delete_image(image)


def _once(bench, target, path):
    seconds = bench.plan.slow_seconds
    listing = "/v2/images?limit=20"
    bench.add("list, quiet, c=1", target, wrk.run(bench, target, listing, 1, seconds=seconds))
    before = target.server.refresh().rss()
    # Processes of their own: in threads, the readers and what measures them would share one interpreter.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    readers = context.Process(target=read_slowly, args=(target.host, target.port, request_head(target, "GET", path), theirs))
    readers.start()
    try:
        ours.recv()
        row = wrk.run(bench, target, listing, 1, seconds=seconds, settled=False)
        ours.send("stop")
        row.update(ours.recv())
    finally:
        readers.join(20)
        if readers.is_alive():
            readers.kill()
    row["rss_before"] = before
    row["back_after_s"] = _answers_again(target)
    bench.add(f"list while {CLIENTS} clients download slowly, c=1", target, row)


def _answers_again(target):
    start = time.monotonic()
    while time.monotonic() - start < 60:
        try:
            if target.call("GET", "/v2/images?limit=1", timeout=5)[0] == 200:
                return time.monotonic() - start
        except OSError:
            continue
    return None


def read_slowly(host, port, head, pipe):
    """Runs in a process of its own: says `ready` after two seconds of reading, reads until it is told to stop."""
    socks = [_connect(host, port, head) for _ in range(CLIENTS)]
    got, ended = [0] * CLIENTS, set()
    start, told = time.monotonic(), False
    while not pipe.poll():
        elapsed = time.monotonic() - start
        if not told and elapsed > 2:
            pipe.send("ready")
            told = True
        for k, sock in enumerate(socks):
            due = int(elapsed * RATE) - got[k]
            if due > 0 and k not in ended:
                _take(sock, k, min(65536, due), got, ended)
        time.sleep(0.05)
    for sock in socks:
        sock.close()
    pipe.send({"downloads_served": sum(1 for n in got if n), "downloads_cut": len(ended)})


def _connect(host, port, head):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sock.settimeout(10)
    sock.connect((host, port))
    sock.sendall(head)
    sock.setblocking(False)
    return sock


def _take(sock, k, most, got, ended):
    try:
        data = sock.recv(most)
    except BlockingIOError:
        return
    except OSError:
        data = b""
    if data:
        got[k] += len(data)
    else:
        ended.add(k)
