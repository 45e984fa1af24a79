"""How fast a large general-ledger batch goes out, and how much memory it takes: `make bench-gl`.

The real daemon as a process, against a small tenant of this script's own that makes its lines as they
are asked for. For each source: seconds from the list to the confirmation, the daemon's and its
children's peak memory, and whether file and totals are exactly what was served.
"""

import argparse
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

COLUMNS = ("id", "currency_code", "accounted_dr", "accounted_cr", "memo", "segment1", "reference5")
PAGE = 10_000
CONFIG = """
root = "{home}/root"
state_dir = "{home}/state"
[tenant]
base_url = "{base_url}"
username = "env:BENCH_SECRET"
password = "env:BENCH_SECRET"
[templates.orders]
template_name = "None"
[gl]
confirm = "written"
every = "1s"
sources = ["{source}"]
"""


def row(number: int) -> tuple[str, ...]:
    """One line: debit and credit of an amount by turns, in two currencies."""
    pair = (number + 1) // 2
    amount = f"{pair}.{pair % 100:02d}"
    sides = (amount, "") if number % 2 else ("", amount)
    currency = "USD" if pair % 2 else "EUR"
    return (str(number), currency, *sides, f'Revenue, "contract" {pair}', "4000", f"RC-{pair}")


def text_of(first: int, last: int) -> bytes:
    """The CSV lines of some rows, as a report has them."""
    return "".join(
        f'{n},{c},{d},{k},"{m.replace(chr(34), chr(34) * 2)}",{s},{r}\r\n'
        for n, c, d, k, m, s, r in map(row, range(first, last + 1))
    ).encode()


def file_of(lines: int) -> Iterator[bytes]:
    """The whole file in portions."""
    yield ",".join(COLUMNS).encode() + b"\r\n"
    for first in range(1, lines + 1, PAGE):
        yield text_of(first, min(first + PAGE - 1, lines))


def totals_of(lines: int) -> dict[str, Decimal]:
    """Debit (and credit) per currency."""
    totals = {"USD": Decimal(0), "EUR": Decimal(0)}
    for pair in range(1, lines // 2 + 1):
        totals["USD" if pair % 2 else "EUR"] += Decimal(f"{pair}.{pair % 100:02d}")
    return totals


class Tenant(ThreadingHTTPServer):
    """One batch of so many lines, ready until it is confirmed."""

    daemon_threads = True

    def __init__(self, lines: int) -> None:
        """On a free port of the loopback."""
        super().__init__(("127.0.0.1", 0), Handler)
        self.lines = lines
        self.size = sum(map(len, file_of(lines)))
        self.confirmed = threading.Event()
        self.listed_at = 0.0

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves, as one that is stopped does, is no fault."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Handler(BaseHTTPRequestHandler):
    """Answers what the daemon asks."""

    server: Tenant
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Signing in."""
        self._say(b'{"status": "success"}', {"Revpro-Token": "bench"})

    def do_PUT(self) -> None:
        """The confirmation."""
        self.server.confirmed.set()
        self._say(b'{"status": "Success"}')

    def do_GET(self) -> None:
        """List, pages, signed URL, report and file."""
        path = urlsplit(self.path).path
        if path.endswith("/journal/list"):
            self._list()
        elif "/journal/batch/" in path:
            self._page(int(path.rpartition("/")[2]))
        elif "/signedurl/" in path:
            url = f"http://localhost:{self.server.server_port}/signed?signature=x"
            self._say(json.dumps({"signed_url": url}).encode())
        elif path == "/signed" or "/transferbatchfile/" in path:
            self._file()
        else:
            self._say(b"", status=204)

    def _list(self) -> None:
        if self.server.confirmed.is_set():
            self._say(b"", status=204)
            return
        self.server.listed_at = self.server.listed_at or time.monotonic()
        batch = {"id": 1, "name": "big", "status": "READY TO TRANSFER", "report_id": 2}
        self._say(json.dumps({"status": "Success", "result": [batch | {"updt_dt": "x"}]}).encode())

    def _page(self, number: int) -> None:
        first, last = (number - 1) * PAGE + 1, min(number * PAGE, self.server.lines)
        if first > last:
            self._say(b"", status=204)
            return
        lines = [
            "{"
            f'"id": {n}, "currency_code": "{c}", "accounted_dr": {d or "null"},'
            f' "accounted_cr": {k or "null"}, "memo": {json.dumps(m)}, "segment1": "{s}",'
            f' "reference5": "{r}"'
            "}"
            for n, c, d, k, m, s, r in map(row, range(first, last + 1))
        ]
        self._say(b'{"status": "Success", "result": [' + ",".join(lines).encode() + b"]}")

    def _file(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(self.server.size))
        self.end_headers()
        for portion in file_of(self.server.lines):
            self.wfile.write(portion)

    def _say(self, body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
        """Quiet."""


def measure(source: str, lines: int, home: Path) -> dict[str, Any]:
    """Deliver one batch by a source; what it took."""
    tenant = Tenant(lines)
    threading.Thread(target=tenant.serve_forever, daemon=True).start()
    for name in ("root/orders/inbox", "state"):
        (home / name).mkdir(parents=True)
    config = home / "config.toml"
    base_url = f"http://127.0.0.1:{tenant.server_port}"
    config.write_text(CONFIG.format(home=home, base_url=base_url, source=source))
    with (home / "log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "revsyncd", "run", "--config", str(config)],
            env={**os.environ, "BENCH_SECRET": "x"},
            stdout=log,
        )
        assert tenant.confirmed.wait(900), (home / "log").read_text()[-2000:]
        seconds = time.monotonic() - tenant.listed_at
        status = Path(f"/proc/{process.pid}/status").read_text()
        process.send_signal(signal.SIGTERM)
        process.wait(60)
    tenant.shutdown()
    peak = next(int(x.split()[1]) for x in status.splitlines() if x.startswith("VmHWM")) / 1024
    return {"seconds": seconds, "daemon": peak, **compare(home / "root/outbox/gl", lines)}


def compare(outbox: Path, lines: int) -> dict[str, Any]:
    """Whether file and manifest are exactly what was served."""
    [path] = outbox.glob("*.manifest.json")
    manifest = json.loads(path.read_text())
    served, found = hashlib.sha256(), hashlib.sha256()
    for portion in file_of(lines):
        served.update(portion)
    with path.with_name(manifest["file"]).open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            found.update(block)
    totals = {c: Decimal(t["debit"]) for c, t in manifest["totals"].items()}
    return {
        "bytes": manifest["bytes"],
        "same": found.hexdigest() == served.hexdigest() == manifest["sha256"],
        "exact": totals == totals_of(lines) and manifest["records"] == lines,
    }


def main() -> None:
    """Print one line a source."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000, help="an even number")
    options = parser.parse_args()
    print(f"{options.lines:,} lines      MB    seconds   daemon MB   bytes equal   totals exact")
    for source in ("report", "pages", "file"):
        with tempfile.TemporaryDirectory(prefix="revsyncd-bench-") as home:
            found = measure(source, options.lines, Path(home))
        print(
            f"{source:<14} {found['bytes'] / 1e6:8.1f} {found['seconds']:10.1f} {found['daemon']:11.1f}"
            f"   {found['same']!s:<13} {found['exact']}"
        )
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process of all, the one that verifies included: {children:.1f} MB")


if __name__ == "__main__":
    main()
