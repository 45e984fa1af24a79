"""The outbound pipeline: lists, plans, and lets each batch take its steps, in the order of their ids.

Every look begins with what an earlier one, or an earlier process, left half done; so a kill between
any two steps is made up for by the next look.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from math import inf

import anyio

from revsyncd.adapters import outbox
from revsyncd.adapters.disk import FolderTrouble
from revsyncd.adapters.log import get_logger
from revsyncd.core.batch import Batch, Fetch, State, by_id, plan, tell_late
from revsyncd.core.batch_words import facts
from revsyncd.core.errors import (
    CheckFailed,
    Forbidden,
    LedgerBroken,
    NoSpace,
    RefusedToStart,
    TenantError,
)
from revsyncd.core.pace import Pace
from revsyncd.pipelines import batch_list
from revsyncd.pipelines.batch_delivery import EMPTY_SETTLES, Delivering
from revsyncd.pipelines.batch_fetching import Failed, Fetching
from revsyncd.pipelines.batch_list import BatchList
from revsyncd.pipelines.conditions import GL_OUTBOX, GL_REFUSED
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.register import Wake

log = get_logger()

ACK_LOOK = 5.0  # seconds between looks at the outbox while an acknowledgement is awaited
LONGEST_FETCH = 6 * 3600.0  # seconds; a host that trickles must not hold up all batches for ever
# Until another look after one in which something failed, for ever; `gl.every` is the longest.
RETRIES = Pace(first=60.0, factor=2.0, most=1800.0)


class Outbound:
    """The service that brings batches to the ERP; a nudge of `wake` makes it look at once."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance
        self._fetching = Fetching(instance)
        self._delivering = Delivering(instance)
        self._list = BatchList(instance, self._delivering)
        self._lock = anyio.Lock()
        self._told: set[str] = set()  # batches with a failure that was told
        self._swept = False
        self.wake = Wake()

    async def run(self) -> None:
        """Look at once, then every `gl.every`, sooner where something failed or is acknowledged."""
        failures = 0
        while True:
            if not self._instance.config.gl.enabled:
                await self.wake.wait()
                continue
            failures = 0 if await self.look() else failures + 1
            every = self._instance.config.gl.every
            await self._rest(min(every, RETRIES.pause(failures)) if failures else every)

    async def _rest(self, seconds: float) -> None:
        """Until it is time, a nudge, or an acknowledgement."""
        clock = self._instance.clock
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0:
            if await self.wake.wait(min(left, self._pause_between_acks())):
                return
            try:
                async with self._lock:
                    if await self._heeded():
                        return
            except (NoSpace, FolderTrouble):
                return  # told by the next look, which meets it too

    def _pause_between_acks(self) -> float:
        """Seconds until another look at what the ERP says of its files."""
        if self._instance.config.gl.confirm == "written":
            return inf
        return min(ACK_LOOK, EMPTY_SETTLES) if self._delivering.awaits_content else ACK_LOOK

    async def look(self) -> bool:
        """Take every step that can be taken now; returns whether nothing failed."""
        it = self._instance
        if it.stopping:
            return True
        async with self._lock:
            try:
                mended = await self._mend()
                went_well = await self._go_on() and mended if it.gate.open() else False
            except (NoSpace, FolderTrouble, RefusedToStart) as error:
                # The last: something was mounted over the outbox since the start.
                await it.conditions.begin(GL_OUTBOX, message=error.message, hint=error.hint)
                went_well = False
            else:
                await it.conditions.end(GL_OUTBOX)
            with suppress(NoSpace):  # it is told by the next look
                await self._tell_late()
        return went_well

    # -- for people ------------------------------------------------------------------------------

    @asynccontextmanager
    async def quiet(self, patience: float) -> AsyncIterator[None]:
        """Between two steps of the service. Raises TimeoutError when it is at work for longer."""
        with anyio.fail_after(patience):
            await self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    async def list_now(self) -> bool:
        """List, and record what changed; within `quiet`."""
        return await self._list_now()

    async def latest(self, batch: str) -> Batch | None:
        """The last issue of a batch."""
        return await self._latest(batch)

    async def confirm_on_word(self, batch: Batch) -> Batch:
        """Confirm what was just listed and is published, on a person's word; within `quiet`."""
        return await self._delivering.confirm(batch, self._look_again)

    def is_listed(self, batch: Batch) -> bool:
        """Whether the last list has it ready and unchanged."""
        return self._list.has(batch)

    # -- what was left half done -----------------------------------------------------------------

    async def _mend(self) -> bool:
        """Publish what is prepared, and remove what nobody needs any more; whether nothing failed."""
        it = self._instance
        await off_loop(outbox.lay_out, it.root, it.config.outbox)
        known = await self._open()
        if not self._swept:
            kept = await it.ledger.run(it.ledger.batches.prepared_names)
            await off_loop(outbox.sweep, it.config.outbox, kept)
            self._swept = True
        prepared = [batch for batch in known if batch.state is State.FETCHED]
        return all([await self._guarded(batch, self._published) for batch in prepared])

    # -- the steps -------------------------------------------------------------------------------

    async def _go_on(self) -> bool:
        """List, then fetch and confirm batch after batch."""
        await self._heeded()
        if not await self._list_now():
            return False
        went_well = True
        for known in sorted(await self._open(), key=by_id):
            # As it is now: the list that another one's confirm began with may have changed it.
            batch = await self._latest(known.batch)
            if batch is None or batch.state is State.FETCHED or self._instance.stopping:
                continue  # what is prepared could not be published just now
            if not self._instance.gate.open():  # the tenant asked for patience
                return False
            went_well &= await self._guarded(batch, self._step)
            await self._tell_late()
        return went_well

    async def _guarded(self, batch: Batch, step: Callable[[Batch], Awaitable[bool]]) -> bool:
        """Let a batch take a step; what goes wrong with it does not stop the others."""
        try:
            went_well = await step(batch)
        except (NoSpace, FolderTrouble, LedgerBroken):
            raise
        except TenantError as error:
            await self._instance.gate.failed(error)
            await self._failed(batch, error.message, error.hint)
            return False
        except Failed as error:
            await self._failed(batch, error.message, error.hint, cuts=int(error.of_content))
            return False
        except CheckFailed as error:
            await self._failed(batch, error.message, error.hint)
            return False
        except OSError as error:
            await self._failed(batch, f"{error.strerror or error}", "")
            return False
        except Exception as error:  # a fault of ours in one batch must not stop the others
            log.exception("service.traceback", **facts(batch), service="outbound")
            await self._failed(
                batch, f"a fault of ours ({type(error).__name__})", "Please report it."
            )
            return False
        self._told.discard(batch.batch)
        return went_well

    async def _published(self, batch: Batch) -> bool:
        await self._delivering.publish(batch)
        return True

    async def _step(self, batch: Batch) -> bool:
        """Fetch and confirm what may be; returns whether nothing is to be tried again soon."""
        if batch.state is State.LISTED:
            if not (self._list.has(batch) or batch.on_word("fetch")):
                return True  # the last list lacks it; whether it is gone, the next one shows
            [fetch] = plan([batch], self._instance.config.gl.sources)
            batch = await self._fetched(fetch)
        if batch.state is State.CONFIRMING:  # an earlier process told the tenant, perhaps
            return await self._settled(batch.batch)
        return not self._delivering.may_confirm(batch) or await self._confirm(batch)

    async def _fetched(self, fetch: Fetch) -> Batch:
        try:
            with anyio.fail_after(LONGEST_FETCH):
                prepared = await self._fetching.fetch(fetch)
        except TimeoutError:
            hours = LONGEST_FETCH / 3600
            hint = "The host sends too slowly; the other batches go on, this one is tried again."
            raise Failed(f"not fetched within {hours:g} hours", hint) from None
        except Failed as error:
            if error.held is None:
                raise
            return await self._delivering.hold(fetch.batch, error.held)
        return await self._delivering.publish(prepared)

    async def _confirm(self, batch: Batch) -> bool:
        """List again right before: whatever changed meanwhile is not confirmed."""
        if not await self._list_now():
            return False
        latest = await self._latest(batch.batch)
        if latest is None or (latest.issue, latest.state) != (batch.issue, batch.state):
            return True
        if not self._list.has(latest):
            return True
        done = await self._delivering.confirm(latest, self._look_again)
        return done.state not in (State.CONFIRMING, State.WRITTEN)

    async def _look_again(self, batch: str) -> None:
        if await self._list_now():
            await self._settled(batch)

    async def _settled(self, batch: str) -> bool:
        """What one list lacks is not gone: another one must lack it, too. False: no other one came."""
        if not self._list.lacks(batch):
            return True
        await anyio.sleep(batch_list.SURE_AFTER)
        return await self._list_now()

    async def _failed(self, batch: Batch, message: str, hint: str, cuts: int = 0) -> None:
        it = self._instance
        latest = await self._latest(batch.batch)
        if latest is not None and latest.state is State.LISTED:
            tries, cuts = latest.tries + 1, latest.cuts + cuts
            await it.ledger.run(it.ledger.batches.note, latest, tries=tries, cuts=cuts)
        if batch.batch not in self._told:
            log.warning("gl.step_failed", **facts(batch), error=message, hint=hint)
        self._told.add(batch.batch)

    async def _heeded(self) -> bool:
        """Look for acknowledgements; returns whether something came that lets a batch go on."""
        came = False
        for batch in await self._open():
            if self._list.awaits_acknowledgement(batch):
                heeded = await self._delivering.heed(batch)
                came |= heeded != batch and self._delivering.may_confirm(heeded)
        return came

    # -- the list --------------------------------------------------------------------------------

    async def _list_now(self) -> bool:
        """List and record what changed; False when no list could be had."""
        it = self._instance
        try:
            rows = await it.journal.listed()
        except Forbidden as error:
            await it.conditions.begin(GL_REFUSED, message=error.message, hint=error.hint)
            return False
        except TenantError as error:
            await it.gate.failed(error)
            return False
        await it.conditions.end(GL_REFUSED)
        await it.gate.worked()
        await self._list.compare(rows)
        return True

    async def _tell_late(self) -> None:
        it = self._instance
        gl, now = it.config.gl, it.clock.now()
        for batch in await self._open():
            if tell_late(batch, now, gl.alert_after, gl.confirm):
                hint = batch.next_step or "The tenant keeps a batch's file for 48 hours only."
                age = round(now - batch.since, 3)
                log.warning(
                    "gl.late",
                    **facts(batch),
                    reason=batch.reason or batch.state,
                    seconds=age,
                    hint=hint,
                )
                await it.ledger.run(it.ledger.batches.note, batch, told_late_at=now)

    async def _open(self) -> list[Batch]:
        it = self._instance
        return await it.ledger.run(it.ledger.batches.open, it.config.tenant.base_url)

    async def _latest(self, batch: str) -> Batch | None:
        it = self._instance
        return await it.ledger.run(it.ledger.batches.latest, it.config.tenant.base_url, batch)
