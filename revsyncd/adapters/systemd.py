"""What the service manager is told, over its datagram socket; without one, nothing is said.

Source: sd_notify(3). Telling must never harm the work, so no method raises.
"""

import os
import socket
import time
from collections.abc import Mapping
from typing import Self

_PATIENCE = 1.0  # seconds; a manager that does not listen must not stall the daemon


class Notifier:
    """Sends READY, RELOADING, STOPPING, STATUS, WATCHDOG and EXTEND_TIMEOUT to `address`, if there is one."""

    def __init__(self, address: str = "", watchdog_interval: float | None = None) -> None:
        """`address` is $NOTIFY_SOCKET's; `watchdog_interval` the seconds within which a sign is due."""
        self._address = address
        self.watchdog_interval = watchdog_interval

    @classmethod
    def from_environment(cls, env: Mapping[str, str] | None = None) -> Self:
        """As `env` (default: the process's) says; a watchdog meant for another process is ignored."""
        environment = os.environ if env is None else env
        return cls(environment.get("NOTIFY_SOCKET", ""), _watchdog_interval(environment))

    def ready(self, status: str = "") -> None:
        """The daemon is at work; also ends a reload."""
        self._send("READY=1", *_status(status))

    def reloading(self) -> None:
        """A reload has begun; `ready` must follow."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str = "") -> None:
        """The daemon is on its way out."""
        self._send("STOPPING=1", *_status(status))

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(text))

    def watchdog(self) -> None:
        """A sign of life."""
        self._send("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """What is under way, such as a stop, is not cut within so many seconds from now."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _send(self, *lines: str) -> None:
        # A leading "@" stands for the NUL of Linux's abstract namespace; other kinds are not ours.
        if not lines or self._address[:1] not in ("/", "@"):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.settimeout(_PATIENCE)
                out.connect(address)
                out.send("\n".join(lines).encode("utf-8", "backslashreplace"))
        except (OSError, ValueError):
            return


def _status(text: str) -> list[str]:
    """One line whatever stands in `text`: each line of a message is an assignment to the manager."""
    words = "".join(character if character.isprintable() else " " for character in text)
    return [f"STATUS={words}"] if words.strip() else []


def _watchdog_interval(env: Mapping[str, str]) -> float | None:
    try:
        due = int(env.get("WATCHDOG_USEC", ""))
        meant = int(env.get("WATCHDOG_PID") or os.getpid())
    except ValueError:
        return None
    return due / 1e6 if due > 0 and meant == os.getpid() else None
