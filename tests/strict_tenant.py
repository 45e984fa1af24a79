"""A strict, independent tenant: it does what the API reference says and notes all that it forbids.

Made for tests that run the real daemon against somebody who knows nothing of it: standard library
only, in a thread (`with StrictTenant() as tenant`) or as a process (`python tests/strict_tenant.py`,
whose first line on stdout is a JSON object that says how to sign in and where to ask for the report).

`GET /__strict__/report` lists calls, violations and what was stored; with `?stored=3&within=20` it
answers when three uploads are stored or twenty seconds are over.  `POST /__strict__/knobs` takes a
JSON object of `Knobs`; `…/expire` ends all tokens; `…/restarted` says that the client was started
anew and may sign in once more; `…/mend` takes all lines out of error.
"""

import argparse
import base64
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import strict_rules as rules
from strict_books import (
    BASIC,
    CLIENT_ID,
    CLIENT_NAME,
    CLIENT_SECRET,
    PASSWORD,
    ROLE,
    USERNAME,
    Answer,
    Books,
    Call,
    Knobs,
    Stored,
    said,
)
from strict_journal import SIGNED, faults_of_download
from strict_rules import Endpoint, Fault

CONTROL = "/__strict__/"
PARALLEL = 2  # "at most two uploads in parallel per tenant"
ESTABLISHED = 1  # the first byte of Linux' TCP_INFO while neither side has closed


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that the reference does not allow, and the number of the call that did it."""

    rule: str
    detail: str
    call: int


class StrictTenant:
    """Listens on loopback, judges every call, and lets the books answer; `with` serves from a thread."""

    def __init__(self, knobs: Knobs | None = None, *, auth: str = "token", port: int = 0) -> None:
        """Bind `port` (0: any free one); `auth` is `token` or `oneid`, as in the reference."""
        self.knobs = knobs or Knobs()
        self.auth = auth
        self.calls: list[Call] = []
        self.violations: list[Violation] = []
        self.most_uploads_at_once = 0
        self.books = Books(self.knobs, auth, self.note)
        self.changed = threading.Condition(threading.RLock())
        self.closing = threading.Event()
        self._uploading: dict[int, socket.socket] = {}
        self._server = _Server(("127.0.0.1", port), _Handler)
        self._server.tenant = self
        self.port = self._server.server_port
        self.host = f"127.0.0.1:{self.port}"
        self.books.report_host = f"localhost:{self.port}"
        self.prefix = "/revenue" if auth == "oneid" else ""
        self.base_url = f"http://{self.host}{self.prefix}"

    def __enter__(self) -> Self:
        """Serve from a thread until the block ends."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take no more connections; calls that are being delayed are answered at once."""
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def serve_forever(self) -> None:
        """Serve in this thread."""
        self._server.serve_forever(poll_interval=0.02)

    @property
    def stored(self) -> list[Stored]:
        """What was taken, in order of arrival."""
        return self.books.stored

    def introduction(self) -> dict[str, object]:
        """How to reach and sign in to this tenant, and the labels of its templates."""
        return {
            "base_url": self.base_url,
            "auth": self.auth,
            "username": USERNAME,
            "password": PASSWORD,
            "role": ROLE,
            "client_name": CLIENT_NAME,
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "token_url": f"http://{self.host}/oauth2/token",
            "control_url": f"http://{self.host}{CONTROL}",
            "templates": {name: kind.labels for name, kind in self.books.templates.items()},
        }

    def wait_until(self, condition: Callable[[Self], bool], within: float = 60.0) -> bool:
        """Wait until `condition` holds; it is looked at when a call ends or an upload begins."""
        with self.changed:
            return self.changed.wait_for(lambda: condition(self), within)

    def report(self) -> dict[str, Any]:
        """Everything seen, as JSON can carry it; bodies are in base64."""
        with self.changed:
            bodies = [base64.b64encode(stored.body).decode() for stored in self.stored]
            stored = [
                asdict(s) | {"body": body} for s, body in zip(self.stored, bodies, strict=True)
            ]
            return {
                "calls": [asdict(call) for call in self.calls],
                "violations": [asdict(violation) for violation in self.violations],
                "stored": stored,
                "sign_ins": self.books.sign_ins,
                "most_uploads_at_once": self.most_uploads_at_once,
                "mapping_calls": dict(self.books.mapping_calls),
            }

    def note(self, call: Call, faults: list[Fault]) -> None:
        """Keep what the reference does not allow."""
        with self.changed:
            self.violations += [Violation(rule, detail, call.number) for rule, detail in faults]

    def arrived(self, method: str, target: str, headers: list[tuple[str, str]]) -> Call:
        """Write a call down."""
        with self.changed:
            path, query = urlsplit(target).path, urlsplit(target).query
            self.calls.append(Call(len(self.calls) + 1, method, path, query, headers))
            return self.calls[-1]

    def judge(self, call: Call) -> Endpoint | Answer:
        """Which documented call this is; an answer when there is no use in reading its body."""
        if call.path.startswith(SIGNED) and call.method == "GET":
            with self.changed:
                self.note(call, faults_of_download(call.headers, self.books.report_host))
                return self.books.signed(call.query)
        endpoint = rules.find(call.method, self._documented(call.path))
        if endpoint is None:
            known = call.path == f"{CONTROL}elsewhere"
            rule = "redirect.followed" if known else "call.unknown"
            self.note(call, [(rule, f"{call.method} {call.path}")])
            return said(404, "Error", "No such call")
        self.note(call, rules.faults_of_call(endpoint, call.headers, call.query))
        self.note(call, self._faults_of_secrets(endpoint, call))
        faults = rules.faults_of_length(endpoint, call.headers)
        self.note(call, faults)
        return said(411, "Error", faults[0][0]) if faults else endpoint

    def _documented(self, path: str) -> str:
        """The path as the reference prints it, "" when it is not below this tenant's base."""
        if path == "/oauth2/token":
            return path if self.auth == "oneid" else ""
        below = path.startswith(f"{self.prefix}{rules.API}/")
        signing_in_wrongly = self.auth == "oneid" and path.endswith("/authenticate")
        return path.removeprefix(self.prefix) if below and not signing_in_wrongly else ""

    def _faults_of_secrets(self, endpoint: Endpoint, call: Call) -> list[Fault]:
        faults = [] if call.header("host") == self.host else [("header.host", call.header("host"))]
        signing_in = endpoint.name.startswith("sign-in")
        right = {"token": "basic" if signing_in else "", "oneid": "" if signing_in else "bearer"}
        scheme = call.header("authorization").partition(" ")[0].lower()
        if scheme not in ("", right[self.auth]):
            rule = "password.leaked" if scheme == "basic" else "token.confused"
            faults.append((rule, f"Authorization: {scheme} on {call.path}"))
        elif call.header("token").lower().startswith("bearer"):
            faults.append(("token.confused", "token: Bearer …"))
        shown = [value for name, value in call.headers if name.lower() != "authorization"]
        secrets = (PASSWORD, CLIENT_SECRET, BASIC)
        if any(secret in text for secret in secrets for text in (call.query, *shown)):
            faults.append(("password.leaked", f"in a header or the query of {call.path}"))
        return faults

    @contextmanager
    def uploading(self, call: Call, connection: socket.socket) -> Iterator[bool]:
        """Count an upload from its headers to its answer; false when it is one too many.

        A connection that the client has closed counts no more, however late its thread hears of it.
        """
        with self.changed:
            self._uploading[call.number] = connection
            now = sum(_is_open(connection) for connection in self._uploading.values())
            self.most_uploads_at_once = max(self.most_uploads_at_once, now)
            self.changed.notify_all()
        if now > PARALLEL:
            self.note(call, [("uploads.parallel", f"{now} at once")])
        try:
            yield now <= PARALLEL
        finally:
            with self.changed:
                del self._uploading[call.number]

    def act(self, endpoint: Endpoint, call: Call, body: bytes) -> Answer:
        """Answer a complete call."""
        for pattern, status in self.knobs.redirect.items():
            if re.search(pattern, call.path):
                there = f"http://localhost:{self.port}{CONTROL}elsewhere"
                return Answer(status, headers=(("Location", there),))
        with self.changed:
            answer = self.books.act(endpoint, call, body)
        if endpoint.name.startswith("upload"):
            self.closing.wait(self.knobs.answer_delay)
        return answer

    def ended(self, call: Call, status: int) -> None:
        """Note how a call was answered and wake those who wait for something."""
        with self.changed:
            call.status = status
            self.changed.notify_all()

    def control(self, word: str, query: str, body: bytes) -> dict[str, Any]:
        """Do what a test asks over HTTP; see the module's text. Raises KeyError for an unknown word."""
        asked = dict(parse_qsl(query))
        if word == "report":
            wanted = int(asked.get("stored", "0"))
            self.wait_until(lambda t: len(t.stored) >= wanted, float(asked.get("within", "0")))
            return self.report()
        with self.changed:
            if word == "knobs":
                self.knobs.turn(json.loads(body))
                return asdict(self.knobs)
            {
                "expire": self.books.expire_tokens,
                "restarted": self.books.expect_sign_in,
                "mend": self.books.errors.clear,
            }[word]()
        return {}


