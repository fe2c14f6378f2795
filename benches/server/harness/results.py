"""What was measured: every single run, and the medians of them."""

import json
import statistics

from .process import CALM

MIB = 1 << 20


class Results:
    """`rows`: scenario → target → runs. The machine itself is a target too, for its limits."""

    def __init__(self, facts, rows=None):
        self.facts, self.rows = facts, rows or {}

    def add(self, scenario, target, row):
        self.rows.setdefault(scenario, {}).setdefault(target, []).append(row)

    def runs(self, scenario, target):
        """Those that had the machine to themselves, if there are any; else all."""
        runs = self.rows.get(scenario, {}).get(target, [])
        return [run for run in runs if run.get("others_cpu", 0) <= CALM] or runs

    def median(self, scenario, target, key):
        values = [run[key] for run in self.runs(scenario, target) if run.get(key) is not None]
        return statistics.median(values) if values else None

    def spread(self, scenario, target, key):
        """Half the distance between the extremes, as a part of the median."""
        values = [run[key] for run in self.runs(scenario, target) if run.get(key) is not None]
        middle = statistics.median(values) if values else 0
        return (max(values) - min(values)) / 2 / middle if middle else None

    def find(self, *beginnings):
        """The first scenario that begins so: sizes and page numbers in the names follow the options."""
        return next((s for beginning in beginnings for s in self.rows if s.startswith(beginning)), None)

    def save(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"facts": self.facts, "rows": self.rows}, indent=1) + "\n")

    @classmethod
    def load(cls, path):
        data = json.loads(path.read_text())
        return cls(data["facts"], data["rows"])


LIVE = [
    ("seconds_to_200", "{:.3f} s to 200", 1),
    ("rps", "{:,.0f} req/s", 1),
    ("mb_s", "{:,.0f} MB/s", 1),
    ("p50_ms", "p50 {:.2f} ms", 1),
    ("p99_ms", "p99 {:.2f} ms", 1),
    ("rss_idle", "idle {:.0f} MiB", MIB),
    ("rss_growth", "memory +{:.0f} MiB", MIB),
    ("downloads_served", "{:.0f} downloads served", 1),
    ("errors", "{:.0f} errors", 1),
]


def line(scenario, target, row):
    """One run, as it is shown while the benchmark goes on."""
    said = [text.format(row[key] / unit) for key, text, unit in LIVE if row.get(key) or key == "rps" and key in row]
    if row.get("others_cpu", 0) > CALM:
        said.append(f"(others took {row['others_cpu']:.1f} CPUs)")
    return f"  {scenario:<48} {target:<16} " + "  ".join(said)
