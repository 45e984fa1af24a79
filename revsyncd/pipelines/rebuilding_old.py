"""What the ledger that is being replaced still tells, where it is whole and the root's own.

It may be an older copy. Of what the tree shows, the tree speaks; but drops whose date folders were
taken away, batches that the ERP took, and pauses, are known to it alone.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from revsyncd.adapters.ledger import Condition, KnownStageError, Ledger, upkeep
from revsyncd.adapters.ledger.identity import Head
from revsyncd.checks.contract import Problem
from revsyncd.config import Config
from revsyncd.core.batch import Batch, Reason, State
from revsyncd.core.batch_words import hold
from revsyncd.core.drop import State as DropState
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.rebuild import Known, lost, settled

_ENDED = (State.CONFIRMED, State.CLOSED, State.SUPERSEDED, State.WITHDRAWN)
_SETTLED = (DropState.DONE, DropState.FAILED, DropState.HELD)


@dataclass(slots=True)
class Old:
    """What it tells; `complete` when it is not older than the root proves."""

    ledger: Ledger | None = None
    complete: bool = False
    conditions: list[Condition] = field(default_factory=list)

    def drops(
        self, known: set[str]
    ) -> Iterator[tuple[Known, list[Problem], list[KnownStageError]]]:
        """The drops that are not in `known`, which nothing in the tree shows any more."""
        drops, seq = self.ledger.drops if self.ledger else None, 0
        while drops is not None and self.ledger is not None and (several := drops.after(seq)):
            for drop in several:
                seq = drop.seq
                if drop.drop in known:
                    continue
                told = Known(drop, tuple(drops.parts(drop.drop)))
                kept = settled(told) if drop.filed and drop.state in _SETTLED else lost(told)
                yield kept, drops.problems(drop.drop), self.ledger.stage_errors.of_drop(drop.drop)

    def batches(self, published: list[Batch]) -> Iterator[Batch]:
        """Every issue: as it ended here, else held; `published` are those of which manifests speak."""
        unseen = {(b.batch, b.file): b for b in published}
        issues: Counter[str] = Counter()
        for batch in self.ledger.batches.every() if self.ledger else ():
            shown = unseen.pop((batch.batch, batch.file), None)
            if batch.state not in _ENDED and shown is None and not batch.published:
                continue  # nothing of it was out: it is listed anew
            issues[batch.batch] = batch.issue
            yield batch if batch.state in _ENDED else _held(batch, shown)
        for batch in unseen.values():
            issues[batch.batch] += 1
            yield batch.evolve(issue=issues[batch.batch])


def _held(batch: Batch, shown: Batch | None) -> Batch:
    if shown is not None:
        return shown.evolve(issue=batch.issue)
    why = hold(batch.batch, Reason.REBUILT, "it was written before the ledger was rebuilt")
    words = {"reason": why.reason, "message": why.message, "next_step": why.next_step}
    return batch.evolve(state=State.HELD, prepared=None, **words)


@contextmanager
def old(config: Config) -> Iterator[Old]:
    """Open it for reading; where it can't be trusted, nothing is told."""
    with ExitStack() as stack:
        try:
            ledger = stack.enter_context(Ledger.read(config.state_dir, lambda: 0.0))
            told = _judged(config, ledger)
        except RevsyncdError:
            told = Old()
        yield told


def _judged(config: Config, ledger: Ledger) -> Old:
    if not Head(config.root).names(ledger.book) or upkeep.of_the_file(ledger.book):
        return Old()
    conditions = [c for c in ledger.conditions.all() if c.lasting]
    try:
        upkeep.prove(config.root, config.state_dir)
    except RevsyncdError:
        return Old(ledger, complete=False, conditions=conditions)
    return Old(ledger, complete=True, conditions=conditions)
