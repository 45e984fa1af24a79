"""The token that every call to the tenant shares: one sign-in however many ask, renewed ahead.

Life is counted on the monotonic clock from before the sign-in was sent, so neither a clock that
jumps nor a tenant whose clock differs from ours can make a token look younger than it is.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio

from revsyncd.core.errors import SignInRefused, TenantError
from revsyncd.core.pace import Pace
from revsyncd.ports import Clock

RENEW_AT = 0.5  # of a token's life: what is left then is room for a whole upload
KEPT_FREE = 0.1  # a token with less than this share of its life left is not handed out
SLOWEST = Pace(first=5, factor=2, most=600)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a sign-in brought: the header to send, and how long it is good for, in seconds."""

    header_name: str
    header_value: str = field(repr=False)
    life: float


@dataclass(frozen=True, slots=True)
class Token:
    """A token in use; its text shows in no repr."""

    header_name: str
    header_value: str = field(repr=False)
    life: float  # seconds
    expires_at: float  # on the monotonic clock

    def left(self, monotonic: float) -> float:
        """Seconds of life left."""
        return self.expires_at - monotonic

    def reserve(self, upload_timeout: float) -> float:
        """Seconds that must be left when an upload's last chunk goes out, so that its answer can come."""
        return min(upload_timeout, 0.3 * self.life)


SignIn = Callable[[], Awaitable[Grant]]  # raises TenantError


def _nothing(_: object) -> None:
    """The hook of those who do not want to know."""


def _no_news() -> None:
    """The same where there is nothing to hand over."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Whom to tell."""

    on_renewed: Callable[[float], None] = _nothing  # when it expires, in seconds since the epoch
    on_refused: Callable[[SignInRefused], None] = _nothing
    remember_secret: Callable[[str], None] = _nothing  # a text that must never be logged
    on_lost: Callable[[], None] = _no_news  # the token in use is refused, and there is no other


class TokenKeeper:
    """Keeps one token; `run` renews it ahead, everybody else asks `token` or, after a 401, `renew`."""

    def __init__(
        self,
        sign_in: SignIn,
        clock: Clock,
        hooks: Hooks | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`pace` is how fast refused sign-ins are repeated (`SLOWEST`): faster, and accounts get locked."""
        self._sign_in = sign_in
        self._clock = clock
        self._hooks = hooks or Hooks()
        self._pace = pace or SLOWEST
        self._token: Token | None = None
        self._asking: asyncio.Task[Token] | None = None
        self._refusals = 0
        self._refusal: SignInRefused | None = None
        self._silent_until = 0.0  # monotonic; before that no sign-in is tried after a refusal
        self._news = asyncio.Event()  # a first token, or another one

    @property
    def current(self) -> Token | None:
        """The token as it is, also when it has expired; None before the first sign-in."""
        return self._token

    @property
    def expires_wall(self) -> float | None:
        """When the token expires, in seconds since the epoch."""
        if self._token is None:
            return None
        return self._clock.now() + self.left(self._token)

    def left(self, token: Token) -> float:
        """Seconds of life that a token has left."""
        return token.left(self._clock.monotonic())

    async def token(self, min_life: float = 0) -> Token:
        """A token with at least `min_life` seconds left, signing in where that is needed.

        Half of a token's life is the most that can be asked for: more would sign in at every
        call where tokens are short-lived. Raises TenantError.
        """
        token = self._token
        if token is None:
            return await self._signed_in()
        needed = min(max(min_life, KEPT_FREE * token.life), RENEW_AT * token.life)
        if self.left(token) >= needed:
            return token
        return await self._signed_in()

    async def renew(self, stale: Token) -> Token:
        """Another token than `stale`: the one that somebody else got meanwhile, or a new one."""
        token = self._token
        newer = token is not None and token.header_value != stale.header_value
        if token is not None and newer and self.left(token) > 0:
            return token
        try:
            return await self._signed_in()
        except SignInRefused:
            self._lose(stale)
            raise

    def retry_now(self) -> None:
        """Let the next call sign in, however lately that was refused: a person may have mended it."""
        self._silent_until = 0.0

    def _lose(self, stale: Token) -> None:
        """The tenant takes this token no more, nor gives another."""
        if self._token is not None and self._token.header_value == stale.header_value:
            self._token = None
            self._hooks.on_lost()

    async def run(self) -> None:
        """Renew ahead, for ever. Begins with the first token that somebody else needed."""
        failures = 0
        while True:
            await self._until_due()
            try:
                await self._signed_in()
                failures = 0
            except TenantError:  # told by the hooks, and by those who ask meanwhile
                failures += 1
                await anyio.sleep(self._pace.pause(failures, random.random()))  # noqa: S311 (spreads load)

    async def _until_due(self) -> None:
        while (wait := self._due_in()) > 0:
            self._news.clear()
            with anyio.move_on_after(wait):
                await self._news.wait()

    def _due_in(self) -> float:
        """Seconds until the token should be renewed ahead; infinite while nobody needed one."""
        if self._token is None:
            return float("inf")
        return max(self.left(self._token) - (1 - RENEW_AT) * self._token.life, 0.0)

    async def _signed_in(self) -> Token:
        """Share one sign-in. It is a task of its own: who asked first may be cancelled."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="sign-in")
            self._asking.add_done_callback(_look_at)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Token:
        asked_at = self._clock.monotonic()
        if self._refusal is not None and asked_at < self._silent_until:
            raise _again(self._refusal)
        try:
            grant = await self._sign_in()
        except SignInRefused as refusal:
            self._remember(refusal)
            raise
        return self._granted(grant, asked_at)

    def _remember(self, refusal: SignInRefused) -> None:
        self._refusals += 1
        self._refusal = refusal
        pause = self._pace.pause(self._refusals, random.random())  # noqa: S311 (spreads load)
        self._silent_until = self._clock.monotonic() + pause
        self._hooks.on_refused(refusal)

    def _granted(self, grant: Grant, asked_at: float) -> Token:
        self._refusals, self._refusal = 0, None
        self._token = Token(
            grant.header_name, grant.header_value, grant.life, asked_at + grant.life
        )
        self._news.set()
        self._hooks.on_renewed(self._clock.now() + self.left(self._token))
        return self._token


def _again(refusal: SignInRefused) -> SignInRefused:
    # A new object: the first one's traceback would grow with everybody who raises it.
    return SignInRefused(refusal.message, hint=refusal.hint)


def _look_at(task: asyncio.Task[Token]) -> None:
    """Take a failure that nobody is left to await, else asyncio complains of it."""
    if not task.cancelled():
        task.exception()
