"""python-glanceclient: the library, which Nova, Cinder and Horizon used for years, and its command."""

import hashlib
import io

import glanceclient.exc
import pytest
from cloud import ADMIN, ALICE, BOB, unique

DATA = b"\x00\x01glance\xff" * 20_000


@pytest.fixture
def image(cloud):
    client = cloud.glance(ALICE)
    made = client.images.create(name=unique("gc"), disk_format="raw", container_format="bare", note="one")
    yield made
    try:
        cloud.glance(ADMIN).images.delete(made.id)
    except glanceclient.exc.HTTPNotFound:
        pass


@pytest.fixture
def active(cloud, image):
    cloud.glance(ALICE).images.upload(image.id, io.BytesIO(DATA))
    return image


def test_model_comes_from_the_schema(cloud, image):
    client = cloud.glance(ALICE)
    assert {"id", "name", "status", "disk_format"} <= {p.name for p in client.schemas.get("image").properties}
    assert client.schemas.get("members").name == "members"
    with pytest.raises(Exception, match="name|type"):
        client.images.create(name=42)


def test_upload_and_checked_download(cloud, active):
    client = cloud.glance(ALICE)
    seen = client.images.get(active.id)
    assert (seen.status, seen.size, seen.checksum) == ("active", len(DATA), hashlib.md5(DATA).hexdigest())
    # With checks: the client hashes the stream with os_hash_algo and compares.
    assert b"".join(client.images.data(active.id, do_checksum=True)) == DATA


def test_download_without_data_is_empty(cloud, image):
    assert cloud.http(ALICE, "GET", f"/v2/images/{image.id}/file").status_code == 204
    assert cloud.glance(ALICE).images.data(image.id).wrapped is None


def test_upload_twice_is_a_conflict(cloud, active):
    with pytest.raises(glanceclient.exc.HTTPConflict):
        cloud.glance(ALICE).images.upload(active.id, io.BytesIO(b"other"))
    assert b"".join(cloud.glance(ALICE).images.data(active.id)) == DATA


def test_update_and_remove_properties(cloud, image):
    client = cloud.glance(ALICE)
    client.images.update(image.id, remove_props=["note"], name="again", hw_disk_bus="scsi")
    seen = client.images.get(image.id)
    assert (seen.name, seen.hw_disk_bus) == ("again", "scsi")
    assert "note" not in seen
    with pytest.raises(glanceclient.exc.HTTPForbidden):
        client.images.update(image.id, os_glance_secret="x")


def test_list_with_filters_and_paging(cloud):
    client = cloud.glance(ALICE)
    tag = unique("gl")
    made = [client.images.create(name=f"{tag} {n}", tags=[tag], min_ram=n).id for n in range(5)]
    found = client.images.list(filters={"tag": [tag]}, page_size=2, sort_key=["name"], sort_dir=["asc"])
    assert [i.id for i in found] == made
    assert [i.id for i in client.images.list(filters={"tag": [tag], "min_ram_min": 3}, sort="name:asc")] == made[3:]
    assert [i.id for i in client.images.list(filters={"tag": [tag]}, limit=2, sort="name:desc")] == made[:2:-1]
    with pytest.raises(glanceclient.exc.HTTPBadRequest):
        list(client.images.list(sort="colour:asc"))
    with pytest.raises(glanceclient.exc.HTTPBadRequest):
        list(client.images.list(marker="00000000-0000-4000-8000-000000000000"))
    for image_id in made:
        client.images.delete(image_id)


def test_members(cloud, active):
    alice, bob, green = cloud.glance(ALICE), cloud.glance(BOB), cloud.project_id(BOB)
    assert alice.image_members.create(active.id, green).status == "pending"
    waiting = bob.images.list(filters={"visibility": "shared", "member_status": "pending"})
    assert active.id in [i.id for i in waiting]
    assert bob.image_members.update(active.id, green, "accepted").status == "accepted"
    assert b"".join(bob.images.data(active.id)) == DATA
    alice.image_members.delete(active.id, green)
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        bob.images.get(active.id)


def test_locations_are_off(cloud, active):
    """As long as the operator shows no locations, nobody adds any."""
    assert "locations" not in cloud.glance(ALICE).images.get(active.id)
    with pytest.raises((glanceclient.exc.HTTPForbidden, glanceclient.exc.HTTPBadRequest)):
        cloud.glance(ALICE).images.add_location(active.id, "http://127.0.0.1/secret", {})


def test_tags_and_state(cloud, active):
    client = cloud.glance(ALICE)
    client.image_tags.update(active.id, "x y")
    assert client.images.get(active.id).tags == ["x y"]
    client.image_tags.delete(active.id, "x y")
    client.images.deactivate(active.id)
    assert client.images.get(active.id).status == "deactivated"
    client.images.reactivate(active.id)
    assert client.images.get(active.id).status == "active"


def test_stores_and_usage(cloud):
    client = cloud.glance(ALICE)
    stores = client.images.get_stores_info()["stores"]
    assert len(stores) == 2
    assert [store.get("default") for store in stores].count("true") == 1
    assert "usage" in cloud.http(ALICE, "GET", "/v2/info/usage").json()
    with pytest.raises(glanceclient.exc.HTTPForbidden):
        client.images.get_stores_info_detail()
    detail = cloud.glance(ADMIN).images.get_stores_info_detail()["stores"]
    assert {(store["type"], store["weight"] >= 0) for store in detail} == {("file", True)}


def test_upload_into_a_chosen_store(cloud, image):
    client = cloud.glance(ALICE)
    chosen = [s["id"] for s in client.images.get_stores_info()["stores"] if s.get("default") != "true"][0]
    client.images.upload(image.id, io.BytesIO(DATA), backend=chosen)
    assert client.images.get(image.id).stores == chosen
    other = client.images.create(name=unique("nowhere"), disk_format="raw", container_format="bare")
    with pytest.raises(glanceclient.exc.HTTPBadRequest):
        client.images.upload(other.id, io.BytesIO(DATA), backend="no-such-store")
    assert client.images.get(other.id).status == "queued"
    client.images.delete(other.id)


def test_the_glance_command(keystone_cloud, tmp_path):
    cloud = keystone_cloud
    name = unique("command")
    (tmp_path / "in").write_bytes(DATA)
    cloud.glance_command(
        ALICE, "image-create", "--name", name, "--disk-format", "raw", "--container-format", "bare", "--file",
        tmp_path / "in", "--property", "os_distro=debian",
    )  # fmt: skip
    image = next(i for i in cloud.glance(ALICE).images.list(filters={"name": name}))
    assert (image.status, image.os_distro) == ("active", "debian")
    cloud.glance_command(ALICE, "image-download", "--file", tmp_path / "out", image.id)
    assert (tmp_path / "out").read_bytes() == DATA
    assert name.encode() in cloud.glance_command(ALICE, "image-list")
    assert b"default" in cloud.glance_command(ALICE, "stores-info")
    cloud.glance_command(ALICE, "usage")
    cloud.glance_command(ALICE, "image-delete", image.id)
    with pytest.raises(glanceclient.exc.HTTPNotFound):
        cloud.glance(ALICE).images.get(image.id)
