"""From claimed to checked: is the file still, is it known already, is it right; then its parts.

Every way out of here is a row of spec terms: passed, invalid, empty, duplicate, incomplete, or not
yet (the file still changes, the mapping can't be had), in which case the drop stays claimed.
"""

import json
from collections.abc import Mapping as MappingOf
from dataclasses import replace
from pathlib import Path
from typing import Any

from revsyncd.adapters.ledger import AlreadyTaken
from revsyncd.adapters.log import get_logger
from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Manifest,
    Preparation,
    PreparedPart,
    Rules,
)
from revsyncd.config import Folder
from revsyncd.core import endings
from revsyncd.core.drop import Checked, Drop, Ending, Event, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import upload_name
from revsyncd.core.template import Kind, Mapping
from revsyncd.core.verdict import Route
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.memory import Memory
from revsyncd.pipelines.unreadable import why_unreadable

log = get_logger()

CSV_ROUTE_RECORDS = 20_000  # the reference's limit for csv/upload
SO_NAMES = (
    "SO_LINE_ID",
    "DOC_LINE_ID",
)  # staging names of the id that stage errors call so_line_id
INV_NAMES = ("INV_LINE_ID",)
BUNDLE_NAMES = ("BUNDLE_ID", "BUNDLE_NUM", "BUNDLE_NAME")  # of the column that names a bundle


class NotYet(Exception):
    """The drop can't be checked now; nothing about it was decided."""


class Checking:
    """Checks claimed drops, one call a drop."""

    def __init__(self, instance: Instance, concluding: Concluding) -> None:
        """Work for an instance."""
        self._instance = instance
        self._concluding = concluding
        self._memory = Memory(instance)

    async def check(self, drop_id: str) -> None:
        """Bring one claimed drop a step further. Raises NotYet, TenantError, NoSpace, CheckFailed."""
        register = self._instance.register
        drop = register.drop(drop_id)
        folder = self._instance.folder(drop)
        if folder is None:
            raise NotYet(f"the folder {drop.folder} is not configured any more")
        # Nothing of it was sent yet, so it goes where the folder sends now.
        if address := self._instance.address(drop):
            async with register.locked(drop_id):
                drop = await register.note(drop_id, "readdressed", **address)
        await self._still(drop)
        if ending := await why_unreadable(self._instance, drop, folder):
            await self._set_aside(drop, ending)
            return
        try:
            manifest = await self._manifest(drop, folder)
        except UnreadableManifest as why:
            await self._set_aside(drop, endings.unusable_manifest(str(why)))
            return
        mapping = await self._instance.mappings.get(folder, drop.tenant)
        result = await self._run(drop, folder, mapping, manifest)
        await self._still(drop, result.size)
        async with register.locked(drop_id):
            if register.drop(drop_id).state is State.CLAIMED:  # else it was cancelled meanwhile
                await self._conclude(register.drop(drop_id), folder, mapping, result)

    async def _set_aside(self, drop: Drop, ending: Ending) -> None:
        """Hold it before any check, unless it was cancelled meanwhile."""
        register = self._instance.register
        async with register.locked(drop.drop):
            if register.drop(drop.drop).state is State.CLAIMED:
                await self._concluding.settle(drop, Event.SET_ASIDE, ending)

    async def _still(self, drop: Drop, size: int | None = None) -> None:
        """The file is as it was when it was claimed; else its new look is noted and awaited."""
        seen = await self._instance.files.identity(self._instance.path(drop))
        if seen == drop.identity and size in (None, seen[0]):
            return
        async with self._instance.register.locked(drop.drop):
            await self._instance.register.note(drop.drop, identity=seen, size=seen[0])
        raise NotYet("the file is still being written")

    async def _manifest(self, drop: Drop, folder: Folder) -> Manifest | None:
        if folder.ready != "manifest" or drop.companion is None or "incomplete" in drop.permitted:
            return None
        path = self._instance.root / drop.place / drop.companion
        return read_manifest(await self._instance.files.read_small(path))

    async def _run(
        self, drop: Drop, folder: Folder, mapping: Mapping, manifest: Manifest | None
    ) -> CheckResult:
        files = self._instance.files
        directory = await files.empty_directory(
            self._instance.places(drop.folder).parts_of(drop.drop)
        )
        so_label, inv_label = key_labels(folder, mapping)
        preparation = replace(
            preparation_of(folder, mapping, directory),
            line_ids=files.line_ids(drop.drop),
            so_line_id=so_label,
            inv_line_id=inv_label,
        )
        rules = permitting(folder.rules(), drop.permitted)
        path = self._instance.path(drop)
        async with self._memory.known(drop, folder) as known:
            job = CheckJob(path, mapping, folder.dialect(), rules, manifest, preparation, known)
            return await files.check(job)

    async def _conclude(
        self, drop: Drop, folder: Folder, mapping: Mapping, result: CheckResult
    ) -> None:
        register, ledger = self._instance.register, self._instance.ledger
        checked = summary(result, mapping)
        facts: dict[str, Any] = {
            "sha256": result.sha256,
            "size": result.size,
            "checked": checked,
            "config": self._instance.config.digest,
        }
        if result.problems or drop.checked is not None:  # or problems of an earlier check
            await register.found(drop.drop, result.problems)
        log.info(
            "drop.checked",
            **named(drop),
            records=result.records,
            errors=result.errors,
            warnings=result.warnings,
            seconds=round(result.seconds, 3),
        )
        same = await ledger.run(
            ledger.drops.same_file, drop.tenant, drop.template_name, result.sha256, drop.drop
        )
        if same is not None and "duplicate" not in drop.permitted:
            await self._concluding.duplicate(drop, same.drop, **facts)
            return
        judged = judge(result, folder, drop)
        if judged is not None:
            await self._concluding.settle(drop, *judged, **facts)
            return
        try:
            await register.plan(drop.drop, plan(drop, folder, result, self._instance.root), **facts)
        except AlreadyTaken as taken:
            await self._concluding.duplicate(drop, taken.drop, **facts)


