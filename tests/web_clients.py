"""Clients that speak to the listener byte by byte, as no HTTP library would."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio import BrokenResourceError, EndOfStream
from anyio.abc import SocketStream

from revsyncd.adapters.web import Answer, Doorkeeper, Question, open_door, serve
from revsyncd.config import Listen

PATIENCE = 30.0  # seconds; only a hang ever waits so long
LOOPBACK = Listen("127.0.0.1", 0)
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"

Reply = Callable[[Question], Awaitable[Answer]]


async def hello(question: Question) -> Answer:
    """Answers with what was asked."""
    return Answer(200, f"{question.method} {question.path}".encode())


class Server:
    """A listener that runs; `connect` reaches it."""

    def __init__(self, door: socket.socket) -> None:
        self.place = door.getsockname()

    async def connect(self) -> SocketStream:
        """A connection of the test's own."""
        if isinstance(self.place, str):
            return await anyio.connect_unix(self.place)
        return await anyio.connect_tcp(*self.place[:2])

    async def ask(self, request: bytes) -> bytes:
        """Everything that comes back for these bytes, until the connection ends."""
        async with await self.connect() as client:
            with suppress(BrokenResourceError):  # it may have heard enough
                await client.send(request)
            return await everything(client)

    async def status(self, request: bytes) -> int:
        """The status of the answer."""
        return status_of(await self.ask(request))


async def everything(client: SocketStream) -> bytes:
    """All that the other side sends until it ends."""
    said = b""
    with anyio.fail_after(PATIENCE), suppress(EndOfStream, BrokenResourceError):
        while True:
            said += await client.receive()
    return said


def status_of(said: bytes) -> int:
    """The status in the first line of an answer."""
    assert said.startswith(b"HTTP/1.1 "), said
    return int(said.split(b" ", 2)[1])


def body_of(said: bytes) -> bytes:
    """What follows the head."""
    return said.partition(b"\r\n\r\n")[2]


@asynccontextmanager
async def serving(
    reply: Reply = hello,
    *,
    doorkeeper: Doorkeeper | None = None,
    listen: Listen = LOOPBACK,
    mode: int = 0o600,
) -> AsyncIterator[Server]:
    """A listener that answers with `reply` whom the doorkeeper lets in, everybody without one."""

    async def guarded(question: Question) -> Answer:
        refusal = doorkeeper.refusal(question) if doorkeeper else None
        return refusal or await reply(question)

    with open_door(listen, mode) as door:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve, door, guarded)
            yield Server(door)
            tasks.cancel_scope.cancel()


def at(path: Path) -> Listen:
    """A unix socket."""
    return Listen(path=path)
