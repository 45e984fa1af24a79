from collections.abc import Callable
from pathlib import Path

import pytest

from revsyncd.checks import line_ids
from revsyncd.checks.contract import CheckResult, Dialect, Preparation
from revsyncd.checks.line_ids import INV_LINE_ID, SO_LINE_ID, Match, find, lookup, rebuild

Examine = Callable[..., CheckResult]
CONTENT = 'Id,Type,Amount,Date\r\nA1,i1,1,\r\n"B\r\n2",,1,\r\n,i3,1,\r\nA1 ,i4,1,\r\n'
LABELS = {SO_LINE_ID: "id", INV_LINE_ID: "Type"}


@pytest.fixture
def drop(examine: Examine, parts_directory: Path, tmp_path: Path) -> Path:
    """A checked file, with its index at `ids` beside it."""
    preparation = Preparation(
        parts_directory,
        10,
        line_ids=tmp_path / "ids",
        so_line_id=LABELS[SO_LINE_ID],
        inv_line_id=LABELS[INV_LINE_ID],
    )
    assert examine(CONTENT, preparation=preparation).errors == 0
    return tmp_path / "drop.csv"


def test_the_index_has_16_bytes_a_record(drop: Path) -> None:
    """Entry by entry, zeros where there is no id, and no temporary file is left."""
    data = drop.with_name("ids").read_bytes()
    assert len(data) == 4 * 16
    assert data[16 + 8 : 32] == bytes(8)
    assert data[32:40] == bytes(8)
    assert not drop.with_name("ids.tmp").exists()


def test_find_names_the_candidates_of_each_id(drop: Path) -> None:
    """Outer blanks do not count; what is not there is not named; blank ids find nothing."""
    assert find(drop.with_name("ids"), SO_LINE_ID, ["A1", "B\r\n2", "i1", "", " "]) == {
        "A1": [1, 4],
        "B\r\n2": [2],
    }
    assert find(drop.with_name("ids"), INV_LINE_ID, ["i3", "A1"]) == {"i3": [3]}


def test_lookup_gives_record_and_line_of_each_id(drop: Path) -> None:
    """The line is that of the cell."""
    wanted = {SO_LINE_ID: ["A1"], INV_LINE_ID: ["i3", "i1", "none"]}
    assert lookup(drop, Dialect(), drop.with_name("ids"), LABELS, wanted) == [
        Match("A1", SO_LINE_ID, 1, 2),
        Match("i1", INV_LINE_ID, 1, 2),
        Match("i3", INV_LINE_ID, 3, 5),
        Match("A1", SO_LINE_ID, 4, 6),
    ]


def test_lookup_is_not_deceived_by_equal_hashes(
    drop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cells themselves are compared."""
    monkeypatch.setattr(line_ids, "digest", lambda _: b"same one")
    index = drop.with_name("other")
    rebuild(drop, Dialect(), index, LABELS)
    assert lookup(drop, Dialect(), index, LABELS, {INV_LINE_ID: ["i3"]}) == [
        Match("i3", INV_LINE_ID, 3, 5)
    ]


def test_a_missing_index_is_written_anew_and_is_the_same(drop: Path) -> None:
    """The index is a convenience: the dropped file is the truth."""
    index = drop.with_name("ids")
    before = index.read_bytes()
    index.unlink()
    assert lookup(drop, Dialect(), index, LABELS, {SO_LINE_ID: ["A1"]})
    assert index.read_bytes() == before


def test_columns_that_the_file_lacks_have_no_ids(tmp_path: Path) -> None:
    """A bundle may carry neither id."""
    path, index = tmp_path / "drop.csv", tmp_path / "ids"
    path.write_text("A\r\n1\r\n2\r\n", newline="")
    assert (
        lookup(path, Dialect(), index, {SO_LINE_ID: "", INV_LINE_ID: "B"}, {SO_LINE_ID: ["1"]})
        == []
    )
    assert index.read_bytes() == bytes(32)


def test_unreadable_records_keep_their_entries(tmp_path: Path) -> None:
    """Entries stay in step with record numbers."""
    path, index = tmp_path / "drop.csv", tmp_path / "ids"
    path.write_text('A,B\r\n1,x\r\n2,x"\r\n3,x\r\n4\r\n', newline="")
    rebuild(path, Dialect(), index, {SO_LINE_ID: "A"})
    assert len(index.read_bytes()) == 4 * 16
    assert find(index, SO_LINE_ID, ["3"]) == {"3": [3]}
    assert find(index, SO_LINE_ID, ["2"]) == {}


def test_a_failed_rebuild_leaves_nothing(tmp_path: Path) -> None:
    """Neither an index nor a temporary file."""
    with pytest.raises(FileNotFoundError):
        rebuild(tmp_path / "gone", Dialect(), tmp_path / "ids", LABELS)
    assert list(tmp_path.iterdir()) == []
