"""Gathers the evidence about one drop after another, from the ledger and from where its file should be."""

import os
from dataclasses import dataclass

from revsyncd.adapters import sightings
from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Config
from revsyncd.core.audit import Evidence, Seen, Step, Violation, of_drop
from revsyncd.core.drop import SHELVED, Drop, State
from revsyncd.core.places import Sidecar, companion_name, sidecar_name
from revsyncd.pipelines.sidecars import reported


@dataclass(slots=True)
class DropAudit:
    """Looks at single drops of an open ledger; nothing is written.

    `days` are the date folders that there are, `pending` as in `Evidence`, times in seconds since
    the epoch; `since` None hashes every settled file.
    """

    config: Config
    ledger: Ledger
    days: frozenset[str]
    pending: frozenset[str]
    now: float
    since: float | None
    archived: int = 0  # settled files that were not looked at, for their date folders are gone

    def look(self, drop: Drop) -> list[Violation]:
        """What does not hold of a drop."""
        evidence = self._evidence(drop)
        self.archived += evidence.archived
        return of_drop(evidence)

    def look_again(self, drop_id: str) -> list[Violation]:
        """The same of the drop as the ledger has it now."""
        drop = self.ledger.drops.get(drop_id)
        return of_drop(self._evidence(drop)) if drop is not None else []

    def explained(self, drop: Drop) -> set[str]:
        """The paths on shelves that a drop explains: its file, what came along, its sidecars."""
        found = _around(drop, f"{drop.place}/{drop.name}", drop.companion)
        if drop.target is not None:
            beside = drop.companion
            if beside is not None:
                beside = companion_name(os.path.basename(drop.target), drop.name, beside, drop.drop)  # noqa: PTH119  (a name that need not be UTF-8)
            found |= _around(drop, drop.target, beside)
        return found

    def _evidence(self, drop: Drop) -> Evidence:
        drops = self.ledger.drops
        corrections = tuple(drops.corrections(drop.drop))
        report, fault, beside = self._beside(drop)
        at_home = self._see(drop, f"{drop.place}/{drop.name}")
        return Evidence(
            drop,
            tuple(drops.parts(drop.drop)),
            tuple(Step(row.event, row.part, row.facts) for row in drops.history(drop.drop)),
            tuple(map(reported, self.ledger.stage_errors.of_drop(drop.drop))),
            bool(drops.problems(drop.drop)),
            corrections,
            tuple(id_ for id_ in corrections if self._is_filed(id_)),
            drop.drop in self.pending,
            at_home,
            self._see(drop, drop.target) if at_home is None and drop.target else None,
            sightings.names_in(self.config.root / drop.work_place),
            at_home is None and self._is_archived(drop),
            report,
            fault,
            beside,
            drop.folder in self.config.templates,
        )

    def _is_filed(self, drop_id: str) -> bool:
        drop = self.ledger.drops.get(drop_id)
        return drop is not None and drop.filed

    def _is_archived(self, drop: Drop) -> bool:
        """Old date folders may be taken away whole, but never held drops."""
        old = (
            drop.settled_at is not None
            and drop.settled_at < self.now - self.config.stage_errors.watch_for
        )
        settled = drop.filed and drop.state in (State.DONE, State.FAILED)
        return old and settled and drop.place not in self.days

    def _see(self, drop: Drop, path: str) -> Seen | None:
        settled = drop.state in SHELVED and drop.sha256 is not None
        recent = self.since is None or (drop.settled_at or 0.0) >= self.since
        return sightings.see(
            self.config.root / path, bytes_of=drop.size if settled and recent else None
        )

    def _beside(self, drop: Drop) -> tuple[dict[str, object] | None, str, frozenset[Sidecar]]:
        if not drop.filed:
            return None, "", frozenset()
        home = self.config.root / drop.place
        report, fault = sightings.read_report(
            home / sidecar_name(drop.name, Sidecar.REPORT, drop.drop)
        )
        there = {s for s in Sidecar if (home / sidecar_name(drop.name, s, drop.drop)).exists()}
        return report, fault, frozenset(there)


def _around(drop: Drop, path: str, companion: str | None) -> set[str]:
    place, _, name = path.rpartition("/")
    names = [name, *(sidecar_name(name, sidecar, drop.drop) for sidecar in Sidecar)]
    return {f"{place}/{each}" for each in [*names, *([companion] if companion else [])]}
