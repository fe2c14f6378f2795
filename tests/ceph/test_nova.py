"""Nova's own code: finds an image's location, clones it copy-on-write, and stores a snapshot without sending it to us."""

import hashlib
import os
import uuid

import images
import peers
import pytest
import rbd
from cloud import ADMIN, ALICE, BOB, NOVA
from images import DATA
from nova import exception

pytestmark = pytest.mark.usefixtures("tidy")


@pytest.fixture
def nova(server):
    """On cluster A, as it acts for Alice."""
    return peers.Nova(server.url, ALICE.dev_token)


@pytest.fixture
def image(cloud):
    """Alice's raw image on cluster A."""
    made = images.upload(cloud, ALICE, DATA, "a")
    yield made
    if cloud.http(ALICE, "GET", f"/v2/images/{made}").status_code == 200:
        images.delete(cloud, ALICE, made)


@pytest.fixture
def disk(nova, a):
    """The disk of an instance; not there yet."""
    made = nova.disk(peers.Instance())
    yield made
    a.remove(made.rbd_name)


def test_nova_parses_and_checks_our_locations(cloud, nova, image, a):
    shown = nova.show(image)
    urls = {location["url"] for location in shown["locations"]}
    assert urls == {a.url(image)}
    assert nova.driver.parse_url(a.url(image)) == [a.fsid, "images", image, "snap"]
    assert nova.driver.is_cloneable({"url": a.url(image)}, shown)
    # The same image is nothing for a Nova on another cluster, nor as another format.
    assert not nova.driver.is_cloneable({"url": a.url(image)}, shown | {"disk_format": "qcow2"})
    assert not nova.driver.is_cloneable({"url": a.url(image, fsid=str(uuid.uuid4()))}, shown)


def test_users_never_see_locations(cloud, image):
    for person in (ALICE, BOB):
        answer = cloud.http(person, "GET", f"/v2/images/{image}/locations")
        assert answer.status_code == (403 if person is ALICE else 404), answer.text


def test_a_clone_by_nova_reads_as_the_image(cloud, nova, image, disk, a):
    disk.clone(nova.context, image)
    with a.pool("vms", "nova") as ioctx, rbd.Image(ioctx, disk.rbd_name, read_only=True) as opened:
        assert opened.parent_info() == ("images", image, "snap")
        # Copy on write: nothing of its own yet.
        assert opened.overlap() == len(DATA)
    assert a.read(disk.rbd_name, "vms", None, "nova") == DATA
    with a.pool("vms", "nova") as ioctx, rbd.Image(ioctx, disk.rbd_name) as opened:
        opened.write(b"of the instance", 0)
    assert images.download(cloud, ALICE, image) == DATA


def test_a_clone_of_an_image_on_another_cluster_is_refused_by_nova(cloud, nova, disk):
    there = images.upload(cloud, ALICE, DATA, "b")
    with pytest.raises(exception.ImageUnacceptable, match="No image locations are accessible"):
        disk.clone(nova.context, there)
    images.delete(cloud, ALICE, there)


def test_an_image_with_a_clone_stays(cloud, nova, image, disk, a):
    """Format 1, as Nova makes it in a cluster as it was installed."""
    before = a.layout(image)
    shown = images.show(cloud, ALICE, image)
    disk.clone(nova.context, image)
    for _ in range(2):
        answer = cloud.http(ALICE, "DELETE", f"/v2/images/{image}")
        assert answer.status_code == 409, answer.text
        assert "Traceback" not in answer.text
    assert a.layout(image) == before
    assert images.show(cloud, ALICE, image) == shown
    assert images.download(cloud, ALICE, image) == DATA
    assert a.read(disk.rbd_name, "vms", None) == DATA

    a.remove(disk.rbd_name)
    images.delete(cloud, ALICE, image)
    assert image not in a.images() and image not in a.trash()


def test_a_clone_of_format_2_outlives_the_image(cloud, image, a):
    """The user's delete succeeds, the clone reads on, and the bytes go with the last clone."""
    clone = f"{uuid.uuid4()}_disk"
    a.clone(image, clone, version=2)
    images.delete(cloud, ALICE, image)
    assert cloud.http(ALICE, "GET", f"/v2/images/{image}").status_code == 404
    assert image not in a.images()
    assert image in a.trash()
    assert a.read(clone, "vms", None, "nova") == DATA
    a.remove(clone)
    # The collector looks again by itself.
    assert images.eventually(lambda: image not in a.trash(), 120)


@pytest.fixture
def snapshot_of(server, a):
    """`snapshot_of(disk)`: Nova's direct snapshot, for which its user may write into the pool of images."""

    def take(instance_disk, image, base):
        compute = peers.Nova(server.url, ALICE.dev_token, rbd_user="nova-direct")
        found = compute.disk(instance_disk)
        name = uuid.uuid4().hex
        return compute, found.direct_snapshot(compute.context, name, "raw", image, base)

    yield take
    peers.Nova(server.url, ALICE.dev_token)


def test_a_direct_snapshot_becomes_an_image(cloud, nova, image, a, snapshot_of):
    instance = peers.Instance()
    disk = nova.disk(instance)
    disk.clone(nova.context, image)
    written = os.urandom(3 << 20)
    with a.pool("vms", "nova") as ioctx, rbd.Image(ioctx, disk.rbd_name) as opened:
        opened.write(written, 5 << 20)
    expected = DATA[: 5 << 20] + written + DATA[8 << 20 :]

    snapshot = images.create(cloud, ALICE, name="snapshot", disk_format="raw")
    compute, url = snapshot_of(instance, snapshot, image)
    assert url == a.url(snapshot)
    compute.add_location(snapshot, url)
    shown = images.active(cloud, ALICE, snapshot)
    assert (shown["size"], shown["stores"]) == (len(expected), "a")
    assert shown["os_hash_value"] == hashlib.sha512(expected).hexdigest()
    assert images.download(cloud, ALICE, snapshot) == expected

    # An instance from the snapshot, and away with everything.
    second = nova.disk(peers.Instance())
    second.clone(nova.context, snapshot)
    assert a.read(second.rbd_name, "vms", None) == expected
    for made in (second, disk):
        a.remove(made.rbd_name)
    images.delete(cloud, ALICE, snapshot)


