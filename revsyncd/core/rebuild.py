"""What a report proves of its drop, and what must be assumed of a file that has none. Pure.

For a ledger that was lost. A report is the word of the ledger that wrote it; where none speaks,
everything may be at the tenant: it is in doubt, and only a person can tell.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from revsyncd.core.drop import Checked, Drop, Ending, Reason, State
from revsyncd.core.outcome import DOUBTS, Settle, decide
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import is_drop_id, meant, upload_name
from revsyncd.core.report import SCHEMA, Ranges, ReportedStageError, read_ranges

REBUILT = "the ledger was rebuilt, and no report says what became of it"
_STATES = {"done": State.DONE, "failed": State.FAILED, "held": State.HELD}
_UNPROVEN = (PartState.PLANNED, PartState.RELEASED)


class NoReport(ValueError):
    """What was read is no report of ours."""


@dataclass(frozen=True, slots=True)
class Known:
    """A drop as it will stand in the new ledger, with its parts and its lines in error."""

    drop: Drop
    parts: tuple[Part, ...] = ()
    errors: tuple[ReportedStageError, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """A file without a report. `prepared` are the SHA-256 and size of what was prepared of it."""

    drop: str
    folder: str
    place: str
    name: str
    tenant: str
    template_name: str
    kind: str
    at: float  # when this is found, seconds since the epoch
    received_at: float
    size: int
    sha256: str | None
    identity: tuple[int, ...]
    records: int  # 0 where they can't be counted
    prepared: tuple[tuple[str, int], ...] = ()
    companion: str | None = None


def from_report(report: Mapping[str, Any], place: str, name: str, tenant: str) -> Known:
    """A settled drop whose file belongs at `place`/`name`. Raises NoReport.

    `tenant` is the one to assume where the report, of an earlier release, names none.
    """
    try:
        if report["schema"] != SCHEMA or not is_drop_id(report["drop"]):
            raise NoReport("another schema, or no drop id")
        drop = _drop(report, place, name, tenant)
        parts = tuple(_part(drop, each) for each in report["parts"])
        errors = tuple(_error(each) for each in report["stage_errors"]["items"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NoReport(f"it lacks what a report has: {error}") from error
    return Known(drop, parts, errors)


def _drop(report: Mapping[str, Any], place: str, name: str, tenant: str) -> Drop:
    companion = report.get("companion")
    return Drop(
        drop=report["drop"],
        folder=report["folder"],
        file=meant(report["file"]),
        state=_STATES[report["outcome"]],
        tenant=report.get("tenant") or tenant,
        template_name=report["template_name"],
        kind=report["kind"],
        received_at=_epoch(report["received_at"]) or 0.0,
        place=place,
        name=name,
        companion=meant(companion) if companion else None,
        owner=report["owner"],
        size=report["size"],
        sha256=report["sha256"],
        config=report["config"] or "",
        checked=_checked(report),
        ending=Ending(Reason(report["reason"]), report["message"], report["next_step"] or ""),
        settled_at=_epoch(report["settled_at"]),
        filed=True,
        revision=report["revision"],
        correction_of=report["correction_of"],
        duplicate_of=report["duplicate_of"],
        permitted=tuple(report.get("permitted", ())),
        resolved=_resolved(report["resolved"]),
    )


def _checked(report: Mapping[str, Any]) -> Checked | None:
    checks = report["checks"]
    if not report["encoding"] and not report["mapping"]:
        return None  # it never came to the checks
    return Checked(
        encoding=report["encoding"] or "",
        records=report["records"],
        lines=report["lines"],
        errors=checks["errors"],
        warnings=checks["warnings"],
        by_code=checks["by_code"],
        shown=checks["shown"],
        totals=report["totals"],
        totals_by=tuple(report["totals_by"]),
        normalised=checks.get("normalised", {}),
        rejected=read_ranges(checks.get("rejected", "")),
        unreadable=checks.get("unreadable_records", 0),
        unsummed=checks.get("cells_in_no_total", {}),
        mapping=report["mapping"] or "",
    )


def _resolved(word: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {**word, "at": _epoch(word["at"])} if word else None


def _part(drop: Drop, told: Mapping[str, Any]) -> Part:
    state = PartState.PLANNED if told["state"] == "not_sent" else PartState(told["state"])
    first, records = told["first_record"], told["records"]
    in_one = f"{first}-{first + records - 1}"  # an earlier release does not say more
    part = Part(
        drop=drop.drop,
        part=told["part"],
        of=told["of"],
        state=state,
        records=records,
        ranges=read_ranges(told.get("ranges", in_one)),
        file_name=told["file_name"],
        path=f"{drop.work_place}.parts/p{told['part']:03}.csv",
        size=told.get("size", 0),
        cut=told.get("cut", 0),
        sha256=told["sha256"],
        route=told.get("route", "file"),
        request_id=told["request_id"],
        message=told["message"],
        tracking=told["tracking"] or "",
        released_at=_epoch(told["released_at"]),
    )
    return replace(part, doubt=_doubt(drop, told)) if state is PartState.IN_DOUBT else part


def _doubt(drop: Drop, told: Mapping[str, Any]) -> Reason:
    if told.get("doubt"):
        return Reason(told["doubt"])
    return drop.reason if drop.reason in DOUBTS else Reason.IN_DOUBT


def _error(item: Mapping[str, Any]) -> ReportedStageError:
    names = ("so_line_id", "inv_line_id", "message", "code", "state")
    texts = {name: str(item[name]) for name in names}
    more = {name: str(item.get(name, "")) for name in ("column", "value")}
    return ReportedStageError(
        id=str(item["id"]), record=item["record"], line=item["line"], **texts, **more
    )


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


# -- what is unproven ----------------------------------------------------------------------------


def on_its_way(known: Known, place: str, name: str) -> Known:
    """A drop with a report whose file lies elsewhere: it was being filed, or taken back into work.

    A verdict was recorded before the file moved. But a held drop is taken back to be sent, so what
    was not sent by its report may have been since.
    """
    drop = known.drop
    target = f"{drop.place}/{drop.name}"
    state = State.STAGED if drop.state is State.DONE else drop.state
    moved = drop.evolve(state=state, place=place, name=name, target=target, filed=False)
    if drop.state is not State.HELD:
        return replace(known, drop=moved)
    return _doubted(replace(known, drop=moved))


def lost(known: Known) -> Known:
    """A drop that an older ledger knew as on its way, and of which nothing is found any more."""
    held = known.drop.evolve(state=State.HELD, settled_at=known.drop.received_at, filed=False)
    return _doubted(replace(known, drop=held))


def settled(known: Known) -> Known:
    """A drop whose file lies beside its report: only an upload without an answer is in doubt."""
    loose = [part for part in known.parts if part.state is PartState.RELEASED]
    return _doubted(known, PartState.RELEASED) if loose else known


def _doubted(known: Known, *states: PartState) -> Known:
    """The parts in these states in doubt, and the ending that follows."""
    of = states or _UNPROVEN
    parts = [_in_doubt(part) if part.state in of else part for part in known.parts]
    if not parts:
        parts = [_whole(known.drop, known.drop.checked.records if known.drop.checked else 0)]
    decided = decide(parts, in_sequence=False, timed_out=True)
    ending = decided.ending if isinstance(decided, Settle) else known.drop.ending
    return replace(known, drop=known.drop.evolve(ending=ending), parts=tuple(parts))


def _in_doubt(part: Part) -> Part:
    return replace(part, state=PartState.IN_DOUBT, doubt=Reason.IN_DOUBT, message=REBUILT)


def _whole(drop: Drop, records: int) -> Part:
    """A part that stands for the whole file: nobody knows how it was cut, if it ever was."""
    return _in_doubt(_unknown(drop, 1, 1, ((1, records),), (drop.sha256 or "", drop.size)))


def _unknown(drop: Drop, number: int, of: int, ranges: Ranges, content: tuple[str, int]) -> Part:
    """Its path names nothing: should it be sent, the file is checked and cut anew."""
    return Part(
        drop=drop.drop,
        part=number,
        of=of,
        state=PartState.PLANNED,
        records=sum(last - first + 1 for first, last in ranges),
        ranges=ranges,
        file_name=upload_name(drop.file, drop.drop, number, of),
        path=f"{drop.work_place}.parts/rebuilt-{number:03}",
        size=content[1],
        cut=0,
        sha256=content[0],
        route="file",
    )


def without_report(found: Found) -> Known:
    """A file of which nothing is told: held in doubt, known again by its bytes and what was prepared."""
    drop = Drop(
        drop=found.drop,
        folder=found.folder,
        file=found.name,
        state=State.HELD,
        tenant=found.tenant,
        template_name=found.template_name,
        kind=found.kind,
        received_at=found.received_at,
        place=found.place,
        name=found.name,
        companion=found.companion,
        size=found.size,
        identity=found.identity,
        sha256=found.sha256,
        checked=Checked(records=found.records),
        settled_at=found.at,
    )
    if not found.prepared:
        return _doubted(Known(drop, (_whole(drop, found.records),)))
    return _doubted(Known(drop, tuple(_prepared(drop, found))))


def _prepared(drop: Drop, found: Found) -> Iterable[Part]:
    """One part for each; which records stand in it is not told, the first stands for all."""
    of = len(found.prepared)
    for number, content in enumerate(found.prepared, start=1):
        ranges = ((1, found.records),) if number == 1 else ((found.records + 1, found.records),)
        yield _unknown(drop, number, of, ranges, content)


def newest(several: Iterable[Known]) -> tuple[Known, Known | None]:
    """Of the reports of one drop, the latest and the one before it, if there are two."""
    ordered = sorted(several, key=lambda known: known.drop.revision, reverse=True)
    return ordered[0], ordered[1] if len(ordered) > 1 else None
