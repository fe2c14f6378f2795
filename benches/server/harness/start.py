"""From the command to the first answer, and the memory of a server that has nothing to do."""

import shutil
import time

from . import wrk
from .process import machine_cpu, own_cpu, settle, wait_quiet
from .targets import Fanlight


def start(bench):
    for target in bench.turns():
        row = _timed(bench, target)
        time.sleep(3)
        tree = target.server.refresh()
        row.update(
            rss_idle=tree.rss(),
            pss_idle=tree.pss(),
            processes=len(tree.pids),
            rss_db_idle=target.database.refresh().rss(),
        )
        wrk.run(bench, target, "/v2/images?limit=20", 16, seconds=2)
        time.sleep(1)
        row["rss_after_load"] = tree.rss()
        bench.add("start to first 200, idle memory", target, row)
    _first_start(bench)


def _first_start(bench):
    """In an empty folder, where the database must be made. Glance has no counterpart: `db_sync` alone takes seconds."""
    for target in bench.turns():
        if not isinstance(target, Fanlight) or target.shares_database:
            continue
        data = target.folder / "first"
        row = _timed(bench, target, data)
        bench.add("first start, empty folder", target, row)
        target.stop()
        shutil.rmtree(data, ignore_errors=True)
    for target in bench.targets:
        target.start()


def _timed(bench, target, *where):
    target.stop()
    wait_quiet(bench.plan.wait_quiet)
    settle([target.database.refresh()])
    all_before, own_before = machine_cpu(), own_cpu()
    seconds = target.start_timed(*where)
    in_all, in_load = machine_cpu() - all_before, own_cpu() - own_before
    in_server = target.server.refresh().cpu()
    others = max(0.0, (in_all - in_load - in_server) / seconds)
    return {"seconds_to_200": seconds, "cpu_server_s": in_server, "others_cpu": others}
