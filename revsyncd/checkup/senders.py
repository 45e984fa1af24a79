"""Whether those who drop files can reach and write the inboxes, and we may take out what they wrote.

Who they are is read off the inbox: its owner where that is not the service's user, else its group, and
whom its access list names. What SFTP servers add (a chroot, a umask) is not to be seen here.
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from revsyncd.adapters.acl import AccessList, access_list
from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service, group_name
from revsyncd.config import Config
from revsyncd.core.places import FolderPlaces

_ENTER = stat.S_IWUSR | stat.S_IXUSR


@dataclass(frozen=True, slots=True)
class _Inbox:
    """What an inbox's owner, mode and access list say."""

    path: Path
    seen: os.stat_result
    access: AccessList

    @property
    def group_writes(self) -> bool:
        return self.access.group & 3 == 3  # noqa: PLR2004  (write and search)

    @property
    def named_write(self) -> bool:
        return any(entry.writes for entry in self.access.named)


def senders(config: Config, service: Service) -> Iterator[Finding]:
    """What is wrong with each inbox that is there."""
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        subject = f"templates.{folder.name}"
        try:
            inbox = _Inbox(places.inbox, places.inbox.stat(), access_list(places.inbox))
        except OSError:
            continue  # its directory is told as missing
        yield from _of_inbox(subject, inbox, service)
        if inbox.group_writes and not inbox.named_write and inbox.seen.st_uid == service.uid:
            yield from _above(subject, (config.root, places.home), inbox, service)


def _of_inbox(subject: str, inbox: _Inbox, service: Service) -> Iterator[Finding]:
    path, seen = inbox.path, inbox.seen
    facts = service.facts(path, group=group_name(seen.st_gid))
    theirs = seen.st_uid != service.uid
    if not (
        inbox.group_writes or inbox.named_write or (theirs and seen.st_mode & _ENTER == _ENTER)
    ):
        told = f"nobody but {service.user} can write {path}: its mode is {stat.S_IMODE(seen.st_mode):04o}"
        yield found("inbox.not_writable", subject, told, **facts)
        return
    if not theirs and not inbox.named_write and _alone(seen.st_gid, service):
        told = f"nobody but {service.user} can write {path}: the group {facts['group']} has no other member"
        yield found("inbox.no_sender", subject, told, **facts)
    if seen.st_mode & stat.S_ISVTX and seen.st_uid != service.uid:
        told = f"{path} has the sticky bit: {service.user} can't move what others drop"
        yield found("inbox.sticky", subject, told, **facts)
    if not seen.st_mode & stat.S_ISGID and not inbox.access.inherited:
        yield found("inbox.no_setgid", subject, f"{path} has no setgid bit", **facts)


def _alone(gid: int, service: Service) -> bool:
    """Whether the group has no member on this host but the service's user and root."""
    try:
        members = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        return False  # kept elsewhere: nobody here can say
    members |= {user.pw_name for user in pwd.getpwall() if user.pw_gid == gid}
    return not members - {service.user, "root"}


def _above(
    subject: str, paths: tuple[Path, ...], inbox: _Inbox, service: Service
) -> Iterator[Finding]:
    """The group that drops must get through every directory of ours above the inbox."""
    for path in paths:
        try:
            seen, access = path.stat(), access_list(path)
        except OSError:
            continue
        own_group = seen.st_gid == inbox.seen.st_gid and access.group & 1
        named = any(entry.searches for entry in access.named)
        if not (own_group or named or seen.st_mode & stat.S_IXOTH):
            group = group_name(inbox.seen.st_gid)
            told = f"the group {group}, which may write {inbox.path}, can't get through {path}"
            yield found("inbox.not_reached", subject, told, **service.facts(path, group=group))
