"""What there is to compare when all is over: the folders' content and the simulator's."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revsyncd.demo import sample
from revsyncd.demo.journal import Journal
from revsyncd.demo.promises import Deleted, Dropped
from revsyncd.demo.sample import LINE_ID, Row, Style
from revsyncd.demo.tree import TEMPLATES, Tree
from revsyncd.simulator import State, Tenant, Upload

Line = tuple[str, str]  # kind and line id

_REPORT = ".report.json"
_SHELVES = ("done", "failed", "held")


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a dropped file: its place (None: not found), its report, its uploads in order of parts."""

    dropped: Dropped
    drop: str = ""
    at: Path | None = None
    report: dict[str, Any] = field(default_factory=dict)
    uploads: tuple[Upload, ...] = ()
    at_tenant: int = 0  # records that the tenant has of it, deleted ones not counted

    @property
    def shelf(self) -> str:
        """`done`, `failed` or `held`; empty when it was not found."""
        return self.at.parent.parent.name if self.at else ""

    @property
    def path(self) -> Path:
        """Where it lies. Raises FileNotFoundError."""
        if self.at is None:
            raise FileNotFoundError("not found")
        return self.at

    @property
    def staged(self) -> tuple[Upload, ...]:
        """The uploads that the tenant took."""
        return tuple(upload for upload in self.uploads if upload.state is State.STAGED)


@dataclass(frozen=True, slots=True)
class Case:
    """All that there is to compare, once the daemon has stopped."""

    tree: Tree
    tenant: Tenant
    journal: Journal
    found: list[Found]
    deleted: Deleted
    exit_code: int | None

    @property
    def kinds(self) -> dict[str, str]:
        """What each folder's lines are: line ids are told apart by it."""
        kind = {each.name: each.kind.value for each in self.tenant.settings.templates}
        return {folder: kind[name] for folder, name in TEMPLATES.items()}

    def lines_held(self) -> Counter[Line]:
        """How often the tenant holds each line, by kind and line id, whatever upload it came in."""
        uploads = self.tenant.world.staged
        return Counter(
            (upload.template.kind.value, line)
            for upload in uploads
            for line in lines_left(upload, self.deleted)
        )


def staged_rows(upload: Upload) -> Iterator[Row]:
    """The rows of an upload as the tenant stored it."""
    return sample.read(upload.content, Style())


def lines_left(upload: Upload, deleted: Deleted) -> Iterator[str]:
    """The line ids of an upload that nobody deleted at the tenant."""
    for row in staged_rows(upload):
        if (upload.request_id, row[LINE_ID]) not in deleted:
            yield row[LINE_ID]


def collect(
    tree: Tree, tenant: Tenant, journal: Journal, dropped: list[Dropped], deleted: Deleted
) -> list[Found]:
    """Each dropped file with what became of it."""
    reports = {report.get("drop"): (path, report) for path, report in _reports(tree.root)}
    uploads = sorted(tenant.world.uploads.values(), key=lambda upload: upload.file_name)
    found = []
    for each in dropped:
        drop = journal.drop_id(each.sheet.folder, each.sheet.file, each.nth) or ""
        path, report = reports.get(drop, (None, {}))
        of_it = tuple(upload for upload in uploads if drop and drop in upload.file_name)
        left = sum(
            1
            for upload in of_it
            if upload.state is State.STAGED
            for _ in lines_left(upload, deleted)
        )
        there = path if path is not None and path.is_file() else None
        found.append(Found(each, drop, there, report, of_it, left))
    return found


def _reports(root: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Every report with the path of the file that it stands beside."""
    for shelf in _SHELVES:
        for path in root.glob(f"*/{shelf}/*/*{_REPORT}"):
            beside = path.with_name(path.name.removesuffix(_REPORT))
            yield beside, json.loads(path.read_text(encoding="utf-8"))
