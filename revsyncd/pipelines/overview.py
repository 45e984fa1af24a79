"""What `revsyncd status` and `revsyncd show` say, as plain data from the ledger and the configuration.

Everything is JSON as it stands: times are RFC 3339 in UTC, names are shown as in the reports. The
fields of `overview` are fixed: docs name them, programs read them. Nothing here waits or prints, so
it serves a command beside the daemon as well as the daemon itself (in a thread).
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from revsyncd import __version__
from revsyncd.adapters.ledger import Condition, KnownStageError, Ledger
from revsyncd.config import Config
from revsyncd.core.drop import Drop, State
from revsyncd.core.part import Part, PartState
from revsyncd.core.places import shown
from revsyncd.core.report import Kinship, ReportedStageError, build, utc
from revsyncd.pipelines.batch_overview import batches, needs_a_person
from revsyncd.pipelines.conditions import (
    CHECKS_FAILED,
    DISK,
    EVERYWHERE,
    FOLDER_MISSING,
    FOLDER_PAUSED,
    GL_OUTBOX,
    GL_REFUSED,
    PAUSED,
    SERVICE_FAILED,
    STOPPED,
    TENANT_PAUSED,
    UNREACHABLE,
)

LAST_SETTLED = 50
OPEN = "open"  # the state of a folder or tenant in whose way nothing stands

# What a folder is called while a condition holds; the first that holds names it.
FOLDER_STATES = (
    (FOLDER_MISSING, "missing"),
    (DISK, "disk_trouble"),
    (FOLDER_PAUSED, "refused"),
    (CHECKS_FAILED, "checks_failed"),
    (STOPPED, "stopped"),
    (PAUSED, "paused"),
)
TENANT_STATES = ((TENANT_PAUSED, "paused"), (UNREACHABLE, "unreachable"))


def overview(
    config: Config,
    ledger: Ledger,
    *,
    running: bool,
    now: float,
    conditions: list[Condition] | None = None,
) -> dict[str, Any]:
    """The whole state of an instance; `now` in seconds since the epoch.

    `running` is whether a daemon runs: without one, conditions are as the last one left them. A
    daemon gives its own `conditions`: with a full disk the ledger does not have the last of them.
    """
    conditions = ledger.conditions.all() if conditions is None else conditions
    drops = list({d.drop: d for d in (*ledger.drops.open(), *ledger.drops.held())}.values())
    tenant = _tenant(config, conditions)
    folders = _folders(config, conditions, drops)
    ways = {folder["folder"]: folder for folder in folders}
    open_ids = {drop.drop for drop in drops}
    settled = [d for d in ledger.drops.settled(LAST_SETTLED) if d.drop not in open_ids]
    gl = batches(config, ledger, now) if config.gl.enabled else None
    persons = [*_needs_a_person(drops, folders, conditions), *(needs_a_person(gl) if gl else [])]
    return {
        "revsyncd": __version__,
        "at": utc(now),
        "running": running,
        "tenant": tenant,
        "token": _token(ledger.book.meta("token_expires"), now, running=running),
        "folders": folders,
        "drops": [_drop(ledger, drop, ways[drop.folder], tenant) for drop in drops],
        "settled": [_settled(drop) for drop in settled],
        "needs_a_person": persons,
        "conditions": [_condition(condition) for condition in conditions],
        "gl": gl,
    }


def history(ledger: Ledger, drop: Drop) -> dict[str, Any]:
    """One drop's report as it would be now, where its file is, and every recorded step."""
    errors = tuple(_reported(error) for error in ledger.stage_errors.of_drop(drop.drop))
    looked = ledger.book.meta(f"stage_errors {drop.kind}") if errors else None
    corrections = tuple(ledger.drops.corrections(drop.drop))
    kinship = Kinship(corrections, errors, float(looked) if looked else None)
    report = build(drop, ledger.drops.parts(drop.drop), kinship, __version__)
    steps = [
        {"at": utc(row.at), "part": row.part, "event": row.event, "facts": row.facts}
        for row in ledger.drops.history(drop.drop)
    ]
    placed = {"state": str(drop.state), "place": shown(f"{drop.place}/{drop.name}")}
    return {**report, **placed, "history": steps}


def in_words(drop: Drop, parts: list[Part]) -> str:
    """Where a drop stands, in the words of the people who dropped it."""
    match drop.state:
        case State.CLAIMED:
            return "taken; to be checked"
        case State.CHECKED:
            return "checked; to be sent"
        case State.SENDING:
            return f"being sent{_progress(parts)}"
        case State.ACCEPTED:
            return f"received by the tenant, which stages it{_progress(parts)}"
        case State.STAGED:
            return "staged; being moved to done/"
        case State.FAILED if not drop.filed:
            return "failed; being moved to failed/"
        case _:
            return f"{drop.state} as {drop.reason}" if drop.reason else str(drop.state)


def _progress(parts: list[Part]) -> str:
    """How far a drop of several parts is."""
    if len(parts) < 2:  # noqa: PLR2004  (one part is the whole drop)
        return ""
    there = sum(part.state in (PartState.ACCEPTED, PartState.STAGED) for part in parts)
    staged = sum(part.state is PartState.STAGED for part in parts)
    return f" ({there} of {len(parts)} parts received, {staged} staged)"


# -- the tenant and the folders ------------------------------------------------------------------


