"""One visit: a client connects, asks once and is answered, and the connection ends.

Every wait on the client has an end, and so have the bytes that are taken from it. Nothing is read
of a request's body: no path takes one.
"""

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import anyio
import anyio.lowlevel
import h11

from revsyncd.adapters.log import get_logger
from revsyncd.adapters.web.messages import Answer, Question, words

log = get_logger()

HEAD_PATIENCE = 10.0  # seconds for the whole head of a request, however it trickles in
ANSWER_PATIENCE = 30.0  # for taking the whole answer
_LINGER = 2.0  # for ending the connection, once the answer is sent
_LONGEST_HEAD = 16 * 1024  # bytes
_PORTION = 64 * 1024

Reply = Callable[[Question], Awaitable[Answer]]

# Nothing here is for other sites to embed, or for a cache to keep.
_ALWAYS = (
    ("Connection", "close"),
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class Gone(Exception):
    """The client left."""


class Visit:
    """A client's connection; it is closed when `attend` ends."""

    def __init__(self, client: socket.socket) -> None:
        """Take over a connected socket."""
        client.setblocking(False)  # noqa: FBT003  (the library's signature)
        self._client = client
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST_HEAD)
        self._scope = anyio.CancelScope()
        self.waits_for_client = True  # and not for us: it may be sent away

    def send_away(self) -> None:
        """End it now."""
        self._scope.cancel()

    async def attend(self, reply: Reply) -> None:
        """Hear one question and answer it; whatever the client does ends with this visit."""
        with self._client, self._scope, suppress(Gone, TimeoutError, h11.LocalProtocolError):
            with anyio.fail_after(HEAD_PATIENCE):
                heard = await self._heard()
            if isinstance(heard, Question):
                self.waits_for_client = False
                answer = await self._answered(heard, reply)
                self.waits_for_client = True
            else:
                answer = heard
            with anyio.fail_after(ANSWER_PATIENCE):
                await self._send(answer, head_only=heard_method(heard) == "HEAD")
            with anyio.fail_after(_LINGER):
                await self._end()

    def refuse(self) -> None:
        """Say that there is no room, as far as that can be said without waiting."""
        with self._client, suppress(OSError):
            self._client.send(_FULL)

    async def _heard(self) -> Question | Answer:
        """The question; the answer to what is none."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(await self._receive())
        except h11.RemoteProtocolError as error:
            return words(error.error_status_hint, f"this is no request: {error}")
        if not isinstance(event, h11.Request):
            raise Gone
        headers = {name.decode("ascii"): value.decode("latin-1") for name, value in event.headers}
        path = event.target.decode("ascii").partition("?")[0]
        return Question(event.method.decode("ascii"), path, headers)

    async def _answered(self, question: Question, reply: Reply) -> Answer:
        try:
            return await reply(question)
        except Exception:  # a fault of ours must not end the other visits, nor the service
            log.exception("service.traceback", service="http", path=question.path)
            return words(500, "a fault of revsyncd; its log has more")

    async def _send(self, answer: Answer, *, head_only: bool = False) -> None:
        headers = [
            ("Content-Type", answer.content_type),
            ("Content-Length", str(len(answer.body))),
            *_ALWAYS,
            *answer.headers,
        ]
        response = h11.Response(status_code=answer.status, headers=headers)
        await self._write(self._http.send(response))
        if not head_only:
            for at in range(0, len(answer.body), _PORTION):
                await self._write(self._http.send(h11.Data(answer.body[at : at + _PORTION])))

    async def _end(self) -> None:
        """Our side first; what the client still sends is thrown away, else the kernel resets it."""
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)
        while await self._receive():
            pass

    async def _receive(self) -> bytes:
        """Some bytes, b"" at the client's end."""
        await anyio.lowlevel.checkpoint()
        while True:
            try:
                return self._client.recv(_PORTION)
            except BlockingIOError:
                await anyio.wait_readable(self._client)
            except OSError as error:
                raise Gone from error

    async def _write(self, data: bytes | None) -> None:
        rest = memoryview(data or b"")
        while rest:
            try:
                rest = rest[self._client.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(self._client)
            except OSError as error:
                raise Gone from error


def heard_method(heard: Question | Answer) -> str:
    """The method of a question."""
    return heard.method if isinstance(heard, Question) else ""
