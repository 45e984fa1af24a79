"""The way to the simulator's world without a socket, and every trouble that may meet a call on it.

The product's own client runs above it: sign-in, tokens, the withheld chunk, the reading of answers.
Only `Transport` and `Wire`, which know HTTP, are replaced.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpcore
from lives.virtual import Ports, VirtualClock, VirtualLoop, beside

from revsyncd import simulator
from revsyncd.adapters.revenue_api import ApiSettings, Hooks, RevenueApi
from revsyncd.adapters.revenue_api.body import WithheldBody
from revsyncd.adapters.revenue_api.sign_in import SignInCall
from revsyncd.adapters.revenue_api.transport import Call, SignedUrl, Stream
from revsyncd.adapters.revenue_api.wire import Headers, Line
from revsyncd.adapters.token import TokenKeeper
from revsyncd.core.answer_words import AnswerWords
from revsyncd.core.answers import Answer, Cause, NoAnswer
from revsyncd.core.errors import TenantUnusable, Unreachable
from revsyncd.ports import Clock
from revsyncd.simulator import answers as said
from revsyncd.simulator import sign_in
from revsyncd.simulator.body import Body, TooLarge
from revsyncd.simulator.call import Call as Asked
from revsyncd.simulator.call import find_route, read_target
from revsyncd.simulator.settings import Framing
from revsyncd.simulator.tokens import Tokens
from revsyncd.simulator.visit import ROUTES
from revsyncd.simulator.world import World

TENANT = "http://127.0.0.1:8001"
REPORTS = "http://127.0.0.1:8002"
_PORTION = 700  # bytes of a download at a time: small, so that it can be cut in the middle


class Meets(StrEnum):
    """What a call meets; "before" means that the tenant never acts on it, "after" that it did."""

    NOTHING = "nothing"
    NO_CONNECTION = "no connection"
    TLS = "the handshake fails"
    RESET_EARLY = "reset in the middle of the body"
    RESET_LATE = "reset before the last bytes arrive"
    LOST = "acted on, and the answer is lost"
    SILENT = "acted on, and silence until the time-out"
    DEAF = "never acted on, and silence until the time-out"
    CUT = "acted on, and the answer is cut"
    PAGE_BEFORE = "a web page instead"
    PAGE_AFTER = "acted on, and a web page instead of the answer"
    BUSY = "429 with Retry-After"
    BUSY_EARLY = "429 while the body is still sent"
    UNAVAILABLE = "503 before acting"
    BROKEN = "500 after acting"
    UNAUTHORIZED = "401 though the token is alive"
    FORBIDDEN = "403"
    DISABLED = "405"
    REDIRECT = "307 to another host"
    SLOW = "acted on very late"


_INSTEAD = {
    Meets.PAGE_BEFORE: (502, {"content-type": "text/html"}, b"<html><h1>Bad gateway</h1></html>"),
    Meets.BUSY: (429, {"retry-after": "40"}, b'{"message": "Too many requests"}'),
    Meets.BUSY_EARLY: (429, {"retry-after": "7"}, b'{"message": "Too many requests"}'),
    Meets.UNAVAILABLE: (503, {}, b'{"message": "Service unavailable"}'),
    Meets.UNAUTHORIZED: (401, {}, b'{"status": "Error", "message": "Token is invalid"}'),
    Meets.FORBIDDEN: (403, {}, b'{"status": "Error", "message": "Not allowed"}'),
    Meets.DISABLED: (405, {}, b'{"status": "Error", "message": "API not enabled"}'),
    Meets.REDIRECT: (307, {"location": "https://elsewhere.example/"}, b""),
}
_AFTER = {
    Meets.PAGE_AFTER: (200, {"content-type": "text/html"}, b"<html><h1>Welcome</h1></html>"),
    Meets.BROKEN: (500, {}, b'{"status": "Error", "message": "Internal error"}'),
}


def make_tenant(directory: Path, clock: Clock) -> simulator.Tenant:
    """A tenant of the simulator that lives by a clock of ours and is served by nobody."""
    settings = simulator.Settings(staging_delay=2.0)
    tenant = simulator.Tenant(settings, directory)
    tenant.world = World(settings, clock=clock.now)
    tenant.world.on_change = tenant.touch
    tenant.tokens = Tokens(clock.now)
    tenant.base_url, tenant.report_url = TENANT, REPORTS
    return tenant


@dataclass
class Road:
    """Carries calls to the tenant; `ahead` are the troubles of the next calls of each kind."""

    tenant: simulator.Tenant
    loop: VirtualLoop
    clock: VirtualClock
    ports: Ports
    chance: random.Random
    ahead: dict[str, list[Meets]] = field(default_factory=dict)  # "upload", "confirm", "call"
    met: list[tuple[str, Meets]] = field(default_factory=list)
    before: Callable[[str, str], None] = lambda _method, _path: None  # told before the tenant acts
    under_way: set[Any] = field(default_factory=set)

    def meets(self, kind: str) -> Meets:
        """What the next call of a kind meets."""
        waiting = self.ahead.get(kind) or self.ahead.get("any", [])
        met = waiting.pop(0) if waiting else Meets.NOTHING
        if met is not Meets.NOTHING:
            self.met.append((kind, met))
        return met

    async def stage(self) -> None:
        """The tenant's scheduler: stage what is due."""
        while due := self.tenant.world.due():
            await self.tenant.conclude(due[0])

    async def deliver(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, *, late: float
    ) -> said.Answer:
        """Bring a whole request to the tenant, though its sender may be dead by then."""
        await asyncio.sleep(late)
        await self.stage()
        path, query = read_target(target.encode())
        route, status = find_route(ROUTES, method, path)
        kept = Body(self.tenant.incoming, self.tenant.settings.max_body)
        call = Asked(method, path, query, dict(headers), kept)
        self.before(method, path)
        try:
            if body:
                kept.write(body)
            if route is None:
                return said.error(self.tenant.settings, status, "Not found")
            self.tenant.world.counts.calls[f"{method} {route.name}"] += 1
            if route.needs_token and (away := sign_in.turned_away(self.tenant, call)):
                return away
            captured = route.captures(path) or ()
            return await route.handler(self.tenant, replace(call, captured=captured))
        except TooLarge as error:
            return said.error(self.tenant.settings, 413, str(error))
        finally:
            kept.discard()

    async def acted(self, *request: Any, late: float) -> Answer:
        """The tenant's answer; the request goes on where who sent it does not."""
        task = beside(self.loop, self.deliver(*request, late=late))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)
        found = await asyncio.shield(task)
        content = found.file.read_bytes() if found.file else found.body
        headers = {name.lower(): value for name, value in found.headers}
        headers["content-type"] = found.content_type
        if found.framing is Framing.LENGTH:
            headers["content-length"] = str(len(content))
        if found.framing is Framing.CHUNKED:
            headers["transfer-encoding"] = "chunked"
        return Answer(found.status, headers, content, complete=True, received_at=self.clock.now())

    def instead(self, met: Meets) -> Answer:
        """What a gateway, a proxy or an ailing tenant says."""
        status, headers, body = {**_INSTEAD, **_AFTER}[met]
        return Answer(status, dict(headers), body, complete=True, received_at=self.clock.now())

    def latency(self) -> float:
        """Seconds from a request to its answer."""
        return self.chance.choice((0.0, 0.05, 0.05, 0.4, 3.0))


