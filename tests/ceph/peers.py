"""The other side of every promise of compatibility: glance_store's rbd driver and Nova's rbd back end, unchanged from PyPI.

Both read the one global configuration of oslo.config, as they do in their own services. `configure` comes first.
"""

import io
import pathlib
import uuid

import glance_store
from clusters import Cluster
from glance_store import multi_backend
from nova import conf as nova_conf
from nova import context as nova_context
from nova import service_auth
from nova.image import glance as nova_glance
from nova.storage import rbd_utils
from nova.virt.libvirt import imagebackend
from oslo_config import cfg

CONF = nova_conf.CONF


def configure(folder: pathlib.Path, a: Cluster, b: Cluster) -> None:
    """Backends of Glance: `a` and `b` as shipped, and others on the same pools."""
    backends = {
        "a": (a, ""),
        "b": (b, ""),
        "a-thin": (a, "rbd_thin_provisioning = true"),
        # No power of two: written in pieces of 3 MiB on objects of 2 MiB.
        "a-odd": (a, "rbd_store_chunk_size = 3"),
        "a-small": (a, "rbd_store_chunk_size = 1"),
        "b-small-thin": (b, "rbd_store_chunk_size = 2\nrbd_thin_provisioning = true"),
    }
    lines = ["[DEFAULT]", "enabled_backends = " + ", ".join(f"{name}:rbd" for name in backends)]
    lines += ["[glance_store]", "default_backend = a"]
    for name, (cluster, more) in backends.items():
        lines += [f"[{name}]", f"rbd_store_ceph_conf = {cluster.conf}", "rbd_store_user = glance",
                  "rbd_store_pool = images", "rados_connect_timeout = 30", more]  # fmt: skip
    # Nova on the cluster A. Its service user proves itself by a token of the gateway's development identity.
    lines += ["[libvirt]", "images_type = rbd", "images_rbd_pool = vms", f"images_rbd_ceph_conf = {a.conf}",
              "rbd_user = nova",
              "[service_user]", "send_service_user_token = true", "auth_type = admin_token",
              "endpoint = http://127.0.0.1:1", "token = nova:service:service"]  # fmt: skip
    path = folder / "openstack.conf"
    path.write_text("\n".join(lines) + "\n")
    # Glance itself registers this one, not its library.
    CONF.register_opt(cfg.DictOpt("enabled_backends"))
    CONF(["--config-file", str(path)], project="nova", version="0")
    multi_backend.register_store_opts(CONF)
    assert multi_backend.create_multi_stores(CONF) == len(backends)


def glance_writes(backend: str, image: str, data: bytes, size: int | None) -> str:
    """Stores an image with Glance's driver, with the size or without; its URL."""
    url, written, *_, metadata = multi_backend.add_with_multihash(
        CONF, image, io.BytesIO(data), size or 0, backend, "sha512"
    )
    assert (written, metadata["store"]) == (len(data), backend)
    return url


def glance_reads(backend: str, url: str) -> bytes:
    pieces, size = multi_backend.get(url, backend)
    data = b"".join(pieces)
    assert len(data) == size
    return data


def glance_size(backend: str, url: str) -> int:
    return multi_backend.get_size_from_uri_and_backend(url, backend)


def glance_deletes(backend: str, url: str) -> None:
    multi_backend.delete(url, backend)


InUse = glance_store.exceptions.InUseByStore


class Instance:
    """All that Nova's back end wants of an instance."""

    def __init__(self):
        self.uuid = str(uuid.uuid4())


class Nova:
    """A compute node that acts for the owner of `token`, with the service user's token beside it."""

    def __init__(self, endpoint: str, token: str, rbd_user: str = "nova"):
        CONF.set_override("api_servers", [endpoint], "glance")
        CONF.set_override("rbd_user", rbd_user, "libvirt")
        service_auth.reset_globals()
        self.context = nova_context.RequestContext(user_id="someone", project_id="some", auth_token=token)
        self.images = nova_glance.API()
        self.driver = rbd_utils.RBDDriver()

    def disk(self, instance: Instance) -> imagebackend.Rbd:
        return imagebackend.Rbd(instance, "disk")

    def show(self, image: str) -> dict:
        return self.images.get(self.context, image, include_locations=True)

    def add_location(self, image: str, url: str) -> None:
        """What `_snapshot` does at the end of a direct snapshot."""
        metadata = {"status": "active", "name": "snapshot", "location": url}
        self.images.update(self.context, image, metadata, purge_props=False)
