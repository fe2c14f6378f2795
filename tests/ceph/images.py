"""Images by bare requests, for what the clients hide: sizes that are not known, stores by name, locations."""

import time

import gateway
import requests
from cloud import NOVA, Cloud, Person

# Zeros in the middle, longer than any chunk, and an end that is on no border.
DATA = b"".join([bytes(range(256)) * 20_000, bytes(13 << 20), b"end of the image " * 1001])


def eventually(holds, patience: float = 30) -> bool:
    deadline = time.monotonic() + patience
    while not (found := holds()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def changed(server: gateway.Gateway, change) -> None:
    """Changes the rules' folders; returns when what they hold now is in force."""
    change()
    answer = requests.post(f"{server.admin_url}/rules/reload?accept_removals=true", timeout=60)
    assert answer.status_code == 200, answer.text


def create(cloud: Cloud, person: Person, **more) -> str:
    body = {"name": "of a test", "disk_format": "raw", "container_format": "bare"} | more
    answer = cloud.http(person, "POST", "/v2/images", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def pieces(data: bytes, size: int = 1 << 20):
    for start in range(0, len(data), size):
        yield data[start : start + size]


def put(cloud: Cloud, person: Person, image: str, data, store: str | None = None) -> requests.Response:
    """Uploads; an iterator goes without its length."""
    headers = {"Content-Type": "application/octet-stream"}
    if store:
        headers["X-Image-Meta-Store"] = store
    return cloud.http(person, "PUT", f"/v2/images/{image}/file", data=data, headers=headers)


def upload(cloud: Cloud, person: Person, data: bytes, store: str, *, sized: bool = True, **more) -> str:
    """An active image in that store; its id."""
    image = create(cloud, person, **more)
    answer = put(cloud, person, image, data if sized else pieces(data), store)
    assert answer.status_code == 204, answer.text
    shown = show(cloud, person, image)
    assert (shown["status"], shown["size"], shown["stores"]) == ("active", len(data), store)
    return image


def show(cloud: Cloud, person: Person, image: str) -> dict:
    answer = cloud.http(person, "GET", f"/v2/images/{image}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def urls(cloud: Cloud, person: Person, image: str) -> list[str]:
    """Where the data lie, as a service of the cloud sees it that acts for `person`."""
    answer = cloud.http(person, "GET", f"/v2/images/{image}", headers={"X-Service-Token": NOVA.dev_token})
    assert answer.status_code == 200, answer.text
    return [location["url"] for location in answer.json()["locations"]]


def download(cloud: Cloud, person: Person, image: str) -> bytes:
    answer = cloud.http(person, "GET", f"/v2/images/{image}/file")
    assert answer.status_code == 200, answer.text
    return answer.content


def delete(cloud: Cloud, person: Person, image: str) -> None:
    answer = cloud.http(person, "DELETE", f"/v2/images/{image}")
    assert answer.status_code == 204, answer.text


def claim(cloud: Cloud, person: Person, image: str, url: str, service: Person | None = NOVA, **validation: str):
    """The locations API: the data of the image lie there already. `service` says so for `person`."""
    body: dict = {"url": url} | ({"validation_data": validation} if validation else {})
    headers = {"X-Service-Token": service.dev_token} if service else {}
    return cloud.http(person, "POST", f"/v2/images/{image}/locations", json=body, headers=headers)


def active(cloud: Cloud, person: Person, image: str, patience: float = 60) -> dict:
    """The image, once its data were looked at."""
    eventually(lambda: show(cloud, person, image)["status"] == "active", patience)
    shown = show(cloud, person, image)
    assert shown["status"] == "active", shown
    # The hash may come later: it is computed from the store.
    eventually(lambda: show(cloud, person, image).get("os_hash_value"), patience)
    return show(cloud, person, image)
