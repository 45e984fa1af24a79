"""Every call but uploads: the only module that knows httpx.

Nothing is taken from the environment, no redirect is followed (it would hand the token to another
host), and an answer's body is read up to a limit, or streamed.

Signed URLs have a client of their own, which never had a header of ours. Such a URL is a secret as a
whole: it stands in no message and no repr, and no exception that knows it is passed on.
"""

import logging
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import httpx

from revsyncd.adapters.revenue_api.causes import connect_cause, in_words
from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.core.answers import Answer, Cause
from revsyncd.core.errors import ConfigError, NotTrusted, Unreachable
from revsyncd.core.pace import http_date
from revsyncd.core.verdict import NEEDS_TRUST
from revsyncd.ports import Clock

SMALL = 1 << 20  # bytes of an answer that are read
LARGE = 64 << 20
_PORTION = 1 << 16  # bytes of a stream at a time
_LONGEST = 10  # times read_timeout: how long a whole answer may take
_LIMITS = httpx.Limits(max_connections=4, max_keepalive_connections=2, keepalive_expiry=30)

NEEDS_NETWORK = "check the network, the proxy and base_url; it is tried again by itself"


@dataclass(frozen=True, slots=True)
class Call:
    """One call: headers may hold secrets, so they show in no repr."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    params: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] | None = field(default=None, repr=False)
    limit: int = SMALL

    @property
    def name(self) -> str:
        """The call for people: method and path, without host, query and secrets."""
        return f"{self.method} {httpx.URL(self.url).path}"


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body is still to come, as the bytes on the wire, not unpacked."""

    status: int
    headers: Mapping[str, str]  # lower-case names
    portions: AsyncIterator[bytes]  # raises Unreachable when it is cut

    @property
    def length(self) -> int | None:
        """How many bytes the body has, where the head says it."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdecimal() else None

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people: maintenance, a gateway's error, whatever the status."""
        return "html" in self.headers.get("content-type", "").lower()

    @property
    def framed(self) -> bool:
        """Whether a cut shows: the length is said, or the body comes in chunks."""
        chunked = "chunked" in self.headers.get("transfer-encoding", "").lower()
        return chunked or self.length is not None


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """An address that is a secret as a whole."""

    text: str = field(repr=False)


def trust(ca_file: str) -> ssl.SSLContext:
    """The certificates that are trusted; verification can not be switched off. Raises ConfigError."""
    context = httpx.create_ssl_context(trust_env=False)
    if ca_file:
        try:
            context.load_verify_locations(cafile=ca_file)
        except OSError as error:  # ssl.SSLError is one
            told = f"tenant.ca_file: {ca_file} holds no certificates that can be read ({in_words(error)})"
            raise ConfigError([f"{told}; name a PEM file"]) from error
    return context


class Transport:
    """A small pool of connections to the tenant."""

    def __init__(self, settings: ApiSettings, trusted: ssl.SSLContext, clock: Clock) -> None:
        """Make the pool; it connects when it is first used."""
        for name in ("httpx", "httpcore"):  # they log addresses, and at DEBUG headers with tokens
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock = clock
        self.clock_off: float | None = None  # seconds; by the Date of the last answer that had one
        self._longest = _LONGEST * settings.read_timeout
        self._client = _client(settings, trusted)
        self._outside = _client(settings, trusted)

    async def call(self, call: Call) -> Answer:
        """Make one call and read its answer, whatever its status.

        Raises Unreachable when none comes and NotTrusted when the handshake fails.
        """
        try:
            with anyio.fail_after(self._longest):
                return await self._call(call)
        except httpx.ConnectError as error:
            raise _not_connected(call, error) from error
        except (httpx.HTTPError, ssl.SSLError, OSError) as error:  # TimeoutError is an OSError
            told = in_words(error)
            raise Unreachable(f"{call.name}: no answer ({told})", hint=NEEDS_NETWORK) from error

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()
        await self._outside.aclose()

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        """Make one call and give its answer before its body. Raises as `call` does."""
        try:
            response = await self._client.send(self._request(call), stream=True)
        except httpx.ConnectError as error:
            raise _not_connected(call, error) from error
        except _NETWORK as error:
            told = in_words(error)
            raise Unreachable(f"{call.name}: no answer ({told})", hint=NEEDS_NETWORK) from error
        try:
            yield _streamed(response, call.name)
        finally:
            await response.aclose()

    @asynccontextmanager
    async def outside(self, url: SignedUrl, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
        """GET a signed URL with nothing of ours but `headers`. Raises Unreachable, its words harmless."""
        name = "the signed URL's host"
        try:
            request = self._outside.build_request("GET", url.text, headers=dict(headers))
            response = await self._outside.send(request, stream=True)
        except (*_NETWORK, httpx.InvalidURL, ValueError) as error:
            cause = connect_cause(error).value if isinstance(error, httpx.ConnectError) else ""
            told = f"{name}: {cause or 'no answer'} ({type(error).__name__})"
            raise Unreachable(told, hint=NEEDS_NETWORK) from None
        try:
            yield _streamed(response, name)
        finally:
            await response.aclose()

    async def _call(self, call: Call) -> Answer:
        response = await self._client.send(self._request(call), stream=True)
        try:
            body, complete = await _content(response, call.limit)
        finally:
            await response.aclose()
        now, headers = self._clock.now(), _folded(response)
        theirs = http_date(headers.get("date", ""))
        if theirs is not None:
            self.clock_off = now - theirs
        return Answer(response.status_code, headers, body, complete, now)

    def _request(self, call: Call) -> httpx.Request:
        headers = [(name.encode(), value.encode()) for name, value in call.headers.items()]
        return self._client.build_request(
            call.method, call.url, headers=headers, params=call.params, data=call.form
        )


# TimeoutError is an OSError; InvalidURL and the like are no HTTPError.
_NETWORK = (httpx.HTTPError, httpx.StreamError, ssl.SSLError, OSError)


def _client(settings: ApiSettings, trusted: ssl.SSLContext) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=trusted,
        trust_env=False,
        follow_redirects=False,
        http2=False,
        proxy=settings.proxy or None,
        limits=_LIMITS,
        timeout=httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout),
    )


def _folded(response: httpx.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.items()}


def _streamed(response: httpx.Response, name: str) -> Stream:
    return Stream(response.status_code, _folded(response), _portions(response, name))


async def _portions(response: httpx.Response, name: str) -> AsyncIterator[bytes]:
    try:
        async for portion in response.aiter_raw(_PORTION):
            yield portion
    except _NETWORK as error:
        told = f"{name}: the download was cut ({type(error).__name__})"
        raise Unreachable(told, hint=NEEDS_NETWORK) from None


async def _content(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    content = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > limit:
                return bytes(content[:limit]), False
    except (httpx.RemoteProtocolError, httpx.ReadError, httpx.DecodingError):
        return bytes(content), False
    return bytes(content), True


def _not_connected(call: Call, error: httpx.ConnectError) -> NotTrusted | Unreachable:
    cause, told = connect_cause(error), in_words(error)
    if cause is Cause.TLS:
        return NotTrusted(f"{call.name}: {cause.value} ({told})", hint=NEEDS_TRUST)
    return Unreachable(f"{call.name}: {cause.value} ({told})", hint=NEEDS_NETWORK)
