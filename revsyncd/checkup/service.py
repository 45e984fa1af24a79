"""Whom the instance runs as, as far as its tree tells: what mending commands are filled in with."""

import grp
import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from revsyncd.adapters.who import user_name
from revsyncd.config import Config


@dataclass(frozen=True, slots=True)
class Service:
    """The user and group of an instance, and the unit that runs it."""

    uid: int
    user: str
    group: str
    unit: str

    @classmethod
    def of(cls, config: Config) -> "Service":
        """The owner of the ledger's directory and the group of the root; else whoever asks."""
        uid = _stat(config.state_dir, "st_uid", os.geteuid())
        gid = _stat(config.root, "st_gid", os.getegid())
        return cls(uid, user_name(uid), group_name(gid), f"revsyncd@{config.path.stem}")

    def facts(self, path: Path, **more: object) -> dict[str, object]:
        """What a finding about a path needs."""
        quoted = shlex.quote(str(path))
        whole = {
            "user": self.user,
            "group": self._group_of(path),
            "unit": self.unit,
            "path": quoted,
        }
        return {**whole, **more}

    def _group_of(self, path: Path) -> str:
        """The directory's, or that of the one above it: a folder may have its sender's group."""
        groups = (_stat(each, "st_gid", 0) for each in (path, path.parent))
        return next((group_name(gid) for gid in groups if gid), self.group)


def group_name(gid: int) -> str:
    """The group's name, else the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _stat(path: Path, field: str, otherwise: int) -> int:
    try:
        found: int = getattr(path.stat(), field)
    except OSError:
        return otherwise
    return found
