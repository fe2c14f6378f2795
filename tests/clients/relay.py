"""A line to a server that a test can cut, so that an outage hits one gateway and not everybody."""

import contextlib
import socket
import threading
import urllib.parse


class Relay:
    """Listens on a free port of loopback and passes bytes on to `url` while it is `up`."""

    def __init__(self, url: str):
        self.target = urllib.parse.urlsplit(url)
        self.mode = "up"
        self.listener = socket.create_server(("127.0.0.1", 0))
        port = self.listener.getsockname()[1]
        self.url = self.target._replace(netloc=f"127.0.0.1:{port}").geturl()
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.open.append(near)
            if self.mode == "up":
                far = socket.create_connection((self.target.hostname, self.target.port))
                self.open.append(far)
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=pair, daemon=True).start()
            elif self.mode == "cut":
                near.close()
            # "silent": accepted, and never answered.

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(65536):
                sink.sendall(chunk)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

    def switch(self, mode: str) -> None:
        """To `up`, `cut` or `silent`; connections that are open end."""
        self.mode = mode
        for connection in self.open:
            # `shutdown` wakes the thread that reads, which `close` would not.
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self.open.clear()

    def close(self) -> None:
        self.listener.close()
        self.switch("cut")
