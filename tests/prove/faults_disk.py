"""The disk's ways to fail, as a table: what is spoilt, at which moment, and that all goes on by itself.

`system/test_spoilt_disks` lets each row happen to the real daemon: before a claim, or when the tenant has stored an
upload and its answer is on the way. In the end the file is staged, and the tenant holds it once.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from prove.fault import Fault
from prove.small_disk import SmallDisks, fill, use_up_names

Mend = Callable[[], None]
Spoil = Callable[[SmallDisks, Path], Mend]
ROOT, STATE, FOLDER, INBOX = "root", "state", "root/orders", "root/orders/inbox"


class At(StrEnum):
    """When it begins."""

    CLAIM = "before a file is claimed"
    ANSWER = "when the tenant has stored the upload and its answer is on the way"


def is_full(disks: SmallDisks, place: Path) -> Mend:
    """No block is free."""
    filler = fill(disks.seen(place))
    return filler.unlink


def has_no_inodes(disks: SmallDisks, place: Path) -> Mend:
    """No file can be made."""
    names = use_up_names(disks.seen(place))
    return lambda: shutil.rmtree(names)


def is_read_only(disks: SmallDisks, place: Path) -> Mend:
    """As the kernel makes it after a fault; a mount upon it, since a busy one can't be changed."""
    disks.run("mount", "--bind", place, place)
    disks.run("mount", "-o", "remount,bind,ro", place)
    return lambda: disks.run("umount", "-l", place)


def is_another_mount(disks: SmallDisks, place: Path) -> Mend:
    """The same directory mounted upon itself: a rename out of it is EXDEV."""
    disks.run("mount", "--bind", place, place)
    return lambda: disks.run("umount", "-l", place)


def is_unmounted(disks: SmallDisks, place: Path) -> Mend:
    """What was the inbox is gone for a while."""
    aside = place.with_name("aside")
    disks.seen(place).rename(disks.seen(aside))
    return lambda: _back(disks.seen(aside), disks.seen(place))


def _back(aside: Path, place: Path) -> None:
    aside.rename(place)


@dataclass(frozen=True, slots=True)
class Spoilt:
    """A row; `told` is the event with which the log says so."""

    fault: str
    place: str
    spoil: Spoil
    at: At
    told: str = "disk.trouble"
    rare: bool = field(default=False, kw_only=True)  # tried by `make prove` only

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.place}: {self.fault}, {self.at.value}"


SPOILT = (
    Spoilt("no space", ROOT, is_full, At.CLAIM, rare=True),
    Spoilt("no space", ROOT, is_full, At.ANSWER),
    Spoilt("no inodes", ROOT, has_no_inodes, At.CLAIM, rare=True),
    Spoilt("no inodes", ROOT, has_no_inodes, At.ANSWER, rare=True),
    Spoilt("no space", STATE, is_full, At.CLAIM, rare=True),
    Spoilt("no space", STATE, is_full, At.ANSWER),
    Spoilt("no inodes", STATE, has_no_inodes, At.CLAIM, rare=True),
    Spoilt("read-only", FOLDER, is_read_only, At.CLAIM, rare=True),
    Spoilt("read-only", FOLDER, is_read_only, At.ANSWER),
    Spoilt("another mount", INBOX, is_another_mount, At.CLAIM, rare=True),
    Spoilt("gone for a while", INBOX, is_unmounted, At.CLAIM, "folder.missing", rare=True),
)


@dataclass(frozen=True, slots=True)
class Denied:
    """A directory whose permissions are taken away; `told` as above."""

    place: str
    mode: int
    told: str = "disk.trouble"
    rare: bool = field(default=False, kw_only=True)

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.place} {self.mode:o}"


DENIED = (
    Denied("inbox", 0o000),
    Denied("inbox", 0o500),
    Denied(".work", 0o500, rare=True),
    Denied("done", 0o500, "drop.step_failed"),
)

KIND = "The disk fails"
ON = "it is told, nothing is claimed or lost meanwhile; mended, the file is staged once"
FAULTS = (
    *(
        Fault(
            KIND,
            f"{each.place}: {each.fault}",
            f"a small tmpfs in a mount namespace, {each.at.value}",
            ON,
            "system/test_spoilt_disks.py::test_a_disk_is_spoilt_and_mended",
        )
        for each in SPOILT
    ),
    *(
        Fault(
            KIND,
            f"permissions of {each.place} are {each.mode:o}",
            "chmod, the daemon running without the right to override them",
            ON,
            "system/test_spoilt_disks.py::test_permissions_are_taken_away_and_given_back",
        )
        for each in DENIED
    ),
    Fault(
        KIND,
        "fsync fails with EIO at the N-th call",
        "`strace -e inject=fsync,fdatasync:error=EIO:when=N`, N = 1, 2, 3 … until nothing fails",
        "tried again, or the process ends and the next one goes on; staged once or held in doubt",
        "system/test_spoilt_disks.py::test_fsync_fails_at_every_call",
    ),
)
