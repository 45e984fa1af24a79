"""A file that is being downloaded: bounded, appended to off the event loop, cut back where needed."""

import os
from collections.abc import AsyncIterator, Callable
from functools import partial as bound
from pathlib import Path
from typing import Self, TypeVar

from anyio import to_thread

from revsyncd.core.errors import TooLarge

T = TypeVar("T")

_BLOCK = 1 << 20  # bytes written at a time


async def off_loop(work: Callable[..., T], *args: object) -> T:
    """Run blocking work in a thread; a cancellation waits for its end."""
    return await to_thread.run_sync(bound(work, *args))


class Partial:
    """The new file at `path`. Raises TooLarge beyond `most` bytes, and OSError."""

    def __init__(self, path: Path, most: int) -> None:
        """Nothing is there yet; one of the same name, left by an earlier try, is emptied."""
        self.size = 0
        self._path = path
        self._most = most
        self._file = -1

    async def __aenter__(self) -> Self:
        """Open it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = await off_loop(os.open, self._path, flags, 0o600)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        os.close(self._file)

    async def take(self, portions: AsyncIterator[bytes]) -> None:
        """Append what comes; what came before a cut is kept."""
        block = bytearray()
        try:
            async for portion in portions:
                block += portion
                if self.size + len(block) > self._most:
                    raise TooLarge(f"the download has more than {self._most:,} bytes")
                if len(block) >= _BLOCK:
                    await self._append(bytes(block))
                    block.clear()
        finally:
            if block and self.size + len(block) <= self._most:
                await self._append(bytes(block))

    async def _append(self, block: bytes) -> None:
        await off_loop(self._write, block)
        self.size += len(block)

    def _write(self, block: bytes) -> None:
        at, rest = self.size, memoryview(block)
        while rest:
            written = os.pwrite(self._file, rest, at)
            at, rest = at + written, rest[written:]

    async def last(self, count: int) -> bytes:
        """The last `count` bytes, or as many as there are."""
        length = min(count, self.size)
        return await off_loop(os.pread, self._file, length, self.size - length)

    async def cut_to(self, size: int) -> None:
        """Keep only the first `size` bytes."""
        await off_loop(os.ftruncate, self._file, size)
        self.size = size
