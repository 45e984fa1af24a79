"""What this host has to say: who asks, how much may be watched, what the configuration forgot."""

import os
from collections.abc import Iterator
from pathlib import Path

from revsyncd.adapters.clock import SystemClock
from revsyncd.adapters.inotify import Exhausted, limit, try_watching
from revsyncd.adapters.ledger import Ledger, upkeep
from revsyncd.adapters.who import user_name
from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service
from revsyncd.config import Config
from revsyncd.core.errors import RevsyncdError
from revsyncd.core.places import FolderPlaces, shown

_CODES = {Exhausted.INSTANCES: "inotify.instances", Exhausted.WATCHES: "inotify.watches"}
_AT_LEAST = {Exhausted.INSTANCES: 512, Exhausted.WATCHES: 65_536}


def user(config: Config, service: Service) -> Iterator[Finding]:
    """Root may do everything, so its answers say nothing about the service's user."""
    if os.geteuid() == 0 and service.uid != 0:
        told = f"this is root, but state_dir belongs to {service.user}"
        yield found("user.root", "user", told, user=service.user, config=config.path)


def watching(config: Config) -> Iterator[Finding]:
    """Whether one more watch on all inboxes fits below this user's limits."""
    inboxes = [FolderPlaces(config.root, folder.name).inbox for folder in config.folders]
    lacking = try_watching(inbox for inbox in inboxes if inbox.is_dir())
    if lacking is not None:
        now = limit(lacking)
        told = (
            f"fs.inotify.{lacking} is {now}, and all of it is in use by {user_name(os.geteuid())}"
        )
        wanted = max(2 * (now or 0), len(inboxes), _AT_LEAST[lacking])
        yield found(_CODES[lacking], "inotify", told, wanted=wanted)


def ledger(config: Config) -> Iterator[Finding]:
    """Whether a start would take the ledger."""
    try:
        yield Finding("ledger", upkeep.prove(config.root, config.state_dir))
    except RevsyncdError as error:
        yield found("ledger.refused", "ledger", error.message, hint=error.hint)
    except OSError as error:
        hint = "Run this as the user that runs the daemon."
        told = f"{error.filename}: {error.strerror}"
        yield found("ledger.refused", "ledger", told, hint=hint)


def left_behind(config: Config, service: Service) -> Iterator[Finding]:
    """Folders that the configuration no longer names, of which drops or waiting files are left."""
    counts = _unsettled(config)
    for name, count in counts.items():
        told = f"the configuration has no [templates.{shown(name)}] any more; open or held drops of it: {count}"
        yield found("folder.not_configured", f"templates.{name}", told, folder=name)
    for inbox in _other_inboxes(config):
        files = sum(1 for entry in os.scandir(inbox) if entry.is_file(follow_symlinks=False))
        name = inbox.parent.name
        if files and name not in counts:
            told = f"nobody looks at {inbox}; files in it: {files}"
            yield found(
                "folder.unwatched", f"templates.{name}", told, **service.facts(inbox, folder=name)
            )


def _unsettled(config: Config) -> dict[str, int]:
    """How many open and held drops each folder has that is not configured."""
    try:
        with Ledger.read(config.state_dir, SystemClock().now) as book:
            drops = {d.drop: d.folder for d in (*book.drops.open(), *book.drops.held())}
    except (RevsyncdError, OSError):
        return {}  # no ledger, or one that is told as refused
    gone = [folder for folder in drops.values() if folder not in config.templates]
    return {name: gone.count(name) for name in sorted(set(gone))}


def _other_inboxes(config: Config) -> list[Path]:
    try:
        inside = [path for path in config.root.iterdir() if path.name not in config.templates]
        found_there = [path / "inbox" for path in inside if (path / "inbox").is_dir()]
    except OSError:
        return []
    return sorted(path for path in found_there if os.access(path, os.R_OK | os.X_OK))
