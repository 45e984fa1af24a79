"""A request's body on its way in: kept on disk, so that memory does not grow with it."""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_COPY = 1 << 20


class TooLarge(Exception):
    """The body is longer than it may be."""


class Body:
    """The bytes received so far; the file is made with the first of them."""

    def __init__(self, directory: Path, limit: int) -> None:
        """Keep at most `limit` bytes in an unnamed file in `directory`."""
        self._directory = directory
        self._limit = limit
        self._file: IO[bytes] | None = None
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Append; TooLarge beyond the limit."""
        self.size += len(chunk)
        if self.size > self._limit:
            raise TooLarge(f"the body is longer than {self._limit} bytes")
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._directory)  # noqa: SIM115  (closed by `discard`)
        self._file.write(chunk)

    def read(self, limit: int) -> bytes:
        """The whole body, for calls whose bodies are small; TooLarge beyond `limit` bytes."""
        if self.size > limit:
            raise TooLarge(f"the body is longer than {limit} bytes")
        with self.view() as data:
            return bytes(data)

    @contextmanager
    def view(self) -> Iterator[bytes | mmap.mmap]:
        """The whole body without reading it into memory."""
        if self._file is None:
            yield b""
            return
        self._file.flush()
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data

    def save(self, path: Path, start: int, end: int) -> str:
        """Write bytes `start` to `end` into a new file; their SHA-256. FileExistsError if it is there."""
        digest = hashlib.sha256()
        with self.view() as data, path.open("xb") as file:
            for at in range(start, end, _COPY):
                chunk = data[at : min(at + _COPY, end)]
                digest.update(chunk)
                file.write(chunk)
        return digest.hexdigest()

    def discard(self) -> None:
        """Forget the bytes."""
        if self._file is not None:
            self._file.close()


def last_number(directory: Path) -> int:
    """The largest number that names a file in the directory, 0 when there is none."""
    stems = (os.path.splitext(name)[0] for name in os.listdir(directory))  # noqa: PTH122, PTH208  (names only)
    return max((int(stem) for stem in stems if stem.isdecimal()), default=0)
