from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.batch import (
    MOVES,
    Batch,
    Event,
    Listed,
    Reason,
    State,
    UnknownMove,
    advance,
    by_id,
    delivered,
    is_late,
    plan,
    tell_late,
)
from revsyncd.core.batch_finding import CATCHING_UP, Finding, compare
from revsyncd.core.batch_words import acknowledges, balance_told, hold, rejected
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.outbox_names import COMPANIONS, LONGEST, file_name, safe, temporary, with_number

ROW = Listed("5001", "Close", "READY TO TRANSFER", "T1", "70001")
NOW = 9000.0
PATTERN = "GL_{batch_id}_{batch_name}.csv"


def known(state: State, *, published: bool = False, row: Listed = ROW) -> Batch:
    return Batch(
        tenant="https://t",
        batch=row.batch,
        issue=1,
        state=state,
        name=row.name,
        status=row.status,
        updated=row.updated,
        report_id=row.report_id,
        listed_at=1000.0,
        changed_at=1000.0,
        published=published,
    )


PUBLISHING = known(State.FETCHED).evolve(publishing=True)
MISSING = known(State.HELD).evolve(reason=Reason.FILE_MISSING)


@pytest.mark.parametrize("status", ["READY TO TRANSFER", "Ready To Transfer", "ready_to_transfer"])
def test_ready_is_ready_in_any_case(status: str) -> None:
    """The tenant's status words vary."""
    assert replace(ROW, status=status).ready
    assert not replace(ROW, status="NEW").ready


@pytest.mark.parametrize(
    ("row", "before", "finding"),
    [
        (ROW, None, Finding.NEW),
        (replace(ROW, status="NEW"), None, Finding.NOTHING),
        (ROW, known(State.LISTED), Finding.AS_BEFORE),
        (replace(ROW, updated="T2"), known(State.LISTED), Finding.CHANGED),
        (replace(ROW, report_id="9"), known(State.HELD), Finding.CHANGED),
        (ROW, known(State.HELD), Finding.AS_BEFORE),
        (replace(ROW, updated="T2"), known(State.WRITTEN, published=True), Finding.REISSUED),
        (replace(ROW, report_id="9"), known(State.WRITTEN, published=True), Finding.REISSUED),
        (replace(ROW, name="renamed"), known(State.WRITTEN, published=True), Finding.AS_BEFORE),
        (None, known(State.WRITTEN, published=True), Finding.WITHDRAWN),
        (replace(ROW, status="NEW"), known(State.WRITTEN, published=True), Finding.WITHDRAWN),
        (None, known(State.LISTED), Finding.WITHDRAWN),
        (None, known(State.CONFIRMING, published=True), Finding.CONFIRMED),
        (replace(ROW, status="Transferred"), known(State.CONFIRMING), Finding.CONFIRMED),
        (replace(ROW, status="Posting in Progress"), known(State.CONFIRMING), Finding.NOTHING),
        (ROW, known(State.CONFIRMING, published=True), Finding.NOT_CONFIRMED),
        (replace(ROW, updated="T2"), known(State.CONFIRMING, published=True), Finding.REISSUED),
        (ROW, known(State.CONFIRMED, published=True), Finding.REISSUED),
        (None, known(State.CONFIRMED, published=True), Finding.NOTHING),
        (ROW, known(State.CONFIRMED).evolve(confirmed_by="list"), Finding.NOT_CONFIRMED),
        (
            replace(ROW, updated="T2"),
            known(State.CONFIRMED).evolve(confirmed_by="list"),
            Finding.REISSUED,
        ),
        (replace(ROW, updated="T2"), PUBLISHING, Finding.AS_BEFORE),
        (replace(ROW, updated="T2"), known(State.FETCHED), Finding.CHANGED),
        (None, MISSING, Finding.NOTHING),
        (replace(ROW, updated="T2"), MISSING, Finding.REISSUED),
        (ROW, known(State.WITHDRAWN, published=True), Finding.BACK),
        (ROW, known(State.WITHDRAWN), Finding.CHANGED),
        (ROW, known(State.CLOSED), Finding.CHANGED),
        (ROW, known(State.CLOSED, published=True), Finding.BACK),
        (ROW, known(State.CLOSED).evolve(word={"verb": "close"}), Finding.AS_BEFORE),
        (None, known(State.LISTED).evolve(word={"verb": "fetch"}), Finding.NOTHING),
        (None, known(State.CLOSED), Finding.NOTHING),
    ],
)
def test_what_a_list_means(row: Listed | None, before: Batch | None, finding: Finding) -> None:
    """For what we know of a batch, a row of the list says one thing."""
    assert compare(row, before, NOW) is finding


