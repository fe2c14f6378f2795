"""The table of docs/ceph-faults.md: runs the tests of faults on real clusters and writes down what they saw.

target/tests-venv/bin/python tests/ceph/faults.py
"""

import dataclasses
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "docs" / "ceph-faults.md"
BEGIN, END = "<!-- begin: written by tests/ceph/faults.py -->\n", "<!-- end -->\n"
# Where the tests of this run note their rows, one a line.
NOTES = "FANLIGHT_TEST_FAULT_ROWS"


@dataclasses.dataclass
class Row:
    fault: str = ""
    during: str = ""
    seen: str = ""
    seconds: float = 0.0
    limit: float = 0.0
    left: str = ""
    threads: tuple[int, int] = (0, 0)
    memory: tuple[int, int] = (0, 0)

    def fill(self, fault: str, during: str, seen: object, seconds: float) -> None:
        self.fault, self.during, self.seen, self.seconds = fault, during, str(seen), seconds

    def __str__(self) -> str:
        cells = [self.fault, self.during, self.seen, f"{self.seconds:.1f}", f"{self.limit:.0f}", self.left,
                 "{} → {}".format(*self.threads), "{} → {}".format(*self.memory)]  # fmt: skip
        return "| " + " | ".join(cells) + " |"


def record(row: Row) -> None:
    if path := os.environ.get(NOTES):
        with open(path, "a") as notes:
            print(row, file=notes)


def main() -> int:
    notes = HERE.parents[1] / "target" / "fault-rows"
    notes.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", HERE / "test_faults.py", *sys.argv[1:]]
    code = subprocess.run(command, env=os.environ | {NOTES: str(notes)}, check=False).returncode
    if code != 0:
        print("not written: a test failed", file=sys.stderr)
        return code
    head = "| fault | during | the client saw | after s | limit s | left behind | threads | MiB resident |\n"
    table = head + "|---|---|---|---|---|---|---|---|\n" + notes.read_text()
    before, _, rest = DOCUMENT.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    DOCUMENT.write_text(before + BEGIN + table + END + after)
    return 0


if __name__ == "__main__":
    sys.exit(main())
