import asyncio
import errno
import os
import socket
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import anyio.lowlevel
import pytest
from raw_tenant import Peer, raw_tenant
from revenue_api_bench import PATIENCE, TAIL, bench, part, within_a_file

from revsyncd.adapters.revenue_api import body as body_module
from revsyncd.adapters.revenue_api.wire import _established
from revsyncd.core.errors import Busy, NoSpace, SignInRefused, TenantUnusable, Unreachable
from revsyncd.core.verdict import Route, Verdict
from revsyncd.ports import Damaged, NotReleased

SMALL, LARGE = 3000, 8_000_000
RECEIVED = {
    "status": "Success",
    "message": "File received successfully",
    "result": {"file_request_id": 10001},
}
V = Verdict


async def accept(peer: Peer) -> None:
    await peer.all()
    await peer.answer(200, RECEIVED, zuora_request_id="r-17")


async def test_the_last_chunk_leaves_only_after_the_release(tmp_path: Path) -> None:
    """While the ledger commits, the server lacks exactly the last bytes and the boundary."""
    story: list[str] = []
    nearly = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.head()
        boundary = peer.headers["content-type"].partition(b"=")[2]
        withheld = TAIL + len(b"\r\n--" + boundary + b"--\r\n")
        await peer.take(peer.length - withheld)
        assert len(peer.body) == peer.length - withheld
        nearly.set()
        await peer.take(len(peer.body) + 1)
        story.append("the last chunk arrives")
        await peer.take(peer.length)
        await peer.answer(200, RECEIVED)

    async def on_release() -> None:
        await nearly.wait()
        for _ in range(50):  # time enough for anything that is on its way
            await anyio.lowlevel.checkpoint()
        story.append("the ledger commits")

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        desk.on_release = on_release
        assert (await desk.upload(part(tmp_path, LARGE))).verdict is V.ACCEPTED
    assert story == ["the ledger commits", "the last chunk arrives"]


def test_only_an_established_connection_counts_as_one() -> None:
    """One that the other side has closed is none, read or not, and neither is a closed socket."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ours = socket.create_connection(server.getsockname())
        theirs, _ = server.accept()
        assert _established(ours)
        theirs.sendall(b"unread")
        theirs.shutdown(socket.SHUT_WR)
        assert ours.recv(99) == b"unread"
        assert ours.recv(99) == b""  # the goodbye has surely arrived
        assert not _established(ours)
        theirs.close()
        ours.close()
        assert not _established(ours)
        assert not _established(None)


async def test_a_part_that_is_not_released_stays_here(tmp_path: Path) -> None:
    """When the ledger says no, the upload is abandoned and surely not taken."""

    async def no() -> None:
        raise NotReleased("the drop was cancelled")

    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        desk.on_release = no
        judgement = await desk.upload(part(tmp_path))
        assert (judgement.verdict, judgement.message) == (V.RETRY, "the drop was cancelled")
        await tenant.peers[0].finished.wait()
        assert len(tenant.peers[0].body) < tenant.peers[0].length


async def test_what_else_the_release_raises_passes_through(tmp_path: Path) -> None:
    """A broken ledger is the pipeline's business: it is not turned into a judgement."""

    async def broken() -> None:
        raise OSError(errno.EIO, "the ledger's disk")

    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        desk.on_release = broken
        with pytest.raises(OSError, match="the ledger's disk"):
            await desk.upload(part(tmp_path))


async def test_a_cancelled_upload_sends_no_last_chunk(tmp_path: Path) -> None:
    """A stop before the release leaves a body that lacks its end, and closes the connection."""
    reached = asyncio.Event()

    async def hang() -> None:
        reached.set()
        await asyncio.Event().wait()

    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        desk.on_release = hang
        task = asyncio.create_task(desk.upload(part(tmp_path)))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert desk.released == []
        await tenant.peers[0].finished.wait()
        assert len(tenant.peers[0].body) < tenant.peers[0].length


