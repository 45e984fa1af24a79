"""What must hold of every drop, judged from what the ledger knows and what was found on disk. Pure.

Each promise is a function from evidence to violations; nothing here reads anything. Beside this:
`audit_sending` for what left the house, `audit_batches` for what comes in.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from revsyncd.core import endings
from revsyncd.core.drop import Drop, Reason, State, count
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import Shelf, Sidecar, shown
from revsyncd.core.report import (
    Kinship,
    ReportedStageError,
    build,
    has_remaining,
    merged,
    rejected,
)

_HOME = {State.DONE: Shelf.DONE, State.FAILED: Shelf.FAILED, State.HELD: Shelf.HELD}
_UNPROVEN = (PartState.RELEASED, PartState.ACCEPTED, PartState.IN_DOUBT)
_GONE = endings.missing().message
_WRITTEN_ON = endings.changed_while_sent().message
# Fields of a report that follow from the ledger alone.
_SAME = [
    "drop",
    "folder",
    "file",
    "outcome",
    "template_name",
    "kind",
    "size",
    "sha256",
    "encoding",
    "records",
    "lines",
    "records_by_state",
    "totals",
    "totals_by",
    "received_at",
    "settled_at",
    "correction_of",
    "duplicate_of",
    "resolved",
]
_OF_ENDING = ("reason", "message")  # a round of stage errors may be about to change them


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be: the `rule` it breaks, what and where it is, and what to do."""

    rule: str
    what: str
    where: str
    next_step: str
    drop: str | None = None

    def __str__(self) -> str:
        """One line."""
        drop = f" (drop {self.drop})" if self.drop and self.drop not in self.where else ""
        return f"{self.rule}: {self.what}: {self.where}{drop}; next step: {self.next_step}"

    def to_json(self) -> dict[str, str | None]:
        """One object of the list that `--json` prints."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it was found: `sha256` "" where it was not looked for, `begins` that of the drop's size."""

    size: int
    sha256: str = ""
    begins: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the history."""

    event: str
    part: int | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All about one drop. Paths are relative to the root; `home` is where it was last recorded."""

    drop: Drop
    parts: tuple[Part, ...] = ()
    steps: tuple[Step, ...] = ()
    errors: tuple[ReportedStageError, ...] = ()
    problems: bool = False  # the checks listed some
    corrections: tuple[str, ...] = ()
    filed_corrections: tuple[str, ...] = ()
    pending: bool = False  # its sidecars are about to be written anew
    at_home: Seen | None = None
    at_target: Seen | None = None  # where it is being moved to
    in_work: tuple[str, ...] = ()  # names in its work directory
    archived: bool = False  # its whole date folder was taken away, as old ones may be
    report: Mapping[str, Any] | None = None
    report_fault: str = "is missing"
    sidecars: frozenset[Sidecar] = frozenset()
    configured: bool = True  # its folder is

    @property
    def home(self) -> str:
        """Where its file is, by the ledger."""
        return shown(f"{self.drop.place}/{self.drop.name}")

    @property
    def ever(self) -> frozenset[str]:
        """The reasons that it ever had."""
        now = {str(self.drop.reason)} if self.drop.reason else set()
        return frozenset(now | {str(s.facts["reason"]) for s in self.steps if "reason" in s.facts})

    def was_told(self, message: str) -> bool:
        """Whether an ending that it ever had said this."""
        endings_now = [self.drop.ending.message] if self.drop.ending else []
        told = [str(s.facts.get("message", "")) for s in self.steps]
        return any(message in each for each in [*endings_now, *told])

    def broken(self, rule: str, what: str, step: str, where: str = "") -> Violation:
        """A violation about this drop."""
        return Violation(rule, what, where or self.home, step, self.drop.drop)


def of_drop(evidence: Evidence) -> list[Violation]:
    """Every promise about a drop that does not hold."""
    rules = (_place, _bytes, _proven, _records, _recorded)
    found = [violation for rule in rules for violation in rule(evidence)]
    taken_away = evidence.at_home is None and evidence.report is None
    if evidence.drop.filed and not taken_away:
        beside = (_report, _sidecars)
        found += [violation for rule in beside for violation in rule(evidence)]
    return found


# -- where it is ---------------------------------------------------------------------------------


