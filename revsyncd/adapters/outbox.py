"""Where batch files are published for the ERP: whole, durable, never over another file.

File and manifest are first complete and synced under hidden names. Publishing is two renames, the
manifest's last: it is the ERP's signal. Which of the hidden names are left tells after a crash how
far it came, whatever the ERP has taken away meanwhile.
"""

import hashlib
import os
import stat
from collections.abc import Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from revsyncd.adapters.disk import (
    NotRegular,
    OtherFileSystem,
    folder_errors,
    missing,
    open_regular,
    rename_without_overwriting,
    sync_directory,
    sync_file,
)
from revsyncd.core.errors import RefusedToStart, RevsyncdError
from revsyncd.core.outbox_names import (
    ACK,
    COMPANIONS,
    HELD,
    MANIFEST,
    NACK,
    TEMPORARY,
    with_number,
)

LONGEST_ACK = 4096  # bytes of an acknowledgement that are read
_SHARED = 0o770  # the ERP takes files away
_PRIVATE_TO_GROUP = 0o750
_PROBE = f"{TEMPORARY}probe"
_REMEDY = (
    "Everything below `root` must be one file system and one mount: choose another `gl.outbox`, or"
    " take the mount away. One ReadWritePaths= entry for the root is enough."
)


class FileGone(RevsyncdError):
    """The file was taken away before its manifest was there, so nobody can say by whom."""


class NameTaken(RevsyncdError):
    """Somebody put a file of that name there since it was chosen."""


@dataclass(frozen=True, slots=True)
class Found:
    """A companion that the ERP put beside a file: `ack` or `nack`, and its text; None: not readable."""

    kind: str
    text: str | None


def lay_out(root: Path, outbox: Path) -> None:
    """Make the outbox and its `.held` where they are missing, on the root's file system.

    Raises RefusedToStart, with the remedy, when it is on another one; NoSpace or FolderTrouble as
    `folder_errors`.
    """
    with folder_errors(outbox):
        try:
            for path in [*_below(root, outbox)]:
                _make(path, _SHARED if path == outbox else _PRIVATE_TO_GROUP)
        except FileNotFoundError as error:
            raise missing(root) from error
        _make(outbox / HELD, _PRIVATE_TO_GROUP)
    try:
        require_one_file_system(root, outbox)
    except OtherFileSystem as error:
        raise RefusedToStart(error.message, hint=error.hint) from error


def _below(root: Path, outbox: Path) -> Iterable[Path]:
    steps = outbox.relative_to(root).parts
    return (root.joinpath(*steps[:length]) for length in range(1, len(steps) + 1))


def _make(path: Path, mode: int) -> None:
    """A directory with these permissions whatever the umask; the setgid bit is handed down."""
    if path.is_dir():
        return
    with suppress(FileExistsError):
        with _umask_letting(mode):
            path.mkdir(mode)
        sync_directory(path.parent)


@contextmanager
def _umask_letting(mode: int) -> Iterator[None]:
    """A later chmod would do as well, were it not refused: of what has a setgid bit by RestrictSUIDSGID=.

    The umask is the whole process's, so that other threads see it for the time of one call. What they
    make has modes of its own, which give the group nothing to write.
    """
    before = os.umask(0o777)
    os.umask(before & ~mode)
    try:
        yield
    finally:
        os.umask(before)


def require_one_file_system(root: Path, outbox: Path) -> None:
    """Raises OtherFileSystem; two mounts of one disk count as two, for no rename crosses them."""
    device = root.stat().st_dev
    for path in (outbox, outbox / HELD):
        if path.stat().st_dev != device:
            raise OtherFileSystem(f"{path} is on another file system than {root}", hint=_REMEDY)
    try:
        with folder_errors(outbox):
            _try_rename(outbox / HELD, outbox, root)
    except OtherFileSystem as error:
        told = f"{outbox} is another mount than {root}"
        raise OtherFileSystem(told, hint=_REMEDY) from error
    except RevsyncdError:  # a full or read-only disk is told where it matters
        return


