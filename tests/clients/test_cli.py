"""`openstack image …` as people type it."""

import hashlib

import pytest
from cloud import ADMIN, ALICE, BOB, Cloud, Failed, unique

DATA = b"an image need not be large " * 5000


@pytest.fixture
def image(cloud):
    """An active raw image of Alice's, gone after the test."""
    yield from active(cloud)


@pytest.fixture
def keystone_image(keystone_cloud):
    yield from active(keystone_cloud)


def active(cloud: Cloud):
    name = unique("cli")
    path = cloud.home / name
    path.write_bytes(DATA)
    made = cloud.json(ALICE, "image", "create", name, "--file", path, "--disk-format", "raw", "--container-format", "bare")
    yield made
    sdk = cloud.sdk(ADMIN).image
    found = sdk.find_image(made["id"])
    if found:
        sdk.update_image(made["id"], is_protected=False)
        sdk.delete_image(made["id"])


def listed(cloud: Cloud, person, *args) -> list[str]:
    return [row["ID"] for row in cloud.json(person, "image", "list", *args)]


def test_create_from_a_file(cloud, image):
    shown = cloud.json(ALICE, "image", "show", image["name"])
    assert shown["id"] == image["id"]
    assert shown["status"] == "active"
    assert shown["visibility"] == "shared"
    assert shown["size"] == len(DATA)
    assert shown["checksum"] == hashlib.md5(DATA).hexdigest()
    assert shown["properties"]["os_hash_algo"] == "sha512"
    assert shown["properties"]["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert shown["owner"] == cloud.project_id(ALICE)


def test_create_from_stdin_streams_the_body(cloud):
    name = unique("stdin")
    made = cloud.json(ALICE, "image", "create", name, "--disk-format", "raw", stdin=DATA)
    assert cloud.json(ALICE, "image", "show", made["id"])["checksum"] == hashlib.md5(DATA).hexdigest()
    cloud.run(ALICE, "image", "delete", made["id"])
    with pytest.raises(Failed, match="No Image found"):
        cloud.run(ALICE, "image", "show", made["id"])


def test_create_with_everything(cloud):
    name = unique("full")
    made = cloud.json(
        ALICE, "image", "create", name, "--disk-format", "qcow2", "--container-format", "bare", "--min-disk", 3,
        "--min-ram", 512, "--private", "--tag", "red", "--tag", "green", "--property", "os_distro=debian",
        "--property", "my note=a b", "--protected",
    )  # fmt: skip
    shown = cloud.json(ALICE, "image", "show", made["id"])
    assert (shown["status"], shown["visibility"], shown["protected"]) == ("queued", "private", True)
    assert (shown["min_disk"], shown["min_ram"], shown["disk_format"]) == (3, 512, "qcow2")
    assert sorted(shown["tags"]) == ["green", "red"]
    assert shown["properties"]["os_distro"] == "debian"
    assert shown["properties"]["my note"] == "a b"
    with pytest.raises(Failed, match="protected"):
        cloud.run(ALICE, "image", "delete", made["id"])
    cloud.run(ALICE, "image", "set", "--unprotected", made["id"])
    cloud.run(ALICE, "image", "delete", made["id"])


def test_save_gives_the_bytes_back(cloud, image, tmp_path):
    cloud.run(ALICE, "image", "save", "--file", tmp_path / "out", image["id"])
    assert (tmp_path / "out").read_bytes() == DATA
    assert cloud.run(ALICE, "image", "save", image["id"]) == DATA


def test_list_filters_sorts_and_pages(cloud):
    tag = unique("batch")
    ids = {}
    for number in (2, 0, 1):
        name = f"{tag}-{number}"
        ids[number] = cloud.json(ALICE, "image", "create", name, "--tag", tag, "--property", f"number={number}")["id"]
    assert listed(cloud, ALICE, "--tag", tag, "--sort", "name:asc") == [ids[0], ids[1], ids[2]]
    # The command sorts what the service sends for the limit: the newest two.
    assert listed(cloud, ALICE, "--tag", tag, "--sort", "name:desc", "--limit", 2) == [ids[1], ids[0]]
    # The service's own order is newest first: after the second comes the first that was made.
    assert listed(cloud, ALICE, "--tag", tag, "--marker", ids[0]) == [ids[2]]
    assert listed(cloud, ALICE, "--tag", tag, "--property", "number=1") == [ids[1]]
    assert listed(cloud, ALICE, "--name", f"{tag}-2") == [ids[2]]
    assert listed(cloud, ALICE, "--tag", tag, "--status", "active") == []
    assert listed(cloud, BOB, "--tag", tag) == []
    assert sorted(listed(cloud, ADMIN, "--tag", tag)) == sorted(ids.values())
    long = cloud.json(ALICE, "image", "list", "--long", "--name", f"{tag}-0")[0]
    assert (long["Status"], long["Visibility"], long["Tags"]) == ("queued", "shared", [tag])
    cloud.run(ALICE, "image", "delete", *ids.values())
    assert listed(cloud, ALICE, "--tag", tag) == []


def test_set_and_unset(cloud, image):
    name = unique("renamed")
    cloud.run(
        ALICE, "image", "set", "--name", name, "--min-ram", 64, "--tag", "blue", "--tag", "loud", "--property",
        "os_version=12", "--property", "hw_rng_model=virtio", "--hidden", image["id"],
    )  # fmt: skip
    shown = cloud.json(ALICE, "image", "show", image["id"])
    assert (shown["name"], shown["min_ram"], shown["properties"]["os_hidden"]) == (name, 64, True)
    assert sorted(shown["tags"]) == ["blue", "loud"]
    assert shown["properties"]["os_version"] == "12"
    assert image["id"] not in listed(cloud, ALICE)
    assert image["id"] in listed(cloud, ALICE, "--hidden")
    cloud.run(ALICE, "image", "unset", "--tag", "loud", "--property", "hw_rng_model", image["id"])
    cloud.run(ALICE, "image", "set", "--unhidden", image["id"])
    shown = cloud.json(ALICE, "image", "show", image["id"])
    assert shown["tags"] == ["blue"]
    assert "hw_rng_model" not in shown["properties"]
    assert shown["properties"]["os_version"] == "12"
    assert image["id"] in listed(cloud, ALICE)
    with pytest.raises(Failed):
        cloud.run(ALICE, "image", "unset", "--property", "never_there", image["id"])


def test_visibility(cloud, image):
    with pytest.raises(Failed, match="403|not authorized"):
        cloud.run(ALICE, "image", "set", "--public", image["id"])
    cloud.run(ALICE, "image", "set", "--community", image["id"])
    assert image["id"] not in listed(cloud, BOB)
    assert image["id"] in listed(cloud, BOB, "--community")
    assert cloud.run(BOB, "image", "save", image["id"]) == DATA
    cloud.run(ADMIN, "image", "set", "--public", image["id"])
    assert image["id"] in listed(cloud, BOB)
    cloud.run(ADMIN, "image", "set", "--private", image["id"])
    assert image["id"] not in listed(cloud, BOB)
    with pytest.raises(Failed, match="No Image found"):
        cloud.run(BOB, "image", "show", image["id"])


def test_share_accept_and_reject(keystone_cloud, keystone_image):
    """With Keystone only: the command asks it for the project."""
    cloud, image = keystone_cloud, keystone_image
    blue, green = cloud.project_id(ALICE), cloud.project_id(BOB)
    with pytest.raises(Failed, match="No Image found"):
        cloud.run(BOB, "image", "show", image["id"])
    # By id: a member may not look names of projects up, and the command then takes the name for the id.
    member = cloud.json(ALICE, "image", "add", "project", image["id"], green)
    assert (member["member_id"], member["status"]) == (green, "pending")
    assert image["id"] not in listed(cloud, BOB)
    assert image["id"] in listed(cloud, BOB, "--shared", "--member-status", "pending")
    cloud.run(BOB, "image", "set", "--accept", image["id"])
    assert image["id"] in listed(cloud, BOB)
    assert cloud.run(BOB, "image", "save", image["id"]) == DATA
    rows = cloud.json(ALICE, "image", "member", "list", image["id"])
    assert [(row["Image ID"], row["Member ID"], row["Status"]) for row in rows] == [(image["id"], green, "accepted")]
    with pytest.raises(Failed):
        cloud.run(BOB, "image", "set", "--name", "mine now", image["id"])
    with pytest.raises(Failed):
        cloud.run(BOB, "image", "delete", image["id"])
    cloud.run(BOB, "image", "set", "--reject", "--project", green, image["id"])
    assert image["id"] not in listed(cloud, BOB)
    cloud.run(ALICE, "image", "remove", "project", image["id"], green)
    assert cloud.json(ALICE, "image", "member", "list", image["id"]) == []
    assert cloud.json(ALICE, "image", "show", image["id"])["owner"] == blue


def test_deactivate_and_activate(cloud, image):
    cloud.run(ADMIN, "image", "set", "--deactivate", image["id"])
    assert cloud.json(ALICE, "image", "show", image["id"])["status"] == "deactivated"
    with pytest.raises(Failed):
        cloud.run(ALICE, "image", "save", image["id"])
    cloud.run(ADMIN, "image", "set", "--activate", image["id"])
    assert cloud.run(ALICE, "image", "save", image["id"]) == DATA


def test_delete_of_several_stops_at_an_unknown_one(cloud, image):
    # So the command words a 404, whatever the image service says.
    with pytest.raises(Failed, match="Multi Backend"):
        cloud.run(ALICE, "image", "delete", image["id"], "00000000-0000-4000-8000-000000000000")
    assert image["id"] not in listed(cloud, ALICE)


def test_a_wrong_format_is_refused_and_a_right_one_then_works(cloud):
    made = cloud.json(ALICE, "image", "create", unique("liar"), "--disk-format", "qcow2", "--container-format", "bare")
    answer = cloud.http(ALICE, "PUT", f"/v2/images/{made['id']}/file", data=DATA,
                        headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    assert answer.status_code == 415, answer.text
    shown = cloud.json(ALICE, "image", "show", made["id"])
    assert (shown["status"], shown.get("size"), shown.get("checksum")) == ("queued", None, None)
    cloud.run(ALICE, "image", "set", "--disk-format", "raw", made["id"])
    answer = cloud.http(ALICE, "PUT", f"/v2/images/{made['id']}/file", data=DATA,
                        headers={"Content-Type": "application/octet-stream"})  # fmt: skip
    assert answer.status_code == 204, answer.text
    assert cloud.run(ALICE, "image", "save", made["id"]) == DATA
    cloud.run(ALICE, "image", "delete", made["id"])


def test_stores(cloud, image):
    rows = cloud.json(ALICE, "image", "stores", "list")
    assert len([row for row in rows if str(row["Default"]).lower() == "true"]) == 1
    shown = cloud.json(ALICE, "image", "show", image["id"])
    assert shown["properties"]["stores"] in {row["ID"] for row in rows}
