from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import open_ledger
from logs import Lines, logged
from stand_ins import SetClock

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.errors import NoSpace
from revsyncd.core.events import EVENTS
from revsyncd.pipelines.conditions import (
    DISK,
    EVERYWHERE,
    FOLDER_MISSING,
    PAUSED,
    SERVICE_FAILED,
    SORTS,
    STOPPED,
    TENANT_PAUSED,
    UNREACHABLE,
    Conditions,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def conditions(ledger: Ledger, clock: SetClock) -> Conditions:
    return Conditions(ledger, clock)


@pytest.fixture
def log() -> Iterator[Lines]:
    with logged() as lines:
        yield lines


def full(ledger: Ledger, *, now: bool) -> None:
    """Whether the ledger can't be written, as on a full disk."""
    ledger.book.connection.execute(f"PRAGMA query_only = {'ON' if now else 'OFF'}")


def kinds(ledger: Ledger) -> list[tuple[str, str]]:
    return [(c.kind, c.scope) for c in ledger.conditions.all()]


async def test_a_condition_is_told_when_it_begins_and_when_it_ends(
    conditions: Conditions, clock: SetClock, log: Lines
) -> None:
    """However often it is met in between, the log has two lines, the second with how long it held."""
    for _ in range(3):
        await conditions.begin(FOLDER_MISSING, "orders", message="not there", hint="mount it")
        clock.go_on(10)
    for _ in range(3):
        await conditions.end(FOLDER_MISSING, "orders")
    named = {"folder": "orders", "reason": "folder.missing"}
    assert log() == [
        {"level": "warning", "event": "folder.missing"}
        | named
        | {"error": "not there", "hint": "mount it"},
        {"level": "info", "event": "folder.resumed"} | named | {"seconds": 30},
    ]


async def test_other_words_for_a_condition_are_kept_but_not_told(
    conditions: Conditions, ledger: Ledger, log: Lines
) -> None:
    """`status` shows the newest message, and since when it holds."""
    await conditions.begin(UNREACHABLE, message="no route")
    first = conditions.get(UNREACHABLE)
    await conditions.begin(UNREACHABLE, message="time-out", hint="wait")
    (known,) = ledger.conditions.all()
    assert first is not None
    assert (known.message, known.hint, known.since) == ("time-out", "wait", first.since)
    assert [line["event"] for line in log()] == ["tenant.unreachable"]


async def test_scopes_are_told_apart(conditions: Conditions) -> None:
    """What holds for one folder says nothing of another, but what holds everywhere does."""
    await conditions.begin(PAUSED, "orders", message="by anna")
    assert conditions.paused("orders")
    assert not conditions.paused("events")
    assert not conditions.holds(PAUSED)
    await conditions.begin(PAUSED, message="by bob")
    assert conditions.paused("events")
    await conditions.end(PAUSED, "orders")
    assert conditions.paused("orders")


async def test_the_oldest_comes_first(conditions: Conditions, clock: SetClock) -> None:
    """Whoever looks sees first what has lasted longest."""
    await conditions.begin(TENANT_PAUSED, message="405")
    clock.go_on(-5)
    await conditions.begin(PAUSED, "orders", message="by anna")
    assert [c.kind for c in conditions.all()] == [PAUSED, TENANT_PAUSED]


async def test_a_start_keeps_what_a_person_has_to_lift(
    conditions: Conditions, ledger: Ledger, clock: SetClock, log: Lines
) -> None:
    """Pauses and stops survive a restart, silently and with their facts; the rest is found anew."""
    await conditions.begin(PAUSED, message="period close")
    await conditions.begin(STOPPED, "orders", message="failed", drop="X")
    await conditions.begin(TENANT_PAUSED, message="405")
    told = len(log())
    again = Conditions(ledger, clock)
    await again.load()
    assert {(c.kind, c.scope) for c in again.all()} == {(PAUSED, EVERYWHERE), (STOPPED, "orders")}
    stopped = again.get(STOPPED, "orders")
    assert stopped is not None
    assert stopped.facts == {"drop": "X"}
    assert kinds(ledger) == [(c.kind, c.scope) for c in again.all()]
    assert len(log()) == told


async def test_facts_stand_in_the_log(conditions: Conditions, log: Lines) -> None:
    """A service is named as one, and who ended a pause is said."""
    await conditions.begin(SERVICE_FAILED, "token", message="m")
    await conditions.begin(PAUSED, message="m")
    await conditions.end(PAUSED, by="anna")
    first, second, third = log()
    assert first["service"] == "token"
    assert "folder" not in second
    assert (third["event"], third["by"]) == ("folder.resumed", "anna")


async def test_a_full_disk_can_be_told(conditions: Conditions, ledger: Ledger, log: Lines) -> None:
    """What passes holds and is logged although the ledger can't be written; that is caught up later."""
    await conditions.begin(UNREACHABLE, message="no route")
    full(ledger, now=True)
    await conditions.begin(DISK, message="full")
    await conditions.end(UNREACHABLE)
    assert conditions.holds(DISK)
    assert not conditions.holds(UNREACHABLE)
    assert kinds(ledger) == [(UNREACHABLE, EVERYWHERE)]
    full(ledger, now=False)
    await conditions.begin(FOLDER_MISSING, "orders", message="m")
    assert set(kinds(ledger)) == {(DISK, EVERYWHERE), (FOLDER_MISSING, "orders")}
    await conditions.end(DISK)
    assert kinds(ledger) == [(FOLDER_MISSING, "orders")]
    assert [line["event"] for line in log()] == [
        "tenant.unreachable",
        "disk.trouble",
        "tenant.resumed",
        "folder.missing",
        "disk.mended",
    ]


async def test_what_lasts_holds_only_once_it_is_written(
    conditions: Conditions, ledger: Ledger, log: Lines
) -> None:
    """A pause that a restart would forget was not taken, and its end that it would undo neither."""
    full(ledger, now=True)
    with pytest.raises(NoSpace):
        await conditions.begin(PAUSED, message="period close")
    assert not conditions.holds(PAUSED)
    full(ledger, now=False)
    await conditions.begin(PAUSED, message="period close")
    full(ledger, now=True)
    with pytest.raises(NoSpace):
        await conditions.end(PAUSED)
    assert conditions.holds(PAUSED)
    with pytest.raises(NoSpace):
        await conditions.begin(PAUSED, message="other words")
    known = conditions.get(PAUSED)
    assert known is not None
    assert known.message == "period close"
    full(ledger, now=False)
    await conditions.end(PAUSED)
    assert ledger.conditions.all() == []
    assert [line["event"] for line in log()] == ["folder.paused", "folder.resumed"]


def test_every_condition_is_told_by_known_events() -> None:
    """People filter by these words."""
    assert {word for sort in SORTS.values() for word in (sort.begins, sort.ends)} <= EVENTS
