"""Compares what was dropped with what lies in the folders and with what the simulator holds.

Everything is read anew: the settled files, their reports, the bodies that the tenant stored. The
daemon's log is asked only which drop is which, and whether anything went wrong on the way.
"""

import csv
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path

from revsyncd.core.places import Sidecar
from revsyncd.demo import sample
from revsyncd.demo.findings import Case, Found, Line, staged_rows
from revsyncd.demo.promises import Promise
from revsyncd.demo.sample import LINE_ID, Row
from revsyncd.demo.telling import counted
from revsyncd.demo.tree import STYLES

# What a quiet month-end has none of; each would be a fault of the daemon or of its surroundings.
_TROUBLES = frozenset((
    "raw", "service.failed", "drop.step_failed", "drop.lost", "drop.ignored", "disk.trouble",
    "folder.missing", "folder.paused", "tenant.paused", "tenant.unreachable", "token.refused",
    "gl.step_failed", "gl.refused", "gl.late", "library.message",
))  # fmt: skip
_PARALLEL_LIMIT = 2  # the tenant's

_UNREADABLE = (OSError, ValueError, KeyError, csv.Error)

Complaint = Callable[[Found], str]  # what is wrong with a drop, "" for nothing


def audit(case: Case) -> list[Promise]:
    """Every promise, compared with what was found."""
    found = case.found
    sent = [each for each in found if each.dropped.sheet.fate.at_tenant]
    unsent = [each for each in found if not each.dropped.sheet.fate.at_tenant]
    corrections = [each for each in found if each.dropped.corrects]
    repeats = [each for each in found if each.dropped.repeats]
    in_error = [each for each in found if each.dropped.sheet.in_error]
    by_name = {id(each.dropped): each for each in found}
    return [
        _nothing_else(case),
        _each("every file's bytes are as dropped, its report beside it", found, _changed),
        _each("every file ended where and why it should", found, _wrong_fate),
        _each("the tenant has of every file as many records as promised", found, _miscounted),
        _each("every file went in as few uploads as it could", sent, _too_many_uploads),
        _each("what the tenant took equals what was dropped, cell by cell", sent, _differing),
        _each("of refused and repeated files nothing was sent", unsent, _sent_after_all),
        _once(case),
        _each("lines in error are told in their file's report", in_error, _untold),
        _each(
            "corrections and what they correct name each other",
            corrections,
            lambda each: _unlinked(each, by_name),
        ),
        _each(
            "the same bytes again are held, the earlier drop named",
            repeats,
            lambda each: _unknown_twin(each, by_name),
        ),
        *_manners(case),
        _quiet(case),
        Promise("asked to stop, the daemon ended with 0", case.exit_code == 0, str(case.exit_code)),
    ]


def _each(words: str, found: Iterable[Found], complaint: Complaint) -> Promise:
    """A promise about several drops: how many keep it, and the first that does not."""
    complaints = [(each, _told(each, complaint)) for each in found]
    broken = [f"{each.dropped.sheet.file}: {text}" for each, text in complaints if text]
    number = f"{len(complaints) - len(broken)} of {len(complaints)}"
    return Promise(words, bool(complaints) and not broken, "; ".join([number, *broken[:1]]))


def _told(found: Found, complaint: Complaint) -> str:
    """A complaint; what can't be read is one, too."""
    try:
        return complaint(found)
    except _UNREADABLE as error:
        return str(error)


# -- files ---------------------------------------------------------------------------------------


def _nothing_else(case: Case) -> Promise:
    """Every file on a shelf is a drop of ours or beside one, and none is left on the way."""
    known = {path for each in case.found for path in _with_sidecars(each.at)}
    strangers = [path for path in _files(case) if path not in known]
    settled = sum(each.at is not None for each in case.found)
    words = "every file lies once in done/, failed/ or held/, none elsewhere"
    found = [f"{settled} of {len(case.found)}", *(f"also {path}" for path in strangers[:1])]
    return Promise(words, settled == len(case.found) and not strangers, "; ".join(found))


def _files(case: Case) -> Iterator[Path]:
    """All files of the folders, those in inboxes and in work too, but for `status.txt`."""
    for path in case.tree.root.glob("*/*/**/*"):
        if path.is_file() and not path.is_relative_to(case.tree.outbox):
            yield path


def _with_sidecars(path: Path | None) -> list[Path]:
    if path is None:
        return []
    return [path, *(path.with_name(path.name + suffix) for suffix in Sidecar)]


def _changed(found: Found) -> str:
    with found.path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return "" if sha256 == found.dropped.sha256 == found.report.get("sha256") else "other bytes"


def _wrong_fate(found: Found) -> str:
    fate, report = found.dropped.sheet.fate, found.report
    ended = (report.get("outcome"), report.get("reason"))
    if ended == (fate.outcome, fate.reason) and found.shelf == fate.outcome:
        return ""
    return f"{found.shelf}/, {ended[0]}, {ended[1]}, not {fate.outcome}, {fate.reason}"