@pytest.mark.parametrize(
    ("after", "finding"),
    [(-1.0, Finding.REISSUED), (0.0, Finding.NOTHING), (CATCHING_UP, Finding.REISSUED)],
)
def test_a_list_may_be_older_than_a_confirmation(after: float, finding: Finding) -> None:
    """An unchanged row right after the tenant's answer is no new issue: the ERP would load it twice."""
    confirmed = known(State.CONFIRMED, published=True)
    told = confirmed.evolve(confirmed_at=NOW - after, confirmed_by="answer")
    assert compare(ROW, told, NOW) is finding
    assert compare(replace(ROW, updated="T2"), told, NOW) is Finding.REISSUED


EVENTS = {
    Finding.CHANGED: Event.CHANGED,
    Finding.REISSUED: Event.REISSUED,
    Finding.WITHDRAWN: Event.WITHDRAWN,
    Finding.BACK: Event.TAKEN_BACK,
    Finding.CONFIRMED: Event.CONFIRMED,
    Finding.NOT_CONFIRMED: Event.NOT_CONFIRMED,
}
ROWS = [None, ROW, replace(ROW, updated="T2"), replace(ROW, status="NEW"), replace(ROW, status="TRANSFERRED")]  # fmt: skip


@pytest.mark.parametrize(("state", "row", "published"), list(product(State, ROWS, [False, True])))
def test_whatever_a_list_says_has_a_move(
    state: State,
    row: Listed | None,
    published: bool,  # noqa: FBT001  (pytest hands it over)
) -> None:
    """No list leads to an event that the state does not know; what is prepared starts over instead."""
    if published != (state not in (State.LISTED, State.FETCHED)) and state not in (
        State.CONFIRMING,
        State.CONFIRMED,
        State.HELD,
        State.WITHDRAWN,
        State.CLOSED,
    ):
        return  # no batch is like that
    event = EVENTS.get(compare(row, known(state, published=published), NOW))
    if event is not None and state is not State.SUPERSEDED:
        assert event in MOVES[state] or (state is State.FETCHED and event is Event.CHANGED)


def test_an_unknown_move_names_all_three() -> None:
    """State, event and what would be allowed."""
    with pytest.raises(
        UnknownMove, match=r"a superseded batch can't be .*confirmed.*; it knows: nothing"
    ):
        advance(State.SUPERSEDED, Event.CONFIRMED)


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_nothing_is_confirmed_that_was_not_written(events: list[Event]) -> None:
    """In any life whose file is taken back only where there is one: fetched, written, asked, confirmed."""
    state, seen = State.LISTED, [State.LISTED]
    for event in events:
        needs_a_file = event in (Event.TAKEN_BACK, Event.CONFIRM_ASKED)
        if event in MOVES[state] and (State.WRITTEN in seen or not needs_a_file):
            state = advance(state, event)
            seen.append(state)
    if State.CONFIRMED in seen:
        before = seen[: seen.index(State.CONFIRMED)]
        assert before[-1] is State.CONFIRMING
        assert before.index(State.FETCHED) < before.index(State.WRITTEN)


def test_a_batch_survives_the_ledger() -> None:
    """What is written as JSON is read back the same; a newer release's facts are refused by name."""
    batch = known(State.HELD).evolve(reason=Reason.CUT, prepared=("a", "b"))
    assert Batch.from_json(batch.to_json()) == batch
    with pytest.raises(RevsyncdError, match="colour"):
        Batch.from_json(batch.to_json() | {"colour": "red"})


