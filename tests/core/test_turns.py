from collections.abc import Iterable

import pytest
from drops import a_drop
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.drop import WAITING, Drop, State
from revsyncd.core.turns import PREPARED_AHEAD, FolderTurns, Line, to_check, to_send

ORDERS = ("arrival", "name", "none")
CORRECTED = a_drop(99).drop


def waiting(*drops: Drop, order: str = "arrival") -> dict[str, Line]:
    """Drops by folder, as the register gives them."""
    found: dict[str, Line] = {}
    for drop in drops:
        found.setdefault(drop.folder, Line(order)).put(drop)
    return found


def folders(*turns: FolderTurns) -> dict[str, FolderTurns]:
    return {turn.name: turn for turn in turns}


def numbers(drops: Iterable[Drop]) -> list[int]:
    return [drop.seq for drop in drops]


def never(_: Drop) -> bool:
    return False


def checked(number: int, **changes: object) -> Drop:
    return a_drop(number, state=State.CHECKED, **changes)


def drops_waiting() -> st.SearchStrategy[list[Drop]]:
    """The waiting drops of one folder, in any states, with any names, some of them corrections."""
    one = st.tuples(
        st.sampled_from(WAITING), st.sampled_from("abc"), st.sampled_from([None, CORRECTED])
    )
    return st.lists(one, min_size=1, max_size=6).map(
        lambda found: [
            a_drop(n, state=state, file=name, correction_of=parent)
            for n, (state, name, parent) in enumerate(found, start=1)
        ]
    )


# -- the order of a folder -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "expected"), [("arrival", [1, 2, 3]), ("name", [3, 1, 2]), ("none", [1, 2, 3])]
)
def test_a_folder_has_its_order(order: str, expected: list[int]) -> None:
    """Arrival is the order of claiming, name that of the dropped files' names."""
    drops = [checked(2, file="c"), checked(1, file="b"), checked(3, file="a")]
    assert numbers(Line(order, drops)) == expected


@pytest.mark.parametrize("order", ORDERS)
def test_what_has_begun_goes_on_and_corrections_come_next(order: str) -> None:
    """A begun drop is not left half sent, and a correction does not wait for the rest."""
    drops = [
        checked(1, file="a"),
        checked(2, file="z", correction_of=CORRECTED),
        a_drop(3, file="zz", state=State.SENDING),
    ]
    assert numbers(Line(order, drops)) == [3, 2, 1]


def test_equal_names_keep_their_arrival() -> None:
    """Two files of one name are sent as they came."""
    drops = [checked(2, file="a"), checked(1, file="a")]
    assert numbers(Line("name", drops)) == [1, 2]


# -- checking ------------------------------------------------------------------------------------


def test_one_drop_of_a_folder_is_checked_at_a_time() -> None:
    """While one is being checked, or rests after a failure, the next waits; other folders do not."""
    drops = waiting(a_drop(1), a_drop(2), a_drop(3, folder="events"))
    both = folders(FolderTurns("orders"), FolderTurns("events"))
    assert numbers(to_check(both, drops, never, 2)) == [1, 3]
    assert numbers(to_check(both, drops, lambda drop: drop.seq == 1, 2)) == [3]


def test_only_a_few_are_prepared_ahead() -> None:
    """Prepared parts take disk space: behind enough of them nothing is checked."""
    prepared = [checked(n) for n in range(1, PREPARED_AHEAD + 1)]
    turns = folders(FolderTurns("orders"))
    assert to_check(turns, waiting(*prepared, a_drop(9)), never, 2) == []
    assert numbers(to_check(turns, waiting(*prepared[1:], a_drop(9)), never, 2)) == [9]


def test_who_comes_first_by_name_is_checked_behind_any_number() -> None:
    """Prepared drops that wait for an earlier name must not keep it from being checked."""
    drops = waiting(checked(1, file="b"), checked(2, file="c"), a_drop(3, file="a"), order="name")
    turns = folders(FolderTurns("orders", "name"))
    assert to_send(turns, drops) == []
    assert numbers(to_check(turns, drops, never, 2)) == [3]


def test_a_correction_is_checked_whatever_waits() -> None:
    """A stopped folder full of prepared drops still takes what it is waiting for."""
    prepared = [checked(n) for n in range(1, PREPARED_AHEAD + 2)]
    turns = folders(FolderTurns("orders", stopped=True))
    drops = waiting(*prepared, a_drop(8), a_drop(9, correction_of=CORRECTED))
    assert numbers(to_check(turns, drops, never, 2)) == [9]


@pytest.mark.parametrize(("slots", "expected"), [(2, [1, 2]), (1, [1]), (0, []), (-1, [])])
def test_no_more_are_checked_than_there_are_slots(slots: int, expected: list[int]) -> None:
    """The oldest drops get the slots, whatever folder they are of; without a slot nothing starts."""
    names = ("c", "b", "a")
    drops = waiting(*(a_drop(n, folder=name) for n, name in enumerate(names, start=1)))
    every = folders(*(FolderTurns(name) for name in sorted(names)))
    assert numbers(to_check(every, drops, never, slots)) == expected


# -- sending -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "expected"), [("arrival", [1]), ("name", [2]), ("none", [1, 2])])
def test_only_without_an_order_do_several_go(order: str, expected: list[int]) -> None:
    """In order, the first of a folder is accepted or settled before the second begins."""
    drops = waiting(checked(1, file="b"), checked(2, file="a"), order=order)
    assert numbers(to_send(folders(FolderTurns("orders", order)), drops)) == expected


