import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from drops import a_drop, a_part, drop_id, parts_in
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledgers import Clock, bring, open_ledger

from revsyncd.adapters.ledger import Ledger
from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.drops import Drops
from revsyncd.checks.contract import Problem
from revsyncd.core.drop import Drop, Ending, Event, Reason, State, UnknownMove
from revsyncd.core.errors import NoSpace
from revsyncd.core.part import Part, PartState, UnknownPartMove

S = PartState
NAMES = st.binary(min_size=1, max_size=60).map(lambda b: b.decode("utf-8", "surrogateescape"))
DUPLICATE = Ending(Reason.DUPLICATE, "seen before", "say so")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def everything(ledger: Ledger) -> list[str]:
    """All that the ledger holds, to be compared."""
    return list(ledger.book.connection.iterdump())


def events(ledger: Ledger, drop: Drop) -> list[str]:
    return [row.event for row in ledger.drops.history(drop.drop)]


# -- a step is recorded whole --------------------------------------------------------------------


def test_a_life_is_recorded_step_by_step(ledger: Ledger) -> None:
    """Each step of a drop and its parts stands in the history, in order, with its facts."""
    drops = ledger.drops
    drop = drops.plan(drops.add(a_drop()), [a_part()])
    released = drops.release(drop, a_part())
    drop = drops.move(drop, Event.STARTED)
    accepted = drops.settle_part(drop, released, S.ACCEPTED, request_id=7, accepted_at=2.5)
    drops.settle_part(drop, accepted, S.STAGED)
    drop = drops.move(drop, Event.ALL_STAGED, ending=Ending(Reason.STAGED, "10 records"))
    drop = drops.note(drop, "filed", place="orders/done", filed=False)
    drop = drops.move(drop, Event.FILED, filed=True)
    assert events(ledger, drop) == [
        "claimed",
        "passed",
        "released",
        "started",
        "accepted",
        "staged",
        "all staged",
        "filed",
        "filed",
    ]
    history = drops.history(drop.drop)
    assert history[2].facts["sha256"] == a_part().sha256
    assert history[6].facts["reason"] == "staged"
    assert [row.part for row in history] == [None, None, 1, None, 1, 1, None, None, None]
    assert [row.at for row in history] == sorted(row.at for row in history)
    assert drops.get(drop.drop) == drop
    assert drops.parts(drop.drop)[0].request_id == 7


def writes(ledger: Ledger) -> dict[str, Callable[[], object]]:
    """Every way to write about a drop, each possible now."""
    drops = ledger.drops
    drop = bring(ledger, a_drop(1), parts_in(S.RELEASED, S.PLANNED), State.SENDING)
    claimed = drops.add(a_drop(2))
    released, planned = drops.parts(drop.drop)
    other = a_part(1, 1, drop=claimed.drop, sha256="f" * 64)
    return {
        "add": lambda: drops.add(a_drop(3)),
        "move": lambda: drops.move(drop, Event.SET_ASIDE, ending=DUPLICATE),
        "note": lambda: drops.note(drop, "what", revision=9),
        "found": lambda: drops.found(drop.drop, [Problem(1, 1, "", "", "x", "error", "")]),
        "plan": lambda: drops.plan(claimed, [other]),
        "release": lambda: drops.release(drop, planned),
        "settle_part": lambda: drops.settle_part(drop, released, S.ACCEPTED),
    }


def failure(step: Callable[[], object]) -> Exception | None:
    try:
        step()
    except sqlite3.Error as error:
        return error
    return None