def test_the_plan_goes_by_id_and_ends_before_the_file_is_gone() -> None:
    """Numbers as numbers; a batch without a report has no report to fetch."""
    rows = [replace(ROW, batch=b) for b in ("10", "9", "b", "100")]
    batches = [known(State.LISTED, row=row) for row in rows]
    batches[1] = batches[1].evolve(report_id="", made_at=400.0)
    found = plan([*batches, known(State.HELD)], ("report", "pages"))
    assert [fetch.batch.batch for fetch in found] == ["9", "10", "100", "b"]
    assert found[0].sources == ("pages",)
    assert found[0].before == 400.0 + 48 * 3600
    assert min(batches, key=by_id).batch == "9"


def test_late_is_told_again_each_six_hours_until_it_is_delivered() -> None:
    """A clock that was set back tells at once; where nobody confirms, written is delivered."""
    batch = known(State.WRITTEN, published=True)
    assert not is_late(batch, 1099.0, 100.0, "acknowledged")
    assert tell_late(batch, 1100.0, 100.0, "acknowledged")
    told = batch.evolve(told_late_at=1100.0)
    assert not tell_late(told, 1100.0 + 6 * 3600 - 1, 100.0, "acknowledged")
    assert tell_late(told, 1100.0 + 6 * 3600, 100.0, "acknowledged")
    assert tell_late(told, 1099.0 + 100, 200.0 - 1, "acknowledged") is False
    assert not is_late(batch, 9e9, 100.0, "never")
    assert delivered(known(State.CONFIRMED), "written")
    assert not delivered(known(State.HELD), "never")


@given(st.text(max_size=300), st.text(min_size=1, max_size=300), st.integers(1, 999))
def test_any_name_becomes_a_safe_one(name: str, batch: str, issue: int) -> None:
    """Plain ASCII, no path, not hidden, with room for its companions."""
    found = file_name(PATTERN, batch, name, issue)
    assert found == safe(found)
    assert not found.startswith((".", "-"))
    assert "/" not in found
    assert all(len(found + companion) <= LONGEST for companion in COMPANIONS)
    hidden = temporary("https://t", batch, issue, "report.unpacked")
    assert hidden.startswith(".revsyncd-gl-")
    assert "/" not in hidden
    assert len(hidden) <= LONGEST


def test_ids_that_are_made_safe_stay_apart() -> None:
    """Two ids that would look the same after that get different names."""
    assert file_name(PATTERN, "1/2", "x", 1) != file_name(PATTERN, "1_2", "x", 1)
    assert temporary("t", "1/2", 1, "data") != temporary("t", "1_2", 1, "data")
    assert temporary("t", "1", 1, "data") != temporary("u", "1", 1, "data")


def test_the_next_issue_has_a_name_of_its_own() -> None:
    """Before the suffix."""
    assert file_name(PATTERN, "5", "Close", 1) == "GL_5_Close.csv"
    assert file_name(PATTERN, "5", "Close", 2) == "GL_5_Close.r2.csv"
    assert with_number("a.csv", "", 3) == "a.3.csv"


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ("", True),
        ("  \n", True),
        ("AB12", True),
        ("ab12  x.csv", True),
        ("ab", None),
        ("cd", False),
    ],
)
def test_what_an_acknowledgement_says(text: str, means: bool | None) -> None:  # noqa: FBT001
    """Empty or the digest, as sha256sum writes it too; half of it is still being written."""
    assert acknowledges(text, "ab12", "ef34") is means


def test_a_refusal_is_told_on_one_line() -> None:
    """Whatever the ERP wrote."""
    assert rejected("no\nsuch\x1b[2J period") == "the ERP refused it: no such\\u001b[2J period"
    assert "without a word" in rejected("")


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_next_step(reason: Reason) -> None:
    """With the batch's own id in its commands."""
    step = hold("5001", reason, "why").next_step
    assert "revsyncd gl close 5001" in step.replace("`R", "`r")
    assert "{" not in step


def test_differences_are_told_by_currency() -> None:
    """At most five of them."""
    totals = {code: {"debit": "1", "credit": "2"} for code in "ABCDEFG"}
    assert balance_told(tuple(totals), totals).endswith("E: debit 1, credit 2; 2 more")
