"""Random lives of the whole program, short; `make soak` lives longer ones."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test
from lives.machine import Lives, in_memory_only
from lives.road import Meets
from lives.senders import Senders, Shape
from lives.site import Site
from lives.ways import Ways

from revsyncd.pipelines.register import Register

SHORT = settings(
    max_examples=6,
    stateful_step_count=25,
    derandomize=True,
    deadline=None,
    database=None,
    phases=(Phase.generate,),  # a broken one is lived again, and made shorter, by `make soak`
    suppress_health_check=list(HealthCheck),
)


def test_no_random_life_breaks_the_promise() -> None:
    """Whatever happens in whatever order, nothing is lost or posted twice, and all is explained."""
    run_state_machine_as_test(Lives, settings=SHORT)


def a_kill_past_the_last_chunk() -> list[str]:
    """Steps as the machine writes them: a drop, a kill while its answer is awaited, a start."""
    state = Lives()
    state.about = " 2 times"  # what comes of it, not that the ledger knows too little before
    state.begin(seed=3, ways=Ways())
    try:
        state.drop_and_kill(folder="orders", meets=[], ports=2, records=2, sent=True)
        assert not state.running
        state.start(ports=None)
        state.pass_time(seconds=70.0)
        return state.broken()
    finally:
        state.site.close()


def test_without_the_record_before_the_release_a_life_posts_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Negative control: the life that the record keeps right is seen to post twice without it."""
    assert a_kill_past_the_last_chunk() == []
    monkeypatch.setattr(Register, "release", in_memory_only)
    found = a_kill_past_the_last_chunk()
    assert "the tenant holds the content" in found[0]


def test_a_life_is_lived_again_from_its_seed() -> None:
    """The same seed and the same steps lead to the same events in the same order."""
    assert lived(7) == lived(7)
    assert lived(7) != lived(8)


def lived(number: int) -> list[tuple[str, str]]:
    """A life with a trouble, a kill and a restart; its events, with the drops that they are about."""
    site = Site(number)
    try:
        senders = Senders(site)
        site.start()
        for folder in ("orders", "invoices"):
            senders.drop(folder, Shape.GOOD, 5, 0, whole=True)
        site.road.ahead["upload"] = [Meets.LOST, Meets.RESET_EARLY]
        site.pass_time(9.0)
        site.kill_in(site.chance.randrange(10, 90))
        site.pass_time(60.0)
        site.start()
        site.pass_time(60.0)
        return [(line["event"], line.get("drop", "")) for line in site.told.lines]
    finally:
        site.close()
