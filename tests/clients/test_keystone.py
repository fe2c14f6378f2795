"""What only a gateway with a real Keystone behind it can show."""

import time
import uuid

import gateway
import pytest
import requests
from cloud import ADMIN, ALICE, AMY, BOB, NOVA, Cloud, unique
from relay import Relay

# Longer than `cache_s` of the gateways here.
CACHE_OVER = 1.5


@pytest.fixture(scope="module")
def relay(keystone_url):
    line = Relay(keystone_url)
    yield line
    line.close()


@pytest.fixture(scope="module")
def relayed(relay, keystone_url, keystone_gateway, tmp_path_factory):
    """A cloud whose gateway reaches Keystone by the relay; its people reach it directly."""
    identity = gateway.KEYSTONE.format(auth_url=relay.url, public_auth_url=keystone_url, cache_s=1)
    server = gateway.Gateway(tmp_path_factory.mktemp("relayed"), identity)
    server.start()
    yield Cloud(server.url, tmp_path_factory.mktemp("relayed-home"), keystone_url)
    server.stop()


def images(cloud: Cloud, **headers: str) -> requests.Response:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.get(cloud.url + "/v2/images", headers={"Accept": "application/json"} | headers, timeout=30)


@pytest.mark.parametrize("token", [None, "", "nonsense", uuid.uuid4().hex, "root:ops:admin", "x" * 7000])
def test_without_a_good_token(keystone_cloud, keystone_url, token):
    answer = images(keystone_cloud) if token is None else images(keystone_cloud, X_Auth_Token=token)
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith("Keystone uri=")
    assert keystone_url.removesuffix("/v3") in challenge


def test_headers_of_a_proxy_are_not_believed(keystone_cloud):
    forged = {"X-Identity-Status": "Confirmed", "X-User-Id": "root", "X-Project-Id": "ops", "X-Roles": "admin"}
    assert requests.get(keystone_cloud.url + "/v2/images", headers=forged, timeout=30).status_code == 401


def test_discovery_needs_no_token(keystone_cloud):
    assert requests.get(keystone_cloud.url + "/", timeout=30).status_code == 300
    assert requests.get(keystone_cloud.url + "/versions", timeout=30).status_code == 200
    assert requests.get(keystone_cloud.url + "/healthcheck", timeout=30).status_code == 200


def test_the_catalogue_leads_to_us(keystone_cloud):
    assert keystone_cloud.sdk(ALICE).image.get_endpoint().startswith(keystone_cloud.url)


def test_user_project_and_roles_come_from_the_token(keystone_cloud):
    made = keystone_cloud.http(ALICE, "POST", "/v2/images", json={"name": unique("mine"), "visibility": "private"})
    assert made.status_code == 201, made.text
    image = made.json()
    assert image["owner"] == keystone_cloud.project_id(ALICE)
    path = f"/v2/images/{image['id']}"
    assert keystone_cloud.http(AMY, "GET", path).status_code == 200
    assert keystone_cloud.http(AMY, "DELETE", path).status_code == 403
    assert keystone_cloud.http(BOB, "GET", path).status_code == 404
    assert keystone_cloud.http(ADMIN, "GET", path).status_code == 200
    assert keystone_cloud.http(ALICE, "DELETE", path).status_code == 204


def test_a_revoked_token_is_refused_once_the_cache_is_over(keystone_cloud):
    sdk = keystone_cloud.sdk(ALICE)
    token = sdk.auth_token
    assert images(keystone_cloud, X_Auth_Token=token).status_code == 200
    revoked = sdk.identity.delete("/auth/tokens", headers={"X-Subject-Token": token})
    assert revoked.status_code == 204
    time.sleep(CACHE_OVER)
    assert images(keystone_cloud, X_Auth_Token=token).status_code == 401


def test_a_token_without_a_project_grants_nothing(keystone_cloud, keystone_url):
    body = {"auth": {"scope": "unscoped", "identity": {"methods": ["password"], "password": {
        "user": {"name": "alice", "domain": {"name": "Default"}, "password": "secret"}}}}}  # fmt: skip
    token = requests.post(f"{keystone_url}/auth/tokens", json=body, timeout=30).headers["X-Subject-Token"]
    answer = requests.post(
        keystone_cloud.url + "/v2/images", json={"name": "nobody's"}, headers={"X-Auth-Token": token}, timeout=30
    )
    assert answer.status_code in (401, 403), answer.text


def test_roles_of_a_service_token_are_not_the_users(keystone_cloud):
    """A service speaks for a user: the user's rights decide, and a service token never widens them."""
    made = keystone_cloud.http(ALICE, "POST", "/v2/images", json={"name": unique("service"), "visibility": "private"})
    path = f"/v2/images/{made.json()['id']}"
    service = {"X-Service-Token": keystone_cloud.token(NOVA)}
    assert keystone_cloud.http(ALICE, "GET", path, headers=service).status_code == 200
    assert keystone_cloud.http(BOB, "GET", path, headers=service).status_code == 404
    assert keystone_cloud.http(AMY, "DELETE", path, headers=service).status_code == 403
    powerful = {"X-Service-Token": keystone_cloud.token(ADMIN)}
    assert keystone_cloud.http(AMY, "DELETE", path, headers=powerful).status_code == 403
    assert keystone_cloud.http(ALICE, "DELETE", path).status_code == 204


@pytest.mark.parametrize("outage", ["cut", "silent"])
def test_a_keystone_that_does_not_answer_is_a_fault_and_no_denial(relayed, relay, outage):
    token = relayed.token(ALICE)
    assert images(relayed, X_Auth_Token=token).status_code == 200
    fresh = relayed.token(BOB)
    relay.switch(outage)
    try:
        answer = images(relayed, X_Auth_Token=fresh)
        assert answer.status_code == 503, answer.text
        assert "Retry-After" in answer.headers
        assert "secret" not in answer.text
        # Who has no token at all needs no Keystone to be told so.
        assert images(relayed).status_code == 401
    finally:
        relay.switch("up")
    assert images(relayed, X_Auth_Token=fresh).status_code == 200


def test_a_token_in_the_cache_survives_a_short_outage(relayed, relay):
    token = relayed.token(ALICE)
    assert images(relayed, X_Auth_Token=token).status_code == 200
    relay.switch("cut")
    try:
        assert images(relayed, X_Auth_Token=token).status_code == 200
    finally:
        relay.switch("up")


def test_nothing_secret_in_the_log(keystone_gateway, keystone_cloud):
    token = keystone_cloud.token(ALICE)
    assert images(keystone_cloud, X_Auth_Token=token).status_code == 200
    log = (keystone_gateway.folder / "log").read_text()
    assert token not in log
    assert '"secret"' not in log and "password=secret" not in log
