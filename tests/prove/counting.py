"""The table of what the bench tried: counted wherever tests stand, printed, and if asked for written down.

`REVSYNCD_PROVE_REPORT` names the page whose part between the markers `figures` is replaced.
"""

import os
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from prove import report

ROWS = pytest.StashKey[list[report.Row]]()
_TESTS = pytest.StashKey[list[report.Tried]]()
_BEGAN = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing was tried yet."""
    config.stash[ROWS] = []
    config.stash[_TESTS] = []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count the tests of single faults, wherever they stand."""
    found = yield
    if found.when == "call" and item.get_closest_marker("prove"):
        item.config.stash[_TESTS].append((item.nodeid, found.passed))
    return found


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """The table, where anything of it was tried."""
    tried = config.stash[_TESTS]
    rows = config.stash[ROWS] + report.of_tests(tried)
    if not rows:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line(report.plain(rows))
    page = os.environ.get("REVSYNCD_PROVE_REPORT")
    if page:
        report.write(Path(page), "figures", report.figures(rows, time.monotonic() - _BEGAN))
