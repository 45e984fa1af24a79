"""The random lives: what may happen to an instance, in any order, and the promise after each step."""

import signal
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from lives.held_to import HeldTo
from lives.road import Meets
from lives.senders import Erp, Senders, Shape
from lives.site import Counts, Site
from lives.ways import TEMPLATES, Ways

from revsyncd.core.drop import Drop, State
from revsyncd.core.part import Part, PartState
from revsyncd.pipelines.desk import RESOLUTIONS
from revsyncd.pipelines.register import Register
from revsyncd.simulator.journal import READY, TRANSFERRED, Packing
from revsyncd.simulator.uploads import Words

SPANS = (0.2, 2.0, 12.0, 25.0, 70.0, 400.0, 2000.0)  # seconds
MOST_PORTS = 250
FOLDERS = st.sampled_from(sorted(TEMPLATES))
SHAPES = st.sampled_from([Shape.GOOD, Shape.GOOD, Shape.GOOD, *Shape])
WAYS = st.builds(
    Ways,
    confirm=st.sampled_from(("written", "acknowledged")),
    sources=st.sampled_from((("report", "pages", "file"), ("pages",), ("file", "report"))),
    upload=st.sampled_from(("file", "file", "file", "auto")),  # csv names are never taken twice
    parts=st.sampled_from(("parallel", "sequence")),
    records=st.integers(1, 5),
    on_invalid=st.sampled_from(("reject", "split")),
    on_duplicate=st.sampled_from(("hold", "fail")),
    on_failure=st.sampled_from(("continue", "stop")),
    without=st.sampled_from(("", "", "", *sorted(TEMPLATES))),
)
WORDS = (
    Words(refused=True),
    Words(refused=True, message="Exception occurred while loading"),
    Words(refused=False, message="We are not sure"),
    Words(refused=False, file_log="1 staged, 0 failed"),
)
TROUBLES = st.sampled_from(sorted(set(Meets) - {Meets.NOTHING}))

total = Counts()  # of every life that was lived to its end


