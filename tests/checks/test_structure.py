from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain_machine import PlainRecord, read

from revsyncd.checks.structure import Record, RecordReader

TEXT = st.text(alphabet='a,"\n\r;', max_size=60)


def feed(pieces: Sequence[str], delimiter: str = ",", limit: int = 1000) -> list[Record]:
    reader = RecordReader(delimiter, limit=limit)
    records = [record for piece in pieces for record in reader.feed(piece)]
    return records + reader.feed("", final=True)


def as_plain(records: list[Record]) -> list[PlainRecord]:
    """The pieces of an overlong line joined, and no fields where there is a fault."""
    plain: list[PlainRecord] = []
    for number, line, text, fields, fault, end in records:
        if plain and plain[-1].number == number:
            plain[-1] = plain[-1]._replace(raw=plain[-1].raw + text + end)
            continue
        blame = (str(fault.kind), fault.line, fault.column) if fault else None
        plain.append(PlainRecord(number, line, text + end, None if fault else fields, blame))
    return plain


@settings(max_examples=1500, deadline=None)
@given(TEXT, st.integers(1, 7), st.sampled_from([3, 8, 20, 1000]))
@example('a,"b\r\nc"\r\n', 1, 1000)
@example('"a"\r\n"b"\r\n', 4, 1000)
@example('"\n"\n"\n', 1, 1000)
@example('"a,b\n2,"x",y\n', 1, 1000)
def test_any_cutting_gives_what_the_plain_machine_gives(text: str, size: int, limit: int) -> None:
    """Records, places and faults are those of a character machine, however the text is cut into pieces."""
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert as_plain(feed(pieces, limit=limit)) == read(text, ",", limit)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.lists(st.text(alphabet='a,"\n;é ', max_size=6), min_size=2, max_size=4), max_size=6
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([",", ";", "\t"]),
)
def test_what_is_written_well_formed_is_read_back(
    rows: list[list[str]], newline: str, delimiter: str
) -> None:
    """Quoted cells of any content come back as they were, without a fault."""
    quoted = [[f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in row] for row in rows]
    text = "".join(delimiter.join(row) + newline for row in quoted)
    records = feed([text], delimiter)
    assert [record.fields for record in records] == rows
    assert all(record.fault is None for record in records)


def test_every_character_of_the_text_is_in_exactly_one_record_or_blank_line() -> None:
    """The records' texts and the blank lines between them are the file, in order."""
    text = 'h\r\n\r\n1,"a\r\nb"\r\n\n2,x"y\n"open\nlast'
    assert "".join(r.text + r.end for r in feed([text])) == text.replace(
        "\r\n\r\n", "\r\n"
    ).replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("text", "kind", "line", "column", "value"),
    [
        ('h,h\n1,a"b\n2,2\n', "bare_quote", 2, 1, 'a"b'),
        ('h,h\n1,"a"b\n2,2\n', "after_quote", 2, 1, '"a"b'),
        ('h,h\n1,"ab\n2,2\n', "unterminated", 2, 1, '"ab'),
        ('h,h\n1,"ab\n2,"2"\n', "after_quote", 2, 1, '"ab'),
        ("h,h\n1,a\rb\n2,2\n", "carriage_return", 2, 1, "a\rb"),
        ('h,h\n"x\ny",a"b\n2,2\n', "bare_quote", 3, 1, 'a"b'),
        ('h,h\n1,a"b,"m\nn"\n2,2\n', "bare_quote", 2, 1, 'a"b'),
    ],
)
def test_a_fault_has_its_place_and_costs_one_record(
    text: str, kind: str, line: int, column: int, value: str
) -> None:
    """The faulty cell is named, and the record behind it is read as if nothing had been."""
    _, faulty, last = feed([text])
    assert faulty.fault == (kind, line, column, value)
    assert (last.number, last.fault, last.fields[0]) == (2, None, "2")


def test_an_open_quote_is_followed_no_further_than_the_limit() -> None:
    """Behind the bound, reading resumes with the line after the one where the quote opened."""
    text = 'h\n"open\n' + "123456789\n" * 20 + '"closed"\n'
    records = feed([text], limit=50)
    assert records[1].fault is not None
    assert records[1].fault.kind == "unterminated"
    assert [record.fields for record in records[2:]] == [["123456789"]] * 20 + [["closed"]]


def test_a_line_without_end_is_never_held_whole() -> None:
    """An overlong line goes out in pieces of one number; what is kept back stays within the bound."""
    reader = RecordReader(",", limit=100)
    reader.feed("h\n")
    kept = []
    records = []
    for _ in range(50):
        records += reader.feed("x" * 40)
        kept.append(len(reader._rest))
    assert max(kept) <= 100
    records += reader.feed("\nnext\n", final=True)
    assert {record.number for record in records} == {1, 2}
    assert "".join(r.text + r.end for r in records) == "x" * 2000 + "\nnext\n"
    assert [record.fault is not None for record in records].count(True) == 1


def test_a_blank_line_is_no_record_and_counts_as_a_line() -> None:
    """Numbers skip blank lines, lines do not."""
    assert [(r.number, r.line) for r in feed(["\r\nh\n\n\n1\n\r\n2"])] == [(0, 2), (1, 5), (2, 7)]


def test_lines_count_the_last_one_without_newline_too() -> None:
    """`lines` is what an editor shows."""
    reader = RecordReader(",")
    reader.feed("h\n1\n2", final=True)
    assert (reader.lines, reader.ended) == (3, False)


def test_a_cell_has_the_line_on_which_it_begins() -> None:
    """Newlines inside earlier cells of the record push a cell's line down."""
    record = feed(['h\n"a\r\nb","c\nd",e\n'])[1]
    assert [record.line_of(column) for column in range(3)] == [2, 3, 4]
