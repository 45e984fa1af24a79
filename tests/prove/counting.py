"""The table of what the bench tried: counted wherever tests stand, printed, and if asked for written down.

`REVSYNCD_PROVE_REPORT` names the page whose part between the markers `figures` is replaced, after a
whole run in which everything was tried and everything passed. Tests may run in several processes:
what they count travels with their reports, and is put together in the first one.
"""

import json
import os
import time
from collections.abc import Callable, Generator
from dataclasses import astuple
from pathlib import Path

import pytest
from prove import report
from prove.faults import FAULTS

# By beginnings of their names, the longest first: begun last, one would keep a single core waiting.
LONG = (
    "test_twenty_thousand",
    "test_two_thousand",
    "test_killed_500_times",
    "test_power_is_lost_at_every",
    "test_killed_at_every_system_call",
    "test_killed_at_every_named",
    "test_fsync_fails_at_every",
    "test_killed_at_moments",
    "test_stopped_100",
    "test_a_build",
)
TRIED, COUNTED = "prove: tried", "prove: a line of the table"  # names of a report's properties
Count = Callable[[report.Row], None]  # the fixture of a test that counts
_NAMED = {fault.test for fault in FAULTS}
_ROWS = pytest.StashKey[list[report.Row]]()
_TESTS = pytest.StashKey[list[report.Tried]]()
_BEGAN = time.monotonic()


class Counter:
    """Takes the reports of all processes."""

    def __init__(self, config: pytest.Config) -> None:
        """Nothing was tried yet."""
        config.stash[_ROWS], config.stash[_TESTS] = [], []
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A line of the table that a test counted, or a test that is one fault."""
        if report.when != "call" or report.skipped:
            return
        for name, value in report.user_properties:
            if name == COUNTED:
                self._config.stash[_ROWS].append(_row(value))
            elif name == TRIED:
                self._config.stash[_TESTS].append((report.nodeid, report.passed))


def _row(value: object) -> report.Row:
    return report.Row(*json.loads(str(value)))


def count(item: pytest.Item, row: report.Row) -> None:
    """A line of the table, as text: plain values alone get from one process to another."""
    item.user_properties.append((COUNTED, json.dumps(astuple(row))))


def pytest_configure(config: pytest.Config) -> None:
    """Count in the first process only."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Counter(config), "prove counter")


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test that the table of faults names is one of the bench, wherever it stands."""
    if item.nodeid.partition("[")[0].removeprefix("tests/") in _NAMED:
        marks = {mark.name for mark in item.iter_markers()}
        if not marks & {"prove", "prove_full"}:
            item.add_marker("prove")


@pytest.hookimpl(trylast=True)  # what is not selected is gone by then
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a whole run, the longest first."""
    if config.option.markexpr == report.FULL:
        items.sort(key=lambda item: [not item.name.startswith(name) for name in LONG])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the tests of single faults, wherever they stand."""
    if call.when == "call" and item.get_closest_marker("prove"):
        item.user_properties.append((TRIED, True))
    return (yield)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config
) -> None:
    """The table, where anything of it was tried."""
    if _ROWS not in config.stash:
        return
    tests = config.stash[_TESTS]
    rows = config.stash[_ROWS] + report.of_tests(tests)
    if not rows:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line(report.plain(rows))
    page = os.environ.get("REVSYNCD_PROVE_REPORT")
    if not page:
        return
    skipped = bool(terminalreporter.stats.get("skipped"))
    whole = _asked(config) == (report.FULL, "", [])
    if why := report.unfit(
        rows, passed=exitstatus == pytest.ExitCode.OK, skipped=skipped, whole=whole
    ):
        terminalreporter.write_line(f"not written to {page}: {why}")
        return
    report.write(Path(page), "figures", report.figures(rows, time.monotonic() - _BEGAN))
    terminalreporter.write_line(f"written to {page}")


def _asked(config: pytest.Config) -> tuple[str, str, list[str]]:
    """Which tests were asked for: by marks, by names, by files."""
    option = config.option
    return option.markexpr, option.keyword, option.file_or_dir
