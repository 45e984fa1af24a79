"""`revsyncd ledger rebuild`: a ledger from what lies in the tree, when the one that knew is lost.

What a report says is taken as said. A file of which no report speaks is held in doubt: only a person
can tell whether the tenant has it. Nothing in the tree is moved; the next start files what is to be.
"""

import os
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from revsyncd.adapters import sightings
from revsyncd.adapters.ledger import KnownStageError
from revsyncd.adapters.ledger.identity import Head
from revsyncd.adapters.ledger.rebuilding import NewLedger, replacing
from revsyncd.adapters.sightings import FolderSeen
from revsyncd.checks.contract import Dialect, Problem, Progress
from revsyncd.checks.errors_csv import read_errors_csv
from revsyncd.checks.reading import FileReading
from revsyncd.config import Config
from revsyncd.core.drop import State
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import (
    Sidecar,
    drop_ids_in,
    is_correction,
    is_drop_id,
    made_at,
    new_drop_id,
    shown,
    sidecar_name,
)
from revsyncd.core.rebuild import (
    Found,
    Known,
    NoReport,
    from_report,
    newest,
    on_its_way,
    settled,
    without_report,
)
from revsyncd.pipelines.batch_list import UNPROVEN
from revsyncd.pipelines.rebuilding_batches import published
from revsyncd.pipelines.rebuilding_old import Old, old

_REPORT = Sidecar.REPORT.value


@dataclass(slots=True)
class Rebuilt:
    """What the new ledger knows: how many drops by state, batches, and what a person should read."""

    states: Counter[str] = field(default_factory=Counter)
    in_doubt: int = 0  # drops without a report that could speak for them
    batches: int = 0
    aside: Path | None = None  # where the old ledger is now
    from_old: int = 0  # drops that only the ledger before knew
    pauses: int = 0  # that it knew, too
    notes: list[str] = field(default_factory=list)


def rebuild(
    config: Config, progress: Progress | None = None, now: Callable[[], float] = time.time
) -> Rebuilt:
    """Make the ledger anew. Raises RefusedToStart while a daemon runs, RevsyncdError, OSError."""
    told = Rebuilt()
    with (
        replacing(config.root, config.state_dir, now) as (ledger, aside),
        old(config) as before,  # closed before it is moved aside
    ):
        _fill(ledger, before, _Tree(config, told, now, progress), aside.name)
    told.aside = aside if aside.exists() else None
    return told


def _fill(ledger: NewLedger, before: Old, tree: "_Tree", aside: str) -> None:
    config, told, at = tree.config, tree.told, tree.now()
    shown_by_tree = {known.drop.drop: known for known in tree.drops()}
    kept = list(before.drops(set(shown_by_tree)))
    told.from_old = len(kept)
    if kept and not shown_by_tree and not Head(config.root).path.exists():
        raise RevsyncdError(
            f"the ledger in {config.state_dir} knows {len(kept):,} drops, and below {config.root} there is"
            " nothing of ours",
            hint="Is the root mounted, and is it the right one? Nothing was replaced.",
        )
    ledger.remember(at, {"drops": len(shown_by_tree) + len(kept), "aside": aside})
    every = [_of_tree(config, known) for known in shown_by_tree.values()] + kept
    for known, problems, errors in sorted(every, key=lambda each: each[0].drop.drop):
        ledger.drops.restore(known.drop, known.parts, problems)
        if errors:
            ledger.stage_errors.put(known.drop.tenant, errors)
        told.states[str(known.drop.state)] += 1
    for batch in before.batches(list(published(config, at, told.notes))):
        ledger.batches.restore(batch)
        told.batches += 1
    for condition in before.conditions:
        ledger.conditions.begin(condition)
        told.pauses += 1
    if not before.complete:
        ledger.book.set_meta(UNPROVEN, "1")


