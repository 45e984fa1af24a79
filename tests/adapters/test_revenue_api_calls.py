import json
import logging
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from raw_tenant import Peer, Script, raw_tenant
from revenue_api_bench import PATIENCE, Bench, bench

from revsyncd.adapters.revenue_api.listings import column_type, error_code
from revsyncd.core.errors import (
    Busy,
    Forbidden,
    SignInRefused,
    TenantError,
    TenantUnusable,
    Unreachable,
)
from revsyncd.core.template import ColumnType, Kind
from revsyncd.core.verdict import Following, Route

MAPPING = {
    "Dateformat": "DD-MON-YYYY",
    "Mapping": [
        {"label": "Amount", "col_name": "EXT_SELL_PRICE", "data_type": "NUMBER", "seq": 10},
        {"label": "Doc Line Id", "col_name": "DOC_LINE_ID", "data_type": "VARCHAR2", "seq": 2},
        {"label": "Start Date", "col_name": "START_DATE", "data_type": "Date", "seq": "3"},
    ],
}
NOTHING = {"status": "Error", "message": "No records found. Logs might have been truncated"}


def says(status: int, body: Any = b"", **headers: str) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            await peer.all()
            await peer.answer(status, body, **headers)

    return script


Ask = Callable[[Bench], Awaitable[Any]]
ASKS: dict[str, Ask] = {
    "mapping": lambda desk: desk.api.mapping("Orders"),
    "status": lambda desk: desk.api.status(Route.FILE, 10001, 500),
    "csv status": lambda desk: desk.api.status(Route.CSV, 10001, 500),
    "stage errors": lambda desk: desk.api.stage_errors(Kind.TRANSACTION),
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS.keys())
@pytest.mark.parametrize(
    ("status", "body", "error", "hint"),
    [
        (401, b"", SignInRefused, "client_name"),
        (403, b"<html>Forbidden</html>", Forbidden, "Webservices Inbound and Outbound"),
        (404, b"", Forbidden, "base_url"),
        (405, b"", TenantUnusable, "not enabled for this tenant: ask Zuora Support"),
        (301, b"", TenantUnusable, "base_url"),
        (302, b"", TenantUnusable, "base_url"),
        (429, b"", Busy, "by itself"),
        (503, b"", Busy, "by itself"),
        (200, b"<html><title>Maintenance</title></html>", Busy, "by itself"),
        (400, b"<html>?</html>", Busy, "by itself"),
        (500, {"message": "ORA-00600"}, Unreachable, "Zuora Support"),
        (502, b"<html>Bad Gateway</html>", Busy, "by itself"),
        (200, b'{"status":"Succ', Unreachable, "Zuora Support"),
    ],
)
async def test_each_trouble_has_its_error_and_its_hint(
    ask: Ask, status: int, body: Any, error: type[TenantError], hint: str
) -> None:
    """What a status means does not depend on the call, and a person is told what to do."""
    away = "https://login.example/secret?token=abc"
    script = says(status, body, Retry_After="7", Location=away)
    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(error) as trouble:
            await ask(desk)
        assert hint in trouble.value.hint
        assert f"HTTP {status}" in trouble.value.message
        assert "abc" not in trouble.value.message
        if isinstance(trouble.value, Busy):
            assert trouble.value.retry_after == 7


async def test_a_redirect_names_only_the_host() -> None:
    """Where a redirect leads is told without its path and query, and not followed."""
    script = says(302, b"", Location="https://login.example/x?token=abc")
    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(TenantUnusable, match=r"to login\.example$"):
            await desk.api.mapping("Orders")
        assert len(tenant.peers) == 1


async def test_a_401_is_renewed_and_repeated_once() -> None:
    """One renewal, one repeat: then the call goes through with the new token."""
    tokens: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.all()
            tokens.append(peer.headers["token"])
            await peer.answer(*((401, b"") if tokens[-1] == b"T1" else (200, MAPPING)))

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        await desk.api.mapping("Orders")
        await desk.api.mapping("Orders")
    assert tokens == [b"T1", b"T2", b"T2"]


