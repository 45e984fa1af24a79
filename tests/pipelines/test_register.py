from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import anyio
import pytest
from drops import a_drop, a_part, drop_id, parts_in
from ledgers import bring, open_ledger

from revsyncd.adapters.ledger import AlreadyTaken, Ledger
from revsyncd.checks.contract import Problem
from revsyncd.core.drop import Event, State, UnknownMove
from revsyncd.core.errors import NoSpace
from revsyncd.core.part import PartState, UnknownPartMove
from revsyncd.pipelines.register import Register, Wake

S = PartState
Step = Callable[[], Awaitable[object]]
SOON = 30.0  # seconds; what is awaited happens at once, or never


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def register(ledger: Ledger) -> Register:
    return Register(ledger)


def nudged(wake: Wake) -> bool:
    """Whether something was said since the last wait."""
    return wake._event.is_set()


# -- nudges --------------------------------------------------------------------------------------


async def test_a_nudge_before_the_wait_is_not_lost() -> None:
    """Whoever looks, acts and then waits sees what happened meanwhile; and sees it once."""
    wake = Wake()
    wake.nudge()
    wake.nudge()
    with anyio.fail_after(SOON):
        await wake.wait()
    assert not nudged(wake)
    await wake.wait(0)


async def test_a_nudge_ends_the_wait() -> None:
    """The waiter goes on as soon as something changes."""
    wake, woken = Wake(), anyio.Event()

    async def wait() -> None:
        await wake.wait()
        woken.set()

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not woken.is_set()
            wake.nudge()
            await woken.wait()


async def test_one_waiters_patience_is_not_anothers() -> None:
    """When one of two stops waiting, a nudge still reaches the other."""
    wake = Wake()
    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wake.wait)
            await anyio.wait_all_tasks_blocked()
            await wake.wait(0)
            wake.nudge()


async def test_a_nudge_while_another_wakes_is_not_lost() -> None:
    """Two that are woken at once do not swallow what is said between their waking."""
    wake, second = Wake(), anyio.Event()

    async def first() -> None:
        await wake.wait()
        wake.nudge()
        await second.wait()
        await wake.wait()

    async def other() -> None:
        await wake.wait()
        second.set()

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first)
            tasks.start_soon(other)
            await anyio.wait_all_tasks_blocked()
            wake.nudge()


# -- what the register shows ---------------------------------------------------------------------


async def test_a_start_finds_what_is_open_or_held(ledger: Ledger, register: Register) -> None:
    """Held drops too, for late answers and people settle them; what is settled for good is not there."""
    ledger.drops.add(a_drop(1))
    held = bring(ledger, a_drop(2), parts_in(S.IN_DOUBT), State.HELD)
    ledger.drops.note(held, filed=True)
    failed = ledger.drops.move(ledger.drops.add(a_drop(3)), Event.INVALID)
    ledger.drops.note(failed, filed=True)
    ledger.drops.move(ledger.drops.add(a_drop(4)), Event.INVALID)  # still to be filed
    await register.load()
    assert [drop.seq for drop in register] == [1, 2, 4]
    assert [part.state for part in register.parts(drop_id(2))] == [S.IN_DOUBT]
    assert drop_id(3) not in register
    with pytest.raises(KeyError):
        register.drop(drop_id(3))


async def test_a_drop_is_always_as_the_ledger_has_it(ledger: Ledger, register: Register) -> None:
    """After every step, memory and ledger say the same, and whoever waits is told."""
    number = drop_id(1)
    steps: list[Step] = [
        lambda: register.add(a_drop()),
        lambda: register.note(number, "looked", identity=(1, 2, 3)),
        lambda: register.plan(number, parts_in(S.PLANNED, S.PLANNED), size=9),
        lambda: register.move(number, Event.STARTED),
        lambda: register.release(number, 1),
        lambda: register.settle_part(number, 1, S.ACCEPTED, request_id=7),
        lambda: register.release(number, 2),
        lambda: register.settle_part(number, 2, S.STAGED),
        lambda: register.move(number, Event.SET_ASIDE),
        lambda: register.note(number, filed=True),
        lambda: register.settle_part(number, 1, S.STAGED),
    ]
    for step in steps:
        register.changed = Wake()
        await step()
        assert register.drop(number) == ledger.drops.get(number)
        assert register.parts(number) == ledger.drops.parts(number)
        assert nudged(register.changed)


async def test_a_step_that_fails_shows_nowhere(ledger: Ledger, register: Register) -> None:
    """What the ledger did not take, memory does not have."""
    drop = await register.add(a_drop())
    await register.plan(drop.drop, parts_in(S.PLANNED))
    before = register.drop(drop.drop), register.parts(drop.drop)
    with pytest.raises(UnknownMove):
        await register.move(drop.drop, Event.FILED)
    with pytest.raises(UnknownPartMove):
        await register.settle_part(drop.drop, 1, S.STAGED)
    ledger.book.connection.execute("PRAGMA query_only = ON")
    steps: list[Step] = [
        lambda: register.move(drop.drop, Event.STARTED),
        lambda: register.note(drop.drop, size=1),
        lambda: register.release(drop.drop, 1),
    ]
    for step in steps:
        with pytest.raises(NoSpace):
            await step()
    assert (register.drop(drop.drop), register.parts(drop.drop)) == before


