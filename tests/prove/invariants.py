"""What must hold on a stand when everything has come to its end, whatever happened before.

Looks at folders, reports, ledger and tenant as they are; nothing here asks the program.
"""

import csv
import hashlib
import io
import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from prove.runs import Life, Stand

SHELVES = ("done", "failed", "held")
SIDECARS = (".report.json", ".errors.csv", ".rejects.csv", ".remaining.csv")
# A dead process's last request may reach the tenant after the next process was announced to it.
TOLERATED = ("sign_in.repeated",)
IN_DOUBT = ("held", "in_doubt")  # the one ending that a kill or a power loss may bring about


def violations(stand: Stand, *lives: Life, expected: tuple[str, str]) -> list[str]:
    """Everything that is not as promised; each drop is as `expected` (outcome, reason) or in doubt."""
    found = whatever_was_dropped(stand, *lives)
    for name, content in stand.dropped.items():
        found += _misplaced(stand, name, content, expected)
    return found


def whatever_was_dropped(stand: Stand, *lives: Life) -> list[str]:
    """What is not as promised of tenant, ledger, batches, folders and logs; files are not looked into."""
    seen = [each for each in stand.tenant.violations if each.rule not in TOLERATED]
    found = [f"tenant: {each.rule}: {each.detail}" for each in seen]
    found += _twice(stand)
    found += _left_over(stand)
    found += _ledger(stand)
    found += _batches(stand)
    for life in lives:
        found += [f"log: {each}" for each in life.events() if _is_fault(each)]
    return found


def _is_fault(event: dict[str, Any]) -> bool:
    return "exception" in event or event["event"] in ("", "service.failed", "library.message")


def held_lines(stand: Stand) -> Counter[str]:
    """How often the tenant holds each line."""
    return Counter(row[0] for stored in stand.tenant.stored for row in stored.rows)


def _twice(stand: Stand) -> list[str]:
    held = held_lines(stand)
    return [f"the tenant holds {line} {times} times" for line, times in held.items() if times > 1]


def reports(stand: Stand) -> list[tuple[Path, dict[str, Any]]]:
    """Every report of every folder with its path."""
    return [each for folder in stand.site.folders for each in stand.site.reports(folder)]


def endings(stand: Stand) -> list[tuple[str, str]]:
    """Outcome and reason of every report."""
    return [(report["outcome"], report["reason"]) for _, report in reports(stand)]


def _misplaced(stand: Stand, name: str, content: bytes, expected: tuple[str, str]) -> Iterator[str]:
    """A dropped content is on one shelf, whole, with a report that is true."""
    places = [path for path in _files(stand.site.root / "orders") if path.read_bytes() == content]
    if len(places) != 1 or places[0].parents[1].name not in SHELVES:
        yield f"{name} is at {_below(stand, places)}, not on one shelf"
        return
    try:
        report = json.loads(places[0].with_name(f"{places[0].name}.report.json").read_text())
    except (OSError, ValueError) as error:
        yield f"{name} has no report: {error}"
        return
    ending = (report["outcome"], report["reason"])
    if report["outcome"] != places[0].parents[1].name or ending not in (expected, IN_DOUBT):
        yield f"{name} is {ending} in {places[0].parents[1].name}, not {expected}"
    sha256 = report["sha256"]
    if sha256 is not None and sha256 != hashlib.sha256(content).hexdigest():
        yield f"the report of {name} has another SHA-256"
    yield from _as_reported(stand, name, content, report)


def _as_reported(stand: Stand, name: str, content: bytes, report: dict[str, Any]) -> Iterator[str]:
    """The records that the report calls staged are at the tenant, each once, and no others are."""
    held = held_lines(stand)
    own = [row[0] for row in list(csv.reader(io.StringIO(content.decode())))[1:]]
    there, states = sum(held[line] for line in own), report["records_by_state"]
    surely, perhaps = states["staged"], states["staged"] + states["in_doubt"]
    if not surely <= there <= perhaps:
        yield f"the report of {name} says {states}, the tenant holds {there}"
    if sum(states.values()) != len(own):
        yield f"the report of {name} counts {states} of {len(own)} records"


