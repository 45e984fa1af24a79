"""A file is taken whole or refused whole; single lines are put in error only where it was taken."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from revsyncd.simulator import Column, Kind, Settings, Template, Type
from revsyncd.simulator.masks import reader
from revsyncd.simulator.prestage import Reading, read, read_file
from revsyncd.simulator.rules import RULES
from revsyncd.simulator.templates import SMALL_TRANSACTIONS, TRANSACTION_UPLOAD

TEMPLATE = Template(
    "Test",
    Kind.TRANSACTION,
    (
        Column("Id", "INV_LINE_ID", Type.CHARACTER),
        Column("Name", "CUSTOMER_NAME", Type.CHARACTER),
        Column("Price", "EXT_SELL_PRC", Type.NUMBER),
        Column("Start", "START_DATE", Type.DATE),
        Column("Comments", "COMMENTS", Type.CHARACTER),
    ),
)
HEADER = "Id,Name,Price,Start,Comments\r\n"


def reading(*records: str, settings: Settings | None = None) -> Reading:
    lines = [HEADER, *(record + "\r\n" for record in records)]
    return read(lines, TEMPLATE, settings or Settings())


def test_a_good_file_is_taken() -> None:
    """Blank cells, quoted newlines and characters of any language are good."""
    found = reading(
        '1,"Müller, ""A""",-1.50,01-jan-2026,', '2,"a\r\nb",.5,29-FEB-2028,x', "3,c,,01-JAN-2026,"
    )
    assert found == Reading(3)


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("1,a,1", "3 fields where 5"),
        ("", "0 fields where 5"),
        ("1,a,1.0.0,01-JAN-2026,", "RPRO-00712"),
        ("1,a, 1,01-JAN-2026,", "RPRO-00712"),
        ("1,a,1E5,01-JAN-2026,", "RPRO-00712"),
        ("1,a,\N{FULLWIDTH DIGIT ONE},01-JAN-2026,", "RPRO-00712"),
        ("1,a,1,31-FEB-2026,", "RPRO-00713"),
        ("1,a,1,2026-01-01,", "RPRO-00713"),
        ("1,=a,1,01-JAN-2026,", "RPRO-00603"),
        ("1,@a,1,01-JAN-2026,", "RPRO-00603"),
        (f"1,{'a' * 241},1,01-JAN-2026,", "RPRO-00707"),
        (f"1,a,1,01-JAN-2026,{'a' * 3001}", "RPRO-00708"),
        ('1,"a"b,1,01-JAN-2026,', "Line 3"),
    ],
)
def test_one_bad_cell_refuses_the_file(record: str, words: str) -> None:
    """Nothing of a file is taken when one cell does not fit."""
    found = reading("9,a,1,01-JAN-2026,", record)
    assert len(found.refusals) == 1
    assert words in found.refusals[0]
    assert not found.lines_in_error


def test_the_limits_themselves_fit() -> None:
    """240 characters in a cell, 3000 in the comments."""
    assert not reading(f"1,{'a' * 240},1,01-JAN-2026,{'a' * 3000}").refusals


def test_an_invoice_line_stands_once_in_a_file() -> None:
    """The same INV_LINE_ID twice refuses the file; blank ones are no twins."""
    assert "RPRO-00715" in reading("1,a,1,01-JAN-2026,", "1,b,1,01-JAN-2026,").refusals[0]
    assert not reading(",a,1,01-JAN-2026,", ",b,1,01-JAN-2026,").refusals


def test_other_alphabets_are_refused_where_the_tenant_says_so() -> None:
    """Rule 709 is a setting."""
    assert (
        "RPRO-00709"
        in reading("1,ä,1,01-JAN-2026,", settings=Settings(english_only=True)).refusals[0]
    )


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("\ufeffId,Name,Price,Start,Comments", "column 1 is '\\ufeffId'"),
        ("Name,Id,Price,Start,Comments", "column 1 is 'Name'"),
        ("Id,Name", "2 columns where 5"),
        ("", "0 columns where 5"),
    ],
)
def test_the_header_is_the_templates(header: str, words: str) -> None:
    """Labels in the mapping's order, nothing before them."""
    [refusal] = read([header + "\r\n", "1,a,1,01-JAN-2026,\r\n"], TEMPLATE, Settings()).refusals
    assert words in refusal


@pytest.mark.parametrize("lines", [[], [HEADER]])
def test_a_file_without_records_is_refused(lines: list[str]) -> None:
    """There is nothing to stage."""
    assert read(lines, TEMPLATE, Settings()).refusals


def test_refusals_are_bounded() -> None:
    """A file that is all wrong is not read to its end."""
    found = read(endless(), TEMPLATE, Settings())
    assert len(found.refusals) == 20


def endless() -> Iterable[str]:
    yield HEADER
    while True:
        yield "1\r\n"


