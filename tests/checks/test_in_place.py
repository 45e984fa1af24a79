"""Parts that are ranges of the dropped file: the same bytes as if they had been written, and none written."""

import csv
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared_parts import bytes_of, in_place, rows

from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Dialect,
    Preparation,
    PreparedPart,
    Rules,
)
from revsyncd.checks.engine import check
from revsyncd.checks.runs import Run
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

Examine = Callable[..., CheckResult]
HEADER = "Id,Type,Amount,Date\r\n"
LABELS = ["A", "B", "C"]
MAPPING = Mapping("", tuple(MappedColumn(x, x, ColumnType.CHARACTER) for x in LABELS))


def record(number: int, kind: str = "SO") -> str:
    return f"{number},{kind},{number}.5,\r\n"


def records(first: int, last: int) -> str:
    return "".join(map(record, range(first, last + 1)))


def as_sent(cells: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows([LABELS, *cells])
    return text.getvalue().encode()


def otherwise(cells: Sequence[Sequence[str]]) -> bytes:
    """The same records in a form in which none of them may be sent."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows([LABELS, *cells])
    return text.getvalue().encode()


def prepared(
    directory: Path, content: bytes, block: int, preparation: Preparation
) -> tuple[PreparedPart, ...]:
    path = directory / "drop.csv"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("revsyncd.checks.source.BLOCK", block)
        return check(CheckJob(path, MAPPING, Dialect(), Rules(), preparation=preparation)).parts


def facts(part: PreparedPart) -> PreparedPart:
    return replace(part, path=Path(), head=b"", offset=0)


Cells = list[tuple[str, ...]]
CELLS: st.SearchStrategy[Cells] = st.builds(
    lambda cells, times: cells * times,
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.text(alphabet='ab,"\r\n \xe9\u2028', max_size=4),
            st.sampled_from(["", "c", '"', ",\r\n"]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(1, 9),
)


@settings(max_examples=150, deadline=None)
@given(CELLS, st.integers(1, 60), st.integers(1, 400), st.sampled_from(["", "A"]))
def test_a_range_holds_byte_for_byte_what_would_be_written(
    tmp_path_factory: pytest.TempPathFactory, cells: Cells, most: int, block: int, together: str
) -> None:
    """Never cut inside a record or a group; every record once; the same bytes, hash and last chunk."""
    there, elsewhere = (tmp_path_factory.mktemp("parts") for _ in range(2))
    preparation = Preparation(there, most, keep_together=tuple(together))
    parts = prepared(there, as_sent(cells), block, preparation)
    written = prepared(
        elsewhere, otherwise(cells), block, replace(preparation, directory=elsewhere)
    )
    assert all(map(in_place, parts))
    assert not any(map(in_place, written))
    assert [p.name for p in there.iterdir()] == ["drop.csv"]
    assert list(map(bytes_of, parts)) == list(map(bytes_of, written))
    assert list(map(facts, parts)) == list(map(facts, written))
    if not parts:  # a group is larger than a part
        assert together
        return
    assert [row for part in parts for row in rows(part)[1:]] == list(map(list, cells))
    for part in parts:
        assert part.sha256 == hashlib.sha256(bytes_of(part)).hexdigest()
        assert part.records == len(rows(part)) - 1 <= most
    if together:
        assert all(rows(one)[-1][0] != rows(next_one)[1][0] for one, next_one in pairwise(parts))


@given(CELLS, st.data())
def test_a_run_knows_where_its_records_end(cells: Cells, data: st.DataObject) -> None:
    """Newlines between quotes are not ends."""
    lines = as_sent(cells)[len(as_sent([])) :]
    run = Run(range(1, len(cells) + 1), lines, 7)
    assert run.last_line == as_sent(cells[-1:])[len(as_sent([])) :]
    begin = data.draw(st.integers(0, len(cells) - 1))
    end = data.draw(st.integers(begin + 1, len(cells)))
    piece, before = run.between(begin, end), as_sent(cells[:begin])[len(as_sent([])) :]
    assert piece.data == as_sent(cells[begin:end])[len(as_sent([])) :]
    assert (piece.offset, list(piece.numbers)) == (7 + len(before), list(range(begin + 1, end + 1)))


def test_a_file_in_one_part_is_a_range_of_itself(examine: Examine, parts_directory: Path) -> None:
    """Its bytes are the file's, and so is its hash."""
    result = examine(HEADER + records(1, 90), preparation=Preparation(parts_directory, 500))
    (part,) = result.parts
    assert (part.head.decode(), part.offset, part.size) == (HEADER, len(HEADER), result.size)
    assert part.sha256 == result.sha256
    assert list(parts_directory.iterdir()) == []


@pytest.mark.parametrize(
    ("begin", "between", "end"),
    [
        ("\ufeff", "", ""),
        ("sep=,\r\n", "", ""),
        ("\r\n\n", "", "\r\n\r\n"),
        ("", "\r\n\r\n", "\n"),
    ],
)
def test_what_is_not_sent_stands_beside_the_ranges(
    examine: Examine, parts_directory: Path, begin: str, between: str, end: str
) -> None:
    """A byte order mark, a `sep=` line and blank lines at a part's edge are left where they are."""
    content = begin + HEADER + records(1, 40) + between + records(41, 80) + end
    result = examine(content, preparation=Preparation(parts_directory, 40))
    assert [(in_place(part), bytes_of(part).decode()) for part in result.parts] == [
        (True, HEADER + records(1, 40)),
        (True, HEADER + records(41, 80)),
    ]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What can't be sent from where it stands costs its block, which is small then."""
    monkeypatch.setattr("revsyncd.checks.source.BLOCK", 300)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("odd", "told"),
    [
        ("\r\n" + record(70), record(70)),  # a blank line
        ('70,"SO",70.5,\r\n', record(70)),
        ('70,"S,O",70.5,\r\n', '70,"S,O",70.5,\r\n'),
        ("70,SO,70.5,\n", record(70)),
        ("70,SO,x,\r\n", ""),
        ("70,SO\r\n", ""),
    ],
)
def test_one_record_that_can_not_be_sent_from_there_costs_its_part_alone(
    examine: Examine, parts_directory: Path, odd: str, told: str
) -> None:
    """The part is written, blank lines and rejects left out; those before and behind it are ranges."""
    content = HEADER + records(1, 69) + odd + records(71, 200)
    preparation = Preparation(parts_directory, 50, split_off_invalid=True)
    parts = examine(content, preparation=preparation).parts
    assert b"".join(bytes_of(p)[len(HEADER) :] for p in parts).decode() == (
        records(1, 69) + told + records(71, 200)
    )
    assert [in_place(p) for p in parts] == [True, odd == told, True, True]
    assert len(list(parts_directory.iterdir())) == (odd != told)
    assert [p.sha256 for p in parts] == [hashlib.sha256(bytes_of(p)).hexdigest() for p in parts]


