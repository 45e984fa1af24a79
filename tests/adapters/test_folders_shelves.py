import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from revsyncd.adapters.disk import FolderMissing
from revsyncd.adapters.inbox import claim, entry_at
from revsyncd.adapters.shelves import (
    FileLost,
    lay_out,
    move_sidecars,
    publish,
    remove_work,
    reserve,
    shelve,
    sidecar_path,
    sweep,
    sweep_folder,
)
from revsyncd.core.errors import NoSpace
from revsyncd.core.places import FolderPlaces, Shelf, Sidecar, new_drop_id

DROP = new_drop_id(1795409252.12, bytes(10))
DAY = "2026-11-23"


@pytest.fixture
def places(tmp_path: Path) -> FolderPlaces:
    """A folder with all its directories."""
    places = FolderPlaces(tmp_path, "transactions")
    lay_out(places)
    return places


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def names_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def in_work(places: FolderPlaces, *names: str) -> list[Path]:
    for name in names:
        (places.inbox / name).write_bytes(name.encode())
    entries = [entry_at(places.inbox / name) for name in names]
    claim(places, DROP, entries[0], entries[1] if len(entries) > 1 else None)
    return [places.work_of(DROP) / name for name in names]


class TestLayOut:
    """The directories of a folder."""

    def test_it_makes_what_is_missing_and_keeps_what_is_there(self, places: FolderPlaces) -> None:
        """So it can be run on a folder in use."""
        (places.inbox / "orders.csv").touch()
        places.shelf(Shelf.HELD).rmdir()
        lay_out(places)
        assert names_in(places.home) == [".work", "done", "failed", "held", "inbox"]
        assert names_in(places.inbox) == ["orders.csv"]

    def test_the_root_has_to_be_there(self, tmp_path: Path) -> None:
        """It may just not be mounted: made now, files would vanish below the mount."""
        with pytest.raises(FolderMissing, match="absent: there is no such directory"):
            lay_out(FolderPlaces(tmp_path / "absent", "transactions"))


class TestReserve:
    """Where a file will stand."""

    def test_the_file_keeps_its_name_where_that_is_free(self, places: FolderPlaces) -> None:
        """The date folder is made, and its shelf too if somebody removed it."""
        places.shelf(Shelf.DONE).rmdir()
        target = reserve(places.day(Shelf.DONE, DAY), "orders.csv", DROP)
        assert target == places.home / "done" / DAY / "orders.csv"
        assert names_in(target.parent) == []

    @pytest.mark.parametrize("there", ["", ".report.json", ".errors.csv", ".rejects.csv", ".ok"])
    def test_a_taken_name_gets_the_drop_id(self, places: FolderPlaces, there: str) -> None:
        """Taken by a file, by any of its sidecars or by its marker: evidence stays as it is."""
        directory = places.day(Shelf.HELD, DAY)
        directory.mkdir()
        (directory / f"orders.csv{there}").symlink_to("nowhere")
        target = reserve(directory, "orders.csv", DROP, "orders.csv.ok")
        assert target.name == f"orders.{DROP}.csv"

    def test_a_folder_that_is_gone_is_told(self, places: FolderPlaces) -> None:
        """It is not made again behind somebody's back."""
        directory = FolderPlaces(places.root, "other").day(Shelf.DONE, DAY)
        with pytest.raises(FolderMissing, match="other"):
            reserve(directory, "orders.csv", DROP)


