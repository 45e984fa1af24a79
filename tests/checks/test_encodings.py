"""Encodings and dialects: what is read, what is refused, and where."""

from collections.abc import Callable
from pathlib import Path

import pytest
from prepared_parts import bytes_of

from revsyncd.checks import source
from revsyncd.checks.contract import CheckResult, Dialect, Preparation, Problem, Rules
from revsyncd.checks.source import Source
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

Examine = Callable[..., CheckResult]
HEADER = "Id,Type,Amount,Date\r\n"
RECORD = "Zo\xeb \u20ac,SO,1,\r\n"


def places(result: CheckResult) -> list[tuple[str, int, int, str, str]]:
    return [(p.code, p.line, p.record, p.column, p.value) for p in result.problems]


@pytest.mark.parametrize(
    ("codec", "configured", "found"),
    [
        ("utf-8", "utf-8", "utf-8"),
        ("utf-8-sig", "utf-8", "utf-8-sig"),
        ("cp1252", "windows-1252", "windows-1252"),
        ("utf-16", "utf-16", "utf-16-le"),
    ],
)
def test_an_encoding_is_read_and_sent_as_utf_8(
    examine: Examine, parts_directory: Path, codec: str, configured: str, found: str
) -> None:
    """The tenant gets UTF-8 without BOM whatever was dropped."""
    result = examine(
        (HEADER + RECORD).encode(codec),
        dialect=Dialect(encoding=configured),
        preparation=Preparation(parts_directory, 10),
    )
    assert (result.encoding, result.errors, result.records, result.lines) == (found, 0, 1, 2)
    assert bytes_of(result.parts[0]) == (HEADER + RECORD).encode()


def test_latin_1_takes_every_byte_but_its_control_characters(examine: Examine) -> None:
    """A euro sign of Windows is a control character in Latin-1: told, with what it may be."""
    content = HEADER.encode() + b"\xfc,SO,1,\r\n\x80,SO,1,\r\n"
    result = examine(content, dialect=Dialect(encoding="latin-1"))
    assert places(result) == [("file.control", 3, 2, "Id", "\x80")]
    assert "windows-1252" in result.problems[0].message


def test_utf_16_of_the_other_byte_order_is_read_too(examine: Examine) -> None:
    """The byte order mark decides."""
    content = b"\xfe\xff" + (HEADER + RECORD).encode("utf-16-be")
    result = examine(content, dialect=Dialect(encoding="utf-16"))
    assert (result.encoding, result.errors) == ("utf-16-be", 0)


def test_each_cell_with_an_undecodable_byte_is_told(examine: Examine) -> None:
    """Reading goes on behind a bad byte; the report shows the byte as it is."""
    content = HEADER.encode() + b'\r\nM\xfcller,SO,x\xff,\r\n2,"a\nb",1,\xe2\x82\r\n'
    assert places(examine(content)) == [
        ("file.encoding", 3, 1, "Id", "M\\xfcller"),
        ("file.encoding", 3, 1, "Amount", "x\\xff"),
        ("file.encoding", 5, 2, "Date", "\\xe2\\x82"),
    ]


def test_a_byte_that_windows_1252_lacks_is_told(examine: Examine) -> None:
    """Five bytes have no meaning there."""
    result = examine(HEADER.encode() + b"\x81,SO,1,\r\n", dialect=Dialect(encoding="windows-1252"))
    assert places(result) == [("file.encoding", 2, 1, "Id", "\\x81")]


def test_half_a_utf_16_character_is_told_and_what_follows_is_read(examine: Examine) -> None:
    """A lone surrogate is one bad cell."""
    content = (HEADER + "a\ud83d,SO,1,\r\nb,SO,x,\r\n").encode("utf-16", "surrogatepass")
    assert [
        (p.code, p.record) for p in examine(content, dialect=Dialect(encoding="utf-16")).problems
    ] == [
        ("file.encoding", 1),
        ("cell.number", 2),
    ]


