"""The programs with which ERPs write over SFTP, each as its users call it: sftp, scp, lftp, and a script.

A script of an ERP is played by asyncssh: it opens, writes and closes by itself, so a test decides at
which byte it dies or waits.  Remote names are relative to the folder in which the ERP finds itself.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Protocol, Self

import asyncssh
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from sftp_server import SftpServer, quoted

PATIENCE = 60  # seconds


class Erp(Protocol):
    """What every client can do."""

    name: str

    def put(self, local: Path, remote: str) -> None:
        """Write under the final name."""

    def put_preserving(self, local: Path, remote: str) -> None:
        """The same, with the file's own modification time."""


class Program(Erp, Protocol):
    """One that runs as a process of its own, and so can be killed."""

    def begin(self, local: Path, remote: str, rate: int) -> subprocess.Popen[bytes]:
        """Start a put of about `rate` bytes a second; it leads a process group of its own."""


class Sftp:
    """OpenSSH's sftp."""

    name = "sftp"

    def __init__(self, server: SftpServer) -> None:
        self.server = server

    def put(self, local: Path, remote: str) -> None:
        self.server.batch(f"put {quoted(local)} {remote}")

    def put_preserving(self, local: Path, remote: str) -> None:
        self.server.batch(f"put -p {quoted(local)} {remote}")

    def put_then_rename(self, local: Path, temporary: str, final: str) -> None:
        """The rename is OpenSSH's posix-rename."""
        self.server.put_then_rename(
            local, PurePosixPath(temporary), PurePosixPath(final), plain=False
        )

    def resume(self, local: Path, remote: str) -> None:
        """Append what is missing."""
        self.server.batch(f"reput {quoted(local)} {remote}")

    def begin(self, local: Path, remote: str, rate: int) -> subprocess.Popen[bytes]:
        return self.server.start_slow_put(local, PurePosixPath(remote), rate * 8 // 1000)


class Scp:
    """OpenSSH's scp, which speaks SFTP since 9.0."""

    name = "scp"

    def __init__(self, server: SftpServer) -> None:
        self.server = server

    def put(self, local: Path, remote: str) -> None:
        _run(self._command(local, remote))

    def put_preserving(self, local: Path, remote: str) -> None:
        _run(self._command(local, remote, "-p"))

    def put_the_old_way(self, local: Path, remote: str) -> None:
        """By the protocol before SFTP, which wants a shell."""
        _run(self._command(local, remote, "-O"))

    def begin(self, local: Path, remote: str, rate: int) -> subprocess.Popen[bytes]:
        return self.server.begin(
            self._command(local, remote, "-l", str(rate * 8 // 1000), "-Xbuffer=4096")
        )

    def _command(self, local: Path, remote: str, *options: str) -> list[str]:
        target = f"{self.server.user}@127.0.0.1:{remote}"
        return ["scp", *self.server.ssh_options, *options, str(local), target]


class Lftp:
    """lftp, as scripts of many ERPs call it; it always keeps the file's modification time."""

    name = "lftp"

    def __init__(self, server: SftpServer) -> None:
        self.server = server

    def put(self, local: Path, remote: str) -> None:
        _run(self._command(f"put {quoted(local)} -o {remote}"))

    put_preserving = put

    def put_then_rename(self, local: Path, temporary: str, final: str) -> None:
        """The rename is SSH_FXP_RENAME: the server links and unlinks."""
        _run(self._command(f"put {quoted(local)} -o {temporary}\nmv {temporary} {final}"))

    def put_all(self, local: Path, remote: str) -> None:
        """All files of a directory, four at once."""
        _run(self._command(f"mirror --reverse --parallel=4 {quoted(local)} {remote}"))

    def resume(self, local: Path, remote: str) -> None:
        """Append what is missing."""
        _run(self._command(f"put -c {quoted(local)} -o {remote}"))

    def begin(self, local: Path, remote: str, rate: int) -> subprocess.Popen[bytes]:
        limit = f"set net:limit-rate 0:{rate}\nset net:limit-max 8192\nset sftp:size-write 4096"
        command = self._command(f"{limit}\nput {quoted(local)} -o {remote}")
        return self.server.begin(command, env=_environment())

    def _command(self, script: str) -> list[str]:
        program = " ".join(["ssh", "-a", "-x", *self.server.ssh_options])
        settings = {
            "sftp:connect-program": f'"{program}"',
            "cmd:fail-exit": "yes",
            "net:reconnect-interval-base": "1",
            "net:max-retries": "3",
            "net:timeout": "20",
        }
        told = "\n".join(f"set {name} {value}" for name, value in settings.items())
        site = f"open -u {self.server.user},none sftp://127.0.0.1:{self.server.port}"
        return ["lftp", "--norc", "-c", f"{told}\n{site}\n{script}"]


class Script:
    """A program of the ERP's own, connected until the block ends."""

    name = "asyncssh"

    def __init__(
        self,
        portal: BlockingPortal,
        connection: asyncssh.SSHClientConnection,
        client: asyncssh.SFTPClient,
    ) -> None:
        self._portal = portal
        self.connection = connection
        self.client = client

    def put(self, local: Path, remote: str) -> None:
        self._call(self.client.put, local, remote)

    def put_preserving(self, local: Path, remote: str) -> None:
        self._call(self.client.put, local, remote, preserve=True)

    def rename(self, old: str, new: str, *, plain: bool) -> None:
        """By SSH_FXP_RENAME when `plain`, as most libraries do, else by posix-rename."""
        self._call(self.client.rename if plain else self.client.posix_rename, old, new)

    def open(self, remote: str, mode: str = "wb") -> "OpenFile":
        """A file into which this writes what and when it will."""
        return OpenFile(self, self._call(self.client.open, remote, mode))

    def read(self, remote: str) -> bytes:
        """A whole file."""
        with self.open(remote, "rb") as file:
            content: bytes = self._call(file.handle.read)
            return content

    def names(self, remote: str) -> list[str]:
        """What is listed in a directory, sorted."""
        found: Sequence[str] = self._call(self.client.listdir, remote)
        return sorted({*found} - {".", ".."})

    def chmod(self, remote: str, mode: int) -> None:
        self._call(self.client.chmod, remote, mode)

    def ask(self, verb: str, *words: Any, **settings: Any) -> Any:
        """Anything else that an SFTP client can do, by asyncssh's name for it."""
        return self._call(getattr(self.client, verb), *words, **settings)

    def die(self) -> None:
        """Be gone without a word, as at a kill."""
        self._call(self.connection.abort)
        self._call(self.connection.wait_closed)

    def _call(self, function: Any, *words: Any, **settings: Any) -> Any:
        return self._portal.call(partial(function, *words, **settings))


class OpenFile:
    """A file that a script writes."""

    def __init__(self, script: Script, handle: asyncssh.SFTPClientFile) -> None:
        self._script = script
        self.handle = handle

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, data: bytes) -> None:
        """On return the server has written it."""
        self._script._call(self.handle.write, data)

    def chmod(self, mode: int) -> None:
        """Of the open file, wherever it is by now."""
        self._script._call(self.handle.setstat, asyncssh.SFTPAttrs(permissions=mode))

    def close(self) -> None:
        self._script._call(self.handle.close)


@contextmanager
def script(server: SftpServer, user: str = "") -> Iterator[Script]:
    """A connected program of an ERP's."""
    options = {
        "port": server.port,
        "username": user or server.user,
        "client_keys": [str(server.folder / "user")],
        "known_hosts": str(server.folder / "known_hosts"),
        "config": None,
        "agent_path": None,
    }
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(asyncssh.connect("127.0.0.1", **options)) as connection,
        portal.wrap_async_context_manager(connection.start_sftp_client()) as client,
    ):
        yield Script(portal, connection, client)


def skip_unless_installed(*programs: str) -> None:
    """Skip the test with a reason where one of these is missing."""
    packages = {"scp": "openssh-client", "lftp": "lftp", "setfacl": "acl"}
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: {packages[program]})")


def _environment() -> dict[str, str]:
    """Variables of a client: lftp keeps a history below its home."""
    return {**os.environ, "LFTP_HOME": "/nonexistent", "HOME": "/nonexistent"}


def _run(command: Sequence[str]) -> None:
    """Run to the end; CalledProcessError when it fails."""
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE, env=_environment())
