"""A person's word on a batch: list, fetch, confirm, close. What makes no sense is refused with what would."""

from collections.abc import Awaitable, Callable

from revsyncd.adapters.ledger import Request
from revsyncd.adapters.log import get_logger
from revsyncd.core.batch import Batch, Event, Reason, State
from revsyncd.core.batch_words import facts, in_words
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import shown
from revsyncd.pipelines.batch_list import cleared
from revsyncd.pipelines.instance import Instance
from revsyncd.pipelines.outbound import Outbound

log = get_logger()

PATIENCE = 15.0  # seconds to wait for the service to be between two steps
_OVERRULED = (
    Reason.REJECTED,
    Reason.WRONG_ACK,
    Reason.CANNOT_CONFIRM,
    Reason.REBUILT,
)  # of published, verified files
_CLOSABLE = (State.LISTED, State.WRITTEN, State.HELD, State.WITHDRAWN)
Work = Callable[[Request], Awaitable[str]]


class GlDesk:
    """Carries out requests about batches; `at_once` where no service does what they set going."""

    def __init__(self, instance: Instance, outbound: Outbound, *, at_once: bool = False) -> None:
        """Work for an instance."""
        self._instance = instance
        self._outbound = outbound
        self._at_once = at_once

    async def answer(self, request: Request) -> str:
        """Carry one out. Raises RevsyncdError with what would make sense."""
        if not self._instance.config.gl.enabled:
            raise RevsyncdError(
                "batches are not configured", hint="Set `enabled = true` in the section [gl]."
            )
        verbs: dict[str, Work] = {
            "gl-list": self._list,
            "gl-fetch": self._fetch,
            "gl-confirm": self._confirm,
            "gl-close": self._close,
        }
        try:
            async with self._outbound.quiet(PATIENCE):
                told = await verbs[request.verb](request)
        except TimeoutError:
            raise RevsyncdError(
                "another batch is being fetched just now",
                hint="`revsyncd gl list` shows how far it is; repeat the command then.",
            ) from None
        if request.verb == "gl-fetch":
            return await self._go_on(request.target, told)
        return told

    async def _go_on(self, batch: str, told: str) -> str:
        """What was set going is done by the service, or here where there is none."""
        if not self._at_once:
            self._outbound.wake.nudge()
            return told
        await self._outbound.look()
        found = await self._outbound.latest(batch)
        if found is None or found.state in (State.LISTED, State.HELD):
            why = f": {found.message}" if found and found.message else ""
            raise RevsyncdError(
                f"batch {batch} was not delivered{why}",
                hint=(found and found.next_step) or "`revsyncd gl list` says how far it is.",
            )
        return f"batch {shown(batch)}: {in_words(found)} as {found.place}/{found.file}"

    # -- the verbs -------------------------------------------------------------------------------

    async def _list(self, _request: Request) -> str:
        await self._listed()
        return "listed"

    async def _listed(self) -> None:
        if not await self._outbound.list_now():
            raise RevsyncdError(
                "the tenant gives no list of batches now", hint="`revsyncd status` says why."
            )

    async def _known(self, request: Request) -> Batch:
        found = await self._outbound.latest(request.target)
        if found is None:
            raise RevsyncdError(
                f"batch {shown(request.target)} is not known, and not ready at the tenant",
                hint="`revsyncd gl list` names those that are.",
            )
        return found

    async def _fetch(self, request: Request) -> str:
        await self._listed()
        known, word = await self._known(request), self._word(request, "fetch")
        if known.state in (State.FETCHED, State.CONFIRMING):
            raise RevsyncdError(f"batch {shown(known.batch)} is in work: {in_words(known)}")
        ledger = self._instance.ledger
        if known.state is State.LISTED:
            await ledger.run(ledger.batches.note, known, "fetch asked", word=word)
        elif known.published:
            await self._deliver_again(known, request, word)
        else:
            changes = cleared() | {"word": word}
            await ledger.run(ledger.batches.move, known, Event.START_OVER, **changes)
        return f"batch {shown(known.batch)} is fetched now; `revsyncd gl list` shows how far it is"

    async def _deliver_again(
        self, known: Batch, request: Request, word: dict[str, str | float]
    ) -> None:
        """What the ERP has, or had, is never written over: it gets the next issue."""
        issue = known.evolve(
            **cleared(),
            issue=known.issue + 1,
            state=State.LISTED,
            published=False,
            reissue_of=known.file,
            listed_at=self._instance.clock.now(),
            confirmed_at=None,
            word=word,
        )
        ledger = self._instance.ledger
        await ledger.run(ledger.batches.add, issue)
        why = f"asked by {request.who}"
        log.warning("gl.reissued", batch=known.batch, reissue_of=known.file, reason=why)

    async def _confirm(self, request: Request) -> str:
        known = await self._known(request)
        self._require_published(known)
        await self._listed()
        latest = await self._known(request)
        if (latest.issue, latest.state) != (known.issue, known.state):
            raise RevsyncdError(
                f"batch {shown(known.batch)} changed meanwhile: {in_words(latest)}",
                hint="Look at it again with `revsyncd gl list`.",
            )
        if not self._outbound.is_listed(latest):
            raise RevsyncdError(
                f"the tenant does not list batch {shown(known.batch)} as ready just now",
                hint="Nothing was told. `revsyncd gl list` shows what its list says next.",
            )
        ledger, word = self._instance.ledger, self._word(request, "confirm")
        noted = await ledger.run(ledger.batches.note, latest, "word", word=word)
        done = await self._outbound.confirm_on_word(noted)
        if done.state is not State.CONFIRMED:
            raise RevsyncdError(
                f"the tenant has not confirmed batch {shown(known.batch)} yet: {in_words(done)}",
                hint="`revsyncd gl list` shows what its list says next.",
            )
        return f"batch {shown(known.batch)} is marked as transferred"

    def _require_published(self, known: Batch) -> None:
        """What is not out, whole and verified is never confirmed, whoever asks."""
        verified = known.published and not known.set_aside
        if known.state is State.WRITTEN and verified:
            return
        if known.state is State.HELD and verified and known.reason in _OVERRULED:
            return
        if known.state is State.HELD and known.reason is Reason.EMPTY:
            return  # there is nothing of it that could be out
        if known.state is State.CONFIRMED:
            raise RevsyncdError(f"batch {shown(known.batch)} is confirmed already")
        hint = known.next_step or "`revsyncd gl list` shows how far it is."
        raise RevsyncdError(
            f"batch {shown(known.batch)} is not published and verified: {in_words(known)}",
            hint=hint,
        )

    async def _close(self, request: Request) -> str:
        known = await self._known(request)
        if known.state not in _CLOSABLE:
            raise RevsyncdError(f"batch {shown(known.batch)} can't be closed: {in_words(known)}")
        ledger = self._instance.ledger
        message = f"closed by {request.who}: {request.reason}"
        changes = {"message": message, "next_step": "", "word": self._word(request, "close")}
        closed = await ledger.run(ledger.batches.move, known, Event.CLOSED, **changes)
        log.info("gl.held", **facts(closed), reason="closed", error=message)
        return f"batch {shown(known.batch)} is closed; the tenant was told nothing"

    def _word(self, request: Request, verb: str) -> dict[str, str | float]:
        return {"verb": verb, "reason": request.reason, "at": request.at, "by": request.who}
