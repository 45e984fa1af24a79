"""What the network does to downloads: cuts at any byte, expiry, hosts without ranges or lengths."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from batches import Start, confirms, name_of, ready, section, status
from bench import Bench

from revsyncd.adapters.revenue_api import report
from revsyncd.simulator import Framing
from revsyncd.simulator.journal import Batch, Packing

SIGNED = "GET /signed/{}"
EVERY = 89  # bytes between two cuts: a prime, so that cells, records and quotes are all hit
REAL = ("report", "file")


def cut(it: Bench, source: str, at: int, times: int = 1) -> None:
    """Let downloads end after so many bytes."""
    on = "/signed/" if source == "report" else "/transferbatchfile/"
    it.tenant.trouble.add("cut", on=on, at="stored", after_bytes=at, times=times)


def nothing_visible(it: Bench, batch: Batch) -> None:
    """No file under a final name, no manifest, and the tenant was told nothing."""
    found = [path.name for path in it.outbox.rglob("*") if path.name.startswith("GL_")]
    assert found == []
    assert confirms(it) == 0
    assert status(it, batch) == "READY TO TRANSFER"


@pytest.mark.parametrize("packing", list(Packing))
@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
@pytest.mark.parametrize("source", REAL)
async def test_a_download_that_is_always_cut_leaves_nothing(
    start: Start, source: str, framing: Framing, packing: Packing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any byte, whatever it is packed in; once the host serves all of it, it is delivered."""
    monkeypatch.setattr(report, "TRIES", 2)
    monkeypatch.setattr("revsyncd.adapters.revenue_api.journal.TRIES", 2)
    monkeypatch.setattr("revsyncd.pipelines.batch_fetching.CONTENT_TRIES", 10_000)
    gl = section(sources=f'["{source}"]')
    async with start(gl, framing=framing, ranges=False) as it, it.outbound() as outbound:
        batch = ready(it, 8, packing=packing)
        for at in range(1, len(batch.file()), EVERY):
            cut(it, source, at, times=2)
            assert not await outbound.look()
            nothing_visible(it, batch)
        assert await outbound.look()
        assert list(it.delivered()) == [name_of(batch)]
        assert confirms(it) == 1
        assert [path.name for path in it.outbox.glob(".revsyncd-*")] == []


async def test_a_download_without_length_or_chunks_is_never_confirmed_on_its_own(
    start: Start,
) -> None:
    """Cut or not, nobody can tell; and nothing of it comes under its final name."""
    async with start(framing=Framing.CLOSE) as it, it.outbound() as outbound:
        batch = ready(it, 8)
        lines = batch.file().splitlines(keepends=True)
        boundary = len(b"".join(lines[:5]))
        cut(it, "report", boundary)
        await outbound.look()
        assert it.delivered() == {}
        assert (await it.batch(batch.id)).reason == "unproven"
        for _ in range(3):
            await outbound.look()
        assert (confirms(it), it.delivered()) == (0, {})
        aside = it.outbox / ".held" / name_of(batch)
        assert aside.read_bytes() == b"".join(lines[:5])


async def test_a_zip_proves_its_own_length(start: Start) -> None:
    """The list of what is in it is its end, so it needs no length from the host."""
    async with start(framing=Framing.CLOSE) as it, it.outbound() as outbound:
        batch = ready(it, 8, packing=Packing.ZIP)
        cut(it, "report", len(batch.file()) - 3)
        await outbound.look()
        nothing_visible(it, batch)
        await outbound.look()
        assert confirms(it) == 1