@dataclass
class _Standing:
    """In place of an upload's connection: whether it is over before the last chunk."""

    over: bool = False

    async def is_over(self) -> bool:
        """As `WatchedStream.is_over`."""
        await asyncio.sleep(0)
        return self.over


class MemoryWire:
    """In place of `Wire`: one upload, straight into the simulator."""

    def __init__(self, road: Road, settings: ApiSettings) -> None:
        """Its time-outs are those of the settings."""
        self._road = road
        self._settings = settings

    async def post(
        self, line: Line, url: str, headers: Headers, body: WithheldBody
    ) -> Answer | NoAnswer:
        """As `Wire.post`."""
        met = self._road.meets("upload")
        self._road.tenant.world.upload_begins()
        self._road.ports.busy += 1
        try:
            await self._road.ports.moment()
            return await self._post(met, line, url, headers, body)
        finally:
            self._road.ports.busy -= 1
            self._road.tenant.world.upload_ends()
            await body.aclose()

    async def _post(
        self, met: Meets, line: Line, url: str, headers: Headers, body: WithheldBody
    ) -> Answer | NoAnswer:
        road = self._road
        if met is Meets.NO_CONNECTION:
            return NoAnswer(Cause.CONNECT)
        if met is Meets.TLS:
            return NoAnswer(Cause.TLS)
        await asyncio.sleep(road.latency())
        standing = _Standing()
        line.stream = standing  # type: ignore[assignment]  # all that is asked of it
        content = bytearray()
        try:
            async for portion in body:
                content += portion
                # In the middle; what is only one chunk long is cut before its last.
                standing.over = met in (Meets.RESET_EARLY, Meets.BUSY_EARLY)
                await road.ports.moment()
                await asyncio.sleep(road.latency() / 2)
        except httpcore.WriteError:
            return road.instead(met) if met is Meets.BUSY_EARLY else NoAnswer(Cause.RESET)
        given = {name.decode().lower(): value.decode() for name, value in headers}
        request = ("POST", url.removeprefix(TENANT), given, bytes(content))
        road.ports.sent()
        return await self._answered(met, request)

    async def _answered(self, met: Meets, request: tuple[Any, ...]) -> Answer | NoAnswer:
        """All bytes have left; whether they arrive, and what is heard of it."""
        road = self._road
        if met in (Meets.RESET_LATE, Meets.DEAF):
            await self._silence(self._settings.upload_timeout if met is Meets.DEAF else 0.1)
            return NoAnswer(Cause.TIMEOUT if met is Meets.DEAF else Cause.RESET)
        if met in _INSTEAD:
            return road.instead(met)
        late = 45.0 if met is Meets.SLOW else road.latency()
        arriving = asyncio.ensure_future(road.acted(*request, late=late))
        await road.ports.moment()  # a process that ends here has sent it all the same
        answer = await arriving
        await road.ports.moment()
        match met:
            case Meets.LOST:
                return NoAnswer(Cause.CUT)
            case Meets.SILENT:
                await self._silence(self._settings.upload_timeout)
                return NoAnswer(Cause.TIMEOUT)
            case Meets.CUT:
                return replace(answer, body=answer.body[: len(answer.body) // 2], complete=False)
            case Meets.PAGE_AFTER | Meets.BROKEN:
                return road.instead(met)
        return answer

    async def _silence(self, seconds: float) -> None:
        self._road.ports.busy -= 1
        try:
            await asyncio.sleep(seconds)
        finally:
            self._road.ports.busy += 1


class MemoryTransport:
    """In place of `Transport`: every other call."""

    def __init__(self, road: Road, settings: ApiSettings) -> None:
        """Its time-outs are those of the settings."""
        self._road = road
        self._settings = settings

    async def aclose(self) -> None:
        """Nothing is open."""

    async def call(self, call: Call) -> Answer:
        """As `Transport.call`."""
        kind = "confirm" if call.method == "PUT" else "call"
        return await self._ask(kind, call.method, call.url, call)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[Stream]:
        """As `Transport.stream`."""
        met = self._road.meets("download")
        answer = await self._ask("call", call.method, call.url, call)
        yield self._streamed(answer, met)

    @asynccontextmanager
    async def outside(self, url: SignedUrl, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
        """As `Transport.outside`."""
        met = self._road.meets("download")
        answer = await self._ask("call", "GET", url.text, Call("GET", url.text, dict(headers)))
        yield self._streamed(answer, met)

    def _streamed(self, answer: Answer, met: Meets) -> Stream:
        if met in _INSTEAD or met in _AFTER:
            answer = self._road.instead(met)
        whole = met is Meets.NOTHING
        return Stream(answer.status, answer.headers, self._portions(answer.body, whole=whole))

    async def _portions(self, body: bytes, *, whole: bool) -> AsyncIterator[bytes]:
        end = len(body) if whole else len(body) // 2
        for at in range(0, end, _PORTION):
            await self._road.ports.moment()
            await asyncio.sleep(self._road.latency() / 4)
            yield body[at : min(at + _PORTION, end)]
        if not whole:
            raise Unreachable("the download was cut")

    async def _ask(self, kind: str, method: str, url: str, call: Call) -> Answer:
        met = self._road.meets(kind)
        self._road.ports.busy += 1
        try:
            await self._road.ports.moment()
            answer = await self._asked(met, method, url, call)
            await self._road.ports.moment()
            return answer
        finally:
            self._road.ports.busy -= 1

    async def _asked(self, met: Meets, method: str, url: str, call: Call) -> Answer:
        road, name = self._road, f"{method} {url.partition('?')[0]}"
        if met is Meets.TLS:
            raise TenantUnusable(f"{name}: the TLS handshake failed")
        if met in (Meets.NO_CONNECTION, Meets.RESET_EARLY, Meets.RESET_LATE):
            raise Unreachable(f"{name}: no connection")
        if met is Meets.DEAF:
            await asyncio.sleep(self._settings.read_timeout)
            raise Unreachable(f"{name}: no answer in time")
        if met in _INSTEAD:
            return road.instead(met)
        late = 45.0 if met is Meets.SLOW else road.latency()
        answer = await road.acted(*self._request(method, url, call), late=late)
        if met in (Meets.LOST, Meets.SILENT):
            raise Unreachable(f"{name}: no answer")
        if met in _AFTER:
            return road.instead(met)
        if met is Meets.CUT:
            return replace(answer, body=answer.body[: len(answer.body) // 2], complete=False)
        return answer

    def _request(self, method: str, url: str, call: Call) -> tuple[Any, ...]:
        target = url.removeprefix(TENANT).removeprefix(REPORTS)
        query = f"?{urlencode(call.params)}" if call.params else ""
        headers = {name.lower(): value for name, value in call.headers.items()}
        body = urlencode(call.form).encode() if call.form else b""
        return (method, target + query, headers, body)


Connect = Callable[..., RevenueApi]


def connecting(road: Road) -> Connect:
    """In place of `revenue_api.connect`: the same client on this road."""

    def connect(
        settings: ApiSettings,
        credentials: Any,
        words: AnswerWords,
        clock: Clock,
        hooks: Hooks | None = None,
    ) -> RevenueApi:
        told = hooks or Hooks()
        transport: Any = MemoryTransport(road, settings)
        wire: Any = MemoryWire(road, settings)
        sign_in = SignInCall(settings.api, credentials, transport, told.remember_secret)
        tokens = TokenKeeper(sign_in, clock, told)
        return RevenueApi(settings, words, tokens, transport, wire)

    return connect
