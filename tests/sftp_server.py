"""A real sshd on loopback and OpenSSH's own client: how an ERP really writes into an inbox.

Keys, configuration and known hosts are made for the occasion in a folder of the test; nothing below
/etc/ssh or ~/.ssh is read or written.  Unless a configuration says otherwise, the current user logs in
by key and sees the whole disk.
"""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Self

import pytest
from watchfiles import watch

CLIENT_LOST = "Closing connection to"  # sshd's line when a client was cut off; not after a good end
TRIES = 3  # another process may take a free port between finding and binding it
_PRIVILEGE_SEPARATION = Path("/run/sshd")
_CONFIG = """\
AuthorizedKeysFile {folder}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
LogLevel VERBOSE
"""


class SshdError(Exception):
    """The sshd ended without listening; its last lines say why."""


def skip_unless_sshd_can_run() -> str:
    """The path of sshd; skips the test with a reason where there is none or it could not start."""
    sshd = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    for program in ("sftp", "ssh", "ssh-keygen"):
        if shutil.which(program) is None:
            pytest.skip(f"OpenSSH's {program} is not installed (Debian: openssh-client)")
    if sshd is None:
        pytest.skip("OpenSSH's sshd is not installed (Debian: openssh-server)")
    if os.geteuid() == 0:
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    elif not _PRIVILEGE_SEPARATION.is_dir():
        pytest.skip(f"sshd wants {_PRIVILEGE_SEPARATION}, which only root may create")
    return sshd