async def test_a_gzip_of_several_members_does_not(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut between two of them it unpacks without a fault: where nothing says its length, it is held."""
    made = Batch.file

    def in_two(batch: Batch) -> bytes:
        whole = made(batch)
        half = whole.index(b"\r\n5,") + 2
        return gzip.compress(whole[:half]) + gzip.compress(whole[half:])

    monkeypatch.setattr(Batch, "file", in_two)
    async with start(framing=Framing.CLOSE) as it:
        batch = ready(it, 8)
        first = gzip.compress(made(batch)[: made(batch).index(b"\r\n5,") + 2])
        cut(it, "report", len(first))
        async with it.outbound() as outbound:
            await outbound.look()
            assert (await it.batch(batch.id)).reason == "unproven"
            assert (it.delivered(), confirms(it)) == ({}, 0)
        it.tenant.configure(framing=Framing.LENGTH)
        assert await it.while_stopped("gl-fetch", str(batch.id))
        assert it.delivered() == {name_of(batch): made(batch)}


@pytest.mark.parametrize("framing", [Framing.LENGTH, Framing.CHUNKED])
@pytest.mark.parametrize("overlap", [1, 4096])
async def test_a_cut_report_is_resumed_by_range(
    start: Start, framing: Framing, overlap: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut anywhere, and again: it arrives byte for byte, in as many requests as there were pieces."""
    monkeypatch.setattr(report, "OVERLAP", overlap)
    async with start(framing=framing) as it, it.outbound() as outbound:
        for at in range(1, 900, EVERY):
            batch = ready(it, 12)
            before = it.tenant.world.counts.calls[SIGNED]
            cut(it, "report", at)
            assert await outbound.look()
            assert it.delivered()[name_of(batch)] == batch.file()
            assert it.tenant.world.counts.calls[SIGNED] == before + 2


async def test_a_report_that_changed_under_a_resumed_download_is_fetched_anew(start: Start) -> None:
    """What the host gives then does not continue what came before."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it, 40)
        cut(it, "report", 700)
        body = "x" * (len(batch.file()) - 700)
        said = f"bytes 0-{len(body) - 1}/{len(batch.file())}"
        it.tenant.trouble.add(
            "answer", on="/signed/", status=206, body=body, headers={"Content-Range": said}
        )
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


@pytest.mark.parametrize("after", [0, 700])
async def test_an_expired_url_is_renewed(start: Start, after: int) -> None:
    """Also in the middle of a download, which then goes on where it was."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it, 40)
        if after:
            cut(it, "report", after)
        it.tenant.trouble.add("answer", on="/signed/", status=403, body="Request has expired")
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert it.tenant.world.counts.calls["GET /api/integration/v2/reports/signedurl/{}"] == 2


async def test_urls_that_are_always_expired_are_given_up_for_now(start: Start) -> None:
    """Three in a row; the next look tries again."""
    async with start(signed_life=-1.0) as it, it.outbound() as outbound:
        batch = ready(it)
        assert not await outbound.look()
        nothing_visible(it, batch)
        assert it.tenant.world.counts.calls[SIGNED] == 3
        it.tenant.configure(signed_life=60.0)
        assert await outbound.look()
        assert confirms(it) == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://reports.example.com/r?sig=CANARY",
        "ftp://127.0.0.1/r?sig=CANARY",
        "https://user:CANARY@127.0.0.1/r",
        "https://[::1/r?sig=CANARY",
        "https://127.0.0.1:port/CANARY",
        "//127.0.0.1/CANARY",
        "CANARY",
    ],
)
async def test_an_address_that_is_not_safe_is_never_called(start: Start, address: str) -> None:
    """https, or this machine; and the address is repeated nowhere."""
    async with start() as it, it.outbound() as outbound:
        ready(it)
        body = json.dumps({"signed_url": address, "success": True})
        it.tenant.trouble.add("answer", on="/signedurl/", status=200, body=body, times=9)
        assert not await outbound.look()
        assert "CANARY" not in json.dumps(it.log.lines)
        assert it.tenant.world.counts.calls[SIGNED] == 0


@pytest.mark.parametrize(
    "target", ["http://reports.example.com/x?sig=CANARY", "ftp://localhost/CANARY"]
)
async def test_a_redirect_to_an_unsafe_address_is_not_followed(start: Start, target: str) -> None:
    """Neither is it told."""
    async with start() as it, it.outbound() as outbound:
        ready(it)
        it.tenant.trouble.add("redirect", on="/signed/", location=target, times=9)
        assert not await outbound.look()
        assert "CANARY" not in json.dumps(it.log.lines)


