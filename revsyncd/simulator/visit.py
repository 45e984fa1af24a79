"""One call from head to answer, with the moments at which trouble may meet it."""

import math
from collections.abc import Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path

import anyio

from . import answers, inbound, outbound, sign_in
from .answers import Answer
from .body import TooLarge
from .call import Call, Route, find_route
from .settings import Framing
from .tenant import API, Tenant
from .trouble import At, Trouble, Verb
from .wire import Gone, Headers, Wire

_PORTION = 65_536
_MAINTENANCE = (
    b"<!DOCTYPE html><html><head><title>Maintenance</title></head>"
    b"<body><h1>We'll be back soon</h1></body></html>\n"
)

ROUTES = (
    Route("POST", f"{API}/v1/authenticate", sign_in.authenticate, needs_token=False),
    Route("POST", "/oauth2/token", sign_in.oauth_token, needs_token=False),
    Route("GET", f"{API}/v1/upload/mapping", inbound.mapping),
    Route("POST", f"{API}/v1/upload/file", inbound.upload_file, is_upload=True),
    Route("GET", f"{API}/v1/fileupload/status/{{}}", inbound.file_status),
    Route("POST", f"{API}/v1/csv/upload", inbound.csv_upload, is_upload=True),
    Route("GET", f"{API}/v1/csv/upload/status", inbound.csv_status),
    Route("GET", f"{API}/v1/stage/error/{{}}", inbound.stage_errors),
    Route("GET", f"{API}/v1/journal/list", outbound.journal_list),
    Route("PUT", f"{API}/v1/journal/batch/status/{{}}", outbound.confirm),
    Route("GET", f"{API}/v1/journal/batch/{{}}/{{}}", outbound.journal_page),
    Route("GET", f"{API}/v2/reports/signedurl/{{}}", outbound.signed_url),
    Route("GET", f"{API}/v1/download/transferbatchfile/{{}}", outbound.batch_file),
    Route("GET", "/signed/{}", outbound.signed_report, needs_token=False),
)


class Answered(Exception):
    """Trouble has given the answer; the connection may be used again where its state allows."""


