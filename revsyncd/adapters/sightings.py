"""What lies in a tree, read only: for whoever compares it with the ledger, or makes a ledger of it.

Paths are text relative to the root, as the file system has them.
"""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from revsyncd.adapters.disk import NotRegular, open_regular
from revsyncd.adapters.outbox import digest
from revsyncd.core.audit import Seen
from revsyncd.core.outbox_names import TEMPORARY as OUTBOX_TEMPORARY
from revsyncd.core.places import FolderPlaces, Shelf, is_drop_id

TEMPORARY = ".revsyncd-"
_PART = re.compile(r"p[0-9]{3,}\.csv")  # what the checks prepare
PREPARED = ".parts"
MOST_REPORT = 1 << 28  # bytes of a report that are read
_BLOCK = 1 << 20
LONGEST_SECRET = 8192  # bytes that two blocks of a search share


@dataclass(frozen=True, slots=True)
class FolderSeen:
    """One folder: files on its shelves, its date folders, and what is in work."""

    name: str
    files: frozenset[str] = frozenset()
    days: frozenset[str] = frozenset()
    work: dict[str, tuple[str, ...]] = field(default_factory=dict)  # drop id -> names
    prepared: dict[str, float] = field(default_factory=dict)  # drop id -> mtime of its parts
    strangers: tuple[str, ...] = ()  # in .work, by names that are none of ours
    temporary: dict[str, float] = field(default_factory=dict)  # path -> mtime


def folder_names(root: Path) -> list[str]:
    """The directories under the root that have a shelf or work in them, in order."""
    marks = [*Shelf, ".work"]
    return sorted(
        path.name
        for path in root.iterdir()
        if path.is_dir() and any((path / m).is_dir() for m in marks)
    )


def look(root: Path, name: str) -> FolderSeen:
    """A folder as it is now; what vanishes meanwhile is left out, what is missing is empty."""
    places = FolderPlaces(root, name)
    files: set[str] = set()
    days: set[str] = set()
    temporary = dict(_temporary(root, _entries(places.home)))
    for shelf in Shelf:
        for entry in _entries(places.shelf(shelf)):
            if entry.is_dir(follow_symlinks=False):
                days.add(_below(root, entry))
                inside = [
                    e for e in _entries(Path(entry.path)) if not e.is_dir(follow_symlinks=False)
                ]
                ours = dict(_temporary(root, inside))
                temporary |= ours
                files |= {_below(root, each) for each in inside} - ours.keys()
            else:
                files.add(_below(root, entry))
    work, prepared, strangers = _in_work(root, places.work)
    return FolderSeen(name, frozenset(files), frozenset(days), work, prepared, strangers, temporary)


def _in_work(
    root: Path, work: Path
) -> tuple[dict[str, tuple[str, ...]], dict[str, float], tuple[str, ...]]:
    drops: dict[str, tuple[str, ...]] = {}
    prepared: dict[str, float] = {}
    strangers = []
    for entry in _entries(work):
        owner = entry.name.removesuffix(PREPARED)
        if not is_drop_id(owner) or not entry.is_dir(follow_symlinks=False):
            strangers.append(_below(root, entry))
        elif owner == entry.name:
            drops[owner] = names_in(Path(entry.path))
        else:
            with suppress(FileNotFoundError):
                prepared[owner] = entry.stat(follow_symlinks=False).st_mtime
    return drops, prepared, tuple(strangers)


def names_in(directory: Path) -> tuple[str, ...]:
    """The names in a directory, in order; none where it is not there."""
    return tuple(sorted(entry.name for entry in _entries(directory)))


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as listing:
            return list(listing)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _below(root: Path, entry: os.DirEntry[str]) -> str:
    return str(Path(entry.path).relative_to(root))


def _temporary(root: Path, entries: Iterable[os.DirEntry[str]]) -> Iterator[tuple[str, float]]:
    for entry in entries:
        ours = entry.name.startswith(TEMPORARY) and entry.name.endswith(".tmp")
        with suppress(FileNotFoundError):
            if ours and entry.is_file(follow_symlinks=False):
                yield _below(root, entry), entry.stat(follow_symlinks=False).st_mtime


