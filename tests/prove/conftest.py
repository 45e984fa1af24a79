"""Launchers for the bench, and where a test puts its line of the table."""

import os
from collections.abc import Iterator
from functools import partial

import pytest
from prove import counting
from prove.counting import Count
from prove.kills import Hosts
from prove.power import strace_works


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
def count(request: pytest.FixtureRequest) -> Count:
    """Takes a test's line of the table."""
    return partial(counting.count, request.node)