class _Server(ThreadingHTTPServer):
    tenant: StrictTenant
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that goes away is its own affair; anything else is a fault of this server."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Handler(BaseHTTPRequestHandler):
    """The wire: reads whole requests by their Content-Length and writes whole answers."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 60.0

    def _any(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith(CONTROL) and not url.path.endswith("elsewhere"):
            self._control(url.path.removeprefix(CONTROL), url.query)
            return
        tenant = self.server.tenant
        call = tenant.arrived(self.command, self.path, list(self.headers.items()))
        endpoint = tenant.judge(call)
        if isinstance(endpoint, Answer):
            self.close_connection = True
            self._send(call, endpoint)
        elif endpoint.name.startswith("upload"):
            with tenant.uploading(call, self.connection) as allowed:
                answer = self._read_and_act(endpoint, call, allowed=allowed)
            # Counted off before the answer goes: the client may begin the next one on its first byte.
            self._send(call, answer)
        else:
            self._send(call, self._read_and_act(endpoint, call, allowed=True))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _any  # noqa: N815  (http.server's names)

    def _read_and_act(self, endpoint: Endpoint, call: Call, *, allowed: bool) -> Answer:
        body = self._read(call)
        if not call.complete:
            return Answer(0, lost=True)
        if not allowed:
            return said(429, "Error", "Too many uploads")
        return self.server.tenant.act(endpoint, call, body)

    def _read(self, call: Call) -> bytes:
        length = int(call.header("content-length") or 0)
        pieces = []
        while call.received < length:
            try:
                piece = self.rfile.read1(min(length - call.received, 65536))
            except OSError:
                break
            if not piece:
                break
            pieces.append(piece)
            call.received += len(piece)
        call.complete = call.received == length
        return b"".join(pieces)

    def _send(self, call: Call, answer: Answer) -> None:
        sent = not answer.lost
        self.close_connection |= answer.lost
        try:
            if sent:
                self._write(answer)
        except OSError:  # the client did not stay for the answer
            self.close_connection, sent = True, False
        self.server.tenant.ended(call, answer.status if sent else 0)

    def _write(self, answer: Answer) -> None:
        body = b"" if answer.body is None else json.dumps(answer.body).encode()
        body = body if answer.content is None else answer.content
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.body is not None:
            self.send_header("Content-Type", "application/json; charset=utf-8")
        if answer.content is not None:
            self.send_header("Content-Type", "text/csv")
        if answer.status != 204:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _control(self, word: str, query: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._write(Answer(200, self.server.tenant.control(word, query, body)))

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """A request that is not even HTTP, or whose method nobody has heard of."""
        tenant = self.server.tenant
        call = tenant.arrived(str(self.command), "", [])
        tenant.note(call, [("http", f"{code} {message or explain}: {self.requestline!r}")])
        self.request_version = (
            "HTTP/1.1"  # what could not be read has none, and then no header is sent
        )
        self.close_connection = True
        self._send(call, said(code, "Error", message or ""))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
        """Keep stderr quiet: the report tells everything."""


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == ESTABLISHED
    except OSError:
        return False


def main() -> None:
    """Serve until killed; knobs as JSON on the command line."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--auth", choices=["token", "oneid"], default="token")
    parser.add_argument("--knobs", type=json.loads, default={}, help="a JSON object")
    options = parser.parse_args()
    tenant = StrictTenant(Knobs(**options.knobs), auth=options.auth, port=options.port)
    print(json.dumps(tenant.introduction()), flush=True)
    tenant.serve_forever()


if __name__ == "__main__":
    main()
