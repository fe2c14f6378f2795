"""Small requests by wrk, one thread, a fixed number of connections."""

import json
import pathlib
import subprocess

from .process import measure
from .targets import Failed

SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")


def run(bench, target, path, connections, *, seconds=None, mode="get", prefix="00000000", count=0, settled=True):
    """One run; see wrk.lua for the modes. Returns a row of figures."""
    seconds = seconds or bench.plan.seconds
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "-s", str(SCRIPT)]
    for name, value in target.headers.items():
        command += ["-H", f"{name}: {value}"]
    command += [target.url + path, "--", mode, prefix, str(count)]
    with measure(target, bench.plan.wait_quiet, sample=0.1, settled=settled) as row:
        done = subprocess.run(command, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("JSON ")]
    if not lines:
        raise Failed(f"wrk failed: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return _row(json.loads(lines[0][5:]), row)


def _row(said, row):
    good = said["requests"] - said["status_errors"]
    # A delete run that has deleted everything ends early.
    seconds = said["exhausted_after"] or said["seconds"]
    row.update(
        requests=good,
        seconds=seconds,
        rps=good / seconds,
        errors=said["status_errors"] + said["socket_errors"] + said["timeouts"],
        exhausted=bool(said["exhausted_after"]),
    )
    if good:
        row.update(
            p50_ms=said["p50"] / 1e3,
            p99_ms=said["p99"] / 1e3,
            cpu_server_ms=row["cpu_server_s"] / good * 1e3,
            cpu_db_ms=row["cpu_db_s"] / good * 1e3,
        )
    return row
