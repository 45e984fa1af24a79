import json
from itertools import product

import pytest
from drops import RECORDS, a_part, parts_in

from revsyncd.core.drop import Reason
from revsyncd.core.part import (
    PART_MOVES,
    Part,
    PartState,
    UnknownPartMove,
    records_in,
    released,
)

S = PartState
ALLOWED = [
    (a, b) for a, row in PART_MOVES.items() for b in sorted(row)
]  # one order for all processes
FORBIDDEN = [pair for pair in product(S, S) if pair not in ALLOWED]


def test_every_state_has_its_row() -> None:
    """The table of moves leaves no state out."""
    assert set(PART_MOVES) == set(S)


def test_staged_and_refused_are_final() -> None:
    """What the tenant has, or has refused, no answer and no person changes any more."""
    assert {state for state, row in PART_MOVES.items() if not row} == {S.STAGED, S.REFUSED}


def test_only_what_is_surely_here_is_released() -> None:
    """A last chunk goes only for a part that is surely not at the tenant."""
    assert [state for state, row in PART_MOVES.items() if S.RELEASED in row] == [S.PLANNED]


def test_what_was_accepted_is_never_planned_again() -> None:
    """What arrived under an id is sent again only by way of a doubt and a person's word."""
    assert S.PLANNED not in PART_MOVES[S.ACCEPTED]
    assert [state for state, row in PART_MOVES.items() if S.PLANNED in row] == [
        S.RELEASED,
        S.IN_DOUBT,
    ]


@pytest.mark.parametrize(("before", "after"), ALLOWED)
def test_a_part_moves_as_the_table_says(before: PartState, after: PartState) -> None:
    """A move changes the state and the facts named with it, and nothing else."""
    part = a_part(state=before, message="old")
    moved = part.become(after, message="new")
    assert moved == a_part(state=after, message="new")


@pytest.mark.parametrize(("before", "after"), FORBIDDEN)
def test_any_other_move_is_named_as_an_error(before: PartState, after: PartState) -> None:
    """The error names part, drop and both states."""
    with pytest.raises(UnknownPartMove, match=f"part 1 of 01J.* is {before}, not to be {after}"):
        a_part(state=before).become(after)


@pytest.mark.parametrize("doubt", [None, *Reason])
@pytest.mark.parametrize("request_id", [None, 10001, "a-7"])
def test_a_part_survives_the_ledger(doubt: Reason | None, request_id: int | str | None) -> None:
    """What is written as JSON is read back equal; an id that is text stays text."""
    part = a_part(
        2,
        3,
        S.IN_DOUBT,
        doubt=doubt,
        request_id=request_id,
        ranges=((1, 4), (6, 9)),
        accepted_at=1.5,
    )
    assert Part.from_json(json.loads(json.dumps(part.to_json()))) == part


def test_the_first_record_is_that_of_the_dropped_file() -> None:
    """Records left out before it count, for the number is the file's."""
    assert a_part(ranges=((7, 9), (11, 12))).first_record == 7


def test_records_are_counted_by_state() -> None:
    """Several states may be asked for at once."""
    parts = parts_in(S.STAGED, S.REFUSED, S.STAGED, S.PLANNED)
    assert records_in(parts, S.STAGED) == 2 * RECORDS
    assert records_in(parts, S.REFUSED, S.PLANNED) == 2 * RECORDS
    assert records_in(parts, S.IN_DOUBT) == 0


@pytest.mark.parametrize("state", S)
def test_only_planned_and_refused_are_surely_not_there(state: PartState) -> None:
    """Anything else may have reached the tenant, one part being enough."""
    assert released(parts_in(S.PLANNED, state)) is (state not in (S.PLANNED, S.REFUSED))
    assert not released([])
