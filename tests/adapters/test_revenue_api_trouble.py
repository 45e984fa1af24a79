import asyncio
from dataclasses import replace
from pathlib import Path

import anyio.lowlevel
import pytest
from raw_tenant import Peer, Script, raw_tenant
from revenue_api_bench import PATIENCE, bench, part

from revsyncd.core.verdict import Verdict

SMALL, LARGE = 3000, 8_000_000
RECEIVED = {
    "status": "Success",
    "message": "File received successfully",
    "result": {"file_request_id": 10001},
}
REFUSED = {"status": "Error", "message": "Header does not match the template"}
HASTY = replace(PATIENCE, read_timeout=0.3, upload_timeout=0.3)
V = Verdict


# What a server may do before the last chunk is there, and what must come of it: nothing is in doubt.


async def closes_at_once(peer: Peer) -> None:
    peer.writer.close()


async def resets_at_once(peer: Peer) -> None:
    peer.reset()


async def closes_after_the_headers(peer: Peer) -> None:
    await peer.head()


async def resets_in_the_middle(peer: Peer) -> None:
    await (await peer.head()).take(peer.length // 2)
    peer.reset()


async def closes_in_the_middle(peer: Peer) -> None:
    await (await peer.head()).take(peer.length // 2)


async def half_closes_in_the_middle(peer: Peer) -> None:
    await (await peer.head()).take(peer.length // 2)
    peer.writer.write_eof()
    await peer.gone()


async def stops_reading(peer: Peer) -> None:
    await peer.head()
    await asyncio.Event().wait()


async def says_503_early(peer: Peer) -> None:
    await peer.head()
    await peer.answer(503)
    await peer.gone()


async def says_503_early_and_resets(peer: Peer) -> None:
    await peer.head()
    await peer.answer(503)
    peer.reset()


async def shows_a_page_early(peer: Peer) -> None:
    await peer.head()
    await peer.answer(200, b"<html>Down for maintenance</html>")
    await asyncio.Event().wait()


async def says_garbage_early(peer: Peer) -> None:
    await peer.head()
    await peer.send(b"SSH-2.0-OpenSSH_9.2p1\r\n")
    await peer.gone()


@pytest.mark.parametrize(
    "script",
    [
        closes_at_once,
        resets_at_once,
        closes_after_the_headers,
        resets_in_the_middle,
        closes_in_the_middle,
        half_closes_in_the_middle,
        stops_reading,
        says_503_early,
        says_503_early_and_resets,
        shows_a_page_early,
        says_garbage_early,
    ],
)
async def test_trouble_before_the_last_chunk_is_safe_to_repeat(
    script: Script, tmp_path: Path
) -> None:
    """A body that never became complete was not taken, whatever the server did."""
    async with raw_tenant(script) as tenant, bench(tenant.base_url, HASTY) as desk:
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert judgement.verdict is V.RETRY
        assert judgement.message
        assert desk.released == []
        assert all(len(peer.body) < peer.length for peer in tenant.peers if peer.headers)


@pytest.mark.parametrize("script", [closes_at_once, resets_at_once])
async def test_a_small_body_to_a_closed_connection_is_safe_or_in_doubt(
    script: Script, tmp_path: Path
) -> None:
    """A body that fits the buffers is doubtful only if the last chunk really was let go."""
    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path, SMALL))
        assert judgement.verdict is (V.IN_DOUBT if desk.released else V.RETRY)


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, REFUSED, V.REFUSED),
        (413, b"Request Entity Too Large", V.REFUSED),
        (401, b"", V.SIGN_IN),
        (429, b"", V.WAIT),
        (403, b"", V.PAUSE_FOLDER),
        (405, b"", V.PAUSE_TENANT),
        (307, b"", V.PAUSE_TENANT),
    ],
)
@pytest.mark.parametrize("size", [SMALL, LARGE])
async def test_a_definite_answer_counts_before_the_body_is_complete(
    status: int, body: object, verdict: Verdict, size: int, tmp_path: Path
) -> None:
    """A server that answers early and reads on no more is heard at once."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.answer(status, body, Retry_After="7", Location="https://elsewhere.example/")
        await asyncio.Event().wait()

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path, size))
        assert judgement.verdict is verdict
        assert size == SMALL or desk.released == []
        assert len(tenant.peers) == 1


async def test_an_early_answer_is_heard_though_the_server_resets(tmp_path: Path) -> None:
    """The refusal of a server that closes with bytes unread is not lost to the reset."""

    async def script(peer: Peer) -> None:
        await (await peer.head()).take(100_000)
        await peer.answer(413, REFUSED)  # and closes: the kernel resets, for bytes are unread

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert (judgement.verdict, judgement.message) == (V.REFUSED, REFUSED["message"])


async def test_an_answer_is_heard_while_sending_is_blocked(tmp_path: Path) -> None:
    """A server that reads nothing and answers later is heard in the middle of a blocked write."""

    async def script(peer: Peer) -> None:
        await peer.head()
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        with anyio.move_on_after(0.2):  # until the buffers are full; that changes no outcome
            await asyncio.Event().wait()
        await peer.answer(413, REFUSED)
        await asyncio.Event().wait()

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert (judgement.verdict, desk.released) == (V.REFUSED, [])


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" * 2]
)
async def test_an_interim_answer_does_not_stop_the_upload(interim: bytes, tmp_path: Path) -> None:
    """100 and 103 are no answers: the body goes on and the final one counts."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(interim[:12])
        await peer.take(100_000)
        await peer.send(interim[12:])
        await peer.take(peer.length)
        await peer.answer(200, RECEIVED)

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        assert (await desk.upload(part(tmp_path, LARGE))).verdict is V.ACCEPTED