def _place(e: Evidence) -> Iterator[Violation]:
    drop = e.drop
    shelf = _HOME.get(drop.state)
    if drop.filed and shelf and not drop.place.startswith(f"{drop.folder}/{shelf}/"):
        step = "Keep both, and report it: the ledger says that it is filed where it is not."
        yield e.broken("place.wrong", f"the drop is {drop.state}, its file is elsewhere", step)
    if e.at_home is None and e.at_target is None and not e.archived and not _known_lost(e):
        step = (
            "Find out who moved or removed it, and put it back under this name; what a report says"
            " of the tenant holds all the same."
        )
        yield e.broken("place.vanished", "the file of a drop is gone", step)
    if not drop.in_work and drop.filed and e.in_work:
        step = "Compare the two with the report's sha256; move the one in .work out of the tree."
        where = shown(f"{drop.work_place}/{e.in_work[0]}")
        yield e.broken("place.doubled", "a settled drop has a file in work as well", step, where)


def _known_lost(e: Evidence) -> bool:
    """Whether the program told that the file is gone, and a person has spoken since."""
    return e.was_told(_GONE) and (e.drop.state is State.HELD or e.drop.resolved is not None)


def _bytes(e: Evidence) -> Iterator[Violation]:
    drop, seen = e.drop, e.at_home or e.at_target
    if seen is None or drop.sha256 is None or not seen.sha256 or seen.sha256 == drop.sha256:
        return
    if drop.state in (State.CLAIMED, State.CHECKED, State.SENDING):
        return  # the program itself looks for this, before the last chunk
    if Reason.INCOMPLETE in e.ever and (seen.begins == drop.sha256 or e.was_told(_WRITTEN_ON)):
        return  # its sender is known to have gone on writing
    step = (
        "Ask who wrote to it. Put the original back if there is one; what the report says of the"
        " tenant is about the original."
    )
    yield e.broken("bytes.changed", "the bytes are not those that were dropped", step)


# -- what is known of the tenant -----------------------------------------------------------------


def _proven(e: Evidence) -> Iterator[Violation]:
    drop, states = e.drop, {part.state for part in e.parts}
    if drop.state in (State.STAGED, State.DONE):
        empty = not e.parts and Reason.EMPTY in e.ever
        if not empty and states != {PartState.STAGED}:
            step = "Compare its uploads with the tenant's File Upload history, and report it."
            yield e.broken("done.unproven", "it is done, and not every part is staged", step)
    if drop.state is State.FAILED and states & set(_UNPROVEN) and drop.resolved is None:
        step = "Look for its uploads in the tenant before anything of it is dropped again."
        told = "it failed, though some of it may be at the tenant, and nobody said so"
        yield e.broken("failed.unproven", told, step)
    word = drop.resolved
    if word is not None and not all(word.get(key) for key in ("verb", "reason", "at", "by")):
        step = "Report it: a word without a name, a reason and a time is no proof."
        yield e.broken("word.nameless", "a person's word lacks who, when or why", step)


def _records(e: Evidence) -> Iterator[Violation]:
    """Each record of the file is in one part, or rejected, and the counts say so."""
    checked = e.drop.checked
    if checked is None or not e.parts:
        return
    ranges = [each for part in e.parts for each in part.ranges if each[0] <= each[1]]
    placed = [*ranges, *checked.rejected]
    wrong = [p for p in e.parts if p.records != count(p.ranges)]
    whole = merged(tuple(placed)) in (((1, checked.records),), ())
    if wrong or count(tuple(placed)) != checked.records or not whole:
        step = "Compare the report with the tenant before you rely on its counts, and report it."
        told = f"sent, rejected and not sent do not add up to {checked.records:,} records"
        yield e.broken("records.sum", told, step)


# -- the ledger with itself ----------------------------------------------------------------------


def _recorded(e: Evidence) -> Iterator[Violation]:
    """The present state is the one to which the sealed history leads."""
    states, last = _led_to(e.steps)
    wrong = [p for p in e.parts if states.get(p.part, PartState.PLANNED) != p.state]
    begun = (State.CLAIMED, State.HELD, State.FAILED)  # what a claim may be recorded as
    if wrong or (last != e.drop.state if last else e.drop.state not in begun):
        told = (
            f"part {wrong[0].part} is {wrong[0].state} without a step that made it so"
            if wrong
            else f"the drop is {e.drop.state} without a step that made it so"
        )
        step = "Somebody changed the ledger: `revsyncd ledger check`, then restore a backup."
        yield e.broken("ledger.disagrees", told, step, f"`revsyncd show {e.drop.drop}`")


