"""Where a person's word is carried out: resolve, cancel, pause, resume.

Commands put requests into the ledger; the daemon carries them out here, in order, each once. While
the daemon is stopped the command does so itself, with the same code. What makes no sense for the
drop's reason is refused with what would.
"""

from collections.abc import Awaitable, Callable

import anyio

from revsyncd.adapters.ledger import Request
from revsyncd.adapters.log import get_logger
from revsyncd.core import endings
from revsyncd.core.drop import Drop, Event, Reason, State
from revsyncd.core.errors import LedgerBroken, RevsyncdError
from revsyncd.core.part import Part, PartState, released
from revsyncd.pipelines.concluding import Concluding
from revsyncd.pipelines.conditions import EVERYWHERE, PAUSED, STOPPED
from revsyncd.pipelines.gl_desk import GlDesk
from revsyncd.pipelines.instance import Instance, named
from revsyncd.pipelines.sending import Sending

log = get_logger()

Work = Callable[[Request, Drop], Awaitable[str]]
LOOK_EVERY = 0.5  # seconds between looks at a number in shared memory

# What each held reason can be resolved with; the first is what usually makes sense.
RESOLUTIONS: dict[Reason, tuple[str, ...]] = {
    Reason.IN_DOUBT: ("arrived", "not-arrived", "reject"),
    Reason.COUNT_MISMATCH: ("arrived", "not-arrived", "reject"),
    Reason.UNCONFIRMED: ("arrived", "not-arrived", "reject"),
    Reason.STATUS_TIMEOUT: ("arrived", "not-arrived", "reject"),
    Reason.DUPLICATE: ("send", "reject"),
    Reason.INCOMPLETE: ("send", "reject"),
    Reason.CANNOT_SEND: ("send", "reject"),
    Reason.EMPTY: ("reject",),
    Reason.UNREADABLE: ("reject",),
    Reason.NOT_A_FILE: ("reject",),
}


class Refused(RevsyncdError):
    """A request that makes no sense now; the hint says what would."""