async def test_taken_content_is_not_planned(register: Register) -> None:
    """The drop stays claimed and without parts."""
    await register.add(a_drop(1))
    await register.plan(drop_id(1), [a_part()])
    await register.add(a_drop(2))
    with pytest.raises(AlreadyTaken):
        await register.plan(drop_id(2), [a_part(drop=drop_id(2))])
    assert register.drop(drop_id(2)).state is State.CLAIMED
    assert register.parts(drop_id(2)) == []


async def test_only_unsettled_drops_hold_up_others(ledger: Ledger, register: Register) -> None:
    """By folder: claimed, checked and sending; not accepted or held."""
    ledger.drops.add(a_drop(1))
    ledger.drops.add(a_drop(2, folder="events"))
    bring(ledger, a_drop(3), [a_part(sha256="a" * 64)], State.CHECKED)
    bring(ledger, a_drop(4), [a_part(sha256="b" * 64, state=S.ACCEPTED)], State.ACCEPTED)
    bring(ledger, a_drop(5), [a_part(sha256="c" * 64, state=S.IN_DOUBT)], State.HELD)
    await register.load()
    waiting = {folder: [d.seq for d in drops] for folder, drops in register.waiting().items()}
    assert waiting == {"orders": [1, 3], "events": [2]}
    register.reorder(lambda _: "name")
    assert [d.seq for d in register.waiting()["orders"]] == [1, 3]


async def test_accepted_parts_of_held_drops_are_followed(
    ledger: Ledger, register: Register
) -> None:
    """A late answer still settles what was held for its time-out."""
    bring(ledger, a_drop(1), parts_in(S.ACCEPTED, S.STAGED), State.HELD)
    bring(ledger, a_drop(2), [a_part(sha256="a" * 64, state=S.ACCEPTED)], State.ACCEPTED)
    await register.load()
    assert [(d.seq, p.part) for d, p in register.followed()] == [(1, 1), (2, 1)]


async def test_the_follower_is_told_of_what_was_accepted(register: Register) -> None:
    """And of nothing else."""
    drop = await register.add(a_drop())
    await register.plan(drop.drop, parts_in(S.PLANNED))
    await register.release(drop.drop, 1)
    assert not nudged(register.accepted)
    await register.settle_part(drop.drop, 1, S.ACCEPTED)
    assert nudged(register.accepted)


async def test_what_is_settled_for_good_is_let_go(register: Register) -> None:
    """Memory does not grow with the months."""
    drop = await register.add(a_drop())
    await register.plan(drop.drop, parts_in(S.PLANNED))
    async with register.locked(drop.drop):
        await register.move(drop.drop, Event.CANCELLED)
        assert drop.drop in register
        await register.note(drop.drop, "filed", filed=True)
    assert drop.drop not in register
    assert register.parts(drop.drop) == []
    assert register._locks == {}


async def test_a_held_drop_stays_when_it_is_filed(register: Register) -> None:
    """It can be resolved at any time."""
    drop = await register.add(a_drop())
    await register.move(drop.drop, Event.SET_ASIDE)
    await register.note(drop.drop, "filed", filed=True)
    assert register.drop(drop.drop).state is State.HELD


async def test_one_decides_about_a_drop_at_a_time(register: Register) -> None:
    """The lock is the drop's own: others are not held up."""
    decided: list[str] = []

    async def decide(drop: str) -> None:
        async with register.locked(drop):
            decided.append(drop)

    with anyio.fail_after(SOON):
        async with anyio.create_task_group() as tasks, register.locked("a"):
            tasks.start_soon(decide, "a")
            tasks.start_soon(decide, "b")
            await anyio.wait_all_tasks_blocked()
            assert decided == ["b"]
    assert decided == ["b", "a"]


async def test_a_value_written_elsewhere_is_taken_over(ledger: Ledger, register: Register) -> None:
    """As is a plan that is to be made anew."""
    drop = await register.add(a_drop())
    register.refresh(ledger.drops.note(drop, revision=5))
    assert register.drop(drop.drop).revision == 5
    await register.plan(drop.drop, parts_in(S.PLANNED))
    register.forget_plan(drop.drop)
    assert register.parts(drop.drop) == []


async def test_problems_are_kept_in_the_ledger(ledger: Ledger, register: Register) -> None:
    """For the sidecars, which are written again whenever more is learnt."""
    problem = Problem(2, 1, "Amount", "x", "cell.number", "error", "no number")
    await register.found(drop_id(1), (problem,))
    assert ledger.drops.problems(drop_id(1)) == [problem]
