import os
import re
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from revsyncd.core.places import (
    FolderPlaces,
    Shelf,
    Sidecar,
    beside,
    companion_name,
    corrected_names,
    corrects,
    date_folder,
    drop_ids_in,
    is_correction,
    is_drop_id,
    meant,
    new_drop_id,
    shown,
    sidecar_name,
    upload_name,
    with_drop_id,
)

DROP = new_drop_id(1795409252.12, bytes(range(10)))
OTHER = new_drop_id(1795409253.0, bytes(10))

# What a file system can hand out: 1 to 255 bytes without "/" and NUL, in any encoding or none.
FILE_NAMES = (
    st.binary(min_size=1, max_size=255)
    .map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"-"))
    .map(os.fsdecode)
) | st.text("äé.csv-", min_size=1, max_size=120)


class TestDropIds:
    """What a drop is called everywhere."""

    def test_they_are_26_characters_of_crockfords_alphabet(self) -> None:
        """The first of all and the last of all."""
        assert new_drop_id(0.0, bytes(10)) == "0" * 26
        assert new_drop_id((2**48 - 1) / 1000, b"\xff" * 10) == "7" + "Z" * 25

    def test_the_time_is_that_of_the_ulid_specification(self) -> None:
        """The sample of its reference implementation: 1469918176385 ms is 01ARYZ6S41."""
        assert new_drop_id(1469918176.385, bytes(10)).startswith("01ARYZ6S41")

    @given(
        st.lists(st.integers(min_value=0, max_value=2**40), min_size=2, max_size=2),
        st.binary(min_size=10, max_size=10),
    )
    def test_they_sort_by_time(self, times: list[int], randomness: bytes) -> None:
        """Milliseconds apart are enough, as names sort."""
        early, late = sorted(times)
        ids = [new_drop_id(ms / 1000 + 0.0001, randomness) for ms in (early, late)]
        assert ids == sorted(ids)
        assert all(is_drop_id(each) for each in ids)

    def test_another_amount_of_randomness_is_an_error(self) -> None:
        """Fewer bytes would make ids that meet."""
        with pytest.raises(ValueError, match="10 random bytes"):
            new_drop_id(0.0, b"")

    def test_a_clock_before_1970_is_no_trouble(self) -> None:
        """A machine without a battery starts anywhere."""
        assert new_drop_id(-1.0, bytes(10)) == "0" * 26

    @pytest.mark.parametrize("text", ["", DROP[:-1], DROP + "0", DROP.lower(), "8" + DROP[1:]])
    def test_other_texts_are_no_drop_ids(self, text: str) -> None:
        """Work directories are told from other names by this."""
        assert not is_drop_id(text)


class TestShown:
    """Names for people, JSON and logs."""

    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("orders.csv", "orders.csv"),
            ("Aufträge März.csv", "Aufträge März.csv"),
            ("two\nlines\t.csv", r"two\nlines\t.csv"),
            ("caf\udce9.csv", r"caf\xe9.csv"),
            ("\x1b[31mred", r"\u001b[31mred"),
            ("gpj.\u202eexe", r"gpj.\u202eexe"),
            ("a\\nb", r"a\\nb"),
            ("\U000e0001", r"\U000e0001"),
        ],
    )
    def test_what_does_not_print_is_escaped(self, name: str, expected: str) -> None:
        """Newlines, escape sequences, right-to-left overrides and bytes that are not UTF-8."""
        assert shown(name) == expected

    @given(FILE_NAMES, FILE_NAMES)
    def test_it_is_one_printable_line_that_tells_names_apart(self, one: str, two: str) -> None:
        """Whatever is in the name, it can be written as UTF-8 and stays one line."""
        assert shown(one).isprintable()
        assert shown(one).encode()
        assert (shown(one) == shown(two)) == (one == two)

    @given(FILE_NAMES)
    def test_a_name_can_be_told_back(self, name: str) -> None:
        """Whoever copies what is shown means the file."""
        assert meant(shown(name)) == name

    def test_what_is_no_escape_stays(self) -> None:
        """A backslash before anything else, ASCII as a byte, and what is beyond Unicode."""
        for text in (r"a\q.csv", r"\x41", r"\Uffffffff"):
            assert meant(text) == text


class TestNamesOnDisk:
    """Sidecars, taken names, companions."""

    def test_a_sidecar_is_called_after_its_file(self) -> None:
        """The four of them."""
        names = [sidecar_name("orders.csv", sidecar, DROP) for sidecar in Sidecar]
        assert names == [
            "orders.csv.report.json",
            "orders.csv.errors.csv",
            "orders.csv.rejects.csv",
            "orders.csv.remaining.csv",
        ]

    @given(FILE_NAMES)
    @example("x" * 255)
    @example("ä" * 127)
    def test_every_sidecar_has_a_name_that_fits(self, name: str) -> None:
        """Names of 255 bytes are cut, in whole characters, and hold the drop id then."""
        names = {sidecar_name(name, sidecar, DROP) for sidecar in Sidecar}
        assert len(names) == len(Sidecar)
        for each in names:
            assert len(os.fsencode(each)) <= 255
            assert each.startswith(name) or drop_ids_in(each) == (DROP,)

    @given(FILE_NAMES)
    @example("x" * 255)
    @example("." + "x" * 250)
    def test_a_taken_name_gets_the_drop_id_and_leaves_room(self, name: str) -> None:
        """Its sidecars then need no cutting, so that all of them sort beside it."""
        taken = with_drop_id(name, DROP)
        assert DROP in taken
        for sidecar in Sidecar:
            assert len(os.fsencode(taken + sidecar.value)) <= 255
            assert sidecar_name(taken, sidecar, DROP) == taken + sidecar.value

    def test_the_drop_id_stands_before_the_suffix(self) -> None:
        """The file still opens with the program that its suffix names."""
        assert with_drop_id("orders.csv", DROP) == f"orders.{DROP}.csv"
        assert with_drop_id("orders", DROP) == f"orders.{DROP}"
        assert with_drop_id("orders." + "x" * 20, DROP) == "orders." + "x" * 20 + f".{DROP}"

    def test_a_companion_follows_its_data(self) -> None:
        """Under the name that the data has now."""
        assert companion_name("a.csv", "a.csv", "a.csv.ok", DROP) == "a.csv.ok"
        moved = companion_name(f"a.{DROP}.csv", "a.csv", "a.csv.OK", DROP)
        assert moved == f"a.{DROP}.csv.OK"
        assert len(beside("x" * 255, ".manifest.json", DROP)) == 255


