"""Builds that break the promise: each leaves out one thing on which it rests.

The bench has to catch every one of them; one that it lets pass makes the bench fail. They are made
from outside, by `launcher`, in a process of a test.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from revsyncd.adapters import disk, inbox, outbox, shelves
from revsyncd.adapters.ledger import identity
from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.drops import Drops
from revsyncd.checks import parts
from revsyncd.core.part import Part, PartState

_claimed: set[int] = set()  # inodes, in the memory of a build that claims nothing on disk


def without(name: str) -> None:
    """Leave this out of the process. Raises KeyError for a name that is not in `BUILDS`."""
    BUILDS[name]()


def _the_record() -> None:
    """The last chunk goes before the ledger knows that it goes."""

    def release(self: Drops, drop: Any, part: Part) -> Part:
        return part.become(PartState.RELEASED, released_at=self._now())

    Drops.release = release  # type: ignore[method-assign]


def _the_claim() -> None:
    """A file is worked on under a second name and stays in the inbox until it is filed."""
    look, entry_at, shelve = inbox.look, inbox.entry_at, shelves.shelve

    def hiding(inbox: Path) -> list[Any]:
        return [each for each in look(inbox) if each.inode not in _claimed]

    def claim(places: Any, drop: str, entry: Any, companion: Any) -> inbox.Claimed:
        work = places.work_of(drop)
        work.mkdir(parents=True)
        os.link(places.inbox / entry.name, work / entry.name)
        _claimed.add(entry.inode)
        after = entry_at(work / entry.name)
        return inbox.Claimed(drop, work / entry.name, None, after, unchanged=True, readable=True)

    def shelve_and_take(source: Path, target: Path, drop: str, companion: Any = None) -> None:
        shelve(source, target, drop, companion)
        (source.parents[2] / "inbox" / source.name).unlink(missing_ok=True)

    inbox.look, inbox.claim, shelves.shelve = hiding, claim, shelve_and_take


def _file_sync() -> None:
    """No file but the ledger's is synced."""
    _replace(disk.sync_file, lambda _: None)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            real(descriptor)

    os.fsync = fsync  # type: ignore[assignment]


def _dropped_file_sync() -> None:
    """The dropped file is not synced when it is claimed."""
    _replace(disk.sync_file, lambda _: None)


def _directory_sync() -> None:
    """No directory is synced."""
    _replace(disk.sync_directory, lambda _: None)


def _claim_directory_sync() -> None:
    """The directories of a claim, the inbox and the work directory, are not synced."""
    _replace(disk.sync_directory, _nothing, inbox)


def _shelf_directory_sync() -> None:
    """The directories of a filed drop are not synced."""
    _replace(disk.sync_directory, _nothing, shelves)


def _batch_sync() -> None:
    """File and manifest of a batch are not synced before they are published."""
    _replace(disk.sync_file, _nothing, outbox)


def _outbox_directory_sync() -> None:
    """The outbox is not synced when something is published in it."""
    _replace(disk.sync_directory, _nothing, outbox)


def _head_sync() -> None:
    """The directory of the head file is not synced."""
    _replace(disk.sync_directory, _nothing, identity)
    _replace(disk.make_directory, lambda path, mode: path.mkdir(mode, exist_ok=True), identity)


def _parts_sync() -> None:
    """What was prepared is not synced before it is recorded."""

    def close(part: parts._OpenPart) -> None:
        if part.file is not None:
            part.file.close()

    parts._OpenPart.close = close  # type: ignore[assignment, method-assign]


def _ledger_sync() -> None:
    """SQLite does not wait for the disk."""
    opened = Book.open

    def open_(state_dir: Path) -> Book:
        book = opened(state_dir)
        book.connection.execute("PRAGMA synchronous = OFF")
        return book

    Book.open = open_  # type: ignore[method-assign]


def _nothing(path: Path) -> None:
    """What is left out."""


def _replace(old: Callable[..., Any], new: Callable[..., Any], *where: ModuleType) -> None:
    """Everywhere, or only in some modules."""
    every = [m for name, m in sys.modules.items() if name.startswith("revsyncd.")]
    for module in where or every:
        for key in [key for key, value in vars(module).items() if value is old]:
            setattr(module, key, new)


BUILDS: dict[str, Callable[[], None]] = {
    "the record before the last chunk": _the_record,
    "the claim": _the_claim,
    "the fsync of any file": _file_sync,
    "the fsync of the dropped file": _dropped_file_sync,
    "the fsync of any directory": _directory_sync,
    "the fsync of a claim's directories": _claim_directory_sync,
    "the fsync of a shelf": _shelf_directory_sync,
    "the fsync of a batch": _batch_sync,
    "the fsync of the outbox": _outbox_directory_sync,
    "the fsync of the head file's directory": _head_sync,
    "the fsync of prepared parts": _parts_sync,
    "the fsync of the ledger": _ledger_sync,
}
