"""Who else may write into a directory: the named users and groups of its POSIX access list.

Source: acl(5) and linux/posix_acl_xattr.h: a version of 4 bytes, then entries of 8 (tag, permissions, id).
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

_NAMES = {0x02: "user", 0x08: "group"}
_GROUP_OWNER, _MASK = 0x04, 0x10
_HEAD, _ENTRY = 4, struct.Struct("<HHI")
_READ, _WRITE, _SEARCH = 4, 2, 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One named user or group with what it may do, the mask taken into account."""

    kind: str  # "user" or "group"
    id: int
    may: int  # rwx as three bits

    @property
    def writes(self) -> bool:
        """Whether it may make files there."""
        return self.may & (_WRITE | _SEARCH) == _WRITE | _SEARCH

    @property
    def searches(self) -> bool:
        """Whether it may go through."""
        return bool(self.may & _SEARCH)


@dataclass(frozen=True, slots=True)
class AccessList:
    """What the access list adds to owner, group and mode; `group` is what the owning group may do."""

    group: int
    named: tuple[Entry, ...] = ()
    inherited: bool = False  # whether what is made inside gets a list of its own


def access_list(path: Path) -> AccessList:
    """The list of a directory; without one, what its mode says. Raises OSError."""
    inherited = _attribute(path, "system.posix_acl_default") is not None
    packed = _attribute(path, "system.posix_acl_access")
    if packed is None:
        return AccessList(path.stat().st_mode >> 3 & 7, inherited=inherited)
    entries = list(_ENTRY.iter_unpack(packed[_HEAD:]))
    mask = next((may for tag, may, _ in entries if tag == _MASK), 7)
    group = next((may for tag, may, _ in entries if tag == _GROUP_OWNER), 0)
    named = (Entry(_NAMES[tag], id_, may & mask) for tag, may, id_ in entries if tag in _NAMES)
    return AccessList(group & mask, tuple(named), inherited)


def _attribute(path: Path, name: str) -> bytes | None:
    try:
        return os.getxattr(path, name)
    except OSError:  # none, or a file system without them
        return None
