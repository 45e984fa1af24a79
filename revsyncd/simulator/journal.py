"""GL batches: what they hold and how they pass from READY TO TRANSFER to TRANSFERRED and back."""

import csv
import gzip
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from .settings import Settings

READY = "READY TO TRANSFER"
TRANSFERRED = "TRANSFERRED"
COLUMNS = (
    "id",
    "currency_code",
    "memo",
    "segment1",
    "segment2",
    "accounted_dr",
    "accounted_cr",
    "entered_dr",
    "entered_cr",
    "reference5",
    "accounting_date",
)
Row = tuple[str, ...]

_FIRST_BATCH_ID = 5001
_FIRST_REPORT_ID = 70_001


class Packing(StrEnum):
    """How a batch's file is packed, whatever its name says."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZIP = "zip"


class Tenant(Protocol):
    """What a journal needs of the world around it."""

    settings: Settings
    clock: Callable[[], float]
    on_change: Callable[[], None]

    def timestamp(self) -> str:
        """Now, as the tenant writes times."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of journal lines; `report_id` leads to its signed URL."""

    id: int
    name: str
    status: str
    report_id: int
    created: str
    updated: str
    made_at: float  # of its file, seconds since the epoch
    rows: tuple[Row, ...]
    packing: Packing = Packing.PLAIN

    def to_json(self) -> dict[str, object]:
        """The row as `GET journal/list` lists it."""
        return {
            "client_id": 7,
            "crtd_by": "SYSTEM",
            "crtd_dt": self.created,
            "id": self.id,
            "name": self.name,
            "status": self.status,
            "updt_by": "SYSTEM",
            "updt_dt": self.updated,
            "report_id": self.report_id,
        }

    def page(self, number: int, size: int) -> list[dict[str, str]]:
        """One page of the lines as objects; pages count from 1."""
        chosen = self.rows[(number - 1) * size : number * size]
        return [dict(zip(COLUMNS, row, strict=True)) for row in chosen]

    def file(self) -> bytes:
        """The batch's CSV file, packed."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(COLUMNS)
        writer.writerows(self.rows)
        return _packed(text.getvalue().encode(), f"{self.name}.csv", self.packing)


class Journal:
    """The tenant's GL batches by id."""

    def __init__(self, tenant: Tenant) -> None:
        """`tenant` gives clock, settings and the word of changes."""
        self._tenant = tenant
        self.batches: dict[int, Batch] = {}
        self._next_report_id = _FIRST_REPORT_ID

    def add(
        self,
        lines: int = 10,
        *,
        balanced: bool = True,
        status: str = READY,
        packing: Packing = Packing.PLAIN,
        name: str = "",
    ) -> Batch:
        """Make a batch of `lines` lines; an unbalanced one has a debit too many by 0.01."""
        number = _FIRST_BATCH_ID + len(self.batches)
        now = self._tenant.timestamp()
        batch = Batch(
            id=number,
            name=name or f"GL-{number}",
            status=status,
            report_id=self._report_id(),
            created=now,
            updated=now,
            made_at=self._tenant.clock(),
            rows=journal_lines(lines, balanced=balanced),
            packing=packing,
        )
        return self._set(batch)

    def reissue(self, batch_id: int, lines: int | None = None) -> Batch:
        """Set a batch back to ready under a new report, with other content when `lines` is given."""
        old = self.batches[batch_id]
        return self._set(
            replace(
                old,
                status=READY,
                report_id=self._report_id(),
                updated=self._tenant.timestamp(),
                made_at=self._tenant.clock(),
                rows=old.rows if lines is None else journal_lines(lines),
            )
        )

    def confirm(self, batch_id: int) -> bool:
        """Mark as transferred; False unless the batch is ready to transfer."""
        batch = self.batches.get(batch_id)
        if batch is None or batch.status.upper() != READY:
            return False
        self._set(replace(batch, status=TRANSFERRED, updated=self._tenant.timestamp()))
        return True

    def listed(self) -> list[Batch]:
        """The batches that are not transferred, whatever else they are."""
        return [batch for batch in self.batches.values() if batch.status != TRANSFERRED]

    def of_report(self, report_id: int) -> Batch | None:
        """The batch whose report this is now."""
        return next((b for b in self.batches.values() if b.report_id == report_id), None)

    def has_file(self, batch: Batch) -> bool:
        """Whether the batch's file can still be had."""
        return self._tenant.clock() - batch.made_at < self._tenant.settings.file_life

    def _report_id(self) -> int:
        self._next_report_id += 1
        return self._next_report_id - 1

    def _set(self, batch: Batch) -> Batch:
        self.batches[batch.id] = batch
        self._tenant.on_change()
        return batch


def journal_lines(count: int, *, balanced: bool = True) -> tuple[Row, ...]:
    """Pairs of a debit and a credit, in two currencies; an odd last line is a debit of zero."""
    return tuple(_line(n, count, balanced=balanced) for n in range(1, count + 1))


def _line(n: int, count: int, *, balanced: bool) -> Row:
    pair = (n + 1) // 2
    amount = Decimal(pair) + Decimal(pair % 100) / 100
    if n == count and n % 2:
        amount = Decimal("0.00")
    if n == 1 and not balanced:
        amount += Decimal("0.01")
    debit, credit = (f"{amount:.2f}", "") if n % 2 else ("", f"{amount:.2f}")
    currency = "USD" if pair % 2 else "EUR"
    memo = f'Revenue, "contract" {pair}'
    account = "1200" if n % 2 else "4000"
    return (
        *(str(n), currency, memo, account, "000"),
        *(debit, credit, debit, credit),
        *(f"RC-{pair}", "30-NOV-2026"),
    )


def _packed(data: bytes, name: str, packing: Packing) -> bytes:
    if packing is Packing.GZIP:
        return gzip.compress(data)
    if packing is Packing.PLAIN:
        return data
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return packed.getvalue()
