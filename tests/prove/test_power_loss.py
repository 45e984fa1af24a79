"""Power lost at any moment, the daemon keeps its promise on what the disk still holds."""

from functools import partial

import pytest
from prove.counting import Count
from prove.durable import Reading
from prove.kills import Hosts
from prove.power import losses
from prove.report import Row
from prove.scenes import SCENES

pytestmark = pytest.mark.usefixtures("strace")
SAMPLE = (("two parts by csv/upload", Reading.ORDERED), ("batch by report", Reading.STRICT))


def test_power_is_lost_at_some_moments(hosts: Hosts, count: Count) -> None:
    """Every sixteenth state of the disk."""
    found = hosts.all(partial(losses, SCENES[name], reading, every=16) for name, reading in SAMPLE)
    count(Row.of("power loss, a sample", found))
    assert found.violations == []
    assert found.points > 3


@pytest.mark.prove_full
@pytest.mark.parametrize("reading", Reading, ids=lambda reading: reading.name.lower())
def test_power_is_lost_at_every_moment(reading: Reading, hosts: Hosts, count: Count) -> None:
    """Every state of the disk and of the tenant that a run goes through, each tried once."""
    found = hosts.all(partial(losses, scene, reading) for scene in SCENES.values())
    count(Row.of(f"power loss: {reading.value}", found))
    assert found.violations == []
    assert found.points > 100
