"""What the tenant's list means for the batches that the ledger knows; every change is recorded here."""

from typing import Any

from revsyncd.adapters import outbox
from revsyncd.adapters.log import get_logger
from revsyncd.core.batch import Batch, Event, Listed, Reason, State
from revsyncd.core.batch_finding import Finding, compare, same
from revsyncd.core.batch_words import facts, hold
from revsyncd.core.places import shown
from revsyncd.core.stage_errors import read_created
from revsyncd.pipelines.batch_delivery import Delivering
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance

log = get_logger()

# 204 means "nothing here" in many places, and once may be a mistake: what two lists lack is gone.
SURE_AFTER = 2.0  # seconds between two lists that lack a batch, at least

UNPROVEN = "gl unproven"  # in the ledger's meta: set when it is rebuilt

_OLDEST = 60 * 86_400.0  # seconds: an older `updated` says nothing about when the file was made


class BatchList:
    """Compares lists with the ledger of an instance."""

    def __init__(self, instance: Instance, delivering: Delivering) -> None:
        """Work for an instance."""
        self._instance = instance
        self._delivering = delivering
        self._last: dict[str, Listed] = {}  # of the last list, by batch
        self._lacked_since: dict[str, float] = {}  # open batches; monotonic seconds
        self._empty_since: float | None = (
            None  # since when the lists of a rebuilt ledger have been empty
        )

    def awaits_acknowledgement(self, batch: Batch) -> bool:
        """Whether the ERP may still say something of its file."""
        if self._instance.config.gl.confirm == "written" or not batch.published:
            return False
        return batch.state in (State.WRITTEN, State.HELD)

    def has(self, batch: Batch) -> bool:
        """Whether the last list has it ready, and as it was taken up."""
        row = self._last.get(batch.batch)
        return row is not None and row.ready and same(row, batch)

    def lacks(self, batch: str) -> bool:
        """Whether the last list lacks an open batch, and another one must say so, too."""
        return batch in self._lacked_since

    async def compare(self, rows: list[Listed]) -> None:
        """Record what a fresh list says about every batch."""
        it = self._instance
        tenant = it.config.tenant.base_url
        listed = {row.batch: row for row in rows}
        known = {b.batch: b for b in await it.ledger.run(it.ledger.batches.open, tenant)}
        self._last = listed
        lacked = {batch: self._lacked_since.get(batch) for batch in known.keys() - listed.keys()}
        for batch, row in listed.items():
            latest = known.pop(batch, None)
            if latest is None:
                latest = await it.ledger.run(it.ledger.batches.latest, tenant, batch)
            await self._take(row, latest)
        now = it.clock.monotonic()
        self._lacked_since = {b: now if at is None else at for b, at in lacked.items()}
        for gone in known.values():
            if now - self._lacked_since[gone.batch] >= SURE_AFTER:
                await self._take(None, gone)
                del self._lacked_since[gone.batch]
        if await self._unproven() and self._sure_of(rows, now):
            await it.ledger.run(it.ledger.book.set_meta, UNPROVEN, "")

    def _sure_of(self, rows: list[Listed], now: float) -> bool:
        """Whether this list may be believed: an empty one only when another one was so before."""
        if rows:
            return True
        if self._empty_since is None:
            self._empty_since = now
        return now - self._empty_since >= SURE_AFTER

    async def _unproven(self) -> bool:
        """Whether this is the first list since the ledger was rebuilt."""
        it = self._instance
        return bool(await it.ledger.run(it.ledger.book.meta, UNPROVEN))

    async def _take(self, row: Listed | None, known: Batch | None) -> None:
        match compare(row, known, self._instance.clock.now()):
            case Finding.NEW if row is not None and await self._unproven():
                # The ERP may have taken its file away before: nobody knows, so nobody delivers it twice.
                told = "it was ready at the tenant when the ledger had been rebuilt"
                added = await self._add(row, None)
                await self._delivering.hold(added, hold(row.batch, Reason.REBUILT, told))
            case Finding.NEW if row is not None:
                await self._add(row, None)
            case Finding.REISSUED if row is not None and known is not None:
                await self._reissued(row, known)
            case Finding.CHANGED if row is not None and known is not None:
                await self._changed(row, known)
            case Finding.WITHDRAWN if known is not None:
                await self._withdrawn(row, known)
            case Finding.BACK if known is not None:
                await self._back(known)
            case Finding.CONFIRMED if known is not None:
                await self._delivering.confirmed(known, "list")
            case Finding.NOT_CONFIRMED if known is not None:
                await self._delivering.not_confirmed(known)

    async def _add(self, row: Listed, before: Batch | None) -> Batch:
        it, now = self._instance, self._instance.clock.now()
        batch = Batch(
            tenant=it.config.tenant.base_url,
            batch=row.batch,
            issue=before.issue + 1 if before else 1,
            state=State.LISTED,
            listed_at=now,
            changed_at=now,
            reissue_of=before.file if before and before.may_be_loaded else None,
            **_of(row, now),
        )
        return await it.ledger.run(it.ledger.batches.add, batch)

    async def _reissued(self, row: Listed, known: Batch) -> None:
        await self._add(row, known)
        why = (
            "came back after it was confirmed"
            if known.confirmed_at
            else "changed after it was written"
        )
        hint = "The new file names the old one as reissue_of: see that the ERP does not load both."
        log.warning("gl.reissued", batch=known.batch, reissue_of=known.file, reason=why, hint=hint)

    async def _changed(self, row: Listed, known: Batch) -> None:
        """Nothing of it was published: it is simply fetched as it is now."""
        event = Event.START_OVER if known.state is State.FETCHED else Event.CHANGED
        now = self._instance.clock.now()
        changes = {**cleared(), **_of(row, now), "listed_at": now, "word": None}
        await self._move(known, event, **changes)
        # Only now: without its hidden names what was prepared would pass for published.
        home = self._instance.root / known.place.removesuffix("/.held")
        await off_loop(outbox.discard, [home / name for name in known.prepared or ()])

    async def _back(self, known: Batch) -> None:
        """It is ready again as it was; what the ERP said of a held one is looked at anew."""
        changes: dict[str, Any] = {"reason": None, "message": "", "next_step": ""}
        if known.state is State.CLOSED:
            changes["acknowledged"] = None
        await self._move(known, Event.TAKEN_BACK, **changes)

    async def _withdrawn(self, row: Listed | None, known: Batch) -> None:
        """Somebody changed its status; where people confirm, or it was held, that is how it ends."""
        said = f"the tenant has it as {shown(row.status)}" if row else "the tenant lists it no more"
        message = f"{said}, and revsyncd did not confirm it"
        by_people = self._instance.config.gl.confirm == "never" and known.published
        if by_people or known.state is State.HELD:
            await self._move(known, Event.CLOSED, message=message, next_step="")
            log.info(
                "gl.confirmed" if by_people else "gl.held",
                **facts(known),
                reason="withdrawn",
                error=message,
            )
            return
        step = (
            "Nothing to do if somebody marked it as transferred on purpose: file and manifest are out."
            if known.published
            else f"It was not delivered. If the ERP needs it: `revsyncd gl fetch {shown(known.batch)}`; else"
            f' `revsyncd gl close {shown(known.batch)} --reason "…"`.'
        )
        await self._move(known, Event.WITHDRAWN, message=message, next_step=step)
        log.warning("gl.held", **facts(known), reason="withdrawn", error=message, hint=step)

    async def _move(self, batch: Batch, event: Event, **changes: object) -> Batch:
        it = self._instance
        return await it.ledger.run(it.ledger.batches.move, batch, event, **changes)


def cleared() -> dict[str, Any]:
    """A batch's facts about a content that counts no more."""
    return {
        "reason": None,
        "message": "",
        "next_step": "",
        "tries": 0,
        "cuts": 0,
        "source": "",
        "place": "",
        "file": "",
        "prepared": None,
        "publishing": False,
        "set_aside": False,
        "manifest": {},
        "acknowledged": None,
        "written_at": None,
        "told_late_at": None,
    }


def _of(row: Listed, now: float) -> dict[str, Any]:
    """What a row says; its time is in the tenant's zone, read as UTC where it names none."""
    made = read_created(row.updated)
    at = made.until if made is not None and now - _OLDEST < made.until <= now else None
    return {
        "name": row.name,
        "status": row.status,
        "updated": row.updated,
        "report_id": row.report_id,
        "made_at": at,
    }
