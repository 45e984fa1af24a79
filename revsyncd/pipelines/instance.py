"""What the pipelines of one instance share."""

from dataclasses import dataclass, field
from pathlib import Path

from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Config, Folder
from revsyncd.core.drop import Drop
from revsyncd.core.part import Part
from revsyncd.core.places import FolderPlaces, shown
from revsyncd.core.turns import FolderTurns
from revsyncd.pipelines.conditions import FOLDER_PAUSED, STOPPED, Conditions
from revsyncd.pipelines.files import Files
from revsyncd.pipelines.mappings import Mappings
from revsyncd.pipelines.register import Register
from revsyncd.pipelines.tenant_gate import TenantGate
from revsyncd.ports import Clock, Journal, Tenant


@dataclass(slots=True)
class Instance:
    """One tenant, one root, one ledger. `config` and `tenant` are replaced by a reload."""

    config: Config
    clock: Clock
    ledger: Ledger
    register: Register
    conditions: Conditions
    tenant: Tenant
    gate: TenantGate
    mappings: Mappings
    files: Files
    journal: Journal
    stopping: bool = False  # nothing new is taken, nothing more released
    # Folder and drop id of claims that were not recorded and could not be given back yet.
    unrecorded: set[tuple[str, str]] = field(default_factory=set)

    @property
    def root(self) -> Path:
        """The one tree in which every file lies."""
        return self.config.root

    def folder(self, drop: Drop) -> Folder | None:
        """The drop's folder; None when it is no longer configured (the drop then waits)."""
        return self.config.templates.get(drop.folder)

    def address(self, drop: Drop) -> dict[str, str]:
        """Where the drop's folder sends now: a drop claimed before a change may have it otherwise."""
        folder = self.folder(drop)
        if folder is None:
            return {}
        tenant = self.config.tenant.base_url
        now = {"tenant": tenant, "template_name": folder.template_name, "kind": str(folder.kind)}
        return now if any(getattr(drop, key) != now[key] for key in now) else {}

    def path(self, drop: Drop) -> Path:
        """Where the dropped file lies now."""
        return self.root / drop.place / drop.name

    def places(self, folder: str) -> FolderPlaces:
        """The paths of a folder."""
        return FolderPlaces(self.root, folder)

    def turns(self) -> dict[str, FolderTurns]:
        """How each folder's drops take turns now."""
        return {folder.name: self._turns(folder) for folder in self.config.folders}

    def _turns(self, folder: Folder) -> FolderTurns:
        name, conditions = folder.name, self.conditions
        refused = conditions.holds(FOLDER_PAUSED, name) and not self.gate.folder_open(name)
        return FolderTurns(
            name,
            folder.order,
            folder.after,
            paused=conditions.paused(name) or refused,
            stopped=conditions.holds(STOPPED, name),
        )


def named(drop: Drop, part: Part | None = None) -> dict[str, object]:
    """The facts that name a drop, and a part of it, in a log line."""
    facts: dict[str, object] = {"folder": drop.folder, "drop": drop.drop, "file": shown(drop.file)}
    return facts if part is None else {**facts, "part": part.part, "of": part.of}
