"""What OpenSSH's client really leaves in a folder, one fact at a time."""

import os
import subprocess
from pathlib import Path

import pytest
import sftp_server as sftp
from sftp_server import SftpServer, SshdError

LONG_AGO = 1_000_000_000  # 2001


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """The folder that is written into."""
    folder = tmp_path / "in box"
    folder.mkdir()
    return folder


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A file of 200 kB with an old modification time."""
    path = tmp_path / 'local "copy".csv'
    path.write_bytes(b"0123456789abcdef" * 12_500)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_put_arrives_byte_for_byte(sftp_server: SftpServer, inbox: Path, local: Path) -> None:
    """A plain put writes the bytes under the final name, with the time of writing."""
    sftp_server.put(local, inbox / "orders.csv")
    arrived = inbox / "orders.csv"
    assert arrived.read_bytes() == local.read_bytes()
    assert arrived.stat().st_mtime > LONG_AGO + 1


def test_put_p_keeps_an_old_time(sftp_server: SftpServer, inbox: Path, local: Path) -> None:
    """`put -p` makes a new file look years old: its age says nothing about completeness."""
    sftp_server.put_preserving(local, inbox / "orders.csv")
    assert (inbox / "orders.csv").stat().st_mtime == LONG_AGO


@pytest.mark.parametrize("plain", [False, True])
def test_put_and_rename_leaves_one_file(
    sftp_server: SftpServer, inbox: Path, local: Path, *, plain: bool
) -> None:
    """Both kinds of rename end with the final name alone."""
    final = inbox / "orders.csv"
    sftp_server.put_then_rename(local, inbox / "orders.csv.filepart", final, plain=plain)
    assert [path.name for path in inbox.iterdir()] == ["orders.csv"]
    assert final.read_bytes() == local.read_bytes()


def test_a_plain_rename_replaces_nothing_and_the_other_does(
    sftp_server: SftpServer, inbox: Path, local: Path
) -> None:
    """Only the posix-rename extension takes a name that is in use."""
    final, temporary = inbox / "orders.csv", inbox / "orders.part"
    final.write_bytes(b"earlier")
    with pytest.raises(subprocess.CalledProcessError):
        sftp_server.put_then_rename(local, temporary, final, plain=True)
    assert final.read_bytes() == b"earlier"
    sftp_server.put_then_rename(local, temporary, final, plain=False)
    assert final.read_bytes() == local.read_bytes()


def test_a_killed_client_leaves_a_cut_file_under_the_final_name(
    sftp_server: SftpServer, inbox: Path, local: Path
) -> None:
    """At 60 % the client dies: the file has its final name and a part of its bytes, for good."""
    whole = local.read_bytes()
    final = inbox / "orders.csv"
    client = sftp_server.start_slow_put(local, final, rate=1600)
    sftp.await_size(final, len(whole) * 6 // 10)
    sftp.kill(client)
    assert sftp_server.wait_for_log(sftp.CLIENT_LOST)
    cut = final.read_bytes()
    assert len(whole) * 6 // 10 <= len(cut) < len(whole)
    assert whole.startswith(cut)


def test_a_slow_put_that_is_left_alone_arrives_whole(
    sftp_server: SftpServer, inbox: Path, local: Path
) -> None:
    """The slow client is an ordinary one: it ends well."""
    client = sftp_server.start_slow_put(local, inbox / "orders.csv", rate=16_000)
    assert client.wait(60) == 0
    assert (inbox / "orders.csv").read_bytes() == local.read_bytes()


def test_a_file_that_never_grows_is_told(inbox: Path) -> None:
    """Waiting for bytes is bounded in looks, not only in hope."""
    with pytest.raises(AssertionError, match="never reached 5 bytes"):
        sftp.await_size(inbox / "orders.csv", 5, looks=1)


def test_an_sshd_that_can_not_start_says_why(tmp_path: Path) -> None:
    """What it printed last is the error's text."""
    broken = tmp_path / "sshd"
    broken.write_text("#!/bin/sh\necho 'no such thing' >&2\nexit 1\n")
    broken.chmod(0o755)
    with pytest.raises(SshdError, match="no such thing"), SftpServer(str(broken), tmp_path):
        pass
