"""Proven blocks against the plain character machine: whatever the text and however it is cut."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_machine import PlainRecord, read

from revsyncd.checks import mixed
from revsyncd.checks.blocks import Proven
from revsyncd.checks.mixed import BlockReader
from revsyncd.checks.structure import Record
from revsyncd.checks.writing import csv_text

CELL = st.one_of(
    st.sampled_from(["", "a", '""', '"a"', '"a,b"', '"a\r\nb"', '"a""b"', '"\n"', '""""', '","']),
    st.text(alphabet='a,"\n\r', max_size=4),
)
LINE_END = st.sampled_from(["\n", "\r\n", "\r\n", "\n\n", "", "\r"])


@st.composite
def almost_csv(draw: st.DrawFn) -> str:
    """Mostly well-formed text of one width, with anything in it."""
    width = draw(st.integers(1, 4))
    cells = st.lists(CELL, min_size=width, max_size=width)
    rows = draw(st.lists(st.one_of(cells, st.lists(CELL, min_size=1, max_size=4)), max_size=9))
    header = ",".join("h" * width) + "\n"
    return header + "".join(",".join(row) + draw(LINE_END) for row in rows)


@pytest.fixture(autouse=True)
def small_blocks_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even one record is a block of its own, and a window behind a fault is tiny."""
    monkeypatch.setattr(mixed, "LEAST", 1)
    monkeypatch.setattr(mixed, "_WORTH", 1)
    monkeypatch.setattr(mixed, "_NEAR", 4)


def in_pieces(text: str, size: int) -> Iterator[str]:
    return (text[at : at + size] for at in range(0, len(text), size))


def blocks_of(pieces: Iterable[str], limit: int = 1000) -> list[Proven | list[Record]]:
    reader = BlockReader(",", limit=limit)
    found = [block for piece in pieces for block in reader.feed(piece)]
    return found + reader.feed("", final=True)


def as_plain(blocks: Sequence[Proven | list[Record]]) -> list[PlainRecord]:
    """All records as the machine gives them; the pieces of an overlong line joined."""
    plain: list[PlainRecord] = []
    for block in blocks:
        for number, line, text, fields, fault, end in _records(block):
            if plain and plain[-1].number == number:
                plain[-1] = plain[-1]._replace(raw=plain[-1].raw + text + end)
                continue
            blame = (str(fault.kind), fault.line, fault.column) if fault else None
            plain.append(PlainRecord(number, line, text + end, None if fault else fields, blame))
    return plain


def _records(block: Proven | list[Record]) -> Iterable[Record]:
    if isinstance(block, list):
        return block
    columns = [block.column(index) for index in range(len(block.record(0).fields))]
    rows = [block.record(row) for row in range(len(block))]
    assert [list(cells) for cells in zip(*columns, strict=True)] == [row.fields for row in rows]
    assert [row.number for row in rows] == list(block.numbers)
    return rows


@settings(max_examples=2500, deadline=None)
@given(
    st.one_of(almost_csv(), st.text(alphabet='a,"\n\r', max_size=60)),
    st.integers(1, 40),
    st.sampled_from([3, 8, 20, 1000]),
)
@example('h,h\na,"b\r\nc"\r\n', 1, 1000)
@example('"h"\r\n"b"\r\n"c"\r\n', 9, 1000)
@example('"h","h"\n"\n","\n"\n', 40, 1000)
@example('"h","h"\n"","a"",""b"\n', 40, 1000)
@example('"h","h"\n"a","b"\r\n"\r\n","c"\r\n', 40, 1000)
@example("h\n\na\n", 40, 1000)
@example('h\n""\na\n', 40, 1000)
def test_any_cutting_gives_what_the_plain_machine_gives(text: str, size: int, limit: int) -> None:
    """Records, places, cells and faults are those of a character machine, block by block."""
    blocks = blocks_of(in_pieces(text, size), limit)
    assert as_plain(blocks) == read(text, ",", limit)


@settings(max_examples=500, deadline=None)
@given(almost_csv(), st.integers(1, 40))
@example('h,h\n"","\r"\n', 40)
@example('h,h\r\n"","\r"\n"","a"\r\n', 40)
def test_what_is_written_is_what_the_csv_module_writes(text: str, size: int) -> None:
    """Column by column, and quoted where it must be alone."""
    for block in blocks_of(in_pieces(text, size)):
        if isinstance(block, list):
            continue
        rows = [block.record(row).fields for row in range(len(block))]
        columns = [block.column(index) for index in range(len(rows[0]))]
        expected = io.StringIO(newline="")
        csv.writer(expected, lineterminator="\r\n").writerows(rows)
        assert csv_text(columns) == expected.getvalue()


@settings(max_examples=500, deadline=None)
@given(almost_csv(), st.integers(1, 40), st.sampled_from(["a", "b", "ab", "q"]))
def test_a_hint_that_denies_is_certain(text: str, size: int, wanted: str) -> None:
    """Nothing is passed over because of one."""
    for block in blocks_of(in_pieces(text, size)):
        if isinstance(block, list):
            continue
        cells = [cell for row in range(len(block)) for cell in block.record(row).fields]
        assert block.may_hold(wanted) or not any(wanted in cell for cell in cells)
        assert block.may_begin(wanted) or not any(cell.startswith(wanted) for cell in cells)


@pytest.mark.parametrize("piece", ["x,\n", '"', 'twelve words"'])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("length", [240, 241, 242, 500])
@pytest.mark.parametrize("before", [0, 1, 119, 120, 121])
def test_a_long_cell_is_never_passed_over(piece: str, quote: str, length: int, before: int) -> None:
    """Wherever it begins, a cell of more than 240 characters is suspected, whatever it holds."""
    inside = ((piece if quote else "x") * length)[:length].replace('"', '""')
    row = f"{quote}{'a' * before}{quote},{quote}{inside}{quote}\n"
    blocks = blocks_of(["h,h\n" + row * 3], limit=4000)
    proven = [block for block in blocks if isinstance(block, Proven)]
    assert proven
    assert all(block.may_be_long for block in proven) or length <= 240


def test_a_character_that_must_not_be_there_is_read_by_hand() -> None:
    """What serves as a stand-in is never taken for one; all around is proven."""
    text = "h,h\n" + "a,b\n" * 5 + "\x01,\x02q\n" + '"c","d"\n' * 5
    blocks = blocks_of([text])
    assert as_plain(blocks) == read(text, ",", 1000)
    [by_hand] = [b for b in blocks if isinstance(b, list) and b[0].number]
    assert [record.fields for record in by_hand if "\x01" in record.text] == [["\x01", "\x02q"]]


def test_a_file_of_many_faults_is_not_proven_again_and_again() -> None:
    """Where every record has one, reading by hand takes ever longer runs."""
    reader = BlockReader(",")
    reader.feed("h,h\n")
    [records] = reader.feed('a,b"c\n' * 3000, suspect=False)
    assert len(records) == 3000
    assert reader._run == mixed._LONGEST_RUN
