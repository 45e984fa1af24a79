from collections.abc import Iterator
from pathlib import Path

import pytest
from drops import a_drop, a_part, drop_id
from ledgers import bring, open_ledger

from revsyncd.adapters.ledger import AlreadyTaken, Ledger
from revsyncd.core.drop import Drop, Event, State
from revsyncd.core.part import Part, PartState

S = PartState
FILE = "ab" * 32  # the content of the dropped file
PART = "cd" * 32  # and of its part as it is sent

# What the earlier drop is, by its state and those of its parts, and whether it stands in the way.
TAKEN = [
    (State.CHECKED, (S.PLANNED,)),  # in progress
    (State.SENDING, (S.PLANNED,)),
    (State.SENDING, (S.RELEASED,)),
    (State.SENDING, (S.REFUSED, S.PLANNED)),
    (State.ACCEPTED, (S.ACCEPTED,)),
    (State.STAGED, (S.STAGED,)),
    (State.DONE, (S.STAGED,)),
    (State.HELD, (S.IN_DOUBT,)),
    (State.HELD, (S.ACCEPTED,)),  # status_timeout
    (State.HELD, (S.STAGED, S.PLANNED)),
    (State.FAILED, (S.STAGED, S.REFUSED)),  # partly refused
    (State.FAILED, (S.IN_DOUBT,)),  # given up without an answer
]
FREE = [
    (State.FAILED, (S.REFUSED,)),  # failed before anything was taken
    (State.FAILED, (S.REFUSED, S.PLANNED)),
    (State.FAILED, (S.PLANNED,)),  # cancelled
    (State.HELD, (S.PLANNED,)),  # cannot_send, or itself a duplicate
    (State.CLAIMED, ()),  # nothing is known of it yet
]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def the_parts(states: tuple[PartState, ...]) -> list[Part]:
    """Parts in these states; the first one's content is the one that is looked for."""
    return [
        a_part(n, len(states), state, sha256=PART if n == 1 else f"{n:064x}")
        for n, state in enumerate(states, start=1)
    ]


def earlier(ledger: Ledger, state: State, parts: tuple[PartState, ...], **changes: str) -> Drop:
    return bring(ledger, a_drop(1, sha256=FILE, **changes), the_parts(parts), state)


def later(ledger: Ledger, **changes: object) -> Drop:
    """A drop of another folder that is about to be planned."""
    return ledger.drops.add(a_drop(2, **{"folder": "events", **changes}))


def same_file(ledger: Ledger, drop: Drop) -> Drop | None:
    return ledger.drops.same_file(drop.tenant, drop.template_name, FILE, drop.drop)


def one_part(drop: Drop, content: str = PART) -> list[Part]:
    return [a_part(drop=drop.drop, sha256=content)]


@pytest.mark.parametrize(("state", "parts"), TAKEN)
def test_what_is_or_may_be_taken_stands_in_the_way(
    ledger: Ledger, state: State, parts: tuple[PartState, ...]
) -> None:
    """Staged, in doubt or in progress, in any folder: the same file is known, the same part refused."""
    taken = earlier(ledger, state, parts)
    drop = later(ledger)
    found = same_file(ledger, drop)
    assert found is not None
    assert found.drop == taken.drop
    # A refused or unsent first part is free by its content; the file as a whole is not.
    in_progress = state in (State.CHECKED, State.SENDING, State.ACCEPTED)
    if parts[0] is S.REFUSED or (parts[0] is S.PLANNED and not in_progress):
        return
    with pytest.raises(AlreadyTaken) as raised:
        ledger.drops.plan(drop, one_part(drop))
    assert (raised.value.drop, raised.value.part) == (taken.drop, 1)


@pytest.mark.parametrize(("state", "parts"), FREE)
def test_what_was_surely_not_taken_does_not_count(
    ledger: Ledger, state: State, parts: tuple[PartState, ...]
) -> None:
    """A drop that failed before anything of it was taken may be dropped again."""
    earlier(ledger, state, parts)
    drop = later(ledger, sha256=FILE)
    assert same_file(ledger, drop) is None
    assert ledger.drops.plan(drop, one_part(drop)).state is State.CHECKED


@pytest.mark.parametrize(
    "other", [{"tenant": "https://other.example"}, {"template_name": "Event Upload"}]
)
def test_another_tenant_or_template_is_another_thing(ledger: Ledger, other: dict[str, str]) -> None:
    """The same content may be posted once for each tenant and upload template."""
    earlier(ledger, State.DONE, (S.STAGED,))
    drop = later(ledger, sha256=FILE, **other)
    assert same_file(ledger, drop) is None
    assert ledger.drops.plan(drop, one_part(drop)).state is State.CHECKED


def test_other_content_is_no_duplicate(ledger: Ledger) -> None:
    """One byte more makes another file."""
    earlier(ledger, State.DONE, (S.STAGED,))
    drop = later(ledger, sha256="ef" * 32)
    assert ledger.drops.plan(drop, one_part(drop, "ef" * 32)).state is State.CHECKED


