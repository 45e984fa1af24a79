"""Uploads by both routes, their status, and the lines in error."""

import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from revsyncd.simulator import EmptyResult, IdIn, KeyCase, NoErrors, NotKnown, State, Tenant

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]
Small = Callable[..., bytes]
SMALL = {"templatename": "Small Transactions"}


async def send_file(
    client: httpx.AsyncClient, content: bytes, name: str = "a.csv"
) -> httpx.Response:
    return await client.post("/v1/upload/file", headers=SMALL, files={"file": (name, content)})


async def send_csv(
    client: httpx.AsyncClient, content: bytes, name: str = "a.csv"
) -> httpx.Response:
    headers = SMALL | {"filename": name, "content-type": "text/plain"}
    return await client.post("/v1/csv/upload", headers=headers, content=content)


def rules(tenant: Tenant) -> list[str]:
    return [each["rule"] for each in tenant.world.violations]


async def test_a_file_is_received_then_staged(
    start: Start, signed_in: Client, small: Small
) -> None:
    """The answer carries an id, the status follows, and the stored bytes are those that were sent."""
    tenant = await start()
    client = await signed_in(tenant)
    content = small("L1", "L2")
    answer = await send_file(client, content)
    assert answer.json() == {
        "status": "Success",
        "message": "File received successfully",
        "result": {"file_request_id": 10001, "file_name": "a.csv"},
    }
    [upload] = await tenant.uploads_concluded(1)
    assert upload.content.read_bytes() == content
    assert (upload.sha256, upload.records) == (hashlib.sha256(content).hexdigest(), 2)
    status = await client.get("/v1/fileupload/status/10001")
    assert status.json() == {
        "status": "Success",
        "message": "Data Staged Successfully",
        "Result": [{"file_request_id": 10001, "file_log": "2 staged, 0 failed"}],
    }
    assert not tenant.world.violations
    assert tenant.world.counts.max_parallel_uploads == 1
    beside = json.loads(upload.content.with_suffix(".json").read_text())
    assert (beside["file_name"], beside["template"]) == ("a.csv", "Small Transactions")


async def test_a_bad_file_is_refused_by_its_status(
    start: Start, signed_in: Client, small: Small
) -> None:
    """upload/file accepts first and refuses later, whole, in words."""
    tenant = await start()
    client = await signed_in(tenant)
    assert (await send_file(client, small("L1", start="31-FEB-2026"))).status_code == 200
    [upload] = await tenant.uploads_concluded(1)
    assert upload.state is State.REFUSED
    said = (await client.get("/v1/fileupload/status/10001")).json()
    assert (said["status"], said["message"]) == ("Error", "Error loading Data into Staging Area")
    assert "31-FEB-2026" in said["Result"][0]["file_log"]


async def test_csv_upload_answers_for_itself(start: Start, signed_in: Client, small: Small) -> None:
    """200 staged or 400 refused, and the status by id says it again."""
    tenant = await start()
    client = await signed_in(tenant)
    good = await send_csv(client, small("L1"))
    assert good.json()["message"] == "Data Staged Successfully"
    bad = await send_csv(client, small("=L1"), "b.csv")
    assert bad.status_code == 400
    assert "RPRO-00603" in bad.json()["result"]["message"]
    status = await client.get("/v1/csv/upload/status", params={"id": good.json()["result"]["id"]})
    assert status.json()["result"]["status"] == "Successfully Uploaded"
    refused = await client.get("/v1/csv/upload/status", params={"id": bad.json()["result"]["id"]})
    assert refused.json()["status"] == "Error"
    assert (await client.get("/v1/fileupload/status/10001")).status_code == 204
    assert not tenant.world.violations


async def test_the_mapping_describes_the_template(start: Start, signed_in: Client) -> None:
    """Columns in order with staging names and types; an unknown template is 400."""
    tenant = await start()
    client = await signed_in(tenant)
    said = (
        await client.get("/v1/upload/mapping", params={"templatename": "Transaction Upload"})
    ).json()
    assert said["Dateformat"] == "DD-MON-YYYY"
    assert [row["label"] for row in said["Mapping"]] == tenant.info["templates"][
        "Transaction Upload"
    ]
    assert [row["seq"] for row in said["Mapping"]] == list(range(1, 61))
    price = next(row for row in said["Mapping"] if row["label"] == "Ext Sll Prc")
    assert (price["col_name"], price["data_type"]) == ("EXT_SELL_PRC", "Number")
    unknown = await client.get("/v1/upload/mapping", params={"templatename": "None"})
    assert unknown.status_code == 400