def _led_to(steps: tuple[Step, ...]) -> tuple[dict[int, str], str]:
    parts: dict[int, str] = {}
    last = ""
    for step in steps:
        if step.part is not None:
            parts[step.part] = step.event
            continue
        if step.event in ("passed", "start over"):
            parts = {}
        if step.event != "claimed":
            last = str(step.facts.get("to", last))
    return parts, last


# -- what stands beside it -----------------------------------------------------------------------

_REWRITE = "It is written anew when more is learnt; until then believe `revsyncd show DROP`."


def _report(e: Evidence) -> Iterator[Violation]:
    if e.report is None:
        told = f"the report of a settled file {e.report_fault}"
        yield e.broken("report.missing", told, _REWRITE.replace("DROP", e.drop.drop))
        return
    differing = [*_differing(e, e.report)]
    if differing:
        told = f"the report and the ledger differ in {', '.join(differing)}"
        yield e.broken("report.differs", told, _REWRITE.replace("DROP", e.drop.drop))
    by_state = e.report.get("records_by_state")
    if not _adds_up(by_state, e.report.get("records")):
        told = "the report's records_by_state do not add up to its records"
        yield e.broken("report.sum", told, _REWRITE.replace("DROP", e.drop.drop))


def _adds_up(by_state: Any, records: Any) -> bool:
    if not isinstance(by_state, dict):
        return False
    numbers = list(by_state.values())
    return all(isinstance(n, int) and n >= 0 for n in numbers) and sum(numbers) == records


def _differing(e: Evidence, report: Mapping[str, Any]) -> Iterator[str]:
    """The names of the fields that say something else than the ledger."""
    kinship = Kinship(e.corrections, e.errors)
    # Through JSON, as the report went.
    wanted = json.loads(json.dumps(build(e.drop, list(e.parts), kinship, "")))
    fields = _SAME if e.pending else [*_SAME, *_OF_ENDING]
    yield from (name for name in fields if report.get(name) != wanted[name])
    if not _same_parts(report.get("parts"), wanted["parts"]):
        yield "parts"
    corrected = report.get("corrected_by") or []
    if not set(e.filed_corrections) <= set(corrected) <= set(e.corrections):
        yield "corrected_by"
    if not e.pending and _errors(report) != _errors(wanted):
        yield "stage_errors"


def _same_parts(told: Any, wanted: list[dict[str, Any]]) -> bool:
    """Equal in what both have: a report of an earlier release has fewer fields."""
    if not isinstance(told, list) or len(told) != len(wanted):
        return False
    pairs = zip(told, wanted, strict=True)
    return all(
        isinstance(one, dict) and all(one[key] == two[key] for key in one.keys() & two.keys())
        for one, two in pairs
    )


def _errors(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    errors = report.get("stage_errors") or {}
    return sorted((str(item["id"]), str(item["state"])) for item in errors.get("items", []))


def _sidecars(e: Evidence) -> Iterator[Violation]:
    """Each sidecar is there where the report promises it, and only there."""
    lost = e.at_home is None  # there was nothing to cut records from
    for sidecar, promised in _promised(e).items():
        if promised is None or promised == (sidecar in e.sidecars):
            continue
        if sidecar is not Sidecar.ERRORS and (lost or not e.configured):
            continue
        if promised:
            told, step = f"{sidecar} is missing", "Put it back, or cut it from the file by hand."
            yield e.broken("sidecar.missing", told, step)
        else:
            told = f"{sidecar} is there and should not be"
            step = "Do not drop it: its records may be at the tenant. Move it away."
            yield e.broken("sidecar.stale", told, step)


def _promised(e: Evidence) -> dict[Sidecar, bool | None]:
    """Whether each is promised; None where a correction on its way decides."""
    parts, still_open = list(e.parts), [error for error in e.errors if error.state == "open"]
    if e.pending:
        return {}
    needed = bool(rejected(e.drop, parts, still_open))
    perhaps = bool(rejected(e.drop, parts, e.errors))
    return {
        Sidecar.ERRORS: e.problems or bool(still_open),
        # Lines that are in error no more stay in the rejects until a correction is at the tenant.
        Sidecar.REJECTS: None if e.corrections and needed != perhaps else perhaps,
        Sidecar.REMAINING: e.drop.state is not State.HELD and has_remaining(parts),
    }
