"""The socket of the listener, and what of others it leaves alone."""

import os
import socket
import stat
from pathlib import Path

import pytest
from web_clients import GET, at, body_of, serving

from revsyncd.adapters.web import open_door
from revsyncd.config import Listen
from revsyncd.core.errors import RevsyncdError


def refused(listen: Listen) -> RevsyncdError:
    with pytest.raises(RevsyncdError) as caught, open_door(listen, 0o600):
        pass
    assert str(listen) in caught.value.message
    assert caught.value.hint
    return caught.value


def leave_behind(path: Path) -> None:
    """A socket as a killed process leaves it."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
def test_a_unix_socket_has_its_mode_whatever_the_umask(tmp_path: Path, mode: int) -> None:
    """Who may connect is as configured; at the end the file is gone."""
    path = tmp_path / "http.sock"
    before = os.umask(0o077)
    try:
        with open_door(at(path), mode):
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)
    assert not path.exists()


async def test_it_is_served_at_a_unix_socket(tmp_path: Path) -> None:
    """The same question, the same answer."""
    async with serving(listen=at(tmp_path / "http.sock")) as it:
        assert body_of(await it.ask(GET)) == b"GET /"


async def test_it_is_served_over_ipv6() -> None:
    """Where the host has it."""
    try:
        async with serving(listen=Listen("::1", 0)) as it:
            assert body_of(await it.ask(GET)) == b"GET /"
    except RevsyncdError as error:
        assert "http.listen: [::1]:0 can't be had" in error.message  # noqa: PT017  (a host without IPv6)


def test_a_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    """A killed daemon's next start finds its own."""
    path = tmp_path / "http.sock"
    leave_behind(path)
    with open_door(at(path), 0o600), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_a_socket_at_which_somebody_listens_is_left_alone(tmp_path: Path) -> None:
    """Another instance goes on being reached."""
    path = tmp_path / "http.sock"
    with open_door(at(path), 0o600):
        assert "another process listens" in refused(at(path)).message
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """Files, links (those to sockets, too) and directories stay as they are."""
    left = tmp_path / "left.sock"
    leave_behind(left)
    (tmp_path / "file").write_text("precious")
    (tmp_path / "link").symlink_to(left)
    (tmp_path / "directory").mkdir()
    for name in ("file", "link", "directory"):
        assert "no socket" in refused(at(tmp_path / name)).message
    assert (tmp_path / "file").read_text() == "precious"
    assert (tmp_path / "link").is_symlink()
    assert left.is_socket()


def test_another_users_socket_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even one that nobody listens at."""
    path = tmp_path / "http.sock"
    leave_behind(path)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert "another user's socket" in refused(at(path)).message
    assert path.is_socket()


def test_what_took_our_place_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """At the end only our own socket is removed."""
    path = tmp_path / "http.sock"
    with open_door(at(path), 0o600):
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"


def test_a_place_that_cant_be_had(tmp_path: Path) -> None:
    """No such directory, an address of another host, a port that is taken: each says what to do."""
    refused(at(tmp_path / "nowhere" / "http.sock"))
    refused(Listen("192.0.2.1", 9464))  # an address for documentation, nobody's
    with open_door(Listen("127.0.0.1", 0), 0) as other:
        refused(Listen("127.0.0.1", other.getsockname()[1]))