@pytest.mark.parametrize(("order", "expected"), [("arrival", []), ("name", []), ("none", [2])])
def test_an_unchecked_first_one_holds_up_the_rest(order: str, expected: list[int]) -> None:
    """A later drop does not overtake one that is still being checked."""
    drops = waiting(a_drop(1, file="a"), checked(2, file="b"), order=order)
    assert numbers(to_send(folders(FolderTurns("orders", order)), drops)) == expected


@pytest.mark.parametrize("order", ORDERS)
def test_a_stop_does_not_hold_what_a_person_took_back(order: str) -> None:
    """A drop that is to be sent by a person's word goes first, and while its folder is stopped, too."""
    taken_back = checked(1, file="b", resolved={"verb": "not-arrived"})
    drops = waiting(taken_back, checked(2, file="a"), order=order)
    turns = folders(FolderTurns("orders", order, stopped=True))
    assert numbers(to_send(turns, drops)) == [1]


def test_a_folder_waits_for_those_it_comes_after() -> None:
    """While an earlier folder has a waiting drop, in whatever state, the later one sends nothing."""
    turns = folders(FolderTurns("customers"), FolderTurns("orders", after=("customers",)))
    for state in WAITING:
        earlier = a_drop(2, folder="customers", state=state)
        sent = to_send(turns, waiting(checked(1), earlier))
        assert {drop.folder for drop in sent} <= {"customers"}
    assert numbers(to_send(turns, waiting(checked(1)))) == [1]


def test_a_paused_folder_sends_nothing_at_all() -> None:
    """Not even what has begun or corrects something; the others go on."""
    drops = waiting(
        a_drop(1, state=State.SENDING),
        checked(2, correction_of=CORRECTED),
        checked(3, folder="events"),
    )
    turns = folders(FolderTurns("orders", paused=True), FolderTurns("events"))
    assert numbers(to_send(turns, drops)) == [3]


@pytest.mark.parametrize(("order", "expected"), [("arrival", [3]), ("none", [3, 2])])
def test_a_stopped_folder_sends_corrections_and_what_has_begun(
    order: str, expected: list[int]
) -> None:
    """After a failure later drops wait; what may mend it goes on."""
    begun = a_drop(3, state=State.SENDING)
    drops = waiting(checked(1), checked(2, correction_of=CORRECTED), begun, order=order)
    turns = folders(FolderTurns("orders", order, stopped=True))
    assert numbers(to_send(turns, drops)) == expected
    assert to_send(turns, waiting(checked(1))) == []


def test_what_has_begun_gets_the_slots_first() -> None:
    """Over all folders: begun drops before new ones, older before newer."""
    drops = waiting(
        checked(1, folder="a"),
        a_drop(3, folder="b", state=State.SENDING),
        a_drop(2, folder="c", state=State.SENDING),
    )
    turns = folders(*(FolderTurns(name) for name in "abc"))
    assert numbers(to_send(turns, drops)) == [2, 3, 1]


# -- no folder comes to a stand ------------------------------------------------------------------


@given(drops=drops_waiting(), order=st.sampled_from(ORDERS))
def test_something_can_always_be_done(drops: list[Drop], order: str) -> None:
    """In a folder that nothing stops, a waiting drop is always due to be checked or sent."""
    turns, lines = folders(FolderTurns("orders", order)), waiting(*drops, order=order)
    assert to_check(turns, lines, never, 2) or to_send(turns, lines)


@given(drops=drops_waiting(), order=st.sampled_from(ORDERS))
def test_a_correction_is_never_stopped_by_a_stop(drops: list[Drop], order: str) -> None:
    """A stopped folder with a correction in it always has a step to take towards it."""
    turns, lines = folders(FolderTurns("orders", order, stopped=True)), waiting(*drops, order=order)
    steps = [*to_check(turns, lines, never, 2), *to_send(turns, lines)]
    allowed = [d for d in drops if d.correction_of or d.state is State.SENDING]
    assert not allowed or any(step in allowed for step in steps)


@given(drops=drops_waiting(), order=st.sampled_from(ORDERS), stopped=st.booleans())
def test_only_checked_and_begun_drops_are_sent(
    *, drops: list[Drop], order: str, stopped: bool
) -> None:
    """Whatever waits, what is sent was checked, and in order it is one of the folder at most."""
    sent = to_send(
        folders(FolderTurns("orders", order, stopped=stopped)), waiting(*drops, order=order)
    )
    assert all(drop.state in (State.CHECKED, State.SENDING) for drop in sent)
    assert order == "none" or len(sent) <= 1
    assert not stopped or all(d.correction_of or d.state is State.SENDING for d in sent)


@given(drops=drops_waiting(), order=st.sampled_from(ORDERS), data=st.data())
def test_a_line_stays_sorted(drops: list[Drop], order: str, data: st.DataObject) -> None:
    """However drops come, change and go, a line is as one made anew of those that wait."""
    line, now = Line(order), {}
    for drop in data.draw(st.permutations(drops)):
        line.put(drop)
        now[drop.seq] = drop
    for drop in drops:
        if data.draw(st.booleans()):
            line.remove(drop)
            line.remove(drop)
            del now[drop.seq]
        elif data.draw(st.booleans()):
            now[drop.seq] = drop.evolve(state=State.SENDING)
            line.put(now[drop.seq])
    assert list(line) == list(Line(order, now.values()))
    assert len(line) == len(now)