def _tenant(config: Config, conditions: list[Condition]) -> dict[str, Any]:
    found = _first(conditions, TENANT_STATES, (EVERYWHERE,))
    return {"base_url": config.tenant.base_url, "auth": config.tenant.auth, **found}


def _token(expires: str | None, now: float, *, running: bool) -> dict[str, Any]:
    """A token lives in the daemon's memory only: without one there is none."""
    at = float(expires) if expires else None
    return {"expires_at": utc(at), "valid": running and at is not None and at > now}


def _folders(
    config: Config, conditions: list[Condition], drops: list[Drop]
) -> list[dict[str, Any]]:
    """The configured ones, then those of which only drops are left."""
    names = dict.fromkeys((*config.templates, *(drop.folder for drop in drops)))
    return [_folder(config, name, conditions, drops) for name in names]


def _folder(
    config: Config, name: str, conditions: list[Condition], drops: list[Drop]
) -> dict[str, Any]:
    folder, mine = config.templates.get(name), [d for d in drops if d.folder == name]
    held = sum(drop.state is State.HELD for drop in mine)
    facts = _first(conditions, FOLDER_STATES, (name, EVERYWHERE)) if folder else _unknown(name)
    return {
        "folder": name,
        "template_name": folder.template_name if folder else None,
        "kind": str(folder.kind) if folder else None,
        **facts,
        "open": len(mine) - held,
        "held": held,
    }


def _first(
    conditions: list[Condition], states: Iterable[tuple[str, str]], scopes: tuple[str, ...]
) -> dict[str, Any]:
    """The state that the first condition of these kinds gives, with its reason and next step."""
    for kind, state in states:
        for condition in conditions:
            if condition.kind == kind and condition.scope in scopes:
                return {
                    "state": state,
                    "since": utc(condition.since),
                    "message": condition.message,
                    "next_step": condition.hint or None,
                }
    return {"state": OPEN, "since": None, "message": "", "next_step": None}


def _unknown(name: str) -> dict[str, Any]:
    return {
        "state": "not_configured",
        "since": None,
        "message": "the configuration has no such folder any more, but drops of it are left",
        "next_step": f"Put the section [templates.{name}] back until they are settled.",
    }


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "kind": condition.kind,
        "scope": condition.scope,
        "since": utc(condition.since),
        "message": condition.message,
        "next_step": condition.hint or None,
    }


def _needs_a_person(
    drops: list[Drop], folders: list[dict[str, Any]], conditions: list[Condition]
) -> Iterable[str]:
    """Ids of held drops and names of folders; then what concerns everything.

    A tenant that is merely out of reach comes back by itself.
    """
    yield from (drop.drop for drop in drops if drop.state is State.HELD)
    yield from (folder["folder"] for folder in folders if folder["state"] != OPEN)
    for condition in conditions:
        if condition.kind == TENANT_PAUSED:
            yield "tenant"
        elif condition.kind in (GL_REFUSED, GL_OUTBOX):
            yield "gl"
        elif condition.kind == SERVICE_FAILED:
            yield f"service {condition.scope}"


# -- drops ---------------------------------------------------------------------------------------


def _drop(
    ledger: Ledger, drop: Drop, folder: dict[str, Any], tenant: dict[str, Any]
) -> dict[str, Any]:
    parts = ledger.drops.parts(drop.drop)
    states = Counter(str(part.state) for part in parts)
    blocked = _blocked(drop, folder, tenant)
    return {
        **_named(drop),
        "message": drop.ending.message if drop.ending else blocked.get("message", ""),
        "next_step": drop.next_step or blocked.get("next_step"),
        "since": utc(_since(ledger, drop)),
        "received_at": utc(drop.received_at),
        "in_words": in_words(drop, parts),
        "records": drop.checked.records if drop.checked else None,
        "parts": dict(states),
        "place": shown(f"{drop.place}/{drop.name}"),
    }


def _blocked(drop: Drop, folder: dict[str, Any], tenant: dict[str, Any]) -> dict[str, Any]:
    """What stands in the way of an open drop: its folder's condition, else the tenant's."""
    if drop.state in (State.HELD, State.FAILED, State.STAGED):
        return {}
    return next((way for way in (folder, tenant) if way["state"] != OPEN), {})


def _since(ledger: Ledger, drop: Drop) -> float:
    """When it came into the state in which it is."""
    if drop.settled_at is not None:
        return drop.settled_at
    moves = (row for row in reversed(ledger.drops.history(drop.drop)) if row.part is None)
    return next((row.at for row in moves if "to" in row.facts), drop.received_at)


def _settled(drop: Drop) -> dict[str, Any]:
    return {
        **_named(drop),
        "message": drop.ending.message if drop.ending else "",
        "next_step": drop.next_step or None,
        "settled_at": utc(drop.settled_at),
        "received_at": utc(drop.received_at),
        "records": drop.checked.records if drop.checked else None,
        "place": shown(f"{drop.place}/{drop.name}"),
    }


def _named(drop: Drop) -> dict[str, Any]:
    return {
        "drop": drop.drop,
        "folder": drop.folder,
        "file": shown(drop.file),
        "state": str(drop.state),
        "reason": str(drop.reason) if drop.reason else None,
    }


def _reported(error: KnownStageError) -> ReportedStageError:
    names = ("record", "line", "so_line_id", "inv_line_id", "message", "code", "column", "value")
    facts = {name: error.data.get(name, "") for name in names}
    return ReportedStageError(id=error.id, state=error.state, **facts)
