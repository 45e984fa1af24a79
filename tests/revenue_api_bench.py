"""A client on a raw server, with a token that needs no sign-in and a release that is watched."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.revenue_api.client import RevenueApi
from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.adapters.revenue_api.transport import Transport, trust
from revsyncd.adapters.revenue_api.wire import Wire
from revsyncd.adapters.token import Grant, TokenKeeper
from revsyncd.core.answer_words import AnswerWords
from revsyncd.core.verdict import Judgement, Route
from revsyncd.ports import Upload

TAIL = 40  # bytes that are withheld of the content
TRUST = lru_cache(trust)  # reading the certificates takes longer than most tests
PATIENCE = ApiSettings("", connect_timeout=2, read_timeout=5, upload_timeout=5)


def part(directory: Path, size: int = 3000, route: Route = Route.FILE) -> Upload:
    """A part on disk, of about `size` bytes."""
    line = b'SO-1,"M\xc3\xbcller ""x""\nsecond line",1042.50\r\n'
    content = b"Doc Line Id,Name,Amount\r\n" + line * max(2, size // len(line))
    path = directory / "part"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    cut = len(content) - TAIL
    return Upload(
        route, "Transaction Upload", "orders.01J8.p001of001.csv", path, len(content), cut, digest, 2
    )


def within_a_file(upload: Upload) -> Upload:
    """The same part as a range of a larger file."""
    content = upload.path.read_bytes()
    head = content[: content.index(b"\n") + 1]
    before = b"\xef\xbb\xbf" + head + b"an earlier record\r\n"
    whole = before + content[len(head) :] + b"a later record\r\n"
    upload.path.write_bytes(whole)
    return replace(upload, head=head, offset=len(before), file_size=len(whole))


class ShiftedClock(SystemClock):
    """The machine's clock, moved ahead by as many seconds as a test likes."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return super().monotonic() + self.ahead


class SignIns:
    """Signs in without a network, and counts."""

    def __init__(self, life: float = 1800) -> None:
        self.life = life
        self.calls = 0
        self.refuse: Exception | None = None

    async def __call__(self) -> Grant:
        """Give the next token, or refuse."""
        self.calls += 1
        if self.refuse is not None:
            raise self.refuse
        return Grant("token", f"T{self.calls}", self.life)


@dataclass
class Bench:
    """The client under test and what its uploads were allowed."""

    api: RevenueApi
    sign_ins: SignIns
    clock: ShiftedClock
    released: list[str] = field(default_factory=list)
    on_release: Callable[[], Awaitable[None]] | None = None

    async def release(self) -> None:
        """What the ledger does in earnest: note that the last chunk goes."""
        if self.on_release is not None:
            await self.on_release()
        self.released.append("released")

    async def upload(self, upload: Upload) -> Judgement:
        """Send one part."""
        return await self.api.upload(upload, self.release)


@asynccontextmanager
async def bench(
    base_url: str, settings: ApiSettings = PATIENCE, life: float = 1800
) -> AsyncIterator[Bench]:
    """A client of the server at `base_url`."""
    settings = replace(settings, base_url=base_url)
    clock, trusted, sign_ins = ShiftedClock(), TRUST(settings.ca_file), SignIns(life)
    transport = Transport(settings, trusted, clock)
    wire = Wire(settings, trusted, clock)
    tokens = TokenKeeper(sign_ins, clock)
    api = RevenueApi(settings, AnswerWords.of(), tokens, transport, wire)
    try:
        yield Bench(api, sign_ins, clock)
    finally:
        await api.aclose()