def test_a_drop_is_not_its_own_duplicate(ledger: Ledger) -> None:
    """Checked anew, its own earlier plan does not stand in its way."""
    drop = earlier(ledger, State.CHECKED, (S.PLANNED,))
    assert same_file(ledger, drop) is None
    again = ledger.drops.move(drop, Event.START_OVER)
    assert ledger.drops.plan(again, one_part(drop)).state is State.CHECKED


def test_a_refused_plan_reserves_nothing(ledger: Ledger) -> None:
    """When one part is taken, the drop stays as it was and its other parts stay free."""
    earlier(ledger, State.DONE, (S.STAGED,))
    drop, other = later(ledger), "ef" * 32
    free = a_part(1, 2, drop=drop.drop, sha256=other)
    with pytest.raises(AlreadyTaken):
        ledger.drops.plan(drop, [free, a_part(2, 2, drop=drop.drop, sha256=PART)])
    assert ledger.drops.get(drop.drop) == drop
    assert ledger.drops.parts(drop.drop) == []
    third = ledger.drops.add(a_drop(3))
    assert ledger.drops.plan(third, one_part(third, other)).state is State.CHECKED


def test_equal_parts_of_one_drop_are_a_duplicate(ledger: Ledger) -> None:
    """A file that repeats itself part by part would post the same content twice."""
    drop = later(ledger)
    parts = [a_part(n, 2, drop=drop.drop, sha256=PART) for n in (1, 2)]
    with pytest.raises(AlreadyTaken) as raised:
        ledger.drops.plan(drop, parts)
    assert (raised.value.drop, raised.value.part) == (drop.drop, 1)


def test_one_file_in_two_cuts_is_still_one_file(ledger: Ledger) -> None:
    """Two folders that split differently make other parts of the same bytes: planned once."""
    first, second = later(ledger), ledger.drops.add(a_drop(3))
    assert same_file(ledger, first) is None
    assert same_file(ledger, second) is None
    ledger.drops.plan(first, one_part(first), sha256=FILE)
    with pytest.raises(AlreadyTaken) as raised:
        ledger.drops.plan(second, one_part(second, "ef" * 32), sha256=FILE)
    assert raised.value.drop == first.drop


@pytest.mark.parametrize(("state", "parts"), TAKEN)
def test_a_permitted_duplicate_passes(
    ledger: Ledger, state: State, parts: tuple[PartState, ...]
) -> None:
    """What a named person resolved is sent, the second of equal parts included."""
    earlier(ledger, state, parts)
    drop = later(ledger, permitted=("duplicate",), sha256=FILE)
    two = [a_part(n, 2, drop=drop.drop, sha256=PART) for n in (1, 2)]
    planned = ledger.drops.plan(drop, two)
    for part in two:
        assert ledger.drops.release(planned, part).state is S.RELEASED


@pytest.mark.parametrize("state", [S.RELEASED, S.ACCEPTED, S.STAGED, S.IN_DOUBT])
def test_a_release_looks_once_more(ledger: Ledger, state: PartState) -> None:
    """What became taken after the plan, while the drop was held, keeps its parts from going."""
    held = bring(ledger, a_drop(1), the_parts((S.PLANNED,)), State.HELD)
    bring(ledger, a_drop(2), the_parts((state,)), State.SENDING)
    again = ledger.drops.move(held, Event.SENT_AGAIN)
    with pytest.raises(AlreadyTaken) as raised:
        ledger.drops.release(again, ledger.drops.parts(held.drop)[0])
    assert raised.value.drop == drop_id(2)
    assert ledger.drops.parts(held.drop)[0].state is S.PLANNED


def test_two_plans_of_equal_content_release_it_once(ledger: Ledger) -> None:
    """Whichever of two taken-back drops is released first keeps the other here."""
    one = bring(ledger, a_drop(1), the_parts((S.PLANNED,)), State.HELD)
    two = bring(ledger, a_drop(2), the_parts((S.PLANNED,)), State.HELD)
    one, two = (ledger.drops.move(drop, Event.SENT_AGAIN) for drop in (one, two))
    ledger.drops.release(two, ledger.drops.parts(two.drop)[0])
    with pytest.raises(AlreadyTaken):
        ledger.drops.release(one, ledger.drops.parts(one.drop)[0])


def test_a_refused_part_frees_its_content(ledger: Ledger) -> None:
    """What the tenant definitely refused may be released by another drop."""
    held = bring(ledger, a_drop(1), the_parts((S.PLANNED,)), State.HELD)
    bring(ledger, a_drop(2), the_parts((S.REFUSED,)), State.FAILED)
    again = ledger.drops.move(held, Event.SENT_AGAIN)
    assert ledger.drops.release(again, ledger.drops.parts(held.drop)[0]).state is S.RELEASED
