"""The strict tenant's general-ledger batches: listed, served by report, pages and file, confirmed once.

Knows neither sockets nor revsyncd. Where it is told of the ERP's outbox, it looks there at the moment
of a confirmation: file and manifest must be on disk by then, with exactly this content.
"""

import csv
import io
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

from strict_rules import Fault

COLUMNS = ("id", "currency_code", "accounted_dr", "accounted_cr", "memo")
SIGNED = "/signed/"
_OF_A_DOWNLOAD = frozenset(
    {"host", "accept", "accept-encoding", "connection", "user-agent", "range", "if-range"}
)


@dataclass(slots=True)
class GlBatch:
    """A batch; `rows` are its lines, `confirmed` how often it was marked as transferred."""

    id: int
    report_id: int
    rows: list[list[str]]
    balanced: bool
    updated: str
    status: str = "Ready to Transfer"
    confirmed: int = 0
    name: str = ""

    @property
    def content(self) -> bytes:
        """The batch as CSV."""
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *self.rows])
        return text.getvalue().encode()


@dataclass(slots=True)
class Journal:
    """All batches; `outbox` is the ERP's directory, "" when it is not to be looked into."""

    outbox: str = ""
    batches: dict[int, GlBatch] = field(default_factory=dict)
    _signatures: dict[str, int] = field(default_factory=dict)  # signature -> report

    def add(self, lines: int, *, balanced: bool = True) -> GlBatch:
        """A new batch that is ready; an unbalanced one lacks a cent."""
        number = 4001 + len(self.batches)
        rows = [_row(number, line) for line in range(1, lines + 1)]
        if not balanced:
            rows[0][2] = "0.01" if not rows[0][2] else f"{float(rows[0][2]) + 0.01:.2f}"
        batch = GlBatch(
            number, 90_000 + number, rows, balanced, f"23-NOV-2026 04:47:{number % 60:02d}"
        )
        self.batches[number] = batch
        return batch

    def reissue(self, number: int, lines: int) -> GlBatch:
        """The same batch made ready again, with other lines."""
        batch = self.batches[number]
        batch.rows = [_row(number, line) for line in range(1, lines + 1)]
        batch.status, batch.confirmed = "READY TO TRANSFER", 0
        batch.updated, batch.report_id = f"{batch.updated}.1", batch.report_id + 10_000
        return batch

    def listed(self) -> list[dict[str, object]]:
        """The rows of the list, one that is not ready among them."""
        rows = [
            {
                "id": b.id,
                "name": b.name or f"Batch {b.id}/x",
                "status": b.status,
                "report_id": b.report_id,
            }
            | {"updt_dt": b.updated, "crtd_dt": b.updated, "client_id": 1}
            for b in self.batches.values()
            if b.status != "Transferred"
        ]
        if not rows:
            return []
        return [*rows, {"id": 1, "name": "new", "status": "NEW", "report_id": 2, "updt_dt": "x"}]

    def page(self, number: str, page: str, query: str, header: str) -> tuple[list[Fault], object]:
        """One page with its faults; None when there is no such batch, "" after the last one."""
        sizes = {header, parse_qs(query).get("pagesize", [""])[0]}
        faults = [] if len(sizes) == 1 else [("page.size_differs", repr(sorted(sizes)))]
        size = int(next(iter(sizes)) or 1000) if not faults else 1000
        batch = self.batches.get(int(number))
        if batch is None:
            return faults, None
        rows = batch.rows[(int(page) - 1) * size : int(page) * size]
        return faults, [dict(zip(COLUMNS, row, strict=True)) for row in rows]

    def sign(self, report: str) -> str:
        """The path and query of a signed URL; "" for a report that there is not."""
        if not any(b.report_id == int(report) for b in self.batches.values()):
            return ""
        signature = secrets.token_hex(16)
        self._signatures[signature] = int(report)
        return f"{SIGNED}{report}?signature={signature}"

    def report(self, query: str) -> bytes | None:
        """What a signed URL serves."""
        report = self._signatures.get(parse_qs(query).get("signature", [""])[0])
        found = [b for b in self.batches.values() if b.report_id == report]
        return found[0].content if found else None

    def confirm(self, number: str) -> tuple[list[Fault], bool]:
        """Mark a batch; what is wrong with doing so now, and whether a row was updated."""
        batch = self.batches.get(int(number))
        if batch is None:
            return [("journal.unknown_batch", number)], False
        faults = [] if batch.balanced else [("journal.unbalanced_confirmed", number)]
        if batch.confirmed:
            faults.append(("journal.confirmed_twice", number))
        if self.outbox and not self._is_out(batch):
            faults.append(("journal.confirmed_before_it_was_out", number))
        updated = batch.status.upper() == "READY TO TRANSFER"
        if updated:
            batch.status, batch.confirmed = "Transferred", batch.confirmed + 1
        return faults, updated

    def _is_out(self, batch: GlBatch) -> bool:
        """Whether a manifest of the batch is on disk, and beside it the file, byte for byte."""
        for path in Path(self.outbox).glob("*.manifest.json"):
            manifest = json.loads(path.read_text())
            file = path.with_name(path.name.removesuffix(".manifest.json"))
            if manifest["batch_id"] == batch.id and file.read_bytes() == batch.content:
                return True
        return False


def faults_of_download(headers: list[tuple[str, str]], host: str) -> list[Fault]:
    """What a signed URL's host must never see: credentials, or anything that names the tenant."""
    names = [name.lower() for name, _ in headers]
    faults = [("signed.header", name) for name in names if name not in _OF_A_DOWNLOAD]
    given = next((value for name, value in headers if name.lower() == "host"), "")
    return faults + ([] if given == host else [("header.host", given)])


def _row(batch: int, line: int) -> list[str]:
    """Debit and credit by turns; an odd last line moves nothing."""
    amount = f"{(line + 1) // 2}.{batch % 100:02d}"
    debit, credit = (amount, "") if line % 2 else ("", amount)
    return [f"{batch}-{line}", "EUR", debit, credit, f'line {line}, "ü"']
