"""How a drop ends, in words for the accountant: reason, message, next step. Pure.

In a next step `DROP` stands for the drop's id and `<file>.errors.csv` for the sidecar's full name;
`Drop.next_step` puts them in.

Endings that follow from the states of the parts are in `revsyncd.core.outcome`.
"""

from dataclasses import replace

from revsyncd.core.drop import Drop, Ending, Reason
from revsyncd.core.places import Sidecar, shown

WRITTEN_TO = "the file was written to"


def invalid(errors: int, by_code: dict[str, int], records: int) -> Ending:
    """Our checks refused the file; nothing was sent."""
    codes = ", ".join(f"{number:,} {code}" for code, number in sorted(by_code.items()))
    problems = "1 problem" if errors == 1 else f"{errors:,} problems"
    return Ending(
        Reason.INVALID,
        f"{problems} in {records:,} records ({codes}); nothing was sent",
        f"Correct what <file>{Sidecar.ERRORS} names and drop the whole file again.",
    )


def unusable_manifest(why: str) -> Ending:
    """The sender's manifest can't be understood, so nothing says that the file is whole."""
    return Ending(
        Reason.INCOMPLETE,
        f"the manifest can't be used: {why}",
        "Have the sender mend the manifest and drop file and manifest again, then `revsyncd resolve DROP"
        " --reject` closes this one; or, when the file is surely whole, `revsyncd resolve DROP --send`.",
    )


def empty(policy: str) -> Ending:
    """A file without records."""
    steps = {
        "fail": "If an empty file is right here, `on_empty` of the folder can say so; else have the"
        " export mended and drop it again.",
        "hold": "Ask the sender whether an empty file is right: `revsyncd resolve DROP --reject` if"
        " not; `on_empty` of the folder can settle it for good.",
        "done": "Nothing to do: the folder takes files without records as done.",
    }
    return Ending(Reason.EMPTY, "the file has no records; nothing was sent", steps[policy])


_NO_LINE_END, _OPEN_QUOTE = "file.final_newline", "file.unterminated_quote"
_CUTS = {
    _NO_LINE_END: "it does not end with a line end",
    _OPEN_QUOTE: "a quoted cell is still open at its end",
}


def cut(by_code: dict[str, int]) -> Ending:
    """The file ends as one does whose transfer was cut."""
    signs = [words for code, words in _CUTS.items() if by_code.get(code)]
    others = sum(number for code, number in by_code.items() if code not in _CUTS) if signs else 0
    return Ending(
        Reason.INCOMPLETE,
        "the file looks cut off: "
        + (" and ".join(signs) or "its last record has too few fields")
        + (f", and the checks found more ({others:,})" if others else "")
        + "; nothing was sent",
        f"{f'Look into <file>{Sidecar.ERRORS} first. ' if others else ''}"
        "Compare it with the source and drop it again whole, then `revsyncd resolve DROP --reject`"
        f" closes this one. {_as_it_is(by_code)}",
    )


def _as_it_is(by_code: dict[str, int]) -> str:
    if by_code.get(_OPEN_QUOTE):  # no word makes it readable
        return f"If it is complete as it is, correct what <file>{Sidecar.ERRORS} names before."
    step = "If it is complete as it is, `revsyncd resolve DROP --send`"
    if not by_code.get(_NO_LINE_END):
        return f"{step}."
    return (
        f'{step}; where a sender never ends its last line, set `csv.final_newline = "allow"` for the'
        " folder."
    )


def no_companion(ready: str, suffix: str) -> Ending:
    """The marker or manifest never came."""
    return Ending(
        Reason.INCOMPLETE,
        f"its {ready} (the same name with {suffix}) did not come in time; nothing was sent",
        f"If the transfer was cut, drop file and {ready} again, then `revsyncd resolve DROP --reject`"
        " closes this one. If the file is complete, `revsyncd resolve DROP --send`.",
    )


def changed_while_sent() -> Ending:
    """The dropped file changed after something of it had been released."""
    return Ending(
        Reason.INCOMPLETE,
        f"{WRITTEN_TO} after part of it had been sent",
        "Compare the file with what the parts in this report hold, and ask the sender what it wrote"
        " and why; drop what is missing as a file of its own, then `revsyncd resolve DROP --reject`.",
    )


