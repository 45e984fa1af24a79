import asyncio
import contextlib
import ssl
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from raw_tenant import Peer, raw_tenant
from revenue_api_bench import PATIENCE, bench, part

from revsyncd.adapters.revenue_api.settings import ApiSettings
from revsyncd.adapters.revenue_api.transport import trust
from revsyncd.core.errors import ConfigError, TenantUnusable
from revsyncd.core.verdict import Verdict

LARGE = 8_000_000
RECEIVED = {"status": "Success", "result": {"file_request_id": 10001}}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A company's own certificate authority."""
    return trustme.CA()


@pytest.fixture
def server_side(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def settings(authority: trustme.CA, tmp_path: Path) -> ApiSettings:
    pem = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(pem))
    return replace(PATIENCE, ca_file=str(pem))


async def accept(peer: Peer) -> None:
    await peer.all()
    await peer.answer(200, RECEIVED)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("size", [3000, LARGE])
async def test_uploads_pass_over_tls(
    version: ssl.TLSVersion,
    size: int,
    server_side: ssl.SSLContext,
    settings: ApiSettings,
    tmp_path: Path,
) -> None:
    """Session tickets that lie in the socket are not taken for an early answer."""
    server_side.minimum_version = server_side.maximum_version = version
    upload = part(tmp_path, size)
    async with (
        raw_tenant(accept, tls=server_side) as tenant,
        bench(tenant.base_url, settings) as desk,
    ):
        judgement = await desk.upload(upload)
    assert judgement.verdict is Verdict.ACCEPTED
    assert upload.path.read_bytes() in tenant.peers[0].body


async def test_an_early_refusal_is_heard_over_tls(
    server_side: ssl.SSLContext, settings: ApiSettings, tmp_path: Path
) -> None:
    """A server that answers and reads no more is heard, encrypted or not."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.answer(413, {"status": "Error", "message": "too large for me"})
        await asyncio.Event().wait()

    async with (
        raw_tenant(script, tls=server_side) as tenant,
        bench(tenant.base_url, settings) as desk,
    ):
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert (judgement.verdict, judgement.message) == (Verdict.REFUSED, "too large for me")
        assert desk.released == []


@pytest.mark.parametrize("after_all", [False, True])
async def test_a_reset_over_tls_is_doubtful_only_after_the_last_chunk(
    after_all: bool,  # noqa: FBT001 (a parameter of the test)
    server_side: ssl.SSLContext,
    settings: ApiSettings,
    tmp_path: Path,
) -> None:
    """Encryption changes nothing about what a lost answer means."""

    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.take(peer.length if after_all else peer.length // 2)
        peer.reset()

    async with (
        raw_tenant(script, tls=server_side) as tenant,
        bench(tenant.base_url, settings) as desk,
    ):
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert judgement.verdict is (Verdict.IN_DOUBT if after_all else Verdict.RETRY)


async def test_an_unknown_authority_pauses_the_tenant(
    server_side: ssl.SSLContext, tmp_path: Path
) -> None:
    """A certificate that nobody vouches for is never accepted, and the remedy is named."""
    async with raw_tenant(accept, tls=server_side) as tenant, bench(tenant.base_url) as desk:
        judgement = await desk.upload(part(tmp_path))
        assert judgement.verdict is Verdict.PAUSE_TENANT
        assert "ca_file" in judgement.hint
        with pytest.raises(TenantUnusable, match="certificate verify failed") as refusal:
            await desk.api.mapping("Orders")
        assert "ca_file" in refusal.value.hint


async def test_another_hosts_certificate_pauses_the_tenant(
    authority: trustme.CA, settings: ApiSettings, tmp_path: Path
) -> None:
    """The name in the certificate must be the tenant's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with (
        raw_tenant(accept, tls=context) as tenant,
        bench(tenant.base_url, settings) as desk,
    ):
        assert (await desk.upload(part(tmp_path))).verdict is Verdict.PAUSE_TENANT


async def test_a_server_that_leaves_in_the_handshake_is_tried_again(tmp_path: Path) -> None:
    """A restart in the middle of a handshake is no TLS failure."""

    async def script(peer: Peer) -> None:
        await peer.reader.read(10)

    async with (
        raw_tenant(script) as tenant,
        bench(tenant.base_url.replace("http:", "https:")) as desk,
    ):
        assert (await desk.upload(part(tmp_path))).verdict is Verdict.RETRY


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_without_certificates_is_a_config_error(
    content: str | None, tmp_path: Path
) -> None:
    """The key and the remedy are named."""
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(ConfigError, match=r"tenant\.ca_file"):
        trust(str(path))


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError), contextlib.closing(writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()


async def test_a_configured_proxy_carries_the_upload(
    server_side: ssl.SSLContext, settings: ApiSettings, tmp_path: Path
) -> None:
    """The proxy sees a CONNECT with its own credentials, never the token."""

    async def proxy(peer: Peer) -> None:
        await peer.head()
        host, _, port = peer.target.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        await peer.send(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(peer.reader, writer), pump(reader, peer.writer))

    async with (
        raw_tenant(accept, tls=server_side) as tenant,
        raw_tenant(proxy) as middle,
        bench(
            tenant.base_url,
            replace(settings, proxy=middle.base_url.replace("//", "//me:p%40ss@")),
        ) as desk,
    ):
        judgement = await desk.upload(part(tmp_path, LARGE))
        assert judgement.verdict is Verdict.ACCEPTED
        heard = middle.peers[0]
        assert heard.method == "CONNECT"
        assert heard.headers["proxy-authorization"] == b"Basic bWU6cEBzcw=="
        assert "token" not in heard.headers


async def test_a_proxy_that_refuses_is_safe_to_repeat(tmp_path: Path) -> None:
    """Nothing went past the proxy."""

    async def proxy(peer: Peer) -> None:
        await peer.head()
        await peer.answer(407)

    async with (
        raw_tenant(proxy) as middle,
        bench("https://localhost:1", replace(PATIENCE, proxy=middle.base_url)) as desk,
    ):
        judgement = await desk.upload(part(tmp_path))
        assert judgement.verdict is Verdict.RETRY
        assert "proxy" in judgement.message
