"""How fast the checks are and what memory they take, next to others on the same file: `make bench-checks`.

Each way runs in a process of its own. Told are the median wall time and processor time of its runs,
interleaved, and the peak memory of its whole process tree; what takes half a minute runs once. Where a
machine has other work to do, the processor times are nearer to the truth. Others take part where they are
installed: `pip install '.[bench]'`. They only read or do a part of the work; what each does is said in its
line.
"""

import argparse
import importlib.util
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

if __name__ == "__main__":  # a script beside the package that it measures
    sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import planted
from revsyncd.checks.contract import CheckJob, CheckResult, Dialect, Rules

_TICK = 0.02
_SLOW = 30.0  # seconds; what takes longer is not asked twice
_PAGE = os.sysconf("SC_PAGE_SIZE")
_HOSTILE_SIZE = 1 << 30

SETUP = """
import sys, gc
path = sys.argv[1]
"""
OURS = """
import json
gc.freeze(); gc.disable()
from pathlib import Path
from benchmarks.checks import job_on
from revsyncd.checks.engine import check
result = check(job_on(Path(path)), processes={processes})
print(result.errors, file=sys.stderr)
"""
PANDERA = """
import pandera.polars as pa, polars as pl
schema = pa.DataFrameSchema({"Type": pa.Column(str, pa.Check.isin(["SO", "INV"]))})
schema.validate(pl.read_csv(path, infer_schema=False, truncate_ragged_lines=True), lazy=True)
"""
POLARS = """
import polars
polars.read_csv(path, infer_schema=False, truncate_ragged_lines=True, encoding="utf8-lossy")
"""
DUCKDB = """
import duckdb
options = "all_varchar=true, ignore_errors=true"
duckdb.sql(f"select count(columns(*)) from read_csv('{path}', {options})").fetchall()
"""
PYARROW = """
from pyarrow import csv
options = csv.ParseOptions(newlines_in_values=True, invalid_row_handler=lambda row: "skip")
csv.read_csv(path, parse_options=options)
"""
FRICTIONLESS = """
import os, frictionless
os.chdir(os.path.dirname(path))
frictionless.validate(os.path.basename(path))
"""
CSV_READER = """
import csv
for _ in csv.reader(open(path, newline="", errors="surrogateescape")): pass
"""
SHA256 = """
import hashlib
hashlib.file_digest(open(path, "rb"), "sha256")
"""
OTHERS = {
    "sha256 alone": ("hashlib", SHA256),
    "csv.reader alone": ("csv", CSV_READER),
    "polars, parse alone": ("polars", POLARS),
    "duckdb, parse alone": ("duckdb", DUCKDB),
    "pyarrow, parse alone": ("pyarrow", PYARROW),
    "pandera on polars, one check": ("pandera", PANDERA),
    "frictionless": ("frictionless", FRICTIONLESS),
}
"""Name -> the module without which it takes no part, and what is run."""


def job_on(path: Path) -> CheckJob:
    """The checks that a folder for transactions would have."""
    rules = Rules(
        required=planted.REQUIRED,
        unique=planted.UNIQUE,
        totals=planted.TOTALS,
        totals_by=("Curr", "Type"),
        allowed=planted.ALLOWED,
        problem_limit=100_000,
    )
    return CheckJob(path, planted.MAPPING, Dialect(), rules)


def tree_memory(pid: int) -> int:
    """Resident bytes of a process and its descendants; pages that they share count for each."""
    total = 0
    for process in (pid, *_descendants(pid)):
        try:
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
        except (OSError, IndexError):
            continue
    return total


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)


class Cost(NamedTuple):
    """What a run took: seconds by the clock and of all its processes, and bytes at its peak."""

    seconds: float
    processor: float
    memory: int


def _processor_time() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(code: str, path: Path) -> Cost:
    """The cost of a Python process that runs `code` on a file."""
    command = [sys.executable, "-c", SETUP + code, str(path)]
    root = str(Path(__file__).parent.parent)
    began, used = time.monotonic(), _processor_time()
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": root},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        peak = 0
        while process.poll() is None:
            peak = max(peak, tree_memory(process.pid))
            time.sleep(_TICK)
        seconds = time.monotonic() - began
    return Cost(seconds, _processor_time() - used, peak)


