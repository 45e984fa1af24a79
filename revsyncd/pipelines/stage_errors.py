"""Lines that the tenant has in error: polled, given to the drops they came in, told in their sidecars.

A round is recorded before anything is rewritten, and with it which drops are to be rewritten, so that
one cut short anywhere is made up for by the next. An error that the tenant lists no more is gone,
which is not to say solved; one that comes back is open again.
"""

import codecs
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import anyio

from revsyncd.adapters.disk import FolderTrouble, NotRegular, folder_errors, make_directory
from revsyncd.adapters.ledger import KnownStageError
from revsyncd.adapters.log import get_logger
from revsyncd.checks.errors_csv import safe
from revsyncd.checks.writing import csv_lines
from revsyncd.core import endings, outcome
from revsyncd.core.drop import Drop, Ending, State
from revsyncd.core.errors import CheckFailed, ConfigError, Forbidden, NoSpace, TenantError
from revsyncd.core.stage_errors import line_ids
from revsyncd.core.template import Kind
from revsyncd.pipelines.conditions import DISK, NO_ERROR_LISTS
from revsyncd.pipelines.error_list import (
    OPEN,
    ErrorList,
    drops_in_error,
    identity,
    printable,
    waiting_for,
)
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.filing import Filing
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.line_search import Found, LineSearch
from revsyncd.pipelines.register import Wake
from revsyncd.ports import StageErrorRow

log = get_logger()

# The list in which the lines of each kind of template appear; the reference has no third one.
LISTS = {Kind.TRANSACTION: (Kind.TRANSACTION, Kind.BUNDLE), Kind.EVENT: (Kind.EVENT,)}
SOON = 30.0  # seconds between two looks, however often it is nudged
UNATTRIBUTED = "reports/stage-errors.unattributed.csv"  # below the root
FIELDS = ("type", "so_line_id", "inv_line_id", "upload_id", "created", "code", "message")
HEADER = ("kind", "id", *FIELDS[:4], "crtd_dt", *FIELDS[5:])
READABLE = 0o750  # the directory of that file
LONGEST_REASON = 200  # characters, in a log line

Marks = dict[str, str]  # drop -> how much of it was staged when it was looked through
TROUBLES = (
    CheckFailed,
    ConfigError,
    FolderTrouble,
    NotRegular,
    OSError,
)  # of one drop, or one file