def written_on(ending: Ending) -> Ending:
    """An ending of a file that was written to after it was checked, whatever else became of it."""
    return replace(
        ending,
        message=f"{ending.message}; {WRITTEN_TO} after it was checked",
        next_step="What was added stands in no part and no sidecar: ask the sender what it wrote, and"
        f" drop that as a file of its own. {ending.next_step}",
    )


def damaged(what: str) -> Ending:
    """A part that was prepared is not on disk as it was recorded, and others had been released."""
    return Ending(
        Reason.CANNOT_SEND,
        f"part of it was sent, and what was prepared of the rest is damaged: {what}",
        "Look at the disk that holds root, and at who writes there. Then `revsyncd resolve DROP --reject`"
        f" closes this one; beside it in failed/ <file>{Sidecar.REMAINING} has what is missing: drop that.",
    )


def damaged_again(times: int, what: str) -> Ending:
    """Whatever is prepared of it is damaged before it can be sent."""
    return Ending(
        Reason.CANNOT_SEND,
        f"what was prepared of it was damaged on disk {times} times; nothing was sent; last: {what}",
        "Look at the disk that holds root, and at who writes there, then `revsyncd resolve DROP --send`;"
        " `--reject` gives it up.",
    )


def duplicate(drop: Drop, earlier: Drop | None, *, held: bool) -> Ending:
    """The same content was sent before, or is being sent."""
    if earlier is None or earlier.drop == drop.drop:
        what = "two parts of the file have the same content"
    else:
        what = (
            f"the same content was dropped before as {shown(earlier.file)} (drop {earlier.drop},"
            f" folder {earlier.folder}, now {earlier.state})"
        )
    step = "If it is a mistake, `revsyncd resolve DROP --reject`." if held else "Nothing to do."
    return Ending(
        Reason.DUPLICATE,
        f"{what}; nothing was sent",
        f"{step} If it must be posted once more, "
        + ("`revsyncd resolve DROP --send`." if held else "change it and drop it again."),
    )


def not_a_file(what: str) -> Ending:
    """A link, FIFO, socket or device."""
    return Ending(
        Reason.NOT_A_FILE,
        f"this is {what}, not a file",
        "Have the sender write a regular file. Remove this one, or `revsyncd resolve DROP --reject`.",
    )


_GROUP_READS = 0o040


def unreadable(mode: int, owner: str, group: str, what: str = "the file") -> Ending:
    """Our user may not read it, or its manifest: for want of a mode, or of a group."""
    if mode & _GROUP_READS:
        step = (
            f"Its group may read it, but the service is not in {group}: run `chgrp` with a group of the"
            " service's, or make the service's user a member and restart it; revsyncd then picks it up by"
            " itself. For good, let the inbox give its own group to new files (`chmod g+s`)."
        )
    else:
        step = (
            "Run `chmod g+r` on it, which its owner may do over SFTP; revsyncd then picks it up by itself."
            " For good, have the sender send files that its group may read: `chmod 640` before, or"
            " `umask 0027`, and `internal-sftp -u 0027` on this host."
        )
    return Ending(
        Reason.UNREADABLE,
        f"the service may not read {what} (mode {mode & 0o7777:04o}, owner {owner}, group {group})",
        step,
    )


def missing() -> Ending:
    """The ledger knows the drop, but its bytes are gone."""
    return Ending(
        Reason.UNREADABLE,
        "the file is gone from where revsyncd had put it; somebody or something removed it",
        "Find out who removed it. If it is still needed, drop it again; then `revsyncd resolve DROP"
        " --reject` closes this one.",
    )


def too_large(size: int, most: int) -> Ending:
    """Larger than the folder allows."""
    return Ending(
        Reason.TOO_LARGE,
        f"the file has {size:,} bytes, the folder takes at most {most:,}; nothing was sent",
        "Drop it in smaller files, or raise `max_size` of the folder and drop it again.",
    )


