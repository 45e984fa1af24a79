import os
import pwd
from pathlib import Path

import pytest

from revsyncd.adapters.who import group_name, person, user_name

ME = pwd.getpwuid(os.getuid()).pw_name


def test_the_audit_login_comes_first(tmp_path: Path) -> None:
    """Who logged in is who gives the word, whatever sudo and su made of it."""
    path = tmp_path / "loginuid"
    path.write_text("0\n")
    assert person(path, {"SUDO_USER": "somebody"}) == "root"


@pytest.mark.parametrize("content", ["4294967295\n", "", "nonsense"])
def test_without_an_audit_login(tmp_path: Path, content: str) -> None:
    """Then it is whom sudo names, else the user of the process."""
    path = tmp_path / "loginuid"
    path.write_text(content)
    assert person(path, {"SUDO_USER": "ann"}) == "ann"
    assert person(path, {}) == ME
    assert person(tmp_path / "none", {}) == ME


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[2J"])
def test_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    """What sudo would never write is not taken over into the history."""
    assert person(tmp_path / "none", {"SUDO_USER": name}) == ME


def test_a_user_and_a_group_without_a_name() -> None:
    """A number that nobody has stays a number."""
    assert user_name(4_000_000_000) == group_name(4_000_000_000) == "4000000000"


def test_a_group_is_named_as_ls_names_it() -> None:
    """By the group file."""
    assert group_name(0) == "root"
