"""An inbox on disk: looking at it, claiming from it, giving back."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from revsyncd.adapters.disk import (
    FolderDenied,
    NotRegular,
    folder_errors,
    make_directory,
    missing,
    rename_without_overwriting,
    sync_directory,
    sync_file,
)
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import FolderPlaces, is_drop_id, shown
from revsyncd.core.settle import Entry

PRIVATE = 0o700  # work directories: what is in them is nobody's business but ours


class Changed(RevsyncdError):
    """A file is no longer what the look showed: nothing was taken, look again."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A file in its work directory.

    `entry` is how it looks after the rename: compare its fingerprint with `entry_at(path)` later.
    `unchanged` is False when somebody wrote to it during the claim: it must settle anew, in work.
    `readable` is False when our user may not read it, or it is not a regular file.
    """

    drop: str
    path: Path
    companion: Path | None
    entry: Entry
    unchanged: bool
    readable: bool


@dataclass(frozen=True, slots=True)
class InWork:
    """A work directory found on disk, and the names of what was claimed into it."""

    drop: str
    path: Path
    names: tuple[str, ...]


def look(inbox: Path) -> list[Entry]:
    """The full listing of a directory, as lstat sees it; what vanishes meanwhile is left out.

    Raises `FolderMissing`, `FolderDenied` or `NoSpace`.
    """
    entries = []
    try:
        with folder_errors(inbox), os.scandir(inbox) as listing:
            for item in listing:
                with suppress(FileNotFoundError):
                    entries.append(_entry(item.name, item.stat(follow_symlinks=False)))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise missing(inbox) from error
    return entries


def entry_at(path: Path) -> Entry:
    """One look at one file. Raises `FileNotFoundError` when it is not there."""
    with folder_errors(path.parent):
        return _entry(path.name, path.lstat())


def _entry(name: str, seen: os.stat_result) -> Entry:
    return Entry(
        name=name,
        mode=seen.st_mode,
        size=seen.st_size,
        mtime_ns=seen.st_mtime_ns,
        ctime_ns=seen.st_ctime_ns,
        inode=seen.st_ino,
        device=seen.st_dev,
        links=seen.st_nlink,
        uid=seen.st_uid,
        gid=seen.st_gid,
    )


def claim(places: FolderPlaces, drop: str, entry: Entry, companion: Entry | None) -> Claimed:
    """Move a file, and its companion, from the inbox into `.work/<drop>/`, durably.

    Raises `Changed` when one of them is not as it was seen, and then both are in the inbox.
    The other errors are those of `folder_errors`. A crash may leave both on either side, or only
    the companion in work: see `in_work` and `give_back`.
    """
    readable = _sync_if_as_seen(places.inbox / entry.name, entry)
    if companion is not None:
        _sync_if_as_seen(places.inbox / companion.name, companion)
    _move_in(places, drop, entry, companion)
    path = places.work_of(drop) / entry.name
    after = entry_at(path)
    beside = path.with_name(companion.name) if companion is not None else None
    return Claimed(drop, path, beside, after, after.identity == entry.identity, readable)


@contextmanager
def _expecting(path: Path) -> Iterator[None]:
    """Whoever lets the sender's file vanish or be replaced between two steps, meets `Changed`."""
    try:
        with folder_errors(path.parent):
            yield
    except (FileNotFoundError, NotRegular) as error:
        raise _changed(path) from error


def _changed(path: Path) -> Changed:
    return Changed(f"{shown(path.name)} changed or vanished while it was being claimed")


def _sync_if_as_seen(path: Path, entry: Entry) -> bool:
    """Bring the data to disk, where it can be read: a sender's bytes may be in the page cache only."""
    with _expecting(path):
        if entry_at(path).fingerprint != entry.fingerprint:
            raise _changed(path)
    if not entry.is_file:
        return False
    try:
        with _expecting(path):
            sync_file(path)
    except FolderDenied:
        return False
    return True


def _move_in(places: FolderPlaces, drop: str, entry: Entry, companion: Entry | None) -> None:
    work = places.work_of(drop)
    with folder_errors(places.work):
        make_directory(places.work, PRIVATE)
        work.mkdir(PRIVATE)
        sync_directory(places.work)
    try:
        # The companion first: data in work without its manifest would be taken as having none.
        for moved in (companion, entry):
            if moved is not None:
                with _expecting(places.inbox / moved.name):
                    rename_without_overwriting(places.inbox / moved.name, work / moved.name)
        with folder_errors(places.home):
            sync_directory(work)
            sync_directory(places.inbox)
    except RevsyncdError:
        with suppress(RevsyncdError, OSError):  # the first error is the one to tell
            give_back(places, drop, companion.name if companion is not None else None)
        raise


def in_work(places: FolderPlaces) -> list[InWork]:
    """Every work directory on disk, in the order of their drops; none when there is no `.work`."""
    try:
        with folder_errors(places.work), os.scandir(places.work) as listing:
            ours = [i for i in listing if is_drop_id(i.name) and i.is_dir(follow_symlinks=False)]
            drops = sorted(item.name for item in ours)
    except FileNotFoundError:
        return []
    found = []
    for drop in drops:
        names = sorted(entry.name for entry in look(places.work_of(drop)))
        found.append(InWork(drop, places.work_of(drop), tuple(names)))
    return found


def prepared(places: FolderPlaces) -> list[str]:
    """The drops for which something prepared lies on disk; none when there is no `.work`."""
    suffix = places.parts_of("").name
    try:
        with folder_errors(places.work), os.scandir(places.work) as listing:
            owners = [
                item.name.removesuffix(suffix) for item in listing if item.name.endswith(suffix)
            ]
    except FileNotFoundError:
        return []
    return sorted(drop for drop in owners if is_drop_id(drop))


def give_back(places: FolderPlaces, drop: str, companion: str | None = None) -> list[Path]:
    """Undo a claim that nothing knows of: all of a work directory goes back to the inbox.

    `companion` goes last, so that it is newer than its data again. Returns where the files are now.
    A name that is taken in the inbox stays in work, and so does the directory: the later file is
    claimed first, then this can be repeated.
    """
    work = places.work_of(drop)
    back: list[Path] = []
    if not os.path.lexists(work):  # the claim failed before it took anything, or gave it back
        return back
    names = sorted((entry.name for entry in look(work)), key=lambda name: name == companion)
    with folder_errors(places.home):
        for name in names:
            with suppress(FileExistsError):
                rename_without_overwriting(work / name, places.inbox / name)
                back.append(places.inbox / name)
        sync_directory(places.inbox)
        with suppress(OSError):  # not empty
            work.rmdir()
    return back
