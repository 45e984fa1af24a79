"""What is mounted where, as the kernel lists it: proc_pid_mountinfo(5)."""

import os
from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

# The kernel tells of no change that another host makes there, and fsync is as good as the server's.
_NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "gfs2", "glusterfs", "lustre", "ncpfs"}
    | {"nfs", "nfs4", "ocfs2", "smb3", "smbfs", "virtiofs"}
)
_NETWORK_IN_USER_SPACE = frozenset(
    {"ceph", "davfs2", "gcsfuse", "glusterfs", "gvfsd-fuse", "mountpoint-s3", "rclone"}
    | {"s3fs", "smbnetfs", "sshfs"}
)
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})
_ESCAPES = (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\"))


@dataclass(frozen=True, slots=True)
class Mount:
    """One mount: where it is, and the type of its file system such as `ext4` or `fuse.sshfs`."""

    point: Path
    kind: str

    @property
    def over_network(self) -> bool:
        """Whether other hosts may write there without this kernel's knowledge."""
        fuse, _, program = self.kind.partition(".")
        in_user_space = fuse == "fuse" and program in _NETWORK_IN_USER_SPACE
        return self.kind in _NETWORK or in_user_space

    @property
    def in_memory(self) -> bool:
        """Whether it is gone after a reboot."""
        return self.kind in _IN_MEMORY


def mounts(listed: Path = MOUNTS) -> list[Mount]:
    """Every mount that this process sees, in the kernel's order; none where there is no list."""
    try:
        lines = listed.read_text(errors="surrogateescape").splitlines()
    except OSError:  # no /proc
        return []
    return [_read(line) for line in lines if " - " in line]


def mount_of(path: Path, seen: list[Mount]) -> Mount | None:
    """The mount on which a path lies; of several on one point the last hides the others."""
    real = Path(os.path.realpath(path))
    holding = [mount for mount in seen if real.is_relative_to(mount.point)]
    return max(reversed(holding), key=lambda mount: len(mount.point.parts), default=None)


def mounted_below(root: Path, seen: list[Mount]) -> list[Path]:
    """The mount points under `root`, without itself."""
    real = Path(os.path.realpath(root))
    points = dict.fromkeys(mount.point for mount in seen)
    return [point for point in points if point != real and point.is_relative_to(real)]


def _read(line: str) -> Mount:
    """The fifth field is the mount point; the type comes first behind the lone hyphen."""
    head, _, tail = line.partition(" - ")
    point = head.split()[4]
    for octal, character in _ESCAPES:
        point = point.replace(octal, character)
    return Mount(Path(point), tail.split()[0])