@pytest.mark.parametrize("change", ["same size", "shorter", "longer", "gone", "a link", "a pipe"])
@pytest.mark.parametrize("size", [SMALL, LARGE])
@pytest.mark.parametrize("in_place", [False, True])
async def test_a_part_that_changed_on_disk_is_not_sent_whole(
    change: str, size: int, tmp_path: Path, *, in_place: bool
) -> None:
    """What is not what the ledger recorded never reaches the tenant complete."""
    upload = within_a_file(part(tmp_path, size)) if in_place else part(tmp_path, size)
    content = upload.path.read_bytes()
    if change in ("gone", "a link", "a pipe"):
        upload.path.rename(tmp_path / "aside")
    if change == "a link":
        upload.path.symlink_to(tmp_path / "aside")
    elif change == "a pipe":
        os.mkfifo(upload.path)
    elif change != "gone":
        middle = len(content) // 2
        other = content[:middle] + b"\0" + content[middle + 1 :]
        altered = {"same size": other, "shorter": content[:-1]}
        upload.path.write_bytes(altered.get(change, content + b"x"))
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(Damaged, match=upload.file_name):
            await desk.upload(upload)
        assert desk.released == []


async def test_a_failing_disk_is_told_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An I/O error is neither the tenant's fault nor the drop's."""

    def fails(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(body_module, "_exactly", fails)
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(NoSpace, match="Input/output error"):
            await desk.upload(part(tmp_path))


async def test_a_cut_outside_the_part_is_a_mistake(tmp_path: Path) -> None:
    """A part without anything to withhold is refused before a connection is made."""
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        with pytest.raises(ValueError, match="last chunk"):
            await desk.upload(replace(part(tmp_path), cut=0))
        assert tenant.peers == []


@pytest.mark.parametrize("size", [SMALL, 1_500_000, LARGE])
@pytest.mark.parametrize("in_place", [False, True])
async def test_a_file_arrives_byte_by_byte_as_a_named_part(
    size: int, tmp_path: Path, *, in_place: bool
) -> None:
    """upload/file is a multipart form with one part `file`, of announced length."""
    upload = part(tmp_path, size)
    content = upload.path.read_bytes()
    upload = within_a_file(upload) if in_place else upload
    async with raw_tenant(accept) as tenant, bench(tenant.base_url + "/revenue") as desk:
        judgement = await desk.upload(upload)
    peer = tenant.peers[0]
    assert (judgement.verdict, judgement.request_id) == (V.ACCEPTED, 10001)
    assert judgement.tracking == "zuora-request-id=r-17"
    assert (peer.method, peer.target) == ("POST", "/revenue/api/integration/v1/upload/file")
    assert peer.headers["token"] == b"T1"
    assert peer.headers["templatename"] == b"Transaction Upload"
    assert "transfer-encoding" not in peer.headers
    form = message_from_bytes(
        b"Content-Type: " + peer.headers["content-type"] + b"\r\n\r\n" + bytes(peer.body)
    )
    parts = form.get_payload()
    assert isinstance(parts, list)
    (only,) = parts
    assert isinstance(only, Message)
    assert only.get_param("name", header="content-disposition") == "file"
    assert only.get_filename() == upload.file_name
    assert content in peer.body
    assert len(peer.body) == peer.length


async def test_csv_upload_is_plain_text(tmp_path: Path) -> None:
    """csv/upload is the file itself as text/plain, its name in a header."""
    upload = part(tmp_path, route=Route.CSV)

    async def script(peer: Peer) -> None:
        await peer.all()
        await peer.answer(200, {"status": "Success", "message": "Data Staged Successfully"})

    async with raw_tenant(script) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(upload)
    peer = tenant.peers[0]
    assert judgement.verdict is V.STAGED
    assert peer.path == "/api/integration/v1/csv/upload"
    assert peer.headers["content-type"].startswith(b"text/plain")
    assert peer.headers["filename"] == upload.file_name.encode()
    assert bytes(peer.body) == upload.path.read_bytes()


async def test_a_template_name_is_sent_as_utf8(tmp_path: Path) -> None:
    """A template name that is not ASCII goes out as its UTF-8 bytes."""
    upload = replace(part(tmp_path), template_name="Umsätze 2026")
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        await desk.upload(upload)
    assert tenant.peers[0].headers["templatename"] == "Umsätze 2026".encode()


async def test_each_upload_has_a_connection_of_its_own(tmp_path: Path) -> None:
    """Two uploads, two connections: none inherits the other's trouble."""
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        upload = part(tmp_path)
        await desk.upload(upload)
        await desk.upload(upload)
        assert len(tenant.peers) == 2
        assert desk.sign_ins.calls == 1


