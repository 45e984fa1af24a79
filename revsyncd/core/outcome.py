"""What follows from the states of a drop's parts: pure, and the only place that decides it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from revsyncd.core.drop import Ending, Event, Reason
from revsyncd.core.part import Part, PartState, records_in

DOUBTS = (Reason.IN_DOUBT, Reason.COUNT_MISMATCH, Reason.UNCONFIRMED)


@dataclass(frozen=True, slots=True)
class Settle:
    """The drop has its ending: `event` says how it moves."""

    event: Event
    ending: Ending


@dataclass(frozen=True, slots=True)
class Send:
    """These parts may go now, as slots allow."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Follow:
    """Everything that may go has gone: the status of accepted parts decides."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Uploads are past their last chunk: their answers decide."""


Decision = Settle | Send | Follow | Wait


def decide(parts: list[Part], *, in_sequence: bool, timed_out: bool) -> Decision:
    """The next step of a drop whose parts stand as given.

    A part in doubt holds the drop whatever the others are; a refused one lets those already
    accepted be followed to their end first, so that what remains is known exactly.
    `timed_out`: an accepted part has been followed for too long. A drop without parts has nothing
    to decide: ValueError.
    """
    if not parts:
        raise ValueError("a drop without parts must not pass for one that was staged")
    states = {p.state for p in parts}
    if PartState.RELEASED in states:
        return Wait()
    if PartState.IN_DOUBT in states:
        return Settle(Event.SET_ASIDE, _doubt(parts))
    if timed_out and PartState.ACCEPTED in states:
        return Settle(Event.SET_ASIDE, _timed_out(parts))
    if PartState.REFUSED in states:
        return Follow() if PartState.ACCEPTED in states else Settle(Event.REFUSED, _refused(parts))
    if PartState.PLANNED in states:
        return _send(parts, in_sequence=in_sequence)
    if PartState.ACCEPTED in states:
        return Follow()
    return Settle(Event.ALL_STAGED, staged(parts))


def _send(parts: list[Part], *, in_sequence: bool) -> Decision:
    planned = tuple(p for p in parts if p.state is PartState.PLANNED)
    if not in_sequence:
        return Send(planned)
    # In sequence a part goes when the ones before it are staged, not merely received.
    if any(p.state is PartState.ACCEPTED for p in parts):
        return Follow()
    return Send(planned[:1])


def staged(parts: list[Part]) -> Ending:
    """The ending of a drop that the tenant has whole."""
    records = records_in(parts, PartState.STAGED)
    uploads = "1 upload" if len(parts) == 1 else f"{len(parts)} uploads"
    return Ending(Reason.STAGED, f"{_records(records)} staged in {uploads}")


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"


def _refused(parts: list[Part]) -> Ending:
    refused = next(p for p in parts if p.state is PartState.REFUSED)
    words = f"the tenant refused upload {refused.part} of {refused.of}: {refused.message}"
    if not records_in(parts, PartState.STAGED):
        return Ending(
            Reason.REFUSED,
            words,
            "Correct what the tenant names and drop the whole file again; nothing of it was taken.",
        )
    return Ending(
        Reason.PARTLY_REFUSED,
        f"{words}; {_records(records_in(parts, PartState.STAGED))} of the file are staged",
        "Correct what the tenant names in <file>.remaining.csv and drop that file:"
        " it holds exactly the records that the tenant does not have. Do not drop the whole file.",
    )


def _doubt(parts: list[Part]) -> Ending:
    doubtful = sorted(
        (p for p in parts if p.state is PartState.IN_DOUBT), key=lambda p: DOUBTS.index(_why(p))
    )
    first = doubtful[0]
    # A person's word is about all of them, so all of them have to be looked for.
    if any(p.released_at is None and _why(p) is Reason.IN_DOUBT for p in doubtful):
        look = _look_for_unknown(doubtful)
    else:
        look = _look_for(first) if len(doubtful) == 1 else _look_for_all(doubtful)
    words = "; ".join(_DOUBT_WORDS[_why(p)].format(p=p) for p in doubtful)
    return Ending(_why(first), words, look)


