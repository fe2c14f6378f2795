"""The command line: options, set-up, the parts in order, and the clean-up whatever happens."""

import argparse
import dataclasses
import os
import pathlib
import shutil
import sys
import tempfile
import time

from harness import facts, results
from harness.bench import Bench, Plan
from harness.cli import guarded, release_build, words
from harness.targets import Failed, version

from . import report, scenarios
from .clusters import Clusters
from .contenders import CephFanlight, CephGlance, Driver, HashedRbd, Rbd

ROOT = pathlib.Path(__file__).resolve().parents[3]
PAGE, DATA = ROOT / "docs/ceph-benchmarks.md", ROOT / "docs/ceph-benchmarks.json"

EPILOG = """\
parts:
  limits   what the machine can do: hashes, copies
  streams  one stream: upload, two downloads, upload of unknown size
  command  how long the `rbd` command takes to start
  spread   eight uploads over both clusters
  memory   peak of one and of eight streams, in two sizes

Needs what tests/install installs, and Glance as benches/server/run has it. All is stopped and removed at the end.
"""


@dataclasses.dataclass
class CephPlan(Plan):
    body_mib: int = 512
    memory_mib: tuple[int, ...] = (64, 256)


class CephBench(Bench):
    """`targets` are the contenders; `clusters` what they share."""

    def __init__(self, plan, targets, found, scratch, clusters):
        super().__init__(plan, targets, found, scratch)
        self.clusters = clusters

    def named(self, name):
        return next(target for target in self.targets if target.name == name)


def parser():
    p = argparse.ArgumentParser(
        prog="benches/ceph/run",
        description="Fanlight beside Glance, glance_store and the rbd command on two Ceph clusters, in turn.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--quick", action="store_true", help="each once, 64 MiB: does it work? The page stays as it is")
    p.add_argument("--only", type=words(scenarios.PARTS), default=list(scenarios.PARTS), metavar="PARTS", help="by comma")
    p.add_argument("--objectstore", choices=["bluestore", "memstore"], default="bluestore", help="of the osds")
    p.add_argument("--size-mib", type=int, default=512, metavar="N", help="of the body of one stream (512)")
    p.add_argument("--repetitions", type=int, default=3, metavar="N", help="turns of each measurement (3)")
    p.add_argument("--wait-quiet", type=float, default=0, metavar="S", help="wait so long at most for an idle machine (0)")
    p.add_argument("--binary", type=pathlib.Path, metavar="FILE", help="measure this one, not a release build of this tree")
    p.add_argument("--store", action="append", default=[], metavar="LINE", help="an option of Fanlight's stores: in_flight=8")
    p.add_argument("--folder", type=pathlib.Path, default=ROOT / "target/bench-ceph", help="of state (target/bench-ceph)")
    p.add_argument("--glance-processes", type=int, default=os.cpu_count(), metavar="N", help="of uWSGI (all cores)")
    p.add_argument("--glance-listen", default="127.0.0.1:19293", metavar="ADDRESS")
    p.add_argument("--db-port", type=int, default=23307, metavar="PORT", help="of Glance's MariaDB (23307)")
    p.add_argument("--fanlight-port", type=int, default=19492, metavar="PORT", help="first of two ports (19492)")
    p.add_argument("--no-page", action="store_true", help="leave docs/ceph-benchmarks.md as it is")
    p.add_argument("--show", type=pathlib.Path, metavar="FILE", help="print the tables of earlier results and end")
    return p


def make_plan(args):
    plan = CephPlan(args.folder, body_mib=args.size_mib, repetitions=args.repetitions, wait_quiet=args.wait_quiet)
    if args.quick:
        plan.body_mib, plan.repetitions, plan.memory_mib = 64, 1, (16, 32)
    if plan.body_mib < 16 or plan.repetitions < 1:
        raise Failed("too little to measure: at least 16 MiB, once")
    return plan


def collect(args, plan, services, command):
    found = facts.collect(plan, services, command, ROOT)
    for name in ("wrk", "load"):
        found.pop(name, None)
    found["Ceph"] = version(["ceph", "--version"], r"\d+\.\d+\.\d+")
    found["clusters"] = f"two, each with a mon, a mgr and one osd ({args.objectstore}), one copy of the data"
    found["bodies"] = f"{plan.body_mib} MiB of random bytes, {plan.repetitions} runs each"
    return found


def measure_all(args, plan, command):
    args.binary = args.binary.absolute() if args.binary else release_build("--features", "rbd")
    clusters, services = Clusters(args.objectstore), []
    data = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-", dir=args.folder))
    # In memory: reading the source of an upload must not load the disk under test.
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="fanlight-bench-", dir="/dev/shm"))
    try:
        clusters.up()
        # Each is in the list before it starts anything, so that a failure half-way leaves none running.
        services.append(CephGlance(args, args.folder / "glance", clusters))
        services[0].setup()
        services.append(CephFanlight(args, data / "fanlight", clusters))
        for service in services:
            service.check_free()
            service.start()
        whole = "--object-size", "8M"
        rbd = Rbd("rbd", clusters, *whole), Rbd("rbd, 4 MiB", clusters), HashedRbd("rbd, hashed", clusters, *whole)
        driver = Driver(clusters, services[0], ROOT / "benches/ceph/driver.py")
        found = results.Results(collect(args, plan, services, command))
        bench = CephBench(plan, [*rbd, driver, *services], found, scratch, clusters)
        scenarios.all_parts(bench, args.only)
        found.save(args.folder / "results.json")
        return found
    finally:
        for service in reversed(services):
            service.close()
        clusters.down()
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.rmtree(data, ignore_errors=True)


def main(argv):
    args = parser().parse_args(argv)
    if args.show:
        print(report.markdown(results.Results.load(args.show)))
        return 0
    args.folder = args.folder.absolute()
    began = time.monotonic()
    measure = lambda command: measure_all(args, make_plan(args), command)  # noqa: E731
    found, code = guarded("benches/ceph/run", argv, args.folder, measure)
    if found is None:
        return code
    print("\n" + report.markdown(found))
    whole = not args.quick and args.only == list(scenarios.PARTS) and args.objectstore == "bluestore" and not args.store
    if whole and not args.no_page:
        found.save(DATA)
        report.write_into(PAGE, found)
        print(f"\nwritten: {PAGE.relative_to(ROOT)}", file=sys.stderr)
    print(f"took {(time.monotonic() - began) / 60:.0f} min; every run: {args.folder / 'results.json'}", file=sys.stderr)
    return 0