async def test_a_redirect_to_a_safe_address_is_followed(start: Start) -> None:
    """Hosts send readers to the region where the report is."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add(
            "answer", on="/signed/", status=307, headers={"Location": "/signed/moved"}
        )
        it.tenant.trouble.add("answer", on="/signed/moved", status=200, body=batch.file().decode())
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


# -- sources -------------------------------------------------------------------------------------

COLUMNS = (
    '["id", "currency_code", "memo", "segment1", "segment2", "accounted_dr", "accounted_cr",'
    ' "entered_dr", "entered_cr", "reference5", "accounting_date"]'
)


@pytest.mark.parametrize("trouble", [{"status": 404}, {"status": 400}, {"status": 500}])
async def test_another_source_serves_where_the_header_is_the_configured_one(
    start: Start, trouble: dict[str, Any]
) -> None:
    """The first that fails is passed over, and the manifest names the one that served."""
    gl = section(sources='["report", "pages"]', columns=COLUMNS)
    async with start(gl) as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("answer", on="/signedurl/", times=9, **trouble)
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert it.manifest(name_of(batch))["source"] == "pages"


@pytest.mark.parametrize("columns", ["[]", '["id", "amount"]'])
async def test_another_source_with_another_header_holds_the_batch(
    start: Start, columns: str
) -> None:
    """Always in the same layout, or not at all."""
    gl = section(sources='["report", "file"]', columns=columns)
    async with start(gl) as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("answer", on="/signedurl/", status=404, times=9)
        await outbound.look()
        assert it.delivered() == {}
        assert it.log.having("gl.held", reason="columns", batch=str(batch.id))
        assert confirms(it) == 0


async def test_a_first_source_with_another_header_than_configured_holds_too(start: Start) -> None:
    """The tenant's layout changed: a person must look before the ERP loads it."""
    async with start(section(columns='["id", "amount"]')) as it, it.outbound() as outbound:
        ready(it)
        await outbound.look()
        assert it.log.having("gl.held", reason="columns")
        assert (it.delivered(), confirms(it)) == ({}, 0)


async def test_a_tenant_may_serve_fewer_lines_a_page(start: Start) -> None:
    """Pages are asked for until one is empty, each time for 10,000."""
    gl = section(sources='["pages"]')
    async with start(gl, page_cap=7) as it, it.outbound() as outbound:
        batch = ready(it, 40)
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        # Six with lines, and the end, which is believed when it is said twice.
        assert it.tenant.world.counts.calls["GET /api/integration/v1/journal/batch/{}/{}"] == 8
        assert it.tenant.world.violations == []


@pytest.mark.parametrize("verb", ["cut", "reset", "close"])
async def test_a_page_that_is_cut_is_asked_for_again(start: Start, verb: str) -> None:
    """No line is lost and none comes twice."""
    gl = section(sources='["pages"]')
    async with start(gl, page_cap=7) as it, it.outbound() as outbound:
        batch = ready(it, 40)
        it.tenant.trouble.add(verb, on="/journal/batch/.*/3", at="stored")
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


async def test_a_bomb_is_bounded(start: Start) -> None:
    """What unpacks to more than `max_size` is held, whatever its packed size."""
    async with start(section(max_size='"4KB"')) as it, it.outbound() as outbound:
        batch = ready(it, 200, packing=Packing.GZIP)
        assert len(batch.file()) < 4000
        await outbound.look()
        assert it.log.having("gl.held", reason="too_large")
        assert (it.delivered(), confirms(it)) == ({}, 0)
        assert list(it.outbox.glob(".revsyncd-*")) == []


