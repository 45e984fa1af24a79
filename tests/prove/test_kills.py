"""Killed with -9 at every step, the daemon keeps its promise when it is started again."""

from collections import Counter
from functools import partial
from pathlib import Path
from random import Random

import pytest
from prove.counting import Count
from prove.failpoints import POINTS, UNMET
from prove.kills import (
    CALLS,
    Figures,
    Hosts,
    at_random,
    named_kills,
    points_met,
    strike,
    until_it_survives,
)
from prove.report import Row
from prove.runs import Host, Kill
from prove.scenes import SCENES, Scene

IN_SHORT = ("two parts by upload/file", "batch by report")
OFTEN = 200  # kills at moments of chance; under load there are 500 more
# SQLite makes hundreds of writes for a scene, and a kill keeps them all: whichever was the last, its
# log ends in the middle of a transaction. Each scene tries one in so many, beginning elsewhere.
WRITES, ONE_IN = "write,pwrite64,ftruncate", len(SCENES)
# Tried at every other call too; the rest make the same calls in other orders, and try one in a few.
THOROUGH = (
    "two parts by upload/file",
    "split off",
    "a start after a release",
    "batch by report",
)
ONE_IN_A_FEW = 4
EVERY = pytest.mark.parametrize("name", SCENES)


def _kills(scene: Scene, hosts: Hosts) -> list[Kill]:
    found: list[Kill] = []

    def met(host: Host, home: Path) -> Figures:
        found.extend(named_kills(points_met(scene, host, home)))
        return Figures()

    hosts.all([met])
    return found


def _strike_all(scene: Scene, hosts: Hosts, kills: list[Kill]) -> Figures:
    def one(kill: Kill, host: Host, home: Path) -> Figures:
        return strike(scene, kill, host, home) or Figures()

    return hosts.all(partial(one, kill) for kill in kills)


def test_every_named_step_is_met(hosts: Hosts) -> None:
    """By one of the scenes; what none of them meets is listed, with the reason why."""

    def met(scene: Scene, host: Host, home: Path) -> Figures:
        found.update(points_met(scene, host, home))
        return Figures()

    found: Counter[str] = Counter()
    hosts.all(partial(met, scene) for scene in SCENES.values())
    assert POINTS.keys() - found.keys() == UNMET.keys()


@pytest.mark.parametrize("name", IN_SHORT)
def test_killed_at_some_named_steps(name: str, hosts: Hosts, count: Count) -> None:
    """A sample of the steps, the same at each run."""
    kills = _kills(SCENES[name], hosts)
    found = _strike_all(SCENES[name], hosts, kills[3::15])
    count(Row.of(f"named steps, a sample: {name}", found))
    assert found.violations == []
    assert found.points >= len(kills) // 15


@pytest.mark.usefixtures("strace")
def test_killed_at_some_system_calls(hosts: Hosts, count: Count) -> None:
    """Where strace is, it ends the process at a call of its choice."""
    scene, calls = SCENES[IN_SHORT[0]], ((CALLS[0], 7), (CALLS[4], 4))
    found = _strike_all(scene, hosts, [Kill(call=call, nth=nth) for call, nth in calls])
    count(Row.of("system calls, a sample", found))
    assert found.violations == []
    assert found.points == len(calls)


@pytest.mark.prove_full
@EVERY
def test_killed_at_every_named_step(name: str, hosts: Hosts, count: Count) -> None:
    """Before and after every transition and side effect that the scene has."""
    kills = _kills(SCENES[name], hosts)
    found = _strike_all(SCENES[name], hosts, kills)
    count(Row.of(f"kill -9 at named steps: {name}", found))
    assert found.violations == []
    assert found.points > len(kills) * 0.9  # a loaded machine may do a step less: a look, say


@pytest.mark.prove_full
@pytest.mark.usefixtures("strace")
@EVERY
def test_killed_at_every_system_call(name: str, hosts: Hosts, count: Count) -> None:
    """At number 1, 2, 3 … of each kind of call, until the process survives; of some, at a share."""
    number = list(SCENES).index(name)
    each = 1 if name in THOROUGH else ONE_IN_A_FEW
    steps = {call: ONE_IN if call == WRITES else each for call in CALLS}
    found = hosts.all(
        partial(until_it_survives, SCENES[name], call, first=1 + number % step, step=step)
        for call, step in steps.items()
    )
    count(Row.of(f"kill -9 at system calls: {name}", found))
    assert found.violations == []
    assert found.points > len(CALLS)


@pytest.mark.prove_full
def test_killed_at_moments_of_chance(hosts: Hosts, count: Count) -> None:
    """Over all scenes, each with a seed that repeats it."""
    chance = Random(7)  # noqa: S311  (repeatable)
    scenes = [chance.choice(list(SCENES.values())) for _ in range(OFTEN)]
    found = hosts.all(
        partial(at_random, scene, seed=seed, longest=0.3) for seed, scene in enumerate(scenes)
    )
    count(Row.of("kill -9 at moments of chance", found))
    assert found.violations == []
    assert found.points == OFTEN