def cannot_send(failures: int, last: str) -> Ending:
    """The upload failed again and again while other calls went through."""
    return Ending(
        Reason.CANNOT_SEND,
        f"the upload failed {failures} times while other calls to the tenant succeeded; last: {last}",
        "Nothing of it was taken. Mend what the message names, then `revsyncd resolve DROP --send`;"
        " `--reject` gives it up.",
    )


def cancelled(reason: str, who: str) -> Ending:
    """A person stopped it before anything was released."""
    return Ending(
        Reason.CANCELLED,
        f"cancelled by {who}: {reason}; nothing was sent",
        "Drop the file again if it is to be sent after all.",
    )


def stopping(ending: Ending) -> Ending:
    """The same in a folder that stops on failure, where only a name tells that a drop is the correction."""
    if Sidecar.REMAINING in ending.next_step:
        return ending
    step = (
        f"The folder stops on failure: call the corrected file <file>{Sidecar.REJECTS}, so that it goes"
        " before the drops that wait."
    )
    return replace(ending, next_step=f"{ending.next_step} {step}")


# Reasons under which the tenant may have, or may still take, what the report calls in doubt.
_MAY_BE_THERE = (
    Reason.IN_DOUBT,
    Reason.COUNT_MISMATCH,
    Reason.UNCONFIRMED,
    Reason.STATUS_TIMEOUT,
)


def rejected(
    before: Ending | None, reason: str, who: str, *, some_staged: bool, some_unknown: bool = False
) -> Ending:
    """A person gave a held drop up; `some_unknown` of it was received, and nobody knows its end."""
    was = f"; it was held: {before.message}" if before else ""
    step = (
        "What the report counts as staged is at the tenant. Drop only what is missing:"
        f" <file>{Sidecar.REMAINING}, where there is one."
        if some_staged
        else "Drop a corrected file if the records are still needed."
    )
    if some_unknown or (before and before.reason in _MAY_BE_THERE):
        step = (
            f"Some of it may be at the tenant: look there before you drop any of it again. {step}"
        )
    return Ending(Reason.RESOLVED, f"given up by {who}: {reason}{was}", step)


def with_rejects(ending: Ending, rejected_records: int) -> Ending:
    """Done, but for the records that were left out as faulty (`on_invalid = "split"`)."""
    if not rejected_records:
        return ending
    records = "1 record was" if rejected_records == 1 else f"{rejected_records:,} records were"
    return Ending(
        Reason.STAGED_WITH_ERRORS,
        f"{ending.message}; {records} left out as faulty",
        f"Correct the records in <file>{Sidecar.REJECTS} as <file>{Sidecar.ERRORS} says and drop that file.",
    )


def when_staged(drop: Drop, staged: Ending) -> Ending:
    """The ending of a drop whose parts are all staged, before any line in error is known.

    `staged` is what its parts say. Pure in drop and parts, so it can be found again at any time.
    """
    if drop.resolved and drop.resolved.get("verb") == "arrived":
        said = f"{staged.message}, on the word of {drop.resolved['by']}"
        staged = Ending(Reason.RESOLVED, said, "Nothing to do.")
    return with_rejects(staged, drop.checked.rejected_records if drop.checked else 0)


def with_stage_errors(ending: Ending, staged: Ending, open_errors: int) -> Ending:
    """What a done drop's ending becomes with `open_errors` lines in error at the tenant.

    `staged` is what it would be without any; a held or failed drop keeps its own ending.
    """
    if ending.reason not in (Reason.STAGED, Reason.STAGED_WITH_ERRORS, Reason.RESOLVED):
        return ending
    if not open_errors:
        return staged
    lines = "1 line is" if open_errors == 1 else f"{open_errors:,} lines are"
    step = f"Delete these lines in the tenant's Inbound, then correct and drop <file>{Sidecar.REJECTS}."
    others = "" if staged.reason is Reason.RESOLVED else staged.next_step  # which is: nothing
    return replace(
        staged,
        reason=Reason.STAGED_WITH_ERRORS,
        message=f"{staged.message}; {lines} in error at the tenant",
        next_step=f"{step} {others}".strip(),
    )
