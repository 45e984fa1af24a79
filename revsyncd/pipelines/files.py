"""The blocking work on files, off the event loop, as the pipelines call it."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from anyio import to_thread

from revsyncd.adapters import inbox, shelves
from revsyncd.adapters.check_process import ProcessChecker
from revsyncd.adapters.disk import folder_errors, make_directory, open_regular, sync_directory
from revsyncd.checks.contract import CheckJob, CheckResult, Dialect
from revsyncd.core.drop import Drop
from revsyncd.core.places import FolderPlaces, Sidecar, with_drop_id

T = TypeVar("T")

SMALL = 1 << 20  # bytes: what a manifest or an acknowledgement may have
Ranges = tuple[tuple[int, int], ...]


async def off_loop(work: Callable[..., T], *args: object, **kwargs: object) -> T:
    """Run blocking work in a thread; a cancellation waits for its end, so nothing is half done."""
    return await to_thread.run_sync(partial(work, *args, **kwargs))


class Files:
    """Checks, claims and sidecars of one instance. `line_ids` lie in the state directory."""

    def __init__(self, state_dir: Path, checker: ProcessChecker) -> None:
        """`state_dir` exists."""
        self._line_ids = state_dir / "line_ids"
        self.checker = checker

    def line_ids(self, drop: str) -> Path:
        """Where the index of a drop's line ids is kept."""
        return self._line_ids / drop

    async def identity(self, path: Path) -> tuple[int, ...]:
        """Size, mtime and inode. Raises FileNotFoundError."""
        entry = await off_loop(inbox.entry_at, path)
        return (entry.size, entry.mtime_ns, entry.inode)

    async def both_there(self, one: Path, other: Path) -> bool:
        """Whether something lies at each of two paths."""
        return await off_loop(lambda: os.path.lexists(one) and os.path.lexists(other))

    async def sha256(self, path: Path) -> str:
        """The digest of a regular file, in hex. Raises NotRegular, OSError."""
        return await off_loop(_sha256, path)

    async def read_small(self, path: Path) -> bytes:
        """A small regular file's content, cut at 1 MiB."""
        return await off_loop(_read_small, path)

    async def empty_directory(self, path: Path) -> Path:
        """A fresh private directory at `path`, whatever was there."""
        with folder_errors(self._line_ids):
            await off_loop(self._line_ids.mkdir, mode=0o700, exist_ok=True)
        with folder_errors(path):
            return await off_loop(_fresh, path)

    async def check(self, job: CheckJob) -> CheckResult:
        """Run the checks outside the event loop. Raises CheckFailed, NoSpace, OSError."""
        return await self.checker.check(job)

    def known_keys(self, drop: str) -> Path:
        """Where keys of earlier or of this drop stand while they are needed."""
        return self._line_ids.with_name(f"keys-{drop}")

    async def keys_of(
        self, path: Path, dialect: Dialect, labels: tuple[str, ...], ranges: Ranges, out: Path
    ) -> int:
        """Write the file of keys of these records. Raises CheckFailed, NoSpace, OSError."""
        return await self.checker.keys_of(path, dialect, labels, ranges, out)

    async def make_work(self, path: Path) -> None:
        """A drop's work directory, when it comes back from a shelf."""
        await off_loop(make_directory, path, 0o700)

    async def publish(self, path: Path, data: bytes) -> None:
        """Let one of our own files appear whole, replacing the one before."""
        await off_loop(shelves.publish, path, data, overwrite=True)

    async def publish_records(
        self, source: Path, dialect: Dialect, ranges: Ranges, target: Path, scratch: Path
    ) -> None:
        """Publish the header and these records of `source`, byte for byte, as `target`."""
        await off_loop(scratch.mkdir, mode=0o700, exist_ok=True)
        cut = scratch / "selected"
        await off_loop(cut.unlink, missing_ok=True)  # what a killed process left
        await self.checker.select(source, dialect, ranges, cut)
        await off_loop(_publish_file, cut, target)
        with suppress(OSError):  # the prepared parts may still be needed
            await off_loop(scratch.rmdir)

    async def remove_sidecar(self, path: Path) -> None:
        """A sidecar that holds no longer."""
        await off_loop(path.unlink, missing_ok=True)

    async def reserve(self, day: Path, drop: Drop) -> Path:
        """Choose a free name in a date folder, and make the folder.

        A name that another file's sidecar may have (a correction is often dropped under it) always
        gets the drop id: when that sidecar is written anew or removed, the drop must not go with it.
        """
        like_a_sidecar = drop.file.endswith(tuple(Sidecar))
        name = with_drop_id(drop.file, drop.drop) if like_a_sidecar else drop.file
        return await off_loop(shelves.reserve, day, name, drop.drop, drop.companion)

    async def shelve(self, source: Path, target: Path, drop: str, companion: Path | None) -> None:
        """Move a file with its companion. Raises FileExistsError, FileLost."""
        await off_loop(shelves.shelve, source, target, drop, companion)

    async def remove_work(self, places: FolderPlaces, drop: str) -> None:
        """Remove what was prepared for a drop."""
        await off_loop(shelves.remove_work, places, drop)

    async def remove_sidecars(self, beside: Path, drop: str) -> None:
        """Remove, durably, the sidecars of a file that went elsewhere, where they were written anew.

        A report that came back with a power loss would contradict the one that holds.
        """
        for sidecar in Sidecar:
            await self.remove_sidecar(shelves.sidecar_path(beside, sidecar, drop))
        with suppress(FileNotFoundError):  # its date folder was taken away
            await off_loop(sync_directory, beside.parent)


def _fresh(path: Path) -> Path:
    if path.exists():
        for old in path.iterdir():
            old.unlink()
    make_directory(path, 0o700)
    return path


def _read_small(path: Path) -> bytes:
    with open(open_regular(path), "rb") as file:  # noqa: PTH123  (a descriptor)
        return file.read(SMALL)


def _sha256(path: Path) -> str:
    with open(open_regular(path), "rb") as file:  # noqa: PTH123  (a descriptor)
        return hashlib.file_digest(file, "sha256").hexdigest()


def _publish_file(source: Path, target: Path) -> None:
    with source.open("rb") as file:
        shelves.publish(target, iter(partial(file.read, 1 << 16), b""), overwrite=True)
    source.unlink()