@pytest.mark.parametrize("configured", ["windows-1252", "latin-1"])
@pytest.mark.parametrize("block", [1, 3, 1 << 17])
def test_utf_8_where_one_byte_a_character_is_expected_is_told(
    examine: Examine, monkeypatch: pytest.MonkeyPatch, configured: str, block: int
) -> None:
    """Any bytes can be read so, but the tenant would get other letters than were written."""
    monkeypatch.setattr(source, "BLOCK", block)
    content = (HEADER + "Miller,SO,1,\r\n" + "Müller,SO,1,\r\n" * 2).encode()
    result = examine(content, dialect=Dialect(encoding=configured))
    assert places(result) == [("file.encoding", 1, 0, "", "")]
    assert "ü" in result.problems[0].message
    assert "Ã¼" in result.problems[0].message


@pytest.mark.parametrize(
    "cell", [b"M\xfcller", b"M\xc3\xbcller \xfc", b"\xc3", "Müller".encode() + b"\xe2"]
)
def test_what_is_no_utf_8_is_taken_for_what_is_expected(examine: Examine, cell: bytes) -> None:
    """One byte that UTF-8 does not have is enough."""
    content = HEADER.encode() + cell + b",SO,1,\r\n"
    assert examine(content, dialect=Dialect(encoding="windows-1252")).errors == 0


def test_an_odd_byte_at_the_end_of_utf_16_is_a_cut(examine: Examine) -> None:
    """Behind a whole line it is told by itself."""
    content = (HEADER + RECORD).encode("utf-16") + b"\x31"
    result = examine(content, dialect=Dialect(encoding="utf-16"))
    assert places(result) == [("file.encoding", 2, 1, "", "")]
    assert result.looks_cut


@pytest.mark.parametrize(
    ("content", "configured", "words"),
    [
        (HEADER.encode("utf-16"), "utf-8", 'set encoding = "utf-16"'),
        (HEADER.encode("utf-8-sig"), "windows-1252", 'set encoding = "utf-8"'),
        (HEADER.encode("utf-8"), "utf-16", "byte order mark"),
        (HEADER.encode("utf-16-le"), "utf-16", "byte order mark"),
        (HEADER.encode("utf-16-be"), "utf-16", "byte order mark"),
    ],
)
def test_a_file_in_quite_another_encoding_is_told_once(
    examine: Examine, content: bytes, configured: str, words: str
) -> None:
    """One sentence about the file, not one for each of its characters."""
    result = examine(content, dialect=Dialect(encoding=configured))
    assert result.by_code == {"file.encoding": 1, "file.no_records": 1}
    told = [p for p in result.problems if p.code == "file.encoding"]
    assert words in told[0].message


def test_an_undecodable_label_is_told_once(examine: Examine) -> None:
    """The label that it must be is not reported as missing besides, and the cells below are checked."""
    columns = (MappedColumn("Stra\xdfe", "S", ColumnType.NUMBER),)
    result = examine(b"STRA\xdfE\r\nx\r\n", mapping=Mapping("DD-MON-YYYY", columns))
    assert places(result) == [
        ("file.encoding", 1, 0, "", "STRA\\xdfE"),
        ("cell.number", 2, 1, "Stra\xdfe", "x"),
    ]


def test_problems_can_always_be_written_as_utf_8(examine: Examine) -> None:
    """No lone surrogate reaches a report, be it in value, column or message."""
    content = b"Id\xff,Type,Amount,Date\r\n\xff,S\xff,\xff,\xff\r\n\xff\r\n"
    result = examine(content, Rules(unique=("Id",), allowed={"Type": ("SO",)}))
    texts = [text for p in result.problems for text in (p.column, p.value, p.message)]
    assert all(text.encode() or not text for text in texts)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter(examine: Examine, parts_directory: Path, delimiter: str) -> None:
    """Cells with a comma in them are quoted for the tenant."""
    content = (HEADER + "a_b,SO,1,\r\n").replace(",", delimiter).replace("_", ",")
    result = examine(
        content,
        dialect=Dialect(delimiter=delimiter),
        preparation=Preparation(parts_directory, 10),
    )
    assert bytes_of(result.parts[0]).decode() == HEADER + '"a,b",SO,1,\r\n'