def _why(part: Part) -> Reason:
    return part.doubt or Reason.IN_DOUBT


_DOUBT_WORDS = {
    Reason.IN_DOUBT: "upload {p.part} of {p.of} left without a definite answer: {p.message}",
    Reason.COUNT_MISMATCH: "upload {p.part} of {p.of} sent {p.records} records, but the tenant says: {p.message}",
    Reason.UNCONFIRMED: "upload {p.part} of {p.of} was received without a request id: {p.message}",
}


# Our own prudence, not a documented fact: after this long the tenant's scheduler has surely shown an
# upload that it took, so its absence may be trusted.
ABSENCE_TRUSTED_AFTER = 3600.0  # seconds


def _look_for_unknown(parts: list[Part]) -> str:
    """Nothing tells when they left, if they did: how their names begin is all there is."""
    begins = parts[0].file_name.rpartition(".p")[0]
    look = (
        "Look in the tenant's File Upload history and Inbound for every upload whose name begins with"
        f" {begins}. If all records of the file are there: `revsyncd resolve DROP --arrived`. If there"
        " is none, and none was sent in the last hour: `revsyncd resolve DROP --not-arrived` sends it."
        " If only some are there, delete those in the tenant first, then `--not-arrived`."
    )
    return look + (_WITHOUT_ID if any(_why(p) is Reason.UNCONFIRMED for p in parts) else "")


def _look_for(part: Part) -> str:
    if _why(part) is Reason.COUNT_MISMATCH:
        return (
            f"Compare the lines of upload {part.file_name} (request {part.request_id}) in the"
            f" tenant's Inbound with the {_records(part.records)} sent, then say what holds:"
            " `revsyncd resolve DROP --arrived` when all are there; else delete them in the tenant"
            " and `--not-arrived` to send them again."
        )
    released = part.released_at or 0.0
    look = (
        f"Look in the tenant's File Upload history and Inbound for {part.file_name}, released at"
        f" {_utc(released)}, {_records(part.records)}. If it is there: `revsyncd resolve DROP"
        f" --arrived`. If it is still absent after {_utc(released + ABSENCE_TRUSTED_AFTER)}:"
        " `revsyncd resolve DROP --not-arrived` sends it again."
    )
    return look + (_WITHOUT_ID if _why(part) is Reason.UNCONFIRMED else "")


_WITHOUT_ID = (
    ' Where the tenant never gives request ids, `tenant.without_id = "done"` in the configuration'
    " takes its word instead."
)


def _look_for_all(parts: list[Part]) -> str:
    last = max(p.released_at or 0.0 for p in parts)
    each = "; ".join(
        f"{p.file_name}, released at {_utc(p.released_at or 0.0)}, {_records(p.records)}"
        for p in parts
    )
    look = (
        f"Look in the tenant's File Upload history and Inbound for all of these: {each}. If all are"
        " there, whole: `revsyncd resolve DROP --arrived`. If all are still absent after"
        f" {_utc(last + ABSENCE_TRUSTED_AFTER)}: `revsyncd resolve DROP --not-arrived` sends them"
        " again. If only some are there, delete those in the tenant first, then `--not-arrived`."
    )
    return look + (_WITHOUT_ID if any(_why(p) is Reason.UNCONFIRMED for p in parts) else "")


def _utc(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _timed_out(parts: list[Part]) -> Ending:
    waiting = [p for p in parts if p.state is PartState.ACCEPTED]
    ids = ", ".join(str(p.request_id) for p in waiting)
    return Ending(
        Reason.STATUS_TIMEOUT,
        f"received by the tenant as request {ids}, but not staged or refused within the time-out",
        "Nothing to do at first: revsyncd keeps asking and files the drop when an answer comes."
        f" If none comes, look for request {ids} in the tenant's File Upload history. All there:"
        " `revsyncd resolve DROP --arrived`. None there: `revsyncd resolve DROP --not-arrived` sends"
        " it again.",
    )