@pytest.mark.parametrize("where", list(IdIn))
@pytest.mark.parametrize("case", list(KeyCase))
async def test_the_id_may_be_anywhere(
    start: Start, signed_in: Client, small: Small, where: IdIn, case: KeyCase
) -> None:
    """Everywhere that a setting puts it, in every key case; the status works all the same."""
    tenant = await start(id_in=where, key_case=case)
    client = await signed_in(tenant)
    said = (await send_file(client, small("L1"))).json()
    lowered = {key.lower(): value for key, value in said.items()}
    assert ("10001" in json.dumps(said)) == (where != IdIn.NONE)
    assert lowered["status"] == "Success"
    assert ("Status" if case is KeyCase.TITLE else "status") in said
    kind = {IdIn.OBJECT: "dict", IdIn.LIST: "list"}.get(where, "str")
    assert type(lowered["result"]).__name__ == kind
    await tenant.uploads_concluded(1)
    assert (await client.get("/v1/fileupload/status/10001")).status_code == 200


@pytest.mark.parametrize(
    ("empty", "shown"),
    [
        (EmptyResult.NONE, {"result": "None"}),
        (EmptyResult.NULL, {"result": None}),
        (EmptyResult.ABSENT, {}),
    ],
)
async def test_an_empty_result_has_several_forms(
    start: Start, signed_in: Client, empty: EmptyResult, shown: dict[str, Any]
) -> None:
    """The string "None", null, or no key."""
    tenant = await start(no_errors=NoErrors.WORDS, empty_result=empty)
    client = await signed_in(tenant)
    said = (await client.get("/v1/stage/error/event")).json()
    assert said == {"status": "Success", "message": "No Records Found", **shown}


@pytest.mark.parametrize(
    ("not_known", "status"), [(NotKnown.NO_CONTENT, 204), (NotKnown.BAD_REQUEST, 400)]
)
async def test_what_is_not_known_is_said_in_two_ways(
    start: Start, signed_in: Client, small: Small, not_known: NotKnown, status: int
) -> None:
    """An upload that waits for staging is as unknown as one that never came."""
    tenant = await start(not_known=not_known)
    client = await signed_in(tenant)
    tenant.world.hold_staging()
    await send_file(client, small("L1"))
    for request_id in (10001, 99999, "x", "9" * 30):
        answer = await client.get(f"/v1/fileupload/status/{request_id}")
        assert answer.status_code == status
    assert (await client.get("/v1/csv/upload/status")).status_code == status
    assert (await client.get("/v1/stage/error/transaction")).status_code == 204
    tenant.configure(pending_known=True)
    pending = await client.get("/v1/fileupload/status/10001")
    assert pending.json()["Result"][0]["file_log"] == ""
    tenant.world.release_staging()
    await tenant.uploads_concluded(1)


async def test_staging_takes_its_time(start: Start, signed_in: Client, small: Small) -> None:
    """With a delay the upload is not staged at once, but by itself when its time has come."""
    tenant = await start(staging_delay=3600.0)
    client = await signed_in(tenant)
    await send_file(client, small("L1"))
    assert (await tenant.uploads_stored(1))[0].state is State.RECEIVED
    tenant.world.clock = lambda: time.time() + 3600
    tenant.touch()
    [upload] = await tenant.uploads_concluded(1)
    assert upload.state is State.STAGED


async def test_lines_in_error_are_listed_until_deleted(
    start: Start, signed_in: Client, small: Small
) -> None:
    """With every documented field, the upload id as a string."""
    tenant = await start()
    client = await signed_in(tenant)
    await send_file(client, small("L1", "L2", start=""))
    await tenant.uploads_concluded(1)
    rows = (await client.get("/v1/stage/error/transaction")).json()["Result"]
    documented = (
        "client_id crtd_by crtd_dt err_msg id inv_line_id inv_line_num processed_flag sec_atr_val "
        "so_line_id so_line_num so_num type updt_by updt_dt upload_id"
    )
    assert sorted(rows[0]) == documented.split()
    assert [(row["so_line_id"], row["upload_id"]) for row in rows] == [
        ("L1", "10001"),
        ("L2", "10001"),
    ]
    assert rows[0]["err_msg"].startswith("RPRO-00018")
    tenant.world.delete_lines(["L1"])
    assert len((await client.get("/v1/stage/error/transaction")).json()["Result"]) == 1
    assert (await client.get("/v1/stage/error/bundle")).status_code == 404


