"""openstacksdk, as programs use it."""

import hashlib
import uuid

import openstack.exceptions
import pytest
from cloud import ADMIN, ALICE, AMY, BOB, unique

DATA = bytes(range(256)) * 4096


@pytest.fixture
def image(cloud):
    """An active raw image of Alice's."""
    sdk = cloud.sdk(ALICE)
    made = sdk.create_image(unique("sdk"), data=DATA, disk_format="raw", container_format="bare", wait=True, note="first")
    yield made
    found = cloud.sdk(ADMIN).image.find_image(made.id)
    if found:
        cloud.sdk(ADMIN).image.delete_image(found)


def test_create_with_data(cloud, image):
    seen = cloud.sdk(ALICE).image.get_image(image.id)
    assert (seen.status, seen.size, seen.checksum) == ("active", len(DATA), hashlib.md5(DATA).hexdigest())
    assert (seen.hash_algo, seen.hash_value) == ("sha512", hashlib.sha512(DATA).hexdigest())
    assert seen.properties["note"] == "first"


def test_create_from_a_file_with_checks(cloud, tmp_path):
    """The SDK records its own hashes as properties and compares them with what the service computed."""
    (tmp_path / "in").write_bytes(DATA)
    made = cloud.sdk(ALICE).create_image(
        unique("checked"), filename=str(tmp_path / "in"), disk_format="raw", container_format="bare",
        validate_checksum=True, wait=True,
    )  # fmt: skip
    seen = cloud.sdk(ALICE).image.get_image(made.id)
    assert seen.status == "active"
    assert seen.properties["owner_specified.openstack.sha256"] == hashlib.sha256(DATA).hexdigest()
    cloud.sdk(ALICE).image.delete_image(made.id)


