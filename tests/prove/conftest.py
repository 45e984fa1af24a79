"""Launchers for the bench, and the table of what it tried, printed and, if asked for, written down.

`REVSYNCD_PROVE_REPORT` names the page whose part between the markers `figures` is replaced.
"""

import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from prove import report
from prove.kills import Hosts
from prove.power import strace_works

_ROWS = pytest.StashKey[list[report.Row]]()
_TESTS = pytest.StashKey[list[report.Tried]]()
_BEGAN = time.monotonic()


def pytest_configure(config: pytest.Config) -> None:
    """Nothing was tried yet."""
    config.stash[_ROWS] = []
    config.stash[_TESTS] = []


@pytest.fixture(scope="session")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """Launchers, one for each core but at most four."""
    with Hosts(tmp_path_factory.mktemp("prove"), min(os.cpu_count() or 2, 4)) as hosts:
        yield hosts


@pytest.fixture
def strace() -> None:
    """Skips where strace is not installed, or may not trace."""
    if not strace_works():
        pytest.skip("strace is not here, or may not trace processes")


@pytest.fixture
def rows(request: pytest.FixtureRequest) -> list[report.Row]:
    """Where a test puts its line of the table."""
    return request.config.stash[_ROWS]


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
    rows = config.stash[_ROWS] + report.of_tests(tried)
    if not rows:
        return
    terminalreporter.section("what was tried")
    terminalreporter.write_line(report.plain(rows))
    page = os.environ.get("REVSYNCD_PROVE_REPORT")
    if page:
        report.write(Path(page), "figures", report.figures(rows, time.monotonic() - _BEGAN))
