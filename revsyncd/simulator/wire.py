"""One connection: HTTP/1.1 by h11 over a plain non-blocking socket.

The socket is our own, not a stream of the event loop's: such a stream reads ahead and ends with an
orderly FIN, while here it must be certain that unread bytes stay unread and that a reset is a reset.
"""

import select
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Iterable

import anyio
import anyio.lowlevel
import h11

Headers = list[tuple[str, str]]

_READ = 65_536
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, no time
_LINGER = 2.0  # seconds in which a client may still take its answer
_LOOK = 0.02  # seconds between looks at a client that is made to wait


class Gone(Exception):
    """The client left, or said nothing for too long."""


def _is_unframed(status: int, headers: Headers) -> bool:
    names = {name.lower() for name, _ in headers}
    return status == 200 and not names & {"content-length", "transfer-encoding"}  # noqa: PLR2004  (HTTP)


def _head(status: int, headers: Headers) -> bytes:
    """By hand: h11 would put the chunked framing in."""
    lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


class Wire:
    """A client's connection; every wait on it ends after `patience` seconds."""

    def __init__(self, sock: socket.socket, patience: float) -> None:
        """Take over a connected socket."""
        sock.setblocking(False)  # noqa: FBT003  (the library's signature)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._patience = patience
        self._http = h11.Connection(h11.SERVER)

    async def request(self) -> h11.Request | None:
        """The next request's head; None when there will be none. h11.RemoteProtocolError for garbage."""
        if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
        if self._http.our_state is not h11.IDLE:
            return None
        event = await self._event()
        return event if isinstance(event, h11.Request) else None

    async def body(self) -> AsyncIterator[bytes]:
        """The body in portions; ends only when the body is complete, raises Gone when it is cut."""
        if self._http.they_are_waiting_for_100_continue:
            await self._send(
                self._http.send(h11.InformationalResponse(status_code=100, headers=[]))
            )
        while True:
            try:
                event = await self._event()
            except h11.RemoteProtocolError as error:
                raise Gone from error
            if isinstance(event, h11.EndOfMessage):
                return
            if not isinstance(event, h11.Data):
                raise Gone
            yield bytes(event.data)

    async def answer(self, status: int, headers: Headers, portions: Iterable[bytes]) -> None:
        """Send a complete answer; without Content-Length or chunks the connection's end is its end."""
        if _is_unframed(status, headers):
            for portion in (_head(status, headers), *portions):
                await self._send(portion)
            return
        await self._send(self._http.send(h11.Response(status_code=status, headers=headers)))
        for portion in portions:
            await self._send(self._http.send(h11.Data(data=portion)))
        await self._send(self._http.send(h11.EndOfMessage()))

    async def begin_answer(self, status: int, headers: Headers, body: bytes, length: int) -> None:
        """Send an answer's head and the first `length` bytes of its body, or half a head without one."""
        if _is_unframed(status, headers):
            head = _head(status, headers)
        else:
            head = self._http.send(h11.Response(status_code=status, headers=headers)) or b""
        if body and ("Transfer-Encoding", "chunked") in headers:
            body, length = b"%x\r\n%s\r\n" % (length, body[:length]), len(body)
        await self._send(head + body[:length] if body else head[: len(head) // 2])

    async def client_left(self) -> None:
        """Return when the client has left, whether or not its last bytes were read."""
        poll = select.poll()
        poll.register(self._sock, select.POLLRDHUP)
        while not poll.poll(0):  # noqa: ASYNC110  (no event loop tells of a hang-up behind unread bytes)
            await anyio.sleep(_LOOK)

    async def finish(self) -> None:
        """End in order: our side first, then wait a moment, reading nothing of value, for theirs."""
        try:
            self._sock.shutdown(socket.SHUT_WR)
            with anyio.move_on_after(_LINGER):
                while await self._receive():
                    pass
        except (OSError, Gone):
            pass
        self.close()

    def reset(self) -> None:
        """End with a TCP reset; what was not read or sent is lost."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()

    def close(self) -> None:
        """Give the socket back; more than once is harmless."""
        self._sock.close()

    async def _event(self) -> object:
        """The next event from the client."""
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._http.receive_data(await self._receive())

    async def _receive(self) -> bytes:
        """Some bytes, b"" at the client's end."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                return self._sock.recv(_READ)
            except BlockingIOError:
                await self._wait(anyio.wait_readable(self._sock))
            except OSError as error:
                raise Gone from error

    async def _send(self, data: bytes | None) -> None:
        """Send everything."""
        rest = memoryview(data or b"")
        while rest:
            try:
                rest = rest[self._sock.send(rest) :]
            except BlockingIOError:
                await self._wait(anyio.wait_writable(self._sock))
            except OSError as error:
                raise Gone from error

    async def _wait(self, ready: Awaitable[None]) -> None:
        with anyio.move_on_after(self._patience) as waiting:
            await ready
        if waiting.cancelled_caught:
            raise Gone
