import errno
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from revsyncd.adapters import disk
from revsyncd.adapters.disk import (
    FolderDenied,
    NotRegular,
    OtherFileSystem,
    checked_rename,
    folder_errors,
    make_directory,
    missing,
    open_regular,
    rename_without_overwriting,
    sync_directory,
    sync_file,
)
from revsyncd.core.errors import NoSpace

Rename = Callable[[Path, Path], None]


@pytest.fixture
def socket_file(tmp_path: Path) -> Iterator[Path]:
    """A Unix socket in the file system."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        yield tmp_path / "s"


@pytest.fixture(params=[rename_without_overwriting, checked_rename])
def rename(request: pytest.FixtureRequest) -> Rename:
    """In one step, and in two where the file system does not know how."""
    chosen: Rename = request.param
    return chosen


def test_rename_moves_a_file(tmp_path: Path, rename: Rename) -> None:
    """Also under names that are not UTF-8 or hold a newline."""
    source, target = tmp_path / "a\udcff", tmp_path / "b\n\udcfe"
    source.write_bytes(b"1")
    rename(source, target)
    assert target.read_bytes() == b"1"
    assert not source.exists()


def test_rename_never_overwrites(tmp_path: Path, rename: Rename) -> None:
    """Both files stay as they are."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"1")
    target.write_bytes(b"2")
    with pytest.raises(FileExistsError) as caught:
        rename(source, target)
    assert caught.value.filename2 == str(target)
    assert (source.read_bytes(), target.read_bytes()) == (b"1", b"2")


def test_rename_takes_a_dangling_link_for_a_taken_name(tmp_path: Path, rename: Rename) -> None:
    """A link that leads nowhere is still somebody's."""
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"1")
    target.symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        rename(source, target)


def test_rename_of_what_is_not_there_says_so(tmp_path: Path, rename: Rename) -> None:
    """The caller tells a vanished file from a taken name."""
    with pytest.raises(FileNotFoundError):
        rename(tmp_path / "a", tmp_path / "b")


def test_without_the_kernels_help_rename_takes_two_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A C library without renameat2 is no reason not to run."""
    monkeypatch.setattr(disk, "_renameat2", None)
    (tmp_path / "a").write_bytes(b"1")
    rename_without_overwriting(tmp_path / "a", tmp_path / "b")
    with pytest.raises(FileNotFoundError):
        rename_without_overwriting(tmp_path / "a", tmp_path / "c")


def test_an_einval_of_the_kernel_falls_back_to_two_steps(tmp_path: Path) -> None:
    """A directory into itself is EINVAL in one step and in two: nothing is hidden by falling back."""
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match=r"Invalid argument") as caught:
        rename_without_overwriting(tmp_path / "a", tmp_path / "a" / "b")
    assert caught.value.errno == errno.EINVAL


def test_open_regular_reads_a_file(tmp_path: Path) -> None:
    """The descriptor is closed in child processes."""
    (tmp_path / "a").write_bytes(b"1")
    descriptor = open_regular(tmp_path / "a")
    try:
        assert os.read(descriptor, 9) == b"1"
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_open_regular_refuses_everything_else_without_blocking(
    tmp_path: Path, socket_file: Path
) -> None:
    """A FIFO without a writer would block for ever, a link would be followed."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/etc/passwd")
    for path in (tmp_path / "fifo", tmp_path / "link", socket_file, tmp_path, Path("/dev/null")):
        with pytest.raises(NotRegular):
            open_regular(path)


def test_syncing_needs_no_permission_to_write(tmp_path: Path) -> None:
    """Files of other users are synced through a descriptor for reading."""
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "a").chmod(0o400)
    sync_file(tmp_path / "a")
    sync_directory(tmp_path)


def test_make_directory_is_harmless_when_it_is_there(tmp_path: Path) -> None:
    """Its mode then stays as it is."""
    make_directory(tmp_path / "d", 0o700)
    make_directory(tmp_path / "d", 0o755)
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, NoSpace),
        (errno.EDQUOT, NoSpace),
        (errno.EROFS, NoSpace),
        (errno.EIO, NoSpace),
        (errno.EACCES, FolderDenied),
        (errno.EPERM, FolderDenied),
        (errno.EXDEV, OtherFileSystem),
    ],
)
def test_the_systems_errors_get_a_place_and_a_remedy(
    code: int, expected: type[NoSpace | FolderDenied | OtherFileSystem]
) -> None:
    """The directory is named in the message, what to do in the hint."""
    with pytest.raises(expected) as caught, folder_errors(Path("/srv/in")):
        raise OSError(code, os.strerror(code))
    assert caught.value.message == f"/srv/in: {os.strerror(code)}"
    assert caught.value.hint


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EEXIST, errno.EINVAL])
def test_other_errors_stay_what_they_are(code: int) -> None:
    """Vanished and taken names are for the caller to judge."""
    with pytest.raises(OSError, match=os.strerror(code)) as caught, folder_errors(Path("/srv/in")):
        raise OSError(code, os.strerror(code))
    assert caught.value.errno == code


def test_a_missing_directory_is_named_with_a_remedy() -> None:
    """It may just not be mounted."""
    assert missing(Path("/srv/in")).message == "/srv/in: there is no such directory"
    assert "mount" in missing(Path("/srv/in")).hint