class TestUploadNames:
    """Names that the tenant sees."""

    @pytest.mark.parametrize(
        ("name", "stem"),
        [
            ("orders.csv", "orders"),
            ("Aufträge März.csv", "Auftrage_Marz"),
            ("../../etc/passwd", "_._etc_passwd"),
            ("-rf.csv", "rf"),
            ("caf\udce9.csv", "caf_"),
            ("两.csv", "_"),
            ("....csv", "csv"),
            ("-.-", "drop"),
            ("a\r\nX-Header: 1.csv", "a_X-Header_1"),
        ],
    )
    def test_hostile_names_become_plain(self, name: str, stem: str) -> None:
        """Accents go, everything else that is not plain ASCII becomes an underscore."""
        assert upload_name(name, DROP, 1, 3) == f"{stem}.{DROP}.p001of003.csv"

    @given(FILE_NAMES, st.integers(1, 5000))
    def test_every_name_is_short_plain_ascii(self, name: str, of: int) -> None:
        """No header, path or file system can be troubled by it."""
        upload = upload_name(name, DROP, 1, of)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,119}", upload)
        assert ".." not in upload


class TestCorrections:
    """Whose correction a dropped file is."""

    @pytest.mark.parametrize(
        "name",
        [
            "orders.csv.rejects.csv",
            "orders.rejects.csv",
            "orders.csv.rejects-2.csv",
            "orders.csv.REMAINING.csv",
            "orders.csv.remaining",
            "orders.csv (mended).rejects.csv",
            "orders.csv.rejects.csv.rejects.csv",
            f"orders.{DROP}.csv.rejects.csv",
        ],
    )
    def test_a_sidecar_dropped_again_is_its_files_correction(self, name: str) -> None:
        """Under the name that we gave it, or what a person made of that."""
        assert is_correction(name)
        assert corrects(name, "orders.csv")

    @pytest.mark.parametrize(
        "name",
        ["orders.csv", "orders-2.csv", ".rejects.csv", "rejects.csv", "other.csv.rejects.csv"],
    )
    def test_other_names_correct_nothing(self, name: str) -> None:
        """Neither the same name nor a beginning alone makes a correction."""
        assert not corrects(name, "orders.csv")

    def test_a_beginning_counts_where_a_word_ends(self) -> None:
        """`order` is no forebear of `orders.csv.rejects.csv`, `orders` is."""
        assert not corrects("orders.csv.rejects.csv", "order")
        assert corrects("orders.csv.rejects.csv", "orders")

    def test_the_nearest_forebear_comes_first(self) -> None:
        """A correction of a correction belongs to that, not to the first file."""
        names = corrected_names("orders.csv.rejects.csv.rejects.csv")
        assert names.index("orders.csv.rejects.csv") < names.index("orders.csv")
        assert corrected_names("orders.csv") == ()

    def test_a_drop_id_in_the_name_says_whose_correction_it_is(self) -> None:
        """Names that were cut or taken hold it; a sender's own ids do no harm."""
        cut = sidecar_name("x" * 255, Sidecar.REJECTS, DROP)
        assert corrects(cut, "x" * 255, DROP)
        assert not corrects(cut, "x" * 255, OTHER)
        assert corrects(f"batch-{OTHER}.csv.rejects.csv", f"batch-{OTHER}.csv", DROP)
        assert not corrects(with_drop_id("orders.csv", DROP), "orders.csv", DROP)

    @given(
        FILE_NAMES,
        st.sampled_from([Sidecar.REJECTS, Sidecar.REMAINING]),
        st.sampled_from([str, lambda name: with_drop_id(name, DROP)]),
    )
    def test_whatever_the_file_is_called_its_sidecar_leads_back(
        self, name: str, sidecar: Sidecar, filed_as: Callable[[str], str]
    ) -> None:
        """By the name, or by the drop id where the name was cut."""
        assert corrects(sidecar_name(filed_as(name), sidecar, DROP), name, DROP)


def test_date_folders_are_days_of_the_configured_zone() -> None:
    """The same moment is another day elsewhere; None is the machine's own zone."""
    moment = 1795476600.0  # 2026-11-23T22:50:00Z
    assert date_folder(moment, UTC) == "2026-11-23"
    assert date_folder(moment, ZoneInfo("Asia/Tokyo")) == "2026-11-24"
    assert re.fullmatch(r"2026-11-2[34]", date_folder(moment, None))


def test_a_folder_has_its_places_below_the_root() -> None:
    """As the manual draws them; parts are beside the work directory, where no dropped name is."""
    places = FolderPlaces(Path("/srv/revsync"), "transactions")
    home = Path("/srv/revsync/transactions")
    assert places.inbox == home / "inbox"
    assert places.status == home / "status.txt"
    assert places.day(Shelf.HELD, "2026-11-23") == home / "held/2026-11-23"
    assert places.work_of(DROP) == home / ".work" / DROP
    assert places.parts_of(DROP) == home / ".work" / f"{DROP}.parts"
