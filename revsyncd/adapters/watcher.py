"""Nudges: somebody may have changed an inbox, look again. The only importer of watchfiles.

Events never carry facts here, since any of them may be missing: watchfiles tells of no overflow, and
a file that was there before the watch began is never reported. So every inbox is nudged when a watch
begins, and folders are looked at on a timer as well.

watchfiles' own thread is asked through its documented back end instead of `awatch`, whose waiting
thread holds up a cancellation until its time-out, and which does not tell when the watch stands.
"""

import os
import stat
import threading
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from anyio import CapacityLimiter, to_thread
from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError

from revsyncd.core.errors import RevsyncdError

# The back end polls a flag: a nudge comes one to two steps after its event, and every step costs a
# wake-up. Measured on one core of a virtual machine: 10 ms 0.8 %, 20 ms 0.4 %, 50 ms 0.17 %.
STEP = 10  # milliseconds
DEBOUNCE = 50  # milliseconds: at most so long are events gathered while more come
RECHECK = 5000  # milliseconds: how often inboxes are looked for that were missing or replaced
MANY = 1000  # changes in one step: the kernel's queue may have overflowed, so everybody is nudged

Nudge = Callable[[Path], None]


class WatcherBroken(RevsyncdError):
    """The watch ended. Nothing is lost by it but time: start it again, after a pause."""


async def watch(inboxes: Sequence[Path], nudge: Nudge) -> None:
    """Call `nudge(inbox)` from the event loop after every change in an inbox; runs until cancelled.

    All are nudged when the watch begins, and again when it is set up anew because an inbox appeared
    or was replaced. Directories below an inbox are not watched. Raises `WatcherBroken`.
    """
    stop = threading.Event()
    try:
        while True:
            await _watch_once(inboxes, nudge, stop)
    finally:
        stop.set()  # the thread that waits ends within a step


async def _watch_once(inboxes: Sequence[Path], nudge: Nudge, stop: threading.Event) -> None:
    """Watch the inboxes that are there, until another set of them is."""
    present = _present(inboxes)
    try:
        backend = _begin(present)
    except WatcherBroken:
        if _present(inboxes) != present:
            return  # one went away in between
        raise
    limiter = CapacityLimiter(1)  # of its own: waiting must not take a thread from those who work
    wait = partial(_wait, backend, present, stop)
    changed = frozenset(inboxes)
    while True:
        for inbox in inboxes:
            if inbox in changed:
                nudge(inbox)
        paths = await to_thread.run_sync(wait, abandon_on_cancel=True, limiter=limiter)
        if paths is None or _present(inboxes) != present:
            return
        touched = frozenset(Path(path).parent for path in paths)
        changed = frozenset(inboxes) if len(paths) >= MANY else touched


def _present(inboxes: Sequence[Path]) -> dict[Path, tuple[int, int]]:
    """The inboxes that can be watched now, with device and inode to tell one from its successor."""
    found = {}
    for inbox in inboxes:
        with suppress(OSError):
            seen = inbox.stat()
            if stat.S_ISDIR(seen.st_mode) and os.access(inbox, os.R_OK):
                found[inbox] = (seen.st_dev, seen.st_ino)
    return found


def _begin(present: Iterable[Path]) -> RustNotify:
    paths = [str(path) for path in present]
    try:
        # The last parameter, ignore_permission_denied, would make it silent on every error: an inbox
        # for which no watch was left would have no events, and nobody would hear of it.
        return RustNotify(paths, False, False, 0, False, False)  # noqa: FBT003  (takes no keywords)
    except (OSError, UnicodeError, WatchfilesRustInternalError) as error:
        hint = (
            "Files are still found, later. Often fs.inotify.max_user_instances or "
            "fs.inotify.max_user_watches is too low (sysctl)."
        )
        raise WatcherBroken(f"the inboxes can't be watched: {error}", hint=hint) from error


def _wait(
    backend: RustNotify, present: Collection[Path], stop: threading.Event
) -> frozenset[str] | None:
    """The paths that changed, none after `RECHECK`; None when the watch must be set up anew."""
    try:
        result = backend.watch(DEBOUNCE, STEP, RECHECK, stop)
    except WatchfilesRustInternalError as error:
        if "Unable to decode path" in str(error):  # a name that is not UTF-8 ends the back end
            return None
        raise WatcherBroken(f"the watch on the inboxes ended: {error}") from error
    paths = frozenset[str]() if isinstance(result, str) else frozenset(p for _, p in result)
    return None if any(Path(path) in present for path in paths) else paths
