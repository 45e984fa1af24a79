import re
from pathlib import Path
from typing import Any

import pytest

from revsyncd.core.drop import Reason
from revsyncd.core.events import EVENTS
from revsyncd.core.metrics import ENDINGS, METRICS, PREFIX, Change, Sort, changes, series

ROOT = Path(__file__).parents[2]
FILED = {"folder": "orders", "drop": "D", "reason": "staged", "seconds": 2.5, "staged": 7}


def told(event: str, **facts: Any) -> list[Change]:
    return list(changes(event, facts))


def test_a_filed_drop_counts_with_its_time_and_its_records() -> None:
    """One event makes one drop, one duration, and the records that the tenant has of it."""
    assert told("drop.done", **FILED) == [
        Change("drops_total", ("orders", "done", "staged")),
        Change("drop_seconds", ("orders",), 2.5),
        Change("records_total", ("orders",), 7),
    ]


def test_a_held_drop_has_no_records_yet() -> None:
    """They are counted once: when it is settled for good."""
    names = [change.metric for change in told("drop.held", **{**FILED, "reason": "in_doubt"})]
    assert names == ["drops_total", "drop_seconds"]


def test_a_report_that_is_written_again_counts_nothing() -> None:
    """The drop lies where it lay, and was counted when it came there."""
    assert told("drop.held", **FILED, again=True) == []


@pytest.mark.parametrize("result", ["accepted", "refused", "in_doubt"])
def test_an_upload_counts_with_its_time_when_it_was_answered(result: str) -> None:
    """What its status tells later counts as a result, but took no further upload."""
    answered = Change("uploads_total", (result,))
    took = Change("upload_seconds", (), 0.5)
    assert told(f"upload.{result}", seconds=0.5) == [answered, took]
    assert told(f"upload.{result}") == [answered]


@pytest.mark.parametrize(
    ("event", "reason", "result"),
    [
        ("gl.written", None, "written"),
        ("gl.confirmed", "withdrawn", "confirmed"),
        ("gl.held", "unbalanced", "held"),
        ("gl.held", "withdrawn", "withdrawn"),
        ("gl.held", "closed", "closed"),
        ("gl.reissued", "changed", "reissued"),
    ],
)
def test_batches_count_by_what_became_of_them(event: str, reason: str | None, result: str) -> None:
    """A batch that a person closed, or that left the list, is not one that is held."""
    assert told(event, batch="1", reason=reason) == [Change("gl_batches_total", (result,))]


def test_a_service_counts_when_it_is_started_again() -> None:
    """One that was stopped for a reload, while it was failing, was not restarted."""
    assert told("service.restarted", service="desk", restarts=2) == [
        Change("service_restarts_total", ("desk",))
    ]
    assert told("service.restarted", service="desk") == []


def test_other_events_count_nothing() -> None:
    """Every event may come with no facts at all, unless it is one of those counted."""
    counted = {"drop.done", "drop.failed", "drop.held"}
    quiet = [event for event in EVENTS - counted if not told(event)]
    assert {"daemon.ready", "drop.claimed", "upload.started", "gl.late"} <= set(quiet)


def test_series_that_are_known_begin_at_nothing() -> None:
    """A first failure is an increase only where the series was there before."""
    known = set(series(("orders",), ("desk",)))
    assert {change.amount for change in known} == {0}
    assert Change("drops_total", ("orders", "held", "in_doubt"), 0) in known
    assert Change("service_restarts_total", ("desk",), 0) in known
    counters = {metric.name for metric in METRICS if metric.sort is Sort.COUNTER}
    assert {change.metric for change in known} == counters


def test_the_endings_are_those_of_the_readme() -> None:
    """Each reason begins in the outcomes in which the table for people says it ends."""
    table = re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \|", (ROOT / "README.md").read_text())
    rows = {reason: ends for reason, ends in table if reason in set(Reason)}
    assert rows.keys() == {str(reason) for reason in ENDINGS} == {str(r) for r in Reason}
    for reason, outcomes in ENDINGS.items():
        words = re.sub(r"`[^`]*`", "", rows[str(reason)])
        named = {word for word in ("done", "failed", "held") if word in words}
        assert set(outcomes) == (named or {"done", "failed", "held"})


def test_the_table_for_people_lists_every_metric() -> None:
    """docs/monitoring.md names each metric with its labels, and no other."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    rows = re.findall(rf"(?m)^\| `{PREFIX}(\w+)(?:\{{([\w, ]+)\}})?` \| (\w+) \|", text)
    documented = {
        (name, tuple(labels.replace(" ", "").split(",")), sort) for name, labels, sort in rows
    }
    assert documented == {(m.name, m.labels or ("",), str(m.sort)) for m in METRICS}