class Desk:
    """Carries out requests for one instance."""

    def __init__(
        self, instance: Instance, concluding: Concluding, sending: Sending, batches: GlDesk
    ) -> None:
        """Work for an instance; `batches` carries out what is about those."""
        self._instance = instance
        self._batches = batches
        self._concluding = concluding
        self._sending = sending

    async def run(self) -> None:
        """The service: carry out what commands ask, soon after they ask it."""
        requests, seen = self._instance.ledger.requests, -1
        while True:
            changes = await self._instance.ledger.run(requests.changes)
            if changes != seen:
                seen = changes
                for request in await self._instance.ledger.run(requests.waiting):
                    await self.answer(request)
            await anyio.sleep(LOOK_EVERY)

    async def answer(self, request: Request) -> bool:
        """Carry out one request and record what became of it; returns whether it was done."""
        try:
            answer, done = await self._carry_out(request), True
        except LedgerBroken:
            raise
        except RevsyncdError as error:
            answer, done = f"{error.message}\n{error.hint}".strip(), False
        except Exception as error:  # unanswered, it would end every later start as well
            log.exception("drop.step_failed", drop=request.target)
            answer, done = f"it could not be carried out: {error}", False
        ledger = self._instance.ledger
        await ledger.run(ledger.requests.answer, request.id, done=done, answer=answer)
        return done

    async def _carry_out(self, request: Request) -> str:
        match request.verb:
            case "pause":
                return await self._pause(request)
            case "resume":
                return await self._resume(request)
            case "cancel":
                return await self._with_drop(request, self._cancel)
            case "gl-list" | "gl-fetch" | "gl-confirm" | "gl-close":
                return await self._batches.answer(request)
            case _:
                return await self._with_drop(request, self._resolve)

    # -- folders ---------------------------------------------------------------------------------

    def _scope(self, request: Request) -> str:
        if request.target and request.target not in self._instance.config.templates:
            names = ", ".join(self._instance.config.templates)
            raise Refused(f"there is no folder {request.target}", hint=f"There are: {names}.")
        return request.target or EVERYWHERE

    async def _pause(self, request: Request) -> str:
        scope = self._scope(request)
        message = f"paused by {request.who}: {request.reason}"
        command = f"revsyncd resume {request.target}".strip()
        hint = f'`{command} --reason "…"` lets it go on.'
        await self._instance.conditions.begin(PAUSED, scope, message=message, hint=hint)
        return f"{request.target or 'every folder'}: nothing new is claimed or sent"

    async def _resume(self, request: Request) -> str:
        scope = self._scope(request)
        conditions = self._instance.conditions
        # A stop on failure is lifted only by name: who ends a pause of everything may not know of it.
        kinds = [
            (c.kind, c.scope)
            for c in conditions.all()
            if (c.kind == PAUSED and scope in (EVERYWHERE, c.scope))
            or (c.kind == STOPPED and scope == c.scope)
        ]
        if not kinds:
            everywhere = conditions.holds(PAUSED)
            step = 'Everything is paused: `revsyncd resume --reason "…"`, without a folder.'
            hint = step if everywhere else ""
            what = f"{request.target} is not paused" if request.target else "nothing is paused"
            raise Refused(what, hint=hint)
        for kind, where in kinds:
            await conditions.end(kind, where, by=request.who, error=request.reason)
        self._instance.register.changed.nudge()
        stopped = [c.scope for c in conditions.all() if c.kind == STOPPED]
        still = f"; still stopped on failure: {', '.join(stopped)}" if stopped else ""
        return f"{request.target or 'every folder'}: goes on{still}"

    # -- drops -----------------------------------------------------------------------------------

    async def _with_drop(self, request: Request, work: Work) -> str:
        register = self._instance.register
        if request.target not in register:
            ledger = self._instance.ledger
            known = await ledger.run(ledger.drops.get, request.target)
            state = f"is {known.state} already" if known else "is not known"
            step = (
                f"`revsyncd show {request.target}` tells how."
                if known
                else "See `revsyncd status`."
            )
            raise Refused(f"drop {request.target} {state}", hint=step)
        async with register.locked(request.target):
            if request.target not in register:
                raise Refused("the drop was settled meanwhile", hint="See `revsyncd status`.")
            return await work(request, register.drop(request.target))

    async def _cancel(self, request: Request, drop: Drop) -> str:
        if drop.state not in (State.CLAIMED, State.CHECKED, State.SENDING):
            raise Refused(
                f"the drop is {drop.state}, it can't be cancelled any more",
                hint='A held drop is closed with `revsyncd resolve DROP --reject --reason "…"`.',
            )
        inflight = [u for u in self._sending.inflight.values() if u.drop == drop.drop]
        if released(self._instance.register.parts(drop.drop)) or any(
            upload.phase == "released" for upload in inflight
        ):
            raise Refused(
                "something of the drop was released already",
                hint="Let it settle; the tenant may have it.",
            )
        self._sending.stop_unreleased(drop.drop)
        ending = endings.cancelled(request.reason, request.who)
        await self._concluding.settle(
            drop, Event.CANCELLED, ending, resolved=self._word(request, "cancel")
        )
        return "cancelled; it goes to failed/"

    async def _resolve(self, request: Request, drop: Drop) -> str:
        if drop.state is State.HELD and not drop.filed:
            raise Refused("its report is still being written", hint="Say it again in a moment.")
        if drop.state is not State.HELD or drop.reason is None:
            raise Refused(
                f"the drop is {drop.state}, not held", hint="Only held drops need a person's word."
            )
        possible = RESOLUTIONS.get(drop.reason, ("reject",))
        if request.verb not in possible:
            options = " or ".join(f"--{verb}" for verb in possible)
            raise Refused(
                f"--{request.verb} makes no sense for a drop held as {drop.reason}",
                hint=f"It takes {options}.",
            )
        if drop.reason is not Reason.NOT_A_FILE and request.verb != "reject":
            await self._same_bytes(drop)
        log.info("drop.resolved", **named(drop), reason=request.verb, by=request.who)
        word = self._word(request, request.verb)
        match request.verb:
            case "arrived":
                return await self._arrived(drop, word)
            case "not-arrived":
                return await self._not_arrived(drop, word)
            case "send":
                return await self._send(drop, word)
            case _:
                return await self._reject(request, drop, word)

    async def _same_bytes(self, drop: Drop) -> None:
        """The word is about the bytes that were dropped: nothing else may be sent on it."""
        try:
            found = await self._instance.files.sha256(self._instance.path(drop))
        except OSError as error:
            raise Refused(
                f"the file at {drop.place}/{drop.name} can't be read: {error.strerror}",
                hint="Put the original back, or `--reject` the drop.",
            ) from error
        if drop.sha256 not in (None, found):
            raise Refused(
                f"the file at {drop.place}/{drop.name} is not the one that was dropped",
                hint="Its SHA-256 differs. Put the original back, or `--reject` the drop.",
            )

    def _doubtful(self, drop: Drop) -> list[Part]:
        """The parts that a person's word is about.

        An accepted one is among them only where its status never came: else it is being followed,
        and to send it again would post it twice.
        """
        about = {PartState.IN_DOUBT}
        if drop.reason is Reason.STATUS_TIMEOUT:
            about.add(PartState.ACCEPTED)
        return [p for p in self._instance.register.parts(drop.drop) if p.state in about]

    async def _arrived(self, drop: Drop, word: dict[str, str | float]) -> str:
        register = self._instance.register
        # First, since a start that finds all parts staged files the drop by what stands here.
        await register.note(drop.drop, "resolved", resolved=word)
        for part in self._doubtful(drop):
            message = f"taken as staged on the word of {word['by']}"
            await register.settle_part(drop.drop, part.part, PartState.STAGED, message=message)
        return f"the doubtful parts count as staged; {await self._go_on(drop.drop)}"

    async def _not_arrived(self, drop: Drop, word: dict[str, str | float]) -> str:
        register = self._instance.register
        for part in self._doubtful(drop):
            if part.state is PartState.ACCEPTED:
                await register.settle_part(
                    drop.drop, part.part, PartState.IN_DOUBT, doubt=Reason.IN_DOUBT
                )
            message = f"sent again on the word of {word['by']}"
            await register.settle_part(
                drop.drop,
                part.part,
                PartState.PLANNED,
                message=message,
                request_id=None,
                doubt=None,
            )
        await register.note(drop.drop, "resolved", resolved=word)
        return f"the doubtful parts count as not sent; {await self._go_on(drop.drop)}"

    async def _go_on(self, drop_id: str) -> str:
        """Let a held drop go on with its parts as they are now; returns what follows."""
        register = self._instance.register
        states = {part.state for part in register.parts(drop_id)}
        # After a refusal nothing more is sent: taken back to be sent, it would wait for ever.
        if PartState.PLANNED in states and PartState.REFUSED not in states:
            await self._concluding.send_again(register.drop(drop_id))
            return "what is not at the tenant is sent now"
        if PartState.ACCEPTED in states:
            await self._concluding.follow_on(register.drop(drop_id))
            return "the others are still being followed"
        await self._concluding.advance(drop_id)
        return f"the drop is {register.drop(drop_id).state} now"

    async def _send(self, drop: Drop, word: dict[str, str | float]) -> str:
        register = self._instance.register
        permitted = tuple(dict.fromkeys((*drop.permitted, str(drop.reason))))
        parts = register.parts(drop.drop)
        if not released(parts):
            await self._concluding.start_over(drop, resolved=word, permitted=permitted)
            return "it is taken into work again"
        await register.note(drop.drop, "resolved", resolved=word, permitted=permitted)
        if any(part.state is PartState.PLANNED for part in parts):
            await self._concluding.send_again(register.drop(drop.drop))
            return "what is not at the tenant is sent now"
        await self._concluding.advance(drop.drop)
        return "all of it was sent before; nothing is sent again"

    async def _reject(self, request: Request, drop: Drop, word: dict[str, str | float]) -> str:
        parts = self._instance.register.parts(drop.drop)
        ending = endings.rejected(
            drop.ending,
            request.reason,
            request.who,
            some_staged=any(part.state is PartState.STAGED for part in parts),
            some_unknown=any(part.state is PartState.ACCEPTED for part in parts),
        )
        await self._concluding.settle(drop, Event.REJECTED, ending, resolved=word)
        return "given up; it goes to failed/"

    def _word(self, request: Request, verb: str) -> dict[str, str | float]:
        return {"verb": verb, "reason": request.reason, "at": request.at, "by": request.who}
