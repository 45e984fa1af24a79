"""What is measured: every metric with its labels and unit, and which log event counts where.

Counters and histograms count log events, so a state change is told in one place only; they begin at
zero with the process. Gauges are read when somebody asks for them. The names are fixed: dashboards
and alerts of others depend on them. The text format is Prometheus's, see docs/monitoring.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from revsyncd.core.drop import Reason, State

PREFIX = "revsyncd_"


class Sort(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric; `buckets` are a histogram's upper bounds, in seconds."""

    name: str  # without the prefix
    sort: Sort
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A counter that goes up by `amount`, or a histogram that observes it."""

    metric: str
    labels: tuple[str, ...] = ()
    amount: float = 1


@dataclass(frozen=True, slots=True)
class Sample:
    """A gauge's value now."""

    metric: str
    value: float
    labels: tuple[str, ...] = ()


_HOUR = 3600.0
_DROP_BUCKETS = (1, 2, 5, 10, 30, 60, 120, 300, 900, 1800, _HOUR, 6 * _HOUR, 24 * _HOUR)
_UPLOAD_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)

METRICS = (
    Metric(
        "drops_total",
        Sort.COUNTER,
        "Drops filed in done, failed or held (outcome), by reason.",
        ("folder", "outcome", "reason"),
    ),
    Metric(
        "drop_seconds",
        Sort.HISTOGRAM,
        "Seconds from when a drop was first seen until it was filed.",
        ("folder",),
        _DROP_BUCKETS,
    ),
    Metric(
        "records_total",
        Sort.COUNTER,
        "Records that the tenant staged, of drops filed in done or failed.",
        ("folder",),
    ),
    Metric(
        "open_drops",
        Sort.GAUGE,
        "Drops by state: waiting (in the inbox), claimed to staged (in work), failed (to be filed), held.",
        ("folder", "state"),
    ),
    Metric(
        "oldest_open_drop_seconds",
        Sort.GAUGE,
        "Age of the oldest drop that waits or is in work, held ones left out; 0 if there is none.",
        ("folder",),
    ),
    Metric(
        "uploads_total",
        Sort.COUNTER,
        "Uploads by result: accepted, refused, in_doubt, not_taken (surely; tried again).",
        ("result",),
    ),
    Metric(
        "upload_seconds",
        Sort.HISTOGRAM,
        "Seconds from the beginning of an upload until its outcome was known or in doubt.",
        (),
        _UPLOAD_BUCKETS,
    ),
    Metric("uploads_in_flight", Sort.GAUGE, "Uploads on their way now."),
    Metric(
        "stage_errors_open",
        Sort.GAUGE,
        "Lines in error at the tenant; those of no drop of ours have an empty folder.",
        ("folder",),
    ),
    Metric(
        "token_expires_timestamp_seconds",
        Sort.GAUGE,
        "When the tenant's token expires, in seconds since the epoch; 0 before the first sign-in.",
    ),
    Metric("tenant_up", Sort.GAUGE, "1 unless the tenant is paused or out of reach."),
    Metric(
        "gl_batches_total",
        Sort.COUNTER,
        "Batches by result: written, confirmed, held, reissued, withdrawn, closed.",
        ("result",),
    ),
    Metric(
        "gl_oldest_undelivered_seconds",
        Sort.GAUGE,
        "Age of the oldest batch that is not delivered; 0 if there is none.",
    ),
    Metric(
        "service_restarts_total",
        Sort.COUNTER,
        "Restarts of a service within the daemon.",
        ("service",),
    ),
    Metric(
        "conditions",
        Sort.GAUGE,
        "1 for each condition that holds now; scope is a folder, a service or * for everything.",
        ("condition", "scope"),
    ),
    Metric("build_info", Sort.GAUGE, "1, with what runs as labels.", ("version", "python")),
)

_HELD, _FAILED, _DONE = str(State.HELD), str(State.FAILED), str(State.DONE)
# In what a drop of each reason ends: these series begin at zero, so that the first one counts.
ENDINGS: Mapping[Reason, tuple[str, ...]] = {
    Reason.STAGED: (_DONE,),
    Reason.STAGED_WITH_ERRORS: (_DONE,),
    Reason.INVALID: (_FAILED,),
    Reason.EMPTY: (_DONE, _FAILED, _HELD),
    Reason.REFUSED: (_FAILED,),
    Reason.PARTLY_REFUSED: (_FAILED,),
    Reason.IN_DOUBT: (_HELD,),
    Reason.COUNT_MISMATCH: (_HELD,),
    Reason.DUPLICATE: (_FAILED, _HELD),
    Reason.INCOMPLETE: (_HELD,),
    Reason.NOT_A_FILE: (_HELD,),
    Reason.UNREADABLE: (_HELD,),
    Reason.TOO_LARGE: (_FAILED,),
    Reason.STATUS_TIMEOUT: (_HELD,),
    Reason.CANNOT_SEND: (_HELD,),
    Reason.UNCONFIRMED: (_HELD,),
    Reason.CANCELLED: (_FAILED,),
    Reason.RESOLVED: (_DONE, _FAILED),
}
UPLOADS = ("accepted", "refused", "in_doubt", "not_taken")
BATCHES = ("written", "confirmed", "held", "reissued", "withdrawn", "closed")


def series(folders: tuple[str, ...], services: tuple[str, ...]) -> Iterator[Change]:
    """Every counter's series that can be known before anything was counted, as changes by nothing."""
    for folder in folders:
        yield Change("records_total", (folder,), 0)
        for reason, outcomes in ENDINGS.items():
            for outcome in outcomes:
                yield Change("drops_total", (folder, outcome, str(reason)), 0)
    yield from (Change("uploads_total", (result,), 0) for result in UPLOADS)
    yield from (Change("gl_batches_total", (result,), 0) for result in BATCHES)
    yield from (Change("service_restarts_total", (service,), 0) for service in services)


def changes(event: str, facts: Mapping[str, Any]) -> Iterator[Change]:
    """What a log event with these facts counts; most events count nothing."""
    family, _, what = event.partition(".")
    match family:
        case "drop" if what in (_DONE, _FAILED, _HELD):
            yield from _filed(what, facts)
        case "upload" if what in UPLOADS:
            yield Change("uploads_total", (what,))
            # Without it, the status has told of an upload that was received before.
            if facts.get("seconds") is not None:
                yield Change("upload_seconds", (), facts["seconds"])
        case "gl" if what in BATCHES:
            # A batch that somebody closed, or that left the list, is told as held for that reason.
            apart = what == "held" and facts.get("reason") in ("withdrawn", "closed")
            yield Change("gl_batches_total", (str(facts["reason"]) if apart else what,))
        case "service" if what == "restarted" and facts.get("restarts"):
            yield Change("service_restarts_total", (str(facts["service"]),))


def _filed(outcome: str, facts: Mapping[str, Any]) -> Iterator[Change]:
    """A drop that only had its report written again, in the same place, was counted before."""
    if facts.get("again"):
        return
    folder = str(facts["folder"])
    yield Change("drops_total", (folder, outcome, str(facts["reason"])))
    yield Change("drop_seconds", (folder,), facts["seconds"])
    if outcome != _HELD:  # held: its records are counted when a person, or the tenant, has decided
        yield Change("records_total", (folder,), facts.get("staged") or 0)