def test_a_last_line_without_an_end_is_written(examine: Examine, parts_directory: Path) -> None:
    """It is sent with one."""
    result = examine(
        HEADER + records(1, 30)[:-2],
        dialect=Dialect(final_newline="allow"),
        preparation=Preparation(parts_directory, 20),
    )
    assert list(map(in_place, result.parts)) == [True, False]
    assert bytes_of(result.parts[1]).decode() == HEADER + records(21, 30)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("encoding", ["windows-1252", "latin-1"])
def test_ascii_is_sent_from_where_it_stands_whatever_the_encoding(
    examine: Examine, parts_directory: Path, encoding: str
) -> None:
    """Only the part with another character in it is written."""
    content = HEADER + records(1, 120) + record(121, "\xe9\xe9") + records(122, 300)
    result = examine(
        content.encode(encoding),
        dialect=Dialect(encoding=encoding),
        preparation=Preparation(parts_directory, 100),
    )
    assert list(map(in_place, result.parts)) == [True, False, True]
    sent = b"".join(bytes_of(p)[len(HEADER) :] for p in result.parts)
    assert sent.decode() == content.removeprefix(HEADER)


@pytest.mark.parametrize(
    ("content", "dialect"),
    [
        (HEADER.replace("Id,Type", "Type,Id") + "SO,1,1.5,\r\n", Dialect()),
        (HEADER + records(1, 30), Dialect(encoding="utf-16")),
        (HEADER + records(1, 30), Dialect(decimal=",")),
        ((HEADER + records(1, 30)).replace(",", ";"), Dialect(delimiter=";")),
    ],
)
def test_what_is_sent_in_another_form_is_written(
    examine: Examine, parts_directory: Path, content: str, dialect: Dialect
) -> None:
    """Another order, encoding, notation or delimiter."""
    encoded = content.encode(dialect.encoding)
    levels = {"cell.number": "off"}
    preparation = Preparation(parts_directory, 100)
    result = examine(encoded, Rules(levels=levels), dialect, preparation=preparation)
    assert list(map(in_place, result.parts)) == [False]


def test_labels_in_another_case_are_sent_as_the_template_has_them(
    examine: Examine, parts_directory: Path
) -> None:
    """The header is never taken from the file."""
    result = examine(HEADER.lower() + records(1, 30), preparation=Preparation(parts_directory, 100))
    (part,) = result.parts
    assert in_place(part)
    assert bytes_of(part).decode() == HEADER + records(1, 30)