def test_download_whole_and_streamed(cloud, image, tmp_path):
    sdk = cloud.sdk(ALICE).image
    assert sdk.download_image(image.id).content == DATA
    streamed = sdk.download_image(image.id, stream=True)
    assert b"".join(streamed.iter_content(10_000)) == DATA
    assert streamed.headers["Content-MD5"] == hashlib.md5(DATA).hexdigest()
    sdk.download_image(image.id, output=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == DATA


def test_update_of_attributes_and_properties(cloud, image):
    sdk = cloud.sdk(ALICE).image
    sdk.update_image(image.id, name="new name", min_disk=2, os_distro="debian", is_hidden=True)
    seen = sdk.get_image(image.id)
    assert (seen.name, seen.min_disk, seen.os_distro, seen.is_hidden) == ("new name", 2, "debian", True)
    assert seen.properties["note"] == "first"


def test_update_of_a_fetched_image(cloud, image):
    sdk = cloud.sdk(ALICE).image
    sdk.update_image(sdk.get_image(image.id), name="by difference")
    assert sdk.get_image(image.id).name == "by difference"
    # With a custom property the SDK also asks to remove `/stores`, which is no property of the image.
    with pytest.raises(openstack.exceptions.ConflictException):
        sdk.update_image(sdk.get_image(image.id), name="never", note="second")
    seen = sdk.get_image(image.id)
    assert (seen.name, seen.properties["note"]) == ("by difference", "first")


@pytest.mark.parametrize("missing", ["/stores", "/never_there"])
def test_removing_what_is_no_property_is_a_conflict(cloud, image, missing):
    answer = cloud.http(
        ALICE, "PATCH", f"/v2/images/{image.id}", data=f'[{{"op": "remove", "path": "{missing}"}}]',
        headers={"Content-Type": "application/openstack-images-v2.1-json-patch"},
    )  # fmt: skip
    assert answer.status_code == 409, answer.text


def test_find(cloud, image):
    sdk = cloud.sdk(ALICE).image
    assert sdk.find_image(image.name).id == image.id
    assert sdk.find_image(image.id).name == image.name
    assert sdk.find_image(str(uuid.uuid4())) is None
    with pytest.raises(openstack.exceptions.NotFoundException):
        sdk.find_image("no such image", ignore_missing=False)
    assert cloud.sdk(BOB).image.find_image(image.id) is None


def test_list_pages_to_the_end(cloud):
    sdk = cloud.sdk(ALICE).image
    tag = unique("page")
    made = [sdk.create_image(f"{tag}-{n}", tags=[tag], disk_format="raw", container_format="bare").id for n in range(7)]
    assert [i.id for i in sdk.images(tag=tag, sort="name:asc", limit=3)] == made
    assert [i.id for i in sdk.images(tag=tag, sort="name:asc", limit=1)] == made
    assert {i.id for i in sdk.images(tag=tag, status="queued")} == set(made)
    assert [i.id for i in sdk.images(tag=tag, name=f"in:{tag}-1,{tag}-4", sort="name:asc")] == [made[1], made[4]]
    assert list(sdk.images(tag=tag, size_min=1)) == []
    assert list(cloud.sdk(BOB).image.images(tag=tag)) == []
    for image_id in made:
        sdk.delete_image(image_id)
    assert list(sdk.images(tag=tag)) == []


def test_tags(cloud, image):
    sdk = cloud.sdk(ALICE).image
    sdk.add_tag(image.id, "eins")
    sdk.add_tag(image.id, "zwei")
    sdk.add_tag(image.id, "zwei")
    assert sorted(sdk.get_image(image.id).tags) == ["eins", "zwei"]
    sdk.remove_tag(image.id, "eins")
    assert sdk.get_image(image.id).tags == ["zwei"]
    with pytest.raises(openstack.exceptions.NotFoundException):
        sdk.remove_tag(image.id, "eins")


def test_members(cloud, image):
    alice, bob, green = cloud.sdk(ALICE).image, cloud.sdk(BOB).image, cloud.project_id(BOB)
    assert alice.add_member(image.id, member_id=green).status == "pending"
    with pytest.raises(openstack.exceptions.ConflictException):
        alice.add_member(image.id, member_id=green)
    with pytest.raises(openstack.exceptions.ForbiddenException):
        alice.update_member(green, image.id, status="accepted")
    assert image.id not in [i.id for i in bob.images()]
    bob.update_member(green, image.id, status="accepted")
    assert image.id in [i.id for i in bob.images()]
    assert bob.download_image(image.id).content == DATA
    assert [(m.member_id, m.status) for m in alice.members(image.id)] == [(green, "accepted")]
    with pytest.raises(openstack.exceptions.ForbiddenException):
        bob.delete_image(image.id, ignore_missing=False)
    with pytest.raises(openstack.exceptions.ForbiddenException):
        bob.remove_member(green, image.id, ignore_missing=False)
    bob.update_member(green, image.id, status="rejected")
    assert image.id not in [i.id for i in bob.images()]
    alice.remove_member(green, image.id)
    assert list(alice.members(image.id)) == []


def test_deactivate(cloud, image):
    alice, admin = cloud.sdk(ALICE).image, cloud.sdk(ADMIN).image
    alice.deactivate_image(image.id)
    assert alice.get_image(image.id).status == "deactivated"
    assert cloud.http(ALICE, "GET", f"/v2/images/{image.id}/file").status_code == 403
    assert admin.download_image(image.id).content == DATA
    alice.reactivate_image(image.id)
    assert alice.download_image(image.id).content == DATA


def test_deleted_is_gone_and_its_id_stays_taken(cloud, image):
    sdk = cloud.sdk(ALICE).image
    sdk.delete_image(image.id, ignore_missing=False)
    with pytest.raises(openstack.exceptions.NotFoundException):
        sdk.get_image(image.id)
    with pytest.raises(openstack.exceptions.NotFoundException):
        sdk.delete_image(image.id, ignore_missing=False)
    answer = cloud.http(ALICE, "POST", "/v2/images", json={"id": image.id})
    assert answer.status_code == 409, answer.text


def test_a_reader_reads_and_changes_nothing(cloud, image):
    reader = cloud.sdk(AMY).image
    assert reader.get_image(image.id).name == image.name
    assert image.id in [i.id for i in reader.images()]
    for change in (
        lambda: reader.create_image("not by me", disk_format="raw", container_format="bare"),
        lambda: reader.update_image(image.id, name="not by me"),
        lambda: reader.add_tag(image.id, "not by me"),
        lambda: reader.delete_image(image.id, ignore_missing=False),
        lambda: reader.add_member(image.id, member_id="whoever"),
    ):
        with pytest.raises(openstack.exceptions.ForbiddenException):
            change()
    # The SDK does not look at the answer to an action.
    assert cloud.http(AMY, "POST", f"/v2/images/{image.id}/actions/deactivate").status_code == 403
    # A reader may not download by default.
    assert cloud.http(AMY, "GET", f"/v2/images/{image.id}/file").status_code == 403
    seen = cloud.sdk(ALICE).image.get_image(image.id)
    assert (seen.name, seen.tags, seen.status) == (image.name, [], "active")


def test_another_project_sees_nothing(cloud, image):
    stranger = cloud.sdk(BOB).image
    for look in (
        lambda: stranger.get_image(image.id),
        lambda: stranger.update_image(image.id, name="x"),
        lambda: stranger.delete_image(image.id, ignore_missing=False),
        lambda: list(stranger.members(image.id)),
        lambda: stranger.add_tag(image.id, "x"),
    ):
        with pytest.raises(openstack.exceptions.NotFoundException):
            look()
    assert cloud.http(BOB, "POST", f"/v2/images/{image.id}/actions/deactivate").status_code == 404
    assert cloud.http(BOB, "GET", f"/v2/images/{image.id}/file").status_code == 404
    assert image.id not in [i.id for i in stranger.images(visibility="all")]


def test_only_an_admin_publishes(cloud, image):
    with pytest.raises(openstack.exceptions.ForbiddenException):
        cloud.sdk(ALICE).image.update_image(image.id, visibility="public")
    cloud.sdk(ADMIN).image.update_image(image.id, visibility="public")
    assert cloud.sdk(BOB).image.download_image(image.id).content == DATA


def test_schema_names_the_disk_formats(cloud):
    schema = cloud.sdk(ALICE).image.get("/schemas/image").json()
    assert {"raw", "qcow2", "iso", "vmdk"} <= set(schema["properties"]["disk_format"]["enum"])
    assert schema["additionalProperties"] == {"type": "string"}
    assert schema["properties"]["status"]["readOnly"] is True
