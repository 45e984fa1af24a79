"""Whether those who drop files can reach and write the inboxes, and we may take out what they wrote.

Who they are is read off the inbox: its owner where that is not the service's user, else its group, and
whom its access list names. What SFTP servers add (a chroot, a umask) is not to be seen here.
"""

import grp
import pwd
from collections.abc import Iterator
from pathlib import Path

from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service
from revsyncd.checkup.shared import Shared
from revsyncd.config import Config
from revsyncd.core.places import FolderPlaces


def senders(config: Config, service: Service) -> Iterator[Finding]:
    """What is wrong with each inbox that is there."""
    for folder in config.folders:
        places = FolderPlaces(config.root, folder.name)
        subject = f"templates.{folder.name}"
        try:
            inbox = Shared.at(places.inbox)
        except OSError:
            continue  # its directory is told as missing
        yield from _of_inbox(subject, inbox, service)
        if inbox.group_writes and not inbox.named_write and not inbox.of_another(service):
            yield from _above(subject, (config.root, places.home), inbox, service)


def _of_inbox(subject: str, inbox: Shared, service: Service) -> Iterator[Finding]:
    path, theirs = inbox.path, inbox.of_another(service)
    facts = service.facts(path, group=inbox.group)
    if not inbox.others_write(service):
        told = f"nobody but {service.user} can write {path}: its mode is {inbox.mode}"
        yield found("inbox.not_writable", subject, told, **facts)
        return
    if not theirs and not inbox.named_write and _alone(inbox.seen.st_gid, service):
        told = f"nobody but {service.user} can write {path}: the group {inbox.group} has no other member"
        yield found("inbox.no_sender", subject, told, **facts)
    if inbox.sticky and theirs:
        told = f"{path} has the sticky bit: {service.user} can't move what others drop"
        yield found("inbox.sticky", subject, told, **facts)
    if not inbox.hands_down:
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
    subject: str, paths: tuple[Path, ...], inbox: Shared, service: Service
) -> Iterator[Finding]:
    """The group that drops must get through every directory of ours above the inbox."""
    for path in inbox.shut_above(paths):
        told = f"the group {inbox.group}, which may write {inbox.path}, can't get through {path}"
        yield found("inbox.not_reached", subject, told, **service.facts(path, group=inbox.group))