class Visit:
    """A call at the tenant."""

    def __init__(self, tenant: Tenant, wire: Wire, call: Call) -> None:
        """Count the call and see which trouble it is to meet."""
        self._tenant = tenant
        self._wire = wire
        self._call = call
        self._route, self._status = find_route(ROUTES, call.method, call.path)
        self._trouble = tenant.trouble.match(call.method, call.path)
        self._has_place = self._route is not None and self._route.is_upload
        name = f"{call.method} {self._route.name}" if self._route else "unknown"
        tenant.world.counts.calls[name] += 1
        self._granted = tenant.world.upload_begins() if self._has_place else True

    async def run(self) -> None:
        """Go through the call's moments; Gone when the connection is over."""
        try:
            await self._meet(At.HEAD)
            await self._receive()
            await self._meet(At.BODY)
            answer = await self._act()
            await self._meet(At.STORED, answer)
            await self._send(answer)
        except Answered:
            pass
        finally:
            self._leave()

    def _leave(self) -> None:
        """Give back an upload's place, before its answer goes: the client may act at once on it."""
        if self._has_place:
            self._has_place = False
            self._tenant.world.upload_ends()

    async def _receive(self) -> None:
        """Take the body in, stopping on the way where trouble waits."""
        trouble = self._trouble
        left = trouble.after_bytes if trouble and trouble.at is At.BYTES else math.inf
        async for chunk in self._wire.body():
            if len(chunk) < left:
                left -= len(chunk)
            else:
                left = math.inf
                await self._meet(At.BYTES)
            await self._keep(chunk)
        if left < math.inf:
            await self._meet(At.BYTES)

    async def _keep(self, chunk: bytes) -> None:
        try:
            self._call.body.write(chunk)
        except TooLarge as too_large:
            await self._send(answers.error(self._tenant.settings, 413, str(too_large)), early=True)
            raise Answered from too_large

    async def _act(self) -> Answer:
        """Do what the call asks for; whatever goes wrong in here ends with this call."""
        settings = self._tenant.settings
        try:
            return await self._handled()
        except TooLarge as too_large:
            return answers.error(settings, 413, str(too_large))
        except Exception as error:  # one call's fault must not end the server
            return answers.error(settings, 500, f"Internal error: {error!r}")

    async def _handled(self) -> Answer:
        tenant, call, route = self._tenant, self._call, self._route
        if route is None:
            tenant.world.violation("unknown_call", f"{call.method} {call.path}")
            return answers.error(tenant.settings, self._status, "Not found")
        if not self._granted:
            return answers.error(tenant.settings, 429, "Too many uploads at once")
        if route.needs_token and (away := sign_in.turned_away(tenant, call)):
            return away
        return await route.handler(tenant, replace(call, captured=route.captures(call.path) or ()))

    async def _meet(self, at: At, answer: Answer | None = None) -> None:
        """Let trouble happen if it waits at this moment."""
        trouble = self._trouble
        if trouble is None or trouble.at is not at:
            return
        self._tenant.trouble.happened(trouble)
        if trouble.verb is Verb.STALL:
            await self._stall(trouble)
            return
        self._leave()
        match trouble.verb:
            case Verb.RESET:
                self._wire.reset()
            case Verb.CLOSE:
                await self._wire.finish()
            case Verb.CUT:
                await self._cut(answer or Answer(500))
            case _:
                await self._send(self._troubled(trouble), early=at in {At.HEAD, At.BYTES})
                raise Answered
        raise Gone

    def _troubled(self, trouble: Trouble) -> Answer:
        """The answer that the trouble gives."""
        headers = tuple(trouble.said_headers(self._now()))
        if trouble.verb is Verb.HTML:
            return Answer(trouble.status or 200, _MAINTENANCE, "text/html; charset=utf-8", headers)
        status = trouble.status or 302
        return Answer(status, trouble.body.encode(), trouble.content_type, headers)

    async def _stall(self, trouble: Trouble) -> None:
        """Wait for the stall's end; Gone when the client does not."""
        cleared = self._tenant.trouble.cleared
        left = False

        async def watch(scope: anyio.CancelScope) -> None:
            nonlocal left
            await self._wire.client_left()
            left = True
            scope.cancel()

        with anyio.move_on_after(trouble.seconds):
            async with anyio.create_task_group() as group:
                group.start_soon(watch, group.cancel_scope)
                await self._tenant.seen(
                    lambda tenant: tenant.trouble.cleared != cleared, within=math.inf
                )
                group.cancel_scope.cancel()
        if left:
            raise Gone

    async def _cut(self, answer: Answer) -> None:
        headers = self._headers(answer, len(answer.body))
        trouble = self._trouble
        at = trouble.after_bytes if trouble and trouble.after_bytes else len(answer.body) // 2
        await self._wire.begin_answer(answer.status, headers, answer.body, at)
        await self._wire.finish()

    async def _send(self, answer: Answer, *, early: bool = False) -> None:
        self._leave()
        await send(self._wire, answer, self._headers(answer, size_of(answer), early=early))

    def _headers(self, answer: Answer, size: int, *, early: bool = False) -> Headers:
        return headers_of(answer, size, self._now(), early=early)

    def _now(self) -> float:
        return self._tenant.world.clock() + self._tenant.settings.clock_skew


def size_of(answer: Answer) -> int:
    """The length of the answer's body in bytes."""
    return answer.file.stat().st_size if answer.file else len(answer.body)


def headers_of(answer: Answer, size: int, now: float, *, early: bool = False) -> Headers:
    """The answer's headers; one given `early`, with the body unread, ends the connection."""
    headers = [("Date", formatdate(now, usegmt=True)), *answer.headers]
    if answer.status != 204:  # noqa: PLR2004  (has no body)
        headers.append(("Content-Type", answer.content_type))
        headers += _framing(answer, size)
    return [*headers, ("Connection", "close")] if early else headers


def _framing(answer: Answer, size: int) -> Headers:
    match answer.framing:
        case Framing.LENGTH:
            return [("Content-Length", str(size))]
        case Framing.CHUNKED:
            return [("Transfer-Encoding", "chunked")]
        case Framing.CLOSE:
            return [("Connection", "close")]


async def send(wire: Wire, answer: Answer, headers: Headers) -> None:
    """Send the answer, from disk where its body is a file."""
    portions = _portions(answer.file) if answer.file else [answer.body] if answer.body else []
    await wire.answer(answer.status, headers, portions)


def _portions(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while portion := file.read(_PORTION):
            yield portion