# -- records and cells ---------------------------------------------------------------------------


def _miscounted(found: Found) -> str:
    promised = found.dropped.sheet.fate.at_tenant
    return "" if found.at_tenant == promised else f"{found.at_tenant:,}, not {promised:,}"


def _differing(found: Found) -> str:
    """The first difference between the records that were to be sent and those that were staged."""
    dropped = enumerate(sample.read(found.path, STYLES[found.dropped.sheet.folder]), 1)
    wanted = (row for number, row in dropped if number not in found.dropped.sheet.left_out)
    staged = chain.from_iterable(staged_rows(upload) for upload in found.staged)
    nothing: Row = {}
    for number, (left, right) in enumerate(zip_longest(wanted, staged, fillvalue=nothing), 1):
        if left != right:
            return f"record {number}: {_first_difference(left, right)}"
    return ""


def _first_difference(left: Row, right: Row) -> str:
    labels = [*left, *(label for label in right if label not in left)]
    label = next(label for label in labels if left.get(label) != right.get(label))
    return f"{label} is {right.get(label)!r}, was {left.get(label)!r}"


def _too_many_uploads(found: Found) -> str:
    sheet = found.dropped.sheet
    least = -(-(sheet.records - len(sheet.left_out)) // sheet.most_per_upload)
    sent = len(found.uploads)
    return "" if sent == least else f"{counted(sent, 'upload')}, not {least}"


def _sent_after_all(found: Found) -> str:
    return counted(len(found.uploads), "upload") if found.uploads else ""


def _once(case: Case) -> Promise:
    """Of all records in done/, corrections included, the tenant holds each line exactly once."""
    words = "the tenant holds every line in done/ exactly once"
    try:
        return _compared(words, _lines_done(case), case.lines_held())
    except _UNREADABLE as error:
        return Promise(words, kept=False, found=str(error))


def _lines_done(case: Case) -> set[Line]:
    return {
        (case.kinds[each.dropped.sheet.folder], row[LINE_ID])
        for each in case.found
        if each.shelf == "done"
        for row in sample.read(each.path, STYLES[each.dropped.sheet.folder])
    }


def _compared(words: str, wanted: set[Line], held: Counter[Line]) -> Promise:
    twice = [line for line, times in held.items() if times > 1]
    foreign, missing = held.keys() - wanted, wanted - held.keys()
    kept = bool(wanted) and not (twice or foreign or missing)
    wrong = {"twice": len(twice), "of no file": len(foreign), "missing": len(missing)}
    found = [
        f"{len(wanted):,} lines",
        *(f"{number:,} {what}" for what, number in wrong.items() if number),
    ]
    return Promise(words, kept, ", ".join(found))


def _untold(found: Found) -> str:
    """Whether the report names the records in error, all of them gone by now."""
    errors = found.report.get("stage_errors", {})
    told = {(item.get("record"), item.get("state")) for item in errors.get("items", [])}
    wanted = {(record, "gone") for record in found.dropped.sheet.in_error}
    return "" if told == wanted else f"{sorted(told, key=str)}"


# -- links ---------------------------------------------------------------------------------------


def _unlinked(found: Found, by_name: dict[int, Found]) -> str:
    parent = by_name[id(found.dropped.corrects)]
    if found.report.get("correction_of") != parent.drop:
        return f"names {found.report.get('correction_of')}"
    if found.drop not in parent.report.get("corrected_by", []):
        return "its parent's report does not name it"
    return ""


def _unknown_twin(found: Found, by_name: dict[int, Found]) -> str:
    twin, named = by_name[id(found.dropped.repeats)].drop, found.report.get("duplicate_of")
    return "" if named == twin else f"names {named}"


# -- manners -------------------------------------------------------------------------------------


def _manners(case: Case) -> Iterator[Promise]:
    """What the tenant saw of its rules."""
    world = case.tenant.world
    most = world.counts.max_parallel_uploads
    yield Promise(
        "never more than two uploads at once", 0 < most <= _PARALLEL_LIMIT, f"{most} at most"
    )
    sign_ins = world.counts.sign_ins
    yield Promise("one sign-in for the whole run", sign_ins == 1, counted(sign_ins, "sign-in"))
    rules = Counter(violation["rule"] for violation in world.violations)
    named = ", ".join(f"{rule} ({number})" for rule, number in rules.items())
    yield Promise("no call that the tenant's rules forbid", not rules, named or "none")


def _quiet(case: Case) -> Promise:
    """The log tells of no trouble beside what the month-end brought on."""
    events = [event for event in case.journal.events if event["event"] in _TROUBLES]
    troubles = [f"{event['event']}: {event.get('error', '')}" for event in events]
    troubles += case.tree.complaints.read_text(errors="replace").splitlines()
    found = "; ".join(troubles[:1]) or "none"
    return Promise("the daemon tells of no trouble of its own", not troubles, found)
