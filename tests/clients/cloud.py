"""A cloud with an image service, and the real clients of the people in it.

The people are the same under both identities; in the development identity a token names user, project and roles itself,
in Keystone everybody has the password `secret`.
"""

import dataclasses
import json
import os
import pathlib
import pty
import subprocess
import sys
import uuid

import glanceclient
import openstack
import requests
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token as AdminToken

BIN = pathlib.Path(sys.executable).parent


@dataclasses.dataclass(frozen=True)
class Person:
    name: str
    project: str
    roles: str

    @property
    def dev_token(self) -> str:
        return f"{self.name}:{self.project}:{self.roles}"


# Keystone gives the implied roles too, so the tokens of the development identity name them.
ADMIN = Person("root", "ops", "admin,member,reader")
ALICE = Person("alice", "blue", "member,reader")
AMY = Person("amy", "blue", "reader")
BOB = Person("bob", "green", "member,reader")
NOVA = Person("nova", "service", "service")


class Failed(AssertionError):
    """A command ended with a code other than 0."""


class Cloud:
    """`auth_url` is `None` under the development identity."""

    def __init__(self, url: str, home: pathlib.Path, auth_url: str | None = None):
        self.url = url
        self.home = home
        self.auth_url = auth_url

    def env(self, person: Person) -> dict[str, str]:
        """The environment of a command that `person` runs; `HOME` is theirs, because clients cache schemas there."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("OS_")}
        home = self.home / person.name
        home.mkdir(parents=True, exist_ok=True)
        env |= {"HOME": str(home), "PYTHONWARNINGS": "ignore", "COLUMNS": "200"}
        if self.auth_url is None:
            return env | {"OS_AUTH_TYPE": "admin_token", "OS_ENDPOINT": self.url + "/v2", "OS_TOKEN": person.dev_token}
        return env | {
            "OS_AUTH_URL": self.auth_url,
            "OS_USERNAME": person.name,
            "OS_PASSWORD": "secret",
            "OS_PROJECT_NAME": person.project,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
        }

    def run(self, person: Person, *args: object, stdin: bytes | None = None) -> bytes:
        """`openstack ARGS`; its output, or `Failed` with what it complained of."""
        return self._command(person, BIN / "openstack", args, stdin)

    def json(self, person: Person, *args: object, stdin: bytes | None = None):
        return json.loads(self.run(person, *args, "-f", "json", stdin=stdin))

    def glance_command(self, person: Person, *args: object) -> bytes:
        """`glance ARGS`."""
        return self._command(person, BIN / "glance", args, None)

    def _command(self, person: Person, program: pathlib.Path, args, stdin: bytes | None) -> bytes:
        # The commands take whatever is not a terminal for image data, even /dev/null.
        terminal = pty.openpty()
        done = subprocess.run(
            [program, *map(str, args)],
            env=self.env(person),
            capture_output=True,
            timeout=120,
            **({"stdin": terminal[1]} if stdin is None else {"input": stdin}),
        )
        for end in terminal:
            os.close(end)
        if done.returncode != 0:
            raise Failed(f"{program.name} {args} ended with {done.returncode}: {done.stderr.decode()}{done.stdout.decode()}")
        return done.stdout

    def sdk(self, person: Person) -> openstack.connection.Connection:
        if self.auth_url is None:
            return openstack.connect(
                load_envvars=False,
                load_yaml_config=False,
                auth_type="admin_token",
                auth={"endpoint": self.url + "/v2", "token": person.dev_token},
            )
        return openstack.connect(
            load_envvars=False,
            load_yaml_config=False,
            auth_url=self.auth_url,
            username=person.name,
            password="secret",
            project_name=person.project,
            user_domain_name="Default",
            project_domain_name="Default",
        )

    def token(self, person: Person) -> str:
        return person.dev_token if self.auth_url is None else self.sdk(person).auth_token

    def glance(self, person: Person) -> glanceclient.Client:
        # By a session, as services use it: with a bare `token=` it would percent-encode the colons of a development token.
        auth = AdminToken(self.url, self.token(person))
        return glanceclient.Client("2", session=Session(auth))

    def project_id(self, person: Person) -> str:
        return person.project if self.auth_url is None else self.sdk(person).current_project_id

    def http(self, person: Person, method: str, path: str, **more) -> requests.Response:
        """One bare request, for what the clients hide."""
        headers = {"X-Auth-Token": self.token(person), "Accept": "application/json"} | more.pop("headers", {})
        return requests.request(method, self.url + path, headers=headers, timeout=60, **more)


def unique(word: str) -> str:
    """A name that no other test uses."""
    return f"{word}-{uuid.uuid4().hex[:8]}"
