"""The life of a drop: one table of states and events, and the value that lives it.

`MOVES` is the only place that says what may follow what; an event that a state does not know is a
programming error and named as such. The diagram in README.md is generated from this table
(`python -m revsyncd.core.diagram`), and a test proves that it is current.

Two things are *not* states: where the file lies (`place`, `filed`), because filing repeats the move
and never the upload, and what became of single parts (`revsyncd.core.part`).
"""

import re
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

from revsyncd.core.errors import NewerRecord
from revsyncd.core.places import Sidecar, shown, sidecar_name


class State(StrEnum):
    """Where a drop stands."""

    CLAIMED = "claimed"  # in .work, not yet checked
    CHECKED = "checked"  # parts prepared and their identities reserved
    SENDING = "sending"  # uploads begun
    ACCEPTED = "accepted"  # every part received under an id or staged; being followed
    STAGED = "staged"  # the tenant has all of it; being filed
    DONE = "done"
    FAILED = "failed"
    HELD = "held"


class Event(StrEnum):
    """What happens to a drop."""

    PASSED = "passed"  # the checks; there is something to send
    NOTHING_TO_SEND = "nothing to send"  # an empty file where the folder takes that as done
    INVALID = "invalid"  # the checks; nothing was sent
    SET_ASIDE = "set aside"  # a person must look
    START_OVER = "start over"  # the file still changes, or its parts must be prepared anew
    STARTED = "started"  # the first upload begins
    ALL_RECEIVED = "all received"
    ALL_STAGED = "all staged"
    REFUSED = "refused"  # by the tenant, a part at least
    CANCELLED = "cancelled"  # by a person, nothing released
    SENT_AGAIN = "sent again"  # by a person's word, or the parts still to send after a late answer
    REJECTED = "rejected"  # by a person
    FILED = "filed"


MOVES: dict[State, dict[Event, State]] = {
    State.CLAIMED: {
        Event.START_OVER: State.CLAIMED,
        Event.PASSED: State.CHECKED,
        Event.NOTHING_TO_SEND: State.STAGED,
        Event.INVALID: State.FAILED,
        Event.SET_ASIDE: State.HELD,
        Event.CANCELLED: State.FAILED,
    },
    State.CHECKED: {
        Event.START_OVER: State.CLAIMED,
        Event.STARTED: State.SENDING,
        Event.REFUSED: State.FAILED,  # taken back by a person while a part was still being followed
        Event.SET_ASIDE: State.HELD,
        Event.CANCELLED: State.FAILED,
    },
    State.SENDING: {
        Event.START_OVER: State.CLAIMED,
        Event.ALL_RECEIVED: State.ACCEPTED,
        Event.ALL_STAGED: State.STAGED,
        Event.REFUSED: State.FAILED,
        Event.SET_ASIDE: State.HELD,
        Event.CANCELLED: State.FAILED,
    },
    State.ACCEPTED: {
        Event.ALL_STAGED: State.STAGED,
        Event.REFUSED: State.FAILED,
        Event.SET_ASIDE: State.HELD,
    },
    State.STAGED: {Event.FILED: State.DONE},
    State.HELD: {
        Event.START_OVER: State.CLAIMED,
        Event.SENT_AGAIN: State.CHECKED,
        Event.ALL_RECEIVED: State.ACCEPTED,  # by a person's word, with others still being followed
        Event.ALL_STAGED: State.STAGED,
        Event.REFUSED: State.FAILED,
        Event.REJECTED: State.FAILED,
    },
    State.DONE: {},
    State.FAILED: {},
}

WAITING = (State.CLAIMED, State.CHECKED, State.SENDING)  # holds up the later drops of its folder
OPEN = (*WAITING, State.ACCEPTED, State.STAGED)
SHELVED = (State.STAGED, State.DONE, State.FAILED, State.HELD)  # the file belongs on a shelf


class UnknownMove(Exception):
    """A state met an event that its row of `MOVES` does not have."""


def advance(state: State, event: Event) -> State:
    """The state that follows. Raises UnknownMove naming state, event and what would be allowed."""
    try:
        return MOVES[state][event]
    except KeyError:
        allowed = ", ".join(MOVES[state]) or "nothing"
        raise UnknownMove(f"a {state} drop can't be {event!r}; it knows: {allowed}") from None


