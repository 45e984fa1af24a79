import asyncio

import anyio
import anyio.lowlevel
import pytest

from revsyncd.adapters.token import Grant, Hooks, TokenKeeper
from revsyncd.core.errors import SignInRefused, Unreachable
from revsyncd.core.pace import Pace


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        """Far from the monotonic clock, as on a real machine."""
        return 5_000_000 + self.seconds

    def monotonic(self) -> float:
        """Seconds that a test has let pass."""
        return self.seconds


class Tenant:
    """Signs in as told: counts, waits and refuses."""

    def __init__(self, life: float = 1800) -> None:
        self.life = life
        self.calls = 0
        self.refuse: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.called = asyncio.Event()

    async def __call__(self) -> Grant:
        """Each sign-in gives another token."""
        self.calls += 1
        self.called.set()
        await self.gate.wait()
        if self.refuse is not None:
            raise self.refuse
        return Grant("token", f"T{self.calls}", self.life)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def tenant() -> Tenant:
    return Tenant()


@pytest.fixture
def keeper(tenant: Tenant, clock: Clock) -> TokenKeeper:
    return TokenKeeper(tenant, clock, pace=Pace(first=5, factor=2, most=60, jitter=0))


async def test_one_sign_in_serves_however_many_ask(keeper: TokenKeeper, tenant: Tenant) -> None:
    """Askers that come at once share one sign-in, and so do those that come later."""
    tokens = await asyncio.gather(*(keeper.token() for _ in range(20)))
    tokens.append(await keeper.token())
    assert {token.header_value for token in tokens} == {"T1"}
    assert tenant.calls == 1


async def test_nothing_is_asked_before_somebody_needs_it(
    keeper: TokenKeeper, tenant: Tenant
) -> None:
    """A keeper that nobody asks signs in nowhere, its background task included."""
    with anyio.move_on_after(0.05):
        await keeper.run()
    assert (tenant.calls, keeper.current, keeper.expires_wall) == (0, None, None)


async def test_a_token_with_too_little_life_is_replaced(
    keeper: TokenKeeper, tenant: Tenant, clock: Clock
) -> None:
    """A caller that needs a quarter of an hour gets it; one that needs a moment keeps the old."""
    await keeper.token()
    clock.seconds += 1000
    assert (await keeper.token(min_life=700)).header_value == "T1"
    assert (await keeper.token(min_life=850)).header_value == "T2"


async def test_an_expired_token_is_never_handed_out(
    keeper: TokenKeeper, tenant: Tenant, clock: Clock
) -> None:
    """The last tenth of a token's life is kept free for the way to the tenant."""
    await keeper.token()
    clock.seconds += 1630
    assert (await keeper.token()).header_value == "T2"


async def test_short_lived_tokens_do_not_cause_a_storm(clock: Clock) -> None:
    """A wish that no token of this tenant can meet does not sign in at each call."""
    tenant = Tenant(life=60)
    keeper = TokenKeeper(tenant, clock)
    for _ in range(5):
        await keeper.token(min_life=1800)
    assert tenant.calls == 1


async def test_life_counts_from_before_the_sign_in(clock: Clock) -> None:
    """Time that the sign-in took is taken from the token's life."""

    async def slow() -> Grant:
        clock.seconds += 100
        return Grant("token", "T", 1800)

    token = await TokenKeeper(slow, clock).token()
    assert token.left(clock.monotonic()) == 1700


async def test_renew_is_shared_and_knows_what_is_newer(keeper: TokenKeeper, tenant: Tenant) -> None:
    """Of all who met a 401 with the same token, one signs in and the others get its token."""
    stale = await keeper.token()
    fresh = await asyncio.gather(*(keeper.renew(stale) for _ in range(10)))
    assert {token.header_value for token in fresh} == {"T2"}
    assert (await keeper.renew(stale)).header_value == "T2"
    assert tenant.calls == 2


async def test_cancelling_one_asker_leaves_the_others_their_sign_in(
    keeper: TokenKeeper, tenant: Tenant
) -> None:
    """Who asked first may be cancelled: the sign-in that others wait for goes on."""
    tenant.gate.clear()
    first = asyncio.create_task(keeper.token())
    await tenant.called.wait()
    second = asyncio.create_task(keeper.token())
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    tenant.gate.set()
    assert (await second).header_value == "T1"
    assert tenant.calls == 1


async def test_a_sign_in_that_nobody_awaits_any_more_still_counts(
    keeper: TokenKeeper, tenant: Tenant
) -> None:
    """Its token is there for the next who asks, and its failure complains to nobody."""
    tenant.gate.clear()
    with anyio.move_on_after(0.01):
        await keeper.token()
    tenant.gate.set()
    assert (await keeper.token()).header_value == "T1"
    assert tenant.calls == 1


