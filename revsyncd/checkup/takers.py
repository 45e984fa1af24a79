"""Whether the ERP can take batches out of the outbox, and acknowledge them.

Who it is is read off the outbox: its owner where that is not the service's user, else its group, and
whom its access list names.
"""

import pwd
from collections.abc import Iterator

from revsyncd.checkup.findings import Finding, found
from revsyncd.checkup.service import Service
from revsyncd.checkup.shared import Shared
from revsyncd.config import Config

_SUBJECT = "gl.outbox"


def takers(config: Config, service: Service) -> Iterator[Finding]:
    """What is wrong with the outbox, where batches are fetched and it is there."""
    if not config.gl.enabled:
        return
    try:
        outbox = Shared.at(config.outbox)
    except OSError:
        return  # the daemon makes it
    yield from _of_outbox(outbox, service, acknowledged=config.gl.confirm == "acknowledged")
    if not outbox.named_write and not outbox.of_another(service):
        steps = config.outbox.relative_to(config.root).parts
        above = (config.root.joinpath(*steps[:length]) for length in range(len(steps)))
        for path in outbox.shut_above(above):
            told = f"the group {outbox.group}, whose outbox it is, can't get through {path}"
            facts = service.facts(path, group=outbox.group)
            yield found("outbox.not_reached", _SUBJECT, told, **facts)


def _of_outbox(outbox: Shared, service: Service, *, acknowledged: bool) -> Iterator[Finding]:
    path, facts = outbox.path, service.facts(outbox.path, group=outbox.group)
    if acknowledged and not outbox.others_write(service):
        told = f"nobody but {service.user} can write {path}: its mode is {outbox.mode}"
        yield found("outbox.not_writable", _SUBJECT, told, **facts)
    if outbox.sticky and not outbox.of_another(service):
        told = f"{path} has the sticky bit: the ERP can't take away what {service.user} writes"
        yield found("outbox.sticky", _SUBJECT, told, **facts)
    if not outbox.hands_down and outbox.seen.st_gid != _own_group(service):
        told = f"{path} does not hand its group {outbox.group} down"
        yield found("outbox.no_setgid", _SUBJECT, told, **facts)


def _own_group(service: Service) -> int | None:
    """The group of what the service's user makes where none is handed down."""
    try:
        return pwd.getpwuid(service.uid).pw_gid
    except KeyError:
        return None  # kept elsewhere
