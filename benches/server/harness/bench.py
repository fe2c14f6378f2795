"""One run: the plan, the targets, and the order in which they take turns."""

import dataclasses
import pathlib

from . import results as figures


@dataclasses.dataclass
class Plan:
    """How much is measured."""

    folder: pathlib.Path
    repetitions: int = 3
    seconds: int = 3
    connections: tuple[int, ...] = (1, 16, 64)
    images: int = 20_000
    body_mib: int = 1024
    slow_seconds: int = 12
    wait_quiet: float = 0.0


class Bench:
    """Handed to each part of the benchmark."""

    def __init__(self, plan, targets, results, scratch):
        self.plan, self.targets, self.results = plan, targets, results
        self.folder, self.scratch = plan.folder, scratch

    def turns(self):
        """Every target once, then all again: what disturbs the machine for a while disturbs all of them."""
        for _ in range(self.plan.repetitions):
            yield from self.targets

    def add(self, scenario, target, row):
        self.results.add(scenario, target.name, row)
        print(figures.line(scenario, target.name, row), flush=True)

    def add_machine(self, scenario, row):
        self.results.add(scenario, "machine", row)
        print(figures.line(scenario, "machine", row), flush=True)
