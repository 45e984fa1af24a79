import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from revsyncd.adapters.disk import FolderDenied, FolderMissing, OtherFileSystem
from revsyncd.adapters.inbox import (
    Changed,
    Claimed,
    InWork,
    claim,
    entry_at,
    give_back,
    in_work,
    look,
)
from revsyncd.adapters.shelves import lay_out
from revsyncd.core.places import FolderPlaces, new_drop_id
from revsyncd.core.settle import Entry

DROP = new_drop_id(1795409252.12, bytes(10))
NOBODY = 65534
HOSTILE = ["two\nlines.csv", '"quoted".csv', "-rf.csv", "..csv", "x" * 255, "caf\udce9.csv", " "]


@pytest.fixture
def places(tmp_path: Path) -> FolderPlaces:
    """A folder with all its directories, owned by us."""
    places = FolderPlaces(tmp_path, "transactions")
    lay_out(places)
    return places


@pytest.fixture
def shared() -> Iterator[FolderPlaces]:
    """A folder that any user can reach, so that it can be used without root's powers."""
    with tempfile.TemporaryDirectory() as directory:
        places = FolderPlaces(Path(directory), "transactions")
        lay_out(places)
        for path in (places.root, places.home, places.inbox, places.work):
            path.chmod(0o777)
        yield places
        places.inbox.chmod(0o777)


@contextmanager
def without_roots_powers() -> Iterator[None]:
    """Root may read and rename everything; for a while, be nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def drop(places: FolderPlaces, name: str, data: bytes = b"a\r\n1\r\n") -> Entry:
    path = places.inbox / name
    path.write_bytes(data)
    return entry_at(path)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


class TestLook:
    """The full listing."""

    def test_it_lists_everything_without_following_links(self, places: FolderPlaces) -> None:
        """Files, directories, links and FIFOs, hostile names among them."""
        for name in HOSTILE:
            drop(places, name, b"12345")
        (places.inbox / "link").symlink_to("/etc/passwd")
        (places.inbox / "dir").mkdir()
        os.mkfifo(places.inbox / "fifo")
        entries = {entry.name: entry for entry in look(places.inbox)}
        assert sorted(entries) == sorted([*HOSTILE, "link", "dir", "fifo"])
        assert {entries[name].size for name in HOSTILE} == {5}
        assert [n for n, e in sorted(entries.items()) if not e.is_file] == ["dir", "fifo", "link"]
        assert entries["dir"].is_directory

    def test_its_entries_tell_what_lstat_tells(self, places: FolderPlaces) -> None:
        """Times in nanoseconds, inode, links and owner."""
        path = places.inbox / "orders.csv"
        drop(places, "orders.csv")
        os.utime(path, ns=(1, 2))
        seen = path.lstat()
        assert look(places.inbox) == [
            Entry(
                "orders.csv",
                seen.st_mode,
                6,
                2,
                seen.st_ctime_ns,
                seen.st_ino,
                seen.st_dev,
                1,
                os.geteuid(),
                os.getegid(),
            )
        ]

    def test_a_missing_inbox_is_told_from_one_that_is_denied(self, shared: FolderPlaces) -> None:
        """The first may be unmounted, the second needs permissions."""
        shared.inbox.chmod(0)
        with without_roots_powers(), pytest.raises(FolderDenied):
            look(shared.inbox)
        with pytest.raises(FolderMissing):
            look(shared.home / "other")
        (shared.home / "file").touch()
        with pytest.raises(FolderMissing):
            look(shared.home / "file")


class TestClaim:
    """From the inbox into work."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_a_file_is_moved_with_its_bytes(self, places: FolderPlaces, name: str) -> None:
        """Whatever it is called."""
        entry = drop(places, name, b"123")
        claimed = claim(places, DROP, entry, None)
        path = places.work_of(DROP) / name
        assert claimed == Claimed(DROP, path, None, entry_at(path), unchanged=True, readable=True)
        assert path.read_bytes() == b"123"
        assert names_in(places.inbox) == []

    def test_the_companion_comes_along(self, places: FolderPlaces) -> None:
        """Both are in one work directory then, and nothing else."""
        entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
        claimed = claim(places, DROP, entry, marker)
        assert claimed.companion == places.work_of(DROP) / "orders.csv.ok"
        assert names_in(places.work_of(DROP)) == ["orders.csv", "orders.csv.ok"]

    def test_the_work_directory_is_ours_alone(self, places: FolderPlaces) -> None:
        """What is in work can be read by nobody else, whatever the file's own mode."""
        claim(places, DROP, drop(places, "orders.csv"), None)
        assert places.work_of(DROP).stat().st_mode & 0o777 == 0o700

    def test_dot_work_is_made_when_it_is_missing(self, places: FolderPlaces) -> None:
        """Somebody tidied up."""
        places.work.rmdir()
        claim(places, DROP, drop(places, "orders.csv"), None)
        assert names_in(places.work_of(DROP)) == ["orders.csv"]

    def test_what_was_written_to_since_the_look_stays(self, places: FolderPlaces) -> None:
        """Nothing is taken, no work directory is left behind."""
        entry = drop(places, "orders.csv")
        drop(places, "orders.csv", b"longer than before")
        with pytest.raises(Changed):
            claim(places, DROP, entry, None)
        assert names_in(places.inbox) == ["orders.csv"]
        assert names_in(places.work) == []

    def test_what_was_replaced_by_a_link_stays(self, places: FolderPlaces) -> None:
        """The link is not followed; it is told at the next look."""
        entry = drop(places, "orders.csv")
        (places.inbox / "orders.csv").unlink()
        (places.inbox / "orders.csv").symlink_to("/etc/passwd")
        with pytest.raises(Changed):
            claim(places, DROP, entry, None)

    def test_what_vanished_is_not_claimed(self, places: FolderPlaces) -> None:
        """The sender took it back; its companion stays where it is."""
        entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
        (places.inbox / "orders.csv").unlink()
        with pytest.raises(Changed):
            claim(places, DROP, entry, marker)
        assert names_in(places.inbox) == ["orders.csv.ok"]

    def test_a_companion_that_vanished_keeps_its_data_in_the_inbox(
        self, places: FolderPlaces
    ) -> None:
        """Without its manifest the data would be taken as having none."""
        entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
        (places.inbox / "orders.csv.ok").unlink()
        with pytest.raises(Changed):
            claim(places, DROP, entry, marker)
        assert names_in(places.inbox) == ["orders.csv"]

    def test_a_writer_that_goes_on_is_noticed_later(self, places: FolderPlaces) -> None:
        """A sender may write into a file that was renamed, and is told of success."""
        entry = drop(places, "orders.csv")
        with (places.inbox / "orders.csv").open("ab") as writer:
            claimed = claim(places, DROP, entry, None)
            assert claimed.unchanged
            writer.write(b"more")
        assert entry_at(claimed.path).fingerprint != claimed.entry.fingerprint

    def test_a_link_is_claimed_as_it_is(self, places: FolderPlaces) -> None:
        """What is no file goes to held, and so through work; it is never opened."""
        (places.inbox / "link").symlink_to("/etc/passwd")
        claimed = claim(places, DROP, entry_at(places.inbox / "link"), None)
        assert not claimed.readable
        assert claimed.path.readlink() == Path("/etc/passwd")

    def test_what_may_not_be_read_is_claimed_and_told(self, shared: FolderPlaces) -> None:
        """It goes to held as unreadable, instead of stopping the folder."""
        entry = drop(shared, "orders.csv")
        (shared.inbox / "orders.csv").chmod(0)
        entry = entry_at(shared.inbox / "orders.csv")
        with without_roots_powers():
            claimed = claim(shared, DROP, entry, None)
            assert not claimed.readable
            assert entry_at(claimed.path).inode == entry.inode

    def test_an_inbox_that_may_not_be_written_is_denied(self, shared: FolderPlaces) -> None:
        """Nothing is left behind in work."""
        entry = drop(shared, "orders.csv")
        shared.inbox.chmod(0o555)
        with without_roots_powers(), pytest.raises(FolderDenied):
            claim(shared, DROP, entry, None)
        assert names_in(shared.work) == []

    def test_an_inbox_that_keeps_files_to_their_owners_is_denied_with_the_remedy(
        self, shared: FolderPlaces
    ) -> None:
        """Under a sticky bit, other users' files can't be moved out: more rights would not help."""
        entry = drop(shared, "orders.csv")
        shared.inbox.chmod(0o1777)
        with without_roots_powers():
            if os.geteuid() == entry.uid:
                pytest.skip("only root can make a file of another user's")
            with pytest.raises(FolderDenied) as denied:
                claim(shared, DROP, entry, None)
        assert denied.value.hint.endswith(f"chmod -t {shared.inbox}")
        assert names_in(shared.work) == []

    def test_work_on_another_file_system_is_an_error_with_a_remedy(
        self, places: FolderPlaces
    ) -> None:
        """The file and its companion stay in the inbox."""
        with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
            if Path(elsewhere).stat().st_dev == places.root.stat().st_dev:
                pytest.skip("no second file system here")
            places.work.rmdir()
            places.work.symlink_to(elsewhere)
            entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
            with pytest.raises(OtherFileSystem) as caught:
                claim(places, DROP, entry, marker)
            assert "ReadWritePaths" in caught.value.hint
            assert names_in(Path(elsewhere)) == []
        assert names_in(places.inbox) == ["orders.csv", "orders.csv.ok"]


