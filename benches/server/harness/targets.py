"""A server under test: where it listens, how it starts and stops, which processes it consists of."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

from . import dataset
from .facts import version
from .process import Tree, pid_in

SERVER = pathlib.Path(__file__).resolve().parent.parent
TOKEN = {"X-Auth-Token": "admin:bench:admin"}


class Failed(Exception):
    """The run cannot go on; the text says why."""


class Target:
    """What every server has in common. `server` and `database` are the process trees."""

    def __init__(self, name, listen, server, database=lambda: None):
        self.name, self.listen = name, listen
        host, _, port = listen.rpartition(":")
        self.host, self.port = host, int(port)
        self.url = f"http://{listen}"
        self.headers = dict(TOKEN)
        self.server, self.database = Tree(server), Tree(database)

    def call(self, method, path, body=None, timeout=60):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            headers = dict(self.headers)
            if body is not None:
                body, headers["Content-Type"] = json.dumps(body), "application/json"
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def must(self, method, path, body=None):
        """The JSON of a successful answer."""
        status, data = self.call(method, path, body)
        if status not in (200, 201, 202, 204):
            raise Failed(f"{self.name}: {method} {path} -> {status} {data[:300]!r}")
        return json.loads(data) if data else None

    def new_image(self):
        return self.must("POST", "/v2/images", {"name": "load", "disk_format": "raw", "container_format": "bare"})["id"]

    def delete_image(self, image):
        self.must("DELETE", f"/v2/images/{image}")

    def wait_answer(self, patience=60.0, pause=0.002):
        """Returns the seconds until the first 200 of a list."""
        start = time.monotonic()
        while time.monotonic() - start < patience:
            try:
                if self.call("GET", "/v2/images?limit=1", timeout=20)[0] == 200:
                    return time.monotonic() - start
            except OSError:
                self.check_alive()
            time.sleep(pause)
        raise Failed(f"{self.name} does not answer on {self.listen}")

    def check_alive(self):
        """Raises when the server has ended by itself."""

    def check_free(self):
        with socket.socket() as probe:
            if probe.connect_ex((self.host, self.port)) == 0:
                raise Failed(f"{self.listen} is taken by somebody else; see the options for addresses")


class Glance(Target):
    """OpenStack Glance below uWSGI, with MariaDB; the scripts beside this package set it up."""

    def __init__(self, args, folder):
        self.state = folder / "state"
        server, database = (pid_in(self.state / "run" / name) for name in ("glance.pid", "db.pid"))
        super().__init__("glance", args.glance_listen, server, database)
        self.environment = dict(
            os.environ,
            PEER_DIR=str(folder),
            GLANCE_LISTEN=args.glance_listen,
            GLANCE_PROCESSES=str(args.glance_processes),
            GLANCE_DB_PORT=str(args.db_port),
        )
        self.python = folder / "venv/bin/python"

    def script(self, *words):
        command = [SERVER / "glance" / words[0], *words[1:]]
        done = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"benches/server/glance/{' '.join(words)} failed")

    def setup(self):
        self.script("setup")

    def start_database(self):
        self.script("up", "db")

    def start(self):
        self.script("up")

    def stop(self):
        """The API alone, not the database."""
        self.script("down", "api")

    def start_timed(self):
        """After `stop`. Returns seconds to the first 200; the database is up already."""
        start = time.monotonic()
        up = subprocess.Popen(
            [SERVER / "glance/up"], env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        self.wait_answer()
        seconds = time.monotonic() - start
        if up.wait(60) != 0:
            raise Failed("benches/server/glance/up failed")
        return seconds

    def fill(self, count):
        self.script("fill", str(count))

    def facts(self):
        code = "from importlib.metadata import version as v; print(v('glance'), 'glance_store', v('glance_store'))"
        processes = re.search(r"processes = (\d+)", (self.state / "etc/uwsgi.ini").read_text())[1]
        return {
            "Glance": version([self.python, "-c", code], ".+"),
            "Glance's Python": version([self.python, "--version"], r"[\d.]+"),
            "uWSGI": f"{version(['uwsgi', '--version'], '.+')}, {processes} processes",
            "MariaDB (of Glance)": version(["mariadbd", "--version"], r"\d[\w.]*-MariaDB"),
        }

    def close(self):
        self.script("down")


class Fanlight(Target):
    """A release build of this repository as the development gateway, with data in a folder of its own."""

    def __init__(self, name, args, folder, listen, admin_listen, database_url=None, database=lambda: None):
        super().__init__(name, listen, self._pid, database)
        self.binary, self.folder, self.process, self.filled = args.binary, folder, None, 0
        self.shares_database = bool(database_url)
        self.kind = "on Glance's MariaDB" if database_url else "development gateway, SQLite, two file stores"
        folder.mkdir(parents=True)
        self.config = folder / "bench.toml"
        # The data set is larger than what a project may have by default; nothing else differs from the defaults.
        self.config.write_text("[quota]\nimage_count_total = -1\n")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("FANLIGHT_")}
        self.environment.update(FANLIGHT_LISTEN=listen, FANLIGHT_ADMIN_LISTEN=admin_listen)
        self.environment["FANLIGHT_DATA_DIR"] = str(folder / "data")
        if database_url:
            self.environment["FANLIGHT_DATABASE_URL"] = database_url
            self.command("db", "migrate")

    def _pid(self):
        return self.process.pid if self.process and self.process.poll() is None else None

    def command(self, *words):
        command = [self.binary, *words, "--config", self.config]
        done = subprocess.run(command, env=self.environment, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Failed(f"`fanlight {' '.join(words)}` failed")

    def _spawn(self, data=None):
        self.check_free()
        environment = dict(self.environment, FANLIGHT_DATA_DIR=str(data)) if data else self.environment
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config],
                env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def check_alive(self):
        if self.process.poll() is not None:
            tail = (self.folder / "log").read_text(errors="replace")[-2000:]
            raise Failed(f"{self.name} ended with {self.process.returncode}:\n{tail}")

    def start(self):
        if self._pid() is None:
            self._spawn()
            self.wait_answer()

    def start_timed(self, data=None):
        """After `stop`, on its own data or on another folder. Returns seconds to the first 200."""
        start = time.monotonic()
        self._spawn(data)
        self.wait_answer()
        return time.monotonic() - start

    def facts(self):
        return {"Fanlight": version([self.binary, "version"], r"\d+\.\d+\S*"), self.name: self.kind}

    def fill(self, count):
        dataset.fill_by_api(self, self.filled, count)
        self.filled = count

    def stop(self):
        if self._pid() is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self):
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
