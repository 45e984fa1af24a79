"""The life of a general-ledger batch: one table of states and events, and the value that lives it. Pure.

An *issue* is one content of a batch: a batch that comes back, or changes after it was written, gets
the next issue, which is fetched and written beside the old one and never over it.
"""

from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from revsyncd.core.errors import NewerRecord


class State(StrEnum):
    """Where an issue of a batch stands."""

    LISTED = "listed"  # ready at the tenant; to be fetched
    FETCHED = "fetched"  # verified and synced under temporary names; to be published
    WRITTEN = "written"  # file and manifest are in the outbox
    CONFIRMING = (
        "confirming"  # the tenant is, or was, being told; the list will say whether it knows
    )
    CONFIRMED = "confirmed"  # the tenant has it as transferred
    HELD = "held"  # a person must look
    WITHDRAWN = "withdrawn"  # no longer ready at the tenant, and not by our word
    SUPERSEDED = "superseded"  # a later issue took its place
    CLOSED = "closed"  # dealt with by people


class Event(StrEnum):
    """What happens to it."""

    CHANGED = "changed"  # at the tenant, before anything was published
    FETCHED = "fetched"
    PUBLISHED = "published"
    SET_ASIDE = "set aside"
    START_OVER = "start over"  # fetched anew: a person's word, or what was prepared is gone
    CONFIRM_ASKED = "confirm asked"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"  # the tenant still lists it as it was
    TAKEN_BACK = "taken back"  # what it was held or missed for holds no longer
    WITHDRAWN = "withdrawn"
    REISSUED = "reissued"
    CLOSED = "closed"


_ANYWHERE = {Event.CLOSED: State.CLOSED, Event.START_OVER: State.LISTED}

MOVES: dict[State, dict[Event, State]] = {
    State.LISTED: {
        Event.CHANGED: State.LISTED,
        Event.FETCHED: State.FETCHED,
        Event.SET_ASIDE: State.HELD,
        Event.WITHDRAWN: State.WITHDRAWN,
        **_ANYWHERE,
    },
    State.FETCHED: {
        Event.START_OVER: State.LISTED,
        Event.PUBLISHED: State.WRITTEN,
        Event.SET_ASIDE: State.HELD,
    },
    State.WRITTEN: {
        Event.CONFIRM_ASKED: State.CONFIRMING,
        Event.SET_ASIDE: State.HELD,
        Event.WITHDRAWN: State.WITHDRAWN,
        Event.REISSUED: State.SUPERSEDED,
        Event.CLOSED: State.CLOSED,
    },
    State.CONFIRMING: {
        Event.CONFIRMED: State.CONFIRMED,
        Event.NOT_CONFIRMED: State.WRITTEN,
        Event.SET_ASIDE: State.HELD,
        Event.CHANGED: State.LISTED,  # one that was set aside, and confirmed on a person's word
        Event.REISSUED: State.SUPERSEDED,
    },
    State.CONFIRMED: {
        Event.NOT_CONFIRMED: State.WRITTEN,  # it was gone from the list, and is there as before
        Event.SET_ASIDE: State.HELD,
        Event.REISSUED: State.SUPERSEDED,
    },
    State.HELD: {
        Event.CHANGED: State.LISTED,
        Event.TAKEN_BACK: State.WRITTEN,
        Event.CONFIRM_ASKED: State.CONFIRMING,  # a person's word
        Event.WITHDRAWN: State.WITHDRAWN,
        Event.REISSUED: State.SUPERSEDED,
        **_ANYWHERE,
    },
    State.WITHDRAWN: {
        Event.CHANGED: State.LISTED,
        Event.TAKEN_BACK: State.WRITTEN,
        Event.REISSUED: State.SUPERSEDED,
        **_ANYWHERE,
    },
    State.CLOSED: {
        Event.CHANGED: State.LISTED,
        Event.START_OVER: State.LISTED,
        Event.TAKEN_BACK: State.WRITTEN,
        Event.REISSUED: State.SUPERSEDED,
    },
    State.SUPERSEDED: {},
}

UNDELIVERED = (
    State.LISTED,
    State.FETCHED,
    State.WRITTEN,
    State.CONFIRMING,
    State.HELD,
)


class UnknownMove(Exception):
    """A state met an event that its row of `MOVES` does not have."""


def advance(state: State, event: Event) -> State:
    """The state that follows. Raises UnknownMove naming state, event and what would be allowed."""
    try:
        return MOVES[state][event]
    except KeyError:
        allowed = ", ".join(MOVES[state]) or "nothing"
        raise UnknownMove(f"a {state} batch can't be {event!r}; it knows: {allowed}") from None


class Reason(StrEnum):
    """Why a batch is held: a closed set, each explained in docs/gl.md."""

    UNBALANCED = "unbalanced"
    UNVERIFIED = "unverified"  # debit and credit can't be summed
    EMPTY = "empty"  # a header without a record
    UNPROVEN = "unproven"  # its source can't show that the download is complete
    CUT = "cut"  # again and again incomplete, though its length was right
    COLUMNS = "columns"  # another header than `columns`
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"  # no CSV
    REJECTED = "rejected"  # by the ERP: <file>.nack
    WRONG_ACK = "wrong_ack"  # <file>.ack names another content
    CANNOT_CONFIRM = "cannot_confirm"
    FILE_MISSING = "file_missing"  # gone before its manifest was written
    REBUILT = "rebuilt"  # the ledger was rebuilt: who knows of it is not known


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of `journal/list`, as text."""

    batch: str
    name: str
    status: str
    updated: str
    report_id: str

    @property
    def ready(self) -> bool:
        """Whether it is ready to transfer, whatever the case."""
        return _plain(self.status) == "READY TO TRANSFER"

    @property
    def transferred(self) -> bool:
        """Whether the tenant has it as transferred."""
        return _plain(self.status) == "TRANSFERRED"


def _plain(status: str) -> str:
    return " ".join(status.replace("_", " ").upper().split())


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What the ERP put beside a file: `ack` or `nack`, its content, and when we saw it."""

    kind: str
    content: str
    seen_at: float


