import json

import pytest
from drops import RECORDS, a_drop, a_part, drop_id, parts_in
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.drop import Checked, Ending, Reason, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.report import (
    Kinship,
    ReportedStageError,
    absent,
    build,
    has_remaining,
    records_by_state,
    utc,
)

S = PartState
FIELDS = {
    *("schema", "revision", "revsyncd", "drop", "folder", "file", "owner", "outcome"),
    *("reason", "message", "next_step", "template_name", "kind", "mapping", "config"),
    *("size", "sha256", "encoding", "records", "lines", "records_by_state", "totals"),
    *("totals_by", "received_at", "settled_at", "checks", "parts", "stage_errors"),
    *("correction_of", "corrected_by", "duplicate_of", "resolved"),
    *("tenant", "permitted", "companion"),
}


@st.composite
def split_files(draw: st.DrawFn) -> tuple[Checked, list[Part]]:
    """A file whose records were rejected singly or went into parts in any states."""
    owners = draw(st.lists(st.integers(0, 3), max_size=40))  # 0: rejected, else the part
    present = sorted(set(owners) - {0})
    ranges = {o: tuple((n, n) for n, x in enumerate(owners, 1) if x == o) for o in (0, *present)}
    states = draw(st.lists(st.sampled_from(S), min_size=len(present), max_size=len(present)))
    parts = [
        a_part(n, len(present), state, ranges=ranges[owner], records=len(ranges[owner]))
        for n, (owner, state) in enumerate(zip(present, states, strict=True), start=1)
    ]
    return Checked(records=len(owners), rejected=ranges[0]), parts


@given(split_files())
def test_every_record_is_in_exactly_one_place(made: tuple[Checked, list[Part]]) -> None:
    """The numbers by state are never negative and add up to all records of the file."""
    checked, parts = made
    found = records_by_state(checked, parts)
    assert list(found) == ["staged", "refused", "rejected", "in_doubt", "not_sent"]
    assert min(found.values()) >= 0
    assert sum(found.values()) == checked.records


@pytest.mark.parametrize(
    ("state", "place"),
    [
        (S.PLANNED, "not_sent"),
        (S.RELEASED, "in_doubt"),
        (S.ACCEPTED, "in_doubt"),
        (S.IN_DOUBT, "in_doubt"),
        (S.STAGED, "staged"),
        (S.REFUSED, "refused"),
    ],
)
def test_each_state_of_a_part_has_its_place(state: PartState, place: str) -> None:
    """What arrived but is neither staged nor refused counts as in doubt."""
    found = records_by_state(Checked(records=RECORDS), parts_in(state))
    assert {name for name, number in found.items() if number} == {place}


def test_a_rejected_file_sent_nothing() -> None:
    """Where nothing was taken, the faulty records are as unsent as the others."""
    found = records_by_state(Checked(records=5, rejected=((2, 3),)), [])
    assert (found["rejected"], found["not_sent"]) == (0, 5)


@given(split_files())
def test_remaining_is_what_the_tenant_surely_lacks(made: tuple[Checked, list[Part]]) -> None:
    """Absent records are those of planned and refused parts; a file of them needs staged others."""
    _, parts = made
    records = {n for first, last in absent(parts) for n in range(first, last + 1)}
    away = [p for p in parts if p.state in (S.PLANNED, S.REFUSED)]
    assert records == {n for p in away for f, last in p.ranges for n in range(f, last + 1)}
    assert has_remaining(parts) is (bool(records) and S.STAGED in {p.state for p in parts})


def test_a_report_has_the_fixed_fields() -> None:
    """Programs read these names; even a drop of which nothing is known has all of them."""
    report = build(a_drop(), [], Kinship(), "0.1.0")
    assert set(report) == FIELDS
    assert set(report["records_by_state"]) == {
        *("staged", "refused", "rejected", "in_doubt", "not_sent")
    }
    assert json.loads(json.dumps(report)) == report


