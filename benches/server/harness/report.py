"""Results as Markdown: goals first, then every figure, then what they depend on."""

from .goals import judge
from .process import CALM

MIB = 1 << 20
BEGIN, END = "<!-- figures: begin (written by benches/server/run) -->", "<!-- figures: end -->"

COLUMNS = [
    ("seconds_to_200", "s to 200", 1),
    ("rps", "req/s", 1),
    ("mb_s", "MB/s", 1),
    ("p50_ms", "p50 ms", 1),
    ("p99_ms", "p99 ms", 1),
    ("cpu_server_ms", "server ms/req", 1),
    ("cpu_db_ms", "DB ms/req", 1),
    ("cpu_server_s_per_gib", "server CPU s/GiB", 1),
    ("rss_idle", "idle MiB", MIB),
    ("rss_peak", "peak MiB", MIB),
]
LARGER_IS_BETTER = {"rps", "mb_s"}
SMALLER_IS_BETTER = {"seconds_to_200", "p50_ms", "p99_ms", "cpu_server_ms", "cpu_server_s_per_gib", "rss_idle"}
SLOW_KEYS = ["downloads_served", "downloads_cut", "back_after_s"]


def markdown(results):
    return "\n".join([*_goals(results), "", *_figures(results), "", *_idle(results), *_slow(results), *_facts(results)])


def table(header, rows, numbers=()):
    yield "| " + " | ".join(header) + " |"
    yield "|" + "|".join("---:" if name in numbers else "---" for name in header) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _goals(results):
    yield "### Goals"
    yield ""
    header = ["what", "goal", "Glance", "Fanlight", "reached", ""]
    rows = []
    for verdict in judge(results):
        met = {True: "met", False: "**missed**", None: "not measured"}[verdict.met]
        rows.append([verdict.what, verdict.goal, verdict.base, verdict.ours, verdict.reached, met])
    yield from table(header, rows, header[2:5])


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _figures(results):
    yield "### All figures"
    yield ""
    header = ["scenario", "target", *(title for _, title, _ in COLUMNS), "errors", "spread"]
    rows = []
    for scenario, targets in results.rows.items():
        for target in targets:
            rows.append([scenario, target, *_cells(results, scenario, target)])
        if "glance" in targets:
            rows += [_better(results, scenario, target) for target in targets if target != "glance"]
    yield from table(header, rows, header[2:])


def _cells(results, scenario, target):
    values = []
    for key, _, unit in COLUMNS:
        value = results.median(scenario, target, key)
        values.append(number(None if value is None else value / unit))
    runs = results.runs(scenario, target)
    errors = sum(run.get("errors", 0) for run in results.rows[scenario][target])
    key = next((key for key in ("rps", "mb_s", "seconds_to_200") if results.median(scenario, target, key)), None)
    spread = results.spread(scenario, target, key) if key else None
    noise = "1 run" if len(runs) == 1 else f"±{spread * 100:.0f} % of {len(runs)}" if spread is not None else ""
    busy = results.median(scenario, target, "others_cpu") or 0
    if busy > CALM:
        noise += f", others {busy:.1f} CPUs"
    return [*values, str(errors or ""), noise]


def _better(results, scenario, target):
    """How many times better than Glance; above 1 is better in every column."""
    cells = []
    for key, _, _ in COLUMNS:
        base, ours = results.median(scenario, "glance", key), results.median(scenario, target, key)
        if base and ours and key in LARGER_IS_BETTER | SMALLER_IS_BETTER:
            cells.append(f"**{number(ours / base if key in LARGER_IS_BETTER else base / ours)}×**")
        else:
            cells.append("")
    return ["", f"{target} better by", *cells, "", ""]


def _idle(results):
    scenario = "start to first 200, idle memory"
    if scenario not in results.rows:
        return
    yield "With nothing to do, three seconds after the start:"
    yield ""
    for target in results.rows[scenario]:
        keys = ["processes", "rss_idle", "pss_idle", "rss_after_load", "rss_db_idle"]
        processes, rss, pss, after, database = (results.median(scenario, target, key) or 0 for key in keys)
        beside = f"; its database server beside it {database / MIB:.0f} MiB" if database else ""
        yield (
            f"* {target}: RSS {rss / MIB:.0f} MiB in {processes:.0f} process{'es' if processes > 1 else ''} "
            f"(PSS {pss / MIB:.0f} MiB), {after / MIB:.0f} MiB after two seconds of lists{beside}"
        )
    yield ""


def _slow(results):
    scenario = results.find("list while ")
    if not scenario:
        return
    yield "While the slow clients download:"
    yield ""
    for target in results.rows[scenario]:
        served, cut, back = (results.median(scenario, target, key) for key in SLOW_KEYS)
        answers = results.median(scenario, target, "requests")
        again = f"{back:.2f} s" if back is not None else "not within a minute"
        yield (
            f"* {target}: {served:.0f} of 64 get data, {cut:.0f} are cut off; {answers:,.0f} lists answered; "
            f"after the clients left, the next answer took {again}"
        )
    yield ""


def _facts(results):
    yield "### What they were measured on"
    yield ""
    for name, value in results.facts.items():
        yield f"* {name}: `{value}`" if name == "command" else f"* {name}: {value}"


def write_into(page, results):
    """Replaces what stands between the markers of a page."""
    text = page.read_text()
    if BEGIN not in text or END not in text:
        raise ValueError(f"{page} lacks the markers `{BEGIN}` and `{END}`")
    before, after = text.split(BEGIN, 1)[0], text.split(END, 1)[1]
    page.write_text(f"{before}{BEGIN}\n\n{markdown(results)}\n\n{END}{after}")
