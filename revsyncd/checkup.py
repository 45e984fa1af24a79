"""What `revsyncd check` looks at: whether an instance could run as configured, and what to mend.

Everything is looked at, whatever is wrong with the rest; nothing is changed.
"""

import os
import shlex
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from revsyncd.adapters.ledger import upkeep
from revsyncd.adapters.who import user_name
from revsyncd.config import Config, Folder, load_mapping, resolve
from revsyncd.core.errors import (
    ConfigError,
    Forbidden,
    RevsyncdError,
    TenantError,
    TenantUnusable,
)
from revsyncd.core.outbox_names import HELD
from revsyncd.core.places import FolderPlaces, Shelf
from revsyncd.core.template import Mapping
from revsyncd.ports import Journal, Tenant

_MOUNTS = Path("/proc/self/mountinfo")
_WRITABLE = os.R_OK | os.W_OK | os.X_OK


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `next_step` says how to mend it unless it is `ok`."""

    subject: str
    message: str
    next_step: str = ""
    ok: bool = True

    def to_json(self) -> dict[str, Any]:
        """One object of the list that `--json` prints."""
        return {**asdict(self), "next_step": self.next_step or None}


def _wrong(subject: str, message: str, next_step: str) -> Finding:
    return Finding(subject, message, next_step, ok=False)


def look(config: Config, mounts: Path = _MOUNTS) -> list[Finding]:
    """All that can be seen on this host. `mounts` is the kernel's list of mounts."""
    return [
        Finding(
            "config", f"{config.path} is understood; its folders: {', '.join(config.templates)}"
        ),
        *_user(config),
        *_directories(config),
        *_one_file_system(config, mounts),
        *_secrets(config),
        *_trust(config),
        *_ledger(config),
        *_mapping_files(config),
    ]


async def look_online(config: Config, tenant: Tenant, journal: Journal) -> list[Finding]:
    """Sign in, fetch the mapping of every folder that takes the tenant's, and list batches for `[gl]`."""
    findings: list[Finding] = []
    fetching = [folder for folder in config.folders if folder.mapping is None]
    try:
        if not fetching:
            await tenant.probe()
        for folder in fetching:
            findings += await _online(folder, tenant)
        if config.gl.enabled:
            findings.append(await _batches(journal))
    except TenantError as error:
        return [*findings, _wrong("tenant", error.message, error.hint)]
    return [Finding("tenant", f"signed in at {config.tenant.base_url}"), *findings]


async def _online(folder: Folder, tenant: Tenant) -> list[Finding]:
    """One folder's mapping; what is refused for its template says nothing about the others."""
    subject = f"templates.{folder.name}"
    try:
        mapping = await tenant.mapping(folder.template_name)
    except Forbidden as error:
        return [_wrong(subject, error.message, error.hint)]
    columns = f'"{folder.template_name}" has {len(mapping.columns)} columns'
    return [Finding(subject, columns), *_labels(folder, mapping)]


async def _batches(journal: Journal) -> Finding:
    """Whether the role may list batches; what is refused there says nothing about uploads."""
    try:
        rows = await journal.listed()
    except Forbidden as error:
        step = "Give the API user's role the Webservices Outbound privilege in the tenant."
        return _wrong("gl", f"batches can't be listed: {error.message}", step)
    except TenantUnusable as error:
        return _wrong("gl", f"batches can't be listed: {error.message}", error.hint)
    ready = sum(row.ready for row in rows)
    return Finding("gl", f"batches can be listed; ready to transfer: {ready}")


# -- the host ------------------------------------------------------------------------------------


def _user(config: Config) -> Iterator[Finding]:
    """Root may do everything, so its answers say nothing about the service's user."""
    me, owner = os.geteuid(), _owner(config.state_dir)
    if me == 0 and owner not in (None, 0):
        name = user_name(owner or 0)
        step = f"Repeat it as {name}: sudo -u {name} revsyncd check --config {config.path}"
        yield _wrong("user", f"this is root, but state_dir belongs to {name}", step)


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except OSError:
        return None


def _directories(config: Config) -> Iterator[Finding]:
    yield _directory("root", config.root)
    yield _directory("state_dir", config.state_dir)
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        subject = f"templates.{folder.name}"
        found = [_directory(subject, path) for path in (places.home, places.inbox)]
        # The daemon makes what is missing of these by itself.
        later = (places.work, *(places.shelf(shelf) for shelf in Shelf))
        found += [_directory(subject, path) for path in later if os.path.lexists(path)]
        wrong = [finding for finding in found if not finding.ok]
        yield from wrong or [Finding(subject, f"{places.home} can be worked in")]
    if config.gl.enabled and os.path.lexists(config.outbox):  # else the daemon makes it
        yield _directory("gl.outbox", config.outbox)