@dataclass(frozen=True, slots=True)
class Batch:
    """One issue of a batch. Times are seconds since the epoch; places are relative to the root."""

    tenant: str
    batch: str
    issue: int
    state: State
    name: str
    status: str
    updated: str
    report_id: str
    listed_at: float  # when we saw this content first
    changed_at: float  # when it came into its state
    made_at: float | None = None  # when the tenant says that it was updated, if that can be read
    reason: Reason | None = None
    message: str = ""
    next_step: str = ""
    tries: int = 0  # failed ones in a row
    cuts: int = 0  # of these: what came was itself short or unreadable
    source: str = ""
    place: str = ""  # the directory of the file
    file: str = ""  # its name there; chosen before it is published
    prepared: tuple[str, str] | None = None  # temporary names of file and manifest
    publishing: bool = False  # its hidden names may be gone because they were renamed
    set_aside: bool = False  # to be published in .held/
    published: bool = False  # file and manifest are (or were) in the outbox for the ERP
    manifest: dict[str, Any] = field(default_factory=dict)
    reissue_of: str | None = None  # the file of the issue before
    acknowledged: Acknowledgement | None = None
    written_at: float | None = None
    confirmed_at: float | None = None
    confirmed_by: str = ""  # "answer": the tenant said so; "list": it was gone from its list
    told_late_at: float | None = None
    word: dict[str, Any] | None = None  # a person's word: verb, reason, at, by

    @property
    def listed(self) -> Listed:
        """What was listed when this issue was taken up."""
        return Listed(self.batch, self.name, self.status, self.updated, self.report_id)

    @property
    def since(self) -> float:
        """From when its age counts: the tenant's own time where it lies before our first look."""
        made = self.made_at
        return self.listed_at if made is None else min(made, self.listed_at)

    @property
    def may_be_loaded(self) -> bool:
        """Whether the ERP has, had or may have had its file."""
        return self.published or self.reason is Reason.FILE_MISSING

    def on_word(self, verb: str) -> bool:
        """Whether this is what a person last asked for."""
        return self.word is not None and self.word.get("verb") == verb

    def evolve(self, **changes: Any) -> Self:
        """The same issue with other values."""
        return replace(self, **changes)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `from_json` reads back."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """Read what `to_json` wrote; unknown keys of a newer release are refused by name."""
        unknown = sorted(data.keys() - {f.name for f in fields(cls)})
        if unknown:
            raise NewerRecord(f"batch {data.get('batch')}", unknown)
        values = dict(data)
        values["state"] = State(values["state"])
        values["reason"] = Reason(values["reason"]) if values.get("reason") else None
        if values.get("prepared"):
            values["prepared"] = tuple(values["prepared"])
        if values.get("acknowledged"):
            values["acknowledged"] = Acknowledgement(**values["acknowledged"])
        return cls(**values)


# -- what to do, and before when -----------------------------------------------------------------

FETCHABLE = 48 * 3600.0  # seconds for which the tenant keeps a batch's file


@dataclass(frozen=True, slots=True)
class Fetch:
    """A batch to fetch, from which sources in order, and before when (seconds since the epoch)."""

    batch: Batch
    sources: tuple[str, ...]
    before: float


def plan(known: list[Batch], sources: tuple[str, ...]) -> list[Fetch]:
    """Which batches to fetch, in the order of their ids; a report needs a report id."""
    due = sorted((b for b in known if b.state is State.LISTED), key=by_id)
    return [Fetch(b, _possible(b, sources), b.since + FETCHABLE) for b in due]


def by_id(batch: Batch) -> tuple[int, int, str, int]:
    """Sorts batches by id, numbers as numbers."""
    number = int(batch.batch) if batch.batch.isascii() and batch.batch.isdecimal() else -1
    return (number < 0, number, batch.batch, batch.issue)


def _possible(batch: Batch, sources: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(s for s in sources if s != "report" or batch.report_id)


def delivered(batch: Batch, confirm: str) -> bool:
    """Whether nothing more is awaited of it, where `confirm` is how the tenant gets to know."""
    if batch.state is State.WRITTEN and confirm == "never":
        return True
    return batch.state not in UNDELIVERED


LATE_AGAIN = 6 * 3600.0  # seconds


def is_late(batch: Batch, now: float, alert_after: float, confirm: str) -> bool:
    """Whether it should have been delivered by now."""
    return not delivered(batch, confirm) and now - batch.since >= alert_after


def tell_late(batch: Batch, now: float, alert_after: float, confirm: str) -> bool:
    """Whether it is to be told (again); a clock that was set back tells at once."""
    if not is_late(batch, now, alert_after, confirm):
        return False
    told = batch.told_late_at
    return told is None or not 0 <= now - told < LATE_AGAIN
