"""A host as docs/sftp.md describes it: the page's own commands and sshd_config, run as they stand.

Accounts, groups and folders are real and are removed in the end.  Names and places are put in by text,
so that the host of the tests keeps its own: `erp-eu` is another account each time, and `/srv` and `/etc`
lie in a directory of the test, which has to be below directories of root's for sshd to take it as chroot.
"""

import grp
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
from daemon import Daemon, Site
from sftp_server import SftpServer, skip_unless_sshd_can_run
from strict_tenant import StrictTenant

CHECKOUT = Path(__file__).parents[1]
MANUAL = CHECKOUT / "docs" / "sftp.md"
INSTANCE = "/acme/root"  # as a client sees it
FOLDER = "transactions"
_RUN_AS = 'umask 0027; exec setpriv --reuid "$0" --regid "$0" --init-groups --no-new-privs -- "$@"'


def blocks(language: str) -> list[str]:
    """The fenced blocks of the page in this language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)


def skip_unless_accounts_can_be_made() -> None:
    """Skip with a reason where this machine lets nobody make accounts, or become one."""
    if os.geteuid() != 0:
        pytest.skip("only root can make the accounts of ERPs")
    for program, package in (("useradd", "passwd"), ("setpriv", "util-linux")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {package})")


class SftpHost:
    """sshd with its chroot, the service's account, and two ERPs that share nothing; `with` ends it."""

    def __init__(self, sshd: str) -> None:
        """Nothing is made yet."""
        tag = secrets.token_hex(3)
        self.service, self.europe, self.states = (f"{name}{tag}" for name in ("rd", "eu", "us"))
        self.confined = f"sftp{tag}"
        self._sshd = sshd
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Make the accounts by the page's commands, and start sshd on the page's configuration."""
        with ExitStack() as stack:
            top = tempfile.mkdtemp(prefix="revsyncd-test-", dir="/srv")
            self.top = Path(top)
            stack.callback(shutil.rmtree, top)
            self.top.chmod(0o755)
            for name in ("srv", "etc/ssh", "sshd"):
                (self.top / name).mkdir(parents=True)
            self._make_accounts(stack)
            config = self.here(blocks("sshd_config")[0])
            server = SftpServer(self._sshd, self.top / "sshd", config, self.europe)
            shutil.copy(self.top / "sshd" / "user.pub", self.keys / self.europe)
            shutil.copy(self.top / "sshd" / "user.pub", self.keys / self.states)
            self._renew()
            self.server = stack.enter_context(server)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove all of it."""
        self._stack.close()

    @property
    def chroot(self) -> Path:
        """The root directory of every ERP."""
        return self.top / "srv" / "revsync"

    @property
    def keys(self) -> Path:
        """Where sshd finds the public keys."""
        return self.top / "etc" / "ssh" / "revsync-keys"

    def here(self, text: str, erp: str = "", folder: str = FOLDER) -> str:
        """A block of the page with the names and places of this host."""
        names = {
            "revsync-sftp": self.confined,
            "revsyncd": self.service,
            "erp-eu": erp or self.europe,
            "/srv/": f"{self.top}/srv/",
            "/etc/": f"{self.top}/etc/",
            f"/{FOLDER}": f"/{folder}",
        }
        for old, new in names.items():
            text = text.replace(old, new)
        return text

    def _make_accounts(self, stack: ExitStack) -> None:
        once, _, erp, *_ = blocks("sh")
        stack.callback(_remove_group, self.confined)
        self._run(once)
        for user in (self.service, self.europe, self.states):
            stack.callback(_remove_user, user)
        _run(["useradd", "--system", "--user-group", "--no-create-home", self.service])
        for user, folder in ((self.europe, FOLDER), (self.states, "events")):
            (self.top / f"{user}.pub").touch()
            self._run(erp, user, folder)

    def _run(self, block: str, erp: str = "", folder: str = FOLDER) -> None:
        _run(["sh", "-euc", self.here(block, erp, folder)], cwd=self.top)

    def _renew(self) -> None:
        """An instance without folders, whatever was there."""
        shutil.rmtree(self.chroot / "acme", ignore_errors=True)
        self._run(blocks("sh")[1])

    def own(self, folder: str, erp: str = "") -> None:
        """Make a folder, or give it to this ERP, by the page's commands."""
        self._run(blocks("sh")[3], erp, folder)

    def let_read(self, group: str) -> None:
        """Let a group read the folder by the page's access control lists."""
        _run(["sh", "-euc", self.here(blocks("sh")[4]).replace("accounting", group)])

    @contextmanager
    def small_disk(self, size: str) -> Iterator[None]:
        """Have the next instance's root on a disk of this size; skips where none can be mounted."""
        self._renew()
        root = str(self.chroot / "acme" / "root")
        mounting = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", root]
        if subprocess.run(mounting, check=False, capture_output=True, timeout=60).returncode:
            pytest.skip("no file system can be mounted here, so none can be full")
        try:
            yield
        finally:
            _run(["umount", "--lazy", root])

    @contextmanager
    def daemon(
        self, tenant: StrictTenant, folders: dict[str, Any], erps: dict[str, str] | None = None
    ) -> Iterator[Daemon]:
        """A daemon without privileges on a new instance, not started; `erps` own others' folders."""
        if not (self.chroot / "acme" / "root").is_mount():
            self._renew()
        self._run(blocks("sh")[1])
        site = Site(self.chroot / "acme", tenant.introduction(), folders)
        site.prepare()
        _give(site.state, self.service)
        for folder in folders:
            self.own(folder, (erps or {}).get(folder, ""))
        daemon = Daemon(site, tenant)
        daemon.covered = False
        daemon.wrapper = self.wrapper
        try:
            yield daemon
        finally:
            daemon.end()
        assert daemon.faults() == []

    @property
    def wrapper(self) -> tuple[str, ...]:
        """A command that runs the rest as the service's account, which Python has to be open to."""
        own = [Path(sys.base_prefix), Path(sys.prefix), CHECKOUT]
        return (*_opened(own, self.top), "sh", "-c", _RUN_AS, self.service)

    def sessions(self, user: str = "") -> list[int]:
        """The processes in which sshd serves an ERP."""
        return _processes(user or self.europe, "internal-sftp")


