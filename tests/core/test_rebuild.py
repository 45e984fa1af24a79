"""What reports prove of their drops, and what is assumed where none speaks."""

import json
from typing import Any

import pytest
from drops import a_drop, a_part, drop_id

from revsyncd.core.drop import Checked, Drop, Ending, Reason, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.rebuild import (
    Found,
    Known,
    NoReport,
    from_report,
    newest,
    on_its_way,
    settled,
    without_report,
)
from revsyncd.core.report import Kinship, ReportedStageError, build

S = PartState
ERROR = ReportedStageError(
    "9001", 1, 2, "SO-1", "", "bad", "RPRO-00013", "open", "Doc Line Id", "SO-1"
)
ADDED_LATER = ("tenant", "permitted", "companion")
PART_ADDED_LATER = ("ranges", "route", "doubt", "size", "cut")


def filed(state: State = State.HELD, **changes: Any) -> Drop:
    """A settled drop as a report tells of it."""
    facts = {
        "state": state,
        "file": "a\udcffb\n.csv",
        "name": "a.csv",
        "place": "orders/held/2026-11-24",
        "received_at": 1_795_409_252.12,
        "settled_at": 1_795_409_341.004,
        "filed": True,
        "revision": 3,
        "identity": (),
        "seq": 0,
        "sha256": "ab",
        "companion": "a.csv.ok",
        "permitted": ("duplicate",),
        "ending": Ending(Reason.IN_DOUBT, "nobody knows", "Look."),
        "checked": Checked(
            encoding="utf-8", records=20, lines=21, mapping="sha256:ef", rejected=((3, 3), (7, 9)),
            by_code={}, totals={"Amount": "1.10"}, totals_by=({"records": 20},), normalised={}, unsummed={},
        ),
        "resolved": {"verb": "send", "reason": "so", "at": 1_795_409_300.0, "by": "anna"},
    }  # fmt: skip
    return a_drop(**{**facts, **changes})


def told(drop: Drop, *parts: Part, errors: tuple[ReportedStageError, ...] = ()) -> dict[str, Any]:
    """The report as it is read back."""
    written = json.dumps(build(drop, list(parts), Kinship((), errors, 0.0), "0.1.0"))
    found: dict[str, Any] = json.loads(written)
    return found


def read(report: dict[str, Any]) -> Known:
    return from_report(report, "orders/held/2026-11-24", "a.csv", "https://assumed.example")


def test_a_report_gives_its_drop_back() -> None:
    """Drop, parts and lines in error are what they were when the report was written."""
    parts = [
        a_part(1, 2, S.STAGED, request_id=7, ranges=((1, 2), (4, 6)), path=_path(1), tracking="t"),
        a_part(2, 2, S.IN_DOUBT, doubt=Reason.UNCONFIRMED, released_at=1e9, path=_path(2)),
    ]
    known = read(told(filed(), *parts, errors=(ERROR,)))
    assert known.drop == filed()
    assert known.parts == tuple(parts)
    assert known.errors == (ERROR,)


def _path(number: int) -> str:
    return f"{a_drop().work_place}.parts/p{number:03}.csv"


def test_a_report_of_an_earlier_release() -> None:
    """What it lacks is assumed: the tenant as configured, records in one piece."""
    report = told(filed(), a_part(1, 1, S.IN_DOUBT, doubt=Reason.IN_DOUBT))
    for name in ADDED_LATER:
        del report[name]
    for name in PART_ADDED_LATER:
        del report["parts"][0][name]
    known = read(report)
    assert known.drop.tenant == "https://assumed.example"
    assert known.parts[0].ranges == ((1, 10),)
    assert known.parts[0].doubt is Reason.IN_DOUBT


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"drop": "x"},
        {"outcome": "lost"},
        {"parts": None},
        {"reason": "other"},
        {"checks": 1},
    ],
)
def test_no_report(changes: dict[str, Any]) -> None:
    """What is not ours, or not whole, is refused in one way."""
    with pytest.raises(NoReport):
        read(told(filed(), a_part()) | changes)
    for missing in told(filed()):
        if missing not in ADDED_LATER and missing not in (
            "revsyncd",
            "records_by_state",
            "corrected_by",
        ):
            report = told(filed())
            del report[missing]
            with pytest.raises(NoReport):
                read(report)


def test_an_upload_without_answer_is_in_doubt() -> None:
    """A released part stays no released part: nobody waits for its answer any more."""
    known = settled(read(told(filed(), a_part(1, 2, S.RELEASED), a_part(2, 2, S.STAGED))))
    assert [part.state for part in known.parts] == [S.IN_DOUBT, S.STAGED]
    assert known.drop.reason is Reason.IN_DOUBT


@pytest.mark.parametrize("state", [State.DONE, State.FAILED])
def test_a_verdict_holds_wherever_the_file_is(state: State) -> None:
    """It was recorded before the file moved: only the move is repeated."""
    known = on_its_way(read(told(filed(state), a_part(1, 1, S.STAGED))), "orders/.work/x", "a.csv")
    assert known.drop.state is (State.STAGED if state is State.DONE else state)
    assert (known.drop.filed, known.drop.target) == (False, "orders/held/2026-11-24/a.csv")
    assert [part.state for part in known.parts] == [S.STAGED]


def test_a_held_drop_in_work_may_have_been_sent() -> None:
    """What its report calls not sent, and a file that was never cut, are in doubt."""
    planned = [a_part(1, 2, S.STAGED), a_part(2, 2, S.PLANNED)]
    known = on_its_way(read(told(filed(), *planned)), "orders/.work/x", "a.csv")
    assert [part.state for part in known.parts] == [S.STAGED, S.IN_DOUBT]
    duplicate = filed(ending=Ending(Reason.DUPLICATE, "twice", "Look."))
    known = on_its_way(read(told(duplicate)), "orders/.work/x", "a.csv")
    assert [(part.state, part.records) for part in known.parts] == [(S.IN_DOUBT, 20)]
    assert known.drop.reason is Reason.IN_DOUBT


def found(**changes: Any) -> Found:
    facts: dict[str, Any] = {
        "drop": drop_id(5), "folder": "orders", "place": f"orders/.work/{drop_id(5)}", "name": "a.csv",
        "tenant": "https://acme.example", "template_name": "T", "kind": "transaction", "at": 2.0,
        "received_at": 1.0, "size": 100, "sha256": "ab", "identity": (100, 1, 1), "records": 12,
    }  # fmt: skip
    return Found(**{**facts, **changes})


def test_without_a_report() -> None:
    """Held in doubt under what identifies it: its bytes, or the uploads that were prepared of it."""
    whole = without_report(found())
    assert (whole.drop.state, whole.drop.reason) == (State.HELD, Reason.IN_DOUBT)
    assert [(p.sha256, p.records, p.state) for p in whole.parts] == [("ab", 12, S.IN_DOUBT)]
    assert f"begins with a.{drop_id(5)}." in whole.drop.next_step
    cut = without_report(found(prepared=(("p1", 10), ("p2", 11))))
    assert [(p.sha256, p.state) for p in cut.parts] == [("p1", S.IN_DOUBT), ("p2", S.IN_DOUBT)]
    assert sum(p.records for p in cut.parts) == 12
    assert without_report(found(records=0, sha256=None)).parts[0].records == 0


def test_the_latest_report_speaks() -> None:
    """A drop that was filed anew may have two for a moment."""
    old, new = Known(filed(revision=1)), Known(filed(revision=2))
    assert newest([old, new]) == (new, old)
    assert newest([old]) == (old, None)
