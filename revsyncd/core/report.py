"""`<file>.report.json`: what became of a drop, for people and programs. Pure.

The fields are fixed: docs/reports.md lists them. Times are RFC 3339 in UTC, to the millisecond.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from revsyncd.core.drop import Checked, Drop, State, count
from revsyncd.core.part import Part, PartState, records_in
from revsyncd.core.places import shown

SCHEMA = 1
Ranges = tuple[tuple[int, int], ...]  # of record numbers, both ends inclusive
# Parts whose records may or may not be at the tenant; an accepted one is known to have arrived, but
# is neither staged nor refused.
_UNKNOWN = (PartState.RELEASED, PartState.ACCEPTED, PartState.IN_DOUBT)


@dataclass(frozen=True, slots=True)
class ReportedStageError:
    """A line of the drop that the tenant has, or had, in error."""

    id: str
    record: int
    line: int
    so_line_id: str
    inv_line_id: str
    message: str
    code: str
    state: str  # open | gone
    column: str = ""  # the label of the column with the id, and that id: the cell to look at
    value: str = ""


@dataclass(frozen=True, slots=True)
class Kinship:
    """How a drop is linked to others, and when its stage errors were last looked at."""

    corrected_by: tuple[str, ...] = ()
    stage_errors: tuple[ReportedStageError, ...] = ()
    stage_errors_checked_at: float | None = None


def utc(seconds: float | None) -> str | None:
    """`2026-11-23T04:47:32.120Z` for seconds since the epoch."""
    if seconds is None:
        return None
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def build(drop: Drop, parts: list[Part], kinship: Kinship, version: str) -> dict[str, Any]:
    """The report of a settled drop."""
    checked = drop.checked or Checked()
    ending = drop.ending
    return {
        "schema": SCHEMA,
        "revision": drop.revision,
        "revsyncd": version,
        "drop": drop.drop,
        "folder": drop.folder,
        "file": shown(drop.file),
        "owner": drop.owner,
        "outcome": "done" if drop.state is State.STAGED else str(drop.state),
        "reason": ending.reason if ending else None,
        "message": ending.message if ending else "",
        "next_step": drop.next_step or None,
        "tenant": drop.tenant,
        "template_name": drop.template_name,
        "kind": drop.kind,
        "mapping": checked.mapping or None,
        "config": drop.config or None,
        "size": drop.size,
        "sha256": drop.sha256,
        "encoding": checked.encoding or None,
        "records": checked.records,
        "lines": checked.lines,
        "records_by_state": records_by_state(checked, parts),
        "totals": checked.totals or {},
        "totals_by": list(checked.totals_by),
        "received_at": utc(drop.received_at),
        "settled_at": utc(drop.settled_at),
        "checks": _checks(checked),
        "parts": [_part(part) for part in parts],
        "stage_errors": _stage_errors(kinship),
        "correction_of": drop.correction_of,
        "corrected_by": list(kinship.corrected_by),
        "duplicate_of": drop.duplicate_of,
        "resolved": _resolved(drop),
        "permitted": list(drop.permitted),
        "companion": shown(drop.companion) if drop.companion else None,
    }


def records_by_state(checked: Checked, parts: list[Part]) -> dict[str, int]:
    """Where every record of the file is; the numbers add up to all of them."""
    placed = {
        "staged": records_in(parts, PartState.STAGED),
        "refused": records_in(parts, PartState.REFUSED),
        "rejected": checked.rejected_records if parts else 0,
        "in_doubt": records_in(parts, *_UNKNOWN),
    }
    return {**placed, "not_sent": checked.records - sum(placed.values())}


def absent(parts: list[Part]) -> tuple[tuple[int, int], ...]:
    """The records, as ranges, that the tenant surely does not have, of those that were to be sent."""
    at_home = (PartState.PLANNED, PartState.REFUSED)
    return tuple(r for part in parts if part.state in at_home for r in part.ranges)


def has_remaining(parts: list[Part]) -> bool:
    """Whether some parts were staged and others are surely not at the tenant."""
    return bool(records_in(parts, PartState.STAGED)) and bool(count(absent(parts)))


def rejected(drop: Drop, parts: list[Part], errors: Iterable[ReportedStageError]) -> Ranges:
    """The records at fault where the others were taken: ours under split, and those of `errors`."""
    records = {e.record for e in errors}
    taken = any(part.state is PartState.STAGED for part in parts)
    if drop.checked is None or not taken or drop.state is State.HELD:
        split: Ranges = ()
    else:
        split = drop.checked.rejected
    return merged((*split, *((record, record) for record in sorted(records))))


def merged(ranges: Ranges) -> Ranges:
    """The same records as ascending ranges that neither touch nor overlap."""
    found: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], last))
        else:
            found.append((first, last))
    return tuple(found)


def _resolved(drop: Drop) -> dict[str, Any] | None:
    return drop.resolved and {**drop.resolved, "at": utc(drop.resolved.get("at"))}


def _checks(checked: Checked) -> dict[str, Any]:
    found: dict[str, Any] = {
        "errors": checked.errors,
        "warnings": checked.warnings,
        "by_code": checked.by_code or {},
        "shown": checked.shown,
    }
    if checked.normalised:
        found["normalised"] = checked.normalised
    if checked.unreadable:
        found["unreadable_records"] = checked.unreadable
    if checked.unsummed:
        found["cells_in_no_total"] = checked.unsummed
    if checked.rejected:
        found["rejected"] = ranges_text(checked.rejected)
    return found


def _part(part: Part) -> dict[str, Any]:
    return {
        "part": part.part,
        "of": part.of,
        "records": part.records,
        "first_record": part.first_record,
        "ranges": ranges_text(part.ranges),
        "file_name": part.file_name,
        "sha256": part.sha256,
        "request_id": part.request_id,
        "state": "not_sent" if part.state is PartState.PLANNED else str(part.state),
        "message": part.message,
        "tracking": part.tracking or None,
        "released_at": utc(part.released_at),
        "route": part.route,
        "doubt": part.doubt and str(part.doubt),
        "size": part.size,
        "cut": part.cut,
    }


def ranges_text(ranges: Ranges) -> str:
    """`1-16,18,20-50000`."""
    return ",".join(f"{a}-{b}" if a != b else f"{a}" for a, b in ranges)


def read_ranges(text: str) -> Ranges:
    """What `ranges_text` wrote. Raises ValueError."""
    pairs = (each.partition("-") for each in text.split(",") if each)
    return tuple((int(first), int(last or first)) for first, _, last in pairs)


def _stage_errors(kinship: Kinship) -> dict[str, Any]:
    errors = kinship.stage_errors
    return {
        "checked_at": utc(kinship.stage_errors_checked_at),
        "open": sum(e.state == "open" for e in errors),
        "gone": sum(e.state == "gone" for e in errors),
        "items": [_item(e) for e in errors],
    }


def _item(error: ReportedStageError) -> dict[str, Any]:
    return {
        "id": int(error.id) if error.id.isdecimal() and error.id.isascii() else error.id,
        "record": error.record,
        "line": error.line,
        "so_line_id": error.so_line_id,
        "inv_line_id": error.inv_line_id,
        "message": error.message,
        "code": error.code,
        "state": error.state,
        "column": error.column,
        "value": error.value,
    }
