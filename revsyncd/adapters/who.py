"""Names of people: who gives a command, even behind sudo or a shared account, and whose a file is."""

import grp
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

# The kernel's audit login: set once by pam_loginuid, kept through su and sudo. See proc_pid_loginuid(5).
_LOGINUID = Path("/proc/self/loginuid")
_NOBODY_LOGGED_IN = 4294967295  # (uid_t) -1


def person(loginuid: Path = _LOGINUID, env: Mapping[str, str] | None = None) -> str:
    """The audit login's name, else $SUDO_USER, else the user of this process."""
    environment = os.environ if env is None else env
    number = _audit_login(loginuid)
    if number is not None:
        return user_name(number)
    sudo = environment.get("SUDO_USER", "")
    return sudo if sudo.isprintable() and sudo else user_name(os.getuid())


def user_name(uid: int) -> str:
    """The user's name, else the number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name, else the number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _audit_login(path: Path) -> int | None:
    try:
        number = int(path.read_text())
    except (OSError, ValueError):  # a kernel without auditing
        return None
    return None if number == _NOBODY_LOGGED_IN else number