async def test_nobody_there_is_safe_to_repeat(tmp_path: Path) -> None:
    """A refused connection and a name that does not resolve are told apart, and both are safe."""
    async with bench("http://127.0.0.1:1") as desk:
        judgement = await desk.upload(part(tmp_path))
        assert judgement.verdict is V.RETRY
        assert "no connection" in judgement.message
    async with bench("http://no-such-host.invalid") as desk:
        judgement = await desk.upload(part(tmp_path))
        assert judgement.verdict is V.RETRY
        assert "could not be resolved" in judgement.message


async def test_the_environments_proxies_are_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the configured proxy counts."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        assert (await desk.upload(part(tmp_path))).verdict is V.ACCEPTED


# The token of the request.


async def test_a_401_has_the_token_renewed_before_the_repeat(tmp_path: Path) -> None:
    """SIGN_IN comes back with another token at hand, so that a repeat uses it."""

    async def refuse(peer: Peer) -> None:
        await peer.all()
        await peer.answer(*((401, b"") if peer.headers["token"] == b"T1" else (200, RECEIVED)))

    async with raw_tenant(refuse) as tenant, bench(tenant.base_url) as desk:
        upload = part(tmp_path)
        assert (await desk.upload(upload)).verdict is V.SIGN_IN
        assert (await desk.upload(upload)).verdict is V.ACCEPTED
        assert desk.sign_ins.calls == 2


async def test_a_401_without_another_token_pauses_the_tenant(tmp_path: Path) -> None:
    """When the renewal is refused too, its reason is the judgement's."""

    async def refuse(peer: Peer) -> None:
        await peer.all()
        desk.sign_ins.refuse = SignInRefused("the account is locked")
        await peer.answer(401)

    async with raw_tenant(refuse) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path))
        assert (judgement.verdict, judgement.message) == (V.PAUSE_TENANT, "the account is locked")


async def test_a_token_too_old_keeps_the_last_chunk_here(tmp_path: Path) -> None:
    """A token that may not outlive the answer is renewed, and the repeat goes through with it."""

    async def script(peer: Peer) -> None:
        await peer.head()
        if peer.headers["token"] == b"T1":
            await peer.take(100_000)
            desk.clock.ahead += 1400  # of 1800: less than 30 % are left
        await peer.take(peer.length)
        await peer.answer(200, RECEIVED)

    patient = replace(PATIENCE, upload_timeout=1800)
    async with raw_tenant(script) as tenant, bench(tenant.base_url, patient) as desk:
        upload = part(tmp_path, LARGE)
        judgement = await desk.upload(upload)
        assert judgement.verdict is V.RETRY
        assert "token" in judgement.message
        assert (desk.released, desk.sign_ins.calls) == ([], 2)
        assert (await desk.upload(upload)).verdict is V.ACCEPTED


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (SignInRefused("wrong password", hint="mend"), V.PAUSE_TENANT),
        (TenantUnusable("405"), V.PAUSE_TENANT),
        (Unreachable("no connection"), V.RETRY),
        (Busy("maintenance", retry_after=9), V.WAIT),
    ],
)
async def test_without_a_token_nothing_is_sent(
    error: Exception, verdict: Verdict, tmp_path: Path
) -> None:
    """A sign-in that fails is a judgement too, and no connection for the upload is made."""
    async with raw_tenant(accept) as tenant, bench(tenant.base_url) as desk:
        desk.sign_ins.refuse = error
        judgement = await desk.upload(part(tmp_path))
        assert (judgement.verdict, judgement.message) == (verdict, str(error))
        assert judgement.retry_after == getattr(error, "retry_after", None)
        assert tenant.peers == []
