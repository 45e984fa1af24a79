"""Whether so many inboxes can be watched now: tried, since limits count what all programs of a user use.

Source: inotify(7).
"""

import ctypes
import errno
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

_LIMITS = Path("/proc/sys/fs/inotify")
_IN_CREATE = 0x100  # <sys/inotify.h>
_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK  # IN_CLOEXEC and IN_NONBLOCK are the same numbers


class Exhausted(StrEnum):
    """What there is no more of; the value is the limit's name below fs.inotify."""

    INSTANCES = "max_user_instances"
    WATCHES = "max_user_watches"


def try_watching(inboxes: Iterable[Path]) -> Exhausted | None:
    """Watch these directories for a moment; what the kernel refuses for want of, None if nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(_FLAGS)
    if handle < 0:
        return Exhausted.INSTANCES if ctypes.get_errno() == errno.EMFILE else None
    try:
        for inbox in inboxes:
            refused = libc.inotify_add_watch(handle, os.fsencode(inbox), _IN_CREATE) < 0
            if refused and ctypes.get_errno() == errno.ENOSPC:
                return Exhausted.WATCHES
    finally:
        os.close(handle)
    return None


def limit(which: Exhausted) -> int | None:
    """What the limit stands at; None where the kernel does not say."""
    try:
        return int((_LIMITS / which).read_text())
    except (OSError, ValueError):
        return None
