"""What Fanlight wants to reach beside Glance, and whether it did."""

import dataclasses

MIB = 1 << 20
BASE, OURS = "glance", "fanlight"


@dataclasses.dataclass
class Verdict:
    """One goal. Figures are text, ready to be shown; `met` is None where something was not measured."""

    what: str
    goal: str
    base: str
    ours: str
    reached: str
    met: bool | None


def judge(results):
    return [
        _ratio(results, "GET image, 16 connections", "GET image, c=16", "rps", 50),
        _ratio(results, f"list limit=20 over {_count(results)} images, 16 connections", _list_page_1(results), "rps", 60),
        _deep_page(results),
        _ratio(results, _body(results, "PUT"), results.find("PUT 1", "PUT "), "mb_s", 2.5),
        _ratio(results, _body(results, "PUT") + ", chunked", _chunked(results), "mb_s", 2.5),
        _ratio(results, _body(results, "GET"), _body(results, "GET"), "mb_s", 1.1),
        _at_most(results, "idle memory (RSS)", "start to first 200, idle memory", "rss_idle", 80 * MIB, _mib),
        _at_most(results, "start to the first 200", "start to first 200, idle memory", "seconds_to_200", 0.5, _seconds),
        _at_most(results, "first start, in an empty folder", "first start, empty folder", "seconds_to_200", 0.5, _seconds),
        _slow(results),
        _memory(results),
    ]


def _list_page_1(results):
    return next((s for s in results.rows if s.startswith("list of ") and s.endswith("page 1, c=16")), None)


def _deep(results):
    pages = [s for s in results.rows if s.startswith("list of ") and ": page " in s and ": page 1," not in s]
    return pages[0] if pages else None


def _count(results):
    page = _list_page_1(results)
    return page.split(":")[0].removeprefix("list of ") if page else "?"


def _chunked(results):
    return next((s for s in results.rows if s.startswith("PUT ") and s.endswith(", chunked")), None)


def _body(results, method):
    """`GET 1024 MiB`: the name of the scenario with one stream."""
    names = [s for s in results.rows if s.startswith(f"{method} ") and s.endswith(" MiB")]
    return next((s for s in names if s.split()[1].isdigit() and len(s.split()) == 3), f"{method} 1024 MiB")


def _ratio(results, what, scenario, key, bound):
    unit = {"rps": "req/s", "mb_s": "MB/s"}[key]
    base, ours = results.median(scenario, BASE, key), results.median(scenario, OURS, key)
    ratio = ours / base if base and ours else None
    return Verdict(
        what,
        f"≥ {bound}×",
        _figure(base, unit),
        _figure(ours, unit),
        f"{ratio:.1f}×" if ratio else "",
        ratio >= bound if ratio else None,
    )


def _figure(value, unit):
    if value is None:
        return ""
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _mib(value):
    return f"{value / MIB:.0f} MiB"


def _seconds(value):
    return f"{value:.2f} s"


def _at_most(results, what, scenario, key, bound, show):
    base, ours = results.median(scenario, BASE, key), results.median(scenario, OURS, key)
    return Verdict(
        what,
        f"≤ {show(bound)}",
        show(base) if base is not None else "",
        show(ours) if ours is not None else "",
        show(ours) if ours is not None else "",
        ours <= bound if ours is not None else None,
    )


def _deep_page(results, bound=1.3):
    first, deep = _list_page_1(results), _deep(results)

    def factor(target):
        near, far = results.median(first, target, "rps"), results.median(deep, target, "rps")
        return near / far if near and far else None

    page = deep.split(": ")[1].split(",")[0] if deep else "page 500"
    base, ours = factor(BASE), factor(OURS)
    return Verdict(
        f"{page} costs, beside page 1",
        f"≤ {bound}×",
        f"{base:.2f}×" if base else "",
        f"{ours:.2f}×" if ours else "",
        f"{ours:.2f}×" if ours else "",
        ours <= bound if ours else None,
    )


def _slow(results, bound=2.0):
    quiet, loaded = "list, quiet, c=1", results.find("list while ")

    def show(target):
        if not results.runs(loaded, target):
            return ""
        if not results.median(loaded, target, "requests"):
            return "no answer"
        before, during = results.median(quiet, target, "p99_ms"), results.median(loaded, target, "p99_ms")
        return f"{before:.2f} → {during:.2f} ms"

    before, during = results.median(quiet, OURS, "p99_ms"), results.median(loaded, OURS, "p99_ms")
    factor = during / before if before and during else None
    measured = bool(results.runs(loaded, OURS))
    return Verdict(
        "list p99 while 64 clients download slowly, beside quiet",
        f"≤ {bound:.0f}×",
        show(BASE),
        show(OURS),
        f"{factor:.2f}×" if factor else "",
        factor <= bound if factor else (False if measured else None),
    )


def _memory(results, slack=16 * MIB):
    """Constant means: bodies eight times as large take no more than some noise beyond what the small ones took."""
    small, large = ([s for s in results.rows if s.startswith("memory: ")] + [None, None])[:2]

    def growths(target):
        return results.median(small, target, "rss_growth"), results.median(large, target, "rss_growth")

    def show(target):
        a, b = growths(target)
        return f"+{a / MIB:.0f} → +{b / MIB:.0f} MiB" if a is not None and b is not None else ""

    a, b = growths(OURS)
    known = a is not None and b is not None
    sizes = " → ".join(s.split(" of ")[1].removesuffix(" at once") for s in (small, large)) if small and large else ""
    return Verdict(
        f"memory of 8 uploads at once ({sizes} each)",
        f"larger bodies take ≤ {slack // MIB} MiB more",
        show(BASE),
        show(OURS),
        f"{(b - a) / MIB:+.0f} MiB" if known else "",
        b - a <= slack if known else None,
    )
