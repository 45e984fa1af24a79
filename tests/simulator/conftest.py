"""A tenant over a real socket, with settings of each test's own, and clients for it."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from revsyncd.simulator import Settings, Tenant, serve

Start = Callable[..., Awaitable[Tenant]]

# Nothing here speaks TLS: reading the system's certificates for each client would only take time.
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    """What a test opens is closed after it."""
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def start(stack: AsyncExitStack, tmp_path: Path) -> Start:
    """Start a tenant with the given settings; its files are in `tmp_path`."""

    async def started(**settings: Any) -> Tenant:
        return await stack.enter_async_context(serve(Settings(**settings), data=tmp_path))

    return started


@pytest.fixture
def signed_in(stack: AsyncExitStack) -> Callable[[Tenant], Awaitable[httpx.AsyncClient]]:
    """A client that shows a token on every call."""

    async def client_of(tenant: Tenant) -> httpx.AsyncClient:
        base = f"{tenant.base_url}/api/integration"
        client = httpx.AsyncClient(base_url=base, trust_env=False, verify=NO_TLS, timeout=60)
        await stack.enter_async_context(client)
        info = tenant.info
        answer = await client.post(
            "/v1/authenticate",
            auth=(info["username"], info["password"]),
            headers={"role": info["role"], "clientname": info["client_name"]},
        )
        client.headers["token"] = answer.headers["Revpro-Token"]
        return client

    return client_of


@pytest.fixture
async def http(stack: AsyncExitStack) -> httpx.AsyncClient:
    """A client that knows no credentials."""
    return await stack.enter_async_context(
        httpx.AsyncClient(trust_env=False, verify=NO_TLS, timeout=60)
    )


@pytest.fixture
def small() -> Callable[..., bytes]:
    """A file for the template "Small Transactions" with one record for each line id."""

    def made(*line_ids: str, start: str = "01-JAN-2026") -> bytes:
        header = "Type,Doc Num,Doc Line Id,Start Date,End Date,Cstmr Nm,Curr,Ext Sll Prc"
        rows = [f"SO,D1,{each},{start},31-DEC-2026,Müller,EUR,10.50" for each in line_ids]
        return "\r\n".join([header, *rows, ""]).encode()

    return made
