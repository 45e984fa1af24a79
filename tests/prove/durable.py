"""What a disk holds after power loss: a model of files, directories and of what fsync promises.

Two readings of a crash, between which real file systems lie:

- `STRICT`: nothing survives that was not synced; a name lasts from the fsync of its directory on, a
  rename between directories from the first fsync of either.
- `ORDERED`: names survive in order, synced or not, as with a journal of metadata; the bytes of a file
  are those of its last fsync, and none where there was none.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from prove.recording import UNKNOWN, Call


class Reading(Enum):
    """What is taken to survive."""

    STRICT = "nothing unsynced survives"
    ORDERED = "names survive, unsynced bytes do not"


@dataclass(eq=False, slots=True)
class File:
    """A file's bytes now and at its last fsync; `origin` is the dropped file that it is."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""
    origin: str = ""


@dataclass(eq=False, slots=True)
class Directory:
    """A directory's names now and at its last fsync."""

    now: dict[str, "Node"] = field(default_factory=dict)
    synced: dict[str, "Node"] = field(default_factory=dict)


Node = File | Directory


@dataclass(slots=True)
class _Open:
    node: Node
    at: int = 0
    appending: bool = False


class Disk:
    """The tree below `home`, as calls change it."""

    def __init__(self, home: Path, dropped: dict[str, bytes]) -> None:
        """Everything that is there is on disk; but of a dropped file only its name is, see `promised`."""
        self.home = home
        self.root = Directory()
        for name in ("root", "state"):
            self.root.now[name] = self.root.synced[name] = self._scan(home / name, dropped)
        self._open: dict[int, _Open] = {}
        self._renames: list[tuple[Directory, str, Directory, str, Node]] = []

    def _scan(self, path: Path, dropped: dict[str, bytes]) -> Directory:
        directory = Directory()
        for entry in path.iterdir():
            if entry.is_dir():
                directory.now[entry.name] = self._scan(entry, dropped)
            else:
                origin = entry.name if entry.name in dropped else ""
                content = entry.read_bytes()
                waiting = entry.parent.name == "inbox"
                file = File(bytearray(content), b"" if waiting else content, origin)
                directory.now[entry.name] = file
        directory.synced = dict(directory.now)
        return directory

    # -- calls -----------------------------------------------------------------------------------

    def take(self, call: Call) -> None:
        """Let a call happen; what is outside the tree is nobody's business."""
        if call.name in ("openat", "open"):
            self._opened(call)
        elif call.name in ("rename", "renameat", "renameat2"):
            self._renamed(call)
        elif call.name in ("unlink", "unlinkat", "rmdir"):
            parent, name = self._place(call.path())
            if parent is not None:
                del parent.now[name]
        elif call.name in ("mkdir", "mkdirat"):
            parent, name = self._place(call.path())
            if parent is not None:
                parent.now[name] = Directory()
        elif call.name in UNKNOWN and self._ours(call):
            raise NotImplementedError(f"the model does not know {call.name} on {call.descriptors}")
        elif call.arguments.split("<", 1)[0].isdecimal() and call.descriptor in self._open:
            self._worked(call, self._open[call.descriptor])

    def _ours(self, call: Call) -> bool:
        return any(place.startswith(f"{self.home}/") for _, place in call.descriptors)

    def _place(self, path: Path) -> tuple[Directory | None, str]:
        """The directory that a path is in, and its name there; None outside of the tree."""
        clean = Path(os.path.normpath(path))
        if not clean.is_relative_to(self.home) or clean == self.home:
            return None, ""
        node: Node | None = self.root
        for step in clean.relative_to(self.home).parts[:-1]:
            node = node.now.get(step) if isinstance(node, Directory) else None
        return (node if isinstance(node, Directory) else None), clean.name

    def _opened(self, call: Call) -> None:
        parent, name = self._place(call.path())
        self._open.pop(call.result, None)
        if parent is None:
            return
        if name not in parent.now:
            parent.now[name] = File()
        node = parent.now[name]
        if "O_TRUNC" in call.arguments and isinstance(node, File):
            node.now.clear()
        self._open[call.result] = _Open(node, appending="O_APPEND" in call.arguments)

    def _renamed(self, call: Call) -> None:
        (source, old), (target, new) = self._place(call.path(0)), self._place(call.path(1))
        if source is None or target is None:
            return
        node = source.now.pop(old)
        target.now[new] = node
        if source is not target:
            self._renames.append((source, old, target, new, node))

    def _worked(self, call: Call, on: _Open) -> None:
        node = on.node
        if call.name == "close":
            del self._open[call.descriptor]
        elif call.name in ("fsync", "fdatasync"):
            self._sync(node)
        elif isinstance(node, File):
            self._changed(call, on, node)

    def _changed(self, call: Call, on: _Open, file: File) -> None:
        if call.name == "lseek":
            on.at = call.result
        elif call.name == "ftruncate":
            length = call.last_number
            file.now[length:] = bytes(max(0, length - len(file.now)))
        elif call.name == "write":
            on.at = len(file.now) if on.appending else on.at
            _put(file, on.at, call.texts[0][: call.result])
            on.at += call.result
        elif call.name == "pwrite64":
            _put(file, call.last_number, call.texts[0][: call.result])

    # -- durability ------------------------------------------------------------------------------

    def _sync(self, node: Node) -> None:
        if isinstance(node, File):
            node.synced = bytes(node.now)
            return
        node.synced = dict(node.now)
        for rename in [each for each in self._renames if node in (each[0], each[2])]:
            source, old, target, new, moved = rename
            self._renames.remove(rename)
            if source.synced.get(old) is moved:
                del source.synced[old]
            if target.now.get(new) is moved:
                target.synced[new] = moved

    def survivors(self, reading: Reading) -> Iterator[tuple[Path, Node, bytes]]:
        """Path below the tree, what it is, and its bytes after power loss now; parents first."""
        waiting = self._names(Path("root/orders/inbox"))
        yield from self._survivors(self.root, Path(), reading, waiting)

    def _names(self, path: Path) -> set[Node]:
        parent, name = self._place(self.home / path)
        found = parent.now.get(name) if parent is not None else None
        return set(found.now.values()) if isinstance(found, Directory) else set()

    def _survivors(
        self, directory: Directory, at: Path, reading: Reading, waiting: set[Node]
    ) -> Iterator[tuple[Path, Node, bytes]]:
        names = directory.synced if reading is Reading.STRICT else directory.now
        for name, node in sorted(names.items()):
            if isinstance(node, Directory):
                yield at / name, node, b""
                yield from self._survivors(node, at / name, reading, waiting)
            else:
                # Until it is claimed a dropped file is its sender's: it is taken to be on disk.
                whole = node.origin and node in waiting
                yield at / name, node, bytes(node.now) if whole else node.synced

    def signature(self, reading: Reading) -> str:
        """Equal for equal states of the disk after power loss."""
        found = hashlib.sha256()
        for path, node, content in self.survivors(reading):
            found.update(f"{path}\0{type(node).__name__}\0".encode(errors="surrogateescape"))
            found.update(hashlib.sha256(content).digest())
        return found.hexdigest()

    def rebuild(self, reading: Reading, home: Path, originals: Path) -> None:
        """Make the tree as it survives; a dropped file that is whole is the same inode as it was."""
        for path, node, content in self.survivors(reading):
            target = home / path
            if isinstance(node, Directory):
                target.mkdir()
            elif node.origin and content == node.now:
                os.link(originals / node.origin, target)
            else:
                target.write_bytes(content)


def _put(file: File, at: int, data: bytes) -> None:
    if len(file.now) < at:
        file.now.extend(bytes(at - len(file.now)))
    file.now[at : at + len(data)] = data
