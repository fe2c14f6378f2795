"""The command line: options, set-up, the parts in order, and the clean-up whatever happens."""

import argparse
import contextlib
import fcntl
import http.client
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import bodies, facts, limits, report, results, slow, small, start
from .bench import Bench, Plan
from .client import Refused
from .process import pid_in
from .targets import Failed, Fanlight, Glance

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/benchmarks.md"
DATA = ROOT / "docs/benchmarks.json"

PARTS = {
    "limits": limits.limits,
    "start": start.start,
    "read": small.read,
    "list": small.lists,
    "body": bodies.bodies,
    "memory": bodies.memory,
    "slow": slow.slow,
    "write": small.write,
}
TARGETS = ["glance", "fanlight", "fanlight-mariadb"]

EPILOG = """\
parts:
  limits   what the machine can do: hashes, copies
  start    start to the first answer, idle memory
  read     one image, its schema, the versions
  list     pages and filters over the whole data set
  body     uploads and downloads: one stream, chunked, eight at once, ranges
  memory   eight uploads at once, small and large
  slow     lists while 64 clients download slowly
  write    POST, PATCH, DELETE

examples:
  benches/server/run                             everything; writes docs/benchmarks.md
  benches/server/run --quick                     each part once and briefly; writes no page
  benches/server/run --only read,list --targets glance,fanlight,fanlight-mariadb
  benches/server/run --show target/bench/results.json

Everything listens on loopback, lies below --folder, and is stopped at the end. Stop with Ctrl-C.
"""


def words(allowed):
    def parse(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in allowed:
                raise argparse.ArgumentTypeError(f"`{word}` is none of {', '.join(allowed)}")
        return chosen

    return parse


def numbers(text):
    return tuple(int(n) for n in text.split(","))


def parser():
    p = argparse.ArgumentParser(
        prog="benches/server/run",
        description="Fanlight beside OpenStack Glance in one run, measurement by measurement in turn.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--quick", action="store_true", help="2,000 images, 128 MiB, 1 s, one repetition: does it work?")
    p.add_argument("--only", type=words(PARTS), default=list(PARTS), metavar="PARTS", help="some parts, by comma")
    p.add_argument("--targets", type=words(TARGETS), default=TARGETS[:2], help=f"by comma, of {', '.join(TARGETS)}")
    p.add_argument("--repetitions", type=int, metavar="N", help="turns of each measurement (3)")
    p.add_argument("--seconds", type=int, metavar="N", help="of each load of small requests (3)")
    p.add_argument("--connections", type=numbers, metavar="N,N", help="numbers of connections (1,16,64)")
    p.add_argument("--images", type=int, metavar="N", help="in the data set (20000)")
    p.add_argument("--body-mib", type=int, metavar="N", help="size of a large body (1024)")
    p.add_argument("--slow-seconds", type=int, metavar="N", help="of lists while others download slowly (12)")
    p.add_argument("--wait-quiet", type=float, metavar="S", help="wait so long at most for an idle machine, each time (0)")
    p.add_argument("--binary", type=pathlib.Path, metavar="FILE", help="measure this one, not a release build of this tree")
    p.add_argument("--folder", type=pathlib.Path, default=ROOT / "target/bench", help="of all state (target/bench)")
    p.add_argument("--glance-processes", type=int, default=os.cpu_count(), metavar="N", help="of uWSGI (all cores)")
    p.add_argument("--glance-listen", default="127.0.0.1:19292", metavar="ADDRESS")
    p.add_argument("--db-port", type=int, default=23306, metavar="PORT", help="of Glance's MariaDB (23306)")
    p.add_argument("--fanlight-port", type=int, default=19392, metavar="PORT", help="first of four ports (19392)")
    p.add_argument("--no-page", action="store_true", help="leave docs/benchmarks.md as it is")
    p.add_argument("--show", type=pathlib.Path, metavar="FILE", help="print the tables of earlier results and end")
    return p


def make_plan(args):
    plan = Plan(args.folder)
    if args.quick:
        plan.repetitions, plan.seconds, plan.connections, plan.images = 1, 1, (1, 16), 2000
        plan.body_mib, plan.slow_seconds = 128, 4
    for name in ("repetitions", "seconds", "connections", "images", "body_mib", "slow_seconds", "wait_quiet"):
        value = getattr(args, name)
        if value is not None:
            setattr(plan, name, value)
    least = min(plan.repetitions, plan.seconds, plan.slow_seconds, *plan.connections)
    if least < 1 or plan.images < 100 or plan.body_mib < 16:
        raise Failed("too little to measure: at least 1 of each, 100 images, 16 MiB")
    return plan


def release_build(*more):
    """Builds if anything changed: figures of an old binary would be figures of another tree."""
    print("building the release binary", file=sys.stderr)
    if subprocess.run(["cargo", "build", "--release", "--locked", *more], cwd=ROOT).returncode != 0:
        raise Failed(" ".join(["`cargo build --release", *more]) + "` failed")
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).absolute() / "release/fanlight"