@pytest.fixture
def by_nova(a):
    """`by_nova(name, …)`: an image in a pool of cluster A as Nova leaves it after a direct snapshot: objects of 4 MiB."""
    made = []

    def write(name, data=DATA, pool="images", snapshot="snap", protect=True):
        with a.pool(pool, "nova-direct") as ioctx:
            rbd.RBD().create(ioctx, name, len(data), order=22, old_format=False, features=61)
            made.append((name, pool))
            with rbd.Image(ioctx, name) as opened:
                opened.write(data, 0)
                if snapshot:
                    opened.create_snap(snapshot)
                    if protect:
                        opened.protect_snap(snapshot)
        return a.url(name, pool, snapshot or "snap")

    yield write
    for name, pool in made:
        a.remove(name, pool, "nova-direct")


def test_size_and_hash_come_from_the_store(cloud, by_nova, a):
    image = images.create(cloud, ALICE)
    url = by_nova(image)
    answer = images.claim(cloud, ALICE, image, url)
    assert answer.status_code in (200, 202), answer.text
    shown = images.active(cloud, ALICE, image)
    assert shown["size"] == len(DATA)
    assert shown["os_hash_value"] == hashlib.sha512(DATA).hexdigest()
    assert a.layout(image).order == 22
    located = cloud.http(NOVA, "GET", f"/v2/images/{image}/locations")
    # Alice's image is private: a service sees it only for her.
    assert located.status_code == 404, located.text
    located = cloud.http(ALICE, "GET", f"/v2/images/{image}/locations", headers={"X-Service-Token": NOVA.dev_token})
    assert [one["url"] for one in located.json()] == [url]
    images.delete(cloud, ALICE, image)
    assert image not in a.images()


def test_a_hash_that_is_promised_must_hold(cloud, by_nova):
    image = images.create(cloud, ALICE)
    url = by_nova(image)
    wrong = hashlib.sha512(b"something else").hexdigest()
    answer = images.claim(cloud, ALICE, image, url, os_hash_algo="sha512", os_hash_value=wrong)
    # Either at once, or the image never becomes active.
    if answer.status_code in (200, 202):
        assert not images.eventually(lambda: images.show(cloud, ALICE, image)["status"] == "active", 10)
    images.delete(cloud, ALICE, image)


def refused(cloud, person, image, url, *codes):
    answer = images.claim(cloud, person, image, url)
    assert answer.status_code in codes, (url, answer.status_code, answer.text)
    assert images.show(cloud, person, image)["status"] == "queued"


def test_nobody_claims_what_is_not_his(cloud, by_nova, a, b):
    """Another image's object, another pool, another cluster, and what is no location: refused, and untouched."""
    victim = images.upload(cloud, BOB, DATA, "a")
    elsewhere = str(uuid.uuid4())
    by_nova(elsewhere)
    by_nova(f"{elsewhere}_disk", pool="vms")
    mine = images.create(cloud, ALICE)
    by_nova(mine)
    by_nova(f"{mine}x", pool="vms")
    bad = (400, 403, 409)
    for url in (
        a.url(victim),
        a.url(elsewhere),
        a.url(f"{elsewhere}_disk", pool="vms"),
        a.url(mine, pool="vms"),
        a.url(mine, pool="rbd"),
        a.url(mine, fsid=str(uuid.uuid4())),
        a.url(mine, fsid=b.fsid),
        a.url(mine, snapshot="other"),
        a.url(mine).upper(),
        a.url(mine) + "/more",
        a.url(mine).replace(f"/{mine}/", f"/..%2F{victim}/"),
        f"rbd://{mine}",
        f"rbd://{a.fsid}/images//snap",
        f"rbd://{a.fsid}/images/{mine}",
        "file:///etc/passwd",
        "http://127.0.0.1:1/image",
    ):
        refused(cloud, ALICE, mine, url, *bad)
    # Who does not own the image learns nothing of it, with a service or without; and no user says where data lie.
    assert images.claim(cloud, BOB, mine, a.url(mine)).status_code == 404
    assert images.claim(cloud, BOB, mine, a.url(mine), service=None).status_code == 404
    assert images.claim(cloud, ALICE, mine, a.url(mine), service=None).status_code == 403

    images.delete(cloud, ALICE, mine)
    assert {victim, elsewhere} <= a.images()
    assert images.download(cloud, BOB, victim) == DATA
    images.delete(cloud, BOB, victim)


def test_an_active_image_takes_no_other_data(cloud, image, by_nova, a):
    """Else its bytes could be exchanged under its hash."""
    other = images.create(cloud, ALICE)
    answer = images.claim(cloud, ALICE, image, by_nova(other))
    assert answer.status_code in (400, 403, 409), answer.text
    assert images.urls(cloud, ALICE, image) == [a.url(image)]
    images.delete(cloud, ALICE, other)


def test_no_data_no_image(cloud, a):
    image = images.create(cloud, ALICE)
    answer = images.claim(cloud, ALICE, image, a.url(image))
    if answer.status_code in (200, 202):
        assert not images.eventually(lambda: images.show(cloud, ALICE, image)["status"] == "active", 5)
    else:
        assert answer.status_code in (400, 404, 409), answer.text
    images.delete(cloud, ADMIN, image)
