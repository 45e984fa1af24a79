"""What the tenant's list says about a batch that the ledger knows, or does not know yet. Pure."""

from enum import StrEnum

from revsyncd.core.batch import Batch, Listed, Reason, State

CATCHING_UP = 30.0  # seconds after a confirmation in which a list may still be an older one


class Finding(StrEnum):
    """What a look at the list says about a batch."""

    NOTHING = "nothing"
    NEW = "new"
    AS_BEFORE = "as before"
    CHANGED = "changed"
    REISSUED = "reissued"
    WITHDRAWN = "withdrawn"
    BACK = "back"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not confirmed"


_OPEN = (State.LISTED, State.WRITTEN, State.HELD)


def compare(row: Listed | None, known: Batch | None, now: float) -> Finding:
    """What it means that the list has `row` (None: surely lacks the batch) where we know `known`.

    A batch that is being confirmed and is gone from the list, or transferred there, has been
    confirmed; one that is in any other state is waited for. `now` is in seconds since the epoch.
    """
    if row is not None and row.ready:
        return Finding.NEW if known is None else _ready(row, known, now)
    if known is None:
        return Finding.NOTHING
    if known.state is State.CONFIRMING:
        gone = row is None or row.transferred
        return Finding.CONFIRMED if gone else Finding.NOTHING
    if known.state is State.LISTED and known.on_word("fetch"):
        return Finding.NOTHING  # a person wants it all the same
    if known.state is State.HELD and known.reason is Reason.FILE_MISSING:
        return Finding.NOTHING  # only a person can say whether the ERP has it
    return Finding.WITHDRAWN if known.state in _OPEN else Finding.NOTHING


def _ready(row: Listed, known: Batch, now: float) -> Finding:
    if known.state is State.CONFIRMED:
        return _ready_again(row, known, now)
    if known.state is State.FETCHED and known.publishing:
        return Finding.AS_BEFORE  # a part of it may be out: it is compared once all of it is
    if not same(row, known):
        return Finding.REISSUED if known.may_be_loaded else Finding.CHANGED
    match known.state:
        case State.CONFIRMING:
            return Finding.NOT_CONFIRMED
        case State.CLOSED if known.on_word("close"):
            return Finding.AS_BEFORE
        case State.WITHDRAWN | State.CLOSED:
            return Finding.BACK if known.published else Finding.CHANGED
    return Finding.AS_BEFORE


def _ready_again(row: Listed, known: Batch, now: float) -> Finding:
    """A confirmed batch that is listed as ready: to deliver it again is the last thing to conclude."""
    if same(row, known):
        if known.confirmed_by == "list" and row.updated:
            return Finding.NOT_CONFIRMED
        if 0 <= now - (known.confirmed_at or 0.0) < CATCHING_UP:
            return Finding.NOTHING
    return Finding.REISSUED


def same(row: Listed, known: Batch) -> bool:
    """Whether updated, report id and status are those under which the issue was taken up."""
    before = known.listed
    return (row.updated, row.report_id, row.ready) == (
        before.updated,
        before.report_id,
        before.ready,
    )
