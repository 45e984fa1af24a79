"""A real shipper, Debian's syslog-ng, with the shipped configuration, and the other sides' HTTP."""

import json
import shutil
import subprocess
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

SHIPPING = Path(__file__).parents[1] / "config" / "shipping"
PATIENCE = 60.0  # seconds; only a hang waits so long
_MAIN = """\
@version: 3.35
@define revsyncd-loki-url "http://127.0.0.1:{port}/loki"
@define revsyncd-elastic-url "http://127.0.0.1:{port}/elastic"
@define revsyncd-elastic-authorization "ApiKey the-key"
@define revsyncd-splunk-url "http://127.0.0.1:{port}/splunk"
@define revsyncd-splunk-token "the-token"
source s_revsyncd {{ file("{log}" flags(no-parse) read-old-records(yes)); }};
rewrite r_revsyncd_instance {{ set("acme" value("revsyncd.instance")); }};
{rest}
"""


@dataclass(slots=True)
class Sinks:
    """What Loki, Elasticsearch and Splunk were sent, in the order of arrival."""

    loki: list[dict[str, Any]] = field(default_factory=list)
    elastic: list[dict[str, Any]] = field(default_factory=list)
    splunk: list[dict[str, Any]] = field(default_factory=list)
    authorizations: set[tuple[str, str]] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def take(self, path: str, authorization: str, body: bytes) -> None:
        """One request, read as strictly as the other side would."""
        name = path.removeprefix("/")
        with self.changed:
            self.authorizations.add((name, authorization))
            try:
                getattr(self, name).extend(getattr(self, f"_{name}")(body.decode()))
            except (ValueError, KeyError, AssertionError) as error:
                self.faults.append(f"{name}: {error}: {body!r}")
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Until each has so many, or one could not read what it was sent."""

        def enough() -> bool:
            counts = (len(self.loki), len(self.elastic), len(self.splunk))
            return min(counts) >= count or bool(self.faults)

        with self.changed:
            assert self.changed.wait_for(enough, PATIENCE), (
                len(self.loki),
                len(self.elastic),
                len(self.splunk),
            )

    @staticmethod
    def _loki(body: str) -> list[dict[str, Any]]:
        """POST /loki/api/v1/push: streams with labels, values of nanoseconds and line."""
        return [
            {"labels": stream["stream"], "ns": int(ns), "line": line}
            for stream in json.loads(body)["streams"]
            for ns, line in stream["values"]
        ]

    @staticmethod
    def _elastic(body: str) -> list[dict[str, Any]]:
        """POST /_bulk: an action and a document, a line each, the last one ended too."""
        assert body.endswith("\n"), "a bulk request must end with a newline"
        lines = [json.loads(line) for line in body.splitlines()]
        assert all(line == {"create": {"_index": "logs-revsyncd-default"}} for line in lines[::2])
        return lines[1::2]

    @staticmethod
    def _splunk(body: str) -> list[dict[str, Any]]:
        """POST /services/collector/event: objects behind one another."""
        decoder, found, at = json.JSONDecoder(), [], 0
        while at < len(body):
            event, at = decoder.raw_decode(body, at)
            found.append(event)
            at += len(body[at:]) - len(body[at:].lstrip())
        return found


class _Door(BaseHTTPRequestHandler):
    sinks: Sinks

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.sinks.take(self.path, self.headers.get("Authorization", ""), body)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing."""


def skip_without_syslog_ng() -> None:
    """Skip the test where the program is missing."""
    if shutil.which("syslog-ng") is None:
        pytest.skip("syslog-ng is not here (Debian: syslog-ng-core, syslog-ng-mod-http)")


class Shipper:
    """syslog-ng reading a file of log lines, with everything else as shipped."""

    def __init__(self, home: Path, log: Path) -> None:
        skip_without_syslog_ng()
        self.sinks = Sinks()
        door = type("Door", (_Door,), {"sinks": self.sinks})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), door)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        config = home / "syslog-ng.conf"
        config.write_text(configuration(self._server.server_port, log))
        own = ("persist-file", "pidfile", "control")
        places = [f"--{name}={home / name}" for name in own]
        self._command = ["syslog-ng", "-F", "--no-caps", "-f", str(config), *places]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start both sides."""
        self._thread.start()
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        return self

    def __exit__(self, *_: object) -> None:
        """End both; what the shipper complained of is a fault."""
        assert self._process is not None
        self._process.terminate()
        complaints = self._process.communicate(timeout=PATIENCE)[1]
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        assert self.sinks.faults == []
        assert "rror" not in complaints, complaints


def configuration(port: int, log: Path) -> str:
    """The shipped syslog-ng.conf but for where lines come from and go to."""
    shipped = (SHIPPING / "syslog-ng.conf").read_text()
    rest = shipped[shipped.index("\n@include") :]
    rest = rest.replace("/etc/syslog-ng/revsyncd", str(SHIPPING))
    return _MAIN.format(port=port, log=log, rest=rest.replace("    filter(f_revsyncd);\n", ""))
