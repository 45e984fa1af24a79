"""An upload's body: streamed from disk, its last chunk withheld until the ledger knows that it goes."""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import anyio.to_thread

from revsyncd.core.errors import NoSpace
from revsyncd.core.verdict import Route
from revsyncd.ports import Damaged, Release, Upload

WHOLE = 1 << 20  # bytes; smaller parts are read in one go
BLOCK = 1 << 18
_DISK_FAILS = (errno.EIO, errno.ENOSPC, errno.EROFS, errno.ESTALE, errno.EMFILE, errno.ENFILE)

Gate = Callable[[], Awaitable[None]]  # raises when the last chunk may not go


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around a part's own bytes in the body, and the body's content type."""

    content_type: str
    head: bytes = b""
    foot: bytes = b""

    @classmethod
    def of(cls, route: Route, file_name: str) -> Self:
        """A multipart form with one named part `file`, or the plain text of csv/upload."""
        if route is Route.CSV:
            return cls("text/plain; charset=utf-8")
        boundary = f"revsyncd-{secrets.token_hex(16)}"
        head = (
            f"--{boundary}\r\n"
            f'Content-Disposition: form-data; name="file"; filename="{file_name}"\r\n'
            f"Content-Type: text/csv\r\n\r\n"
        )
        content_type = f"multipart/form-data; boundary={boundary}"
        return cls(content_type, head.encode("ascii"), f"\r\n--{boundary}--\r\n".encode("ascii"))


class WithheldBody:
    """The bytes of one upload, in order; the last chunk leaves only after `release` has returned.

    The last chunk begins inside the last record and ends with the closing boundary. Before it,
    the bytes read must be those that were recorded, and `gate` must let it pass.
    """

    def __init__(self, upload: Upload, frame: Frame, gate: Gate, release: Release) -> None:
        """`gate` is awaited just before `release`; what either raises is kept as `failure`."""
        if not 0 < upload.cut < upload.size:
            raise ValueError(f"the last chunk can't begin at {upload.cut} of {upload.size} bytes")
        self.released = False
        self.failure: BaseException | None = None
        self.length = len(frame.head) + upload.size + len(frame.foot)
        self.on_released: Callable[[], None] | None = None
        self._upload = upload
        self._frame = frame
        self._gate = gate
        self._release = release
        self._digest = hashlib.sha256()
        self._descriptor = -1
        self._tail = b""
        self._chunks = self._generate()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._chunks)

    async def aclose(self) -> None:
        """Let go of the file, also where the sending was abandoned in the middle."""
        await self._chunks.aclose()

    async def _generate(self) -> AsyncGenerator[bytes, None]:
        try:
            block = await self._read(self._open)
            yield self._frame.head + block
            sent = len(block)
            while sent < self._upload.cut:
                block = await self._read(partial(self._block, sent))
                yield block
                sent += len(block)
            self._prove_unchanged()
            await self._pass(self._gate)
            await self._pass(self._release)
            self.released = True
            if self.on_released is not None:
                self.on_released()
            yield self._tail + self._frame.foot
        finally:
            if self._descriptor >= 0:
                os.close(self._descriptor)

    async def _pass(self, ask: Callable[[], Awaitable[None]]) -> None:
        try:
            await ask()
        except Exception as error:
            self.failure = error
            raise

    async def _read(self, read: Callable[[], bytes]) -> bytes:
        try:
            return await anyio.to_thread.run_sync(read)
        except OSError as error:
            self.failure = _unreadable(self._upload, error)
            raise self.failure from error

    def _open(self) -> bytes:
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        self._descriptor = os.open(self._upload.path, flags)
        self._prove_size()
        self._tail = self._exactly(self._upload.size - self._upload.cut, self._upload.cut)
        return self._block(0)

    def _block(self, at: int) -> bytes:
        rest = self._upload.cut - at
        block = self._exactly(rest if rest <= WHOLE else BLOCK, at)
        self._digest.update(block)
        return block

    def _exactly(self, count: int, at: int) -> bytes:
        """`count` bytes of the part from `at` on: of its head first, then of the file."""
        head = self._upload.head[at : at + count]
        begin = self._upload.offset + max(0, at - len(self._upload.head))
        return head + _exactly(self._descriptor, count - len(head), begin)

    def _prove_size(self) -> None:
        found = os.fstat(self._descriptor)
        recorded = self._upload.size if self._upload.file_size is None else self._upload.file_size
        if not stat.S_ISREG(found.st_mode) or found.st_size != recorded:
            self._refuse("its size is not the recorded one")

    def _prove_unchanged(self) -> None:
        self._prove_size()
        self._digest.update(self._tail)
        if self._digest.hexdigest() != self._upload.sha256:
            self._refuse("its SHA-256 is not the recorded one")

    def _refuse(self, why: str) -> None:
        self.failure = Damaged(f"{self._upload.file_name} was changed on disk: {why}")
        raise self.failure


def _exactly(descriptor: int, count: int, at: int) -> bytes:
    """Read `count` bytes at offset `at`; fewer only where the file has become shorter."""
    block = os.pread(descriptor, count, at)
    while len(block) < count and (
        more := os.pread(descriptor, count - len(block), at + len(block))
    ):
        block += more
    if len(block) < count:
        raise OSError(errno.ENODATA, "the file became shorter")
    return block


def _unreadable(upload: Upload, error: OSError) -> Damaged | NoSpace:
    told = f"{upload.file_name} can't be read: {error.strerror or error}"
    if error.errno in _DISK_FAILS:
        return NoSpace(told, hint="look at the disk that holds root, and at its file system's log")
    return Damaged(told)