@pytest.mark.parametrize(
    ("headers", "files", "words"),
    [
        ({}, {"file": ("a.csv", b"x")}, "templatename is missing"),
        ({"templatename": "None"}, {"file": ("a.csv", b"x")}, "does not exist"),
        (SMALL, {"document": ("a.csv", b"x")}, "No part `file`"),
        (SMALL, {"file": (None, b"x")}, "No part `file`"),
        (SMALL, {"file": ("a.csv", b"")}, "empty"),
        (SMALL, None, "not multipart"),
    ],
)
async def test_a_wrong_upload_is_refused_at_once(
    start: Start, signed_in: Client, headers: dict[str, str], files: Any, words: str
) -> None:
    """Nothing is stored of a request that is not as documented."""
    tenant = await start()
    client = await signed_in(tenant)
    answer = await client.post("/v1/upload/file", headers=headers, files=files)
    assert answer.status_code == 400
    assert words in answer.json()["message"]
    assert not tenant.world.uploads


async def test_a_csv_upload_has_its_own_conditions(
    start: Start, signed_in: Client, small: Small
) -> None:
    """text/plain, a unique file name, at most 20,000 lines."""
    tenant = await start(csv_line_limit=2)
    client = await signed_in(tenant)
    assert (await send_csv(client, small("L1", "L2"))).status_code == 200
    again = await send_csv(client, small("L3"))
    assert (again.status_code, "already exists" in again.json()["message"]) == (400, True)
    assert (await send_csv(client, small("1", "2", "3"), "b.csv")).status_code == 400
    assert (await send_csv(client, small("L1"), "")).status_code == 400
    headers = SMALL | {"filename": "c.csv", "content-type": "application/json"}
    assert (await client.post("/v1/csv/upload", headers=headers, content=b"x")).status_code == 415
    assert rules(tenant) == ["filename", "csv_lines", "filename", "content_type"]
    assert len(list(tenant.uploads.glob("*.csv"))) == 1


async def test_what_a_client_may_not_send_is_recorded(
    start: Start, signed_in: Client, small: Small
) -> None:
    """A BOM, other encodings, names that are not ASCII."""
    tenant = await start()
    client = await signed_in(tenant)
    await send_file(client, b"\xef\xbb\xbf" + small("L1"), "ü.csv")
    await send_file(client, small("L1").decode().encode("latin-1"))
    uploads = await tenant.uploads_concluded(2)
    assert [upload.state for upload in uploads] == [State.REFUSED, State.REFUSED]
    assert sorted(rules(tenant)) == ["bom", "encoding", "file_name"]


async def test_a_third_upload_at_once_is_refused(
    start: Start, signed_in: Client, small: Small
) -> None:
    """429 without having taken it; afterwards there is room again."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("stall", on="/v1/upload/file", times=2)
    statuses: list[int] = []

    async def send(name: str) -> None:
        statuses.append((await send_file(client, small(name))).status_code)

    async with anyio.create_task_group() as group:
        group.start_soon(send, "L1")
        group.start_soon(send, "L2")
        await tenant.seen(lambda now: now.trouble.met == 2)
        assert (await send_file(client, small("L3"))).status_code == 429
        tenant.trouble.clear()
    assert statuses == [200, 200]
    assert (await send_file(client, small("L4"))).status_code == 200
    assert len(tenant.world.uploads) == 3
    assert (tenant.world.counts.max_parallel_uploads, rules(tenant)) == (3, ["parallel_uploads"])


async def test_many_uploads_two_at_a_time_are_no_violation(
    start: Start, signed_in: Client, small: Small
) -> None:
    """A client that starts the next upload at once on an answer never counts as a third."""
    tenant = await start()
    client = await signed_in(tenant)

    async def send_many(letter: str) -> None:
        for number in range(20):
            assert (await send_file(client, small(f"{letter}{number}"))).status_code == 200

    async with anyio.create_task_group() as group:
        group.start_soon(send_many, "A")
        group.start_soon(send_many, "B")
    assert tenant.world.counts.max_parallel_uploads == 2
    assert not tenant.world.violations
    assert tenant.world.counts.calls["POST /api/integration/v1/upload/file"] == 40


async def test_a_large_upload_is_stored_exactly(
    start: Start, signed_in: Client, small: Small
) -> None:
    """Megabytes go to disk and come back the same; beyond the limit they are refused."""
    tenant = await start(max_body=4_000_000, stage_rules=())
    client = await signed_in(tenant)
    content = small(*(f"L{number}" for number in range(40_000)))
    assert len(content) > 2_000_000
    assert (await send_file(client, content)).status_code == 200
    [upload] = await tenant.uploads_concluded(1)
    assert (upload.records, upload.content.read_bytes() == content) == (40_000, True)
    assert not list(tenant.incoming.iterdir())
    assert (
        await client.get(f"{tenant.info['control_url']}/uploads/10001/content")
    ).content == content
    assert (await send_file(client, content * 2)).status_code == 413
