"""What must hold after every step of a life: `broken` names everything that does not.

The audit of the product and of the test suite is asked as well; beside it stand checks that know the
senders' own bytes, the tenant's world and the ERP's hands, and nothing of the ledger's opinion.
"""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import audit
from lives.senders import Erp, Senders, Shape
from lives.site import Site

from revsyncd.adapters.ledger import Ledger
from revsyncd.core.drop import Drop, State
from revsyncd.pipelines.auditing import audit as look_at_everything
from revsyncd.simulator.journal import COLUMNS, READY, Batch
from revsyncd.simulator.uploads import State as Fate

CONFIRM, LIST = "/v1/journal/batch/status/", "/v1/journal/list"
LONGEST_CALL = 120.0  # seconds


@dataclass
class HeldTo:
    """The promise, checked on one site."""

    site: Site
    senders: Senders
    erp: Erp
    on_word: set[int] = field(default_factory=set)  # batches that a person had confirmed
    changed_at: dict[int, float] = field(default_factory=dict)  # batches, by people at the tenant
    _found: list[str] = field(default_factory=list)
    _listed_at: float = 0.0

    def __post_init__(self) -> None:
        """Be told of every call before the tenant acts on it."""
        self.site.road.before = self._before

    def broken(self, *, whole: bool) -> list[str]:
        """Everything that does not hold now; `whole`: with the audit of tree and ledger."""
        found = [*self._found, *self._places(), *self._faults(), *self._server()]
        if whole:
            found += self._audited()
            found += self._reports()
        return found

    # -- the senders' files ----------------------------------------------------------------------

    def _places(self) -> Iterator[str]:
        """Every content that was dropped is in exactly one place, with the bytes that it has."""
        where = self.senders.where()
        for sent in self.senders.sent:
            path = where.get(sent.inode)
            if path is None:
                yield f"lost: {sent.folder}/{sent.name} lies nowhere"
            elif sent.shape is not Shape.LINK and path.read_bytes() != sent.content:
                yield f"changed: {path} has other bytes than were dropped"

    # -- the tenant ------------------------------------------------------------------------------

    def _server(self) -> Iterator[str]:
        """The tenant holds nothing twice and nothing unknown; no line of a drop stands there twice."""
        uploads = self.site.road.tenant.world.uploads.values()
        held = [audit.Held.of_simulator(upload) for upload in uploads]
        if not held or not (self.site.base / "state" / "ledger.sqlite3").exists():
            return
        with Ledger.read(self.site.config.state_dir, self.site.clock.now) as ledger:
            yield from audit._with_tenant(ledger, held)
            yield from self._lines_twice(ledger)
            yield from self._complaints(ledger)

    def _complaints(self, ledger: Ledger) -> Iterator[str]:
        """What the client did that it may not do, but for a name used again on a person's word."""
        for complaint in self.site.road.tenant.world.violations:
            drop = ledger.drops.get(_drop_of(complaint["detail"].partition(" ")[0]))
            if complaint["rule"] != "filename" or drop is None or drop.resolved is None:
                yield f"the tenant complains: {complaint}"

    def _lines_twice(self, ledger: Ledger) -> Iterator[str]:
        times: Counter[tuple[str, str]] = Counter()
        for upload in self.site.road.tenant.world.uploads.values():
            if upload.state is not Fate.REFUSED:
                drop = _drop_of(upload.file_name)
                times.update((drop, line) for line in _ids(upload.content.read_bytes()))
        for (drop, line), number in times.items():
            known = ledger.drops.get(drop) if number > 1 else None
            if known is not None and known.resolved is None:
                yield f"the tenant holds line {line} of drop {drop} {number} times"

    # -- batches ---------------------------------------------------------------------------------

    def _before(self, method: str, path: str) -> None:
        """Just before a confirm takes effect: is what it confirms out, whole, balanced, acknowledged?"""
        if path.endswith(LIST):
            self._listed_at = self.site.clock.monotonic()
        if method != "PUT" or CONFIRM not in path:
            return
        batch = self.site.road.tenant.world.journal.batches.get(int(path.rpartition("/")[2]))
        if batch is None or batch.status != READY:
            return
        # What the tenant changed after it was listed for the last time, nobody can know of.
        if self.changed_at.get(batch.id, 0.0) >= self._listed_at:
            return
        self.site.counts.confirms += 1
        self._found += self._unfit(batch)

    def _unfit(self, batch: Batch) -> Iterator[str]:
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in batch.rows]
        names = [
            name
            for name, (data, manifest) in self.erp.offered().items()
            if _is_of(batch.id, data, json.loads(manifest))
            and list(csv.DictReader(_text(data))) == rows
        ]
        if not names:
            yield f"batch {batch.id} is confirmed, and its file is not out whole"
        if not _balanced(rows):
            yield f"batch {batch.id} is confirmed, and does not balance"
        since = self.site.clock.monotonic() - self.site.acknowledged_since
        acknowledged = batch.id in self.on_word or self.erp.acknowledged.intersection(names)
        if names and since > LONGEST_CALL and not acknowledged:
            yield f"batch {batch.id} is confirmed, and nobody has acknowledged it"

    # -- everything ------------------------------------------------------------------------------

    def _faults(self) -> Iterator[str]:
        """No fault of our own was logged."""
        yield from (f"a fault of ours: {line}" for line in self.site.told.faults)

    def _audited(self) -> list[str]:
        self.site.counts.audits += 1
        found = look_at_everything(self.site.config, now=self.site.clock.now)
        return [str(violation) for violation in found.violations]

    def _reports(self) -> Iterator[str]:
        """Every settled file has its report, whose numbers are those of the file and of the tenant."""
        contents = {sent.inode: sent for sent in self.senders.sent}
        for drop in self.site.drops():
            if drop.filed:
                path = self.site.base / "root" / drop.place / drop.name
                sent = contents.get(path.lstat().st_ino) if path.exists() else None
                yield from (f"{path.name}: {told}" for told in self._report(drop, path, sent))

    def _report(self, drop: Drop, path: Path, sent: Any) -> Iterator[str]:
        report = json.loads(path.with_name(f"{path.name}.report.json").read_text())
        states = report["records_by_state"]
        if report["records"] is not None and sum(states.values()) != report["records"]:
            yield f"{states} do not add up to {report['records']}"
        there = self._staged(drop.drop)
        unknown = states["staged"] + states["in_doubt"]
        if drop.resolved is None and not states["staged"] <= there <= unknown:
            yield f"reports {states}, and the tenant has {there} of them"
        if drop.state is State.DONE and sent is not None and sent.shape is Shape.GOOD:
            ids = _ids(sent.content)
            if drop.folder != "events" and report["totals"]:
                total = sum((Decimal(v) for v in _amounts(sent.content)), Decimal(0))
                if Decimal(report["totals"]["Ext Sll Prc"]) != total:
                    yield f"reports a total of {report['totals']}, it is {total}"
            if drop.resolved is None and states["staged"] != len(ids):
                yield f"is done with {states['staged']} of its {len(ids)} records staged"

    def _staged(self, drop: str) -> int:
        uploads = self.site.road.tenant.world.uploads.values()
        mine = [u for u in uploads if f".{drop}." in u.file_name and u.state is Fate.STAGED]
        return sum(upload.records or 0 for upload in mine)


def _drop_of(upload_name: str) -> str:
    """The drop id in `<stem>.<drop id>.p001of003.csv`; "" in another text."""
    return ("..." + upload_name).split(".")[-3]


def _text(content: bytes) -> io.StringIO:
    return io.StringIO(content.decode("utf-8-sig"), newline="")


def _ids(content: bytes) -> list[str]:
    return [row["Doc Line Id"] for row in csv.DictReader(_text(content))]


def _amounts(content: bytes) -> list[str]:
    return [row["Ext Sll Prc"] for row in csv.DictReader(_text(content))]


def _is_of(batch: int, data: bytes, manifest: dict[str, Any]) -> bool:
    right = manifest["sha256"] == hashlib.sha256(data).hexdigest()
    return str(manifest["batch_id"]) == str(batch) and right


def _balanced(rows: list[dict[str, str]]) -> bool:
    sums: Counter[str] = Counter()
    for row in rows:
        amount = Decimal(row["accounted_dr"] or 0) - Decimal(row["accounted_cr"] or 0)
        sums[row["currency_code"]] += int(amount * 100)
    return not any(sums.values())
