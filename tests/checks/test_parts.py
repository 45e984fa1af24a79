"""The parts: what the tenant gets, cell by cell, and where it is cut."""

import csv
import errno
import hashlib
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_parts import bytes_of, in_place, rows

from revsyncd.checks import engine
from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Dialect,
    Manifest,
    Preparation,
    PreparedPart,
    Rules,
)
from revsyncd.checks.parts import PartsWriter
from revsyncd.checks.runs import Run
from revsyncd.core.errors import CheckFailed, NoSpace
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

Examine = Callable[..., CheckResult]
HEADER = "Id,Type,Amount,Date\r\n"


def record(number: int, kind: str = "SO") -> str:
    return f"{number},{kind},{number}.5,\r\n"


def test_parts_hold_every_record_once_with_the_header_repeated(
    examine: Examine, parts_directory: Path
) -> None:
    """1,300 records in parts of 500 are three parts that describe themselves exactly."""
    cells = [[str(n), 'x "y", z\nw' if n % 3 else "Zo\xeb", f"{n}.5", ""] for n in range(1, 1301)]
    content = HEADER + "".join(
        ",".join('"' + cell.replace('"', '""') + '"' for cell in row) + "\r\n" for row in cells
    )
    result = examine(content, preparation=Preparation(parts_directory, 500))
    assert [row for part in result.parts for row in rows(part)[1:]] == cells
    assert all(rows(part)[0] == ["Id", "Type", "Amount", "Date"] for part in result.parts)
    assert [(p.part, p.of, p.records, p.ranges) for p in result.parts] == [
        (1, 3, 500, ((1, 500),)),
        (2, 3, 500, ((501, 1000),)),
        (3, 3, 300, ((1001, 1300),)),
    ]
    for part in result.parts:
        data = bytes_of(part)
        assert (part.size, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert in_place(part) or part.path.parent == parts_directory
    assert [part.first_record for part in result.parts] == [1, 501, 1001]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.text(alphabet='ab,";\r\n \xe9', max_size=4), min_size=3, max_size=3),
        min_size=1,
        max_size=9,
    ),
    st.permutations([0, 1, 2]),
    st.sampled_from([",", ";"]),
    st.integers(1, 4),
)
def test_cells_arrive_as_dropped(
    tmp_path_factory: pytest.TempPathFactory,
    cells: list[list[str]],
    order: list[int],
    delimiter: str,
    most: int,
) -> None:
    """Any cells, in any order of columns, with any delimiter, are the same cells in the mapping's order."""
    directory = tmp_path_factory.mktemp("parts")
    labels = ["A", "B", "C"]
    mapping = Mapping("", tuple(MappedColumn(x, x, ColumnType.CHARACTER) for x in labels))
    path = directory.with_suffix(".csv")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerow([labels[i] for i in order])
        writer.writerows([row[i] for i in order] for row in cells)
    job = CheckJob(
        path, mapping, Dialect(delimiter=delimiter), Rules(), None, Preparation(directory, most)
    )
    result = engine.check(job)
    assert [row for part in result.parts for row in rows(part)[1:]] == cells
    assert all(part.records <= most for part in result.parts)


@pytest.mark.parametrize("quote", ["", '"'])
def test_only_newlines_end_a_line(examine: Examine, parts_directory: Path, quote: str) -> None:
    """What Unicode calls a line or paragraph separator is a character like others."""
    cells = ["a\u2028b", "c\u2029d", "1", ""]
    row = ",".join(quote + cell + quote for cell in cells) + "\r\n"
    result = examine(HEADER + row * 40, preparation=Preparation(parts_directory, 100))
    assert rows(result.parts[0])[1:] == [cells] * 40


def test_columns_are_sent_in_the_mappings_order_under_its_labels(
    examine: Examine, parts_directory: Path
) -> None:
    """A missing column is sent empty and an unknown one not at all, where the levels allow it."""
    rules = Rules(levels={"header.missing": "warn", "header.unknown": "off", "header.blank": "off"})
    result = examine(
        "date,note,ID,amount,\r\n01-JAN-2026,x,7,1.5,\r\n",
        rules,
        preparation=Preparation(parts_directory, 5),
    )
    assert rows(result.parts[0]) == [
        ["Id", "Type", "Amount", "Date"],
        ["7", "", "1.5", "01-JAN-2026"],
    ]


