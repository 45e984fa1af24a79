"""The control path: verbs, state, waiting, content."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from revsyncd.simulator import Tenant

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]
Small = Callable[..., bytes]
SMALL = {"templatename": "Small Transactions"}


@pytest.fixture
async def tenant(start: Start) -> Tenant:
    return await start()


@pytest.fixture
def control(http: httpx.AsyncClient, tenant: Tenant) -> httpx.AsyncClient:
    http.base_url = httpx.URL(tenant.info["control_url"])
    return http


async def do(control: httpx.AsyncClient, verb: str, **details: Any) -> Any:
    answer = await control.post("/trouble", json={"verb": verb, **details})
    assert answer.status_code == 200, answer.text
    return answer.json()["done"]


async def send(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.post("/v1/upload/file", headers=SMALL, files={"file": ("a.csv", content)})


async def test_the_state_tells_what_was_accepted(
    tenant: Tenant, control: httpx.AsyncClient, signed_in: Client, small: Small
) -> None:
    """Uploads with their fate and hash, counts, and the bytes themselves."""
    client = await signed_in(tenant)
    await send(client, small("L1"))
    state = (await control.get("/wait", params={"staged": 1})).json()
    [upload] = state["uploads"]
    assert (upload["request_id"], upload["records"], upload["state"]) == (10001, 1, "staged")
    content = await control.get("/uploads/10001/content")
    assert content.content == small("L1")
    assert (state["sign_ins"], state["max_parallel_uploads"], state["violations"]) == (1, 1, [])
    assert state["calls"]["POST /api/integration/v1/authenticate"] == 1
    assert (await control.get("/uploads/1/content")).status_code == 404


async def test_waiting_ends_when_the_count_is_there(
    tenant: Tenant, control: httpx.AsyncClient, signed_in: Client, small: Small
) -> None:
    """Or with 504 when the time is over."""
    client = await signed_in(tenant)
    async with anyio.create_task_group() as group:
        group.start_soon(send, client, small("L1"))
        answer = await control.get("/wait", params={"uploads": 1, "staged": 1, "sign_ins": 1})
    assert answer.status_code == 200
    late = await control.get("/wait", params={"uploads": 2, "within": 0.01})
    assert (late.status_code, len(late.json()["uploads"])) == (504, 1)


async def test_trouble_comes_and_goes_by_the_control_path(
    tenant: Tenant, control: httpx.AsyncClient, signed_in: Client
) -> None:
    """The same trouble as by the object's own method."""
    client = await signed_in(tenant)
    done = await do(control, "answer", on="/v1/journal", status=503, times=3, retry_after=1)
    assert (done["times"], done["at"]) == (3, "body")
    assert (await client.get("/v1/journal/list")).status_code == 503
    assert (await control.delete("/trouble")).json() == {"done": 1}
    assert (await client.get("/v1/journal/list")).status_code == 204
    assert await do(control, "expire_tokens") == 1
    assert (await client.get("/v1/journal/list")).status_code == 401


async def test_uploads_can_be_held_refused_and_described(
    tenant: Tenant, control: httpx.AsyncClient, signed_in: Client, small: Small
) -> None:
    """What people at the tenant do: hold staging, reject, and a log with another count."""
    client = await signed_in(tenant)
    await do(control, "hold_uploads")
    await do(control, "refuse_upload", nth=1, message="Rejected", file_log="by a reviewer")
    await do(control, "say_of_upload", nth=2, file_log="7 staged, 0 failed")
    for line in ("L1", "L2"):
        await send(client, small(line))
    assert (await control.get("/state")).json()["held"] is True
    assert len(tenant.world.staged) == 0
    await do(control, "release_uploads")
    state = (await control.get("/wait", params={"staged": 1, "refused": 1})).json()
    assert [(each["message"], each["file_log"]) for each in state["uploads"]] == [
        ("Rejected", "by a reviewer"),
        ("Data Staged Successfully", "7 staged, 0 failed"),
    ]


async def test_lines_batches_and_settings_change_by_verb(
    tenant: Tenant, control: httpx.AsyncClient, signed_in: Client, small: Small
) -> None:
    """The rest of the verbs."""
    client = await signed_in(tenant)
    await send(client, small("L1", "L2", "L3", start=""))
    await control.get("/wait", params={"stage_errors": 3})
    assert await do(control, "delete_lines", line_ids=["L1"]) == 1
    assert await do(control, "delete_lines") == 2
    batch = await do(control, "add_batch", lines=4, balanced=False, packing="gzip", status="NEW")
    again = await do(control, "reissue_batch", batch=batch["id"], lines=6)
    assert (batch["status"], again["status"]) == ("NEW", "READY TO TRANSFER")
    await do(control, "configure", not_known="400", staging_delay=1)
    assert (await client.get("/v1/fileupload/status/1")).status_code == 400
    assert await do(control, "clear") == 0


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[]", "JSON object"),
        ("{", "Expecting"),
        ('{"verb": []}', "verb"),
        ('{"verb": "hold_uploads", "times": 1}', "times"),
        ('{"verb": "refuse_upload", "nth": "1"}', "nth"),
        ('{"verb": "configure", "id_in": "x"}', "id_in"),
        ('{"verb": "reissue_batch"}', "batch"),
        ('{"verb": "explode"}', "explode"),
    ],
)
async def test_a_wrong_verb_is_explained(control: httpx.AsyncClient, body: str, words: str) -> None:
    """400 with the key that is wrong."""
    answer = await control.post("/trouble", content=body)
    assert answer.status_code == 400
    assert words in answer.json()["error"]


async def test_other_control_paths_are_unknown(control: httpx.AsyncClient) -> None:
    """404, and a count that there is not is 400."""
    assert (await control.get("/nothing")).status_code == 404
    assert (await control.get("/wait", params={"nothing": 1})).status_code == 400
    assert (await control.post("/trouble", content=b" " * 1_100_000)).status_code == 413
