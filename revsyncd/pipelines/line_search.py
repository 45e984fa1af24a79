"""Where line ids stand in the drops of which the tenant has something.

An index of hashes (`revsyncd.checks.line_ids`) says cheaply which drops may hold an id; only those are
read, outside the event loop, and what counts are the cells themselves.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from revsyncd.checks import line_ids
from revsyncd.checks.contract import Dialect
from revsyncd.checks.header import folded, positions
from revsyncd.checks.line_ids import Match
from revsyncd.checks.reading import FileReading
from revsyncd.checks.structure import Record
from revsyncd.config import Folder, load_mapping
from revsyncd.core.drop import Drop, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import new_drop_id
from revsyncd.core.stage_errors import INV_LINE_ID, SO_LINE_ID, Holding, LineId
from revsyncd.core.template import Kind, Mapping
from revsyncd.pipelines.checking import key_labels
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance

TYPE = "type"
TYPE_NAME = "TYPE"  # the staging name of the transaction type
INDEX_ENTRY = 16  # bytes a record, see revsyncd.checks.line_ids

Found = dict[LineId, list[Holding]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drop in which lines may stand; another `mark` means that more of it may have been staged."""

    drop: Drop
    mark: str


class LineSearch:
    """Looks for line ids in the drops of one instance."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance

    async def candidates(self, kinds: Iterable[Kind]) -> dict[str, Candidate]:
        """The drops of these kinds, by id, that the tenant has something of or has received.

        Older ones than `stage_errors.watch_for` are left out, and those whose folder is not configured.
        """
        it, wanted, drops = self._instance, set(kinds), self._instance.ledger.drops
        since = it.clock.now() - it.config.stage_errors.watch_for
        found = {drop.drop: drop for drop, _ in it.register.followed() if drop.kind in wanted}
        for kind in wanted:
            settled = await it.ledger.run(drops.done_since, since, kind)
            found |= {drop.drop: drop for drop in settled}
        tenant = it.config.tenant.base_url
        ours = (d for d in found.values() if d.tenant == tenant and it.folder(d) is not None)
        return {drop.drop: Candidate(drop, await self._mark(drop)) for drop in ours}

    async def _mark(self, drop: Drop) -> str:
        if drop.state is State.DONE:
            return drop.state
        return ",".join(part.state for part in await self._parts(drop))

    async def _parts(self, drop: Drop) -> list[Part]:
        return await self._instance.ledger.run(self._instance.ledger.drops.parts, drop.drop)

    async def labels(self, drop: Drop, folder: Folder) -> dict[str, str]:
        """Column -> label in the header: both line ids and the type, where the template has them.

        Raises ConfigError for a mapping file with problems.
        """
        mapping = await self._mapping(drop, folder)
        so, inv = key_labels(folder, mapping)
        type_ = next((c.label for c in mapping.columns if c.name.upper() == TYPE_NAME), "")
        every = {SO_LINE_ID: so, INV_LINE_ID: inv, TYPE: type_}
        return {column: label for column, label in every.items() if label}

    async def _mapping(self, drop: Drop, folder: Folder) -> Mapping:
        """As it was last known: the drop was checked against it, and nothing here is worth a call."""
        if folder.mapping is not None:
            return load_mapping(folder.mapping)
        ledger = self._instance.ledger
        kept = await ledger.run(ledger.mappings.get, drop.tenant, drop.template_name)
        return kept[0] if kept else Mapping("", ())

    async def find(self, drop: Drop, ids: Collection[LineId]) -> Found:
        """Where ids stand in a drop, in records that the tenant has or has received.

        Raises FileNotFoundError, OSError, NoSpace, CheckFailed, ConfigError.
        """
        folder = self._instance.folder(drop)
        if folder is None:
            return {}
        labels = await self.labels(drop, folder)
        wanted = {column: {i.id for i in ids if i.column == column} for column in labels}
        wanted = {column: of_column for column, of_column in wanted.items() if of_column}
        index, records = self._instance.files.line_ids(drop.drop), _records(drop)
        if not wanted or not await off_loop(_may_hold, index, records, wanted):
            return {}
        keys = {column: label for column, label in labels.items() if column != TYPE}
        path, dialect = self._instance.path(drop), folder.dialect()
        matches = await self._instance.files.checker.lookup(path, dialect, index, keys, {**wanted})
        parts = _by_record(await self._parts(drop), matches)
        matches = [match for match in matches if match.record in parts]
        cells = await self._cells(drop, dialect, labels, sorted({m.record for m in matches}))
        found: Found = {}
        for match in matches:
            held = _holding(drop, match, parts[match.record], cells[match.record], labels)
            found.setdefault(LineId(match.column, match.id), []).append(held)
        return found

    async def _cells(
        self, drop: Drop, dialect: Dialect, labels: dict[str, str], records: list[int]
    ) -> dict[int, dict[str, str]]:
        """Record -> column -> cell: what tells records apart in which the same id stands."""
        if not records:
            return {}
        files = self._instance.files
        cut = files.line_ids(drop.drop).with_suffix(".cut")
        try:
            ranges = tuple((record, record) for record in records)
            await files.checker.select(self._instance.path(drop), dialect, ranges, cut)
            return dict(
                zip(records, await off_loop(_read_cells, cut, dialect, labels), strict=True)
            )
        finally:
            await files.remove_sidecar(cut)

    async def forget_old(self) -> None:
        """Remove the indexes of drops that are not looked at any more; one asked for is made anew."""
        it = self._instance
        oldest = new_drop_id(it.clock.now() - it.config.stage_errors.watch_for, bytes(10))
        await off_loop(_remove_older, it.files.line_ids(oldest))


def _records(drop: Drop) -> int:
    return drop.checked.records if drop.checked else 0


def _may_hold(index: Path, records: int, wanted: dict[str, set[str]]) -> bool:
    """Whether an id may stand in the drop. An index that a power loss cut short is taken away."""
    index.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        if index.stat().st_size == records * INDEX_ENTRY:
            return any(line_ids.find(index, column, ids) for column, ids in wanted.items())
    except FileNotFoundError:
        return True
    index.unlink(missing_ok=True)
    return True


def _by_record(parts: list[Part], matches: list[Match]) -> dict[int, Part]:
    """The part in which each record went that the tenant has, or has received."""
    there = [part for part in parts if part.state in (PartState.STAGED, PartState.ACCEPTED)]
    return {
        match.record: part
        for match in matches
        for part in there
        if any(first <= match.record <= last for first, last in part.ranges)
    }


def _read_cells(path: Path, dialect: Dialect, labels: dict[str, str]) -> list[dict[str, str]]:
    reading = FileReading(path, dialect)
    records = list(reading.records())
    places = positions(reading.header) if reading.header else {}
    at = {column: places.get(folded(label)) for column, label in labels.items()}
    return [{column: _cell(record, place) for column, place in at.items()} for record in records]


def _cell(record: Record, place: int | None) -> str:
    return "" if place is None or place >= len(record.fields) else record.fields[place]


def _holding(
    drop: Drop, match: Match, part: Part, cells: dict[str, str], labels: dict[str, str]
) -> Holding:
    return Holding(
        drop=drop.drop,
        seq=drop.seq,
        record=match.record,
        line=match.line,
        column=match.column,
        label=labels[match.column],
        sent_at=part.released_at or drop.received_at,
        request_id="" if part.request_id is None else str(part.request_id),
        staged=part.state is PartState.STAGED,
        type=cells.get(TYPE, ""),
        inv_line_id=cells.get(INV_LINE_ID, ""),
    )


def _remove_older(oldest: Path) -> None:
    if oldest.parent.exists():
        for index in oldest.parent.iterdir():
            if index.name < oldest.name:
                index.unlink(missing_ok=True)
