"""Who says that the daemon is alive."""

from pathlib import Path

import anyio
import pytest
from bench import PATIENCE, Bench, bench

from revsyncd.core.errors import NoSpace
from revsyncd.pipelines import pulse
from revsyncd.pipelines.pulse import Pulse


class Clock:
    """A clock that stands until it is told to go on."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


def still(it: Bench) -> Clock:
    """Let the instance have such a clock."""
    it.instance.clock = clock = Clock()
    return clock


async def test_beats_come_from_the_ledger_and_from_the_inbound_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who goes on is heard of at the next beat; who does not is named after a while."""
    async with bench(tmp_path, monkeypatch) as it, it.outbound():
        clock, rounds = still(it), [0]
        heart = Pulse(it.instance, lambda: rounds[0])
        clock.seconds += pulse.LONGEST
        assert heart.missing() == []
        clock.seconds += 1
        assert len(heart.missing()) == 2
        await heart.beat()
        assert heart.missing() == ["the inbound pipeline has shown no progress for 91 s"]
        rounds[0] += 1
        await heart.beat()
        assert heart.missing() == []


async def test_an_idle_inbound_pipeline_answers_a_beat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes round once more because it was asked, and not by a clock of its own."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        inbound = it.daemon._inbound
        await anyio.wait_all_tasks_blocked()
        before = inbound.rounds
        await it.daemon._vitals.pulse.beat()
        with anyio.fail_after(PATIENCE):
            while inbound.rounds == before:
                await anyio.lowlevel.checkpoint()


async def test_a_ledger_that_cant_be_read_gives_no_sign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog is not fed then, and it is asked again."""
    async with bench(tmp_path, monkeypatch) as it, it.outbound():
        clock = still(it)
        heart, told, tries = Pulse(it.instance, lambda: 0), [0], [0]

        def head() -> tuple[int, str]:
            tries[0] += 1
            if tries[0] < 3:
                raise NoSpace("busy")
            return 0, ""

        monkeypatch.setattr(it.instance.ledger.book, "head", head)
        beaten = anyio.Event()

        def tell() -> None:
            told[0] += 1
            beaten.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heart.keep, 0.001, tell)
            with anyio.fail_after(PATIENCE):
                await beaten.wait()
            tasks.cancel_scope.cancel()
        assert tries[0] == 3
        assert told[0] == 1
        clock.seconds += pulse.LONGEST + 1
        assert heart.missing()[0].startswith("the ledger")


async def test_an_inbound_pipeline_that_stands_ends_the_sign_of_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though loop and ledger go on, the service manager hears nothing until it goes round again."""
    async with bench(tmp_path, monkeypatch) as it, it.outbound():
        clock, rounds, told = still(it), [0], anyio.Event()
        heart = Pulse(it.instance, lambda: rounds[0])
        clock.seconds += pulse.LONGEST + 1
        beats = 0
        beat = heart.beat

        async def counted() -> None:
            nonlocal beats
            await beat()
            beats += 1
            if beats == 3:
                assert not told.is_set()
                rounds[0] += 1

        monkeypatch.setattr(heart, "beat", counted)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(heart.keep, 0.001, told.set)
            with anyio.fail_after(PATIENCE):
                await told.wait()
            tasks.cancel_scope.cancel()
        assert beats == 4
