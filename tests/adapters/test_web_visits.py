"""What clients of every kind can, and can't, do to the listener; over real sockets."""

import socket
from contextlib import AsyncExitStack, suppress

import anyio
import pytest
from anyio.abc import SocketStream
from web_clients import GET, PATIENCE, Server, body_of, everything, serving, status_of

from revsyncd.adapters.web import Answer, Question, server, visit

LARGE = 40_000_000  # bytes: more than the kernel takes for a client that does not read


async def test_one_question_one_answer() -> None:
    """The answer is whole, says that nothing may be kept of it, and the connection ends."""
    async with serving() as it:
        said = await it.ask(b"GET /metrics?x=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert status_of(said) == 200
    assert body_of(said) == b"GET /metrics"
    head = said.lower()
    for header in (
        b"connection: close",
        b"cache-control: no-store",
        b"nosniff",
        b"content-length: 12",
    ):
        assert header in head


async def test_head_has_the_headers_alone() -> None:
    """The length is that of the answer to GET; no body follows."""
    async with serving() as it:
        said = await it.ask(b"HEAD /abc HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"content-length: 9" in said.lower()
    assert body_of(said) == b""


async def test_a_client_that_asks_again_is_answered_once() -> None:
    """Requests sent ahead on one connection are left aside: it closes after the first answer."""
    async with serving() as it:
        said = await it.ask(GET * 3)
    assert said.count(b"HTTP/1.1 200") == 1


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),  # a TLS greeting
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # HTTP/1.1 has a Host
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: 1\r\n\r\n", 400),
        (b"GET /\x00 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 20_000, 431),
        (b"GET /" + b"x" * 20_000, 431),
    ],
)
async def test_what_is_no_request(request_: bytes, status: int) -> None:
    """It is answered as such and the connection ends; the next client is served."""
    async with serving() as it:
        assert await it.status(request_) == status
        assert await it.status(GET) == 200


async def test_a_body_is_not_read() -> None:
    """However much of it comes, the answer goes out, and no reset overtakes it."""
    async with serving() as it, await it.connect() as client:
        await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n")
        await client.send(b"x" * 5_000_000)
        assert body_of(await everything(client)) == b"POST /"


async def test_a_client_that_trickles_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head has to be there in time as a whole: single bytes, one after the other, win nothing."""
    monkeypatch.setattr(visit, "HEAD_PATIENCE", 0.3)
    async with serving() as it, await it.connect() as client, anyio.create_task_group() as tasks:

        async def trickle() -> None:
            with suppress(anyio.BrokenResourceError):
                while True:
                    await client.send(b"G")
                    await anyio.sleep(0.01)

        tasks.start_soon(trickle)
        assert await everything(client) == b""
        tasks.cancel_scope.cancel()


async def test_a_client_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer has to be taken in time; what is left of it is dropped."""
    monkeypatch.setattr(visit, "ANSWER_PATIENCE", 0.3)
    sent_away = anyio.Event()

    async def large(_: Question) -> Answer:
        return Answer(200, b"x" * LARGE)

    original = visit.Visit.attend

    async def attend(self: visit.Visit, reply: visit.Reply) -> None:
        await original(self, reply)
        sent_away.set()

    monkeypatch.setattr(visit.Visit, "attend", attend)
    async with serving(large) as it, await it.connect() as client:
        await client.send(GET)
        with anyio.fail_after(PATIENCE):
            await sent_away.wait()
        assert len(await everything(client)) < LARGE


async def fill(it: Server, stack: AsyncExitStack, places: int) -> list[SocketStream]:
    """Take so many places with connections that say nothing."""
    return [await stack.enter_async_context(await it.connect()) for _ in range(places)]


async def test_silent_clients_keep_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every place taken by one that says nothing, who asks is answered at once."""
    monkeypatch.setattr(server, "PLACES", 3)
    monkeypatch.setattr(visit, "HEAD_PATIENCE", 10 * PATIENCE)
    async with serving() as it, AsyncExitStack() as stack:
        silent = await fill(it, stack, 12)
        for _ in range(5):
            assert await it.status(GET) == 200
        for client in silent[:9]:  # and those that had to go have been told
            assert await everything(client) == b""


async def test_one_whose_answer_is_being_made_is_not_sent_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where all are waiting for us, the newcomer is told to come again."""
    monkeypatch.setattr(server, "PLACES", 2)
    asked, go = anyio.Semaphore(0), anyio.Event()

    async def slow(_: Question) -> Answer:
        asked.release()
        await go.wait()
        return Answer(200, b"here")

    async with serving(slow) as it, anyio.create_task_group() as tasks:
        answers: list[int] = []

        async def client() -> None:
            answers.append(await it.status(GET))

        for _ in range(2):
            tasks.start_soon(client)
            await asked.acquire()
        assert await it.status(GET) == 503
        go.set()
    assert answers == [200, 200]


async def test_a_fault_of_ours_is_told_as_one() -> None:
    """Whoever met it gets 500 without a word of what it was; the next is served."""
    faults = [ValueError("secret words")]

    async def faulty(question: Question) -> Answer:
        if faults:
            raise faults.pop()
        return Answer(200, question.path.encode())

    async with serving(faulty) as it:
        said = await it.ask(GET)
        assert status_of(said) == 500
        assert b"secret" not in said
        assert await it.status(GET) == 200


async def test_a_reset_ends_one_visit_only() -> None:
    """A client that breaks off before, or right after, its question harms nobody."""
    async with serving() as it:
        for request in (b"", GET[:10], GET):
            with socket.create_connection(it.place) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.sendall(request)
        assert await it.status(GET) == 200
