"""A real `fanlight serve` in a folder of its own."""

import os
import pathlib
import signal
import socket
import subprocess
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]

CONFIG = """\
listen = "127.0.0.1:{port}"
admin_listen = "127.0.0.1:{admin_port}"

{identity}
{stores}
[log]
format = "json"
"""

FILES = """\
[store.alpha]
type = "file"
description = "fast disks"
path = "{folder}/alpha"
labels = {{ class = "ssd", region = "one" }}
weight = 10
default = true

[store.beta]
type = "file"
description = "big disks"
path = "{folder}/beta"
labels = {{ class = "hdd", region = "two" }}
"""

DEV = """\
[identity]
mode = "dev"
"""

KEYSTONE = """\
[identity]
mode = "keystone"
auth_url = "{auth_url}"
public_auth_url = "{public_auth_url}"
username = "fanlight"
project_name = "service"
password = "secret"
cache_s = {cache_s}
timeout_s = 2
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def binary() -> pathlib.Path:
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    path = pathlib.Path(os.environ.get("FANLIGHT_BIN", target / "debug" / "fanlight"))
    if not path.is_file():
        raise RuntimeError(f"no gateway at {path}: run `cargo build`, or name one in FANLIGHT_BIN")
    return path


class Gateway:
    """Starts in `start`, ends in `stop`; `folder` holds its data, configuration and log.

    `stores` is the rest of the configuration: the tables of the stores, and whatever else the test wants.
    """

    def __init__(self, folder: pathlib.Path, identity: str, stores: str = FILES):
        self.folder = folder
        self.port = free_port()
        self.admin_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin_url = f"http://127.0.0.1:{self.admin_port}"
        self.config = folder / "fanlight.toml"
        self.config.write_text(
            CONFIG.format(
                port=self.port, admin_port=self.admin_port, identity=identity, stores=stores.format(folder=folder)
            )
        )
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        # Nothing of the caller's surroundings may configure the gateway under test.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("FANLIGHT_", "OS_"))}
        environment["FANLIGHT_DATA_DIR"] = str(self.folder / "data")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [binary(), "serve", "--config", self.config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
            )
        self._wait()

    def _wait(self) -> None:
        # Compiling the plug-ins in a debug build takes its time.
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except OSError:
                time.sleep(0.1)
        self.stop()
        raise RuntimeError(f"the gateway did not answer in time:\n{self.log_tail()}")

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the gateway did not stop on SIGTERM:\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-30:])

    def files(self, store: str) -> list[pathlib.Path]:
        """What lies in a store, complete or partial."""
        return [path for path in (self.folder / store).rglob("*") if path.is_file()]
