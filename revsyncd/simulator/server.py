"""The tenant on a port of the loopback interface."""

import asyncio
import json
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import h11

from . import answers, control
from .body import Body, TooLarge
from .call import Call, read_headers, read_target
from .settings import Settings
from .tenant import CONTROL, Tenant
from .visit import Visit, headers_of, send, size_of
from .wire import Gone, Wire

HOST = "127.0.0.1"
REPORT_HOST = "localhost"  # another name, as the signed URLs of the real tenant have
_BACKLOG = 128
_NO_SOCKETS_PAUSE = 0.1  # seconds until another try when the process has too many files open


@asynccontextmanager
async def serve(
    settings: Settings | None = None, *, port: int = 0, data: Path | None = None
) -> AsyncIterator[Tenant]:
    """A tenant on `port` (0: any free one); bodies are kept in `data`, else until the end.

    Entering and leaving may happen in different tasks, as in the fixtures of a test framework: so
    the connections live in a task of their own. OSError when the port can't be had.
    """
    settings = settings or Settings()
    with _directory(data) as directory, _listening(port, settings.receive_buffer) as listener:
        tenant = Tenant(settings, directory)
        bound = listener.getsockname()[1]
        tenant.base_url = f"http://{HOST}:{bound}"
        tenant.report_url = f"http://{REPORT_HOST}:{bound}"
        hosting = asyncio.create_task(_host(tenant, listener))
        try:
            yield tenant
        finally:
            hosting.cancel()
            await asyncio.wait({hosting})
            if not hosting.cancelled():
                hosting.result()


async def run(port: int, data: Path | None, settings: Settings | None = None) -> None:
    """Serve until cancelled, SIGTERM or SIGINT; the first line on stdout is the tenant's `info`."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with serve(settings, port=port, data=data) as tenant:
            print(json.dumps(tenant.info), flush=True)
            await anext(aiter(signals))


@contextmanager
def _directory(data: Path | None) -> Iterator[Path]:
    """Where bodies are kept."""
    if data is not None:
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="revsyncd-simulator-") as directory:
        yield Path(directory)


@contextmanager
def _listening(port: int, receive_buffer: int) -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if receive_buffer:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        try:
            listener.bind((HOST, port))
        except OSError as error:
            told = f"port {port} of {HOST} can't be had ({error.strerror}); 0 takes any free one"
            raise OSError(error.errno, told) from error
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003  (the library's signature)
        yield listener


async def _host(tenant: Tenant, listener: socket.socket) -> None:
    """Stage uploads and attend to every connection."""
    async with anyio.create_task_group() as group:
        group.start_soon(tenant.stage)
        while True:
            await anyio.wait_readable(listener)
            try:
                sock, _ = listener.accept()
            except (BlockingIOError, ConnectionError):
                continue
            except OSError:
                await anyio.sleep(_NO_SOCKETS_PAUSE)
                continue
            group.start_soon(_converse, tenant, sock)


async def _converse(tenant: Tenant, sock: socket.socket) -> None:
    """Attend to one connection until it ends; whatever a client does ends with it."""
    wire = Wire(sock, tenant.settings.patience)
    try:
        while (request := await wire.request()) is not None:
            await _attend(tenant, wire, request)
        await wire.finish()
    except h11.RemoteProtocolError as error:
        await _reject(wire, error)
    except (Gone, h11.LocalProtocolError):
        pass
    except Exception as error:  # a fault of ours must not end the other connections
        tenant.world.violation("simulator_fault", repr(error))
    finally:
        wire.close()


async def _attend(tenant: Tenant, wire: Wire, request: h11.Request) -> None:
    """Answer one request."""
    body = Body(tenant.incoming, tenant.settings.max_body)
    path, query = read_target(request.target)
    headers = read_headers(request.headers)
    call = Call(request.method.decode("latin-1"), path, query, headers, body)
    try:
        if path.startswith(f"{CONTROL}/"):
            await _answer_control(tenant, wire, call)
        else:
            await Visit(tenant, wire, call).run()
    finally:
        body.discard()


async def _answer_control(tenant: Tenant, wire: Wire, call: Call) -> None:
    """Answer on the control path, which knows no trouble and counts nothing."""
    try:
        async for chunk in wire.body():
            call.body.write(chunk)
        answer = await control.answer(tenant, call)
    except TooLarge as too_large:
        answer = answers.plain({"error": str(too_large)}, 413)
    await send(wire, answer, headers_of(answer, size_of(answer), tenant.world.clock()))


async def _reject(wire: Wire, error: h11.RemoteProtocolError) -> None:
    """Say that the request was none, if the client still listens."""
    answer = answers.plain({"status": "Error", "message": str(error)}, error.error_status_hint)
    try:
        await wire.answer(
            answer.status, headers_of(answer, size_of(answer), 0, early=True), [answer.body]
        )
        await wire.finish()
    except (Gone, h11.LocalProtocolError):
        pass