def _of_tree(config: Config, known: Known) -> tuple[Known, list[Problem], list[KnownStageError]]:
    drop = known.drop
    beside = config.root / (drop.target or f"{drop.place}/{drop.name}")
    names = ("record", "line", "so_line_id", "inv_line_id", "message", "code", "column", "value")
    errors = [
        KnownStageError(
            drop.kind, e.id, e.state, drop.drop, {name: getattr(e, name) for name in names}
        )
        for e in known.errors
    ]
    return known, _problems(beside, drop.drop), errors


def _problems(file: Path, drop: str) -> list[Problem]:
    """What the checks had listed; the tenant's lines in error are kept elsewhere."""
    path = file.with_name(sidecar_name(file.name, Sidecar.ERRORS, drop))
    try:
        return [problem for problem in read_errors_csv(path) if problem.source == "check"]
    except (OSError, ValueError):
        return []


class _Tree:
    """Reads the folders of one root."""

    def __init__(
        self, config: Config, told: Rebuilt, now: Callable[[], float], progress: Progress | None
    ) -> None:
        self.config = config
        self._root = config.root
        self.told = told
        self.now = now
        self._progress = progress
        self._done = 0
        self._ids: set[str] = set()  # of drops that are taken

    def drops(self) -> Iterator[Known]:
        """Every drop of which the tree shows something."""
        names = sorted({*self.config.templates, *sightings.folder_names(self._root)})
        folders = [sightings.look(self._root, name) for name in names]
        in_all = sum(len(folder.files) + len(folder.work) for folder in folders)
        for folder in folders:
            yield from self._folder(folder, in_all)

    def _folder(self, folder: FolderSeen, in_all: int) -> Iterator[Known]:
        reports: dict[str, list[Known]] = defaultdict(list)
        explained: set[str] = set()
        for path in sorted(folder.files):
            if path.endswith(_REPORT):
                for known in self._reported(path, folder):
                    reports[known.drop.drop].append(known)
                    explained |= _around(known)
            self._step(in_all)
        self._ids |= {*reports, *folder.work}
        for several in reports.values():
            yield self._placed(folder, several)
        for path in sorted(folder.files - explained):
            if not path.endswith(tuple(Sidecar)) and not self._is_companion(path, folder):
                yield self._unreported(folder, path, self._id_for(path))
        for drop, files in sorted(folder.work.items()):
            if files and drop not in reports:
                name = self._main(folder.name, files)
                yield self._unreported(folder, f"{folder.name}/.work/{drop}/{name}", drop)
            self._step(in_all)

    def _step(self, in_all: int) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, max(in_all, 1))

    # -- with a report ---------------------------------------------------------------------------

    def _reported(self, path: str, folder: FolderSeen) -> Iterator[Known]:
        report, fault = sightings.read_report(self._root / path)
        place, _, name = path.rpartition("/")
        if report is None:
            self.told.notes.append(f"{shown(path)}: taken for no report: it {fault}")
            return
        file = _file_of(place, name, str(report.get("drop")), folder.files)
        try:
            yield from_report(report, place, file, self.config.tenant.base_url)
        except NoReport as why:
            self.told.notes.append(f"{shown(path)}: taken for no report: {why}")

    def _placed(self, folder: FolderSeen, several: Iterable[Known]) -> Known:
        """Where its file lies now: by its report, by the one before, or in work."""
        known, before = newest(several)
        drop = known.drop
        home = f"{drop.place}/{drop.name}"
        if before is not None:
            earlier = f"{before.drop.place}/{before.drop.name}"
            # Filed again as from there: that removes what is left at the place before.
            if earlier != home and (earlier in folder.files or home in folder.files):
                return self._identified(on_its_way(known, before.drop.place, before.drop.name))
        work = folder.work.get(drop.drop, ())
        if home not in folder.files and work:
            self.told.in_doubt += drop.state is State.HELD
            name = drop.file if drop.file in work else self._main(folder.name, work)
            return self._identified(on_its_way(known, drop.work_place, name))
        if home not in folder.files:
            self.told.notes.append(f"{shown(home)} is gone; its report is kept in mind")
        return self._identified(settled(known))

    def _identified(self, known: Known) -> Known:
        """A held file with the bytes that were dropped is the one that may be sent."""
        drop = known.drop
        if drop.state is not State.HELD or drop.sha256 is None:
            return known
        path = self._root / drop.place / drop.name
        if drop.target is not None and not os.path.lexists(path):
            path = self._root / drop.target
        seen = sightings.see(path, bytes_of=drop.size)
        if seen is None or seen.sha256 != drop.sha256:
            return known
        return replace(known, drop=drop.evolve(identity=sightings.identity(path)))

    # -- without ---------------------------------------------------------------------------------

    def _id_for(self, path: str) -> str:
        """Its own id where its name was given it; else a new one, for no other tells."""
        name = path.rpartition("/")[2]
        ids = () if is_correction(name) else drop_ids_in(name)  # which names what it corrects
        free = [id_ for id_ in ids if id_ not in self._ids]
        chosen = free[0] if free else new_drop_id(self.now(), secrets.token_bytes(10))
        self._ids.add(chosen)
        return chosen

    def _unreported(self, folder: FolderSeen, path: str, drop: str) -> Known:
        self.told.in_doubt += 1
        place, _, name = path.rpartition("/")
        configured = self.config.templates.get(folder.name)
        file = self._root / path
        seen = sightings.see(file, bytes_of=0)
        return without_report(
            Found(
                drop=drop,
                folder=folder.name,
                place=place,
                name=name,
                tenant=self.config.tenant.base_url,
                template_name=configured.template_name if configured else "",
                kind=str(configured.kind) if configured else "transaction",
                at=self.now(),
                received_at=made_at(drop) if is_drop_id(drop) else self.now(),
                size=seen.size if seen else 0,
                sha256=(seen.sha256 or None) if seen else None,
                identity=sightings.identity(file),
                records=_count(file, configured.dialect() if configured else Dialect()),
                prepared=sightings.prepared(self._root / folder.name / ".work", drop),
                companion=self._companion_of(path, folder),
            )
        )

    def _suffixes(self, folder: str) -> tuple[str, ...]:
        found = self.config.templates.get(folder)
        return (found.marker_suffix, found.manifest_suffix) if found else ()

    def _is_companion(self, path: str, folder: FolderSeen) -> bool:
        ends = [suffix for suffix in self._suffixes(folder.name) if path.endswith(suffix)]
        return any(path.removesuffix(suffix) in folder.files for suffix in ends)

    def _companion_of(self, path: str, folder: FolderSeen) -> str | None:
        place, _, name = path.rpartition("/")
        names = folder.work.get(place.rpartition("/")[2], ())
        near = {f"{place}/{each}" for each in names} | folder.files
        found = (name + suffix for suffix in self._suffixes(folder.name))
        return next((each for each in found if f"{place}/{each}" in near), None)

    def _main(self, folder: str, names: tuple[str, ...]) -> str:
        """The dropped file among the names in a work directory: not the marker or manifest."""
        suffixes = self._suffixes(folder)
        beside = {name + suffix for name in names for suffix in suffixes}
        return next((name for name in names if name not in beside), names[0])


def _file_of(place: str, report: str, drop: str, files: frozenset[str]) -> str:
    """The name of the file that a report stands beside; a very long one was cut for the report."""
    plain = report.removesuffix(_REPORT)
    if f"{place}/{plain}" in files or drop not in plain:
        return plain
    beside = (path.rpartition("/")[2] for path in files if path.startswith(f"{place}/"))
    return next((n for n in beside if sidecar_name(n, Sidecar.REPORT, drop) == report), plain)


def _around(known: Known) -> set[str]:
    drop = known.drop
    names = [drop.name, *(sidecar_name(drop.name, sidecar, drop.drop) for sidecar in Sidecar)]
    return {f"{drop.place}/{each}" for each in [*names, *filter(None, [drop.companion])]}


def _count(path: Path, dialect: Dialect) -> int:
    """How many records a file has; 0 where it can't be read as one."""
    last = 0
    try:
        for record in FileReading(path, dialect).records():
            last = record.number
    except (OSError, RevsyncdError, ValueError):
        return 0
    return last
