"""Looks for the configuration's secrets where none may be: reports, status files, ledger, logs, arguments."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from revsyncd.adapters import sightings
from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.evidence import texts
from revsyncd.adapters.ledger.identity import OURS, owner
from revsyncd.adapters.sightings import FolderSeen
from revsyncd.config import Config, resolve
from revsyncd.core.audit import Violation
from revsyncd.core.audit_secrets import SHORTEST, Needles, basic
from revsyncd.core.errors import ConfigError
from revsyncd.core.outbox_names import MANIFEST
from revsyncd.core.places import Sidecar, shown

_NAMES = ("username", "client_id")  # of whom, and no secret by itself
_STEP = (
    "Change that password in the tenant now, then remove it there, and report how it came to be there"
    " (never the secret itself)."
)
_REPORTS = "reports"


@dataclass(slots=True)
class Leaks:
    """What was found, and which secrets could not be looked for."""

    violations: list[Violation] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def leaks(
    config: Config, book: Book | None, tree: Sequence[FolderSeen], logs: Sequence[Path]
) -> Leaks:
    """Search everything of ours; what is found is named and never shown."""
    found = Leaks()
    needles = Needles(_secrets(config, found))
    for path in [*_files(config, tree), *logs]:
        kind = next(filter(None, map(needles.find, sightings.blocks(path))), "")
        if kind:
            found.violations.append(_leak(kind, shown(str(path))))
    if book is not None:
        found.violations += [
            _leak(kind, f"{book.path}, {at}") for at, kind in texts(book, needles.find)
        ]
    holder = owner(config.root)
    kind = needles.find(sightings.arguments_of(holder[0])) if holder else ""
    if kind:
        found.violations.append(_leak(kind, "the arguments of the daemon's process"))
    return found


def _leak(kind: str, where: str) -> Violation:
    return Violation("secret.found", f"{kind} can be read", where, _STEP)


def _secrets(config: Config, found: Leaks) -> list[tuple[str, str]]:
    known: dict[str, str] = {}
    for key, ref in config.tenant.secrets().items():
        if ref is None:
            continue
        try:
            known[key] = resolve(ref).reveal()
        except ConfigError:
            if key not in _NAMES:
                found.notes.append(f"tenant.{key} can't be read here, so it was not looked for")
    secrets = {key: value for key, value in known.items() if key not in _NAMES}
    for key, value in secrets.items():
        if len(value) < SHORTEST:
            found.notes.append(f"tenant.{key} is too short to be looked for")
    if len(known) == 2:  # noqa: PLR2004  (who, and the secret)
        secrets["sign-in"] = basic(*known.values())
    return [(f"tenant.{key}", value) for key, value in secrets.items()]


def _files(config: Config, tree: Sequence[FolderSeen]) -> Iterator[Path]:
    """Everything that we write for people and programs, but what they gave us."""
    root = config.root
    for folder in tree:
        yield root / folder.name / "status.txt"
        yield from (root / path for path in sorted(folder.files) if path.endswith(tuple(Sidecar)))
    for directory in (root / _REPORTS, root / OURS):
        yield from (directory / name for name in sightings.names_in(directory))
    if config.gl.enabled:
        names = sightings.names_in(config.outbox)
        yield from (config.outbox / name for name in names if name.endswith(MANIFEST))