def _try_rename(held: Path, outbox: Path, root: Path) -> None:
    """Let an empty file go from the root through the outbox to `.held` and away."""
    first, second, third = (place / _PROBE for place in (root, outbox, held))
    try:
        os.close(os.open(first, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        first.rename(second)
        second.rename(third)
    finally:
        for path in (first, second, third):
            with suppress(OSError):
                path.unlink()


def choose(directory: Path, name: str, used: Container[str]) -> str:
    """A name of which neither the file nor a companion is there, and that was never used before."""
    with folder_errors(directory):
        for number in count(1):
            free = with_number(name, "", number)
            names = (free, *(free + companion for companion in COMPANIONS))
            if free not in used and not any(os.path.lexists(directory / each) for each in names):
                return free
    raise AssertionError("there is always another number")


def prepare(data: Path, manifest: Path, content: bytes, mode: int) -> None:
    """Bring file and manifest to disk under their hidden names, with the permissions they will have."""
    with folder_errors(data.parent):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(manifest, flags, 0o600), "wb") as file:  # noqa: PTH123  (a descriptor)
            file.write(content)
        for path in (data, manifest):
            path.chmod(mode)
            sync_file(path)
        sync_directory(data.parent)


def is_prepared(data: Path, manifest: Path, *, begun: bool) -> bool:
    """Whether the hidden names are there as `prepare` left them, or as a `publish` that has begun did.

    False means that somebody else removed them. The file's own name goes first, so a manifest that
    is missing beside it was never renamed.
    """
    with folder_errors(data.parent):
        there = [os.path.lexists(path) for path in (data, manifest)]
    return there == [True, True] or (begun and not there[0])


def publish(data: Path, manifest: Path, target: Path) -> None:
    """Rename the file, then the manifest; what was renamed before a crash is taken as it is.

    Raises NameTaken, FileGone, and as `folder_errors`.
    """
    with folder_errors(target.parent):
        if os.path.lexists(data):
            _rename(data, target)
        elif os.path.lexists(manifest) and not os.path.lexists(target):
            raise FileGone(f"{target.name} was taken away before its manifest was written")
        if os.path.lexists(manifest):
            _signal(manifest, target)


def _signal(manifest: Path, target: Path) -> None:
    """The manifest, once its file is out; a foreign one in its place must not make the file go twice."""
    beside = target.with_name(target.name + MANIFEST)
    try:
        _rename(manifest, beside)
    except NameTaken as error:
        raise FileGone(f"{beside.name} is there, and is not ours") from error


def _rename(source: Path, target: Path) -> None:
    try:
        rename_without_overwriting(source, target)
    except FileExistsError as error:
        raise NameTaken(f"{target} is there already") from error
    sync_directory(target.parent)
    if source.parent != target.parent:
        sync_directory(source.parent)


def discard(paths: Iterable[Path]) -> None:
    """Remove files of ours that are of no use; what can't be removed now is swept later."""
    for path in paths:
        with suppress(OSError):
            path.unlink()


def sweep(outbox: Path, keep: Iterable[str]) -> None:
    """Remove what earlier processes left under hidden names, but for `keep`."""
    kept = set(keep)
    with suppress(OSError), os.scandir(outbox) as listing:
        left = [Path(x.path) for x in listing if x.name.startswith(TEMPORARY)]
        discard(path for path in left if path.name not in kept)


def companion(target: Path) -> Found | None:
    """What the ERP says of a file: `.nack` goes before `.ack`. Raises FolderTrouble.

    One that only its owner may read stops nobody else's work; that it is empty shows all the same.
    """
    with folder_errors(target.parent):
        for suffix in (NACK, ACK):
            try:
                text = _read(target.with_name(target.name + suffix))
            except (FileNotFoundError, NotRegular):
                continue
            return Found(suffix.removeprefix("."), text)
    return None


def _read(path: Path) -> str | None:
    try:
        descriptor = open_regular(path)
    except PermissionError:
        found = path.lstat()
        return "" if stat.S_ISREG(found.st_mode) and not found.st_size else None
    try:
        return os.read(descriptor, LONGEST_ACK).decode("utf-8", "replace").strip("\ufeff \t\r\n\0")
    finally:
        os.close(descriptor)


def digest(content: bytes) -> str:
    """The SHA-256 of a manifest."""
    return hashlib.sha256(content).hexdigest()