class Reason(StrEnum):
    """Why a settled drop ended as it did: a closed set, each explained in README.md."""

    STAGED = "staged"
    STAGED_WITH_ERRORS = "staged_with_errors"
    INVALID = "invalid"
    EMPTY = "empty"
    REFUSED = "refused"
    PARTLY_REFUSED = "partly_refused"
    IN_DOUBT = "in_doubt"
    COUNT_MISMATCH = "count_mismatch"
    DUPLICATE = "duplicate"
    INCOMPLETE = "incomplete"
    NOT_A_FILE = "not_a_file"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    STATUS_TIMEOUT = "status_timeout"
    CANNOT_SEND = "cannot_send"
    UNCONFIRMED = "unconfirmed"
    CANCELLED = "cancelled"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Ending:
    """What a settled drop's report says first."""

    reason: Reason
    message: str
    next_step: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the checks found, as far as the reports need it."""

    encoding: str = ""
    records: int = 0
    lines: int = 0
    errors: int = 0
    warnings: int = 0
    by_code: dict[str, int] | None = None
    shown: int = 0
    totals: dict[str, str] | None = None
    totals_by: tuple[dict[str, str | int], ...] = ()
    normalised: dict[str, int] | None = None
    rejected: tuple[tuple[int, int], ...] = ()  # ranges of record numbers, both ends inclusive
    unreadable: int = 0  # records without trustworthy cells; in no total
    unsummed: dict[str, int] | None = None  # label -> cells that no total could take
    mapping: str = ""  # digest of the mapping they were made against

    @property
    def rejected_records(self) -> int:
        """How many records were left out as faulty."""
        return count(self.rejected)


def count(ranges: tuple[tuple[int, int], ...]) -> int:
    """How many records the ranges (both ends inclusive) hold."""
    return sum(last - first + 1 for first, last in ranges)


# A command in an ending's words, which leave out what every such command takes.
_COMMAND = re.compile(r"`revsyncd resolve DROP\s+(--[a-z-]+)`")


@dataclass(frozen=True, slots=True)
class Drop:
    """One dropped file. Times are seconds since the epoch; places are relative to the root."""

    drop: str
    folder: str
    file: str  # as the file system has it, surrogates for bytes that are not UTF-8
    state: State
    tenant: str
    template_name: str
    kind: str
    received_at: float
    place: str  # the directory in which the file lies now
    name: str  # its name there
    seq: int = 0  # order of claiming, given by the ledger
    companion: str | None = None  # marker or manifest claimed along, its name
    owner: str = ""
    size: int = 0
    identity: tuple[int, ...] = ()  # size, mtime (ns) and inode as last seen: a writer changes them
    sha256: str | None = None
    config: str = ""
    checked: Checked | None = None
    ending: Ending | None = None
    settled_at: float | None = None
    target: str | None = None  # the path, below the root, to which it is being moved
    filed: bool = False
    revision: int = 0
    correction_of: str | None = None
    duplicate_of: str | None = None
    permitted: tuple[str, ...] = ()  # what a person allowed: "duplicate", "incomplete"
    resolved: dict[str, Any] | None = None  # a person's word: verb, reason, at, by

    @property
    def reason(self) -> Reason | None:
        """The ending's reason, None while there is none."""
        return self.ending.reason if self.ending else None

    @property
    def work_place(self) -> str:
        """Its work directory, below the root."""
        return f"{self.folder}/.work/{self.drop}"

    @property
    def in_work(self) -> bool:
        """Whether its file lies in its work directory."""
        return self.place == self.work_place

    @property
    def to_be_moved(self) -> bool:
        """Whether its file has to be moved: to a shelf, or from one back into work."""
        return not self.filed if self.state in SHELVED else not self.in_work

    @property
    def open(self) -> bool:
        """Whether the program still has something to do with it by itself."""
        return self.state in OPEN or not self.filed

    @property
    def next_step(self) -> str:
        """What a person should do, with the drop's own id and the full names of its sidecars."""
        step = self.ending.next_step if self.ending else ""
        # Only where a command names it, and before any name comes in: files are called DROP, too.
        # A function: `re` would keep a text with a drop's id in it for the next time, some hundreds.
        step = _COMMAND.sub(
            lambda found: f'`revsyncd resolve {self.drop} {found[1]} --reason "…"`', step
        )
        for sidecar in Sidecar:
            full = shown(sidecar_name(self.name, sidecar, self.drop))
            step = step.replace(f"<file>{sidecar}", full)
        return step

    def evolve(self, **changes: Any) -> Self:
        """The same drop with other values."""
        return replace(self, **changes)

    def with_news(self) -> Self:
        """After a part of it became something else: a held one's report says less than is known now."""
        return self.evolve(filed=False) if self.state is State.HELD else self

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote; unknown keys of a newer release are refused by name."""
        unknown = sorted(data.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise NewerRecord(f"drop {data.get('drop')}", unknown)
        values = dict(data)
        values["state"] = State(values["state"])
        for name in ("permitted", "identity"):
            values[name] = tuple(values.get(name, ()))
        if values.get("ending"):
            ending = values["ending"]
            values["ending"] = Ending(**{**ending, "reason": Reason(ending["reason"])})
        if values.get("checked"):
            values["checked"] = _checked(values["checked"])
        return cls(**values)


def _checked(data: dict[str, Any]) -> Checked:
    rejected = tuple((first, last) for first, last in data["rejected"])
    return Checked(**{**data, "rejected": rejected, "totals_by": tuple(data["totals_by"])})
