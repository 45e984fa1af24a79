"""Signing in, both ways."""

import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from revsyncd.simulator import Tenant

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]
STATUS = "/api/integration/v1/fileupload/status/1"


async def authenticate(http: httpx.AsyncClient, tenant: Tenant, **changes: str) -> httpx.Response:
    said = tenant.info | changes
    return await http.post(
        f"{tenant.base_url}/api/integration/v1/authenticate",
        auth=(said["username"], said["password"]),
        headers={"role": said["role"], "clientname": said["client_name"]},
    )


def claims(token: str) -> dict[str, Any]:
    middle = token.split(".")[1]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))
    return found


async def test_the_token_is_a_jwt_in_a_header(start: Start, http: httpx.AsyncClient) -> None:
    """The body only says that one was made; its life is exp less iat, whatever the tenant's clock."""
    tenant = await start(token_life=900.0, clock_skew=7200.0)
    answer = await authenticate(http, tenant)
    assert answer.json() == {"status": "success", "Message": "Token Generated"}
    said = claims(answer.headers["Revpro-Token"])
    assert said["exp"] - said["iat"] == 900
    assert said["iat"] - tenant.world.clock() > 7000
    known = await http.get(
        tenant.base_url + STATUS, headers={"token": answer.headers["Revpro-Token"]}
    )
    assert known.status_code == 204
    assert tenant.world.counts.sign_ins == 1


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"password": "wrong"}, 401),
        ({"username": "wrong"}, 401),
        ({"role": "wrong"}, 401),
        ({"role": ""}, 400),
        ({"client_name": ""}, 400),
    ],
)
async def test_a_wrong_sign_in_is_refused(
    start: Start, http: httpx.AsyncClient, changes: dict[str, str], status: int
) -> None:
    """400 for what is missing, 401 for what is wrong; both are counted."""
    tenant = await start()
    answer = await authenticate(http, tenant, **changes)
    assert answer.status_code == status
    assert "Revpro-Token" not in answer.headers
    assert (tenant.world.counts.sign_ins, tenant.world.counts.sign_ins_refused) == (0, 1)


@pytest.mark.parametrize("header", ["", "Basic", "Basic !!!", "Basic /w==", "Bearer dTpw"])
async def test_a_strange_authorization_is_refused(
    start: Start, http: httpx.AsyncClient, header: str
) -> None:
    """Whatever stands in the header."""
    tenant = await start()
    answer = await http.post(
        f"{tenant.base_url}/api/integration/v1/authenticate",
        headers={"authorization": header, "role": "API Role", "clientname": "Default"},
    )
    assert answer.status_code == 401


async def test_oneid_gives_a_bearer_token(start: Start, http: httpx.AsyncClient) -> None:
    """Client credentials in a form; the token goes into Authorization, below /revenue or not."""
    tenant = await start(oneid_life=60.0)
    info = tenant.info
    form = {
        "client_id": info["client_id"],
        "client_secret": info["client_secret"],
        "grant_type": "client_credentials",
    }
    said = (await http.post(info["token_url"], data=form)).json()
    assert (said["token_type"], said["expires_in"]) == ("bearer", 60)
    bearer = {"Authorization": f"Bearer {said['access_token']}"}
    for prefix in ("", "/revenue"):
        answer = await http.get(tenant.base_url + prefix + STATUS, headers=bearer)
        assert answer.status_code == 204
    wrong_way = await http.get(tenant.base_url + STATUS, headers={"token": said["access_token"]})
    assert wrong_way.status_code == 401


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"client_secret": "wrong"}, 401),
        ({"grant_type": "password"}, 400),
        ({"client_id": "x"}, 401),
    ],
)
async def test_a_wrong_client_is_refused(
    start: Start, http: httpx.AsyncClient, change: dict[str, str], status: int
) -> None:
    """In OAuth's words."""
    tenant = await start()
    form = {k: tenant.info[k] for k in ("client_id", "client_secret")}
    form |= {"grant_type": "client_credentials"} | change
    answer = await http.post(tenant.info["token_url"], data=form)
    assert answer.status_code == status
    assert "error" in answer.json()


async def test_an_expired_token_is_refused(start: Start, signed_in: Client) -> None:
    """Expired by the control verb, or never issued."""
    tenant = await start()
    client = await signed_in(tenant)
    assert (await client.get("/v1/fileupload/status/1")).status_code == 204
    tenant.tokens.expire_all()
    assert (await client.get("/v1/fileupload/status/1")).status_code == 401
    client.headers["token"] = "a.b.c"
    assert (await client.get("/v1/fileupload/status/1")).status_code == 401


async def test_a_password_on_a_data_call_is_a_violation(start: Start, signed_in: Client) -> None:
    """The password belongs to the sign-in alone."""
    tenant = await start()
    client = await signed_in(tenant)
    await client.get("/v1/fileupload/status/1", auth=("u", "p"))
    assert [each["rule"] for each in tenant.world.violations] == ["password"]


async def test_an_oversized_form_is_refused(start: Start, http: httpx.AsyncClient) -> None:
    """A sign-in needs no 64 KiB."""
    tenant = await start()
    answer = await http.post(tenant.info["token_url"], content=b"x" * 70_000)
    assert answer.status_code == 413
