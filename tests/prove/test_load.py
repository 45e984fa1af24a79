"""Ended again and again in the middle of its work, the daemon loses no record and posts none twice."""

import os
from functools import partial
from signal import SIGKILL, SIGTERM, Signals

import pytest
from prove.counting import Count
from prove.kills import Figures, Hosts
from prove.load import under_load
from prove.report import Row

KILLS, STOPS = 500, 100
STANDS = 4
TO_CATCH = 40  # kills in which a build that posts twice is surely caught, many times over
SEED = int(os.environ.get("REVSYNCD_PROVE_SEED", "1"))  # of the first stand; the others follow


def _on_stands(hosts: Hosts, number: Signals, ends: int, stands: int) -> Figures:
    seeds = range(SEED, SEED + stands)
    return hosts.all(
        partial(under_load, seed=seed, number=number, lives=ends // stands) for seed in seeds
    )


def _row(what: str, found: Figures, stands: int) -> Row:
    load = f"{found.drops} drops, {found.records:,} records, {found.batches} batches"
    seeds = f"seeds {SEED} to {SEED + stands - 1}" if stands > 1 else f"seed {SEED}"
    return Row.of(f"{what}: {load} ({seeds})", found)


def test_killed_a_few_times_under_load(hosts: Hosts, count: Count) -> None:
    """Every record is at the tenant once, or its file is held as in doubt with a report."""
    found = _on_stands(hosts, SIGKILL, 10, 2)
    count(_row("kill -9 under load, in short", found, 2))
    assert found.violations == []
    assert found.points == 10


def test_stopped_a_few_times_under_load(hosts: Hosts, count: Count) -> None:
    """A polite stop leaves nothing in doubt while the tenant answers."""
    found = _on_stands(hosts, SIGTERM, 5, 1)
    count(_row("SIGTERM under load, in short", found, 1))
    assert (found.violations, found.doubts) == ([], 0)
    assert found.points == 5


@pytest.mark.prove_full
def test_killed_500_times_under_load(hosts: Hosts, count: Count) -> None:
    """The same with parts, status polling and batches under way, until all has come to rest."""
    found = _on_stands(hosts, SIGKILL, KILLS, STANDS)
    count(_row("kill -9 under load", found, STANDS))
    assert found.violations == []
    assert found.points == KILLS
    assert found.doubts  # else no kill came between a last chunk and its answer


@pytest.mark.prove_full
def test_a_build_without_the_record_is_caught_under_load(hosts: Hosts, count: Count) -> None:
    """It posts records twice, and this bench has to see it."""
    without = "the record before the last chunk"
    kill = partial(under_load, number=SIGKILL, lives=TO_CATCH, without=without)
    found = hosts.all(partial(kill, seed=SEED + number) for number in range(2))
    caught = any("the tenant holds" in each for each in found.violations)
    count(Row.of_control(f"{without}: under load", found, caught=caught))
    assert caught


@pytest.mark.prove_full
def test_stopped_100_times_under_load(hosts: Hosts, count: Count) -> None:
    """Exit code 0 each time, and nothing in doubt: the tenant answers within the stop time-out."""
    found = _on_stands(hosts, SIGTERM, STOPS, STANDS)
    count(_row("SIGTERM under load", found, STANDS))
    assert (found.violations, found.doubts) == ([], 0)
    assert found.points == STOPS