async def test_silence_and_absence_are_unreachable() -> None:
    """No answer in time and nobody there are worth trying again."""

    async def silent(peer: Peer) -> None:
        await peer.all()
        await peer.gone()

    async with (
        raw_tenant(silent) as tenant,
        bench(tenant.base_url, replace(PATIENCE, read_timeout=0.05)) as desk,
    ):
        with pytest.raises(Unreachable, match=r"GET /api/integration/v1/upload/mapping: no answer"):
            await desk.api.mapping("Orders")
    async with bench("http://127.0.0.1:1") as desk:
        with pytest.raises(Unreachable, match="no connection"):
            await desk.api.mapping("Orders")


async def test_a_mapping_is_read_in_the_tenants_order() -> None:
    """Columns come by `seq`, types in any spelling, the date mask as it stands."""
    async with raw_tenant(says(200, MAPPING)) as tenant, bench(tenant.base_url) as desk:
        mapping = await desk.api.mapping("Umsätze & more")
    assert mapping.date_format == "DD-MON-YYYY"
    assert mapping.labels == ("Doc Line Id", "Start Date", "Amount")
    assert [c.name for c in mapping.columns] == ["DOC_LINE_ID", "START_DATE", "EXT_SELL_PRICE"]
    types = [c.type for c in mapping.columns]
    assert types == [ColumnType.CHARACTER, ColumnType.DATE, ColumnType.NUMBER]
    peer = tenant.peers[0]
    assert (peer.method, peer.path) == ("GET", "/api/integration/v1/upload/mapping")
    assert peer.query == {"templatename": ["Umsätze & more"]}
    assert peer.headers["token"] == b"T1"
    assert "authorization" not in peer.headers


@pytest.mark.parametrize(
    "body",
    [
        {"dateFormat": "YYYY-MM-DD", "mapping": [{"Label": "A", "Col_Name": "A"}]},
        {"status": "Success", "Result": {"DATEFORMAT": "YYYY-MM-DD", "MAPPING": [{"label": "A"}]}},
        {"result": '{"Dateformat": "YYYY-MM-DD", "Mapping": [{"col_name": "A", "label": ""}]}'},
    ],
)
async def test_a_mappings_keys_are_read_without_case(body: Any) -> None:
    """The same mapping in another spelling or envelope is the same mapping."""
    async with raw_tenant(says(200, body)) as tenant, bench(tenant.base_url) as desk:
        mapping = await desk.api.mapping("Orders")
    assert (mapping.date_format, mapping.labels) == ("YYYY-MM-DD", ("A",))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"status": "Error", "message": "Invalid template"}),
        (400, b""),
        (204, b""),
        (200, {"status": "Error", "message": "Template not found"}),
    ],
)
async def test_an_unknown_template_is_forbidden(status: int, body: Any) -> None:
    """A template that the tenant does not know needs a person, who is told its name."""
    async with raw_tenant(says(status, body)) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Forbidden, match="'Orders'") as trouble:
            await desk.api.mapping("Orders")
        assert "template_name" in trouble.value.hint


async def test_a_mapping_that_makes_no_sense_is_tried_again() -> None:
    """A success without columns is no statement about the template."""
    async with raw_tenant(says(200, {"status": "OK"})) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Unreachable, match="can't be read"):
            await desk.api.mapping("Orders")


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("Character", ColumnType.CHARACTER),
        ("VARCHAR2(240)", ColumnType.CHARACTER),
        ("", ColumnType.CHARACTER),
        ("Number", ColumnType.NUMBER),
        ("NUMBER(10,2)", ColumnType.NUMBER),
        ("integer", ColumnType.NUMBER),
        ("DATE", ColumnType.DATE),
        ("timestamp(6)", ColumnType.DATE),
    ],
)
def test_types_are_known_in_any_spelling(spelling: str, kind: ColumnType) -> None:
    """What is no number and no date is text."""
    assert column_type(spelling) is kind


