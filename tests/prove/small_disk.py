"""A mount namespace with small disks of its own, in which a daemon can be run and its disks be spoilt.

Needs `unshare` and `nsenter`, and leave to make namespaces; no privilege on the machine itself.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

_MAKE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-ec")
_BEGIN = 'eval "$0"; echo ready; exec cat'
_LEFT = 4096  # bytes, a page: what a file system hands out at once


class NoNamespace(Exception):
    """None can be made here."""


class SmallDisks:
    """`with` makes a tmpfs at each path, with these options (`size=1m,nr_inodes=200`)."""

    def __init__(self, disks: Mapping[Path, str]) -> None:
        """Nothing is mounted yet."""
        self._disks = disks
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Make them. Raises NoNamespace."""
        mounts = [f"mount -t tmpfs -o {how} tmpfs '{path}'" for path, how in self._disks.items()]
        try:
            self._holder = subprocess.Popen(
                [*_MAKE, _BEGIN, "; ".join(mounts)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError as error:
            raise NoNamespace("there is no unshare") from error
        assert self._holder.stdout is not None
        if self._holder.stdout.readline() != "ready\n":
            self._end()
            raise NoNamespace("no file system can be mounted in a namespace here")
        return self

    def __exit__(self, *_: object) -> None:
        """Let them vanish with all that is on them."""
        self._end()

    def _end(self) -> None:
        if self._holder is not None:
            with suppress(BrokenPipeError):
                self._holder.communicate(timeout=60)

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What runs a command among these disks."""
        assert self._holder is not None
        target = ("-t", str(self._holder.pid))
        return ("nsenter", *target, "-U", "-m", "--preserve-credentials", "--")

    def seen(self, path: Path) -> Path:
        """A path among these disks, from outside."""
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{path}")

    def run(self, *words: str | Path) -> None:
        """Run a command there that must succeed."""
        subprocess.run([*self.wrapper, *map(str, words)], check=True)

    def keep(self, path: Path) -> None:
        """Copy what is on a disk to the place below it, so that it is there when the disk is gone."""
        shutil.copytree(self.seen(path), path, dirs_exist_ok=True, symlinks=True)


def fill(directory: Path, left: int = 0) -> Path:
    """Fill a disk but for so many pages; returns the file to remove."""
    filler = directory / ".filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * _LEFT)
    os.truncate(filler, max(filler.stat().st_size - left * _LEFT, 0))
    return filler


def use_up_names(directory: Path) -> Path:
    """Take every inode of a disk; returns the directory to remove."""
    names = directory / ".names"
    names.mkdir()
    with suppress(OSError):
        for number in range(100_000):
            (names / str(number)).touch()
    return names
