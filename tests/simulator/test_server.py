"""The server itself: connections, half requests, garbage, and its life."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest

from revsyncd.simulator import State, Tenant, serve

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]
Small = Callable[..., bytes]
SMALL = {"templatename": "Small Transactions"}


async def talk(tenant: Tenant, data: bytes, *, end: bool = True) -> bytes:
    """Send bytes as they are; everything that comes back."""
    port = int(tenant.base_url.rpartition(":")[2])
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(data)
        if end:
            await stream.send_eof()
        answer = b""
        try:
            while True:
                answer += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return answer


def upload_request(tenant: Tenant, body: bytes, length: int) -> bytes:
    token = tenant.tokens.issue_jwt("u", 60)
    head = (
        f"POST /api/integration/v1/csv/upload HTTP/1.1\r\nHost: x\r\ntoken: {token}\r\n"
        "templatename: Small Transactions\r\nfilename: a.csv\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {length}\r\n\r\n"
    )
    return head.encode() + body


async def test_a_cut_body_is_never_acted_on(start: Start, small: Small) -> None:
    """One byte less than Content-Length, and nothing happened; with it, everything."""
    tenant = await start()
    body = small("L1", "L2")
    for length in (0, 1, len(body) // 2, len(body) - 1):
        assert await talk(tenant, upload_request(tenant, body[:length], len(body))) == b""
    assert not tenant.world.uploads
    assert tenant.world.counts.uploads_in_flight == 0
    assert b" 200 " in await talk(tenant, upload_request(tenant, body, len(body)))
    assert [each.state for each in tenant.world.uploads.values()] == [State.STAGED]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\x00\xff\x16\x03\x01",
        b"GET",
        b"GET / HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000,
        b"HEAD /oauth2/token HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /_control/trouble HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n\xff\xfe",
    ],
)
async def test_garbage_ends_with_its_connection(start: Start, garbage: bytes) -> None:
    """The next client is served."""
    tenant = await start()
    await talk(tenant, garbage)
    answer = await talk(tenant, b"GET /_control/state HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert not [each for each in tenant.world.violations if each["rule"] == "simulator_fault"]


async def test_a_silent_client_is_given_up(start: Start) -> None:
    """Half a request, then nothing: the connection ends."""
    tenant = await start(patience=0.05)
    assert await talk(tenant, b"GET / HTTP/1.1\r\n", end=False) == b""


async def test_a_connection_serves_many_calls(start: Start) -> None:
    """Keep-alive and pipelining; the last call may ask for the end."""
    tenant = await start()
    one = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n"
    answer = await talk(tenant, one + b"\r\n" + one + b"Connection: close\r\n\r\n", end=False)
    assert answer.count(b"HTTP/1.1 404 ") == 2
    assert tenant.world.counts.calls["unknown"] == 2
    assert [each["rule"] for each in tenant.world.violations] == ["unknown_call"] * 2


async def test_a_client_may_ask_before_it_sends(start: Start) -> None:
    """Expect: 100-continue, as curl does for large bodies."""
    tenant = await start()
    head = b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    answer = await talk(tenant, head + b"")
    assert answer.startswith(b"HTTP/1.1 100 ")


async def test_a_wrong_method_is_405(start: Start, signed_in: Client) -> None:
    """On a known path; on others 404."""
    client = await signed_in(await start())
    assert (await client.delete("/v1/journal/list")).status_code == 405


async def test_chunked_bodies_are_taken(start: Start, signed_in: Client, small: Small) -> None:
    """A client may not know the length beforehand."""
    tenant = await start()
    client = await signed_in(tenant)

    async def portions() -> AsyncIterator[bytes]:
        for byte in small("L1"):
            yield bytes((byte,))

    headers = SMALL | {"filename": "a.csv", "content-type": "text/plain"}
    answer = await client.post("/v1/csv/upload", headers=headers, content=portions())
    assert answer.status_code == 200
    assert tenant.world.uploads[10_001].content.read_bytes() == small("L1")


async def test_a_fault_in_a_call_is_its_own(start: Start, signed_in: Client, small: Small) -> None:
    """The disk's refusal is 500 for this client, nothing for the next."""
    tenant = await start()
    client = await signed_in(tenant)
    (tenant.uploads / "10001.csv").write_bytes(b"somebody else's")
    headers = SMALL | {"filename": "a.csv", "content-type": "text/plain"}
    first = await client.post("/v1/csv/upload", headers=headers, content=small("L1"))
    assert (first.status_code, "FileExistsError" in first.json()["message"]) == (500, True)
    again = await client.post("/v1/csv/upload", headers=headers, content=small("L1"))
    assert again.status_code == 200


async def test_files_of_an_earlier_run_stay(
    signed_in: Client, small: Small, tmp_path: Path
) -> None:
    """Request ids go on where the data directory ends."""
    for number in (10_001, 10_002):
        async with serve(data=tmp_path) as tenant:
            client = await signed_in(tenant)
            await client.post("/v1/upload/file", headers=SMALL, files={"file": ("a", small("L1"))})
            assert list(tenant.world.uploads) == [number]
    assert sorted(path.name for path in (tmp_path / "uploads").glob("*.csv")) == [
        "10001.csv",
        "10002.csv",
    ]


async def test_without_a_data_directory_nothing_is_left() -> None:
    """What was kept goes with the tenant, and so does its port."""
    async with serve() as tenant:
        assert tenant.uploads.is_dir()
    assert not tenant.uploads.exists()
    with (
        pytest.raises(OSError, match=r".+"),
        socket.create_connection(("127.0.0.1", int(tenant.base_url.rpartition(":")[2]))),
    ):
        pass


async def test_a_port_in_use_is_named() -> None:
    """With the remedy."""
    async with serve() as tenant:
        port = int(tenant.base_url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"port {port} of 127.0.0.1 can't be had.*0 takes any"):
            async with serve(port=port):
                pass


async def test_waiting_for_what_never_comes_tells_the_state(start: Start) -> None:
    """The error shows what was there instead."""
    tenant = await start()
    with pytest.raises(TimeoutError, match="'uploads': \\[\\]"):
        await tenant.uploads_stored(1, within=0.01)


async def test_only_the_loopback_is_served(start: Start) -> None:
    """A stand-in is no business of the network."""
    tenant = await start()
    assert tenant.base_url.startswith("http://127.0.0.1:")


async def test_sigterm_ends_it_well(http: httpx.AsyncClient, tmp_path: Path) -> None:
    """As a process it tells all that a client needs on its first line, and exits 0 when asked to."""
    code = (
        "import sys, anyio, pathlib\nfrom revsyncd.simulator import run\n"
        "anyio.run(run, 0, pathlib.Path(sys.argv[1]))"
    )
    with subprocess.Popen(  # noqa: ASYNC220  (a test may wait)
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        info = json.loads(process.stdout.readline())
        assert sorted(info) == [
            "base_url",
            "client_id",
            "client_name",
            "client_secret",
            "control_url",
            "password",
            "role",
            "templates",
            "token_url",
            "username",
        ]
        assert {"Transaction Upload", "Event Upload", "Bundle Upload"} <= set(info["templates"])
        assert len(info["templates"]["Transaction Upload"]) == 60
        assert (await http.get(info["control_url"] + "/state")).json()["uploads"] == []
        process.terminate()
        assert process.wait(60) == 0