def judge(result: CheckResult, folder: Folder, drop: Drop) -> tuple[Event, Ending] | None:
    """The ending where nothing is to be sent; None when parts are."""
    if result.looks_cut and "incomplete" not in drop.permitted:
        return Event.SET_ASIDE, endings.cut(result.by_code)
    if is_empty(result):
        event = {"fail": Event.INVALID, "done": Event.NOTHING_TO_SEND, "hold": Event.SET_ASIDE}
        return event[folder.on_empty], endings.empty(folder.on_empty)
    if not result.parts:
        wrong = {p.code for p in result.problems if p.level == "error"}
        by_code = {code: number for code, number in result.by_code.items() if code in wrong}
        return Event.INVALID, endings.invalid(result.errors, by_code, result.records)
    return None


def is_empty(result: CheckResult) -> bool:
    """Whether nothing is wrong with a file but that it has no records."""
    told = result.by_code.get("file.no_records", 0) + result.by_code.get("file.empty", 0)
    return result.records == 0 and result.errors <= told


def preparation_of(folder: Folder, mapping: Mapping, directory: Path) -> Preparation:
    """How the parts of a folder's files are made, in a directory for what must be written.

    Of a bundle no record is left out: without the parent line its children would be taken for those of
    the bundle before.
    """
    bundles = folder.kind is Kind.BUNDLE
    return Preparation(
        directory,
        max_records=folder.max_records_per_upload,
        keep_together=folder.keep_together or bundle_labels(folder, mapping),
        bundles=bundles,
        split_off_invalid=folder.on_invalid == "split" and not bundles,
    )


