"""A wire between the daemon and a strict tenant that can be cut, held up or lose answers.

It forwards bytes and knows just enough of HTTP to tell an upload from other calls: uploads come on
connections of their own. What happens to the next uploads is planned with `Fate`s, in order.
"""

import re
import socket
import struct
import threading
from contextlib import suppress
from enum import Enum, auto
from typing import Self

from strict_tenant import StrictTenant

_BUFFER = 1 << 14  # small, so that a body of some megabytes can't hide in the kernel
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Fate(Enum):
    """What happens to an upload."""

    PASS = auto()
    CUT = auto()  # a reset before its end: the tenant gets only a beginning
    STALL = auto()  # its beginning is read and then nothing more, until `let_go`
    HOLD = auto()  # the tenant has it and has answered; the answer is kept until `let_go`
    LOSE = auto()  # the same, and then the daemon gets a reset instead of the answer
    FOLLOW = auto()  # it passes once another upload has met its fate


class Wire:
    """Listens on loopback in front of a tenant; `with` serves from threads."""

    def __init__(self, tenant: StrictTenant) -> None:
        """Take the tenant's place: its `base_url` and `host` are this wire's from now on."""
        self._plans: list[tuple[Fate, bytes]] = []
        self.met: list[Fate] = []  # the fates that uploads have met, but PASS and FOLLOW
        self.changed = threading.Condition()
        self._go = threading.Event()
        self._to = tenant.port
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._listener.bind(("127.0.0.1", 0))
        tenant.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        tenant.base_url = f"http://{tenant.host}{tenant.prefix}"

    def __enter__(self) -> Self:
        """Serve until the block ends."""
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Let everything go."""
        self._go.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def plan(self, *fates: Fate, naming: str = "") -> None:
        """What the next uploads are to meet, each once; `naming`: those whose head holds this text."""
        with self.changed:
            self._plans += [(fate, naming.encode()) for fate in fates]

    def let_go(self) -> None:
        """Let what is held or stalled go on."""
        self._go.set()

    def wait_met(self, *fates: Fate) -> None:
        """Wait until uploads have met these fates, in this order, beginning with the first."""
        with self.changed:
            wanted = list(fates)
            assert self.changed.wait_for(lambda: self.met[: len(wanted)] == wanted, 60), self.met

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        address = ("127.0.0.1", self._to)
        with suppress(OSError), client, socket.create_connection(address) as server:
            head = client.recv(_BUFFER)
            fate = self._fate(head)
            if fate in (Fate.HOLD, Fate.LOSE):
                self._deliver(fate, head, client, server)
                return
            if fate is Fate.FOLLOW:
                with self.changed:
                    self.changed.wait_for(lambda: self.met, 60)
            server.sendall(head)
            if fate in (Fate.CUT, Fate.STALL):
                self._stop_short(fate, client)
            self._both_ways(client, server)

    def _fate(self, head: bytes) -> Fate:
        is_upload = head.startswith(b"POST") and b"/upload" in head.partition(b"\r\n")[0]
        with self.changed:
            for plan in self._plans if is_upload else []:
                if plan[1] in head:
                    self._plans.remove(plan)
                    return plan[0]
        return Fate.PASS

    def _meet(self, fate: Fate) -> None:
        with self.changed:
            self.met.append(fate)
            self.changed.notify_all()

    def _stop_short(self, fate: Fate, client: socket.socket) -> None:
        self._meet(fate)
        if fate is Fate.CUT:
            _reset(client)
        else:
            self._go.wait()

    def _deliver(
        self, fate: Fate, head: bytes, client: socket.socket, server: socket.socket
    ) -> None:
        body = head
        while not _whole(body):
            piece = client.recv(_BUFFER)
            if not piece:
                return
            body += piece
        server.sendall(body)
        answer = server.recv(_BUFFER)
        self._meet(fate)
        if fate is Fate.LOSE:
            _reset(client)
            return
        self._go.wait()
        client.sendall(answer)
        self._both_ways(client, server)

    def _both_ways(self, client: socket.socket, server: socket.socket) -> None:
        back = threading.Thread(target=_pump, args=(server, client), daemon=True)
        back.start()
        _pump(client, server)
        back.join()


def _whole(request: bytes) -> bool:
    head, separator, body = request.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return bool(separator) and length is not None and len(body) >= int(length[1])


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_BUFFER):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