async def test_a_refusal_is_remembered_for_a_growing_pause(
    keeper: TokenKeeper, tenant: Tenant, clock: Clock
) -> None:
    """Within the pause askers are refused without a call; after it one call is made again."""
    tenant.refuse = SignInRefused("wrong password", hint="mend it")
    for wait in (5, 10, 20):
        with pytest.raises(SignInRefused):
            await keeper.token()
        calls = tenant.calls
        with pytest.raises(SignInRefused, match="wrong password") as again:
            await keeper.token()
        assert again.value.hint == "mend it"
        clock.seconds += wait - 1
        with pytest.raises(SignInRefused):
            await keeper.token()
        assert tenant.calls == calls
        clock.seconds += 1
    assert tenant.calls == 3


async def test_a_sign_in_that_works_forgets_the_refusals(
    keeper: TokenKeeper, tenant: Tenant, clock: Clock
) -> None:
    """Once the password is mended, everything is as before."""
    tenant.refuse = SignInRefused("wrong password")
    with pytest.raises(SignInRefused):
        await keeper.token()
    clock.seconds += 5
    tenant.refuse = None
    token = await keeper.token()
    assert (await keeper.renew(token)).header_value == "T3"


async def test_an_unreachable_tenant_leaves_no_pause(keeper: TokenKeeper, tenant: Tenant) -> None:
    """Only a refusal is waited out: accounts get locked by those, not by a broken network."""
    tenant.refuse = Unreachable("no connection")
    with pytest.raises(Unreachable):
        await keeper.token()
    tenant.refuse = None
    assert (await keeper.token()).header_value == "T2"


async def test_the_hooks_hear_what_happened(tenant: Tenant, clock: Clock) -> None:
    """A new token is told by its end in wall time, a refusal by its error, each once."""
    ends: list[float] = []
    refusals: list[SignInRefused] = []
    keeper = TokenKeeper(tenant, clock, Hooks(ends.append, refusals.append))
    await keeper.token()
    assert ends == [clock.now() + 1800]
    assert keeper.expires_wall == ends[0]
    token = keeper.current
    assert token is not None
    tenant.refuse = SignInRefused("no")
    for _ in range(3):
        with pytest.raises(SignInRefused):
            await keeper.renew(token)
    assert refusals == [tenant.refuse]


async def run_until(keeper: TokenKeeper, event: asyncio.Event) -> None:
    """Let the background task run until something has happened."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.run)
        with anyio.fail_after(30):
            await event.wait()
        tasks.cancel_scope.cancel()


async def test_a_token_is_renewed_when_half_its_life_is_over(tenant: Tenant, clock: Clock) -> None:
    """The background task renews ahead, so an upload that begins finds room."""
    renewed = asyncio.Event()
    keeper = TokenKeeper(tenant, clock, Hooks(on_renewed=lambda _: renewed.set()))
    await keeper.token()
    renewed.clear()
    clock.seconds += 899
    with anyio.move_on_after(0.05):
        await keeper.run()
    assert tenant.calls == 1
    clock.seconds += 1
    await run_until(keeper, renewed)
    assert (await keeper.token()).header_value == "T2"


async def test_renewing_ahead_begins_with_the_first_need(
    keeper: TokenKeeper, tenant: Tenant
) -> None:
    """The task that started before anybody asked hears of the first token."""
    tenant.life = 0  # due at once
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keeper.run)
        await anyio.lowlevel.checkpoint()
        await keeper.token()
        tenant.called.clear()
        with anyio.fail_after(30):
            await tenant.called.wait()
        tasks.cancel_scope.cancel()


async def test_renewing_ahead_outlives_refusals(tenant: Tenant, clock: Clock) -> None:
    """The tenant's no is waited out, and the next try may bring a token."""
    refused, renewed = asyncio.Event(), asyncio.Event()
    hooks = Hooks(lambda _: renewed.set(), lambda _: refused.set())
    keeper = TokenKeeper(tenant, clock, hooks, Pace(first=0.001, most=0.001))
    await keeper.token()
    renewed.clear()
    clock.seconds += 1000
    tenant.refuse = SignInRefused("no")
    await run_until(keeper, refused)
    clock.seconds += 1
    tenant.refuse = None
    await run_until(keeper, renewed)


async def test_no_repr_shows_a_token(keeper: TokenKeeper) -> None:
    """A token that stands in an object never stands in its text."""
    token = await keeper.token()
    assert "T1" not in repr(token)
    assert "secret" not in repr(Grant("token", "secret", 1))
