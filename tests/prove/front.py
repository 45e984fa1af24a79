"""A TLS front before the strict tenant that does to single calls, or to connections, what it is told.

It reads whole requests and passes them on, until a call meets a trouble: then the trouble's deed has
the connection. Threads and blocking sockets; what it did is counted, so that tests can await it.
"""

import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import StrEnum
from typing import Self

from strict_tenant import StrictTenant

_BUFFER = 1 << 14  # small, so that a body of some megabytes can't hide in the kernel
_BEGINNING = 100_000  # bytes of a body that are read before its middle
_PACE = 0.05  # seconds between the bytes of an answer that trickles
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


RIGHT = "right"


class At(StrEnum):
    """When the trouble begins."""

    BEGUN = "the headers have arrived"
    HALF = "the body is half sent"
    WHOLE = "the whole body has arrived, and the tenant does not get it"
    STORED = "the tenant has stored it and answered"


class Call(StrEnum):
    """Which call meets it; the text is what the path holds."""

    UPLOAD = "/upload/file"
    MAPPING = "/upload/mapping"
    STATUS = "/fileupload/status/"
    SIGN_IN = "/authenticate"


@dataclass
class Peer:
    """The client's connection when trouble begins, and the tenant's answer if there is one."""

    front: "Front"
    connection: socket.socket
    answer: bytes = b""

    def send(self, raw: bytes) -> None:
        """Send bytes as they are."""
        self.connection.sendall(raw)

    def reset(self) -> None:
        """End the connection with a reset instead of a goodbye."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def goodbye(self) -> None:
        """Say that nothing more will be sent, and stay."""
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.settimeout(0.05)
            with suppress(OSError, ValueError):
                self.connection.unwrap()
        self.connection.shutdown(socket.SHUT_WR)

    def read_on(self) -> None:
        """Take what comes until the client leaves."""
        while self.connection.recv(_BUFFER):
            pass


Deed = Callable[[Peer], None]
Outage = Callable[["Front"], None]


@dataclass
class _Plan:
    call: Call
    at: At
    deed: Deed
    left: int


@dataclass
class Front:
    """Listens on loopback and takes the tenant's place; `with` serves from threads."""

    tenant: StrictTenant
    certificates: Mapping[str, ssl.SSLContext]  # by what is wrong with them; RIGHT is the tenant's
    shift: float = 0.0  # seconds by which somebody has set the wall clock
    passed: float = 0.0  # seconds that have gone by for the instance and for nobody else
    nameless: bool = False  # the tenant's name can't be resolved now
    renewals: bool = False  # a second sign-in is right, however soon
    met: list[float] = field(
        default_factory=list
    )  # monotonic times at which a call met its trouble
    uploads: list[float] = field(default_factory=list)  # … at which an upload began, TLS being up
    connections: list[Deed] = field(default_factory=list)  # what happens to new connections now
    later: list[Outage] = field(default_factory=list)  # begins when the mapping was answered
    over: threading.Event = field(default_factory=threading.Event)
    _plans: list[_Plan] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listener: socket.socket = field(init=False)
    _place: socket.socket = field(default_factory=socket.socket)  # bound, and nobody listens
    _elsewhere: socket.socket = field(default_factory=socket.socket)

    def __enter__(self) -> Self:
        """Serve until the block ends."""
        # It keeps the port while nobody listens: no other process's server may get it then.
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = self._place.getsockname()[1]
        self.hear()
        self.tenant.host = f"localhost:{self.port}"
        self.tenant.base_url = f"https://{self.tenant.host}"
        self._elsewhere.bind(("127.0.0.2", 0))
        self._elsewhere.listen(16)
        self._elsewhere.settimeout(0)
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything go."""
        self.over.set()
        self.deaf()
        self._place.close()
        self._elsewhere.close()

    @property
    def other_host(self) -> str:
        """Where redirects lead: nobody may follow, since the token would arrive there."""
        address, port = self._elsewhere.getsockname()
        return f"https://{address}:{port}"

    def followed(self) -> bool:
        """Whether anybody came to the other host; TLS or not, whatever was said."""
        try:
            self._elsewhere.accept()[0].close()
        except BlockingIOError:
            return False
        return True

    def plan(self, call: Call, at: At, deed: Deed, times: int = 1) -> None:
        """What the next calls of this kind are to meet."""
        with self._lock:
            self._plans.append(_Plan(call, at, deed, times))

    def mend(self) -> None:
        """From now on new connections are served as they should be."""
        self.connections.clear()
        self.nameless = False
        if self._listener.fileno() < 0:
            self.hear()

    def deaf(self) -> None:
        """Stop listening: connections are refused."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def hear(self) -> None:
        """Listen, under the same address each time."""
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(16)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, raw: socket.socket) -> None:
        with suppress(OSError), raw:
            if self.connections:
                self._note(self.met)
                self.connections[0](Peer(self, raw))
                return
            with self.certificates[RIGHT].wrap_socket(raw, server_side=True) as client:
                while (head := _head(client))[0]:
                    self._request(client, *head)

    def _note(self, times: list[float]) -> None:
        with self._lock:
            times.append(time.monotonic())

    def _request(self, client: socket.socket, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode("ascii", "replace")
        if Call.UPLOAD in path:
            self._note(self.uploads)
        plan = self._planned(path)
        if plan and plan.at is At.BEGUN:
            self._do(plan, Peer(self, client))
        found = _LENGTH.search(head)
        length = int(found[1]) if found else 0
        if plan and plan.at is At.HALF:
            _rest(client, body, min(length, _BEGINNING))
            self._do(plan, Peer(self, client))
        body = _rest(client, body, length)
        if plan and plan.at is At.WHOLE:
            self._do(plan, Peer(self, client))
        answer = self._passed_on(head + body)
        if plan:
            self._do(plan, Peer(self, client, answer))
        client.sendall(answer)
        if Call.MAPPING in path:
            while self.later:
                self.later.pop()(self)

    def _planned(self, path: str) -> _Plan | None:
        with self._lock:
            for plan in self._plans:
                if plan.call in path and plan.left:
                    plan.left -= 1
                    return plan
        return None

    def _do(self, plan: _Plan, peer: Peer) -> None:
        """The deed has the connection; what is left of it afterwards is closed."""
        self._note(self.met)
        plan.deed(peer)
        raise ConnectionAbortedError("that was that")

    def _passed_on(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", self.tenant.port)) as server:
            server.sendall(request)
            head, body = _head(server)
            found = _LENGTH.search(head)
            return head + _rest(server, body, int(found[1]) if found else 0)


def _head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A request's or an answer's head, and what came of its body; empty when nobody speaks."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(_BUFFER)
        if not piece:
            return b"", b""
        data += piece
    end = data.index(b"\r\n\r\n") + 4
    return data[:end], data[end:]


def _rest(connection: socket.socket, body: bytes, length: int) -> bytes:
    """The body, once it has so many bytes. Raises OSError when it ends before."""
    pieces, size = [body], len(body)
    while size < length:
        piece = connection.recv(_BUFFER)
        if not piece:
            raise ConnectionResetError("the client left")
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


# -- deeds ---------------------------------------------------------------------------------------


def resets(peer: Peer) -> None:
    """The connection ends with a reset."""
    peer.reset()


def hears_and_resets(peer: Peer) -> None:
    """The first byte is read, then the connection ends with a reset."""
    peer.connection.recv(1)
    peer.reset()


def closes(peer: Peer) -> None:
    """It is closed."""
    peer.connection.close()


def half_closes(peer: Peer) -> None:
    """The answer ends before it began; what the client sends is read on."""
    peer.goodbye()
    peer.connection.settimeout(None)
    peer.read_on()


def keeps_silent(peer: Peer) -> None:
    """Nothing is read and nothing sent any more."""
    peer.front.over.wait()


def trickles(peer: Peer) -> None:
    """An answer whose head never ends, a byte now and then."""
    peer.send(b"HTTP/1.1 200 OK\r\nX: ")
    while not peer.front.over.wait(_PACE):
        peer.send(b"x")


def floods(peer: Peer) -> None:
    """An answer without end."""
    peer.send(b"HTTP/1.1 400 No\r\n\r\n")
    while True:
        peer.send(b"no " * 20_000)


def passes(peer: Peer) -> None:
    """The tenant's own answer."""
    peer.send(peer.answer)


def outlasts_the_token(peer: Peer) -> None:
    """The tenant's own answer, when the token that was shown has ended for both sides."""
    peer.front.passed += peer.front.tenant.knobs.token_life
    peer.front.tenant.books.expire_tokens()
    passes(peer)


def sends(raw: bytes) -> Deed:
    """These bytes, and then the connection is closed."""

    def deed(peer: Peer) -> None:
        peer.send(raw)
        peer.goodbye()

    return deed


def stalls_after(raw: bytes) -> Deed:
    """These bytes, and then nothing."""

    def deed(peer: Peer) -> None:
        peer.send(raw)
        keeps_silent(peer)

    return deed


def answers(
    status: int, body: str = "", headers: Mapping[str, str] | None = None, *, stays: bool = False
) -> Deed:
    """An answer of this kind, after which the connection is closed, or not read from."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body.encode())}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    raw = "\r\n".join([*lines, "", body]).encode()
    return stalls_after(raw) if stays else sends(raw)


def cuts_the_answer(peer: Peer) -> None:
    """The tenant's answer without its end, its request id included."""
    head, _, body = peer.answer.partition(b"\r\n\r\n")
    peer.send(head + b"\r\n\r\n" + body[: body.index(b":") + 2])
    peer.goodbye()


def sets_the_clock(seconds: float) -> Deed:
    """Somebody sets the wall clock while the answer is awaited."""

    def deed(peer: Peer) -> None:
        peer.front.shift += seconds
        passes(peer)

    return deed


def redirects(status: int) -> Deed:
    """To the same path of another host."""

    def deed(peer: Peer) -> None:
        answers(status, "", {"Location": f"{peer.front.other_host}/api/integration"})(peer)

    return deed


def patience_until(seconds: int) -> Deed:
    """429 with a Retry-After that is a date, so many seconds after the answer's own."""

    def deed(peer: Peer) -> None:
        now = time.time()
        dates = {"Date": formatdate(now, usegmt=True)}
        dates["Retry-After"] = formatdate(now + seconds, usegmt=True)
        answers(429, "", dates)(peer)

    return deed


# -- outages: what befalls every new connection --------------------------------------------------


def every(deed: Deed) -> Outage:
    """Each new connection meets this, before TLS is up."""
    return lambda front: front.connections.append(deed)


def shows(certificate: str) -> Outage:
    """Another certificate than the right one."""

    def deed(peer: Peer) -> None:
        context = peer.front.certificates[certificate]
        with context.wrap_socket(peer.connection, server_side=True) as client:
            client.recv(1)

    return every(deed)


def refuses(front: Front) -> None:
    """Nobody listens."""
    front.deaf()


def has_no_address(front: Front) -> None:
    """The name does not resolve: whoever calls has to ask `nameless`."""
    front.nameless = True