def _files(folder: Path) -> list[Path]:
    """Every file of a folder that is no sidecar, no prepared part and not ours."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return [
        path
        for path in found
        if not path.name.endswith(SIDECARS)
        and not path.parent.name.endswith(".parts")
        and path.name != "status.txt"
    ]


def _below(stand: Stand, paths: list[Path]) -> list[str]:
    return [str(path.relative_to(stand.site.root)) for path in paths]


def _left_over(stand: Stand) -> list[str]:
    """Nothing lies where it should not: foreign files on a shelf, temporary files, work without drop."""
    contents = set(stand.dropped.values())
    told = reports(stand)
    # A held drop keeps what was prepared: a person may say that it is to be sent after all.
    held = {report["drop"] for _, report in told if report["outcome"] == "held"}
    strange = [p for p in stand.site.root.rglob(".revsyncd-*") if p.is_file()]
    for folder in stand.site.folders:
        found = _files(stand.site.root / folder)
        strange += [p for p in found if p.read_bytes() not in contents]
        work = stand.site.root / folder / ".work"
        strange += [p for p in work.glob("*") if p.stem not in held]
    paths = [path for path, _ in told]
    strange += [p for p in paths if not p.with_name(p.name.removesuffix(SIDECARS[0])).exists()]
    return [f"left over: {name}" for name in _below(stand, strange)]


# -- the ledger ----------------------------------------------------------------------------------


def ask(stand: Stand, query: str) -> list[tuple[Any, ...]]:
    """Rows of the ledger, read beside whoever has it open; none while there is no ledger."""
    path = stand.site.state / "ledger.sqlite3"
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []


def _ledger(stand: Stand) -> Iterator[str]:
    [(whole,)] = ask(stand, "PRAGMA integrity_check") or [("it can't be opened",)]
    if whole != "ok":
        yield f"ledger: {whole}"
    yield from _history(stand)
    known = dict(ask(stand, "SELECT sha256, state FROM parts"))
    for stored in stand.tenant.stored:
        state = known.get(hashlib.sha256(stored.body).hexdigest())
        if state not in ("staged", "in_doubt"):
            yield f"the tenant holds a part that is {state} in the ledger"
    drops = ask(stand, "SELECT id FROM drops")
    if len(drops) != len(stand.dropped):
        yield f"the ledger knows {len(drops)} drops of {len(stand.dropped)} files"


def _history(stand: Stand) -> Iterator[str]:
    """Each row seals the one before it; the head under the root is one of them."""
    before, seals = "0" * 64, {}
    query = "SELECT n, at, drop_id, part, event, facts, chain FROM history ORDER BY n"
    for number, at, drop, part, event, facts, chain in ask(stand, query):
        row = json.dumps([before, repr(at), drop, part, event, facts], separators=(",", ":"))
        if hashlib.sha256(row.encode()).hexdigest() != chain:
            yield f"ledger: row {number} of the history does not follow the one before"
        before = seals[number] = chain
    try:
        head = json.loads((stand.site.root / ".revsyncd" / "ledger.json").read_text())
    except (OSError, ValueError) as error:
        yield f"the head file can't be read: {error}"
        return
    if head["head"] and seals.get(head["head"]) != head["chain"]:
        yield f"ledger: the head file proves step {head['head']}, which is another"


# -- batches -------------------------------------------------------------------------------------


def _batches(stand: Stand) -> Iterator[str]:
    """Each batch is out once, whole, with its manifest, and was confirmed once."""
    batches = stand.tenant.books.journal.batches.values()
    names = [p for p in stand.outbox.glob("*") if p.is_file()] if batches else []
    data = [path for path in names if not path.name.endswith(".manifest.json")]
    for batch in batches:
        if [path.read_bytes() for path in data].count(batch.content) != 1:
            yield f"batch {batch.id} is not out once: {_below(stand, names)}"
        if batch.confirmed != 1:
            yield f"batch {batch.id} was confirmed {batch.confirmed} times"
    if len(names) != 2 * len(batches):
        yield f"the outbox holds {_below(stand, names)}"
    states = [state for (state,) in ask(stand, "SELECT state FROM gl_batches")]
    if states != ["confirmed"] * len(batches):
        yield f"the ledger has batches in {states}"
