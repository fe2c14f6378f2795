"""The clusters that tests/services/ceph started: looking into their pools, and hurting their daemons."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess

import gateway
import rados
import rbd

CONTROL = os.environ.get("FANLIGHT_TEST_CEPH_CTL", gateway.ROOT / "tests" / "services" / "ceph")


@dataclasses.dataclass(frozen=True)
class Layout:
    """What must be equal between an image of ours and one of Glance's."""

    size: int
    order: int
    features: int
    stripe: tuple[int, int]
    data_pool: str | None
    # Name, size and protection of each snapshot.
    snapshots: tuple[tuple[str, int, bool], ...]


class Cluster:
    def __init__(self, state: pathlib.Path, name: str):
        self.state = state
        self.name = name
        self.folder = state / name
        self.conf = self.folder / "ceph.conf"
        with self.connect() as cluster:
            self.fsid = cluster.get_fsid()

    def keyring(self, user: str) -> pathlib.Path:
        return self.folder / f"client.{user}.keyring"

    def control(self, command: str, *args: object) -> str:
        """A sub-command of tests/services/ceph, for instance `kill-osd`."""
        words = [CONTROL, command, self.state, self.name, *map(str, args)]
        return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=180).stdout

    def heal(self) -> None:
        """All daemons run and the pools take writes, whatever a test did before."""
        for kind in ("mon", "mgr", "osd"):
            self.control(f"start-{kind}")

    @contextlib.contextmanager
    def connect(self, user: str = "admin", **options: str):
        with rados.Rados(conffile=str(self.conf), rados_id=user, conf=options) as cluster:
            yield cluster

    @contextlib.contextmanager
    def pool(self, pool: str = "images", user: str = "admin", **options: str):
        with self.connect(user, **options) as cluster, cluster.open_ioctx(pool) as ioctx:
            yield ioctx

    def url(self, image: str, pool: str = "images", snapshot: str = "snap", fsid: str | None = None) -> str:
        return f"rbd://{fsid or self.fsid}/{pool}/{image}/{snapshot}"

    def layout(self, image: str, pool: str = "images") -> Layout:
        with self.pool(pool) as ioctx, rbd.Image(ioctx, image, read_only=True) as opened:
            data_pool = opened.data_pool_id()
            snapshots = [(s["name"], s["size"], opened.is_protected_snap(s["name"])) for s in opened.list_snaps()]
            return Layout(
                size=opened.size(),
                order=opened.stat()["order"],
                features=opened.features(),
                stripe=(opened.stripe_unit(), opened.stripe_count()),
                data_pool=None if data_pool == ioctx.get_pool_id() else self._pool_name(data_pool),
                snapshots=tuple(sorted(snapshots)),
            )

    def _pool_name(self, number: int) -> str:
        with self.connect() as cluster:
            return cluster.pool_reverse_lookup(number)

    def read(self, image: str, pool: str = "images", snapshot: str | None = "snap", user: str = "admin") -> bytes:
        with self.pool(pool, user) as ioctx, rbd.Image(ioctx, image, snapshot=snapshot, read_only=True) as opened:
            return opened.read(0, opened.size())

    def stored(self, image: str, pool: str = "images") -> int:
        """Bytes of the extents that exist, which thin provisioning makes fewer."""
        with self.pool(pool) as ioctx, rbd.Image(ioctx, image, read_only=True) as opened:
            extents: list[int] = []
            opened.diff_iterate(0, opened.size(), None, lambda _, length, exists: extents.append(length * exists))
            return sum(extents)

    def images(self, pool: str = "images") -> set[str]:
        with self.pool(pool) as ioctx:
            return set(rbd.RBD().list(ioctx))

    def trash(self, pool: str = "images") -> dict[str, str]:
        """Names in the trash, and their ids there."""
        with self.pool(pool) as ioctx:
            return {entry["name"]: entry["id"] for entry in rbd.RBD().trash_list(ioctx)}

    def objects(self, pool: str = "images") -> set[str]:
        """Objects of images: headers and data, so whatever a broken delete would leave behind."""
        with self.pool(pool) as ioctx:
            kinds = ("rbd_data.", "rbd_header.", "rbd_id.", "rbd_object_map.")
            return {o.key for o in ioctx.list_objects() if o.key.startswith(kinds)}

    def clone(self, image: str, name: str, user: str = "nova", version: int = 1, pool: str = "vms") -> None:
        """A copy-on-write clone of `images/IMAGE@snap`, as Nova makes it."""
        with self.connect(user, rbd_default_clone_format=str(version)) as cluster:
            with cluster.open_ioctx("images") as source, cluster.open_ioctx(pool) as target:
                features = int(cluster.conf_get("rbd_default_features"))
                rbd.RBD().clone(source, image, "snap", target, name, features=features)

    def remove(self, image: str, pool: str = "vms", user: str = "nova") -> None:
        """The image with all its snapshots; nothing if there is none."""
        with self.pool(pool, user) as ioctx:
            with contextlib.suppress(rbd.ImageNotFound):
                with rbd.Image(ioctx, image) as opened:
                    for snapshot in list(opened.list_snaps()):
                        if opened.is_protected_snap(snapshot["name"]):
                            opened.unprotect_snap(snapshot["name"])
                        opened.remove_snap(snapshot["name"])
                rbd.RBD().remove(ioctx, image)


def rbd_store(store: str, cluster: Cluster, *, pool: str = "images", user: str = "glance", **more: object) -> str:
    """The table of a store in the configuration of a gateway."""
    lines = [f"[store.{store}]", 'type = "rbd"', f'pool = "{pool}"', f'user = "{user}"', f'conf = "{cluster.conf}"',
             f'keyring = "{more.pop("keyring", cluster.keyring(user))}"']  # fmt: skip
    for key, value in more.items():
        if key == "labels":
            labels = ", ".join(f'{k} = "{v}"' for k, v in value.items())
            lines.append(f"labels = {{{{ {labels} }}}}")
        elif isinstance(value, bool | int):
            lines.append(f"{key} = {str(value).lower()}")
        else:
            lines.append(f'{key} = "{value}"')
    return "\n".join(lines) + "\n"