def ways() -> dict[str, str]:
    """What can be measured here: name -> code."""
    found = {"our checks, one process": OURS.format(processes=1)}
    if len(os.sched_getaffinity(0)) > 1:
        found["our checks, two processes"] = OURS.format(processes=2)
    for name, (module, code) in OTHERS.items():
        if importlib.util.find_spec(module):
            found[name] = code
    return found


def compare(title: str, path: Path, runs: int) -> None:
    """Measure every way, interleaved, and print a table."""
    print(f"\n{title}: {path.stat().st_size / 1e6:.0f} MB, median of {runs}")
    taken: dict[str, list[Cost]] = {}
    for _ in range(runs):
        for name, code in ways().items():
            costs = taken.setdefault(name, [])
            if all(cost.seconds < _SLOW for cost in costs):
                costs.append(measured(code, path))
    bare = _typical(taken["csv.reader alone"])
    print(f"{'':32}{'s':>8}{'x csv.reader':>14}{'cpu s':>8}{'x':>7}{'peak MB':>9}")
    for name, costs in taken.items():
        cost = _typical(costs)
        times = f"{cost.seconds:8.2f}{cost.seconds / bare.seconds:14.2f}"
        used = f"{cost.processor:8.2f}{cost.processor / bare.processor:7.2f}"
        print(f"{name:32}{times}{used}{cost.memory / 1e6:9.0f}")


def _typical(costs: list[Cost]) -> Cost:
    return Cost(
        statistics.median(cost.seconds for cost in costs),
        statistics.median(cost.processor for cost in costs),
        max(cost.memory for cost in costs),
    )


def exactness(path: Path, expected: dict[str, object]) -> None:
    """Compare what is found with what was planted."""
    code = "from benchmarks.checks import found_in\nfound_in(path)"
    told = subprocess.run(
        [sys.executable, "-c", SETUP + code, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        check=True,
        capture_output=True,
    )
    found = json.loads(told.stdout)
    same = {key: found[key] == expected[key] for key in expected}
    print(f"planted defects: {len(found['problems'])} found; as planted: {same}")


def found_in(path: str) -> None:
    """Print what the checks find in the form of the planted file's expectations."""
    from revsyncd.checks.engine import check  # noqa: PLC0415  (for the process that measures itself)

    result: CheckResult = check(job_on(Path(path)))
    names = ("line", "record", "column", "value", "code")
    problems = [{name: getattr(p, name) for name in names} for p in result.problems]
    facts = {"records": result.records, "lines": result.lines, "totals": result.totals}
    print(json.dumps({**facts, "problems": problems}))


HOSTILE = {
    "one line": b"x,y" * 21845,
    "only quotes": b'"' * 65536,
    "only newlines": b"\n" * 65536,
    "only NULs": b"\0" * 65536,
    "gzip": b"\x1f\x8b\x08\x00" + bytes(range(256)) * 256,
    "UTF-16 without mark": ("a,b\r\n" * 13000).encode("utf-16-le"),
}


def hostile(directory: Path, size: int) -> None:
    """Check files that no one should drop, and print what is told and how long it takes."""
    print(f"\nhostile files of {size / 1e6:.0f} MB")
    for name, piece in HOSTILE.items():
        path = directory / "hostile.csv"
        with path.open("wb") as file:
            for _ in range(max(1, size // len(piece))):
                file.write(piece)
        code = OURS.format(processes=1)
        cost = measured(code, path)
        print(f"{name:24}{cost.seconds:8.2f} s{cost.memory / 1e6:9.0f} MB")
        path.unlink()


def main() -> None:
    """Make the files and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hostile", action="store_true", help="files of 1 GB that are no CSV")
    asked = parser.parse_args()
    print(f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "file.csv"
        if asked.hostile:
            hostile(Path(directory), _HOSTILE_SIZE)
            return
        planted.write(path, asked.records, 0)
        compare("few quotes", path, asked.runs)
        planted.write(path, asked.records, 0, quote_all=True)
        compare("every cell quoted", path, asked.runs)
        expected = planted.write(path, asked.records, max(11, asked.records * 332 // 100_000))
        exactness(path, expected)
        compare("with planted defects", path, 1)


if __name__ == "__main__":
    main()