class TestPublish:
    """Whole files, or none."""

    def test_a_file_appears_whole(self, tmp_path: Path) -> None:
        """From bytes or from pieces; nothing else is left in the directory."""
        publish(tmp_path / "a", b"one")
        publish(tmp_path / "b", (piece for piece in (b"o", b"ne")))
        assert names_in(tmp_path) == ["a", "b"]
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"one"

    def test_only_on_request_it_replaces(self, tmp_path: Path) -> None:
        """Our own sidecars have revisions; everything else is evidence."""
        publish(tmp_path / "a", b"one")
        with pytest.raises(FileExistsError):
            publish(tmp_path / "a", b"two")
        assert (tmp_path / "a").read_bytes() == b"one"
        publish(tmp_path / "a", b"three", overwrite=True)
        assert (tmp_path / "a").read_bytes() == b"three"
        assert names_in(tmp_path) == ["a"]

    def test_a_link_in_the_way_is_replaced_and_not_followed(self, tmp_path: Path) -> None:
        """Nobody can make us write elsewhere."""
        (tmp_path / "elsewhere").write_bytes(b"theirs")
        (tmp_path / "a").symlink_to("elsewhere")
        publish(tmp_path / "a", b"ours", overwrite=True)
        assert (tmp_path / "elsewhere").read_bytes() == b"theirs"

    def test_the_longest_names_can_be_published(self, tmp_path: Path) -> None:
        """The temporary name does not grow with the name."""
        publish(tmp_path / ("x" * 255), b"one")
        assert names_in(tmp_path) == ["x" * 255]

    def test_an_error_on_the_way_leaves_nothing(self, tmp_path: Path) -> None:
        """A full disk, met in the middle, becomes NoSpace and the old content stays."""
        publish(tmp_path / "a", b"one")

        def pieces() -> Iterator[bytes]:
            yield b"half"
            Path("/dev/full").write_bytes(b"no room here")

        with pytest.raises(NoSpace):
            publish(tmp_path / "a", pieces(), overwrite=True)
        assert names_in(tmp_path) == ["a"]
        assert (tmp_path / "a").read_bytes() == b"one"

    @pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o640), (0o077, 0o600), (0, 0o640)])
    def test_the_group_may_read_unless_the_umask_forbids(
        self, tmp_path: Path, mask: int, mode: int
    ) -> None:
        """0640 and the umask."""
        with umask(mask):
            publish(tmp_path / "a", b"one")
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
    def test_a_setgid_directory_gives_its_group(self, places: FolderPlaces) -> None:
        """To the sidecars and to the date folders: accountants read through that group."""
        os.chown(places.shelf(Shelf.DONE), -1, 4711)
        places.shelf(Shelf.DONE).chmod(0o2750)
        target = reserve(places.day(Shelf.DONE, DAY), "orders.csv", DROP)
        publish(target, b"one")
        assert target.stat().st_gid == 4711
        assert target.parent.stat().st_mode & 0o7777 == 0o2750


class TestShelve:
    """The settled file appears."""

    def test_file_and_companion_are_moved(self, places: FolderPlaces) -> None:
        """Under the target's name, with their bytes."""
        data, marker = in_work(places, "orders.csv", "orders.csv.ok")
        (places.day(Shelf.DONE, DAY)).mkdir()
        target = places.day(Shelf.DONE, DAY) / f"orders.{DROP}.csv"
        shelve(data, target, DROP, marker)
        assert names_in(target.parent) == [f"orders.{DROP}.csv", f"orders.{DROP}.csv.ok"]
        assert target.read_bytes() == b"orders.csv"
        assert names_in(places.work_of(DROP)) == []

    def test_repeating_it_is_harmless(self, places: FolderPlaces) -> None:
        """After a crash at any point: before, between, after, and with the work directory gone."""
        data, marker = in_work(places, "orders.csv", "orders.csv.ok")
        target = reserve(places.day(Shelf.DONE, DAY), "orders.csv", DROP, marker.name)
        marker.rename(target.with_name("orders.csv.ok"))
        shelve(data, target, DROP, marker)
        shelve(data, target, DROP, marker)
        assert remove_work(places, DROP)
        shelve(data, target, DROP, marker)
        assert names_in(target.parent) == ["orders.csv", "orders.csv.ok"]

    def test_a_name_that_somebody_took_is_not_overwritten(self, places: FolderPlaces) -> None:
        """The file stays in work, and another name can be reserved."""
        (data,) = in_work(places, "orders.csv")
        target = reserve(places.day(Shelf.DONE, DAY), "orders.csv", DROP)
        target.write_bytes(b"theirs")
        with pytest.raises(FileExistsError):
            shelve(data, target, DROP)
        assert (target.read_bytes(), data.read_bytes()) == (b"theirs", b"orders.csv")

    def test_a_file_that_is_nowhere_is_told(self, places: FolderPlaces) -> None:
        """Both places are named, without a line break from the name."""
        (data,) = in_work(places, "two\nlines.csv")
        target = reserve(places.day(Shelf.DONE, DAY), data.name, DROP)
        data.unlink()
        with pytest.raises(FileLost) as caught:
            shelve(data, target, DROP)
        assert str(places.work) in caught.value.message
        assert str(target.parent) in caught.value.message
        assert "\n" not in caught.value.message

    def test_sidecars_follow_a_drop_to_another_shelf(self, places: FolderPlaces) -> None:
        """When a person's word moves it; a newer one there stays; once more does no harm."""
        old = reserve(places.day(Shelf.HELD, DAY), "orders.csv", DROP)
        new = reserve(places.day(Shelf.FAILED, DAY), "orders.csv", DROP)
        for sidecar in (Sidecar.REPORT, Sidecar.ERRORS):
            publish(sidecar_path(old, sidecar, DROP), b"old")
        publish(sidecar_path(new, Sidecar.REPORT, DROP), b"new")
        move_sidecars(old, new, DROP)
        move_sidecars(old, new, DROP)
        assert names_in(old.parent) == []
        assert names_in(new.parent) == ["orders.csv.errors.csv", "orders.csv.report.json"]
        assert sidecar_path(new, Sidecar.REPORT, DROP).read_bytes() == b"new"