@pytest.mark.parametrize("table", ["drops", "parts", "findings", "history"])
@pytest.mark.parametrize("what", ["INSERT", "UPDATE"])
def test_a_step_that_fails_anywhere_leaves_nothing(ledger: Ledger, table: str, what: str) -> None:
    """Whichever of a step's writes fails, none of it is kept; the next try does all of it."""
    steps = writes(ledger)
    before = everything(ledger)
    connection, failed = ledger.book.connection, set()
    for name, step in steps.items():
        connection.execute(
            f"CREATE TEMP TRIGGER broken BEFORE {what} ON main.{table}"
            " BEGIN SELECT RAISE(ABORT, 'no more'); END"
        )
        error = failure(step)
        if error is not None:
            assert "no more" in str(error)
            assert everything(ledger) == before
            failed.add(name)
        connection.execute("DROP TRIGGER temp.broken")
        before = everything(ledger)
    for name in sorted(failed):
        steps[name]()
    writers = {
        "INSERT drops": {"add"},
        "UPDATE drops": {"add", "move", "note", "plan"},
        "INSERT parts": {"plan", "release", "settle_part"},
        "INSERT findings": {"found"},
        "INSERT history": set(steps) - {"found"},
    }
    assert failed == writers.get(f"{what} {table}", set())


def test_a_move_that_the_table_lacks_changes_nothing(ledger: Ledger) -> None:
    """An unknown move is an error before anything is written."""
    drop = ledger.drops.add(a_drop())
    before = everything(ledger)
    with pytest.raises(UnknownMove):
        ledger.drops.move(drop, Event.FILED)
    with pytest.raises(UnknownMove):
        ledger.drops.plan(drop.evolve(state=State.SENDING), [a_part()])
    with pytest.raises(UnknownPartMove):
        ledger.drops.release(drop, a_part(state=S.STAGED))
    with pytest.raises(UnknownPartMove):
        ledger.drops.settle_part(drop, a_part(state=S.STAGED), S.PLANNED)
    assert everything(ledger) == before


def test_a_release_is_on_disk_before_it_returns(tmp_path: Path) -> None:
    """When the head is about to be written, a copy of the files shows the part as released."""
    (tmp_path / "state").mkdir()
    seen: list[list[tuple[object, ...]]] = []

    def copied() -> None:
        shutil.copytree(tmp_path / "state", tmp_path / "copy")
        with closing(Book.open(tmp_path / "copy")) as copy:
            seen.append(copy.rows("SELECT state FROM parts"))

    with closing(Book.open(tmp_path / "state")) as book:
        drops = Drops(book, Clock().now, copied)
        drop = drops.plan(drops.add(a_drop()), [a_part()])
        assert drops.release(drop, a_part()).state is S.RELEASED
    assert seen == [[("released",)]]


def test_a_release_whose_proof_can_not_be_written_is_taken_back(tmp_path: Path) -> None:
    """What surely stays here must not look, after a restart, as if it had gone."""

    def full() -> None:
        raise NoSpace("the root is full")

    (tmp_path / "state").mkdir()
    with closing(Book.open(tmp_path / "state")) as book:
        drops = Drops(book, Clock().now, full)
        drop = drops.plan(drops.add(a_drop()), [a_part()])
        with pytest.raises(NoSpace):
            drops.release(drop, a_part())
        assert drops.parts(drop.drop) == [a_part()]
        history = [row.event for row in drops.history(drop.drop)]
        assert history == ["claimed", "passed", "released", "planned"]


def test_the_head_is_written_for_what_it_has_to_prove(tmp_path: Path) -> None:
    """After each release and each filing, and for nothing else."""
    written: list[int] = []
    (tmp_path / "state").mkdir()
    with closing(Book.open(tmp_path / "state")) as book:
        drops = Drops(book, Clock().now, lambda: written.append(book.head()[0]))
        drop = drops.plan(drops.add(a_drop()), [a_part()])
        assert written == []
        part = drops.release(drop, a_part())
        assert written == [3]
        drop = drops.move(drop, Event.STARTED)
        drops.settle_part(drop, part, S.STAGED)
        drop = drops.move(drop, Event.ALL_STAGED)
        assert written == [3]
        drops.move(drop, Event.FILED, filed=True)
        assert written == [3, 7]


def test_a_held_drop_is_proven_when_it_is_filed(ledger: Ledger) -> None:
    """Filing without a move writes the head, too."""
    drop = bring(ledger, a_drop(), parts_in(S.PLANNED), State.HELD)
    head = Path(ledger.book.path).parents[1] / "root/.revsyncd/ledger.json"
    before = json.loads(head.read_text())["head"]
    ledger.drops.note(drop, "filed", filed=True)
    assert json.loads(head.read_text())["head"] == ledger.book.head()[0] > before


