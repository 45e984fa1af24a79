"""One upload over one fresh connection: the only module that knows httpcore.

httpcore is used directly because only below it can two things be seen that decide what a lost
answer means: whether the tenant has answered before the body was complete, and whether the
connection still stands when the last chunk is about to go. A write error makes httpcore read the
answer that came early, so that is how this module tells it to stop sending.
"""

import socket
import ssl
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import anyio
import httpcore

from revsyncd.adapters.revenue_api.body import WithheldBody
from revsyncd.adapters.revenue_api.causes import connect_cause, in_words
from revsyncd.adapters.revenue_api.early import EarlyAnswer
from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.core.answers import Answer, Cause, NoAnswer
from revsyncd.ports import Clock

ANSWER_LIMIT = 1 << 20  # bytes of an upload's answer that are read
_READ = 1 << 16
_QUIET = 0.2  # seconds without another byte after which an early answer is taken as it is
_LOOK = 0.005  # seconds; long enough to take what lies ready
_ESTABLISHED = 1  # TCP_ESTABLISHED of <netinet/tcp.h>, first byte of TCP_INFO

Headers = Sequence[tuple[bytes, bytes]]

_CAUSES: tuple[tuple[type[Exception], Cause], ...] = (
    (httpcore.ProxyError, Cause.PROXY),
    (httpcore.TimeoutException, Cause.TIMEOUT),
    (httpcore.RemoteProtocolError, Cause.GARBAGE),
    (httpcore.ReadError, Cause.RESET),
    (httpcore.WriteError, Cause.RESET),
    (ssl.SSLError, Cause.RESET),  # after the handshake: a damaged stream
    (OSError, Cause.RESET),
    (anyio.BrokenResourceError, Cause.RESET),
    (anyio.ClosedResourceError, Cause.RESET),
)
_FOREIGN: tuple[type[Exception], ...] = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
    *(kind for kind, _ in _CAUSES),
)


class Line(httpcore.AsyncNetworkBackend):
    """Makes the connection of one upload and watches it."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()
        self.stream: WatchedStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore's signature)
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect, and keep hold of the stream."""
        stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        self.stream = WatchedStream(stream, self)
        return self.stream

    async def ready(self) -> None:
        """Return when the last chunk can go: no answer has come and the connection stands."""
        if self.stream is None or await self.stream.is_over():
            raise httpcore.WriteError("the tenant answered or left before the last chunk")


class WatchedStream(httpcore.AsyncNetworkStream):
    """A connection that notices an answer while it still sends."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, line: Line) -> None:
        self._inner = inner
        self._line = line
        self._early = EarlyAnswer()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read what came early first, then from the connection."""
        if self._early.pending:
            return self._early.take(max_bytes)
        return b"" if self._early.ended else await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Send all of `buffer`, unless an answer comes first."""
        if not buffer:
            return
        await self._look()
        failure = None if self._early.came else await self._send(buffer, timeout)
        if self._early.came:
            raise httpcore.WriteError("answered before the body was complete")
        if failure is not None:
            raise failure

    async def is_over(self) -> bool:
        """Whether an answer came, or the connection is no longer established."""
        await self._look()
        return self._early.came or not _established(self._inner.get_extra_info("socket"))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands, and watch the stream inside."""
        stream = await self._inner.start_tls(ssl_context, server_hostname, timeout)
        self._line.stream = WatchedStream(stream, self._line)
        return self._line.stream

    def get_extra_info(self, info: str) -> Any:
        """What the connection below knows."""
        return self._inner.get_extra_info(info)

    async def _send(self, buffer: bytes, timeout: float | None) -> Exception | None:  # noqa: ASYNC109
        """Send and listen at once: a tenant that has answered may never read on."""
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen, tasks.cancel_scope)
            try:
                await self._inner.write(buffer, timeout)
            except (httpcore.NetworkError, httpcore.TimeoutException, ssl.SSLError) as error:
                failure = error
            tasks.cancel_scope.cancel()
        return failure

    async def _listen(self, sending: anyio.CancelScope) -> None:
        while not self._early.came:
            await self._take()
        # Over TLS an abandoned write breaks the stream for reading too: take all of it before.
        more = True
        while more and not self._early.ended:
            before = self._early.size
            with anyio.move_on_after(_QUIET):
                await self._take()
            more = self._early.size > before
        sending.cancel()

    async def _look(self) -> None:
        """Take what lies ready. Readable alone means nothing: TLS 1.3 tickets lie there too."""
        while not self._early.came and self._inner.get_extra_info("is_readable"):
            with anyio.move_on_after(_LOOK):
                await self._take()

    async def _take(self) -> None:
        try:
            self._early.add(await self._inner.read(_READ, None))
        except (httpcore.NetworkError, ssl.SSLError):
            self._early.add(b"")


