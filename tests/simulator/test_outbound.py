"""GL batches as list, pages, report and file, and their confirmation."""

import csv
import gzip
import io
import zipfile
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import httpx
import pytest

from revsyncd.simulator import KeyCase, Tenant
from revsyncd.simulator.journal import COLUMNS, Packing

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]


async def test_ready_batches_are_listed_until_confirmed(start: Start, signed_in: Client) -> None:
    """204 when there are none; a second confirmation changes no row."""
    tenant = await start()
    client = await signed_in(tenant)
    assert (await client.get("/v1/journal/list")).status_code == 204
    batch = tenant.world.journal.add()
    [row] = (await client.get("/v1/journal/list")).json()["result"]
    assert (row["id"], row["status"], row["report_id"]) == (
        batch.id,
        "READY TO TRANSFER",
        batch.report_id,
    )
    path = f"/v1/journal/batch/status/{batch.id}"
    assert (await client.put(path)).json() == {"status": "Success"}
    assert (await client.get("/v1/journal/list")).status_code == 204
    again = await client.put(path)
    assert (again.status_code, "0 row(s) updated" in again.json()["message"]) == (400, True)


async def test_pages_end_with_204(start: Start, signed_in: Client) -> None:
    """The size by header and query; a tenant may serve fewer a page; columns keep their case."""
    tenant = await start(page_cap=300, key_case=KeyCase.TITLE)
    client = await signed_in(tenant)
    batch = tenant.world.journal.add(700)
    rows: list[dict[str, str]] = []
    for page in range(1, 4):
        answer = await client.get(
            f"/v1/journal/batch/{batch.id}/{page}",
            headers={"pagesize": "500"},
            params={"pagesize": 500},
        )
        rows += answer.json()["Result"]
    assert [tuple(row.values()) for row in rows] == list(batch.rows)
    assert tuple(rows[0]) == COLUMNS
    assert (await client.get(f"/v1/journal/batch/{batch.id}/4")).status_code == 204
    for wrong in (f"{batch.id}/0", f"{batch.id}/x", "1/1"):
        assert (await client.get(f"/v1/journal/batch/{wrong}")).status_code == 400
    assert not tenant.world.violations


@pytest.mark.parametrize(
    ("header", "query"), [("10001", "10001"), ("5", "6"), ("x", "x"), ("0", "0")]
)
async def test_a_wrong_page_size_is_recorded(
    start: Start, signed_in: Client, header: str, query: str
) -> None:
    """More than 10,000, or two sizes at once."""
    tenant = await start()
    client = await signed_in(tenant)
    batch = tenant.world.journal.add(2)
    path = f"/v1/journal/batch/{batch.id}/1"
    await client.get(path, headers={"pagesize": header}, params={"pagesize": query})
    assert [each["rule"] for each in tenant.world.violations] == ["pagesize"]


async def test_a_report_is_behind_a_signed_url(
    start: Start, signed_in: Client, http: httpx.AsyncClient
) -> None:
    """On another host, without credentials, for the time that it says."""
    tenant = await start()
    client = await signed_in(tenant)
    batch = tenant.world.journal.add(3)
    said = (await client.get(f"/v2/reports/signedurl/{batch.report_id}")).json()
    url = said["signed_url"]
    assert urlsplit(url).hostname != urlsplit(tenant.base_url).hostname
    report = await http.get(url)
    assert [tuple(row) for row in csv.reader(io.StringIO(report.text))] == [COLUMNS, *batch.rows]
    assert (await http.get(url[:-1] + ("0" if url[-1] != "0" else "1"))).status_code == 403
    assert (await http.get(url.partition("?")[0])).status_code == 403
    shown = await http.get(url, headers={"token": "x"})
    assert (shown.status_code, tenant.world.violations[0]["rule"]) == (400, "credentials")
    tenant.world.journal.reissue(batch.id)
    assert (await http.get(url)).status_code == 404
    for gone in (batch.report_id, "x"):
        assert (await client.get(f"/v2/reports/signedurl/{gone}")).status_code == 404


async def test_a_signed_url_expires(
    start: Start, signed_in: Client, http: httpx.AsyncClient
) -> None:
    """Then it is 403, whatever its signature."""
    tenant = await start(signed_life=-1.0)
    client = await signed_in(tenant)
    batch = tenant.world.journal.add()
    said = (await client.get(f"/v2/reports/signedurl/{batch.report_id}")).json()
    assert (await http.get(said["signed_url"])).status_code == 403


async def test_a_file_may_be_packed_whatever_its_name(start: Start, signed_in: Client) -> None:
    """Plain, gzip or zip; the content is the same."""
    tenant = await start()
    client = await signed_in(tenant)
    files = {}
    for packing in Packing:
        batch = tenant.world.journal.add(packing=packing)
        answer = await client.get(f"/v1/download/transferbatchfile/{batch.id}")
        assert ".csv" in answer.headers["Content-Disposition"]
        files[packing] = answer.content
    with zipfile.ZipFile(io.BytesIO(files[Packing.ZIP])) as archive:
        [name] = archive.namelist()
        assert archive.read(name) == files[Packing.PLAIN]
    assert gzip.decompress(files[Packing.GZIP]) == files[Packing.PLAIN]
    assert (await client.get("/v1/download/transferbatchfile/1")).status_code == 204
    tenant.configure(file_life=0)
    assert (await client.get(f"/v1/download/transferbatchfile/{batch.id}")).status_code == 204
