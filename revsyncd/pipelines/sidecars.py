"""What stands beside a settled file: report, errors, rejects, remaining; written whole each time."""

import io
import json
from pathlib import Path

from revsyncd import __version__
from revsyncd.adapters.ledger import KnownStageError
from revsyncd.adapters.shelves import sidecar_path
from revsyncd.checks.contract import Problem
from revsyncd.checks.errors_csv import write_errors_csv
from revsyncd.core.drop import Drop, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import Sidecar
from revsyncd.core.report import (
    Kinship,
    ReportedStageError,
    absent,
    build,
    has_remaining,
    rejected,
)
from revsyncd.pipelines.files import Ranges
from revsyncd.pipelines.instance import Instance


class Sidecars:
    """Writes the sidecars of one drop from what the ledger knows."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance

    async def write(self, drop: Drop, source: Path | None, target: Path) -> None:
        """Publish the sidecars that belong beside `target`; the file itself still lies at `source`.

        None where it is lost: there is nothing then to cut records from.

        The report comes last: when it says something of another sidecar, that one is there.
        """
        ledger = self._instance.ledger
        parts = await ledger.run(ledger.drops.parts, drop.drop)
        errors = [reported(e) for e in await ledger.run(ledger.stage_errors.of_drop, drop.drop)]
        await self._write_errors(drop, errors, target)
        corrected = await self._corrected(drop)
        rejects = rejected(drop, parts, [e for e in errors if e.state == "open" or not corrected])
        await self._write_records(drop, source, target, Sidecar.REJECTS, rejects)
        # Not while it is held: a person's word may yet have the rest of it sent.
        whole = drop.state is State.HELD or not has_remaining(parts)
        remaining = () if whole else absent(parts)
        await self._write_records(drop, source, target, Sidecar.REMAINING, remaining)
        kinship = Kinship(
            tuple(await ledger.run(ledger.drops.corrections, drop.drop)),
            tuple(errors),
            await self._looked_at(drop, parts),
        )
        placed = drop.evolve(name=target.name)
        report = json.dumps(
            build(placed, parts, kinship, __version__), indent=1, ensure_ascii=False
        )
        path = sidecar_path(target, Sidecar.REPORT, drop.drop)
        await self._instance.files.publish(path, f"{report}\n".encode())

    async def _corrected(self, drop: Drop) -> bool:
        """Whether a correction of it is at the tenant.

        Until then, lines whose errors are gone stay in the rejects: who follows the next step
        deletes them in the tenant first and needs them afterwards.
        """
        ledger = self._instance.ledger
        for drop_id in await ledger.run(ledger.drops.corrections, drop.drop):
            correction = await ledger.run(ledger.drops.get, drop_id)
            if correction is not None and correction.state in (State.STAGED, State.DONE):
                return True
        return False

    async def _looked_at(self, drop: Drop, parts: list[Part]) -> float | None:
        """When the tenant's stage errors were last looked at, where that says something of the drop."""
        if not any(part.state is PartState.STAGED for part in parts):
            return None
        known = await self._instance.ledger.run(
            self._instance.ledger.book.meta, f"stage_errors {drop.kind}"
        )
        return float(known) if known else None

    async def _write_errors(
        self, drop: Drop, errors: list[ReportedStageError], target: Path
    ) -> None:
        ledger, files = self._instance.ledger, self._instance.files
        found = await ledger.run(ledger.drops.problems, drop.drop)
        found += [_problem(e) for e in errors if e.state == "open"]
        path = sidecar_path(target, Sidecar.ERRORS, drop.drop)
        if not found:
            await files.remove_sidecar(path)
            return
        text = io.BytesIO()
        write_errors_csv(found, text)
        await files.publish(path, text.getvalue())

    async def _write_records(
        self, drop: Drop, source: Path | None, target: Path, sidecar: Sidecar, ranges: Ranges
    ) -> None:
        path = sidecar_path(target, sidecar, drop.drop)
        folder = self._instance.folder(drop)
        if not ranges or folder is None or source is None:
            await self._instance.files.remove_sidecar(path)
            return
        scratch = self._instance.places(drop.folder).parts_of(drop.drop)
        await self._instance.files.publish_records(source, folder.dialect(), ranges, path, scratch)


def reported(error: KnownStageError) -> ReportedStageError:
    """A stage error as the sidecars tell of it."""
    names = ("record", "line", "so_line_id", "inv_line_id", "message", "code", "column", "value")
    facts = {name: error.data.get(name, "") for name in names}
    return ReportedStageError(id=error.id, state=error.state, **facts)


def _problem(error: ReportedStageError) -> Problem:
    return Problem(
        line=error.line,
        record=error.record,
        column=error.column,
        value=error.value,
        code=error.code,
        level="error",
        message=error.message,
        source="tenant",
    )