class Wire:
    """Sends uploads, each over a connection of its own, without redirects, retries or environment."""

    def __init__(self, settings: ApiSettings, trust: ssl.SSLContext, clock: Clock) -> None:
        self._settings = settings
        self._trust = trust
        self._clock = clock
        self._proxy = _proxy(settings.proxy) if settings.proxy else None

    async def post(
        self, line: Line, url: str, headers: Headers, body: WithheldBody
    ) -> Answer | NoAnswer:
        """Send one upload; what the network does becomes a value, what `body` raised is raised."""
        try:
            with anyio.CancelScope() as patience:
                # Bytes that trickle in would outlast every time-out between two of them.
                body.on_released = lambda: _limit(patience, self._settings.upload_timeout)
                return await self._exchange(line, url, headers, body)
            return NoAnswer(Cause.TIMEOUT)
        except _FOREIGN as error:
            if body.failure is error:
                raise
            return NoAnswer(_cause(error), in_words(error))
        finally:
            await body.aclose()

    async def _exchange(
        self, line: Line, url: str, headers: Headers, body: WithheldBody
    ) -> Answer | NoAnswer:
        pool = httpcore.AsyncConnectionPool(
            ssl_context=self._trust, proxy=self._proxy, max_connections=1, network_backend=line
        )
        async with (
            pool,
            pool.stream(
                "POST", url, headers=headers, content=body, extensions={"timeout": self._timeouts()}
            ) as response,
        ):
            content, complete = await self._content(response)
            return Answer(
                response.status, _folded(response.headers), content, complete, self._clock.now()
            )

    async def _content(self, response: httpcore.Response) -> tuple[bytes, bool]:
        """The answer's body, as far as it comes in time and within the limit."""
        content = bytearray()
        try:
            with anyio.fail_after(self._settings.read_timeout):
                async for chunk in response.aiter_stream():
                    content += chunk
                    if len(content) > ANSWER_LIMIT:
                        return bytes(content[:ANSWER_LIMIT]), False
        except _FOREIGN:  # TimeoutError is an OSError
            return bytes(content), False
        return bytes(content), True

    def _timeouts(self) -> dict[str, float]:
        settings = self._settings
        return {
            "connect": settings.connect_timeout,
            "write": settings.read_timeout,
            "read": settings.upload_timeout,
            "pool": settings.connect_timeout,
        }


def _limit(patience: anyio.CancelScope, seconds: float) -> None:
    patience.deadline = anyio.current_time() + 2 * seconds


def _cause(error: BaseException) -> Cause:
    if isinstance(error, httpcore.ConnectError):
        return connect_cause(error)
    if isinstance(error, httpcore.RemoteProtocolError) and "disconnected" in str(error):
        return Cause.CUT
    return next((cause for kind, cause in _CAUSES if isinstance(error, kind)), Cause.OTHER)


def _established(connection: socket.socket | None) -> bool:
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) if connection else b""
    except OSError:  # EBADF: closed already
        return False
    return info[:1] == bytes([_ESTABLISHED])


def _folded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}


def _proxy(address: str) -> httpcore.Proxy:
    parts = urlsplit(address)
    auth = None
    if parts.username is not None:
        auth = (unquote(parts.username).encode(), unquote(parts.password or "").encode())
    host = parts.netloc.rpartition("@")[2]
    return httpcore.Proxy(f"{parts.scheme}://{host}", auth=auth)
