"""The month-end in miniature: what the ERP, the tenant and the accountant do, act by act.

What becomes of it all is nobody's script: the acts wait for the daemon's log and look at what lies
in its folders, as people would.
"""

import csv
import shlex
from pathlib import Path

from revsyncd.demo import daemon, sample, sheets
from revsyncd.demo.erp import Erp
from revsyncd.demo.general_ledger import GeneralLedger
from revsyncd.demo.journal import Journal
from revsyncd.demo.promises import Deleted, Dropped, Fate, Promise, Sheet
from revsyncd.demo.sample import LINE_ID
from revsyncd.demo.telling import Teller, counted
from revsyncd.demo.tree import STYLES, Tree
from revsyncd.simulator import Tenant


class MonthEnd:
    """One performance; afterwards `erp.dropped` and `evidence` say what there is to compare."""

    def __init__(self, tree: Tree, tenant: Tenant, journal: Journal, teller: Teller) -> None:
        """Nothing was dropped yet."""
        self.erp = Erp(tree, tenant.info["templates"], journal, teller)
        self.evidence: list[Promise] = []
        self.deleted: Deleted = set()
        self._tree = tree
        self._tenant = tenant
        self._journal = journal
        self._teller = teller

    async def play(self, rows: int) -> None:
        """All acts; the large file has `rows` records. Raises NotSeen when something never comes."""
        await self._log_says("daemon.ready")
        await self._month_end_arrives(rows)
        await self._cells_are_corrected()
        await self._lines_are_in_error()
        await self._orders_come_twice()
        await self._answer_is_lost()
        await self._batches_go_out()

    async def _log_says(self, event: str, drop: str | None = None) -> None:
        await self._journal.until(lambda: self._journal.said(event, drop), f"the log says {event}")

    def _dropped(self, sheet: Sheet) -> Dropped:
        return next(each for each in self.erp.dropped if each.sheet is sheet)

    # -- the acts --------------------------------------------------------------------------------

    async def _month_end_arrives(self, rows: int) -> None:
        self._teller.heading("The ERP drops its month-end")
        for sheet in (
            sheets.ORDERS,
            sheets.billing(rows),
            sheets.RENEWALS,
            sheets.BAD_CREDITS,
            sheets.ADJUSTMENTS_MIXED,
            sheets.SUBSCRIPTIONS,
            sheets.DELIVERIES,
        ):
            await self.erp.drop(sheet)
        await self.erp.settled(self.erp.dropped)

    async def _cells_are_corrected(self) -> None:
        self._teller.heading("An accountant reads the reports, corrects, and drops again")
        await self._errors_are_named(self._dropped(sheets.BAD_CREDITS))
        whole = await self.erp.drop(sheets.CREDITS)
        adjustments = self._dropped(sheets.ADJUSTMENTS_MIXED)
        corrected = await self._corrected_rejects(adjustments)
        rejects = await self.erp.drop(corrected, corrects=adjustments)
        await self.erp.settled([whole, rejects])

    async def _lines_are_in_error(self) -> None:
        self._teller.heading("The tenant put lines in error; they are corrected, too")
        subscriptions = self._dropped(sheets.SUBSCRIPTIONS)
        drop = self.erp.drop_id(subscriptions)
        await self._log_says("stage_errors.found", drop)
        corrected = await self._corrected_rejects(subscriptions)
        self._delete_lines()
        rejects = await self.erp.drop(corrected, corrects=subscriptions)
        await self.erp.settled([rejects])
        await self._log_says("stage_errors.gone", drop)

    async def _orders_come_twice(self) -> None:
        self._teller.heading("The ERP drops the same bytes again, under another name")
        again = await self.erp.drop(sheets.ORDERS_AGAIN, repeats=self._dropped(sheets.ORDERS))
        await self.erp.settled([again])

    async def _answer_is_lost(self) -> None:
        self._teller.heading("The connection breaks after the tenant stored an upload")
        self._tenant.trouble.add("reset", on="/v1/upload/file", method="POST", at="stored")
        late = await self.erp.drop(sheets.LATE_ORDERS)
        await self.erp.settled([late])
        drop, reason = self.erp.drop_id(late) or "", (self.erp.ending(late) or {}).get("reason")
        names = [upload.file_name for upload in self._tenant.world.uploads.values()]
        sent = counted(sum(drop in name for name in names), "time")
        words = "an upload whose answer is lost is held in doubt, not repeated"
        kept = (reason, sent) == ("in_doubt", "1 time")
        self.evidence.append(Promise(words, kept, f"{reason}, sent {sent}"))
        await self._resolve(drop)

    async def _batches_go_out(self) -> None:
        batches = GeneralLedger(self._tree, self._tenant, self._journal, self._teller)
        try:
            await batches.play()
        finally:
            self.evidence += batches.evidence

    # -- what people do --------------------------------------------------------------------------

    async def _errors_are_named(self, dropped: Dropped) -> None:
        """Whether errors.csv names the planted cells, and no others."""
        path = await self.erp.beside(dropped, ".errors.csv")
        planted = {
            (str(record), label, value)
            for record, cells in dropped.sheet.faults.items()
            for label, value in cells.items()
        }
        named = _named_cells(path)
        words = f"{path.name} names record, column and value of each"
        found = f"{len(named & planted)} of {len(planted)} bad cells"
        self.evidence.append(Promise(words, named == planted, found))

    async def _corrected_rejects(self, parent: Dropped) -> Sheet:
        """What `<file>.rejects.csv` holds, with the right cells put in, under that name."""
        path = await self.erp.beside(parent, ".rejects.csv")
        sheet, style = parent.sheet, STYLES[parent.sheet.folder]
        faulty = sample.only(sheet.rows(), sheet.faults)
        exact = path.read_bytes() == sample.written(self.erp.header(sheet), faulty, style)
        words = f"{path.name}: the records at fault, byte for byte"
        self.evidence.append(Promise(words, exact, counted(len(faulty), "record")))
        cells = sheet.right_cells()
        rows = [{**row, **cells.get(row[LINE_ID], {})} for row in sample.read(path, style)]
        fate = Fate("done", "staged", len(rows))
        return Sheet(sheet.folder, path.name, len(rows), lambda: rows, fate, "corrected")

    def _delete_lines(self) -> None:
        """What the accountant does in the tenant's Inbound with the lines in error."""
        errors = self._tenant.world.stage_errors
        self.deleted |= {(error.request_id, error.line.so_line_id) for error in errors}
        number = self._tenant.world.delete_lines()
        words = f"the accountant deletes {counted(number, 'line')} in its Inbound"
        self._teller.happened("the tenant", words, "bold")

    async def _resolve(self, drop: str) -> None:
        """The accountant has looked for the upload at the tenant, and found it."""
        reason = "found in the File Upload history"
        words = ("resolve", drop, "--arrived", "--reason", reason)
        self._teller.command(f"revsyncd {shlex.join(words)}")
        code, said = await daemon.command(self._tree, *words)
        self._teller.answer(said)
        self.evidence.append(Promise("`revsyncd resolve` ends with 0", code == 0, f"exit {code}"))
        if code == 0:
            await self._log_says("drop.done", drop)


def _named_cells(path: Path) -> set[tuple[str, str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return {
            (row.get("record", ""), row.get("column", ""), row.get("value", ""))
            for row in csv.DictReader(file)
        }