def test_a_full_report() -> None:
    """Everything that is known stands where the format says, times in UTC to the millisecond."""
    drop = a_drop(
        state=State.STAGED,
        ending=Ending(Reason.STAGED, "10 records staged in 1 upload"),
        revision=2,
        owner="erp",
        size=100,
        sha256="ab",
        config="sha256:cd",
        settled_at=1_795_409_341.004,
        checked=Checked(
            encoding="utf-8",
            records=10,
            lines=11,
            warnings=2,
            by_code={"revenue.707": 2},
            shown=2,
            totals={"Amount": "1.10"},
            totals_by=({"Curr": "USD", "records": 10},),
            mapping="sha256:ef",
            normalised={"decimal": 10},
        ),
        correction_of=drop_id(7),
    )
    part = a_part(state=S.STAGED, request_id=10001, message="ok", released_at=1_795_409_300.5)
    report = build(drop, [part], Kinship(corrected_by=(drop_id(9),)), "0.1.0")
    assert report["schema"] == 1
    assert (report["outcome"], report["reason"], report["next_step"]) == ("done", "staged", None)
    assert report["received_at"] == "2026-11-23T04:47:32.120Z"
    assert report["settled_at"] == "2026-11-23T04:49:01.004Z"
    assert report["checks"] == {
        "errors": 0,
        "warnings": 2,
        "by_code": {"revenue.707": 2},
        "shown": 2,
        "normalised": {"decimal": 10},
    }
    assert report["totals_by"] == [{"Curr": "USD", "records": 10}]
    assert (report["correction_of"], report["corrected_by"]) == (drop_id(7), [drop_id(9)])
    assert report["parts"] == [
        {
            "part": 1,
            "of": 1,
            "records": 10,
            "first_record": 1,
            "ranges": "1-10",
            "file_name": "orders.p001of001.csv",
            "sha256": part.sha256,
            "request_id": 10001,
            "state": "staged",
            "message": "ok",
            "tracking": None,
            "released_at": "2026-11-23T04:48:20.500Z",
            "route": "file",
            "doubt": None,
            "size": 1000,
            "cut": 900,
        }
    ]


def test_what_the_totals_lack_is_told() -> None:
    """Records and cells that are in no total are named only where there are any."""
    checked = Checked(unreadable=2, unsummed={"Amount": 3})
    found = build(a_drop(checked=checked), [], Kinship(), "0.1.0")["checks"]
    assert (found["unreadable_records"], found["cells_in_no_total"]) == (2, {"Amount": 3})
    without = build(a_drop(checked=Checked()), [], Kinship(), "0.1.0")["checks"]
    assert set(without) == {"errors", "warnings", "by_code", "shown"}


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (State.STAGED, "done"),
        (State.DONE, "done"),
        (State.FAILED, "failed"),
        (State.HELD, "held"),
    ],
)
def test_the_outcome_is_the_shelf(state: State, outcome: str) -> None:
    """A report is written before the file moves, so what is staged is already told as done."""
    assert build(a_drop(state=state), [], Kinship(), "0.1.0")["outcome"] == outcome


def test_a_hostile_name_is_shown() -> None:
    """A report is UTF-8 whatever the dropped file was called."""
    report = build(a_drop(file="a\nb\udcff.csv"), [], Kinship(), "0.1.0")
    assert report["file"] == r"a\nb\xff.csv"
    json.dumps(report, ensure_ascii=False).encode()


def test_a_part_that_did_not_go_is_not_sent() -> None:
    """The report's word for a planned part is what it means for the reader."""
    report = build(a_drop(), parts_in(S.PLANNED, S.IN_DOUBT), Kinship(), "0.1.0")
    assert [part["state"] for part in report["parts"]] == ["not_sent", "in_doubt"]


def test_stage_errors_are_listed_and_counted() -> None:
    """Open and gone ones are counted apart; the tenant's numbers stay numbers, other ids text."""
    errors = tuple(
        ReportedStageError(number, 17, 18, "SO-1", "", "bad", "RPRO-00076", state)
        for number, state in (("9001", "open"), ("x9", "gone"), ("٣", "gone"))
    )
    found = build(a_drop(), [], Kinship((), errors, 0.0), "0.1.0")["stage_errors"]
    assert (found["checked_at"], found["open"], found["gone"]) == ("1970-01-01T00:00:00.000Z", 1, 2)
    assert [item["id"] for item in found["items"]] == [9001, "x9", "٣"]
    assert found["items"][0] == {
        "id": 9001,
        "record": 17,
        "line": 18,
        "so_line_id": "SO-1",
        "inv_line_id": "",
        "message": "bad",
        "code": "RPRO-00076",
        "state": "open",
        "column": "",
        "value": "",
    }


def test_a_persons_word_stands_with_its_time() -> None:
    """Like every time in a report it is told in UTC, not in seconds."""
    word = {"verb": "arrived", "reason": "seen", "at": 0.0, "by": "anna"}
    report = build(a_drop(resolved=word), [], Kinship(), "0.1.0")
    assert report["resolved"] == {**word, "at": "1970-01-01T00:00:00.000Z"}
    assert build(a_drop(), [], Kinship(), "0.1.0")["resolved"] is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, None), (0, "1970-01-01T00:00:00.000Z"), (1.9996, "1970-01-01T00:00:01.999Z")],
)
def test_times_have_milliseconds_and_a_z(seconds: float | None, text: str | None) -> None:
    """Never rounded up, so that a report is not later than its log."""
    assert utc(seconds) == text
