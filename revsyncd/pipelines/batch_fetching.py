"""Fetches one batch: from the first source that gives it whole, verified as far as that source allows.

What it finds is prepared under hidden names in the outbox and recorded before anything is published.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

from revsyncd import __version__
from revsyncd.adapters import outbox
from revsyncd.adapters.disk import folder_errors
from revsyncd.checks.contract import Fault, GlResult
from revsyncd.config import GlSettings
from revsyncd.core.batch import Batch, Event, Fetch, Reason
from revsyncd.core.batch_words import Hold, balance_told, hold, number_or_text
from revsyncd.core.errors import Forbidden, NotServed, TooLarge, Unreachable
from revsyncd.core.outbox_names import HELD, file_name, temporary
from revsyncd.core.report import utc
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance

CONTENT_TRIES = 3  # looks in a row at which a batch's content is cut, until it is held
_OF_FAULTS = {Fault.CUT: Reason.CUT, Fault.UNREADABLE: Reason.UNREADABLE}  # an answer is no content


@dataclass(frozen=True, slots=True)
class Arrived:
    """A whole file of a batch, where it lies now, and why it is not for the ERP, if so."""

    source: str
    path: Path
    result: GlResult
    hold: Hold | None
    not_verified: tuple[str, ...]


class Failed(Exception):
    """No source gave the batch; `held` says why it is not even tried again, None that it is.

    `of_content`: something came that was itself short or unreadable, which is not tried for ever. What
    the network or the tenant does is.
    """

    def __init__(
        self, message: str, hint: str = "", held: Hold | None = None, *, of_content: bool = False
    ) -> None:
        """Keep the words of the first source that failed."""
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.held = held
        self.of_content = of_content


@dataclass(frozen=True, slots=True)
class _Miss:
    """Why a source gave nothing of use."""

    message: str
    hint: str = ""
    reason: Reason | None = None  # of its content
    passing: bool = False  # what the network did, or an answer in place of a file


class Fetching:
    """Fetches the batches of an instance."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance

    async def fetch(self, fetch: Fetch) -> Batch:
        """Fetch, verify and prepare; returns the batch as FETCHED. Raises Failed, NoSpace, TenantError."""
        batch = fetch.batch
        misses: list[_Miss] = []
        aside: Arrived | None = None
        try:
            for source in fetch.sources:
                found = await self._from(source, batch, first=source == self._gl.sources[0])
                if isinstance(found, Arrived) and found.hold is None:
                    return await self._prepared(batch, found)
                if isinstance(found, Arrived):
                    aside = aside or found
                    if found.hold and found.hold.reason is not Reason.UNPROVEN:
                        break
                else:
                    misses.append(found)
            if aside is not None:
                return await self._prepared(batch, aside)
        finally:
            with anyio.CancelScope(shield=True):  # also when the time for it is over
                await off_loop(outbox.discard, list(self._scraps(batch)))
        raise self._failed(batch, misses)

    @property
    def _gl(self) -> GlSettings:
        return self._instance.config.gl

    def _failed(self, batch: Batch, misses: list[_Miss]) -> Failed:
        if not misses:
            return Failed(
                "the tenant names no report for it", "Name another source in `gl.sources`."
            )
        told = "; ".join(miss.message for miss in misses)
        reason = next((miss.reason for miss in misses if miss.reason), None)
        # A source that is only out of reach now may have all of it.
        of_content = reason is not None and not any(miss.passing for miss in misses)
        last_try = of_content and batch.cuts + 1 >= CONTENT_TRIES
        if reason and (last_try or reason is Reason.TOO_LARGE):
            return Failed(told, held=hold(batch.batch, reason, told))
        return Failed(told, misses[0].hint, of_content=of_content)

    # -- one source ------------------------------------------------------------------------------

    def _temporary(self, batch: Batch, what: str) -> Path:
        name = temporary(batch.tenant, batch.batch, batch.issue, what)
        return self._instance.config.outbox / name

    def _scraps(self, batch: Batch) -> Iterator[Path]:
        """What a source may have left; what was prepared has other names."""
        for source in ("report", "pages", "file"):
            for what in (f"{source}.raw", f"{source}.raw.rows", f"{source}.unpacked"):
                yield self._temporary(batch, what)

    async def _from(self, source: str, batch: Batch, *, first: bool) -> Arrived | _Miss:
        raw = self._temporary(batch, f"{source}.raw")
        unpacked = self._temporary(batch, f"{source}.unpacked")
        rules = self._gl.rules(preamble=source != "pages")
        with folder_errors(self._instance.config.outbox):
            try:
                journal = self._instance.journal
                got = await journal.download(source, batch.listed, raw, rules.max_size)
            except TooLarge as error:
                return _Miss(f"{source}: {error.message}", reason=Reason.TOO_LARGE)
            except (NotServed, Unreachable, Forbidden) as error:
                passing = isinstance(error, Unreachable)
                return _Miss(f"{source}: {error.message}", error.hint, passing=passing)
            result = await self._instance.files.checker.examine(raw, unpacked, rules)
        if result.fault is Fault.TOO_LARGE:
            return _Miss(f"{source}: {result.told}", reason=Reason.TOO_LARGE)
        if result.fault is not None:
            reason = _OF_FAULTS.get(result.fault)
            return _Miss(f"{source}: {result.told}", reason=reason, passing=reason is None)
        path = raw if result.packing == "plain" else unpacked
        # A zip ends with the list of what is in it. A gzip may go on after any of its members.
        proven = got.proven or result.packing == "zip"
        held = self._judged(batch, source, result, proven=proven, first=first)
        return Arrived(source, path, result, held, tuple(self._not_verified(batch, source, result)))

    def _judged(
        self, batch: Batch, source: str, result: GlResult, *, proven: bool, first: bool
    ) -> Hold | None:
        """Why a whole file is not for the ERP."""
        columns = self._gl.columns
        if (columns or not first) and result.columns != columns:
            told = f"the header of the source {source!r} is not `gl.columns`"
            return hold(batch.batch, Reason.COLUMNS, told)
        if not proven:
            told = f"the source {source!r} says neither a length nor where its data ends"
            return hold(batch.batch, Reason.UNPROVEN, told)
        if not result.records:
            told = f"the file of the source {source!r} has a header and no record"
            return hold(batch.batch, Reason.EMPTY, told)
        if self._gl.balance != "require":
            return None
        if told := _not_summed(result):
            return hold(batch.batch, Reason.UNVERIFIED, told)
        if result.unbalanced:
            told = balance_told(result.unbalanced, result.totals)
            return hold(batch.batch, Reason.UNBALANCED, told)
        return None

    def _not_verified(self, batch: Batch, source: str, result: GlResult) -> Iterator[str]:
        yield "records: the tenant names no count to compare with"
        if source == "pages":
            yield "length: pages have none; they were read until an empty one"
        if not batch.updated:
            yield (
                "changes: the tenant's list names no time of change; what is generated anew under"
                " the same report is not seen"
            )
        if told := _not_summed(result):
            yield f"balance: {told}"

    # -- what the ERP will get -------------------------------------------------------------------

    async def _prepared(self, batch: Batch, found: Arrived) -> Batch:
        it = self._instance
        place = self._gl.outbox if found.hold is None else f"{self._gl.outbox}/{HELD}"
        wanted = file_name(self._gl.file_name, batch.batch, batch.name, batch.issue)
        used = await it.ledger.run(it.ledger.batches.names_in, place)
        name = await off_loop(outbox.choose, it.root / place, wanted, used)
        manifest = self._manifest(batch, found, name)
        content = _json(manifest)
        data, beside = self._temporary(batch, "data"), self._temporary(batch, "manifest")
        with folder_errors(it.config.outbox):
            await off_loop(found.path.replace, data)
        await off_loop(outbox.prepare, data, beside, content, self._gl.mode)
        return await it.ledger.run(
            it.ledger.batches.move,
            batch,
            Event.FETCHED,
            source=found.source,
            place=place,
            file=name,
            prepared=(data.name, beside.name),
            set_aside=found.hold is not None,
            manifest=manifest | {"manifest_sha256": outbox.digest(content)},
            reason=found.hold.reason if found.hold else None,
            message=found.hold.message if found.hold else "",
            next_step=found.hold.next_step if found.hold else "",
            publishing=False,
            tries=0,
            cuts=0,
        )

    def _manifest(self, batch: Batch, found: Arrived, name: str) -> dict[str, object]:
        result = found.result
        return {
            "schema": 1,
            "revsyncd": __version__,
            "file": name,
            "batch_id": number_or_text(batch.batch),
            "batch_name": batch.name,
            "report_id": number_or_text(batch.report_id) if batch.report_id else None,
            "updated": batch.updated,
            "source": found.source,
            "columns": list(result.columns),
            "preamble_lines": self._gl.preamble_lines if found.source != "pages" else 0,
            "records": result.records,
            "bytes": result.bytes,
            "sha256": result.sha256,
            "totals": result.totals,
            "unbalanced": list(result.unbalanced),
            "not_verified": list(found.not_verified),
            "held": found.hold.reason if found.hold else None,
            "reissue_of": batch.reissue_of,
            "written_at": utc(self._instance.clock.now()),
        }


def _json(manifest: dict[str, object]) -> bytes:
    """UTF-8; what is none, in a header for example, stands there as the escape that JSON has for it."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _not_summed(result: GlResult) -> str:
    """Why debit and credit could not be summed; empty when they were."""
    if result.missing:
        return f"there is no column {', '.join(result.missing)}"
    if result.unsummed:
        number = f"{result.unsummed:,} records have" if result.unsummed > 1 else "1 record has"
        return f"{number} an amount that can't be summed ({result.unsummed_told})"
    return ""
