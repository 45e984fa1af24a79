"""Each verb for trouble, at each moment, over real connections."""

import errno
import socket
from collections.abc import Awaitable, Callable
from email.utils import parsedate_to_datetime

import anyio
import httpx
import pytest

from revsyncd.simulator import At, Tenant
from revsyncd.simulator.trouble import Troubles

Start = Callable[..., Awaitable[Tenant]]
Client = Callable[[Tenant], Awaitable[httpx.AsyncClient]]
Small = Callable[..., bytes]
SMALL = {"templatename": "Small Transactions"}
UPLOAD = "/v1/upload/file"
SHORT = httpx.Timeout(60, read=0.05)


async def send(client: httpx.AsyncClient, content: bytes) -> httpx.Response:
    return await client.post(UPLOAD, headers=SMALL, files={"file": ("a.csv", content)})


@pytest.mark.parametrize("at", [At.HEAD, At.BYTES, At.BODY, At.STORED])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 429, 500, 503])
async def test_an_answer_can_be_anything_at_any_moment(
    start: Start, signed_in: Client, small: Small, at: At, status: int
) -> None:
    """Only after `stored` was the upload taken, whatever the answer says."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("answer", on=UPLOAD, at=at, status=status, body='{"m": 1}', after_bytes=100)
    answer = await send(client, small("L1"))
    assert (answer.status_code, answer.json()) == (status, {"m": 1})
    assert len(tenant.world.uploads) == (at is At.STORED)
    assert (await send(client, small("L2"))).status_code == 200


@pytest.mark.parametrize("at", [At.HEAD, At.BYTES, At.BODY, At.STORED])
@pytest.mark.parametrize("verb", ["reset", "close"])
async def test_a_connection_can_end_at_any_moment(
    start: Start, signed_in: Client, small: Small, at: At, verb: str
) -> None:
    """Without an answer; only after `stored` was the upload taken."""
    tenant = await start(receive_buffer=4096)
    client = await signed_in(tenant)
    tenant.trouble.add(verb, on=UPLOAD, at=at, after_bytes=50_000)
    content = small(*(f"L{number}" for number in range(10_000)))
    with pytest.raises(httpx.TransportError):
        await send(client, content)
    assert len(tenant.world.uploads) == (at is At.STORED)
    assert tenant.world.counts.uploads_in_flight == 0
    assert (await send(client, small("L1"))).status_code == 200


async def test_a_reset_is_a_reset(start: Start) -> None:
    """Not an orderly end: the client's next read fails."""
    tenant = await start()
    tenant.trouble.add("reset", on="/x")
    with socket.create_connection(("127.0.0.1", int(tenant.base_url.rpartition(":")[2]))) as sock:
        sock.setblocking(False)  # noqa: FBT003  (the library's signature)
        await anyio.wait_writable(sock)
        sock.send(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc")
        await anyio.wait_readable(sock)
        with pytest.raises(ConnectionResetError) as caught:
            sock.recv(1)
        assert caught.value.errno == errno.ECONNRESET


async def test_an_answer_can_be_cut(start: Start, signed_in: Client, small: Small) -> None:
    """Half of the body, and half of the head where there is no body; the call was carried out."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("cut", times=2)
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message"):
        await send(client, small("L1"))
    with pytest.raises(httpx.RemoteProtocolError):
        await client.get("/v1/journal/list")
    assert len(tenant.world.uploads) == 1


async def test_maintenance_is_a_page_with_200(start: Start, signed_in: Client) -> None:
    """HTML where JSON is expected."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("html")
    answer = await client.get("/v1/journal/list")
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (200, "text/html")


async def test_a_redirect_leads_elsewhere(start: Start, signed_in: Client) -> None:
    """302 unless said."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("redirect", location="https://elsewhere.invalid/")
    tenant.trouble.add("redirect", status=308)
    answer = await client.get("/v1/journal/list")
    assert (answer.status_code, answer.headers["Location"]) == (302, "https://elsewhere.invalid/")
    assert (await client.get("/v1/journal/list")).status_code == 308


async def test_retry_after_is_seconds_or_a_date(start: Start, signed_in: Client) -> None:
    """Both forms that HTTP knows."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("answer", status=429, retry_after=7)
    tenant.trouble.add("answer", status=503, retry_after=90, retry_after_date=True)
    assert (await client.get("/v1/journal/list")).headers["Retry-After"] == "7"
    later = (await client.get("/v1/journal/list")).headers
    waits = parsedate_to_datetime(later["Retry-After"]) - parsedate_to_datetime(later["Date"])
    assert waits.total_seconds() == 90


@pytest.mark.parametrize("at", [At.HEAD, At.BYTES, At.BODY])
async def test_a_stalled_upload_whose_client_leaves_was_not_taken(
    start: Start, signed_in: Client, small: Small, at: At
) -> None:
    """The client is seen to leave though its bytes were not read; its place is free again."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("stall", on=UPLOAD, at=at, after_bytes=100)
    with pytest.raises(httpx.ReadTimeout):
        await client.post(UPLOAD, headers=SMALL, files={"file": ("a", small("L1"))}, timeout=SHORT)
    await tenant.seen(lambda now: now.trouble.met == 1 and not now.world.counts.uploads_in_flight)
    assert not tenant.world.uploads


async def test_a_stall_after_storing_is_a_lost_answer(
    start: Start, signed_in: Client, small: Small
) -> None:
    """The upload is at the tenant, the client does not know."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("stall", on=UPLOAD, at="stored")
    with pytest.raises(httpx.ReadTimeout):
        await client.post(UPLOAD, headers=SMALL, files={"file": ("a", small("L1"))}, timeout=SHORT)
    assert len(await tenant.uploads_stored(1)) == 1


async def test_a_stall_ends_by_itself_or_when_cleared(
    start: Start, signed_in: Client, small: Small
) -> None:
    """Then the call goes on as if nothing had happened."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("stall", on=UPLOAD, at="bytes", after_bytes=10, seconds=0.01)
    assert (await send(client, small("L1"))).status_code == 200
    tenant.trouble.add("stall", on=UPLOAD, at="head", times=5)
    async with anyio.create_task_group() as group:
        group.start_soon(send, client, small("L2"))
        await tenant.seen(lambda now: now.trouble.met == 2)
        assert tenant.trouble.clear() == 1
    contents = [upload.content.read_bytes() for upload in tenant.world.uploads.values()]
    assert contents == [small("L1"), small("L2")]


async def test_bytes_beyond_the_body_mean_its_end(
    start: Start, signed_in: Client, small: Small
) -> None:
    """A body shorter than `after_bytes` meets the trouble at its end and is not stored."""
    tenant = await start()
    client = await signed_in(tenant)
    tenant.trouble.add("reset", on=UPLOAD, at="bytes", after_bytes=10_000_000)
    with pytest.raises(httpx.TransportError):
        await send(client, small("L1"))
    assert not tenant.world.uploads


async def test_sign_in_meets_trouble_too(http: httpx.AsyncClient, start: Start) -> None:
    """Every path but the control path does."""
    tenant = await start()
    tenant.trouble.add("answer", status=503, times=2)
    assert (await http.post(tenant.info["token_url"])).status_code == 503
    assert (await http.get(tenant.info["control_url"] + "/state")).json()["troubles"][0][
        "times"
    ] == 1


def test_trouble_meets_the_calls_that_it_is_for() -> None:
    """By path, method and count, the oldest first; what is over is forgotten."""
    troubles = Troubles()
    first = troubles.add("reset", on="^/a", skip=1, times=2)
    second = troubles.add("close", method="PUT")
    met = [troubles.match(*call) for call in (("GET", "/a"), ("GET", "/b/a"), ("PUT", "/a"))]
    assert met == [None, None, first]
    assert [troubles.match("PUT", "/a") for _ in range(3)] == [first, second, None]
    assert not troubles.waiting


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, "verb"),
        ({"verb": "explode"}, "explode"),
        ({"verb": "reset", "when": 1}, "when"),
        ({"verb": "reset", "times": "1"}, "times"),
        ({"verb": "reset", "times": True}, "times"),
        ({"verb": "reset", "on": "("}, "unterminated"),
        ({"verb": "reset", "at": "noon"}, "noon"),
        ({"verb": "cut", "at": "head"}, "stored"),
        ({"verb": "answer"}, "status"),
        ({"verb": "answer", "status": 99}, "status"),
        ({"verb": "redirect", "status": 200}, "3xx"),
    ],
)
def test_wrong_trouble_is_refused(data: dict[str, object], words: str) -> None:
    """With what is wrong about it."""
    with pytest.raises(ValueError, match=words):
        Troubles().from_json(data)