@pytest.mark.parametrize(
    ("route", "path", "query"),
    [
        (Route.FILE, "/api/integration/v1/fileupload/status/10001", {}),
        (Route.CSV, "/api/integration/v1/csv/upload/status", {"id": ["10001"]}),
    ],
)
async def test_a_status_is_asked_at_its_own_address(
    route: Route, path: str, query: dict[str, list[str]]
) -> None:
    """Each route has its own status call."""
    body = {"status": "Success", "message": "Data Staged Successfully", "Result": []}
    async with raw_tenant(says(200, body)) as tenant, bench(tenant.base_url) as desk:
        reading = await desk.api.status(route, 10001, 500)
    assert reading.following is Following.STAGED
    assert (tenant.peers[0].path, tenant.peers[0].query) == (path, query)


@pytest.mark.parametrize(
    ("status", "body"), [(204, b""), (400, NOTHING), (404, NOTHING), (200, NOTHING), (400, b"")]
)
async def test_not_known_yet_is_no_error(status: int, body: Any) -> None:
    """The tenant's several ways to know nothing of an upload are an answer."""
    async with raw_tenant(says(status, body)) as tenant, bench(tenant.base_url) as desk:
        reading = await desk.api.status(Route.FILE, 10001, 500)
    assert reading.following is Following.NOT_YET


async def test_an_id_that_is_a_text_stays_one_piece_of_the_path() -> None:
    """Whatever a tenant calls an id, it can't lead to another address."""
    async with raw_tenant(says(204)) as tenant, bench(tenant.base_url) as desk:
        await desk.api.status(Route.FILE, "../x?y", 1)
    assert tenant.peers[0].target.endswith("/fileupload/status/..%2Fx%3Fy")


ROW = {
    "client_id": 5,
    "err_msg": "RPRO-0076: rate  missing\n",
    "id": 9001,
    "inv_line_id": None,
    "so_line_id": "SO-1",
    "type": "SO",
    "upload_id": "10001",
    "crtd_dt": "23-NOV-2026 04:47:32",
}


@pytest.mark.parametrize("name", ["Result", "result", "RESULT", "data"])
async def test_stage_errors_are_listed(name: str) -> None:
    """Each line in error comes with its ids as text and its code in one spelling."""
    shouted = {key.upper(): value for key, value in ROW.items()}
    body = {"status": "Success", name: [ROW, shouted, {"id": None}]}
    async with raw_tenant(says(200, body)) as tenant, bench(tenant.base_url) as desk:
        rows = await desk.api.stage_errors(Kind.TRANSACTION)
    assert rows[0] == rows[1]
    assert len(rows) == 2
    row = rows[0]
    assert (row.id, row.so_line_id, row.inv_line_id) == ("9001", "SO-1", "")
    assert (row.code, row.message) == ("RPRO-00076", "RPRO-0076: rate missing")
    assert (row.type, row.upload_id, row.created) == ("SO", "10001", "23-NOV-2026 04:47:32")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (204, b""),
        (200, {"status": "Success", "message": "No Records Found"}),
        (200, {"status": "Success", "Result": "No Records Found"}),
        (200, {"status": "Success", "Result": None}),
        (200, {"status": "Success", "Result": "None"}),
        (400, {"status": "Error", "message": "No Records Found"}),
    ],
)
async def test_no_stage_errors_are_an_empty_list(status: int, body: Any) -> None:
    """None, 204 and "No Records Found" say the same."""
    async with raw_tenant(says(status, body)) as tenant, bench(tenant.base_url) as desk:
        assert await desk.api.stage_errors(Kind.TRANSACTION) == []


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"message": "Invalid type"}),
        (200, {"status": "Error", "message": "try later"}),
        (200, b"try later"),
        (200, b""),
    ],
)
async def test_stage_errors_that_can_not_be_had_are_not_taken_for_none(
    status: int, body: Any
) -> None:
    """An error must never look as if all errors were gone."""
    async with raw_tenant(says(status, body)) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Unreachable, match=r"stage/error/transaction: HTTP"):
            await desk.api.stage_errors(Kind.TRANSACTION)