class StageErrors:
    """The service that looks for lines in error; a nudge of `wake` makes it look soon."""

    def __init__(self, instance: Instance, filing: Filing) -> None:
        """Work for an instance; `filing` rewrites the sidecars."""
        self._instance = instance
        self._filing = filing
        self._search = LineSearch(instance)
        self._nobodys: dict[Kind, list[KnownStageError]] = {}  # by list, once it was looked at
        self._written: bytes | None = None  # the unattributed file's content; None: not known yet
        self._told: set[str] = set()  # drops and files with a trouble that was told
        self.wake = Wake()

    async def run(self) -> None:
        """Look at once, then every `stage_errors.every`, and soon after a nudge."""
        while True:
            began = self._instance.clock.monotonic()
            await self._search.forget_old()
            await self.look()
            every = self._instance.config.stage_errors.every
            await self.wake.wait(every)
            rested = self._instance.clock.monotonic() - began
            await anyio.sleep(max(min(every, SOON) - rested, 0.0))

    async def look(self) -> None:
        """Look once at every list in which lines of a configured folder may stand."""
        it = self._instance
        kinds = {folder.kind for folder in it.config.folders}
        lists = [listed for listed, of_list in LISTS.items() if kinds & set(of_list)]
        try:
            for kind in lists:
                if it.gate.open():
                    await self._look_at(kind)
            if self._nobodys.keys() >= set(lists):
                await self._tell_unattributed(lists)
        except NoSpace as error:
            await it.conditions.begin(DISK, message=error.message, hint=error.hint)

    async def _look_at(self, kind: Kind) -> None:
        it = self._instance
        try:
            rows = await it.tenant.stage_errors(kind)
        except Forbidden as error:  # of these lists alone: uploads may well be allowed
            message, hint = error.message, error.hint
            await it.conditions.begin(NO_ERROR_LISTS, kind, message=message, hint=hint)
            return
        except TenantError as error:
            await it.gate.failed(error)
            return
        await it.conditions.end(NO_ERROR_LISTS, kind)
        await it.gate.worked()
        known = await it.ledger.run(it.ledger.stage_errors.known, it.config.tenant.base_url, kind)
        listed = {identity(row): row for row in map(printable, rows)}
        this = ErrorList(kind, it.clock.now(), listed, known)
        marks = await self._compare(this)
        for of_list in LISTS[kind]:
            await self._set_meta(f"stage_errors {of_list}", repr(this.at))
        await self._record(this, marks)
        after = this.after()
        self._nobodys[kind] = [e for e in after if e.drop is None and e.state == OPEN]
        await self._rewrite(kind, drops_in_error(after))

    # -- whose lines they are --------------------------------------------------------------------

    async def _compare(self, this: ErrorList) -> Marks | None:
        """Find the changes; returns the marks of the drops looked through, None where none was.

        A new row is looked for everywhere; one that was nobody's only where more was staged since.
        """
        new, nobodys = this.compare()
        if not new and not nobodys:
            return None
        candidates = await self._search.candidates(LISTS[this.kind])
        looked: Marks = json.loads(await self._meta(f"stage_errors looked {this.kind}") or "{}")
        marks = {drop: candidate.mark for drop, candidate in candidates.items()}
        for number, row in nobodys.items():
            awaited = waiting_for(this.known[number])
            if awaited and marks.get(awaited) != looked.get(awaited):
                new[number] = row
        found: Found = {}
        for drop, candidate in candidates.items():
            fresh = looked.get(drop) != candidate.mark
            if not await self._find(candidate.drop, {**nobodys, **new} if fresh else new, found):
                del marks[drop]
        this.decide(new, {n: row for n, row in nobodys.items() if n not in new}, found)
        return marks

    async def _find(self, drop: Drop, rows: Mapping[str, StageErrorRow], found: Found) -> bool:
        """Add where the rows' ids stand in a drop; False when it can't be read at present."""
        ids = {line_id for row in rows.values() for line_id in line_ids(row)}
        if not ids:
            return True
        try:
            holdings = await self._search.find(drop, ids)
        except FileNotFoundError as error:
            if drop.filed:
                self._tell_trouble(drop, error)
            return drop.filed  # else it is on its way to its shelf
        except TROUBLES as error:
            self._tell_trouble(drop, error)
            return False
        self._told.discard(drop.drop)
        for line_id, of_drop in holdings.items():
            found.setdefault(line_id, []).extend(of_drop)
        return True

    # -- what follows ----------------------------------------------------------------------------

    async def _record(self, this: ErrorList, marks: Marks | None) -> None:
        """Commit the changes, and before them which drops are to be rewritten."""
        if this.changes:
            key = _unwritten(this.kind)
            before = set(json.loads(await self._meta(key) or "[]"))
            touched = {error.drop for error in this.changes.values() if error.drop}
            await self._set_meta(key, json.dumps(sorted(before | touched | this.left)))
            ledger, tenant = self._instance.ledger, self._instance.config.tenant.base_url
            await ledger.run(ledger.stage_errors.put, tenant, list(this.changes.values()))
            await self._tell(this)
        if marks is not None:
            looked = json.dumps(marks, sort_keys=True)
            if looked != await self._meta(f"stage_errors looked {this.kind}"):
                await self._set_meta(f"stage_errors looked {this.kind}", looked)

    async def _rewrite(self, kind: Kind, in_error: set[str]) -> None:
        """Rewrite the sidecars of what changed; of the others in error, where the ending is old.

        A drop held while its errors came may have been done since, with an ending that lacks them.
        """
        unwritten = set(json.loads(await self._meta(_unwritten(kind)) or "[]"))
        outdated = {drop for drop in in_error - unwritten if await self._is_outdated(drop)}
        if (
            outdated
        ):  # a kill between the ending and its report must not hide that it is to be written
            unwritten |= outdated
            await self._set_meta(_unwritten(kind), json.dumps(sorted(unwritten)))
        left = set(unwritten)
        for drop in sorted(unwritten):
            if await self._rewrite_one(drop):
                left.discard(drop)
        if left != unwritten:
            await self._set_meta(_unwritten(kind), json.dumps(sorted(left)))

    async def _is_outdated(self, drop_id: str) -> bool:
        """Whether a filed drop has another ending than its errors give it now."""
        it = self._instance
        drop = await it.ledger.run(it.ledger.drops.get, drop_id)
        if drop is None or not drop.filed or it.folder(drop) is None:
            return False
        return await self._ending(drop) != drop.ending

    async def _rewrite_one(self, drop_id: str) -> bool:
        """False when it must be tried again: the file is not filed yet, or there is some trouble."""
        it = self._instance
        drop = await it.ledger.run(it.ledger.drops.get, drop_id)
        if drop is None:
            return True
        if not drop.filed or it.folder(drop) is None:
            return False
        ending = await self._ending(drop)
        try:
            await it.files.identity(it.path(drop))
            await self._filing.rewrite(
                drop, **({} if ending == drop.ending else {"ending": ending})
            )
        except FileNotFoundError as error:
            self._tell_trouble(drop, error)
            return True  # there is nothing left beside which sidecars could stand
        except TROUBLES as error:
            self._tell_trouble(drop, error)
            return False
        self._told.discard(drop.drop)
        return True

    async def _ending(self, drop: Drop) -> Ending | None:
        """What the drop's ending is with the errors that are open now."""
        if drop.state is not State.DONE or drop.ending is None:
            return drop.ending
        ledger = self._instance.ledger
        errors = await ledger.run(ledger.stage_errors.of_drop, drop.drop)
        parts = await ledger.run(ledger.drops.parts, drop.drop)
        staged = endings.when_staged(drop, outcome.staged(parts))
        return endings.with_stage_errors(drop.ending, staged, sum(e.state == OPEN for e in errors))

    async def _tell_unattributed(self, lists: Iterable[Kind]) -> None:
        """Write the rows of no drop as one file, when they have changed."""
        rows = [error for kind in lists for error in self._nobodys[kind]]
        content = unattributed_csv(rows) if rows else b""
        if content == self._written:
            return
        path = self._instance.root / UNATTRIBUTED
        try:
            if content:
                await off_loop(_make_room, path.parent)
                await self._instance.files.publish(path, content)
            else:
                await self._instance.files.remove_sidecar(path)
        except TROUBLES as error:
            self._tell_trouble(UNATTRIBUTED, error)
            return
        self._written = content
        self._told.discard(UNATTRIBUTED)

    # -- telling ---------------------------------------------------------------------------------

    async def _tell(self, this: ErrorList) -> None:
        for event, tell, errors in (
            ("stage_errors.found", log.warning, this.appeared()),
            ("stage_errors.gone", log.info, this.disappeared()),
        ):
            for drop in sorted({error.drop or "" for error in errors}):
                of_drop = [error for error in errors if (error.drop or "") == drop]
                facts = await self._named(drop)
                tell(event, **facts, count=len(of_drop), reason=_reasons(of_drop))

    async def _named(self, drop_id: str) -> dict[str, object]:
        ledger = self._instance.ledger
        drop = await ledger.run(ledger.drops.get, drop_id) if drop_id else None
        return named(drop) if drop else {"file": UNATTRIBUTED}

    def _tell_trouble(self, of: Drop | str, error: Exception) -> None:
        """Once for a drop or file, until it is over."""
        key, facts = (of.drop, named(of)) if isinstance(of, Drop) else (of, {"file": of})
        if key not in self._told:
            hint = getattr(error, "hint", "") or "Its stage errors are told when this is mended."
            log.warning("drop.step_failed", **facts, error=str(error), hint=hint)
        self._told.add(key)

    # -- the ledger's facts about looking ---------------------------------------------------------

    async def _meta(self, key: str) -> str | None:
        return await self._instance.ledger.run(self._instance.ledger.book.meta, key)

    async def _set_meta(self, key: str, value: str) -> None:
        await self._instance.ledger.run(self._instance.ledger.book.set_meta, key, value)


def unattributed_csv(errors: Iterable[KnownStageError]) -> bytes:
    """The rows of no drop, in the tenant's words: UTF-8 with BOM, CRLF, safe in a spreadsheet."""
    rows = [(e.kind, e.id, *(e.data[name] for name in FIELDS)) for e in errors]
    lines = csv_lines([HEADER, *(tuple(map(safe, row)) for row in sorted(rows))])
    return codecs.BOM_UTF8 + "".join(lines).encode()


def _unwritten(kind: Kind) -> str:
    return f"stage_errors unwritten {kind}"


def _reasons(errors: list[KnownStageError]) -> str:
    return ", ".join(sorted({e.data["code"] or e.data["message"] for e in errors}))[:LONGEST_REASON]


def _make_room(directory: Path) -> None:
    with folder_errors(directory):
        make_directory(directory, READABLE)