class Lives(RuleBasedStateMachine):
    """One life: an instance, its tenant, its senders, its ERP and its people."""

    site: Site
    about = ""  # what a violation must say to end a life; "" ends it at any

    def __init__(self) -> None:
        """Nothing is laid out before the seed is known."""
        super().__init__()
        self.failed = False
        self.whole = False

    @initialize(seed=st.integers(0, 2**32), ways=WAYS)
    def begin(self, seed: int, ways: Ways) -> None:
        """Lay out a tree and start."""
        self.site = Site(seed, ways)
        self.senders = Senders(self.site)
        self.erp = Erp(self.site)
        self.held_to = HeldTo(self.site, self.senders, self.erp)
        self.site.start()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self.site.process is not None

    # -- senders ---------------------------------------------------------------------------------

    @rule(
        folder=FOLDERS,
        shape=SHAPES,
        records=st.integers(1, 8),
        earlier=st.integers(0, 5),
        whole=st.integers(0, 9),
    )
    def drop(self, folder: str, shape: Shape, records: int, earlier: int, whole: int) -> None:
        """A sender drops a file, mostly with what belongs beside it."""
        self.senders.drop(folder, shape, records, earlier, whole=whole > 0)

    @rule(folder=FOLDERS, records=st.integers(1, 8), seconds=st.sampled_from(SPANS[2:6]))
    def drop_and_wait(self, folder: str, records: int, seconds: float) -> None:
        """A right file, and time for it to get somewhere."""
        self.senders.drop(folder, Shape.GOOD, records, 0, whole=True)
        self.site.pass_time(seconds)

    @precondition(lambda self: self.running)
    @rule(
        folder=FOLDERS,
        records=st.integers(1, 8),
        ports=st.integers(1, MOST_PORTS),
        meets=st.lists(TROUBLES, max_size=2),
        sent=st.booleans(),
    )
    def drop_and_kill(
        self,
        folder: str,
        records: int,
        ports: int,
        meets: list[Meets],
        sent: bool,  # noqa: FBT001  (Hypothesis hands it over)
    ) -> None:
        """A right file, perhaps a trouble of its upload, and the process killed on the way.

        Somewhere, or soon after the last bytes of an upload have left: there most can go wrong.
        """
        self.senders.drop(folder, Shape.GOOD, records, 0, whole=True)
        self.site.road.ahead["upload"] = list(meets)
        self.site.pass_time(9.0)
        if sent:
            self.site.kill_after_last_chunk(1 + ports % 8)
        else:
            self.site.kill_in(ports)
        self.site.pass_time(60.0)

    @rule(
        folder=FOLDERS,
        records=st.integers(1, 8),
        meets=st.lists(TROUBLES, min_size=1, max_size=3),
        words=st.none() | st.sampled_from(WORDS),
    )
    def drop_into_trouble(
        self, folder: str, records: int, meets: list[Meets], words: Words | None
    ) -> None:
        """A right file whose uploads meet trouble."""
        self.senders.drop(folder, Shape.GOOD, records, 0, whole=True)
        self.site.road.ahead["upload"] = list(meets)
        self.site.counts.troubles += len(meets)
        if words is not None:
            self.site.road.tenant.world.say_of_upload(words)
        self.site.pass_time(70.0)

    @rule(which=st.integers(0, 5))
    def write_on(self, which: int) -> None:
        """A sender goes on writing into what it has dropped."""
        self.senders.write_on(which)

    # -- time and the process --------------------------------------------------------------------

    @rule(seconds=st.sampled_from(SPANS))
    def pass_time(self, seconds: float) -> None:
        """Time passes."""
        self.site.pass_time(seconds)

    @precondition(lambda self: self.running)
    @rule(ports=st.integers(1, MOST_PORTS), seconds=st.sampled_from(SPANS[2:]))
    def kill_in(self, ports: int, seconds: float) -> None:
        """The process is killed at one of its next calls."""
        self.site.kill_in(ports)
        self.site.pass_time(seconds)

    @precondition(lambda self: self.running)
    @rule()
    def kill(self) -> None:
        """The process is killed where it stands."""
        self.site.kill()

    @precondition(lambda self: self.running)
    @rule(seconds=st.sampled_from(SPANS[:5]))
    def stop(self, seconds: float) -> None:
        """SIGTERM; who looks after a while may still find it at work."""
        self.site.send(signal.SIGTERM)
        self.site.pass_time(seconds)

    @precondition(lambda self: not self.running)
    @rule(ports=st.none() | st.integers(1, 120))
    def start(self, ports: int | None) -> None:
        """Started again; it may be killed on its way up."""
        self.site.start(kill_at=ports)

    @rule(ways=WAYS, tell=st.booleans())
    def reload(self, ways: Ways, tell: bool) -> None:  # noqa: FBT001  (Hypothesis hands it over)
        """Another configuration, told to the process or found at its next start."""
        self.site.write(ways)
        if tell and self.running:
            self.site.send(signal.SIGHUP)
            self.site.pass_time(1.0)

    @rule(hours=st.sampled_from((-30, -1, 1, 30)))
    def set_the_clock(self, hours: int) -> None:
        """The wall clock jumps, and a configuration that can't be used changes nothing."""
        self.site.clock.wall += hours * 3600.0
        if self.running:
            right = self.site.path.read_text()
            self.site.path.write_text("root = 1\n")
            self.site.send(signal.SIGHUP)
            self.site.pass_time(1.0)
            self.site.path.write_text(right)

    # -- the tenant ------------------------------------------------------------------------------

    @rule(
        kind=st.sampled_from(("upload", "upload", "call", "confirm", "download", "any")),
        meets=st.lists(TROUBLES, max_size=4),
    )
    def trouble(self, kind: str, meets: list[Meets]) -> None:
        """The next calls of a kind meet trouble."""
        self.site.road.ahead[kind] = list(meets)
        self.site.counts.troubles += len(meets)

    @rule(what=st.sampled_from(("expire", "hold", "release", "delete", "short", "long", "slow")))
    def tenant(self, what: str) -> None:
        """Tokens die, staging stops and goes on, lines in error are deleted."""
        tenant = self.site.road.tenant
        match what:
            case "expire":
                tenant.tokens.expire_all()
            case "hold":
                tenant.world.hold_staging()
            case "release":
                tenant.world.release_staging()
            case "delete":
                tenant.world.delete_lines()
            case "slow":
                tenant.configure(staging_delay=60.0)
            case _:
                tenant.configure(token_life=90.0 if what == "short" else 1800.0)

    # -- batches ---------------------------------------------------------------------------------

    @rule(
        lines=st.integers(1, 40),
        balanced=st.integers(0, 4),
        packing=st.sampled_from(Packing),
        meets=st.lists(TROUBLES, max_size=3),
        kind=st.sampled_from(("download", "confirm", "call")),
        ports=st.none() | st.integers(1, 120),
    )
    def batch(  # noqa: PLR0917  (Hypothesis hands them over by name)
        self,
        lines: int,
        balanced: int,
        packing: Packing,
        meets: list[Meets],
        kind: str,
        ports: int | None,
    ) -> None:
        """A batch is ready, or not quite; it meets trouble, perhaps a kill."""
        self.site.road.ahead[kind] = list(meets)
        journal = self.site.road.tenant.world.journal
        journal.add(lines, balanced=balanced > 0, packing=packing)
        self.site.counts.batches += 1
        if ports is not None and self.running:
            self.site.pass_time(150.0)
            self.site.kill_in(ports)
            self.site.pass_time(200.0)

    @rule(which=st.integers(0, 5), lines=st.none() | st.integers(1, 40), how=st.integers(0, 3))
    def change_batch(self, which: int, lines: int | None, how: int) -> None:
        """A person at the tenant reissues a batch, or changes its status."""
        journal = self.site.road.tenant.world.journal
        if not journal.batches:
            return
        batch = list(journal.batches.values())[which % len(journal.batches)]
        self.held_to.changed_at[batch.id] = self.site.clock.monotonic()
        if how > 1:
            journal.reissue(batch.id, lines)
        else:
            self.set_status(batch.id, TRANSFERRED if how else READY)

    def set_status(self, batch: int, status: str) -> None:
        """A person sets it in the tenant's pages, which says nothing in `updated`."""
        journal = self.site.road.tenant.world.journal
        journal.batches[batch] = replace(journal.batches[batch], status=status)

    @rule(
        which=st.integers(0, 3),
        how=st.sampled_from(("ack", "ack with digest", "wrong ack", "nack", "withdraw", "take")),
    )
    def erp_answers(self, which: int, how: str) -> None:
        """The ERP says something of a file, or takes it away."""
        self.erp.answer(which, how)

    # -- people ----------------------------------------------------------------------------------

    @rule(which=st.integers(0, 5), verb=st.integers(0, 2))
    def resolve(self, which: int, verb: int) -> None:
        """A person says what became of a held drop, rightly or not."""
        held = [d for d in self.site.drops() if d.state is State.HELD]
        if held:
            drop = held[which % len(held)]
            verbs = RESOLUTIONS.get(drop.reason, ("reject",)) if drop.reason else ("reject",)
            self.site.ask(verbs[verb % len(verbs)], drop.drop)

    @rule(which=st.integers(0, 5))
    def cancel(self, which: int) -> None:
        """A person cancels an open drop."""
        drops = [d for d in self.site.drops() if d.open]
        if drops:
            self.site.ask("cancel", drops[which % len(drops)].drop)

    @rule(verb=st.sampled_from(("pause", "resume", "resume")), folder=FOLDERS | st.just(""))
    def pause(self, verb: str, folder: str) -> None:
        """A person pauses, or lets go on."""
        if folder != self.site.ways.without:
            self.site.ask(verb, folder)

    @rule(which=st.integers(0, 5), verb=st.sampled_from(("list", "fetch", "confirm", "close")))
    def gl(self, which: int, verb: str) -> None:
        """A person's word on a batch."""
        batches = list(self.site.road.tenant.world.journal.batches)
        if batches:
            batch = batches[which % len(batches)]
            if verb == "confirm":
                self.held_to.on_word.add(batch)
            self.site.ask(f"gl-{verb}", "" if verb == "list" else str(batch))

    # -- what must hold --------------------------------------------------------------------------

    @precondition(lambda self: self.running)
    @rule()
    def look(self) -> None:
        """An audit beside the running daemon, between two of its steps."""
        self.whole = self.site.until_calm()

    @invariant()
    def promise(self) -> None:
        """Nothing lost, nothing twice, every file explained."""
        self.site.counts.steps += 1
        whole = self.whole or not self.running
        self.whole = False
        self._require(self.held_to.broken(whole=whole))

    def broken(self) -> list[str]:
        """What of the promise is broken now, as far as this life is about it."""
        return [told for told in self.held_to.broken(whole=True) if self.about in told]

    def _require(self, found: list[str]) -> None:
        found = [told for told in found if self.about in told]
        if found:
            self.failed = True
            raise AssertionError("\n".join(found))

    def teardown(self) -> None:
        """Every life ends well: without trouble, all that was dropped comes to its end."""
        if not hasattr(self, "site"):
            return
        try:
            if not self.failed:
                self._heal()
                self._require(self._unfinished())
                self._require(self.held_to.broken(whole=True))
                self.site.counts.uploads += len(self.site.road.tenant.world.uploads)
                self.site.counts.ports += self.site.ports.calls
                total.add(self.site.counts)
        finally:
            self.site.close()

    def _heal(self) -> None:
        """No more trouble, and a person who lets everything go on."""
        site = self.site
        site.road.ahead.clear()
        site.road.tenant.world.release_staging()
        site.road.tenant.configure(token_life=1800.0)
        site.kill()
        site.change(without="")
        self.senders.complete_all()
        site.start()
        for _ in range(40):
            for scope in ("", *TEMPLATES):
                site.ask("resume", scope)
            site.pass_time(360.0)
            if not self._unfinished():
                break
        site.until_calm()

    def _unfinished(self) -> list[str]:
        open_drops: list[Drop] = [d for d in self.site.drops() if d.open]
        found = [f"{d.folder}/{d.file} is {d.state} for ever" for d in open_drops]
        where = self.senders.where()
        for sent in self.senders.sent:
            path = where.get(sent.inode)
            if not sent.companion and path is not None and path.parent.name == "inbox":
                found.append(f"{sent.folder}/{sent.name} lies in the inbox for ever")
        return found


async def in_memory_only(register: Register, drop: str, number: int) -> Part:
    """In place of `Register.release`, for controls: the record before the last chunk is missing."""
    part = register._part(drop, number).become(PartState.RELEASED, released_at=0.0)
    return register._keep_part(part)


def figures() -> dict[str, Any]:
    """What all lives so far came to."""
    return {name: getattr(total, name) for name in total.__dataclass_fields__}
