"""Named points at which a process can be made to die: every transition and every side effect.

They are put around the product from outside, by `launcher`, in a process of a test that asks for it;
the product has no trace of them. A point is met twice, before and after what it names.
"""

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any

from revsyncd.adapters import disk, inbox, outbox, shelves
from revsyncd.adapters.ledger.batches import Batches
from revsyncd.adapters.ledger.book import Book
from revsyncd.adapters.ledger.drops import Drops
from revsyncd.adapters.ledger.identity import Head
from revsyncd.adapters.ledger.registers import Conditions, Mappings, Requests
from revsyncd.adapters.partial import Partial
from revsyncd.pipelines import files
from revsyncd.tenant_link import TenantLink

POINTS: dict[str, tuple[Any, str]] = {
    # Transitions: each is one transaction of the ledger.
    "ledger.claimed": (Drops, "add"),
    "ledger.moved": (Drops, "move"),
    "ledger.noted": (Drops, "note"),
    "ledger.problems": (Drops, "found"),
    "ledger.planned": (Drops, "plan"),
    "ledger.released": (Drops, "release"),
    "ledger.part_settled": (Drops, "settle_part"),
    "ledger.batch_listed": (Batches, "add"),
    "ledger.batch_moved": (Batches, "move"),
    "ledger.batch_noted": (Batches, "note"),
    "ledger.mapping": (Mappings, "put"),
    "ledger.condition": (Conditions, "begin"),
    "ledger.request_answered": (Requests, "answer"),
    "ledger.opened": (Book, "open"),
    "head.written": (Head, "write"),
    # Side effects on folders.
    "inbox.claimed": (inbox, "claim"),
    "inbox.given_back": (inbox, "give_back"),
    "disk.renamed": (disk, "rename_without_overwriting"),
    "disk.file_synced": (disk, "sync_file"),
    "disk.directory_synced": (disk, "sync_directory"),
    "disk.directory_made": (disk, "make_directory"),
    "shelf.reserved": (shelves, "reserve"),
    "shelf.sidecar_written": (shelves, "publish"),
    "shelf.filed": (shelves, "shelve"),
    "shelf.work_removed": (shelves, "remove_work"),
    "shelf.swept": (shelves, "sweep_folder"),
    "work.emptied": (files, "_fresh"),
    "outbox.appended": (Partial, "_write"),
    "outbox.prepared": (outbox, "prepare"),
    "outbox.published": (outbox, "publish"),
    "outbox.discarded": (outbox, "discard"),
    # Side effects at the tenant.
    "tenant.mapping": (TenantLink, "mapping"),
    "tenant.upload": (TenantLink, "upload"),
    "tenant.status": (TenantLink, "status"),
    "tenant.gl_listed": (TenantLink, "listed"),
    "tenant.gl_downloaded": (TenantLink, "download"),
    "tenant.gl_confirmed": (TenantLink, "confirm"),
}


UNMET: dict[str, str] = {}  # steps that no scene meets, and why


def arm(name: str, nth: int, *, count: str = "") -> None:
    """Die at the n-th meeting of a point, counted from 1; odd ones are before it, even ones after.

    With `count`, the path of a file, nobody dies: each meeting is written there as a line, and `name`
    may be empty for all points.
    """
    meet = _counting(count) if count else _dying(nth)
    for each in [name] if name else POINTS:
        _wrap(*POINTS[each], partial_meet(meet, each))


def partial_meet(meet: Callable[[str], None], name: str) -> Callable[[], None]:
    """A meeting with one point."""
    return lambda: meet(name)


def _counting(path: str) -> Callable[[str], None]:
    out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return lambda name: void(os.write(out, f"{name}\n".encode()))


def void(_: object) -> None:
    """Nothing."""


def _dying(nth: int) -> Callable[[str], None]:
    left = iter(range(nth - 1, -1, -1))

    def meet(_: str) -> None:
        if next(left, -1) == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return meet


def _wrap(owner: Any, attribute: str, meet: Callable[[], None]) -> None:
    plain = owner.__dict__[attribute]
    inner = plain.__func__ if isinstance(plain, classmethod) else plain
    wrapped: Any = _around(inner, meet)
    setattr(owner, attribute, classmethod(wrapped) if isinstance(plain, classmethod) else wrapped)
    for module in [m for name, m in sys.modules.items() if name.startswith("revsyncd.")]:
        for other in [key for key, value in vars(module).items() if value is plain]:
            setattr(module, other, wrapped)


def _around(step: Callable[..., Any], meet: Callable[[], None]) -> Callable[..., Any]:
    if iscoroutinefunction(step):

        @wraps(step)
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            meet()
            result = await step(*args, **kwargs)
            meet()
            return result

        return awaited

    @wraps(step)
    def called(*args: Any, **kwargs: Any) -> Any:
        meet()
        result = step(*args, **kwargs)
        meet()
        return result

    return called
