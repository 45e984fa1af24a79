"""The other way: general-ledger batches go out to the ERP, and what arrives is compared with the tenant's."""

import hashlib
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from revsyncd.core.outbox_names import ACK, HELD, MANIFEST
from revsyncd.demo.journal import Event, Journal
from revsyncd.demo.promises import Promise
from revsyncd.demo.telling import Teller, counted
from revsyncd.demo.tree import Tree
from revsyncd.simulator import Tenant
from revsyncd.simulator.journal import COLUMNS, READY, TRANSFERRED, Batch

_LINES = 400
_CUT_AT = 9_000  # bytes of the report after which the connection ends, once


class GeneralLedger:
    """The batches of this month-end; `evidence` says what became of them."""

    def __init__(self, tree: Tree, tenant: Tenant, journal: Journal, teller: Teller) -> None:
        """No batch is ready yet."""
        self.evidence: list[Promise] = []
        self._tree = tree
        self._tenant = tenant
        self._journal = journal
        self._teller = teller

    async def play(self) -> None:
        """Four batches; of the three that arrive the ERP acknowledges two. Raises NotSeen."""
        self._teller.heading("At period close the tenant has ledger entries for the ERP")
        world = self._tenant.world.journal
        arriving, slow, acknowledged = (world.add(_LINES + 2 * n) for n in range(3))
        unbalanced = world.add(_LINES, balanced=False)
        on = f"/signed/{slow.report_id}"
        self._tenant.trouble.add("cut", on=on, at="stored", after_bytes=_CUT_AT)
        words = "4 batches are ready; one download will be cut"
        self._teller.happened("the tenant", words, "bold")
        for batch in (arriving, slow, acknowledged):
            await self._says("gl.written", batch)
        await self._says("gl.held", unbalanced)
        for batch, text in ((slow, self._manifest(slow)["sha256"]), (acknowledged, "")):
            self._acknowledge(batch, text)
            await self._says("gl.confirmed", batch)
        self.evidence += self._compared([arriving, slow, acknowledged], unbalanced)
        self.evidence += self._at_the_tenant([slow, acknowledged], [arriving, unbalanced])

    async def _says(self, event: str, batch: Batch) -> Event:
        def said() -> Event | None:
            events = reversed(self._journal.events)
            return next(
                (e for e in events if (e["event"], e.get("batch")) == (event, str(batch.id))), None
            )

        return await self._journal.until(said, f"the log says {event} of batch {batch.id}")

    # -- what the ERP does -----------------------------------------------------------------------

    def _path(self, batch: Batch) -> Path:
        return self._tree.outbox / f"GL_{batch.id}_{batch.name}.csv"

    def _manifest(self, batch: Batch, below: str = "") -> dict[str, Any]:
        path = self._path(batch)
        found: dict[str, Any] = json.loads(
            (path.parent / below / f"{path.name}{MANIFEST}").read_text()
        )
        return found

    def _acknowledge(self, batch: Batch, text: str) -> None:
        path = self._path(batch)
        path.with_name(f"{path.name}{ACK}").write_text(text)
        with_what = "with the manifest's sha256" if text else "with an empty file"
        self._teller.happened(path.name, f"the ERP acknowledges it {with_what}", "bold")

    # -- the comparison --------------------------------------------------------------------------

    def _compared(self, delivered: list[Batch], unbalanced: Batch) -> Iterator[Promise]:
        same = [batch for batch in delivered if self._path(batch).read_bytes() == batch.file()]
        found = f"{len(same)} of {len(delivered)}, one after a cut"
        words = "every batch is in the outbox, byte for byte as the tenant has it"
        yield Promise(words, len(same) == len(delivered), found)
        right = [batch for batch in delivered if self._tells_the_truth(batch)]
        words = "every manifest has count, SHA-256 and exact totals per currency"
        yield Promise(words, len(right) == len(delivered), f"{len(right)} of {len(delivered)}")
        aside = self._tree.outbox / HELD / self._path(unbalanced).name
        kept = aside.is_file() and not self._path(unbalanced).exists()
        words = "the batch that does not balance is kept aside, not delivered"
        told = ", ".join(self._manifest(unbalanced, HELD)["unbalanced"])
        yield Promise(words, kept, f"unbalanced in {told}")

    def _tells_the_truth(self, batch: Batch) -> bool:
        manifest = self._manifest(batch)
        counts = (manifest["records"], manifest["sha256"])
        return manifest["totals"] == _totals(batch) and counts == (
            len(batch.rows),
            hashlib.sha256(batch.file()).hexdigest(),
        )

    def _at_the_tenant(
        self, confirmed: list[Batch], not_confirmed: list[Batch]
    ) -> Iterator[Promise]:
        now = self._tenant.world.journal.batches
        good = [b for b in confirmed if now[b.id].status == TRANSFERRED]
        good += [b for b in not_confirmed if now[b.id].status == READY]
        calls = self._tenant.world.counts.calls
        told = sum(number for name, number in calls.items() if name.startswith("PUT "))
        kept = len(good) == len(now) and told == len(confirmed)
        words = "the tenant was told of the acknowledged batches only, once each"
        yield Promise(words, kept, counted(told, "confirmation"))


def _totals(batch: Batch) -> dict[str, dict[str, str]]:
    """Debit and credit of each currency, from the tenant's own lines."""
    places = [COLUMNS.index(name) for name in ("currency_code", "accounted_dr", "accounted_cr")]
    sums: dict[str, list[Decimal]] = {}
    for row in batch.rows:
        currency, debit, credit = (row[place] for place in places)
        of_it = sums.setdefault(currency, [Decimal(0), Decimal(0)])
        of_it[0] += Decimal(debit or 0)
        of_it[1] += Decimal(credit or 0)
    return {code: {"debit": f"{d:f}", "credit": f"{c:f}"} for code, (d, c) in sorted(sums.items())}
