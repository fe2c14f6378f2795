"""Large bodies over raw sockets: sent by sendfile, thrown away in the kernel, so that the client costs next to nothing."""

import ctypes
import errno
import os
import select
import socket
import threading
import time

PIECE = 1 << 20
HTTP_CHUNK = 64 << 10
"""What python-glanceclient sends; Glance's uWSGI answers 500 to chunks of 1 MiB."""

PATIENCE = 600
_libc = ctypes.CDLL(None, use_errno=True)


class Refused(Exception):
    """The server answered, but not with success."""


def request_head(target, method, path, extra=()):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {target.host}:{target.port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in target.headers.items()]
    return ("\r\n".join([*lines, *extra]) + "\r\n\r\n").encode()


def read_head(sock):
    """Status, headers in lower case, and the first bytes of the body."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(65536)
        if not piece:
            raise OSError("the connection ended before the head of the answer")
        data += piece
    head, rest = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split()[1]), headers, rest


def _send_range(sock, file, start, end):
    while start < end:
        select.select([], [sock], [], PATIENCE)
        start += os.sendfile(sock.fileno(), file.fileno(), start, end - start)


def upload(target, path, source, size, chunked=False):
    """PUT of a file's first `size` bytes. Returns seconds from connect to answer."""
    start = time.monotonic()
    with open(source, "rb") as file, socket.create_connection((target.host, target.port), timeout=PATIENCE) as sock:
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
        sock.sendall(request_head(target, "PUT", path, ["Content-Type: application/octet-stream", length]))
        step = HTTP_CHUNK if chunked else PIECE
        for offset in range(0, size, step):
            end = min(offset + step, size)
            if chunked:
                frame = b"%s%x\r\n" % (b"\r\n" if offset else b"", end - offset)
                sock.sendall(frame, socket.MSG_MORE)
            _send_range(sock, file, offset, end)
        if chunked:
            sock.sendall(b"\r\n0\r\n\r\n")
        status, _, _ = read_head(sock)
    if status not in (200, 201, 204):
        raise Refused(f"{target.name}: PUT {path} -> {status}")
    return time.monotonic() - start


def _discard(sock, most):
    """Drops received bytes without copying them out of the kernel; ctypes releases the interpreter's lock."""
    while True:
        got = _libc.recv(sock.fileno(), None, ctypes.c_size_t(most), socket.MSG_TRUNC)
        if got >= 0:
            return got
        if ctypes.get_errno() != errno.EINTR:
            raise OSError(ctypes.get_errno(), "recv")


def download(target, path, extra=(), digest=None):
    """GET, thrown away or hashed. Returns seconds, bytes, and seconds to the head of the answer."""
    start = time.monotonic()
    with socket.create_connection((target.host, target.port), timeout=PATIENCE) as sock:
        sock.sendall(request_head(target, "GET", path, extra))
        status, headers, rest = read_head(sock)
        to_head = time.monotonic() - start
        if status not in (200, 206):
            raise Refused(f"{target.name}: GET {path} -> {status}")
        size, got = int(headers.get("content-length", -1)), len(rest)
        if digest is not None:
            digest.update(rest)
        sock.settimeout(None)  # what ctypes calls must block
        while size < 0 or got < size:
            if digest is None:
                piece = _discard(sock, 4 * PIECE)
            else:
                data = sock.recv(PIECE)
                digest.update(data)
                piece = len(data)
            if not piece:
                break
            got += piece
    if size >= 0 and got != size:
        raise Refused(f"{target.name}: GET {path}: {got} bytes of {size}")
    return time.monotonic() - start, got, to_head


def parallel(count, work):
    """Calls work(0) … work(count-1), each in a thread. Returns seconds; the first error is raised."""
    errors = []

    def guarded(index):
        try:
            work(index)
        except BaseException as error:  # told to the caller below
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(index,)) for index in range(count)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return time.monotonic() - start


def source_file(folder, size):
    """A file of random bytes, written once: nothing may gain by compressing."""
    path = folder / f"source-{size}"
    if not path.exists():
        with open(path, "wb") as file:
            for offset in range(0, size, 4 * PIECE):
                file.write(os.urandom(min(4 * PIECE, size - offset)))
    return path
