"""What the figures depend on: machine, versions, command line. Nothing here names a day or a host."""

import os
import pathlib
import re
import subprocess


def collect(plan, targets, command, root):
    facts = {
        "command": command,
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": _memory(),
        "kernel": f"{os.uname().sysname} {os.uname().release} {os.uname().machine}",
        "file system of the stores": _line(["stat", "-f", "-c", "%T", str(plan.folder)]),
        "load": f"{plan.repetitions} runs each, {plan.seconds} s of wrk, one thread; bodies of {plan.body_mib} MiB",
        "wrk": _first(r"wrk \S+", _line(["wrk", "-v"], line=0)),
    }
    for target in targets:
        facts.update(target.facts())
    if any(target.name.startswith("fanlight") for target in targets):
        facts["Fanlight commit"] = _line(["git", "-C", str(root), "describe", "--always", "--dirty"])
        facts["rustc"] = _line(["rustc", "--version"])
    return {name: value for name, value in facts.items() if value}


def _cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def _memory():
    kib = int(re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())[1])
    return f"{kib / (1 << 20):.0f} GiB"


def _line(command, line=0):
    """A line of what a command says, or nothing when there is no such command."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except OSError:
        return ""
    said = (done.stdout or done.stderr).splitlines()
    return said[line].strip() if line < len(said) else ""


def _first(pattern, text):
    found = re.search(pattern, text)
    return found[0] if found else text


def version(command, pattern):
    """The first match of `pattern` in what `command` says."""
    return _first(pattern, _line(command))