@pytest.mark.parametrize(("state", "filed"), [(State.HELD, False), (State.ACCEPTED, True)])
def test_news_of_a_held_drop_want_a_new_report(
    ledger: Ledger, state: State, *, filed: bool
) -> None:
    """In one step with the news: whoever is killed behind it would else leave the old report for good."""
    drop = bring(ledger, a_drop(), parts_in(S.ACCEPTED, S.IN_DOUBT), state)
    drop = ledger.drops.note(drop, filed=True)
    (part, _) = ledger.drops.parts(drop.drop)
    ledger.drops.settle_part(drop, part, S.STAGED)
    assert ledger.drops.get(drop.drop) == drop.evolve(filed=filed)


# -- a plan and a plan anew ----------------------------------------------------------------------


@pytest.mark.parametrize("goes", [State.CHECKED, State.SENDING, State.HELD])
def test_starting_over_forgets_the_plan(ledger: Ledger, goes: State) -> None:
    """Parts that are to be prepared anew are no part of a later report."""
    drop = bring(ledger, a_drop(), parts_in(S.PLANNED, S.REFUSED), goes)
    drop = ledger.drops.move(drop, Event.START_OVER)
    assert ledger.drops.parts(drop.drop) == []
    ledger.drops.plan(drop, [a_part(1, 1, sha256="e" * 64)])
    assert [part.of for part in ledger.drops.parts(drop.drop)] == [1]


@pytest.mark.parametrize("state", [S.RELEASED, S.ACCEPTED, S.IN_DOUBT, S.STAGED])
def test_what_may_be_at_the_tenant_is_never_forgotten(ledger: Ledger, state: PartState) -> None:
    """Identities of what was sent outlive every plan: such a drop can't start over."""
    drop = bring(ledger, a_drop(), parts_in(state, S.PLANNED), State.SENDING)
    before = everything(ledger)
    with pytest.raises(UnknownMove, match="were released"):
        ledger.drops.move(drop, Event.START_OVER)
    with pytest.raises(UnknownMove, match="were released"):
        ledger.drops.plan(drop.evolve(state=State.CLAIMED, permitted=("duplicate",)), [a_part()])
    assert everything(ledger) == before


# -- looking things up ---------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(name=NAMES)
def test_every_name_is_kept_and_found(ledger: Ledger, name: str) -> None:
    """Names with newlines, quotes or bytes that are not UTF-8 come back as they were."""
    number = len(ledger.drops.open()) + 1
    drop = ledger.drops.add(a_drop(number, file=name, name=name))
    assert ledger.drops.get(drop.drop) == drop
    assert ledger.drops.history(drop.drop)[0].facts["file"] == name
    is_an_id = drop_id(1).startswith(name.upper())
    assert is_an_id or drop.drop in [found.drop for found in ledger.drops.find(name)][:1]


def test_a_drop_is_found_by_the_beginning_of_its_id(ledger: Ledger) -> None:
    """As much of the id as makes it unique is enough, in any case of letters."""
    for number in (1, 2, 11):
        ledger.drops.add(a_drop(number))
    assert [d.seq for d in ledger.drops.find(drop_id(1))] == [1]
    assert [d.seq for d in ledger.drops.find(drop_id(11)[:-1].lower())] == [3]
    assert [d.seq for d in ledger.drops.find("01j")] == [1, 2, 3]


def test_a_drop_is_found_by_its_whole_name(ledger: Ledger) -> None:
    """The newest of one name comes first; a part of a name finds nothing."""
    for number in (1, 2):
        ledger.drops.add(a_drop(number, file="same.csv"))
    assert [d.seq for d in ledger.drops.find("same.csv")] == [2, 1]
    assert ledger.drops.find("same") == []


@pytest.mark.parametrize("odd", ["", "%", "_", "%%", "01J%", "\udcff", "0' OR '1'='1"])
def test_wild_cards_find_nothing(ledger: Ledger, odd: str) -> None:
    """What is typed is a beginning or a name, never a pattern."""
    ledger.drops.add(a_drop())
    assert ledger.drops.find(odd) == []


