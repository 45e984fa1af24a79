import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs

import pytest
from raw_tenant import Peer, Script, raw_tenant

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.revenue_api import (
    ApiSettings,
    Hooks,
    OneIdCredentials,
    RevenueApi,
    TokenCredentials,
    connect,
)
from revsyncd.core.answer_words import AnswerWords
from revsyncd.core.errors import (
    Busy,
    ConfigError,
    SignInRefused,
    TenantError,
    TenantUnusable,
    Unreachable,
)

GENERATED = {"status": "success", "Message": "Token Generated"}


def jwt(**claims: Any) -> str:
    packed = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{packed}.c2ln"


def gives(status: int, body: Any = GENERATED, **headers: str) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.all()
            await peer.answer(status, body, **headers)

    return script


@asynccontextmanager
async def client(
    base_url: str,
    credentials: TokenCredentials | OneIdCredentials | None = None,
    secrets: list[str] | None = None,
) -> AsyncIterator[RevenueApi]:
    kept: list[str] = [] if secrets is None else secrets
    api = connect(
        ApiSettings(base_url, read_timeout=5),
        credentials
        or TokenCredentials(lambda: "jörg", lambda: "p:ss", "Revpro API Role", "Default"),
        AnswerWords.of(),
        SystemClock(),
        Hooks(remember_secret=kept.append),
    )
    try:
        yield api
    finally:
        await api.aclose()


async def test_a_password_brings_a_token_in_a_header() -> None:
    """Basic, role and client name go to authenticate; the token comes back as a header."""
    token = jwt(iat=1000, exp=4600)
    secrets: list[str] = []
    async with (
        raw_tenant(gives(200, Revpro_Token=token)) as tenant,
        client(tenant.base_url + "/revenue/", secrets=secrets) as api,
    ):
        granted = await api.tokens.token()
    peer = tenant.peers[0]
    assert (peer.method, peer.target) == ("POST", "/revenue/api/integration/v1/authenticate")
    basic = base64.b64encode("jörg:p:ss".encode())
    assert peer.headers["authorization"] == b"Basic " + basic
    assert (peer.headers["role"], peer.headers["clientname"]) == (b"Revpro API Role", b"Default")
    assert (granted.header_name, granted.header_value, granted.life) == ("token", token, 3600)
    assert {"p:ss", basic.decode(), token} <= set(secrets)


@pytest.mark.parametrize(
    "token",
    ["opaque", "a.b.c", jwt(), jwt(exp=5000), jwt(iat=5000, exp=1000), jwt(iat="x", exp=True)],
)
async def test_a_life_that_can_not_be_read_is_half_an_hour(token: str) -> None:
    """The tenant's default counts where the token does not tell."""
    async with (
        raw_tenant(gives(200, Revpro_Token=token)) as tenant,
        client(tenant.base_url) as api,
    ):
        assert (await api.tokens.token()).life == 1800


async def test_client_credentials_bring_a_bearer_token() -> None:
    """A form post to the token address; `expires_in` is obeyed."""
    body = {"access_token": "opaque-1", "token_type": "bearer", "expires_in": 3600}
    secrets: list[str] = []
    async with raw_tenant(gives(200, body)) as tenant:
        credentials = OneIdCredentials(
            lambda: "id-1", lambda: "s=cret&", f"{tenant.base_url}/oauth2/token"
        )
        async with client("http://127.0.0.1:1", credentials, secrets) as api:
            granted = await api.tokens.token()
    peer = tenant.peers[0]
    assert (peer.method, peer.target) == ("POST", "/oauth2/token")
    assert parse_qs(peer.body.decode()) == {
        "client_id": ["id-1"],
        "client_secret": ["s=cret&"],
        "grant_type": ["client_credentials"],
    }
    assert granted.header_name == "Authorization"
    assert (granted.header_value, granted.life) == ("Bearer opaque-1", 3600)
    assert {"s=cret&", "opaque-1"} <= set(secrets)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"status": "Error", "message": "Invalid credentials"}, SignInRefused),
        (400, {"status": "Error", "message": "role is missing"}, SignInRefused),
        (400, {"error": "invalid_client"}, SignInRefused),
        (403, b"", SignInRefused),
        (200, {"status": "error", "Message": "User is locked"}, SignInRefused),
        (404, b"", TenantUnusable),
        (405, b"", TenantUnusable),
        (301, b"", TenantUnusable),
        (200, b"<html>Maintenance</html>", Busy),
        (503, b"", Busy),
        (429, b"", Busy),
        (500, b"", Unreachable),
        (200, GENERATED, Unreachable),
    ],
)
async def test_a_sign_in_that_brings_no_token_says_why(
    status: int, body: Any, error: type[TenantError]
) -> None:
    """Refused, forbidden, busy and broken are told apart, each with a hint."""
    async with raw_tenant(gives(status, body)) as tenant, client(tenant.base_url) as api:
        with pytest.raises(error, match=r"^sign-in") as trouble:
            await api.tokens.token()
        assert trouble.value.hint
        assert "p:ss" not in trouble.value.message


async def test_credentials_are_read_anew_at_each_sign_in() -> None:
    """A rotated password needs no restart, and one that can't be read is a refusal with its reason."""
    passwords = iter(["old", "new"])
    credentials = TokenCredentials(lambda: "me", lambda: next(passwords), "r", "c")
    heard: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.all()
            heard.append(base64.b64decode(peer.headers["authorization"].split()[1]))
            await peer.answer(200, GENERATED, Revpro_Token="opaque")

    async with raw_tenant(script) as tenant, client(tenant.base_url, credentials) as api:
        token = await api.tokens.token()
        await api.tokens.renew(token)
    assert heard == [b"me:old", b"me:new"]

    def unreadable() -> str:
        raise ConfigError(["tenant.password: file:/etc/x is gone"])

    async with client(
        "http://127.0.0.1:1", TokenCredentials(unreadable, unreadable, "", "")
    ) as api:
        with pytest.raises(SignInRefused, match=r"file:/etc/x is gone"):
            await api.tokens.token()


async def test_a_token_that_would_break_a_header_is_not_used() -> None:
    """A body's token with a newline never becomes a header."""
    body = {"access_token": "a\r\nX-Evil: 1"}
    async with raw_tenant(gives(200, body)) as tenant, client(tenant.base_url) as api:
        with pytest.raises(Unreachable, match="without a token"):
            await api.tokens.token()


def test_a_proxys_password_is_remembered_as_a_secret() -> None:
    """What stands in the proxy's address must not be logged either."""
    secrets: list[str] = []
    credentials = OneIdCredentials(lambda: "", lambda: "")
    settings = ApiSettings("https://tenant.example", proxy="http://me:p%40ss@proxy.example:8080")
    hooks = Hooks(remember_secret=secrets.append)
    connect(settings, credentials, AnswerWords.of(), SystemClock(), hooks)
    assert secrets == ["p@ss"]
    assert "p%40ss" not in repr(settings)
