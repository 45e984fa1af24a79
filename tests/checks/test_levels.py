"""A lesser word never hides an error, and what is wrong is told where it stands."""

from collections.abc import Callable

import pytest

from revsyncd.checks.contract import CheckResult, Dialect, Manifest, Preparation, Rules
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

Examine = Callable[..., CheckResult]
HEADER = "Id,Type,Amount,Date\r\n"
MAPPING = Mapping(
    "DD-MON-YYYY",
    (
        MappedColumn("Id", "INV_LINE_ID", ColumnType.CHARACTER),
        MappedColumn("Org", "ORG_ID", ColumnType.CHARACTER),
        MappedColumn("Amount", "EXT_SELL_PRICE", ColumnType.NUMBER),
        MappedColumn("Date", "DOC_DATE", ColumnType.DATE),
    ),
)
LABELS = "Id,Org,Amount,Date\r\n"


@pytest.mark.parametrize("repeat", [1, 40])
@pytest.mark.parametrize(
    ("cells", "levels", "error"),
    [
        ("x,1.23E+15,1,", {}, ("revenue.744", "Org")),
        ("x,US\u00a002,1,", {}, ("revenue.744", "Org")),
        ("x,US,=A1,", {"cell.number": "warn"}, ("revenue.603", "Amount")),
        ("x,US,12\x07,", {"file.control": "warn"}, ("cell.number", "Amount")),
        ("x,US,1,99-XXX\x07", {"file.control": "off"}, ("cell.date", "Date")),
        ("x,D\x07E,1,", {"file.control": "warn"}, ("revenue.744", "Org")),
    ],
)
def test_a_warning_hides_no_error(
    examine: Examine, cells: str, levels: dict[str, str], error: tuple[str, str], repeat: int
) -> None:
    """Of two things wrong with one cell the error is told, whoever found it first."""
    good = "".join(f"{number},US,1,\r\n" for number in range(repeat))
    result = examine(f"{LABELS}{good}{cells}\r\n", Rules(levels=levels), mapping=MAPPING)
    found = [(p.code, p.column) for p in result.problems if p.level == "error"]
    assert found == [error]


def test_a_repeated_invoice_line_id_is_an_error_though_repeated_keys_are_none(
    examine: Examine,
) -> None:
    """The tenant refuses the whole upload for it, whatever the folder thinks of its keys."""
    text = LABELS + "1,US,1,\r\n1,US,1,\r\n"
    for level, code in (
        ("warn", "revenue.715"),
        ("off", "revenue.715"),
        ("error", "record.duplicate"),
    ):
        rules = Rules(unique=("Id",), levels={"record.duplicate": level})
        result = examine(text, rules, mapping=MAPPING)
        assert (result.by_code, result.errors) == ({code: 1}, 1)


@pytest.mark.parametrize("quoted", ["two", "tw\no"])
def test_a_repeated_key_is_told_on_the_line_on_which_its_cell_begins(
    examine: Examine, quoted: str
) -> None:
    """Whether or not newlines stand in the cells around, and where the first one stands too."""
    rows = [f'"{quoted}",SO,{number},\r\n' for number in range(60)]
    rows[50] = f'{rows[50][:-2]}\r\n"{quoted}","S\nO",1,\r\n'
    mapping = Mapping("", tuple(MappedColumn(x, x, ColumnType.CHARACTER) for x in "TIAD"))
    text = "T,I,A,D\r\n" + "".join(rows)
    result = examine(text, Rules(unique=("A",)), mapping=mapping)
    lines = 1 + quoted.count("\n")
    assert [(p.record, p.line, p.column) for p in result.problems] == [
        (52, 2 + 51 * lines + lines, "A")
    ]
    assert f"record 2 (line {1 + 2 * lines})" in result.problems[0].message


def test_only_the_last_cell_of_a_cut_file_may_end_in_half_a_character(examine: Examine) -> None:
    """A wrong byte elsewhere in the last record is told besides."""
    result = examine(HEADER.encode() + b"1,M\xfcl,1,23-NOV-2026")
    told = {(p.code, p.column) for p in result.problems}
    assert told == {("file.encoding", "Type"), ("file.final_newline", "")}
    result = examine(HEADER.encode() + b"1,SO,1,23-NOV-2026\xe2\x82")
    assert "file.encoding" not in result.by_code


def test_lines_are_counted_through_a_header_and_a_record_with_newlines(examine: Examine) -> None:
    """Each label and each cell stands on the line on which it begins."""
    head = 'Id,Type,"Amo\nunt",Date,"\n",Own\r\n'
    result = examine(head + '"1\n\n",S\x07,1,\x07,x,\x07\r\n')
    lines = {(p.code, p.column): p.line for p in result.problems if p.column}
    assert lines["header.unknown", "Own"] == 3
    assert lines["file.control", "Type"] == 6
    assert lines["file.control", "Own"] == 6


def test_totals_are_told_by_values_that_can_be_written(examine: Examine) -> None:
    """An undecodable byte is spelled out there too."""
    rules = Rules(totals=("Amount",), totals_by=("Type",))
    result = examine(HEADER.encode() + b"1,M\xfcl,1.5,\r\n", rules)
    assert result.totals_by == ({"Type": r"M\xfcl", "records": 1, "Amount": "1.5"},)


def test_a_file_with_other_line_ends_is_told_once(examine: Examine) -> None:
    """Nothing was cut, and there are records: only the line ends are wrong."""
    result = examine(b"Id,Type,Amount,Date\r1,SO,1,23-NOV-2026\r2,SO,1,23-NOV-2026\r")
    assert result.by_code == {"file.control": 1}
    assert not result.looks_cut
    assert "must end with CRLF or LF" in result.problems[0].message


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_delimiter_is_told_once(examine: Examine, delimiter: str) -> None:
    """Not as a column that is unknown and four that are missing."""
    text = (HEADER + "1,SO,1,23-NOV-2026\r\n").replace(",", delimiter)
    result = examine(text)
    [problem] = result.problems
    assert (problem.code, problem.line, problem.level) == ("header.missing", 1, "error")
    assert "set csv.delimiter" in problem.message
    assert examine(text, dialect=Dialect(delimiter=delimiter)).errors == 0


@pytest.mark.parametrize("labels", ["Idd", "Date"])
@pytest.mark.parametrize("level", ["warn", "error"])
def test_what_keeps_records_together_must_be_there(
    examine: Examine, preparation: Preparation, labels: str, level: str
) -> None:
    """Misspelt in the configuration, or missing in the file: nothing is cut as if nobody had asked."""
    rules = Rules(levels={"header.missing": level})
    result = examine("Id,Type,Amount\r\n1,SO,1\r\n", rules, preparation=preparation)
    errors = [p.column for p in result.problems if p.level == "error"]
    assert labels in errors
    assert not result.parts


@pytest.fixture
def preparation(tmp_path_factory: pytest.TempPathFactory, labels: str) -> Preparation:
    """Keeps records together by a column."""
    return Preparation(tmp_path_factory.mktemp("parts"), 5, keep_together=(labels,))


def test_a_manifest_tells_of_cells_in_no_total(examine: Examine) -> None:
    """The difference may be nothing but them."""
    text = HEADER + "1,SO,3,\r\n2,SO,twelve,\r\n"
    told = examine(text, manifest=Manifest(totals={"Amount": "15"})).problems
    [problem] = [p for p in told if p.code == "manifest.totals"]
    assert "the file's is 3, without 1 cell that is no number" in problem.message
