"""The socket at which the daemon listens: a port, or a path that nobody else's file may be lost for."""

import errno
import os
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from revsyncd.config import Listen
from revsyncd.core.errors import RevsyncdError

_BACKLOG = 64
_TRY = 1.0  # seconds in which whoever listens at a socket would take a connection


@contextmanager
def open_door(listen: Listen, mode: int) -> Iterator[socket.socket]:
    """Listen; at the end a unix socket's file is removed. Raises RevsyncdError with what to do.

    `mode` are the permissions of a unix socket.
    """
    opened = _port(listen) if listen.path is None else _unix(listen.path, mode)
    with opened as door:
        door.setblocking(False)  # noqa: FBT003  (the library's signature)
        yield door


@contextmanager
def _port(listen: Listen) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            door.bind((listen.host, listen.port))
            door.listen(_BACKLOG)
        except OSError as error:
            hint = (
                "Find who has it (`ss -ltnp`), or let `http.listen` name another port or address."
            )
            raise _unavailable(listen, error.strerror or "", hint) from error
        yield door


@contextmanager
def _unix(path: Path, mode: int) -> Iterator[socket.socket]:
    """Nobody can connect before `listen`, so the permissions are right in time."""
    _make_way(path)
    with socket.socket(socket.AF_UNIX) as door:
        try:
            door.bind(str(path))
        except OSError as error:
            hint = "Its directory must be there and the daemon's own: RuntimeDirectory= of the unit makes it."
            raise _unavailable(Listen(path=path), error.strerror or "", hint) from error
        ours = _identity(path)
        try:
            path.chmod(mode)
            door.listen(_BACKLOG)
            yield door
        finally:
            if _identity(path) == ours:
                path.unlink(missing_ok=True)


def _make_way(path: Path) -> None:
    """Remove the socket that a killed daemon left: ours, and nobody listens at it any more."""
    try:
        found = path.lstat()
    except OSError:
        return  # nothing there, or no way to it: binding will tell
    listen = Listen(path=path)
    if not stat.S_ISSOCK(found.st_mode):
        hint = "Let `http.listen` name another path, or remove what is there if nobody needs it."
        raise _unavailable(listen, "something that is no socket is in its place", hint)
    if found.st_uid != os.geteuid():
        hint = "Let `http.listen` name another path; nothing that belongs to others is removed."
        raise _unavailable(listen, "another user's socket is in its place", hint)
    if not _abandoned(path):
        hint = "Give each instance a socket of its own in `http.listen`."
        raise _unavailable(listen, "another process listens there", hint)
    if _identity(path) == (found.st_dev, found.st_ino):
        path.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(_TRY)
        try:
            client.connect(str(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
        return False


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _unavailable(listen: Listen, why: str, hint: str) -> RevsyncdError:
    return RevsyncdError(f"http.listen: {listen} can't be had: {why}", hint=hint)
