"""A report behind a signed URL: fetched without credentials, resumed after a cut, renewed when it expires.

A resumed download asks for the last bytes once more and compares them: where they differ, or where
the host does not do ranges, all of it is fetched anew.
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import anyio

from revsyncd.adapters.partial import Partial
from revsyncd.adapters.revenue_api.transport import SignedUrl, Stream, Transport
from revsyncd.core.errors import NotServed, Unreachable
from revsyncd.core.pace import Pace
from revsyncd.ports import Download

OVERLAP = 4096  # bytes that a resumed download asks for again
TRIES = 8  # failures without a byte of progress between them
MOST_REFUSALS = 3  # of fresh addresses, one after the other
MOST_REQUESTS = 200  # for one download
MOST_REDIRECTS = 5
RETRIES = Pace(first=0.5, factor=2.0, most=30.0)
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)", re.IGNORECASE)
_REDIRECTS = (301, 302, 303, 307, 308)
_EXPIRED = (400, 401, 403, 410)  # what hosts say of a signature that is too old
_GONE = (404,)


class _Refused(Exception):
    """The host takes this URL no longer; carries the status."""


@dataclass(slots=True)
class _Known:
    """What earlier answers said of the report."""

    total: int | None = None  # bytes
    validator: str = ""  # a strong ETag


class ReportDownload:
    """One download. `renew` gives a signed URL, a fresh one each time. Raises as `ports.Journal`."""

    def __init__(
        self, transport: Transport, renew: Callable[[], Awaitable[SignedUrl]], most: int
    ) -> None:
        """Nothing is asked for yet."""
        self._transport = transport
        self._renew = renew
        self._most = most
        self._known = _Known()
        self._ranges = True  # until the host shows that it does none

    async def fetch(self, path: Path) -> Download:
        """Bring all of it to `path`."""
        url, failures, refusals = await self._fresh(), 0, 0
        async with Partial(path, self._most) as part:
            for _ in range(MOST_REQUESTS):
                before = part.size
                try:
                    return Download(part.size, await self._go_on(url, part))
                except _Refused as refused:
                    refusals = 1 if part.size > before else refusals + 1
                    if refusals >= MOST_REFUSALS:
                        raise _not_given(refused) from None
                    url = await self._fresh()
                except Unreachable:
                    refusals = 0
                    failures = 0 if part.size > before and self._ranges else failures + 1
                    if failures >= TRIES:
                        raise
                    await anyio.sleep(RETRIES.pause(max(failures, 1)))
        raise Unreachable("the signed URL's host cuts the download again and again")

    async def _fresh(self) -> SignedUrl:
        url = await self._renew()
        require_safe(url)
        return url

    async def _go_on(self, url: SignedUrl, part: Partial) -> bool:
        """One request; returns, once all has come, whether its framing proves it."""
        overlap = await part.last(OVERLAP) if self._ranges else b""
        headers = {"Accept-Encoding": "identity"}
        if overlap:
            headers["Range"] = f"bytes={part.size - len(overlap)}-"
            if self._known.validator:
                headers["If-Range"] = self._known.validator
        async with self._followed(url, headers) as stream:
            framed = stream.framed
            if stream.status == HTTPStatus.PARTIAL_CONTENT and overlap:
                await self._resume(stream, part, overlap)
            elif stream.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                await self._distrust(part)
            else:
                _require_ok(stream)
                await self._anew(stream, part, resuming=bool(overlap))
        if self._known.total not in (None, part.size):
            told = f"{part.size:,} of {self._known.total:,} bytes came"
            raise Unreachable(f"the signed URL's host: {told}")
        return framed

    async def _anew(self, stream: Stream, part: Partial, *, resuming: bool) -> None:
        if resuming:  # the host gives the whole instead of a range
            self._ranges = False
        await part.cut_to(0)
        etag = stream.headers.get("etag", "")
        self._known = _Known(stream.length, "" if etag.startswith("W/") else etag)
        await part.take(stream.portions)

    async def _resume(self, stream: Stream, part: Partial, overlap: bytes) -> None:
        found = _RANGE.fullmatch(stream.headers.get("content-range", "").strip())
        start = part.size - len(overlap)
        total = int(found[3]) if found else -1
        if found is None or int(found[1]) != start or self._known.total not in (None, total):
            await self._distrust(part)
        portions = _Ahead(stream.portions)
        if await portions.take(len(overlap)) != overlap:
            await self._distrust(part)
        self._known.total = total
        await part.take(portions.rest())

    async def _distrust(self, part: Partial) -> None:
        """Another content, or another range, than was asked for."""
        self._ranges = False
        await part.cut_to(0)
        raise Unreachable("the signed URL's host: what it gave does not continue what came before")

    @asynccontextmanager
    async def _followed(self, url: SignedUrl, headers: dict[str, str]) -> AsyncIterator[Stream]:
        """The answer after at most a few redirects, none of which leads to an unsafe address."""
        for _ in range(MOST_REDIRECTS):
            async with self._transport.outside(url, headers) as stream:
                if stream.status not in _REDIRECTS:
                    yield stream
                    return
                location = stream.headers.get("location", "")
            before, url = url, _joined(url, location)
            require_safe(url)
            if _is_https(before) and not _is_https(url):
                raise NotServed("the signed URL's host redirects from https to http")
        raise NotServed("the signed URL's host redirects again and again")


def _joined(url: SignedUrl, location: str) -> SignedUrl:
    try:
        return SignedUrl(urljoin(url.text, location))
    except ValueError:
        raise NotServed("the signed URL's host redirects to what is no address") from None


def _require_ok(stream: Stream) -> None:
    """The body of an error is not read: hosts repeat the request and its signature there."""
    if stream.status in _EXPIRED:
        raise _Refused(stream.status)
    if stream.status in _GONE:
        raise NotServed("the signed URL's host has no such report")
    if stream.is_page:
        raise Unreachable(f"the signed URL's host answers with a web page (HTTP {stream.status})")
    if stream.status != HTTPStatus.OK:
        raise Unreachable(f"the signed URL's host answers with HTTP {stream.status}")


def _not_given(refused: _Refused) -> NotServed:
    return NotServed(f"the signed URL's host refuses fresh addresses, too (HTTP {refused})")


def require_safe(url: SignedUrl) -> None:
    """https, or this machine. Raises NotServed, which does not repeat the address."""
    try:
        parts = urlsplit(url.text)
        host = parts.hostname or ""
        _ = parts.port  # only now is the port looked at
    except ValueError:
        raise NotServed("the signed URL is none") from None
    if not host or "@" in parts.netloc:
        raise NotServed("the signed URL has no host, or holds credentials")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
        raise NotServed(
            "the signed URL is not https",
            hint="Have the tenant's report host serve https; nothing is fetched without it.",
        )


def _is_https(url: SignedUrl) -> bool:
    return urlsplit(url.text).scheme == "https"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Ahead:
    """A stream whose first bytes are looked at before the rest is taken."""

    def __init__(self, portions: AsyncIterator[bytes]) -> None:
        self._portions = portions
        self._left = b""

    async def take(self, count: int) -> bytes:
        """The first `count` bytes; fewer where the stream ends before."""
        held = bytearray()
        async for portion in self._portions:
            held += portion
            if len(held) >= count:
                break
        self._left = bytes(held[count:])
        return bytes(held[:count])

    async def rest(self) -> AsyncIterator[bytes]:
        """What comes after them."""
        if self._left:
            yield self._left
        async for portion in self._portions:
            yield portion
