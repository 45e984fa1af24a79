"""What must hold of general-ledger batches: told to the tenant only what was published whole. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from revsyncd.core.audit import Violation
from revsyncd.core.batch import Batch, State
from revsyncd.core.places import shown

# Whatever became of them since, in these the file was with the ERP, or is.
_OUT = (State.WRITTEN, State.CONFIRMING, State.CONFIRMED)


@dataclass(frozen=True, slots=True)
class BatchEvidence:
    """One issue of a batch: what the history tells of it and what lies in the outbox now."""

    batch: Batch
    events: frozenset[str] = frozenset()
    sha256: str | None = None  # of its file; None: not there, "" where it was not looked for
    manifest: str | None = None  # the manifest's digest; None: not there
    acknowledged: bool = False  # the ERP put something beside it
    prepared: tuple[bool, bool] = (False, False)  # whether the hidden file and manifest are there


def of_batch(e: BatchEvidence) -> list[Violation]:
    """Every promise about an issue of a batch that does not hold."""
    return [*_told(e), *_whole(e), *_prepared(e)]


def _broken(e: BatchEvidence, rule: str, what: str, step: str) -> Violation:
    batch = e.batch
    where = f"{batch.place}/{batch.file}" if batch.file else "the outbox"
    return Violation(rule, f"batch {shown(batch.batch)}: {what}", shown(where), step)


def _told(e: BatchEvidence) -> Iterator[Violation]:
    """What the tenant was told, or is to be told, was published, with its manifest."""
    batch = e.batch
    if batch.state not in _OUT:
        return
    if batch.word is not None and batch.manifest.get("records") == 0:
        return  # nothing to deliver, and a named person said that it is right so
    published = bool(e.events & {"gl published", "gl rebuilt"})
    if not (batch.published and published and batch.written_at and batch.manifest):
        told = f"it is {batch.state} and was never published with a manifest"
        step = "See that the ERP has it; else have it set to ready in the tenant. Report it."
        yield _broken(e, "gl.unpublished", told, step)


def _whole(e: BatchEvidence) -> Iterator[Violation]:
    """What still lies in the outbox is what was verified; the ERP takes away when it wants."""
    batch = e.batch
    if batch.state not in _OUT or e.sha256 is None:
        return
    step = (
        "Have the ERP compare what it loaded with the manifest; `revsyncd gl list` names the batch."
    )
    if e.sha256 and e.sha256 != batch.manifest.get("sha256"):
        yield _broken(e, "gl.changed", "its file is not the one that was verified", step)
    if e.manifest is None and not e.acknowledged:
        yield _broken(e, "gl.silent", "its file is there without the manifest", step)
    elif e.manifest not in (None, batch.manifest.get("manifest_sha256")):
        yield _broken(e, "gl.changed", "its manifest is not the one that was written", step)


def _prepared(e: BatchEvidence) -> Iterator[Violation]:
    """What is fetched is there: hidden, half out, or out, with a manifest unless the ERP was quick."""
    if e.batch.state is State.FETCHED and e.prepared == (True, False):
        step = "`revsyncd gl fetch BATCH` when it is shown as held."
        yield _broken(e, "gl.prepared", "its prepared file has lost its manifest", step)
