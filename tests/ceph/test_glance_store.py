"""One layout: Glance's driver and ours write the same, read each other's images, and delete them."""

import hashlib
import uuid

import images
import peers
import pytest
import rbd
from cloud import ALICE
from images import DATA

pytestmark = pytest.mark.usefixtures("tidy")

# The stores of the gateway, and backends of Glance that are set up alike.
ALIKE = [("a", "a"), ("b", "b-small-thin")]
SIZES = pytest.mark.parametrize("sized", [True, False], ids=["known", "unknown"])
BODIES = pytest.mark.parametrize(
    "data", [DATA, DATA[: 8 << 20], b"x", bytes(9 << 20)], ids=["odd", "even", "one byte", "zeros"]
)


@SIZES
@BODIES
@pytest.mark.parametrize(("store", "backend"), ALIKE)
def test_both_write_the_same(cloud, clusters, store, backend, data, sized):
    cluster, theirs = clusters[store], str(uuid.uuid4())
    url = peers.glance_writes(backend, theirs, data, len(data) if sized else None)
    ours = images.upload(cloud, ALICE, data, store, sized=sized)

    assert cluster.layout(ours) == cluster.layout(theirs)
    assert cluster.layout(ours).snapshots == (("snap", len(data), True),)
    assert cluster.read(ours) == data
    assert cluster.stored(ours) == cluster.stored(theirs)
    images.delete(cloud, ALICE, ours)
    peers.glance_deletes(backend, url)


@pytest.mark.parametrize("store", ["a", "b"])
def test_an_empty_image(cloud, clusters, store):
    theirs = str(uuid.uuid4())
    url = peers.glance_writes(store, theirs, b"", None)
    ours = images.upload(cloud, ALICE, b"", store)
    mine, its = clusters[store].layout(ours), clusters[store].layout(theirs)
    assert (mine.size, mine.snapshots) == (its.size, its.snapshots) == (0, (("snap", 0, True),))
    assert images.download(cloud, ALICE, ours) in (b"", None)
    assert peers.glance_reads(store, clusters[store].url(ours)) == b""
    images.delete(cloud, ALICE, ours)
    peers.glance_deletes(store, url)


@SIZES
@pytest.mark.parametrize(("store", "backend"), ALIKE)
def test_glance_reads_sizes_and_deletes_what_we_wrote(cloud, clusters, store, backend, sized):
    image = images.upload(cloud, ALICE, DATA, store, sized=sized)
    url = clusters[store].url(image)
    assert images.urls(cloud, ALICE, image) == [url]
    assert peers.glance_reads(backend, url) == DATA
    assert peers.glance_size(backend, url) == len(DATA)

    # What Glance would do with its own image: it is gone from the cluster, and a download says so.
    peers.glance_deletes(backend, url)
    assert image not in clusters[store].images()
    assert cloud.http(ALICE, "GET", f"/v2/images/{image}/file").status_code in (404, 410, 500, 503)
    images.delete(cloud, ALICE, image)


@SIZES
@pytest.mark.parametrize("backend", ["a", "a-thin", "a-odd", "a-small"])
@pytest.mark.parametrize("data", [DATA, b"x"], ids=["odd", "one byte"])
def test_we_serve_what_glance_wrote(cloud, a, backend, data, sized):
    image = images.create(cloud, ALICE)
    url = peers.glance_writes(backend, image, data, len(data) if sized else None)
    answer = images.claim(cloud, ALICE, image, url)
    assert answer.status_code in (200, 202), answer.text

    shown = images.active(cloud, ALICE, image)
    assert (shown["size"], shown["stores"]) == (len(data), "a")
    assert shown["os_hash_value"] == hashlib.sha512(data).hexdigest()
    assert images.download(cloud, ALICE, image) == data
    part = cloud.http(ALICE, "GET", f"/v2/images/{image}/file", headers={"Range": "bytes=5000000-5000999"})
    if len(data) > 5_001_000:
        assert (part.status_code, part.content) == (206, data[5_000_000:5_001_000])
    images.delete(cloud, ALICE, image)


def test_an_erasure_coded_data_pool(cloud, c):
    image = images.upload(cloud, ALICE, DATA, "c", sized=False)
    layout = c.layout(image)
    assert (layout.data_pool, layout.order, layout.snapshots) == ("images-data", 23, (("snap", len(DATA), True),))
    with c.pool("images-data") as ioctx:
        assert any(o.key.startswith("rbd_data.") for o in ioctx.list_objects())
    # The URL names the pool of the header: that is how librbd, Nova and Glance find the image.
    assert images.urls(cloud, ALICE, image) == [c.url(image)]
    assert images.download(cloud, ALICE, image) == DATA
    with c.pool("images", "glance") as ioctx, rbd.Image(ioctx, image, snapshot="snap", read_only=True) as opened:
        assert opened.read(0, opened.size()) == DATA
    images.delete(cloud, ALICE, image)
