"""Starts what the tests of this folder talk to. Every fixture that starts a process ends it.

`FANLIGHT_TEST_ENDPOINT` names a running image service that believes tokens of the form `user:project:role,role`: then
the tests of the clients run against that one, which proves that they expect of Fanlight what others do.
`FANLIGHT_TEST_KEYSTONE` names a Keystone made by `tests/services/keystone`; without it one is started.
"""

import os
import subprocess

import gateway
import pytest
from cloud import ADMIN, Cloud

OTHER = os.environ.get("FANLIGHT_TEST_ENDPOINT")
SERVICE = gateway.ROOT / "tests" / "services" / "keystone"


def _serve(folder, identity):
    server = gateway.Gateway(folder, identity)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def keystone_url(tmp_path_factory):
    """The `auth_url` of a Keystone with the people of the tests."""
    given = os.environ.get("FANLIGHT_TEST_KEYSTONE")
    if given:
        yield given
        return
    folder = tmp_path_factory.mktemp("services")
    try:
        started = subprocess.run([SERVICE, "up", folder], check=True, stdout=subprocess.PIPE, text=True, timeout=180)
        yield started.stdout.strip()
    finally:
        subprocess.run([SERVICE, "down", folder], check=True, timeout=60)


@pytest.fixture(scope="session")
def dev_gateway(tmp_path_factory):
    """A gateway of our own under the development identity."""
    if OTHER:
        pytest.skip("this test looks inside of the gateway")
    yield from _serve(tmp_path_factory.mktemp("dev"), gateway.DEV)


@pytest.fixture(scope="session")
def keystone_gateway(tmp_path_factory, keystone_url):
    """A gateway of our own that asks Keystone, and stands in its catalogue."""
    if OTHER:
        pytest.skip("this test wants a gateway that asks Keystone")
    identity = gateway.KEYSTONE.format(auth_url=keystone_url, public_auth_url=keystone_url, cache_s=1)
    for server in _serve(tmp_path_factory.mktemp("keystone"), identity):
        admin = Cloud(server.url, tmp_path_factory.mktemp("home"), keystone_url).sdk(ADMIN).identity
        service = admin.find_service("fanlight", ignore_missing=False)
        for old in admin.endpoints(service_id=service.id):
            admin.delete_endpoint(old)
        admin.create_endpoint(service_id=service.id, interface="public", url=server.url, region_id="RegionOne")
        yield server


@pytest.fixture(scope="session")
def dev_cloud(request, tmp_path_factory):
    url = OTHER or request.getfixturevalue("dev_gateway").url
    return Cloud(url, tmp_path_factory.mktemp("dev-home"))


@pytest.fixture(scope="session")
def keystone_cloud(keystone_gateway, keystone_url, tmp_path_factory):
    return Cloud(keystone_gateway.url, tmp_path_factory.mktemp("keystone-home"), keystone_url)


@pytest.fixture(scope="session", params=["dev", "keystone"])
def cloud(request):
    """Both clouds, one after the other."""
    return request.getfixturevalue(f"{request.param}_cloud")