def _directory(subject: str, path: Path) -> Finding:
    if not path.is_dir():
        there = "is not a directory" if os.path.lexists(path) else "is not there"
        mode = _mode(subject, path)
        step = f"Make it, or mount its disk: install -d -o USER -g GROUP -m {mode} {shlex.quote(str(path))}"
        return _wrong(subject, f"{path} {there}", step)
    if not os.access(path, _WRITABLE):
        name = user_name(os.geteuid())
        step = f"Give {name} read, write and search permission on it, or run this as the service's user."
        return _wrong(subject, f"{name} may not read and write {path}", step)
    return Finding(subject, f"{path} can be read and written")


def _mode(subject: str, path: Path) -> str:
    """With which mode a directory is made: senders write to inboxes, nobody else meets the ledger."""
    if subject == "state_dir":
        return "0700"
    return "2770" if path.name == "inbox" else "2750"


def _one_file_system(config: Config, mounts: Path) -> Iterator[Finding]:
    """A rename between two mounts fails, even when both are of one disk."""
    step = "Have everything below root on one file system, with one ReadWritePaths= entry."
    device = _device(config.root)
    others = [path for path in _inside(config) if _device(path) not in (None, device)]
    others += [path for path in _mounted_below(config.root, mounts) if path not in others]
    for path in others:
        yield _wrong("root", f"{path} is another file system or mount than {config.root}", step)
    if not others and device is not None:
        yield Finding("root", "everything below it is one file system")


def _inside(config: Config) -> Iterator[Path]:
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        yield from (places.home, places.inbox, places.work)
        yield from (places.shelf(shelf) for shelf in Shelf)
    yield config.root / "reports"
    if config.gl.enabled:
        yield from (config.outbox, config.outbox / HELD)


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _mounted_below(root: Path, mounts: Path) -> list[Path]:
    """The mount points under `root`; the fifth field of proc_pid_mountinfo(5)."""
    try:
        lines = mounts.read_text(errors="surrogateescape").splitlines()
    except OSError:  # no /proc: the devices were compared
        return []
    points = [Path(_unescaped(line.split()[4])) for line in lines]
    real = Path(os.path.realpath(root))
    return [point for point in points if point != real and point.is_relative_to(real)]


def _unescaped(field: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(octal, character)
    return field


def _secrets(config: Config) -> Iterator[Finding]:
    named = {f"tenant.{key}": ref for key, ref in config.tenant.secrets().items()}
    named["http.token"] = config.http.token if config.http.enabled else None
    for subject, ref in named.items():
        if ref is None:
            continue
        try:
            resolve(ref)
        except ConfigError as error:
            step = "Mend what it names. A file: is read anew at each sign-in; env: and credential: need a restart."
            yield from (_wrong(subject, problem, step) for problem in error.problems)
        else:
            yield Finding(subject, f"{ref} can be read")


def _trust(config: Config) -> Iterator[Finding]:
    path = config.tenant.ca_file
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        step = "Name a readable PEM file with the certificate of your company's authority."
        yield _wrong("tenant.ca_file", f"{path} can't be used: {error}", step)
    else:
        yield Finding("tenant.ca_file", f"{path} holds certificates")


def _ledger(config: Config) -> Iterator[Finding]:
    try:
        yield Finding("ledger", upkeep.prove(config.root, config.state_dir))
    except RevsyncdError as error:
        yield _wrong("ledger", error.message, error.hint)
    except OSError as error:
        step = "Run this as the user that runs the daemon."
        yield _wrong("ledger", f"{error.filename}: {error.strerror}", step)


# -- the columns that the configuration names ----------------------------------------------------


def _mapping_files(config: Config) -> Iterator[Finding]:
    for folder in config.folders:
        if folder.mapping is not None:
            yield from _labels(folder, load_mapping(folder.mapping))


def _labels(folder: Folder, mapping: Mapping) -> Iterator[Finding]:
    """Columns that the folder's keys name and its template does not have."""
    known = {_plain(label): label for label in mapping.labels}
    for key, labels in _named_columns(folder):
        for label in labels:
            if label and _plain(label) not in known:
                near = get_close_matches(_plain(label), known, n=1)
                hint = f'; did you mean "{known[near[0]]}"?' if near else ""
                yield _wrong(
                    f"templates.{folder.name}.{key}",
                    f'"{folder.template_name}" has no column "{label}"{hint}',
                    "Correct the label, or take it out.",
                )


def _plain(label: str) -> str:
    """How the checks compare labels."""
    return label.strip().casefold()


def _named_columns(folder: Folder) -> Iterator[tuple[str, Iterable[str]]]:
    checks, keys = folder.checks, folder.keys
    yield "keep_together", folder.keep_together
    yield "keys.so_line_id", (keys.so_line_id,)
    yield "keys.inv_line_id", (keys.inv_line_id,)
    yield "checks.required", checks.required
    yield "checks.unique", checks.unique
    yield "checks.totals", checks.totals
    yield "checks.totals_by", checks.totals_by
    yield "checks.allowed", checks.allowed
