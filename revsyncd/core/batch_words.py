"""What is said of a batch that is held: the message, and what a person should do. Pure."""

from dataclasses import dataclass
from typing import Any

from revsyncd.core.batch import Batch, Reason
from revsyncd.core.places import shown

SHOWN = 300  # characters of somebody else's words


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a batch is held, in words, and the next step."""

    reason: Reason
    message: str
    next_step: str


_FETCH = "`revsyncd gl fetch {batch}` fetches it anew"
_CLOSE = '`revsyncd gl close {batch} --reason "…"` if it was dealt with otherwise'
_REGENERATE = (
    "Correct and regenerate the batch in the tenant: its new content is then fetched by itself. "
)
_STEPS = {
    Reason.UNBALANCED: "The file is in .held/ beside its manifest. " + _REGENERATE,
    Reason.UNVERIFIED: "Let `gl.debit`, `gl.credit` and `gl.currency` name columns of the file, or set"
    ' `gl.balance = "report"`; then ' + _FETCH + ". ",
    Reason.EMPTY: "The file in .held/ has a header and not one record. If the batch has entries in the"
    " tenant, have its report generated anew; then " + _FETCH + ". If it has none, mark it as"
    ' transferred: `revsyncd gl confirm {batch} --reason "…"`. ',
    Reason.UNPROVEN: "Have the host say the length of what it serves, or name another source; then "
    + _FETCH
    + ". ",
    Reason.CUT: "Have the report generated anew in the tenant; then " + _FETCH + ". ",
    Reason.COLUMNS: "Let `gl.columns` be the header that the ERP expects, and the layout in the tenant"
    " the same; then " + _FETCH + ". ",
    Reason.TOO_LARGE: "Raise `gl.max_size`; then " + _FETCH + ". ",
    Reason.UNREADABLE: "Look at what the tenant gives out for the batch; then " + _FETCH + ". ",
    Reason.REJECTED: "Correct and regenerate the batch in the tenant, or have the ERP put <file>.ack in"
    " place of <file>.nack. ",
    Reason.WRONG_ACK: "Have the ERP compare what it loaded with the manifest, and write <file>.ack"
    " with its sha256. ",
    Reason.CANNOT_CONFIRM: "Mark the batch as transferred in the tenant, or try"
    ' `revsyncd gl confirm {batch} --reason "…"`. ',
    Reason.FILE_MISSING: "Find out who took the file away before its manifest was there. If the ERP"
    " does not have it, " + _FETCH + ". ",
    Reason.REBUILT: "See in the ERP whether it was loaded. If so, and its file is or was in the outbox:"
    ' `revsyncd gl confirm {batch} --reason "…"`; where that is refused, mark it as transferred in the'
    " tenant. If not, let the ERP load the file in the outbox; where there is none, "
    + _FETCH
    + ". ",
}


def hold(batch: str, reason: Reason, message: str) -> Hold:
    """The words for a batch, whose id is put into the commands."""
    step = (_STEPS[reason] + _CLOSE[0].upper() + _CLOSE[1:] + ".").replace("{batch}", shown(batch))
    return Hold(reason, message, step)


def balance_told(unbalanced: tuple[str, ...], totals: dict[str, dict[str, str]]) -> str:
    """`USD: debit 10.00, credit 9.99` for each currency that does not balance, at most five."""
    told = [
        f"{shown(code) or 'no currency'}: debit {totals[code]['debit']}, credit {totals[code]['credit']}"
        for code in unbalanced[:5]
    ]
    more = [f"{len(unbalanced) - 5} more"] if len(unbalanced) > 5 else []  # noqa: PLR2004  (as above)
    return "debit and credit differ in " + "; ".join(told + more)


def rejected(text: str) -> str:
    """What the ERP wrote into a .nack, on one line."""
    words = shown(" ".join(text.split()))[:SHOWN]
    return f"the ERP refused it: {words}" if words else "the ERP refused it, without a word why"


def wrong_ack(text: str) -> str:
    """What the ERP wrote into an .ack of another content."""
    return f"the ERP acknowledged another content: {shown(text)[:80]}"


def acknowledges(text: str, *digests: str) -> bool | None:
    """Whether an .ack is empty or begins with one of these digests; None while it may be being written."""
    word = text.split(maxsplit=1)[0].lower() if text.split() else ""
    if not word or word in digests:
        return True
    return None if any(each.startswith(word) for each in digests) else False


def number_or_text(text: str) -> int | str:
    """Ids are numbers in the tenant's JSON, and here they are only kept as text."""
    plain = text.isascii() and text.isdecimal() and len(text) < 19  # noqa: PLR2004  (64 bits)
    return int(text) if plain and str(int(text)) == text else text


def in_words(batch: Batch) -> str:
    """Where a batch stands, in a few words."""
    match str(batch.state):
        case "listed":
            return f"to be fetched{_tries(batch)}"
        case "fetched":
            return "fetched and verified; to be published"
        case "written":
            return "in the outbox"
        case "confirming":
            return "the tenant is being told"
        case "held":
            return f"held as {batch.reason}"
        case "withdrawn":
            return "no longer ready at the tenant, and not by us"
        case other:
            return other


def _tries(batch: Batch) -> str:
    return f"; {batch.tries} tries failed" if batch.tries else ""


def facts(batch: Batch, **more: Any) -> dict[str, Any]:
    """What names a batch in a log line."""
    named = {"batch": batch.batch, "file": batch.file or None}
    return {**named, **more}