def test_lines_in_error_name_themselves() -> None:
    """A line that breaks a rule is in error with its ids; the file is taken."""
    row = "SO,D1,L1,02-JAN-2026,01-JAN-2026,Müller,EUR,1"
    lines = [
        ",".join(SMALL_TRANSACTIONS.labels) + "\n",
        row + "\n",
        row.replace("02-JAN", "01-JAN"),
    ]
    found = read(lines, SMALL_TRANSACTIONS, Settings())
    [line] = found.lines_in_error
    assert found.records == 2
    assert (line.message, line.so_line_id, line.so_num, line.type) == (
        "RPRO-00013: Start date is after end date",
        "L1",
        "D1",
        "SO",
    )


GOOD = {
    "TYPE": "SO",
    "DOC_LINE_ID": "L1",
    "START_DATE": "01-JAN-2026",
    "END_DATE": "31-DEC-2026",
    "CUSTOMER_NAME": "Müller",
    "CUSTOMER_NUM": "C1",
    "TRANS_CURR": "EUR",
    "BASE_CURR": "EUR",
    "F_EX_RATE": "1.0",
    "ORD_QTY": "1",
    "EXT_SELL_PRC": "1",
}


@pytest.mark.parametrize(
    ("code", "change"),
    [
        (1, {"TYPE": "XX"}),
        (2, {"CV_ELIGIBLE_FLAG": "X"}),
        (3, {"CUSTOMER_NAME": " "}),
        (7, {"TYPE": "INV", "INV_LINE_ID": "I1"}),
        (11, {"F_EX_RATE": "1.1"}),
        (13, {"START_DATE": "01-JAN-2027"}),
        (15, {"START_DATE": "31-DEC-1947"}),
        (16, {"START_DATE": "31-DEC-1947", "END_DATE": "31-DEC-1947"}),
        (18, {"START_DATE": ""}),
        (30, {"TYPE": "RORD", "EXT_SELL_PRC": "-1"}),
        (36, {"TYPE": "CM", "INV_QTY": "1"}),
        (46, {"CREDIT_RULE": "X"}),
        (51, {"CUSTOMER_NUM": ""}),
        (58, {"TYPE": "RORD", "ORIG_SO_LINE_ID": "L0"}),
        (72, {"ORD_QTY": "0"}),
        (630, {"DOC_LINE_ID": ""}),
    ],
)
def test_each_rule_finds_what_it_names(code: int, change: dict[str, str]) -> None:
    """A good line breaks no rule, a changed one the rule of that code."""
    template = TRANSACTION_UPLOAD
    header = ",".join(template.labels) + "\n"
    rows = [
        ",".join((GOOD | more).get(name, "") for name in template.names) for more in ({}, change)
    ]
    settings = Settings(stage_rules=(code,))
    found = read([header, *(row + "\n" for row in rows)], template, settings)
    assert [line.message[:10] for line in found.lines_in_error] == [f"RPRO-{code:05d}"]
    everything = Settings(stage_rules=tuple(rule.code for rule in RULES))
    assert not read([header, rows[0] + "\n"], template, everything).lines_in_error


def test_a_percentage_is_one() -> None:
    """Rule 668 looks at events."""
    events = next(each for each in Settings().templates if each.kind is Kind.EVENT)
    rows = [["", "", "", "", "L1", "", "", "", percent, "", "", ""] for percent in ("100", "100.5")]
    lines = [",".join(row) + "\n" for row in [events.labels, *rows]]
    found = read(lines, events, Settings(stage_rules=(668,)))
    assert len(found.lines_in_error) == 1


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The place of the first bad byte is named."""
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER.encode() + b"1,M\xfcller,1,01-JAN-2026,\r\n")
    assert "not UTF-8" in read_file(path, TEMPLATE, Settings()).refusals[0]


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    """A tenant that lost its file goes on."""
    assert "can't be read" in read_file(tmp_path / "none", TEMPLATE, Settings()).refusals[0]


@pytest.mark.parametrize(
    ("mask", "good", "bad"),
    [
        ("DD-MON-YYYY", "07-Dec-2026", "7-DEC-2026"),
        ("DD-MON-YY", "07-DEC-26", "07-DEC-2026"),
        ("MM/DD/YYYY", "12/31/2026", "31/12/2026"),
        ("DD/MM/YYYY", "31/12/2026", "12/31/2026"),
        ("YYYY-MM-DD", "2026-12-31", "2026-13-01"),
        ("YYYYMMDD", "20261231", "20260230"),
        ("DD-MON-YYYY", "01-JAN-2026", "01-XXX-2026"),
        ("DD-MON-YYYY", "01-JAN-2026", "01-JAN-0000"),
    ],
)
def test_dates_fit_their_mask(mask: str, good: str, bad: str) -> None:
    """A date is one that the calendar has, written as the mask says."""
    assert reader(mask)(good) is not None
    assert reader(mask)(bad) is None