def temporary_in(directory: Path) -> dict[str, float]:
    """Temporary files of ours directly in a directory, by name: when they were written."""
    return {Path(path).name: at for path, at in _temporary(directory, _entries(directory))}


def hidden_in(outbox: Path) -> dict[str, float]:
    """What is hidden in an outbox under a name of ours, by name: when it was written."""
    found = {}
    for entry in _entries(outbox):
        if entry.name.startswith(OUTBOX_TEMPORARY):
            with suppress(FileNotFoundError):
                found[entry.name] = entry.stat(follow_symlinks=False).st_mtime
    return found


# -- single files --------------------------------------------------------------------------------


def see(path: Path, *, bytes_of: int | None = None) -> Seen | None:
    """A file, or whatever lies there, without following it; None where nothing does.

    With `bytes_of`, the size that it had, its bytes are hashed; where it grew, its beginning as well.
    """
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if bytes_of is None or not stat.S_ISREG(found.st_mode):
        return Seen(found.st_size)
    try:
        return Seen(found.st_size, *_digests(path, bytes_of))
    except FileNotFoundError:
        return None
    except (NotRegular, OSError):
        return Seen(found.st_size)


def _digests(path: Path, size: int) -> tuple[str, str]:
    whole, begins, left = hashlib.sha256(), "", size
    with open(open_regular(path), "rb") as file:  # noqa: PTH123  (a descriptor)
        while block := file.read(min(_BLOCK, left) if left else _BLOCK):
            whole.update(block)
            left -= min(left, len(block))
            if not left and not begins:
                begins = whole.hexdigest()
    return whole.hexdigest(), begins


def read_report(path: Path) -> tuple[dict[str, Any] | None, str]:
    """A report and "", or None and what is wrong with it."""
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123  (a descriptor)
            found = json.loads(file.read(MOST_REPORT))
    except FileNotFoundError:
        return None, "is missing"
    except (NotRegular, OSError):
        return None, "can't be read"
    except (ValueError, RecursionError):
        return None, "is no JSON"
    return (found, "") if isinstance(found, dict) else (None, "is no report")


def manifest_digest(path: Path) -> str | None:
    """The SHA-256 of a manifest in the outbox; None where there is none."""
    try:
        with open(open_regular(path), "rb") as file:  # noqa: PTH123  (a descriptor)
            return digest(file.read())
    except (FileNotFoundError, NotRegular):
        return None


def blocks(path: Path) -> Iterator[bytes]:
    """A file's content in blocks that overlap by what a secret may be long; nothing where it is gone."""
    kept = b""
    try:
        descriptor = open_regular(path)
    except (FileNotFoundError, NotRegular, PermissionError):
        return
    with open(descriptor, "rb") as file:  # noqa: PTH123  (a descriptor)
        while block := file.read(_BLOCK):
            yield kept + block
            kept = block[-LONGEST_SECRET:]


def identity(path: Path) -> tuple[int, ...]:
    """Size, mtime and inode, as the ledger keeps them; empty where nothing is."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ()
    return (found.st_size, found.st_mtime_ns, found.st_ino)


def prepared(work: Path, drop: str) -> tuple[tuple[str, int], ...]:
    """The SHA-256 and size of each upload that was prepared for a drop, in order."""
    directory = work / f"{drop}{PREPARED}"
    names = [name for name in names_in(directory) if _PART.fullmatch(name)]
    seen = [see(directory / name, bytes_of=0) for name in names]
    return tuple((each.sha256, each.size) for each in seen if each is not None and each.sha256)


def arguments_of(process: str) -> bytes:
    """With which arguments a process was started, as the kernel has them; empty where it has ended."""
    try:
        return Path(f"/proc/{int(process)}/cmdline").read_bytes()
    except (OSError, ValueError):
        return b""