class TestAfterACrash:
    """What is found in work."""

    def test_work_directories_are_found_with_their_names(self, places: FolderPlaces) -> None:
        """Prepared parts and other people's things are none."""
        entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
        claim(places, DROP, entry, marker)
        places.parts_of(DROP).mkdir()
        (places.work / "notes").mkdir()
        (places.work / new_drop_id(0.0, bytes(10))).touch()
        names = ("orders.csv", "orders.csv.ok")
        assert in_work(places) == [InWork(DROP, places.work_of(DROP), names)]

    def test_without_dot_work_there_is_nothing_in_work(self, places: FolderPlaces) -> None:
        """As before the first claim."""
        places.work.rmdir()
        assert in_work(places) == []

    def test_a_claim_that_nothing_knows_of_is_undone(self, places: FolderPlaces) -> None:
        """The companion goes last: it is not older than its data then."""
        entry, marker = drop(places, "orders.csv"), drop(places, "orders.csv.ok")
        claim(places, DROP, entry, marker)
        back = give_back(places, DROP, "orders.csv.ok")
        assert back == [places.inbox / "orders.csv", places.inbox / "orders.csv.ok"]
        assert names_in(places.work) == []
        data, companion = (entry_at(path) for path in back)
        assert companion.ctime_ns >= data.ctime_ns

    def test_giving_back_never_overwrites(self, places: FolderPlaces) -> None:
        """A newer file of the same name is there: the older one stays in work for now."""
        claim(places, DROP, drop(places, "orders.csv", b"old"), None)
        drop(places, "orders.csv", b"new")
        assert give_back(places, DROP) == []
        assert (places.inbox / "orders.csv").read_bytes() == b"new"
        assert (places.work_of(DROP) / "orders.csv").read_bytes() == b"old"