def _opened(directories: Iterable[Path], scratch: Path) -> tuple[str, ...]:
    """A command that runs the rest where these directories can be reached by everybody.

    Python often lies in a home directory of root's.  In a mount namespace of its own an empty directory
    takes the place of whatever is closed, with these mounted inside it.
    """
    closed = {path: top for path in directories if (top := _closed_above(path)) is not None}
    if not closed:
        return ()
    script = ['umask 0022; S=$(mktemp -d -p "$0")']
    script += [f'mkdir "$S/{n}"; mount --bind "{path}" "$S/{n}"' for n, path in enumerate(closed)]
    script += [f'mount -t tmpfs -o mode=0755 tmpfs "{top}"' for top in sorted(set(closed.values()))]
    for n, path in enumerate(closed):
        script.append(f'mkdir -p "{path}"; mount --bind "$S/{n}" "{path}"')
    script.append('exec "$@"')
    return ("unshare", "--mount", "sh", "-euc", "\n".join(script), str(scratch))


def _closed_above(path: Path) -> Path | None:
    """The first directory on the way to `path` that others may not pass."""
    ways = [*reversed(path.resolve().parents), path.resolve()]
    return next((way for way in ways if not way.stat().st_mode & 0o001), None)


def _run(command: Sequence[str], cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _give(directory: Path, user: str) -> None:
    account = pwd.getpwnam(user)
    os.chown(directory, account.pw_uid, account.pw_gid)
    directory.chmod(0o700)


def _processes(user: str, named: str = "") -> list[int]:
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        return []
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended
            status = (path / "status").read_text()
            ours = re.search(rf"^Uid:\t{uid}\t", status, re.MULTILINE)
            if ours and named.encode() in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def _remove_user(user: str) -> None:
    """Remove an account that only we know, with what may still run for it."""
    for pid in _processes(user):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    subprocess.run(["userdel", "--force", user], check=False, capture_output=True, timeout=60)


def _remove_group(group: str) -> None:
    subprocess.run(["groupdel", group], check=False, capture_output=True, timeout=60)
    with suppress(KeyError):
        grp.getgrnam(group)
        raise AssertionError(f"the group {group} is left behind")


def sftp_host() -> SftpHost:
    """A host, not entered; skips the test where it can't be."""
    sshd = skip_unless_sshd_can_run()
    skip_unless_accounts_can_be_made()
    return SftpHost(sshd)
