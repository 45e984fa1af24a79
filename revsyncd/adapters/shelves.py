"""Where drops end: date folders, the settled file and the sidecars beside it.

Filing takes three steps, each harmless when repeated after a crash:

1. `reserve` chooses a free target name; the caller records it, since a repeat would choose another.
2. `publish` writes the sidecars beside it.
3. `shelve` moves the file, and its companion, from work.
"""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from revsyncd.adapters.disk import (
    folder_errors,
    make_directory,
    missing,
    rename_without_overwriting,
    sync_directory,
)
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import (
    FolderPlaces,
    Shelf,
    Sidecar,
    companion_name,
    shown,
    sidecar_name,
    with_drop_id,
)

READABLE = 0o640  # a sidecar: for us and for the group that the directory's setgid bit gives it
SEARCHABLE = 0o750  # a shelf and its date folders

_TEMPORARY = ".revsyncd-"  # what no other program leaves behind
_OURS = f"{_TEMPORARY}{os.getpid()}-{secrets.token_hex(4)}-"  # by this process, this time
_numbers = count()


class FileLost(RevsyncdError):
    """A file that has to be moved is at neither of the two places where it may be."""


def lay_out(places: FolderPlaces) -> None:
    """Make a folder's directories where they are missing; the root has to be there."""
    with folder_errors(places.home):
        try:
            make_directory(places.home, SEARCHABLE)
        except FileNotFoundError as error:
            raise missing(places.root) from error
        make_directory(places.inbox, 0o770)
        make_directory(places.work, 0o700)
        for shelf in Shelf:
            make_directory(places.shelf(shelf), SEARCHABLE)


def reserve(directory: Path, name: str, drop: str, companion: str | None = None) -> Path:
    """Choose where a dropped file will stand in a date folder (`places.day(…)`), and make that.

    A name of which the file, the companion or any sidecar exists is taken and gets the drop id
    before its suffix. Nothing is left on disk that would keep others from choosing the same name:
    let one drop of a folder be filed at a time.
    """
    with folder_errors(directory):
        try:
            make_directory(directory.parent, SEARCHABLE)
            make_directory(directory, SEARCHABLE)
        except FileNotFoundError as error:
            raise missing(directory.parent.parent) from error
        names = [name, *(sidecar_name(name, sidecar, drop) for sidecar in Sidecar)]
        if companion is not None:
            names.append(companion_name(name, name, companion, drop))
        taken = any(os.path.lexists(directory / each) for each in names)
    return directory / (with_drop_id(name, drop) if taken else name)


def sidecar_path(target: Path, sidecar: Sidecar, drop: str) -> Path:
    """Where a sidecar of the file at `target` stands."""
    return target.with_name(sidecar_name(target.name, sidecar, drop))


def publish(path: Path, data: bytes | Iterable[bytes], *, overwrite: bool = False) -> None:
    """Let a whole file appear at `path`, durably: temporary file, fsync, rename, fsync.

    `overwrite` is for our own sidecars and status only; else `FileExistsError` when it is there.
    The mode is 0640 less the umask; a setgid directory gives its group. Raises as `folder_errors`.
    """
    temporary = path.with_name(f"{_OURS}{next(_numbers)}.tmp")
    with folder_errors(path.parent):
        try:
            _write(temporary, [data] if isinstance(data, bytes) else data)
            if overwrite:
                temporary.replace(path)
            else:
                rename_without_overwriting(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def _write(path: Path, chunks: Iterable[bytes]) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, READABLE), "wb") as file:  # noqa: PTH123  (a descriptor)
        file.writelines(chunks)
        file.flush()
        os.fsync(file.fileno())


def try_writing(directory: Path) -> None:
    """Write, sync and remove a little in `directory`. Raises NoSpace when that is not possible."""
    trial = directory / f"{_OURS}{next(_numbers)}.tmp"
    with folder_errors(directory):
        try:
            _write(trial, [bytes(1 << 16)])
        finally:
            trial.unlink(missing_ok=True)


def shelve(source: Path, target: Path, drop: str, companion: Path | None = None) -> None:
    """Move a file to the reserved `target`, its companion before it; repeating is harmless.

    `source` may be in work or, when a person's word moves a held drop, on another shelf.
    Raises `FileExistsError` when somebody else took the name meanwhile (reserve anew), `FileLost`.
    """
    if companion is not None:
        name = companion_name(target.name, source.name, companion.name, drop)
        move(companion, target.with_name(name))
    move(source, target)


def move(source: Path, target: Path) -> None:
    """Rename durably without overwriting; nothing to do when it was done before.

    Raises `FileExistsError`, `FileLost`, or as `folder_errors`.
    """
    with folder_errors(target.parent):
        try:
            rename_without_overwriting(source, target)
        except FileNotFoundError as error:
            if not os.path.lexists(target):
                raise _lost(source, target) from error
        sync_directory(target.parent)
        with suppress(FileNotFoundError):  # a work directory that is gone already
            sync_directory(source.parent)


def _lost(source: Path, target: Path) -> FileLost:
    message = f"{shown(str(source))} is not there, and {shown(str(target))} is not either"
    hint = "Somebody or something else moved it: put it back under one of the two names."
    return FileLost(message, hint=hint)


def move_sidecars(source: Path, target: Path, drop: str) -> None:
    """Let the sidecars of the file at `source` follow it to `target`; newer ones there stay."""
    with folder_errors(target.parent):
        for sidecar in Sidecar:
            old = sidecar_path(source, sidecar, drop)
            try:
                rename_without_overwriting(old, sidecar_path(target, sidecar, drop))
            except FileExistsError:
                old.unlink(missing_ok=True)
            except FileNotFoundError:
                continue
        sync_directory(target.parent)
        sync_directory(source.parent)


def remove_work(places: FolderPlaces, drop: str) -> bool:
    """Remove what we prepared for a drop, and its work directory if that is empty.

    Never removes a dropped file: False when something is still in the work directory.
    """
    with folder_errors(places.work):
        with suppress(FileNotFoundError):
            shutil.rmtree(places.parts_of(drop))
        try:
            places.work_of(drop).rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            if any(places.work_of(drop).iterdir()):
                return False
            raise
    return True


def sweep(directory: Path) -> int:
    """Remove temporary files that an earlier process left in `directory`; returns how many.

    Those of this process stay, so this may run while others publish.
    """
    with folder_errors(directory):
        left = list(_left_over(directory))
        for path in left:
            path.unlink(missing_ok=True)
    return len(left)


def _left_over(directory: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError), os.scandir(directory) as listing:
        for item in listing:
            ours = item.name.startswith(_TEMPORARY) and item.name.endswith(".tmp")
            if ours and not item.name.startswith(_OURS) and item.is_file(follow_symlinks=False):
                yield Path(item.path)


def sweep_folder(places: FolderPlaces) -> int:
    """`sweep` wherever we publish in a folder: beside status.txt and in every date folder."""
    days = [day for shelf in Shelf for day in places.shelf(shelf).glob("*/")]
    return sum(sweep(directory) for directory in (places.home, *days))
