import json

import pytest
from drops import a_drop, drop_id
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.drop import (
    MOVES,
    OPEN,
    WAITING,
    Checked,
    Drop,
    Ending,
    Event,
    Reason,
    State,
    UnknownMove,
    advance,
    count,
)
from revsyncd.core.errors import RevsyncdError

# What Linux takes as a name, as Python shows it: bytes that are not UTF-8 become surrogates.
NAMES = st.binary(min_size=1, max_size=60).map(lambda b: b.decode("utf-8", "surrogateescape"))
UNKNOWN = [(state, event) for state in State for event in Event if event not in MOVES[state]]


def reachable(first: State) -> set[State]:
    """Every state that some life leads to."""
    found, new = {first}, {first}
    while new:
        new = {following for state in new for following in MOVES[state].values()} - found
        found |= new
    return found


def test_every_state_has_its_row() -> None:
    """The table leaves no state and no event out."""
    assert set(MOVES) == set(State)
    assert {event for row in MOVES.values() for event in row} == set(Event)


def test_every_state_is_reached_from_a_claim() -> None:
    """No state is there that no drop can come to."""
    assert reachable(State.CLAIMED) == set(State)


def test_only_done_and_failed_are_the_end() -> None:
    """A drop that is done or failed stays so, and every other has a way on."""
    assert {state for state, row in MOVES.items() if not row} == {State.DONE, State.FAILED}


@pytest.mark.parametrize("state", [s for s in State if s not in (State.DONE, State.FAILED)])
def test_every_drop_can_still_be_settled(state: State) -> None:
    """From everywhere there is a way to an end and, but for filing what is staged, to failed."""
    ends = reachable(state) & {State.DONE, State.FAILED}
    assert ends == ({State.DONE} if state is State.STAGED else {State.DONE, State.FAILED})


@pytest.mark.parametrize("state", [s for s in OPEN if s is not State.STAGED])
def test_whatever_is_open_can_be_set_aside(state: State) -> None:
    """A doubt may come up anywhere on the way, and then the drop is held."""
    assert advance(state, Event.SET_ASIDE) is State.HELD


def test_nothing_is_cancelled_after_it_was_accepted() -> None:
    """Cancelling stops a drop only while nothing of it was released."""
    assert {s for s in State if Event.CANCELLED in MOVES[s]} == set(WAITING)


def test_only_a_whole_drop_is_done() -> None:
    """Done is filed from staged, and staged comes from all parts staged or nothing to send."""
    assert [(s, e) for s, row in MOVES.items() for e in row if row[e] is State.DONE] == [
        (State.STAGED, Event.FILED)
    ]
    ways = {e for row in MOVES.values() for e in row if row[e] is State.STAGED}
    assert ways == {Event.ALL_STAGED, Event.NOTHING_TO_SEND}


@pytest.mark.parametrize(("state", "event"), UNKNOWN)
def test_an_unknown_move_names_all_three(state: State, event: Event) -> None:
    """The error says which state, which event, and what would have been possible."""
    with pytest.raises(UnknownMove) as raised:
        advance(state, event)
    words = str(raised.value)
    assert f"a {state} drop" in words
    assert str(event) in words
    assert words.endswith(", ".join(MOVES[state]) or "nothing")


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_a_life_follows_the_table_and_nothing_else(events: list[Event]) -> None:
    """Whatever happens in whatever order, a drop moves as the table says or not at all."""
    state = State.CLAIMED
    for event in events:
        before = state
        try:
            state = advance(state, event)
        except UnknownMove:
            assert event not in MOVES[before]
        else:
            assert MOVES[before][event] is state


@given(file=NAMES, name=NAMES)
def test_a_drop_survives_the_ledger(file: str, name: str) -> None:
    """What is written as JSON is read back equal, whatever bytes the names have."""
    checked = Checked(
        encoding="utf-8",
        records=3,
        by_code={"cell.number": 1},
        totals={"Amount": "1.10"},
        totals_by=({"Curr": "USD", "records": 3},),
        rejected=((2, 2), (5, 9)),
    )
    drop = a_drop(
        file=file,
        name=name,
        state=State.HELD,
        checked=checked,
        ending=Ending(Reason.IN_DOUBT, "lost", "look"),
        permitted=("duplicate",),
        resolved={"verb": "arrived", "by": "anna"},
        settled_at=1.5,
    )
    written = json.dumps(drop.to_json())
    assert written.isascii()
    assert Drop.from_json(json.loads(written)) == drop


def test_a_fresh_drop_survives_the_ledger() -> None:
    """A drop without checks and ending is read back equal."""
    drop = a_drop()
    read = Drop.from_json(json.loads(json.dumps(drop.to_json())))
    assert read == drop
    assert isinstance(read.state, State)


def test_facts_of_a_newer_release_are_refused() -> None:
    """Facts that would be lost by writing the drop again are named, not dropped."""
    with pytest.raises(RevsyncdError, match="does not know: shiny") as raised:
        Drop.from_json({**a_drop().to_json(), "shiny": 1})
    assert raised.value.hint


def test_facts_that_an_older_release_did_not_write_have_defaults() -> None:
    """A drop written before a fact existed is read as if it had none."""
    data = a_drop().to_json()
    for name in ("duplicate_of", "permitted", "identity", "checked", "ending"):
        del data[name]
    read = Drop.from_json(data)
    assert (read.duplicate_of, read.permitted, read.identity) == (None, (), ())


@pytest.mark.parametrize("state", State)
def test_a_drop_is_open_until_it_is_settled_and_filed(state: State) -> None:
    """What is settled but not yet filed is still the program's to do."""
    assert a_drop(state=state, filed=False).open
    assert a_drop(state=state, filed=True).open is (state in OPEN)


def test_the_next_step_names_the_drop_and_its_sidecars() -> None:
    """Commands in it can be copied, and files in it are called as they are."""
    step = "Look at <file>.errors.csv, then `revsyncd resolve DROP --send`."
    drop = a_drop(name="a b.csv", ending=Ending(Reason.DUPLICATE, "", step))
    assert drop.next_step == (
        f'Look at a b.csv.errors.csv, then `revsyncd resolve {drop_id(1)} --send --reason "…"`.'
    )


def test_a_file_called_drop_keeps_its_name() -> None:
    """Only the command's placeholder is replaced, not a part of a name that reads the same."""
    step = "Look for DROPS.p001of001.csv and <file>.errors.csv, then `revsyncd resolve DROP --send`"
    words = a_drop(name="ERP_DROP.csv", ending=Ending(Reason.IN_DOUBT, "", step)).next_step
    assert words == (
        "Look for DROPS.p001of001.csv and ERP_DROP.csv.errors.csv, then"
        f' `revsyncd resolve {drop_id(1)} --send --reason "…"`'
    )


def test_a_drop_without_an_ending_has_no_reason_and_no_next_step() -> None:
    """While it is on its way nobody has to do anything."""
    assert (a_drop().reason, a_drop().next_step) == (None, "")


def test_ranges_count_both_ends() -> None:
    """A range of one record is one record."""
    assert count(((1, 1), (5, 7))) == 4
    assert count(()) == 0
    assert Checked(rejected=((2, 3),)).rejected_records == 2
