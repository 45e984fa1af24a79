"""What folders need of a file system and `os` does not give: durable renames, errors with remedies."""

import ctypes
import errno
import os
import shlex
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from revsyncd.core.errors import NoSpace, RevsyncdError

AT_FDCWD = -100  # <fcntl.h>
RENAME_NOREPLACE = 1  # <linux/fs.h>

_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_DENIED = {errno.EACCES, errno.EPERM}
_NO_SUCH_FLAG = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}


class FolderTrouble(RevsyncdError):
    """A folder can't be worked with; the others can."""


class FolderMissing(FolderTrouble):
    """A directory that has to be there is not: not made yet, renamed, or its disk is not mounted."""


class FolderDenied(FolderTrouble):
    """The service's user may not list a directory or may not rename in it."""


class OtherFileSystem(FolderTrouble):
    """Two directories of one folder are on different file systems, or different mounts of one."""


class NotRegular(RevsyncdError):
    """A link, FIFO, socket, device or directory where a regular file was expected."""


@contextmanager
def folder_errors(directory: Path) -> Iterator[None]:
    """Turn an `OSError` about `directory` or in it into `NoSpace` or the `FolderTrouble` it means.

    An error about one file is let through where only that file is meant: vanished or taken names.
    """
    try:
        yield
    except OSError as error:
        translated = _translated(error, directory)
        if translated is None:
            raise
        raise translated from error


def _translated(error: OSError, directory: Path) -> RevsyncdError | None:
    reason = f"{directory}: {error.strerror}"
    if error.errno in _DISK_TROUBLE:
        hint = "Free space or mend the disk; work goes on by itself."
        return NoSpace(reason, hint=hint)
    if error.errno in _DENIED:
        return FolderDenied(reason, hint=_way_in(directory))
    if error.errno == errno.EXDEV:
        hint = (
            "Everything below `root` must be one file system and one mount: one ReadWritePaths= "
            "entry for the root, no mounts or links to other disks below it."
        )
        return OtherFileSystem(reason, hint=hint)
    return None


def _way_in(directory: Path) -> str:
    """What the directory lacks for us to work in it."""
    with suppress(OSError):
        if directory.stat().st_mode & stat.S_ISVTX:
            return (
                "Take the sticky bit off this directory, which lets only the owner of a file move it out:"
                f" chmod -t {shlex.quote(str(directory))}"
            )
    return "Give the service's user read, write and search permission on this directory."


def missing(directory: Path) -> FolderMissing:
    """The error for a directory that is not there."""
    hint = "Make it, with a mode in which the sender can write (2770), or mount its disk."
    return FolderMissing(f"{directory}: there is no such directory", hint=hint)


def open_regular(path: Path) -> int:
    """Open a regular file for reading and return its descriptor; never follows, never blocks.

    Raises `NotRegular` for anything else, and `OSError` as it comes (`PermissionError` included).
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a link; a socket or a device without driver
            raise NotRegular(f"{path}: not a regular file") from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise NotRegular(f"{path}: not a regular file")


def sync_file(path: Path) -> None:
    """Bring a regular file's bytes to disk; raises as `open_regular` and `os.fsync` do."""
    descriptor = open_regular(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in `directory` last through a power loss."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, mode: int) -> None:
    """Make `path` unless it is there, durably; `mode` is subject to the umask."""
    with suppress(FileExistsError):
        path.mkdir(mode)
        sync_directory(path.parent)


def _find_renameat2() -> Callable[..., int] | None:
    # os has no renameat2; link + unlink is EPERM for another user's file (fs.protected_hardlinks).
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):  # a C library without it
        return None
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    return function


_renameat2 = _find_renameat2()


def rename_without_overwriting(source: Path, target: Path) -> None:
    """Rename in one step, or raise `FileExistsError` when `target` is there, whatever it is."""
    if _renameat2 is None:
        checked_rename(source, target)
        return
    old, new = os.fsencode(source), os.fsencode(target)
    if _renameat2(AT_FDCWD, old, AT_FDCWD, new, RENAME_NOREPLACE) == 0:
        return
    code = ctypes.get_errno()
    if code in _NO_SUCH_FLAG:
        checked_rename(source, target)
        return
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def checked_rename(source: Path, target: Path) -> None:
    """The same for file systems without the flag: two steps, good while nobody else writes there."""
    if os.path.lexists(target):
        code = errno.EEXIST
        raise FileExistsError(code, os.strerror(code), str(source), None, str(target))
    source.rename(target)