@pytest.mark.parametrize("line", ["sep=;\r\n", "SEP=;\n", '"sep=;"\r\n'])
def test_excels_first_line_says_the_delimiter(examine: Examine, line: str) -> None:
    """`sep=` overrides the configured delimiter and counts as a physical line."""
    result = examine(line + (HEADER + "1,SO,x,\r\n").replace(",", ";"))
    assert places(result) == [("cell.number", 3, 1, "Amount", "x")]
    assert (result.records, result.lines) == (1, 3)


@pytest.mark.parametrize("newlines", [("\n", "\n"), ("\r\n", "\n"), ("\n", "\r\n")])
def test_line_ends_may_be_mixed(
    examine: Examine, parts_directory: Path, newlines: tuple[str, str]
) -> None:
    """Parts have CRLF whatever the file has."""
    content = HEADER[:-2] + newlines[0] + "1,SO,1," + newlines[1] + "2,SO,1," + newlines[0]
    result = examine(content, preparation=Preparation(parts_directory, 10))
    assert bytes_of(result.parts[0]).decode() == HEADER + "1,SO,1,\r\n2,SO,1,\r\n"


def test_line_ends_of_an_old_mac_are_told(examine: Examine) -> None:
    """Carriage returns alone end no line."""
    result = examine("Id,Type,Amount,Date\r1,SO,1,\r")
    assert "file.control" in result.by_code
    assert result.file_refused


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("1.234.567,89", "1234567.89"),
        ("-1.234,5", "-1234.5"),
        ("1234,5", "1234.5"),
        ("12", "12"),
        (",5", ".5"),
    ],
)
def test_a_configured_notation_of_numbers_is_brought_into_the_tenants(
    examine: Examine, parts_directory: Path, written: str, sent: str
) -> None:
    """Decimal comma and thousands separator go, are counted, and the totals are right."""
    result = examine(
        HEADER.replace(",", ";") + f"1;SO;{written};\r\n",
        Rules(totals=("Amount", "Id")),
        Dialect(delimiter=";", decimal=",", thousands="."),
        preparation=Preparation(parts_directory, 10),
    )
    assert bytes_of(result.parts[0]).decode() == HEADER + f"1,SO,{sent},\r\n"
    assert result.normalised == ({"numbers": 1} if written != sent else {})
    assert float(result.totals["Amount"]) == float(sent)


@pytest.mark.parametrize(
    "written", ["1.23", "1.2345,0", "1.234.56", ".123,4", "1,2,3", "1.234.", "--1"]
)
def test_a_number_not_quite_in_the_configured_notation_is_a_problem(
    examine: Examine, written: str
) -> None:
    """1.23 is no thousands: it is asked about, not guessed."""
    result = examine(
        HEADER.replace(",", ";") + f"1;SO;{written};\r\n",
        dialect=Dialect(delimiter=";", decimal=",", thousands="."),
    )
    assert result.by_code == {"cell.number": 1}


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "latin-1"])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 1 << 16])
def test_a_source_gives_back_the_very_bytes(tmp_path: Path, codec: str, block: int) -> None:
    """Decoding and encoding are exact opposites for any block size, bad bytes included."""
    data = "a\xe9,b\r\n".encode(codec) + (b"\x3d\xd8\r\n" if codec == "utf-16" else b"\xff\x81\r\n")
    path = tmp_path / "f"
    path.write_bytes(data)
    configured = {"cp1252": "windows-1252", "utf-8-sig": "utf-8"}.get(codec, codec)
    source = Source(path, configured, block=block)
    text = "".join(piece.text for piece in source.blocks())
    assert source.encoding.bom + source.encode(text) + source.odd_byte == data
    assert source.size == len(data)


def test_the_reported_problem_is_plain(examine: Examine) -> None:
    """A message says what is expected, in words that need no manual."""
    problem: Problem = examine(HEADER + "1,SO,100-,\r\n").problems[0]
    assert problem.message == (
        '"100-" is not a plain number: the minus stands behind it.'
        " Expected are digits with at most one leading minus, such as -1234.50."
    )
