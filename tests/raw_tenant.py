"""A server below HTTP: each connection is handled by a script that may answer, stall, cut or reset."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Peer:
    """One connection from the server's side, and what it heard so far."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    method: str = ""
    target: str = ""
    headers: dict[str, bytes] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    finished: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def path(self) -> str:
        """The path without its query."""
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        """The decoded query."""
        return parse_qs(urlsplit(self.target).query)

    @property
    def length(self) -> int:
        """The Content-Length that the client announced."""
        return int(self.headers.get("content-length", b"0"))

    async def head(self) -> "Peer":
        """Read the request line and the headers."""
        raw = await self.reader.readuntil(b"\r\n\r\n")
        first, *lines = raw[:-4].split(b"\r\n")
        self.method, self.target, _ = first.decode().split(" ")
        pairs = (line.split(b": ", 1) for line in lines)
        self.headers = {name.decode().lower(): value for name, value in pairs}
        return self

    async def take(self, at_least: int) -> "Peer":
        """Read on until the body holds so many bytes."""
        while len(self.body) < at_least:
            data = await self.reader.read(1 << 16)
            if not data:
                raise ConnectionResetError("the client left")
            self.body += data
        return self

    async def all(self) -> "Peer":
        """Read the whole request."""
        await self.head()
        return await self.take(self.length)

    async def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(raw)
        await self.writer.drain()

    async def answer(self, status: int, body: Any = b"", **headers: str) -> None:
        """A whole answer; anything but bytes is sent as JSON. Underscores in names become hyphens."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode() + content)

    async def gone(self) -> None:
        """Wait until the client has closed its side, whatever it still sends."""
        while data := await self.reader.read(1 << 16):
            self.body += data

    def reset(self) -> None:
        """End the connection with a reset instead of a goodbye."""
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class RawTenant:
    """What the server heard: every connection in order."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[Peer] = []
        self.base_url = ""
        self.port = 0
        self.crashes: list[Exception] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Do to one connection what the script says."""
        peer = Peer(reader, writer)
        self.peers.append(peer)
        try:
            await self.script(peer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client left: many tests mean it to
        except Exception as error:  # told by the fixture: a test must not pass by a broken script
            self.crashes.append(error)
        finally:
            writer.close()
            peer.finished.set()

    def begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Start the script of a new connection."""
        task = asyncio.create_task(self.handle(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def end(self) -> None:
        """Stop all scripts and close all connections."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for peer in self.peers:
            peer.writer.transport.abort()
        for _ in range(3):  # transports say goodbye in later turns of the loop
            await asyncio.sleep(0)


@asynccontextmanager
async def raw_tenant(
    script: Script, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawTenant]:
    """Serve `script` on a free loopback port, with small buffers so that sending really blocks."""
    tenant = RawTenant(script)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(tenant.begin, sock=listener, limit=1 << 16, ssl=tls)
    tenant.port = listener.getsockname()[1]
    tenant.base_url = f"http{'s' if tls else ''}://localhost:{tenant.port}".replace(
        "localhost", "localhost" if tls else "127.0.0.1"
    )
    try:
        yield tenant
    finally:
        server.close()
        await tenant.end()
        assert tenant.crashes == []