async def test_lines_before_the_header_are_recognised_by_configuration(start: Start) -> None:
    """They stay in the file, and the manifest says how many there are."""
    async with start(section(preamble_lines="2")) as it, it.outbound() as outbound:
        batch = ready(it)
        body = "Report,GL\r\nmade,today\r\n" + batch.file().decode()
        it.tenant.trouble.add("answer", on="/signed/", status=200, body=body)
        assert await outbound.look()
        assert it.delivered()[name_of(batch)] == body.encode()
        manifest = it.manifest(name_of(batch))
        assert (manifest["preamble_lines"], manifest["records"]) == (2, 12)


@pytest.mark.parametrize("source", REAL)
async def test_a_maintenance_page_is_no_batch(start: Start, source: str) -> None:
    """Whatever its status says."""
    gl = section(sources=f'["{source}"]')
    async with start(gl) as it, it.outbound() as outbound:
        batch = ready(it)
        on = "/signed/" if source == "report" else "/transferbatchfile/"
        it.tenant.trouble.add("html", on=on, times=40)
        assert not await outbound.look()
        nothing_visible(it, batch)


# -- names and secrets ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../../../etc/passwd",
        "a\nb;rm -rf /",
        ".hidden",
        "-rf",
        "Jännér/\u202egnp.exe",
        "x" * 600,
        " ",
    ],
)
async def test_a_batch_s_name_is_made_safe(start: Start, name: str) -> None:
    """Nothing in it leads out of the outbox or means something to a shell."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it, name=name)
        assert await outbound.look()
        [found] = it.delivered()
        assert found.isascii()
        assert not set(found) - set(
            "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
        )
        assert found.startswith(f"GL_{batch.id}_")
        assert len(found + ".manifest.json") <= 255
        elsewhere = {p.parent for p in it.root.parent.rglob("*GL_*")}
        assert elsewhere == {it.outbox}


def contents(home: Path) -> dict[str, bytes]:
    """Every file below a directory, the ledger with its log too."""
    return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}


async def test_signed_urls_and_tokens_are_written_nowhere(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the log at debug level, a manifest, the ledger, an exception's words or its repr."""
    seen: list[str] = []
    outside = report.ReportDownload._fresh

    async def noted(download: report.ReportDownload) -> Any:
        url = await outside(download)
        assert "signature=" not in repr(url)
        seen.extend([url.text, url.text.partition("?")[2], url.text.rpartition("=")[2]])
        return url

    monkeypatch.setattr(report.ReportDownload, "_fresh", noted)
    written: list[str] = []

    def kept(text: str) -> str:
        written.append(text)
        return text

    monkeypatch.setattr("revsyncd.adapters.ledger.registers.writable", kept)
    async with start(section("acknowledged")) as it:
        batches = [ready(it) for _ in range(3)]
        trouble = it.tenant.trouble
        trouble.add("cut", on="/signed/", at="stored", after_bytes=100)
        trouble.add("reset", on="/signed/", at="head")
        leak = "no https://reports.example.com/r?X-Amz-Signature=LEAKED1 for you"
        trouble.add("answer", on="/signed/", status=403, body="<x>https://h/?sig=LEAKED2</x>")
        for status_code in (400, 404, 500):
            said = json.dumps({"error": leak, "message": leak})
            trouble.add("answer", on="/signedurl/", status=status_code, body=said)
        trouble.add("answer", on="/journal/list", status=500, body=json.dumps({"message": leak}))
        async with it.running():
            await it.log.until("gl.written", times=3)
            tokens = [await it.daemon._link._api.tokens.token()]
            (it.outbox / f"{name_of(batches[0])}.nack").write_text("no")
            await it.log.until("gl.held")
        secrets = [*seen, *(t.header_value for t in tokens), "LEAKED1", "LEAKED2"]
        assert len(secrets) > 9
        places = contents(tmp_path)
        places["log"] = json.dumps(it.log.lines).encode()
        places["conditions"] = "\n".join(written).encode()
        assert any("journal/list" in text for text in written)
        assert [
            (where, secret)
            for where, content in places.items()
            for secret in secrets
            if secret.encode() in content
        ] == []
