"""The batches of a ledger that is rebuilt: from the manifests in the outbox.

That a file was written is proven by its manifest; that the tenant was told is proven by nothing. So
all are held, and only the tenant's list, the ERP's acknowledgement or a person takes them on.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from revsyncd.adapters import outbox, sightings
from revsyncd.config import Config
from revsyncd.core.batch import Batch, Reason, State
from revsyncd.core.batch_words import hold
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.outbox_names import HELD, MANIFEST, TEMPORARY
from revsyncd.core.places import shown

READY = "READY TO TRANSFER"  # as it was when it was written
WRITTEN = "it was written before the ledger was rebuilt; whether the tenant was told is not known"


def published(config: Config, now: float, notes: list[str]) -> Iterator[Batch]:
    """Every issue of which a manifest speaks, in order; what was half out is brought out first."""
    if not config.gl.enabled or not config.outbox.is_dir():
        return
    _finish(config, notes)
    issues: dict[str, list[Batch]] = defaultdict(list)
    for place in (config.gl.outbox, f"{config.gl.outbox}/{HELD}"):
        directory = config.root / place
        for name in sightings.names_in(directory):
            if name.endswith(MANIFEST) and not name.startswith(TEMPORARY):
                batch = _read(config, directory / name, place, now, notes)
                if batch is not None:
                    issues[batch.batch].append(batch)
    for several in issues.values():
        several.sort(key=lambda batch: (batch.written_at or 0.0, batch.file))
        last = len(several)
        for issue, batch in enumerate(several, start=1):
            state = batch.state if issue == last else State.SUPERSEDED
            yield batch.evolve(issue=issue, state=state)


def _finish(config: Config, notes: list[str]) -> None:
    """A file that is out and whose manifest is still hidden: the second rename, made up for."""
    for name in sightings.names_in(config.outbox):
        if not (name.startswith(TEMPORARY) and name.endswith(".manifest")):
            continue
        hidden = config.outbox / name
        data = hidden.with_name(name.removesuffix(".manifest") + ".data")
        told = _object(hidden, notes)
        target = config.outbox / str(told.get("file")) if told else None
        if target is None or data.exists() or not _is_whole(target, told):
            continue
        try:
            outbox.publish(data, hidden, target)
        except RevsyncdError as error:
            notes.append(error.message)


def _object(path: Path, notes: list[str]) -> dict[str, Any]:
    found, fault = sightings.read_report(path)
    if found is None:
        notes.append(f"{shown(path.name)}: taken for no manifest: it {fault}")
    return found or {}


def _is_whole(path: Path, manifest: dict[str, Any]) -> bool:
    seen = sightings.see(path, bytes_of=0)
    return seen is not None and seen.sha256 == manifest.get("sha256")


def _read(config: Config, path: Path, place: str, now: float, notes: list[str]) -> Batch | None:
    told = _object(path, notes)
    try:
        batch = _batch(config, told, place, now)
    except (KeyError, TypeError, ValueError):
        if told:
            notes.append(f"{shown(path.name)}: taken for no manifest of ours")
        return None
    digest = sightings.manifest_digest(path)
    return batch.evolve(manifest=told | {"manifest_sha256": digest})


def _batch(config: Config, told: dict[str, Any], place: str, now: float) -> Batch:
    aside = place.endswith(f"/{HELD}")
    id_, written_at = str(told["batch_id"]), datetime.fromisoformat(told["written_at"]).timestamp()
    reason = Reason(told["held"]) if aside else Reason.REBUILT
    why = hold(id_, reason, "it was held before the ledger was rebuilt" if aside else WRITTEN)
    return Batch(
        tenant=config.tenant.base_url,
        batch=id_,
        issue=1,
        state=State.HELD,
        name=str(told["batch_name"]),
        status=READY,
        updated=str(told["updated"]),
        report_id="" if told["report_id"] is None else str(told["report_id"]),
        listed_at=written_at,
        changed_at=now,
        reason=why.reason,
        message=why.message,
        next_step=why.next_step,
        source=str(told["source"]),
        place=place,
        file=str(told["file"]),
        set_aside=aside,
        published=not aside,
        reissue_of=told["reissue_of"],
        written_at=written_at,
    )