def plan(drop: Drop, folder: Folder, result: CheckResult, root: Path) -> list[Part]:
    """The prepared parts as the ledger keeps them."""

    def part(prepared: PreparedPart) -> Part:
        return Part(
            drop=drop.drop,
            part=prepared.part,
            of=prepared.of,
            state=PartState.PLANNED,
            records=prepared.records,
            ranges=prepared.ranges,
            file_name=upload_name(drop.file, drop.drop, prepared.part, prepared.of),
            path=str(prepared.path.relative_to(root)) if not prepared.head else "",
            size=prepared.size,
            cut=prepared.cut,
            sha256=prepared.sha256,
            route=route(folder.upload, result),
            head=prepared.head.decode(),
            offset=prepared.offset,
        )

    return [part(prepared) for prepared in result.parts]


def route(upload: str, result: CheckResult) -> Route:
    """`auto` takes csv/upload, which answers for itself, where every part is small enough for it."""
    if upload != "auto":
        return Route(upload)
    small = all(part.records <= CSV_ROUTE_RECORDS for part in result.parts)
    return Route.CSV if small else Route.FILE


def summary(result: CheckResult, mapping: Mapping) -> Checked:
    """What the reports need of a result."""
    return Checked(
        encoding=result.encoding,
        records=result.records,
        lines=result.lines,
        errors=result.errors,
        warnings=result.warnings,
        by_code=dict(result.by_code),
        shown=len(result.problems),
        totals=dict(result.totals),
        totals_by=result.totals_by,
        normalised=dict(result.normalised),
        rejected=result.rejected,
        unreadable=result.unreadable,
        unsummed=dict(result.unsummed),
        mapping=mapping.digest,
    )


def key_labels(folder: Folder, mapping: Mapping) -> tuple[str, str]:
    """The labels of the columns whose ids stage errors name; empty where there is none."""
    by_name = {column.name.upper(): column.label for column in mapping.columns}

    def found(configured: str, names: tuple[str, ...]) -> str:
        return configured or next((by_name[name] for name in names if name in by_name), "")

    return found(folder.keys.so_line_id, SO_NAMES), found(folder.keys.inv_line_id, INV_NAMES)


def bundle_labels(folder: Folder, mapping: Mapping) -> tuple[str, ...]:
    """The label of the column that names a bundle; nothing for other kinds, or where there is none."""
    if folder.kind is not Kind.BUNDLE:
        return ()
    by_name = {column.name.upper(): column.label for column in mapping.columns}
    return tuple(by_name[name] for name in BUNDLE_NAMES if name in by_name)[:1]


def permitting(rules: Rules, permitted: tuple[str, ...]) -> Rules:
    """The rules after a person said that an incomplete-looking file is whole."""
    if "incomplete" not in permitted:
        return rules
    levels: MappingOf[str, str] = {**rules.levels, "file.final_newline": "warn"}
    return Rules(
        date_format=rules.date_format,
        required=rules.required,
        unique=rules.unique,
        totals=rules.totals,
        totals_by=rules.totals_by,
        allowed=rules.allowed,
        levels=dict(levels),
        problem_limit=rules.problem_limit,
    )


class UnreadableManifest(Exception):
    """A manifest that is not the JSON object it should be; the text says why."""


def read_manifest(content: bytes) -> Manifest:
    """A sender's manifest: records, sha256 and totals, each key optional. Raises UnreadableManifest."""
    try:
        found = json.loads(content.decode("utf-8-sig"), parse_float=str)
    except ValueError as error:
        raise UnreadableManifest(f"it is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise UnreadableManifest("it is not a JSON object")
    records, sha256, totals = found.get("records"), found.get("sha256"), found.get("totals", {})
    if records is not None and (not isinstance(records, int) or isinstance(records, bool)):
        raise UnreadableManifest("records is not a whole number")
    if sha256 is not None and not isinstance(sha256, str):
        raise UnreadableManifest("sha256 is not text")
    if not isinstance(totals, dict):
        raise UnreadableManifest("totals is not an object of column and amount")
    amounts = {str(column): str(amount) for column, amount in totals.items()}
    return Manifest(records, sha256.lower() if sha256 else None, amounts)
