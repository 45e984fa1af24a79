"""Whether the directories are there, can be worked in, and let files be renamed from one to the next."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from revsyncd.adapters.mounts import Mount, mount_of, mounted_below, mounts
from revsyncd.adapters.who import user_name
from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service
from revsyncd.config import Config
from revsyncd.core.outbox_names import HELD
from revsyncd.core.places import FolderPlaces, Shelf

_WRITABLE = os.R_OK | os.W_OK | os.X_OK
_LITTLE, _FEW = 1_000_000_000, 10_000  # bytes, inodes
_DENIED = (errno.EACCES, errno.EPERM)


def directories(config: Config, service: Service) -> Iterator[Finding]:
    """Every directory that has to be there, and those that the daemon made; each folder in one word."""
    yield from _told("root", config.root, service)
    yield from _told("state_dir", config.state_dir, service)
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        subject = f"templates.{folder.name}"
        # The daemon makes what is missing of these by itself.
        later = [path for path in _made_by_us(places) if os.path.lexists(path)]
        wrong = [
            finding
            for path in (places.home, places.inbox, *later)
            for finding in _wrong_with(subject, path, service)
        ]
        yield from wrong or [Finding(subject, f"{places.home} can be worked in")]
    if config.gl.enabled and os.path.lexists(config.outbox):  # else the daemon makes it
        yield from _told("gl.outbox", config.outbox, service)


def renames(config: Config, service: Service, seen: list[Mount]) -> Iterator[Finding]:
    """A rename between two mounts fails, even when both are of one disk: tried, and looked up besides."""
    separate = dict.fromkeys([*_other_devices(config), *mounted_below(config.root, seen)])
    for path in separate:
        yield _separate(config.root, path, service)
    tried = [] if separate else [each for line in _lines(config) for each in _tried(line, service)]
    yield from tried
    if not separate and not tried and config.root.is_dir():
        yield Finding("root", "everything below it is one file system, and renames go through it")


def file_systems(config: Config, service: Service, seen: list[Mount]) -> Iterator[Finding]:
    """Where a network or the memory holds what a local disk should hold."""
    state, root = mount_of(config.state_dir, seen), mount_of(config.root, seen)
    if state is not None and state.over_network:
        told = f"{config.state_dir} is on {state.kind}, mounted at {state.point}"
        yield found("network.state", "state_dir", told, **service.facts(config.state_dir))
    if state is not None and state.in_memory:
        told = f"{config.state_dir} is on {state.kind}: the ledger is gone after a reboot"
        yield found("state.volatile", "state_dir", told, **service.facts(config.state_dir))
    if root is not None and root.over_network:
        told = f"{config.root} is on {root.kind}: its inboxes are looked at every 5 seconds, by polling"
        yield found("network.root", "root", told, **service.facts(config.root))
    for subject, path in (("state_dir", config.state_dir), ("root", config.root)):
        yield from _space(subject, path, service)


def _space(subject: str, path: Path, service: Service) -> Iterator[Finding]:
    """What is free for those who are not root; a file system without inodes counts none."""
    try:
        seen = os.statvfs(path)
    except OSError:
        return  # told as missing
    free = seen.f_bavail * seen.f_frsize
    if free < _LITTLE or (seen.f_files and seen.f_favail < _FEW):
        told = f"{free // 1_000_000} MB and {seen.f_favail} inodes are free on {path}"
        yield found("space.low", subject, told, **service.facts(path))


# -- one directory -------------------------------------------------------------------------------


def _made_by_us(places: FolderPlaces) -> Iterator[Path]:
    yield places.work
    yield from (places.shelf(shelf) for shelf in Shelf)


def _told(subject: str, path: Path, service: Service) -> list[Finding]:
    """What is wrong with a directory, or that it is right; a note takes nothing from that."""
    findings = list(_wrong_with(subject, path, service))
    if all(finding.ok for finding in findings):
        return [Finding(subject, f"{path} can be read and written"), *findings]
    return findings


def _wrong_with(subject: str, path: Path, service: Service) -> Iterator[Finding]:
    facts = service.facts(path, mode=_mode(subject, path))
    if not path.is_dir():
        there = os.path.lexists(path)
        told = f"{path} is not a directory" if there else f"{path} is not there"
        yield found(
            "directory.no_directory" if there else "directory.missing", subject, told, **facts
        )
        return
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        mount = mount_of(path, mounts())
        point = mount.point if mount else path
        yield found("directory.read_only", subject, f"{path} is read-only", **facts, mount=point)
        return
    if not os.access(path, _WRITABLE):
        told = f"{user_name(os.geteuid())} may not read and write {path}"
        yield found("directory.denied", subject, told, **facts)
        return
    yield from _owner_and_mode(subject, path, facts)


def _owner_and_mode(subject: str, path: Path, facts: dict[str, object]) -> Iterator[Finding]:
    seen = path.stat()
    shared = path.name == "inbox" or subject == "gl.outbox"  # may be the sender's, or the ERP's
    others = {seen.st_uid} - {os.geteuid(), 0}
    if others and not shared and os.geteuid() != 0:
        told = f"{path} belongs to {user_name(seen.st_uid)}"
        yield found("directory.owner", subject, told, **facts)
    if seen.st_mode & stat.S_IWOTH:
        yield found("directory.open", subject, f"everybody may write into {path}", **facts)
    if subject == "state_dir" and seen.st_mode & (stat.S_IRWXG | stat.S_IROTH | stat.S_IXOTH):
        told = f"{path} has mode {stat.S_IMODE(seen.st_mode):04o}"
        yield found("state.open", subject, told, **facts)
    read_by_group = seen.st_mode & stat.S_IRGRP and path.name in set(Shelf)
    if read_by_group and seen.st_gid != os.getegid() and not seen.st_mode & stat.S_ISGID:
        told = f"{path} does not hand its group down"
        yield found("directory.group", subject, told, **facts)


def _mode(subject: str, path: Path) -> str:
    """With which mode a directory is made: senders write to inboxes, nobody else meets the ledger."""
    if subject == "state_dir" or path.name == ".work":
        return "0700"
    return "2770" if path.name == "inbox" or subject == "gl.outbox" else "2750"


# -- from one to the next ------------------------------------------------------------------------


def _other_devices(config: Config) -> Iterator[Path]:
    device = _device(config.root)
    for line in _lines(config):
        yield from (path for path in line if _device(path) not in (None, device))


def _lines(config: Config) -> Iterator[list[Path]]:
    """Directories between which files are renamed, in the order in which they are."""
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        line = [places.inbox, places.work, *(places.shelf(shelf) for shelf in Shelf), places.home]
        yield [path for path in line if path.is_dir()]
    if config.gl.enabled:
        yield [path for path in (config.outbox, config.outbox / HELD) if path.is_dir()]


def _device(path: Path) -> int | None:
    try:
        return path.stat().st_dev
    except OSError:
        return None


def _tried(line: list[Path], service: Service) -> Iterator[Finding]:
    """A directory of our own goes down the line: no file, which a daemon might take for a drop."""
    if len(line) < 2 or not all(os.access(path, _WRITABLE) for path in line):  # noqa: PLR2004  (from, to)
        return
    name = f".revsyncd-check-{secrets.token_hex(6)}"
    here = line[0] / name
    try:
        here.mkdir(0o700)
    except OSError as error:
        yield _failed(line[0], line[0], error, service)
        return
    try:
        for _, path in pairwise(line):
            try:
                here = here.rename(path / name)
            except OSError as error:
                yield _failed(here.parent, path, error, service)
    finally:
        here.rmdir()


def _failed(source: Path, path: Path, error: OSError, service: Service) -> Finding:
    match error.errno:
        case errno.EXDEV:
            return _separate(source, path, service)
        case number if number in _DENIED:
            facts = service.facts(path, mode=_mode("", path))
            told = f"renaming from {source} to {path} is refused: {error.strerror}"
            return found("directory.denied", "root", told, **facts)
    told = f"renaming from {source} to {path} fails: {error.strerror}"
    return found("directory.unusable", "root", told, **service.facts(path))


def _separate(source: Path, path: Path, service: Service) -> Finding:
    told = f"{path} is another file system or mount than {source}"
    return found("mount.separate", "root", told, **service.facts(path))