@pytest.mark.parametrize(
    ("kind", "word"),
    [(Kind.TRANSACTION, "transaction"), (Kind.EVENT, "event"), (Kind.BUNDLE, "transaction")],
)
async def test_bundles_are_looked_for_among_transactions(kind: Kind, word: str) -> None:
    """The tenant has two lists of stage errors."""
    async with raw_tenant(says(204)) as tenant, bench(tenant.base_url) as desk:
        await desk.api.stage_errors(kind)
    assert tenant.peers[0].path == f"/api/integration/v1/stage/error/{word}"


async def test_a_long_list_is_read_whole_and_compressed_too() -> None:
    """A list of many thousand lines comes as it is, gzip included."""
    rows = [{**ROW, "id": number, "filler": "x" * 200} for number in range(5000)]
    packer = zlib.compressobj(wbits=31)
    packed = packer.compress(json.dumps({"Result": rows}).encode()) + packer.flush()
    script = says(200, packed, Content_Encoding="gzip")
    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        found = await desk.api.stage_errors(Kind.TRANSACTION)
    assert [row.id for row in found] == [str(number) for number in range(5000)]


async def test_an_answer_beyond_its_limit_is_unreachable() -> None:
    """A mapping of megabytes is none, and does not fill the memory."""
    script = says(200, b"[" + b" " * (2 << 20) + b"]")
    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Unreachable, match="cut or unreadable"):
            await desk.api.mapping("Orders")


async def test_a_cut_answer_is_unreachable() -> None:
    """An answer that ends too early is tried again."""

    async def script(peer: Peer) -> None:
        await peer.all()
        await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"Mapping": [')

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Unreachable, match="cut or unreadable"):
            await desk.api.mapping("Orders")


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("RPRO-76 missing", "RPRO-00076"),
        ("error RPRO-000076", "RPRO-00076"),
        ("rpro_00707: too long", "RPRO-00707"),
        ("CUST-0017 ours", "CUST-0017"),
        ("custom text", ""),
        ("customer 5 missing", ""),
        ("", ""),
    ],
)
def test_a_code_inside_the_text_has_one_spelling(message: str, code: str) -> None:
    """Varying zeros make no other code."""
    assert error_code(message) == code


async def test_a_probe_signs_in_and_asks_for_one_mapping() -> None:
    """A template that the tenant does not know proves that it answers."""
    settings = replace(PATIENCE, probe_template="Orders")
    async with (
        raw_tenant(says(400, {"message": "no template"})) as tenant,
        bench(tenant.base_url, settings) as desk,
    ):
        await desk.api.probe()
        assert tenant.peers[0].query == {"templatename": ["Orders"]}
    async with raw_tenant(says(405)) as tenant, bench(tenant.base_url, settings) as desk:
        with pytest.raises(TenantUnusable):
            await desk.api.probe()


async def test_a_probe_without_a_template_only_signs_in() -> None:
    """Where no template is configured, the sign-in is the question."""
    async with raw_tenant(says(500)) as tenant, bench(tenant.base_url) as desk:
        await desk.api.probe()
        assert (desk.sign_ins.calls, tenant.peers) == (1, [])


async def test_foreign_libraries_do_not_log_addresses(caplog: pytest.LogCaptureFixture) -> None:
    """Whole addresses by httpx and headers by httpcore: neither is let through."""
    caplog.set_level(logging.DEBUG)
    async with raw_tenant(says(200, MAPPING)) as tenant, bench(tenant.base_url) as desk:
        await desk.api.mapping("Orders")
    assert not [r for r in caplog.records if r.name.startswith(("httpx", "httpcore"))]
