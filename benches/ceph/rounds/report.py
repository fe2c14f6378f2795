"""Goals, then every figure, as Markdown between the markers of docs/ceph-benchmarks.md."""

import re

from harness import report as common

MIB = 1 << 20
BEGIN, END = "<!-- figures: begin (written by benches/ceph/run) -->", "<!-- figures: end -->"
IMPORTS = ("rbd", "rbd, 4 MiB")
COLUMNS = [
    ("mb_s", "MB/s", 1),
    ("seconds", "s", 1),
    ("cpu_mover_s_per_gib", "CPU s/GiB", 1),
    ("cpu_ceph_s_per_gib", "Ceph's CPU s/GiB", 1),
    ("rss_stream", "MiB a stream", MIB),
    ("mib_more", "MiB to the one cluster", 1),
    ("mib_less", "to the other", 1),
    ("busy_more", "at work: the one", 0.01),
    ("busy_less", "the other", 0.01),
]


def _best(results, scenario, names):
    found = {name: value for name in names if (value := results.median(scenario, name, "mb_s"))}
    return max(found.items(), key=lambda item: item[1]) if found else (None, None)


def _ratio(results, what, scenario, names, bound, base_scenario=None):
    name, base = _best(results, base_scenario or scenario, names)
    ours = results.median(scenario, "fanlight", "mb_s")
    if not base or not ours:
        return [what, f"≥ {bound}", "", "", "", "not measured"]
    shown = f"{base:,.0f} MB/s"
    return [what, f"≥ {bound}", shown, f"{ours:,.0f} MB/s", f"{ours / base:.2f}", _met(ours / base >= bound)]


def _met(met):
    return "met" if met else "**missed**"


def goals(results):
    reads = [s for s in results.rows if s.startswith("download")]
    rows = [
        _ratio(results, "upload, beside the best `rbd import`, which hashes nothing", "upload", IMPORTS, 0.9),
        _ratio(results, "upload, beside `rbd import` with the same hashes", "upload", ["rbd, hashed"], 0.9),
        _ratio(results, "upload, beside Glance", "upload", ["glance"], 2),
        _ratio(results, "upload of unknown size, beside known size", "upload of unknown size", ["fanlight"], 0.95, "upload"),
    ]
    for scenario in reads:
        rows.append(_ratio(results, f"{scenario}, beside `rbd export`", scenario, ["rbd"], 0.9))
        rows.append(_ratio(results, f"{scenario}, beside Glance", scenario, ["glance"], 1.5))
    rows += [_spread(results, scenario) for scenario in results.rows if scenario.startswith("8 uploads")]
    rows.append(_memory(results))
    return rows


def _spread(results, scenario, bound=0.8):
    ours, base = (results.median(scenario, name, "busy_less") for name in ("fanlight", "glance"))
    shown = f"{base:.2f}" if base is not None else ""
    reached = f"{ours:.2f}"
    return [scenario, f"each cluster at work ≥ {bound} of the time", shown, reached, reached, _met(ours >= bound)]


def _memory(results, bound=64 * MIB):
    what, goal = "memory of a stream, most of all cases", f"≤ {bound // MIB} MiB"

    def most(name):
        cases = [results.median(s, name, "rss_stream") for s in results.rows if s.startswith("memory: ")]
        return max((case for case in cases if case is not None), default=None)

    ours, base = most("fanlight"), most("glance")
    if ours is None:
        return [what, goal, "", "", "", "not measured"]
    shown = f"{base / MIB:.0f} MiB" if base is not None else ""
    return [what, goal, shown, f"{ours / MIB:.0f} MiB", f"{ours / MIB:.0f} MiB", _met(ours <= bound)]


def _cells(results, scenario, name):
    for key, _, unit in COLUMNS:
        value = results.median(scenario, name, key)
        yield common.number(value / unit if value is not None else None) + ("%" if value is not None and unit == 0.01 else "")
    spread = results.spread(scenario, name, "mb_s") or results.spread(scenario, name, "seconds")
    runs = results.runs(scenario, name)
    busy = min((run.get("others_cpu", 0) for run in runs), default=0)
    yield f"±{spread or 0:.0%} of {len(runs)}".replace("%", " %") + (f", others {busy:.1f} CPUs" if busy > 0.4 else "")


def markdown(results):
    header = ["what", "goal", "the other", "Fanlight", "reached", ""]
    lines = ["### Goals", "", *common.table(header, goals(results), header[2:5]), "", "### All figures", ""]
    titles = ["scenario", "who", *(title for _, title, _ in COLUMNS), "spread"]
    rows = []
    for scenario, names in results.rows.items():
        rows += [[scenario, name, *_cells(results, scenario, name)] for name in names]
    lines += [*common.table(titles, rows, titles[2:]), "", "### What they were measured on", ""]
    return "\n".join(lines + [f"* {k}: `{v}`" if k == "command" else f"* {k}: {v}" for k, v in results.facts.items()])


def write_into(page, results):
    text = page.read_text()
    new, count = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}",
        lambda _: f"{BEGIN}\n\n{markdown(results)}\n\n{END}",
        text,
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page} lacks the markers `{BEGIN}` and `{END}`")
    page.write_text(new)
