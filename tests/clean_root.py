"""A clean Debian with systemd as its first process, for tests of the package.

Made by debootstrap once and kept in `build/`; each test boots an overlay of it in namespaces of its own:
processes, mounts, network (loopback only), names, control group. Nothing of it is left on this machine.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

PATIENCE = 60.0  # seconds; only a hang ever waits so long
BUILD = Path(__file__).parents[1] / "build"
INSIDE = "systemd,systemd-sysv,dbus,python3,openssh-server,openssh-client,ca-certificates,procps"
PROGRAMS = ("debootstrap", "unshare", "nsenter", "mount", "umount", "dpkg-deb")
BOOT = """
set -eu
mount --make-rprivate /
mount --bind "$0" "$0"
cd "$0"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=755 tmpfs dev
for name in null zero full random urandom tty; do touch dev/$name; mount --bind /dev/$name dev/$name; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs tmpfs dev/shm
mount -t cgroup2 cgroup2 sys/fs/cgroup
mkdir -p .outside
pivot_root . .outside
umount -l /.outside
# As systemd makes it where it is no guest: credentials reach a service by propagation.
mount --make-rshared /
exec env -i container=unshare PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 /lib/systemd/systemd
"""


def skip_unless_a_root_can_boot() -> None:
    """Skips with what is missing: rights, programs, a control group to be moved to, a kernel's overlays."""
    if os.geteuid() != 0:
        pytest.skip("only root can boot a system in namespaces")
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed (Debian: debootstrap, util-linux, dpkg)")
    if _control_groups() is None:
        pytest.skip("no control groups of version 2 that may be written are mounted here")
    if "overlay" not in Path("/proc/filesystems").read_text():
        pytest.skip("this kernel has no overlay file system")


def _control_groups() -> Path | None:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        place = Path(before.split()[4])
        if after.startswith("cgroup2 ") and os.access(place, os.W_OK):
            return place
    return None


@dataclass(frozen=True, slots=True)
class BootedRoot:
    """A running system: its files as seen from here, and its first process."""

    path: Path
    first: int

    def run(self, *command: str, check: bool = True, text: str = "") -> str:
        """A command inside, as root; what it printed, on both streams. CalledProcessError if it fails."""
        done = self.try_(*command, text=text)
        assert done.returncode == 0 or not check, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def try_(self, *command: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """The same, whatever becomes of it."""
        return subprocess.run(
            [
                "nsenter",
                f"--target={self.first}",
                "--all",
                "--",
                "/usr/bin/env",
                "-i",
                *_INSIDE,
                *command,
            ],
            input=text,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def until(self, wanted: str, *command: str) -> str:
        """Repeat a command until its output matches a pattern; nobody tells when it would."""
        until = time.monotonic() + PATIENCE
        while True:
            found = self.run(*command, check=False)
            if re.search(wanted, found):
                return found
            assert time.monotonic() < until, f"{command} never told {wanted!r}: {found}"
            time.sleep(0.2)

    def write(self, place: str, text: str, mode: int = 0o644) -> None:
        """A file inside, of root."""
        path = self.path / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)


_INSIDE = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")


def base() -> Path:
    """The root that all others lie over, made where there is none."""
    suite = re.search(r"(?m)^VERSION_CODENAME=(\w+)$", Path("/etc/os-release").read_text())
    assert suite is not None
    root = BUILD / f"clean-root-{suite[1]}"
    if not root.exists():
        unfinished = BUILD / f"unfinished-{os.getpid()}"
        unfinished.mkdir(parents=True)
        command = [
            "debootstrap",
            "--variant=minbase",
            f"--include={INSIDE}",
            suite[1],
            str(unfinished),
        ]
        subprocess.run(command, check=True, capture_output=True)
        unfinished.rename(root)
    return root


@contextmanager
def booted(place: Path) -> Iterator[BootedRoot]:
    """A system over the base, in `place`, until the block ends."""
    with ExitStack() as stack:
        merged = _overlay(stack, base(), place)
        group = _own_group(stack)
        first = _first_process(stack, merged, group)
        system = BootedRoot(merged, first)
        system.until("running|degraded", "systemctl", "is-system-running")
        yield system


def _overlay(stack: ExitStack, lower: Path, place: Path) -> Path:
    """On a tmpfs, since an overlay can't lie on another one."""
    space = place / "space"
    space.mkdir()
    _mount(stack, space, "-t", "tmpfs", "-o", "mode=755", "tmpfs")
    for name in ("upper", "work", "merged"):
        (space / name).mkdir()
    options = f"lowerdir={lower},upperdir={space / 'upper'},workdir={space / 'work'}"
    merged = space / "merged"
    _mount(stack, merged, "-t", "overlay", "-o", options, "overlay")
    return merged


def _mount(stack: ExitStack, target: Path, *words: str) -> None:
    subprocess.run(["mount", *words, str(target)], check=True)
    stack.callback(subprocess.run, ["umount", "-l", str(target)], check=True)


def _own_group(stack: ExitStack) -> Path:
    above = _control_groups()
    assert above is not None
    group = above / f"revsyncd-test-{os.getpid()}"
    group.mkdir()
    stack.callback(_remove_group, group)
    return group


def _remove_group(group: Path) -> None:
    """Innermost first; a group is free a moment after its last process has ended."""
    until = time.monotonic() + PATIENCE
    for path in [*sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True), group]:
        while True:
            try:
                path.rmdir()
            except OSError:
                assert time.monotonic() < until, f"{path} is not free"
                time.sleep(0.05)
            else:
                break


def _first_process(stack: ExitStack, root: Path, group: Path) -> int:
    unshare = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup", "--fork"]
    enter = f'echo $$ > {group}/cgroup.procs; exec "$@"'
    process = subprocess.Popen(
        ["sh", "-c", enter, "sh", *unshare, "sh", "-c", BOOT, str(root)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    stack.callback(process.wait, PATIENCE)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + PATIENCE
    while True:
        found = children.read_text().split()
        # Only what has become systemd is the system: before, it mounts things in our sight.
        if found and Path(f"/proc/{found[0]}/comm").read_text() == "systemd\n":
            break
        assert process.poll() is None, "the system ended while it booted"
        assert time.monotonic() < until, "the system does not boot"
        time.sleep(0.05)
    stack.callback(os.kill, int(found[0]), 9)
    return int(found[0])