# After the last chunk only a definite answer counts.


async def resets_after_all(peer: Peer) -> None:
    await peer.all()
    peer.reset()


async def closes_after_all(peer: Peer) -> None:
    await peer.all()


async def is_silent_after_all(peer: Peer) -> None:
    await peer.all()
    await asyncio.Event().wait()


async def cuts_the_headers(peer: Peer) -> None:
    await peer.all()
    await peer.send(b"HTTP/1.1 200 OK\r\nContent-Le")


async def cuts_the_answer(peer: Peer) -> None:
    await peer.all()
    await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{"status":"Success","res')


async def stalls_in_the_answer(peer: Peer) -> None:
    await peer.all()
    await peer.send(b'HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{"status":')
    await asyncio.Event().wait()


async def trickles(peer: Peer) -> None:
    await peer.all()
    await peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        await peer.send(b"x")
        await asyncio.sleep(0.05)  # always within the time-out between two bytes


async def answers_garbage(peer: Peer) -> None:
    await peer.all()
    await peer.send(b"\x00\x01\x02 no HTTP at all\r\n\r\n")


async def answers_without_end(peer: Peer) -> None:
    await peer.all()
    await peer.send(b"HTTP/1.1 400 No\r\n\r\n")
    while True:
        await peer.send(b"no " * 20_000)


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    "script",
    [
        resets_after_all,
        closes_after_all,
        is_silent_after_all,
        cuts_the_headers,
        cuts_the_answer,
        stalls_in_the_answer,
        trickles,
        answers_garbage,
        answers_without_end,
    ],
)
async def test_no_definite_answer_after_the_last_chunk_is_in_doubt(
    script: Script, size: int, tmp_path: Path
) -> None:
    """A complete body without a definite answer may have been taken."""
    settings = replace(PATIENCE, read_timeout=3, upload_timeout=0.3)
    async with raw_tenant(script) as tenant, bench(tenant.base_url, settings) as desk:
        with anyio.fail_after(30):
            judgement = await desk.upload(part(tmp_path, size))
        assert judgement.verdict is V.IN_DOUBT
        assert desk.released == ["released"]
        assert len(tenant.peers) == 1


@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (200, RECEIVED, V.ACCEPTED),
        (500, RECEIVED, V.ACCEPTED),
        (200, {"status": "Success", "message": "File received"}, V.UNCONFIRMED),
        (400, REFUSED, V.REFUSED),
        (200, b"<html>maintenance</html>", V.IN_DOUBT),
        (200, b"", V.IN_DOUBT),
        (302, b"", V.IN_DOUBT),
        (500, b"", V.IN_DOUBT),
        (503, b"", V.IN_DOUBT),
        (301, b"", V.PAUSE_TENANT),
        (404, b"", V.PAUSE_FOLDER),
    ],
)
async def test_answers_to_a_complete_body_are_judged(
    status: int, body: object, verdict: Verdict, size: int, tmp_path: Path
) -> None:
    """The table decides, and no redirect is followed."""

    async def script(peer: Peer) -> None:
        await peer.all()
        await peer.answer(status, body, Location=f"http://127.0.0.1:{port}/elsewhere")

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        port = tenant.port
        judgement = await desk.upload(part(tmp_path, size))
        assert judgement.verdict is verdict
        assert len(tenant.peers) == 1