def test_the_withheld_end_begins_inside_the_last_record(
    examine: Examine, parts_directory: Path
) -> None:
    """What goes before holds all earlier records and a last one that no reader takes for whole."""
    long_end = "2,SO,1,\r\n3,SO,1,\r\n".replace("3,SO,1,", '3,"' + "x" * 200 + '",1,')
    result = examine(HEADER + long_end, preparation=Preparation(parts_directory, 9))
    part = result.parts[0]
    data = bytes_of(part)
    assert data.rindex(b"\n3") + 1 < part.cut < part.size - 2
    last = list(csv.reader(data[: part.cut].decode().splitlines()))[-1]
    assert len(last) < 4


def test_the_cut_of_a_record_with_one_long_last_cell_keeps_its_delimiter_back(
    examine: Examine, parts_directory: Path
) -> None:
    """Half of such a record would be one whose last cell is merely shorter."""
    mapping = Mapping("", tuple(MappedColumn(x, x, ColumnType.CHARACTER) for x in "AB"))
    content = f"A,B\r\n1,{'x' * 99}\r\n"
    part = examine(content, mapping=mapping, preparation=Preparation(parts_directory, 9)).parts[0]
    assert bytes_of(part)[: part.cut] == b"A,B\r\n1"


@pytest.mark.parametrize(
    ("keys", "most", "expected"),
    [
        ("aabbcc", 4, ["aabb", "cc"]),
        ("aabbcc", 3, ["aa", "bb", "cc"]),
        ("abbbc", 3, ["a", "bbb", "c"]),
        ("aaabbb", 3, ["aaa", "bbb"]),
        ("abcabc", 4, ["abca", "bc"]),
        ("aabbb", 4, ["aa", "bbb"]),
    ],
)
@pytest.mark.parametrize("at_once", [1, 2, 100])
def test_neighbours_with_equal_values_stay_together(
    parts_directory: Path, keys: str, most: int, expected: list[str], at_once: int
) -> None:
    """A cut never falls inside a group, however the records come in."""
    writer = PartsWriter(Preparation(parts_directory, most), ["Key", "N"])
    for at in range(0, len(keys), at_once):
        batch = keys[at : at + at_once]
        numbers = [at + i + 1 for i in range(len(batch))]
        lines = [f"{key},{n}\r\n" for key, n in zip(batch, numbers, strict=True)]
        writer.add_groups(Run.of(numbers, "".join(lines)), [(key,) for key in batch])
    parts = writer.finish()
    assert ["".join(row[0] for row in rows(part)[1:]) for part in parts] == expected
    assert [row[1] for part in parts for row in rows(part)[1:]] == [
        str(n + 1) for n in range(len(keys))
    ]
    for part, held in zip(parts, expected, strict=True):
        data = bytes_of(part)
        assert (part.size, part.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert part.records == len(held)
        assert part.ranges == ((part.first_record, part.first_record + len(held) - 1),)
        assert data[: part.cut].count(b"\n") == len(held)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize(
    ("together", "expected"),
    [(("Id",), [["A", "", "", "B"], ["C", "", ""]]), ((), [["A", "", "", "B", "C", "", ""]])],
)
def test_a_part_never_ends_inside_a_bundle(
    examine: Examine,
    parts_directory: Path,
    together: tuple[str, ...],
    expected: list[list[str]],
    rows: int,
) -> None:
    """Children that name no bundle stay with their parent; where none is named, nothing is cut."""
    ids = [["A", "", "", "B", "C", "", ""]] * rows
    content = HEADER + "".join(f"{cell},SO,1,\r\n" for group in ids for cell in group)
    most = 4 if together else 7 * rows
    preparation = Preparation(parts_directory, most, keep_together=together, bundles=True)
    result = examine(content, preparation=preparation)
    found = [[row[0] for row in rows_of(part)] for part in result.parts]
    assert found == (expected * rows if together else [expected[0] * rows])


def rows_of(part: PreparedPart) -> list[list[str]]:
    return rows(part)[1:]


def test_a_file_whose_bundles_are_unknown_is_not_cut(
    examine: Examine, parts_directory: Path
) -> None:
    """It is refused with the key that names them."""
    content = HEADER + record(1) * 5
    result = examine(content, preparation=Preparation(parts_directory, 4, bundles=True))
    assert (result.by_code, result.parts) == ({"file.group": 1}, ())
    assert "keep_together" in result.problems[0].message


def test_a_group_larger_than_a_part_refuses_the_file(
    examine: Examine, parts_directory: Path
) -> None:
    """It can't be sent as the folder asks: nothing is, and the message names the way out."""
    content = HEADER + record(1) + "".join(record(n, "INV") for n in range(2, 6)) + record(6)
    preparation = Preparation(parts_directory, 3, keep_together=("Type",))
    result = examine(content, preparation=preparation)
    assert [(p.code, p.line, p.record) for p in result.problems] == [("file.group", 6, 5)]
    assert "max_records_per_upload" in result.problems[0].message
    assert (result.file_refused, result.parts) == (True, ())
    assert list(parts_directory.iterdir()) == []


def test_nothing_is_prepared_when_one_cell_is_bad(examine: Examine, parts_directory: Path) -> None:
    """Under reject the whole file waits for its correction."""
    index = parts_directory.parent / "ids"
    result = examine(
        HEADER + record(1) + "2,SO,x,\r\n",
        preparation=Preparation(parts_directory, 1, line_ids=index, so_line_id="Id"),
    )
    assert (result.parts, result.file_refused, result.rejected) == ((), False, ((2, 2),))
    assert list(parts_directory.iterdir()) == []
    assert not index.exists()


def test_under_split_the_good_records_go(examine: Examine, parts_directory: Path) -> None:
    """Those with errors are left out, warnings are not errors, totals speak of the whole file."""
    content = (
        HEADER
        + "".join(map(record, range(1, 4)))
        + "4,SO\r\n5,SO,x,\r\n"
        + record(6)
        + "#N/A,SO,1,\r\n"
        + record(1)
        + record(9)
    )
    rules = Rules(unique=("Id",), totals=("Amount",), totals_by=("Type",))
    preparation = Preparation(parts_directory, 4, split_off_invalid=True)
    result = examine(content, rules, preparation=preparation)
    assert [[row[0] for row in rows(part)[1:]] for part in result.parts] == [
        ["1", "2", "3", "6"],
        ["#N/A", "9"],
    ]
    assert [part.ranges for part in result.parts] == [((1, 3), (6, 6)), ((7, 7), (9, 9))]
    assert result.rejected == ((4, 5), (8, 8))
    assert (result.totals, result.unsummed, result.unreadable) == (
        {"Amount": "26.0"},
        {"Amount": 1},
        1,
    )
    assert result.totals_by == ({"Type": "SO", "records": 8, "Amount": "26.0"},)
    assert sorted(parts_directory.iterdir()) == [part.path for part in result.parts]


def test_under_split_a_normalised_file_is_written_twice_and_counted_once(
    examine: Examine, parts_directory: Path
) -> None:
    """A repeated key is known at the end alone: the parts are written anew without it."""
    content = HEADER.replace(",", ";") + "1;SO;1,5;\r\n" * 2
    result = examine(
        content,
        Rules(unique=("Id",)),
        Dialect(delimiter=";", decimal=","),
        preparation=Preparation(parts_directory, 4, split_off_invalid=True),
    )
    assert rows(result.parts[0])[1:] == [["1", "SO", "1.5", ""]]
    assert result.normalised == {"numbers": 2}


@pytest.mark.parametrize(
    ("content", "manifest"),
    [
        (HEADER + record(1) + record(2)[:-2], None),
        (HEADER + record(1) + "2,\xfc,1,\r\n", None),
        (HEADER.replace("Id", "Key") + record(1), None),
        (HEADER + record(1), Manifest(records=7)),
        (HEADER, None),
    ],
)
def test_under_split_a_refused_file_sends_nothing(
    examine: Examine, parts_directory: Path, content: str, manifest: Manifest | None
) -> None:
    """An error of the file as a whole is not an error of some of its records."""
    preparation = Preparation(parts_directory, 4, split_off_invalid=True)
    result = examine(content.encode("latin-1"), manifest=manifest, preparation=preparation)
    assert (result.file_refused, result.parts) == (True, ())
    assert list(parts_directory.iterdir()) == []


def test_without_a_record_left_there_are_no_parts(examine: Examine, parts_directory: Path) -> None:
    """A part with a header alone is never sent."""
    preparation = Preparation(parts_directory, 4, split_off_invalid=True)
    result = examine(HEADER + "1,SO,x,\r\n", preparation=preparation)
    assert (result.parts, result.rejected) == ((), ((1, 1),))
    assert list(parts_directory.iterdir()) == []


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """The kernel refuses to let any file of this process grow further, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_no_space_and_leaves_nothing_behind(
    examine: Examine, parts_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller waits; the directory is empty for the next attempt."""
    monkeypatch.setattr("revsyncd.checks.writing._DISK_TROUBLE", frozenset({errno.EFBIG}))
    content = (HEADER + "".join(record(n, "x" * 50) for n in range(1000))).replace("\r", "")
    path = parts_directory.parent / "drop.csv"
    path.write_text(content, newline="")
    with files_no_larger_than(20_000), pytest.raises(NoSpace, match=os.strerror(errno.EFBIG)):
        engine.check(job_on(path, Preparation(parts_directory, 10_000)))
    assert list(parts_directory.iterdir()) == []


def job_on(path: Path, preparation: Preparation | None, rules: Rules | None = None) -> CheckJob:
    types = {"Amount": ColumnType.NUMBER, "Date": ColumnType.DATE}
    columns = tuple(
        MappedColumn(label, label.upper(), types.get(label, ColumnType.CHARACTER))
        for label in HEADER.strip().split(",")
    )
    return CheckJob(
        path, Mapping("DD-MON-YYYY", columns), Dialect(), rules or Rules(), None, preparation
    )


def test_a_file_that_changes_while_it_is_checked_is_not_judged(
    tmp_path: Path, parts_directory: Path
) -> None:
    """What was counted and what would be sent must be the same file."""
    path = tmp_path / "drop.csv"
    path.write_text(HEADER + record(1) + record(1), newline="")
    job = job_on(
        path, Preparation(parts_directory, 5, split_off_invalid=True), Rules(unique=("Id",))
    )

    def append(done: int, size: int) -> None:
        if done == size:
            path.write_text(HEADER + record(1) + record(1) + record(2), newline="")

    with pytest.raises(CheckFailed, match="changed"):
        engine.check(job, append)
    assert list(parts_directory.iterdir()) == []


def test_an_unknown_date_mask_breaks_the_check_off(tmp_path: Path) -> None:
    """Dates that can't be checked are not passed: the message names the key to set."""
    path = tmp_path / "drop.csv"
    path.write_text(HEADER + record(1), newline="")
    job = job_on(path, None)
    job = replace(job, mapping=replace(job.mapping, date_format="DAY of MONTH"))
    with pytest.raises(CheckFailed, match="date mask") as caught:
        engine.check(job)
    assert "date_format" in caught.value.hint


def test_progress_runs_from_nothing_to_the_whole_file(tmp_path: Path) -> None:
    """Bytes read never fall and end at the size."""
    path = tmp_path / "drop.csv"
    path.write_text(HEADER + record(1) * 100_000, newline="")
    told: list[tuple[int, int]] = []
    result = engine.check(job_on(path, None), lambda done, size: told.append((done, size)))
    assert told == sorted(told)
    assert len(told) > 1
    assert told[-1] == (result.size, result.size)


def test_parts_are_on_disk_before_they_are_described(
    examine: Examine, parts_directory: Path, synced: list[Path]
) -> None:
    """After a power loss the ledger may know them already."""
    content = (HEADER + "".join(record(n) for n in range(1, 6))).replace("\r\n", "\n")
    result = examine(content, preparation=Preparation(parts_directory, 2))
    assert [*(part.path for part in result.parts), parts_directory] == synced