class SftpServer:
    """One sshd, with a client for it; `with` starts and stops it."""

    def __init__(self, sshd: str, folder: Path, config: str = _CONFIG, user: str = "") -> None:
        """Make keys in `folder`, which exists and is empty; `user` logs in, else the current one."""
        self.sshd = sshd
        self.folder = folder
        self.user = user or getpass.getuser()
        self.wrapper: tuple[str, ...] = ()  # a command that runs sshd
        self._config = config
        self.port = 0
        self.log: list[str] = []
        self._logged = threading.Condition()
        self._slow: list[subprocess.Popen[bytes]] = []
        for name in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, timeout=60)

    def __enter__(self) -> Self:
        """Start, and return when the log says that it listens."""
        for attempt in range(1, TRIES + 1):
            try:
                self._start()
            except SshdError:
                if attempt == TRIES:
                    raise
            else:
                break
        self._log_in_or_skip()
        return self

    def _log_in_or_skip(self) -> None:
        """Skip for an account that sshd never lets in (its password is "!"); it can't be mended here."""
        try:
            self.batch("pwd")
        except subprocess.CalledProcessError:
            if not self.wait_for_log("account is locked", within=1.0):
                raise
            self.stop()
            pytest.skip(f"sshd lets nobody in as {self.user}: the account is locked")

    def _start(self) -> None:
        self.port = _free_port()
        config = self.folder / "sshd_config"
        config.write_text(self._config.format(folder=self.folder))
        key = (self.folder / "host.pub").read_text()
        (self.folder / "known_hosts").write_text(f"[127.0.0.1]:{self.port} {key}")
        command = [*self.wrapper, self.sshd, "-D", "-e", "-f", str(config)]
        here = {"Port": self.port, "ListenAddress": "127.0.0.1", "PidFile": "none"}
        here["HostKey"] = self.folder / "host"
        command += [f"-o{name}={value}" for name, value in here.items()]
        self.log.clear()
        self._process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read_log, daemon=True)
        self._reader.start()
        if not self.wait_for_log("Server listening"):
            self.stop()
            raise SshdError("\n".join(self.log[-5:]))

    def _read_log(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                with self._logged:
                    self.log.append(line.rstrip())
                    self._logged.notify_all()
        with self._logged:
            self.log.append("end of log")
            self._logged.notify_all()

    def wait_for_log(self, text: str, times: int = 1, within: float = 20.0) -> bool:
        """Wait until sshd has logged `text` in `times` lines; false when it ends or time is over."""

        def seen() -> bool:
            return self.count(text) >= times or self.log[-1:] == ["end of log"]

        with self._logged:
            self._logged.wait_for(seen, within)
            return self.count(text) >= times

    def count(self, text: str) -> int:
        """How many lines of the log contain `text`."""
        return sum(text in line for line in self.log)

    def __exit__(self, *_: object) -> None:
        """End the clients that are still at work, then sshd."""
        for client in self._slow:
            kill(client)
        self.stop()

    def stop(self) -> None:
        """End sshd itself, by its id; sessions end with their clients."""
        self._process.terminate()
        self._process.wait(60)
        self._reader.join(60)

    def batch(self, commands: str) -> None:
        """Run `commands` (one a line) with `sftp -b -`; CalledProcessError when one fails."""
        subprocess.run(
            self._client(), input=commands.encode(), check=True, capture_output=True, timeout=60
        )

    def put(self, local: Path, remote: PurePath) -> None:
        """Write under the final name; the bytes grow there."""
        self.batch(f"put {quoted(local)} {quoted(remote)}")

    def put_preserving(self, local: Path, remote: PurePath) -> None:
        """`put -p`: the file keeps the sender's mode and modification time."""
        self.batch(f"put -p {quoted(local)} {quoted(remote)}")

    def put_then_rename(
        self, local: Path, temporary: PurePath, final: PurePath, *, plain: bool
    ) -> None:
        """Write under a temporary name, then rename, in one session.

        `plain` uses SSH_FXP_RENAME as other clients do (the server links and unlinks), else OpenSSH's
        posix-rename extension (one rename).
        """
        rename = "rename -l" if plain else "rename"
        put = f"put {quoted(local)} {quoted(temporary)}"
        self.batch(f"{put}\n{rename} {quoted(temporary)} {quoted(final)}")

    def start_slow_put(self, local: Path, remote: PurePath, rate: int) -> subprocess.Popen[bytes]:
        """Begin a `put` of at most `rate` Kbit/s, in small writes; end it with `kill`."""
        slow = ["-l", str(rate), "-B", "4096", "-R", "1"]
        client = self.begin(self._client(slow), stdin=subprocess.PIPE)
        assert client.stdin is not None
        with client.stdin as commands:
            commands.write(f"put {quoted(local)} {quoted(remote)}\n".encode())
        return client

    def begin(
        self,
        command: Sequence[str],
        stdin: int = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a client that leads a process group of its own; `kill` ends it, at the latest our end."""
        client = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=env,
            start_new_session=True,
        )
        self._slow.append(client)
        return client

    @property
    def ssh_options(self) -> list[str]:
        """What every program of OpenSSH's has to be told to log in here."""
        settings = {
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f"{self.folder}/known_hosts",
            "GlobalKnownHostsFile": "/dev/null",
        }
        told = [f"-o{name}={value}" for name, value in settings.items()]
        return ["-F", "none", "-q", f"-oPort={self.port}", "-i", f"{self.folder}/user", *told]

    def _client(self, options: Sequence[str] = ()) -> list[str]:
        return ["sftp", *self.ssh_options, *options, "-b", "-", f"{self.user}@127.0.0.1"]


def quoted(path: PurePath) -> str:
    """A path as sftp's batch reads it; a newline can't be in one."""
    escaped = str(path).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def kill(client: subprocess.Popen[bytes]) -> None:
    """SIGKILL for a slow client and the ssh that it started; both are gone on return."""
    if client.poll() is None:
        os.killpg(client.pid, signal.SIGKILL)
    client.wait(60)


def await_size(path: Path, size: int, looks: int = 300) -> int:
    """Wait until `path` has `size` bytes or more and return how many; AssertionError if it never does.

    A write raises an event in the folder, and each event is one look.
    """
    for _ in _nudges(path.parent, looks):
        if path.exists() and path.stat().st_size >= size:
            return path.stat().st_size
    raise AssertionError(f"{path} never reached {size} bytes")


def _nudges(folder: Path, looks: int) -> Iterable[object]:
    """One for a look at once, then one for each change; bounded, also when nothing changes at all."""
    changes = watch(
        folder, debounce=10, step=5, rust_timeout=500, yield_on_timeout=True, recursive=False
    )
    yield None
    for number, change in enumerate(changes):
        if number >= looks:
            return
        yield change


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
