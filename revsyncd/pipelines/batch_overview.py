"""What `revsyncd status` and `revsyncd gl list` say of batches, as plain data from the ledger.

Everything is JSON as it stands; the fields are fixed, see docs/gl.md.
"""

from typing import Any

from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Config
from revsyncd.core.batch import FETCHABLE, Batch, State, by_id, delivered, is_late
from revsyncd.core.batch_words import in_words
from revsyncd.core.places import shown
from revsyncd.core.report import utc


def batches(config: Config, ledger: Ledger, now: float) -> dict[str, Any]:
    """Every open batch, the last ones that are not, and how old the oldest undelivered one is."""
    gl, tenant = config.gl, config.tenant.base_url
    found = sorted(ledger.batches.open(tenant), key=by_id)
    ages = [now - b.since for b in found if not delivered(b, gl.confirm)]
    return {
        "confirm": gl.confirm,
        "outbox": shown(str(config.outbox)),
        "oldest_undelivered_seconds": round(max(ages), 3) if ages else None,
        "batches": [_batch(config, batch, now) for batch in found],
        "last": [_batch(config, batch, now) for batch in ledger.batches.last(tenant)],
    }


def needs_a_person(data: dict[str, Any]) -> list[str]:
    """The ids of batches that are held, late, or withdrawn before they were delivered."""
    return [
        batch["batch"]
        for batch in data["batches"]
        if batch["state"] == State.HELD
        or batch["late"]
        or (batch["state"] == State.WITHDRAWN and not batch["published"])
    ]


def _batch(config: Config, batch: Batch, now: float) -> dict[str, Any]:
    gl, confirmed = config.gl, batch.state is State.CONFIRMED  # on a person's word, perhaps
    return {
        "batch": shown(batch.batch),
        "name": shown(batch.name),
        "issue": batch.issue,
        "state": str(batch.state),
        "in_words": in_words(batch),
        "reason": str(batch.reason) if batch.reason and not confirmed else None,
        "message": "" if confirmed else batch.message,
        "next_step": None if confirmed else batch.next_step or None,
        "since": utc(batch.changed_at),
        "listed_at": utc(batch.listed_at),
        "fetch_before": utc(batch.since + FETCHABLE),
        "late": is_late(batch, now, gl.alert_after, gl.confirm),
        "published": batch.published,
        "acknowledged": batch.acknowledged.kind if batch.acknowledged else None,
        "source": batch.source or None,
        "place": batch.place or None,
        "file": batch.file or None,
        "reissue_of": batch.reissue_of,
        "records": batch.manifest.get("records"),
        "sha256": batch.manifest.get("sha256"),
        "totals": batch.manifest.get("totals"),
        "written_at": utc(batch.written_at),
        "confirmed_at": utc(batch.confirmed_at),
    }
