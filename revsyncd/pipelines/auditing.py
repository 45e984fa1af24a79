"""`revsyncd check --audit`: the promise's invariants on a ledger and its tree, read only.

Usable beside a running daemon: what it finds wrong is looked at again, so that a step between two
reads is no violation. What must hold is decided in `revsyncd.core.audit` and its neighbours.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from revsyncd.adapters import sightings
from revsyncd.adapters.ledger import Ledger, running, upkeep
from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.adapters.ledger.evidence import (
    about_to_be_rewritten,
    addresses,
    contents,
    sealed_steps,
    size_of_files,
)
from revsyncd.adapters.ledger.identity import owner
from revsyncd.adapters.sightings import FolderSeen
from revsyncd.checks.contract import Progress
from revsyncd.config import Config
from revsyncd.core.audit import Violation
from revsyncd.core.audit_batches import BatchEvidence, of_batch
from revsyncd.core.audit_sending import Releases, standing_twice
from revsyncd.core.batch import Batch, State
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.outbox_names import ACK, MANIFEST, NACK
from revsyncd.core.places import shown
from revsyncd.pipelines.audit_drops import DropAudit
from revsyncd.pipelines.audit_secrets import leaks

AGAIN = (0.1, 0.3, 1.0, 2.0)  # seconds before each further look, while a daemon is at work
_ASIDE = "Keep it, and report it: no drop of the ledger explains it. If a person put it there, move it away."
_TORN = "Stop the daemon, keep the file, check the disk; docs/operations.md says what then."


@dataclass(slots=True)
class Audit:
    """What was found: violations, and what else a reader should know."""

    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drops: int = 0
    batches: int = 0


def audit(
    config: Config,
    *,
    since: float | None = None,
    logs: Sequence[Path] = (),
    progress: Progress | None = None,
    now: Callable[[], float] = time.time,
) -> Audit:
    """Look at everything. `since` (epoch): only the bytes of what settled later are hashed.

    Raises OSError where a directory may not be read.
    """
    return _Auditor(config, since, now, progress).run(logs)


class _Auditor:
    def __init__(
        self,
        config: Config,
        since: float | None,
        now: Callable[[], float],
        progress: Progress | None,
    ) -> None:
        self._config = config
        self._root = config.root
        self._now = now
        self._since = since
        self._progress = progress
        self._live = running(config.root, config.state_dir)
        self._found = Audit()
        self._events: dict[tuple[str, int], set[str]] = {}  # of each issue of a batch

    def run(self, logs: Sequence[Path]) -> Audit:
        """Everything, whatever is wrong with the rest."""
        names = sorted({*self._config.templates, *sightings.folder_names(self._root)})
        tree = [sightings.look(self._root, name) for name in names]
        with ExitStack() as stack:
            ledger = self._opened(stack)
            if ledger is not None and not self._compared(ledger, tree):
                ledger = None
            self._secrets(ledger, tree, logs)
        return self._found

    def _compared(self, ledger: Ledger, tree: list[FolderSeen]) -> bool:
        """Whether ledger and tree could be compared to the end: a torn one breaks off anywhere."""
        found = self._found.violations
        try:
            self._ledger(ledger)
            self._drops(ledger, tree)
            self._batches(ledger)
        except RevsyncdError as error:
            found.append(_of_ledger("ledger.broken", error.message, ledger.book.path, error.hint))
        except (ValueError, KeyError, TypeError) as error:
            told = f"it holds what no ledger does: {error}"
            found.append(_of_ledger("ledger.broken", told, ledger.book.path, _TORN))
        else:
            return True
        return False

    def _opened(self, stack: ExitStack) -> Ledger | None:
        state, found = self._config.state_dir, self._found
        try:
            upkeep.prove(self._root, state)
            if not (state / FILE_NAME).exists():
                found.notes.append("there is no ledger yet: nothing was taken so far")
                return None
        except RevsyncdError as error:
            found.violations.append(_of_ledger("ledger.root", error.message, state, error.hint))
        try:
            return stack.enter_context(Ledger.read(state, self._now))
        except RevsyncdError as error:
            if not found.violations:
                found.violations.append(
                    _of_ledger("ledger.broken", error.message, state, error.hint)
                )
            return None

    # -- the ledger ------------------------------------------------------------------------------

    def _ledger(self, ledger: Ledger) -> None:
        """Its file, its history, and what the history tells of uploads and batches."""
        book, found = ledger.book, self._found.violations
        found += [
            _of_ledger("ledger.file", fault, book.path, _TORN) for fault in upkeep.of_the_file(book)
        ]
        whose = addresses(book)
        releases = Releases(whose)
        for sealed in sealed_steps(book):
            if not sealed.whole:
                found.append(
                    _of_ledger("ledger.history", upkeep.unsealed(sealed.n), book.path, _TORN)
                )
            if sealed.drop is not None:
                found += releases.take(sealed.event, sealed.drop, sealed.part, sealed.facts)
            elif sealed.event.startswith("gl "):
                issue = (str(sealed.facts.get("batch")), int(sealed.facts.get("issue") or 0))
                self._events.setdefault(issue, set()).add(sealed.event)
        if not any(violation.rule == "sent.twice" for violation in found):
            found += standing_twice(contents(book), whose)

    # -- drops -----------------------------------------------------------------------------------

    def _drops(self, ledger: Ledger, tree: list[FolderSeen]) -> None:
        days = frozenset(day for folder in tree for day in folder.days)
        drops = DropAudit(
            self._config,
            ledger,
            days,
            about_to_be_rewritten(ledger.book),
            self._now(),
            self._since,
        )
        unexplained = {path for folder in tree for path in folder.files}
        known: set[str] = set()
        suspects: dict[str, list[Violation]] = {}
        in_all, hashed, seq = size_of_files(ledger.book), 0, 0
        while several := ledger.drops.after(seq):
            for drop in several:
                seq = drop.seq
                known.add(drop.drop)
                suspects[drop.drop] = drops.look(drop)
                unexplained.difference_update(drops.explained(drop))
                hashed += drop.size
                if self._progress is not None:
                    self._progress(hashed, max(in_all, 1))
        self._found.drops = len(known)
        self._found.violations += self._lasting(suspects, drops.look_again)
        if drops.archived:
            told = f"{drops.archived:,} settled files are not looked at: their date folders were taken away"
            self._found.notes.append(told)
        self._strays(ledger, tree, unexplained, known)

    def _lasting(
        self, suspects: dict[str, list[Violation]], look: Callable[[str], list[Violation]]
    ) -> list[Violation]:
        """What still holds when a daemon at work had time for its step."""
        suspects = {key: found for key, found in suspects.items() if found}
        for pause in AGAIN if self._live else ():
            if not suspects:
                break
            time.sleep(pause)
            suspects = {key: found for key in suspects if (found := look(key))}
        return [violation for found in suspects.values() for violation in found]

    def _strays(
        self, ledger: Ledger, tree: list[FolderSeen], unexplained: set[str], known: set[str]
    ) -> None:
        """What no drop explains, and what an earlier run left behind."""
        began = self._swept_run(ledger)
        suspects = [
            *_files("place.unknown", "a file that the ledger does not know", unexplained),
            *(s for folder in tree for s in self._of_work(folder, known)),
            *(s for folder in tree for s in self._left_over(ledger, folder, began)),
            *self._left_around(began),
            *self._left_in_outbox(ledger, began),
        ]
        if suspects and self._live:
            time.sleep(AGAIN[0])
        still = {path for path, _ in suspects if sightings.see(self._root / path) is not None}
        self._found.violations += [violation for path, violation in suspects if path in still]

    def _swept_run(self, ledger: Ledger) -> float | None:
        """When the last run began, once it has swept; nothing older may be left then."""
        holder = owner(self._root)
        swept = ledger.book.meta("swept")
        return holder[1] if holder is not None and swept == repr(holder[1]) else None

    def _of_work(self, folder: FolderSeen, known: set[str]) -> Iterator[tuple[str, Violation]]:
        yield from _files("place.unknown", "a stranger in .work", set(folder.strangers))
        unrecorded = {
            id_: names for id_, names in folder.work.items() if id_ not in known and names
        }
        if not unrecorded:
            return
        if not self._live:
            told = f"{len(unrecorded)} claims in {folder.name}/.work are not recorded: the next start gives them back"
            self._found.notes.append(told)
            return
        for drop, names in unrecorded.items():
            waits = any((self._root / folder.name / "inbox" / name).exists() for name in names)
            if not waits:  # for a name that is taken in the inbox
                path = f"{folder.name}/.work/{drop}/{names[0]}"
                yield from _files("place.unknown", "a claim that is not recorded", {path})

    def _left_over(
        self, ledger: Ledger, folder: FolderSeen, began: float | None
    ) -> Iterator[tuple[str, Violation]]:
        if began is None or folder.name not in self._config.templates:
            return
        old = {path for path, at in folder.temporary.items() if at < began}
        for drop_id, at in folder.prepared.items():
            drop = ledger.drops.get(drop_id)
            needed = drop is not None and (drop.open or drop.state == "held")
            if at < began and not needed:
                old.add(f"{folder.name}/.work/{drop_id}{sightings.PREPARED}")
        yield from _left(old)

    def _left_around(self, began: float | None) -> Iterator[tuple[str, Violation]]:
        """Beside the folders; hidden files of batches go when the first look at them is over."""
        if began is None:
            return
        root, state = self._config.root, self._config.state_dir
        for directory in (root, root / "reports", state):
            found = sightings.temporary_in(directory)
            yield from _left({str(directory / name) for name, at in found.items() if at < began})

    def _left_in_outbox(
        self, ledger: Ledger, began: float | None
    ) -> Iterator[tuple[str, Violation]]:
        """Told while the daemon runs only: the first look at batches sweeps, and need not have come."""
        if began is None or not self._live or not self._config.gl.enabled:
            return
        outbox = self._config.outbox
        needed = {name for batch in ledger.batches.every() for name in batch.prepared or ()}
        hidden = sightings.hidden_in(outbox).items()
        yield from _left({str(outbox / n) for n, at in hidden if at < began and n not in needed})

    # -- batches ---------------------------------------------------------------------------------

    def _batches(self, ledger: Ledger) -> None:
        every = {f"{b.tenant} {b.batch} {b.issue}": b for b in ledger.batches.every()}
        self._found.batches = len(every)

        def again(key: str) -> list[Violation]:
            known = ledger.batches.every()
            now = next(b for b in known if f"{b.tenant} {b.batch} {b.issue}" == key)
            self._events[now.batch, now.issue] = ledger.batches.events(now)
            return of_batch(self._batch(now))

        suspects = {key: of_batch(self._batch(batch)) for key, batch in every.items()}
        self._found.violations += self._lasting(suspects, again)

    def _batch(self, batch: Batch) -> BatchEvidence:
        target = self._root / batch.place / batch.file
        home = self._root / batch.place.removesuffix("/.held")
        hidden = [(home / name).exists() for name in batch.prepared or ()]
        seen, manifest, answered = None, None, False
        if batch.file and batch.state is not State.FETCHED:
            seen = sightings.see(target, bytes_of=0)
            manifest = sightings.manifest_digest(target.with_name(batch.file + MANIFEST))
            answered = any(target.with_name(batch.file + s).exists() for s in (ACK, NACK))
        return BatchEvidence(
            batch,
            frozenset(self._events.get((batch.batch, batch.issue), ())),
            sha256=seen.sha256 if seen else None,
            manifest=manifest,
            acknowledged=answered or batch.acknowledged is not None,
            prepared=(hidden[0], hidden[1]) if len(hidden) == 2 else (False, False),  # noqa: PLR2004  (file and manifest)
        )

    # -- secrets ---------------------------------------------------------------------------------

    def _secrets(self, ledger: Ledger | None, tree: list[FolderSeen], logs: Sequence[Path]) -> None:
        found = leaks(self._config, ledger.book if ledger else None, tree, logs)
        self._found.violations += found.violations
        self._found.notes += found.notes


def _files(rule: str, what: str, paths: set[str]) -> Iterator[tuple[str, Violation]]:
    for path in sorted(paths):
        yield path, Violation(rule, what, shown(path), _ASIDE)


def _left(paths: set[str]) -> Iterator[tuple[str, Violation]]:
    step = "Remove it, and report it: the start of this run should have."
    for path in sorted(paths):
        told = "something temporary is older than this run"
        yield path, Violation("temporary.left", told, shown(path), step)


def _of_ledger(rule: str, what: str, where: Path, step: str) -> Violation:
    return Violation(rule, what, str(where), step)