def test_drops_are_listed_by_what_is_to_be_done(ledger: Ledger) -> None:
    """Open in order of claiming, held ones, and the last settled ones first."""
    drops = ledger.drops
    claimed = drops.add(a_drop(1))
    held = bring(ledger, a_drop(2), parts_in(S.IN_DOUBT), State.HELD)
    parts = [a_part(sha256="d" * 64, state=S.STAGED)]
    done = bring(ledger, a_drop(3), parts, State.DONE)
    failed = drops.move(drops.add(a_drop(4)), Event.INVALID)
    assert [d.seq for d in drops.open()] == [1, 2, 3, 4]  # nothing is filed yet
    for at, drop in enumerate((held, done, failed)):
        drops.note(drop, filed=True, settled_at=float(at))
    assert drops.open() == [claimed]
    assert [d.seq for d in drops.held()] == [2]
    assert [d.seq for d in drops.settled()] == [4, 3]
    assert [d.seq for d in drops.settled(1)] == [4]


def test_unknown_drops_have_nothing(ledger: Ledger) -> None:
    """Asking for what is not there is no error."""
    drops, unknown = ledger.drops, drop_id(99)
    assert drops.get(unknown) is None
    assert drops.parts(unknown) == []
    assert drops.problems(unknown) == []
    assert drops.history(unknown) == []
    assert drops.corrections(unknown) == []


def test_problems_are_kept_as_they_were_found(ledger: Ledger) -> None:
    """Cells with anything in them come back; a second look replaces the first."""
    problems = [Problem(2, 1, "Ämount", 'a"\n\udcff', "cell.number", "error", "no number")]
    ledger.drops.found(drop_id(1), [*problems, *problems])
    ledger.drops.found(drop_id(1), iter(problems))
    assert ledger.drops.problems(drop_id(1)) == problems


def test_corrections_are_linked_to_their_parent(ledger: Ledger) -> None:
    """In order of arrival; and only what is settled can have been corrected."""
    parent = ledger.drops.move(ledger.drops.add(a_drop(1, file="a\udcff.csv")), Event.INVALID)
    for number in (2, 3):
        ledger.drops.add(a_drop(number, correction_of=parent.drop))
    ledger.drops.add(a_drop(4, folder="other"))
    assert ledger.drops.corrections(parent.drop) == [drop_id(2), drop_id(3)]
    assert ledger.drops.earlier_named("orders") == [(parent.drop, "a\udcff.csv")]


def test_lines_in_error_are_looked_for_where_something_was_staged(ledger: Ledger) -> None:
    """Drops of the kind with a staged part, whatever became of the others, newest first."""
    whole = bring(ledger, a_drop(1), [_part(1, S.STAGED)], State.DONE)
    partly = bring(ledger, a_drop(2), [_part(2, S.STAGED), _part(3, S.REFUSED, 2)], State.FAILED)
    bring(ledger, a_drop(3), [_part(4, S.REFUSED)], State.FAILED)
    bring(ledger, a_drop(4, kind="event"), [_part(5, S.STAGED)], State.DONE)
    bring(ledger, a_drop(5, received_at=1.0), [_part(6, S.STAGED)], State.DONE)
    found = ledger.drops.done_since(1000.0, "transaction")
    assert [drop.drop for drop in found] == [partly.drop, whole.drop]


def test_parts_are_listed_by_state(ledger: Ledger) -> None:
    """Over all drops, the oldest first."""
    bring(ledger, a_drop(2), [_part(1, S.RELEASED)], State.SENDING)
    bring(ledger, a_drop(1), [_part(2, S.RELEASED), _part(3, S.ACCEPTED, 2)], State.SENDING)
    assert [p.drop for p in ledger.drops.parts_in(S.RELEASED)] == [drop_id(1), drop_id(2)]
    assert [p.part for p in ledger.drops.parts_in(S.ACCEPTED)] == [2]


def _part(content: int, state: PartState, number: int = 1) -> Part:
    return a_part(number, 2, state, sha256=f"{content:064x}")