def make_targets(args, data, targets):
    """Appends one by one, each before it starts anything, so that a failure half-way leaves none running."""
    glance = None
    if {"glance", "fanlight-mariadb"} & set(args.targets):
        print("setting Glance up (minutes when nothing is installed yet)", file=sys.stderr)
        glance = Glance(args, args.folder / "glance")
        targets.append(glance)
        glance.setup()
        glance.start_database()
        glance.check_free()
    port = args.fanlight_port
    addresses = [f"127.0.0.1:{port + n}" for n in range(4)]
    if "fanlight" in args.targets:
        targets.append(Fanlight("fanlight", args, data / "sqlite", *addresses[:2]))
    if "fanlight-mariadb" in args.targets:
        url = f"mysql://glance:glance@127.0.0.1:{args.db_port}/fanlight"
        database = pid_in(glance.state / "run/db.pid")
        targets.append(Fanlight("fanlight-mariadb", args, data / "mariadb", *addresses[2:], url, database))


@contextlib.contextmanager
def alone(folder):
    """Two runs at once would take each other's ports, and the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failed(f"another run uses {folder}") from None
        yield


def measure_all(args, plan, command):
    if {"fanlight", "fanlight-mariadb"} & set(args.targets):
        args.binary = args.binary.absolute() if args.binary else release_build()
    running = []
    data = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-", dir=args.folder))
    # In memory if there is room: reading the source of an upload must not load the disk under test.
    shared = pathlib.Path("/dev/shm")
    roomy = shared.is_dir() and shutil.disk_usage(shared).free > 2 * plan.body_mib << 20
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-bench-", dir=shared if roomy else args.folder))
    try:
        make_targets(args, data, running)
        measured = [target for target in running if target.name in args.targets]
        for target in measured:
            target.start()
            began = time.monotonic()
            target.fill(plan.images)
            print(f"{target.name}: {plan.images:,} images after {time.monotonic() - began:.0f} s", file=sys.stderr)
        found = results.Results(facts.collect(plan, measured, command, ROOT))
        bench = Bench(plan, measured, found, scratch)
        for part in args.only:
            print(f"== {part}", flush=True)
            PARTS[part](bench)
            found.save(args.folder / "results.json")
        return found
    finally:
        for target in reversed(running):
            target.close()
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)


def guarded(program, argv, folder, measure):
    """Gives `measure` the command line as a reader may see it; its results, or `None` and the exit code after its error."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Where things lie on this machine tells a reader nothing.
    shown = [f"…/{pathlib.Path(word).name}" if word.startswith("/") else word for word in argv]
    try:
        with alone(folder):
            return measure(" ".join([program, *shown])), 0
    except (Failed, Refused, OSError, RuntimeError, http.client.HTTPException) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return None, 1
    except KeyboardInterrupt:
        return None, 130


def main(argv):
    args = parser().parse_args(argv)
    if args.show:
        print(report.markdown(results.Results.load(args.show)))
        return 0
    args.folder = args.folder.absolute()
    began = time.monotonic()
    measure = lambda command: measure_all(args, make_plan(args), command)  # noqa: E731
    found, code = guarded("benches/server/run", argv, args.folder, measure)
    if found is None:
        return code
    print("\n" + report.markdown(found))
    whole = not args.quick and args.only == list(PARTS) and set(TARGETS[:2]) <= set(args.targets)
    if whole and not args.no_page:
        found.save(DATA)
        report.write_into(PAGE, found)
        print(f"\nwritten: {PAGE.relative_to(ROOT)}", file=sys.stderr)
    print(f"took {(time.monotonic() - began) / 60:.0f} min; every run: {args.folder / 'results.json'}", file=sys.stderr)
    return 0
