"""Builds that break the promise are caught: a bench that passes one of them proves nothing."""

from functools import partial
from pathlib import Path

import pytest
from prove.counting import Count
from prove.durable import Reading
from prove.kills import Figures, Hosts, named_kills, points_met, strike
from prove.power import losses
from prove.report import Row
from prove.runs import Host, Kill
from prove.sabotage import BUILDS
from prove.scenes import SCENES

INBOUND, OUTBOUND = SCENES["two parts by upload/file"], SCENES["batch by report"]
# By power loss: which scene shows it, and in which reading of a crash.
BY_POWER = (
    ("the fsync of any file", INBOUND, Reading.ORDERED),
    ("the fsync of any file", OUTBOUND, Reading.ORDERED),
    ("the fsync of the dropped file", INBOUND, Reading.ORDERED),
    ("the fsync of any directory", INBOUND, Reading.STRICT),
    ("the fsync of any directory", OUTBOUND, Reading.STRICT),
    ("the fsync of a claim's directories", INBOUND, Reading.STRICT),
    ("the fsync of a shelf", INBOUND, Reading.STRICT),
    ("the fsync of a batch", OUTBOUND, Reading.ORDERED),
    ("the fsync of the outbox", OUTBOUND, Reading.STRICT),
    ("the fsync of the head file's directory", INBOUND, Reading.STRICT),
    # In sequence: a first part that is staged and a second one that is not there are sure to meet.
    ("the fsync of prepared parts", SCENES["parts in sequence"], Reading.ORDERED),
    ("the fsync of the ledger", INBOUND, Reading.STRICT),
)
# By kills: how the violation begins.
BY_KILL = {
    "the record before the last chunk": "the tenant holds",
    "the claim": "the ledger knows 2 drops of 1",
}


def test_every_build_is_tried() -> None:
    """Each build that leaves something out is handed to the bench."""
    assert {*BY_KILL, *(name for name, *_ in BY_POWER)} == BUILDS.keys()


def test_a_part_sent_without_a_record_is_caught(hosts: Hosts, count: Count) -> None:
    """Killed when the tenant has it and the ledger does not know, it is posted twice."""
    found = hosts.all(
        [partial(_caught, "the record before the last chunk", [Kill("ledger.part_settled", 1)])]
    )
    caught = any("the tenant holds" in each for each in found.violations)
    count(Row.of_control("the record before the last chunk (sample)", found, caught=caught))
    assert caught


@pytest.mark.prove_full
@pytest.mark.parametrize("without", BY_KILL)
def test_a_build_without_it_is_caught_by_kills(without: str, hosts: Hosts, count: Count) -> None:
    """The sweep over the named steps finds a violation."""
    found = hosts.all([partial(_caught, without, None)])
    caught = any(BY_KILL[without] in each for each in found.violations)
    count(Row.of_control(without, found, caught=caught))
    assert caught


@pytest.mark.prove_full
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("number", range(len(BY_POWER)))
def test_a_build_without_it_is_caught_by_power_loss(
    number: int, hosts: Hosts, count: Count
) -> None:
    """The sweep over the moments of a run finds a violation."""
    without, scene, reading = BY_POWER[number]
    found = hosts.all([partial(losses, scene, reading, without=without, most=1)])
    count(Row.of_control(f"{without}: {scene.name}", found, caught=bool(found.violations)))
    assert found.violations


def _caught(without: str, kills: list[Kill] | None, host: Host, home: Path) -> Figures:
    """Kill until something is wrong."""
    met = points_met(INBOUND, host, home, without=without)  # it does its work while nobody kills it
    total = Figures()
    for number, kill in enumerate(kills or named_kills(met)):
        found = strike(
            INBOUND, kill, host, home.with_name(f"{home.name}.{number}"), without=without
        )
        total.add(found or Figures())
        if any(BY_KILL[without] in each for each in total.violations):
            break
    return total
