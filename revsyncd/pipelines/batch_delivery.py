"""From a prepared file to a batch that the tenant knows as transferred: publish, acknowledge, confirm.

Each step is recorded before the next one that can be seen from outside, and each can be repeated.
"""

from collections.abc import Awaitable, Callable
from functools import partial as bound
from pathlib import Path

from revsyncd.adapters import outbox
from revsyncd.adapters.log import get_logger
from revsyncd.core.batch import Acknowledgement, Batch, Event, Reason, State
from revsyncd.core.batch_words import Hold, acknowledges, facts, hold, rejected, wrong_ack
from revsyncd.core.errors import NotReady, TenantError
from revsyncd.pipelines.files import off_loop
from revsyncd.pipelines.instance import Instance

log = get_logger()

NOT_READ = "(what it says can't be read)"
EMPTY_SETTLES = 1.0  # seconds for which an .ack must have been empty: a digest may be on its way
MOST_CONFIRMS = 5  # that the tenant answered and did not carry out
LookAgain = Callable[[str], Awaitable[None]]  # lists until it is clear what became of a batch


class Delivering:
    """Publishes and confirms the batches of an instance."""

    def __init__(self, instance: Instance) -> None:
        """Work for an instance."""
        self._instance = instance
        self._told_unread: set[str] = set()  # batches whose .ack can't be read
        self._empty_since: dict[str, float] = {}  # and those whose .ack is empty; monotonic seconds

    # -- publishing ------------------------------------------------------------------------------

    async def publish(self, batch: Batch) -> Batch:
        """Let file and manifest appear; also after a crash between any two of its steps."""
        it = self._instance
        if batch.prepared is None:
            return await self._move(batch, Event.START_OVER)
        home = it.root / batch.place.removesuffix("/.held")
        data, manifest = (home / name for name in batch.prepared)
        if not await off_loop(bound(outbox.is_prepared, data, manifest, begun=batch.publishing)):
            return await self._start_over(batch, data, manifest)
        if not batch.publishing:
            # From now on a hidden name that is gone may be one that was renamed; until now it is not.
            batch = await it.ledger.run(
                it.ledger.batches.note, batch, "publishing", publishing=True
            )
        return await self._appear(batch, data, manifest)

    async def _appear(self, batch: Batch, data: Path, manifest: Path) -> Batch:
        target = self._instance.root / batch.place / batch.file
        try:
            await off_loop(outbox.publish, data, manifest, target)
        except outbox.FileGone as error:
            # Recorded first: with both hidden names gone it would pass for published after a crash.
            held = await self.hold(batch, hold(batch.batch, Reason.FILE_MISSING, error.message))
            await off_loop(outbox.discard, [manifest])
            return held
        except outbox.NameTaken:
            return await self._start_over(batch, data, manifest)
        return await self._published(batch)

    async def _start_over(self, batch: Batch, *left: Path) -> Batch:
        """Nothing of it was ever visible: it is fetched anew."""
        nothing = {"prepared": None, "publishing": False, "file": "", "place": ""}
        anew = await self._move(batch, Event.START_OVER, **nothing)
        await off_loop(outbox.discard, left)
        return anew

    async def _published(self, batch: Batch) -> Batch:
        now = self._instance.clock.now()
        if batch.set_aside:
            moved = await self._move(batch, Event.SET_ASIDE, written_at=now, prepared=None)
            _tell_held(moved)
            return moved
        moved = await self._move(
            batch, Event.PUBLISHED, written_at=now, prepared=None, published=True
        )
        log.info(
            "gl.written",
            **facts(batch, source=batch.source, reissue_of=batch.reissue_of),
            **{name: batch.manifest.get(name) for name in ("records", "bytes", "totals")},
            seconds=round(now - batch.listed_at, 3),
        )
        return moved

    async def hold(self, batch: Batch, why: Hold, **more: object) -> Batch:
        """A person must look; `more` is recorded in the same step."""
        words = {"reason": why.reason, "message": why.message, "next_step": why.next_step}
        moved = await self._move(batch, Event.SET_ASIDE, prepared=None, **words, **more)
        _tell_held(moved)
        return moved

    # -- acknowledgements ------------------------------------------------------------------------

    async def heed(self, batch: Batch) -> Batch:
        """Look what the ERP put beside a written file; hold, take back or note the acknowledgement."""
        found = await off_loop(outbox.companion, self._instance.root / batch.place / batch.file)
        if found is None:
            self._empty_since.pop(batch.batch, None)
            return batch
        if found.text is None and found.kind == "ack":
            return self._unread(batch)
        self._told_unread.discard(batch.batch)
        if found.text or found.kind == "nack":
            self._empty_since.pop(batch.batch, None)
        text = NOT_READ if found.text is None else found.text
        seen = Acknowledgement(found.kind, text, self._instance.clock.now())
        known = batch.acknowledged
        if known is not None and (known.kind, known.content) == (seen.kind, seen.content):
            return batch
        if found.kind == "nack":
            return await self._refused(batch, seen, Reason.REJECTED, rejected(text))
        digests = [str(batch.manifest.get(name, "")) for name in ("sha256", "manifest_sha256")]
        right = acknowledges(text, *digests)
        if right is None or (not text and not self._stays_empty(batch)):
            return batch
        if not right:
            return await self._refused(batch, seen, Reason.WRONG_ACK, wrong_ack(text))
        if batch.state is State.HELD:
            clear = {"reason": None, "message": "", "next_step": ""}
            return await self._move(batch, Event.TAKEN_BACK, acknowledged=seen, **clear)
        return await self._note(batch, "acknowledged", seen)

    @property
    def awaits_content(self) -> bool:
        """Whether an .ack is empty and may only be that for now."""
        return bool(self._empty_since)

    def _stays_empty(self, batch: Batch) -> bool:
        now = self._instance.clock.monotonic()
        since = self._empty_since.setdefault(batch.batch, now)
        if now - since < EMPTY_SETTLES:
            return False
        del self._empty_since[batch.batch]
        return True

    def _unread(self, batch: Batch) -> Batch:
        """What it says is not known, so it is waited for, and told once."""
        if batch.batch not in self._told_unread:
            told = f"{batch.file}.ack is there and can't be read"
            hint = "Let the ERP write it so that the outbox's group can read it (mode 0640)."
            log.warning("gl.step_failed", **facts(batch), error=told, hint=hint)
        self._told_unread.add(batch.batch)
        return batch

    async def _refused(
        self, batch: Batch, seen: Acknowledgement, reason: Reason, message: str
    ) -> Batch:
        """Hold it in the step that records why: a noted .ack alone would let it be confirmed."""
        why = hold(batch.batch, reason, message)
        if batch.state is not State.HELD:
            return await self.hold(batch, why, acknowledged=seen)
        words = {"reason": reason, "message": message, "next_step": why.next_step}
        it = self._instance
        return await it.ledger.run(
            it.ledger.batches.note, batch, "held otherwise", acknowledged=seen, **words
        )

    async def _note(self, batch: Batch, what: str, seen: Acknowledgement) -> Batch:
        it = self._instance
        return await it.ledger.run(it.ledger.batches.note, batch, what, acknowledged=seen)

    # -- confirming ------------------------------------------------------------------------------

    def may_confirm(self, batch: Batch) -> bool:
        """Whether a written batch is to be confirmed now, as `gl.confirm` says."""
        if batch.state is not State.WRITTEN or not batch.published:
            return False
        how = self._instance.config.gl.confirm
        known = batch.acknowledged
        acknowledged = known is not None and known.kind == "ack"
        return how == "written" or (how == "acknowledged" and acknowledged)

    async def confirm(self, batch: Batch, look_again: LookAgain) -> Batch:
        """Tell the tenant, after a list that is not older than that; a lost answer is settled by a list.

        The caller has listed just before and found the batch as it was. One that was held, and is
        confirmed on a person's word, is held again where that fails.
        """
        it = self._instance
        asked = await self._move(batch, Event.CONFIRM_ASKED)
        try:
            await it.journal.confirm(batch.batch)
        except NotReady as error:
            log.warning("gl.step_failed", **facts(batch), error=error.message)
            # Counted here: what the network does to a confirmation is no answer of the tenant's.
            await it.ledger.run(it.ledger.batches.note, asked, tries=asked.tries + 1)
        except TenantError as error:
            log.warning("gl.step_failed", **facts(batch), error=error.message, hint=error.hint)
            await it.gate.failed(error)
        else:
            return await self.confirmed(asked, "answer")
        await look_again(batch.batch)
        latest = await it.ledger.run(it.ledger.batches.latest, batch.tenant, batch.batch)
        return latest or asked

    async def confirmed(self, batch: Batch, by: str) -> Batch:
        """The tenant has it as transferred, `by` its answer or its list."""
        now = self._instance.clock.now()
        facts_ = {"confirmed_at": now, "confirmed_by": by, "tries": 0}
        moved = await self._move(batch, Event.CONFIRMED, **facts_)
        since = batch.written_at or batch.listed_at
        log.info("gl.confirmed", **facts(batch), seconds=round(now - since, 3))
        return moved

    async def not_confirmed(self, batch: Batch) -> Batch:
        """The tenant lists it as it was: it is told again, but not for ever."""
        if batch.state is State.CONFIRMED:
            told = "it was gone from the tenant's list, and is there again as it was: not confirmed"
            log.warning("gl.step_failed", **facts(batch), error=told)
        if batch.reason is not None:
            # It was held until a person's word; that it is ready still is no reason to let it go on.
            held = await self._move(batch, Event.SET_ASIDE)
            _tell_held(held)
            return held
        moved = await self._move(batch, Event.NOT_CONFIRMED)
        if moved.tries < MOST_CONFIRMS:
            return moved
        told = f"the tenant lists it as ready still, after it was confirmed {moved.tries} times"
        return await self.hold(moved, hold(batch.batch, Reason.CANNOT_CONFIRM, told))

    async def _move(self, batch: Batch, event: Event, **changes: object) -> Batch:
        it = self._instance
        return await it.ledger.run(it.ledger.batches.move, batch, event, **changes)


def _tell_held(batch: Batch) -> None:
    log.warning(
        "gl.held", **facts(batch), reason=batch.reason, error=batch.message, hint=batch.next_step
    )
