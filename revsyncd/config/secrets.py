"""Secrets: a reference in the configuration, the value only where it is used and only while it is.

`resolve` reads anew each time, so a rotated secret is taken up without a restart.
"""

import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Self

from revsyncd.config.values import Unusable
from revsyncd.core.errors import ConfigError

_LARGEST = 64 * 1024  # bytes; a secret is a line
_FORMS = '"env:NAME", "file:PATH" or "credential:NAME"'
_NAMES = {
    "env": r"[A-Za-z_][A-Za-z0-9_]*",
    "file": r"[^\x00]+",
    "credential": r"[A-Za-z0-9_][A-Za-z0-9_.-]*",
}


class SecretKind(StrEnum):
    """Where a secret is kept."""

    ENV = "env"
    FILE = "file"
    CREDENTIAL = "credential"


@dataclass(frozen=True, slots=True)
class SecretRef:
    """Where a secret is found: a variable's name, a file's path or a systemd credential's name."""

    kind: SecretKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def read(cls, value: object) -> Self:
        """Read "env:NAME" and its kin. Raises Unusable, which never repeats what was written."""
        kind, colon, name = value.partition(":") if isinstance(value, str) else ("", "", "")
        if not colon or kind not in _NAMES:
            raise Unusable(f"must be a reference, never the secret itself; write {_FORMS}")
        if not re.fullmatch(_NAMES[kind], name):
            raise Unusable(f"names no place after {kind!r}; write {_FORMS}")
        return cls(SecretKind(kind), name)

    def anchored(self, base: Path) -> Self:
        """The same reference with a file's path made absolute, from `base` on."""
        return replace(self, name=str(base / self.name)) if self.kind is SecretKind.FILE else self


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret's value; printing, formatting and logging show `***`."""

    _text: str

    def __repr__(self) -> str:
        return "***"

    def reveal(self) -> str:
        """The value itself; for the one place that sends it."""
        return self._text


def resolve(ref: SecretRef, env: Mapping[str, str] | None = None) -> Secret:
    """Read the secret now, from `env` (default: the process's). Raises ConfigError with a remedy."""
    environment = os.environ if env is None else env
    match ref.kind:
        case SecretKind.ENV:
            value = _variable(ref, environment)
        case SecretKind.FILE:
            value = _file(ref, Path(ref.name), private=True)
        case SecretKind.CREDENTIAL:
            value = _credential(ref, environment)
    if not value:
        raise _unresolved(ref, "is empty; put the secret there")
    return Secret(value)


def _variable(ref: SecretRef, env: Mapping[str, str]) -> str:
    if ref.name not in env:
        raise _unresolved(ref, "is not set; set it in the service's environment")
    return env[ref.name]


def _credential(ref: SecretRef, env: Mapping[str, str]) -> str:
    directory = env.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise _unresolved(
            ref,
            "there is no $CREDENTIALS_DIRECTORY: systemd sets it for a unit with "
            f"LoadCredential={ref.name}:PATH; elsewhere use a file: or env: reference",
        )
    return _file(ref, Path(directory, ref.name), private=False)


def _file(ref: SecretRef, path: Path, *, private: bool) -> str:
    """The file's one line; the open file is what is judged, so no swap can come in between."""
    try:
        # Without O_NONBLOCK a FIFO in this place would hang the daemon.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise _unresolved(ref, f"can't be read: {reason}; check the path and its owner") from error
    try:
        _judge(ref, path, os.fstat(handle).st_mode, private=private)
        return _line(ref, os.read(handle, _LARGEST + 1))
    finally:
        os.close(handle)


def _judge(ref: SecretRef, path: Path, mode: int, *, private: bool) -> None:
    if not stat.S_ISREG(mode):
        raise _unresolved(ref, "is not a regular file; name the file that holds the secret")
    if private and mode & (stat.S_IROTH | stat.S_IWOTH):
        raise _unresolved(ref, f"is open to everybody on this host; run: chmod o-rwx {path}")


def _line(ref: SecretRef, content: bytes) -> str:
    if len(content) > _LARGEST:
        raise _unresolved(ref, "is larger than any secret; name the file that holds only it")
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise _unresolved(ref, "is not UTF-8; write the secret as plain text") from error


def _unresolved(ref: SecretRef, text: str) -> ConfigError:
    return ConfigError([f"{str(ref)!r}: {text}"])