class TestRemoveWork:
    """What we prepared goes."""

    def test_parts_and_the_empty_directory_are_removed(self, places: FolderPlaces) -> None:
        """Once more is harmless."""
        (data,) = in_work(places, "orders.csv")
        places.parts_of(DROP).mkdir()
        (places.parts_of(DROP) / "p001").write_bytes(b"1")
        data.unlink()
        assert remove_work(places, DROP)
        assert remove_work(places, DROP)
        assert names_in(places.work) == []

    def test_a_dropped_file_is_never_removed(self, places: FolderPlaces) -> None:
        """The directory stays with it."""
        (data,) = in_work(places, "orders.csv")
        places.parts_of(DROP).mkdir()
        assert not remove_work(places, DROP)
        assert data.read_bytes() == b"orders.csv"
        assert not places.parts_of(DROP).exists()

    def test_what_is_no_directory_is_an_error(self, places: FolderPlaces) -> None:
        """Something else stands where our work directory was: a person must look."""
        places.work_of(DROP).touch()
        with pytest.raises(NotADirectoryError):
            remove_work(places, DROP)


class TestSweep:
    """Temporary files that a crash left."""

    def test_only_what_an_earlier_process_left_is_removed(self, tmp_path: Path) -> None:
        """Other names stay, and so do directories and what this process is writing."""
        (tmp_path / ".revsyncd-1-abcd-0.tmp").touch()
        (tmp_path / ".revsyncd-1-abcd-1.tmp").mkdir()
        (tmp_path / ".revsyncd").touch()
        (tmp_path / "orders.tmp").touch()

        def pieces() -> Iterator[bytes]:
            yield b"half"
            assert sweep(tmp_path) == 1
            yield b"whole"

        publish(tmp_path / "a", pieces())
        assert names_in(tmp_path) == [".revsyncd", ".revsyncd-1-abcd-1.tmp", "a", "orders.tmp"]

    def test_all_places_where_a_folder_publishes_are_swept(self, places: FolderPlaces) -> None:
        """Beside status.txt and in the date folders; the inbox is not ours to sweep."""
        day = places.day(Shelf.FAILED, DAY)
        day.mkdir()
        for directory in (places.home, day, places.inbox):
            (directory / ".revsyncd-1-abcd-0.tmp").touch()
        assert sweep_folder(places) == 2
        assert names_in(places.inbox) == [".revsyncd-1-abcd-0.tmp"]

    def test_a_directory_that_is_gone_has_nothing_to_sweep(self, tmp_path: Path) -> None:
        """A folder may be missing at the start."""
        assert sweep(tmp_path / "absent") == 0
