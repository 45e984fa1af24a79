"""Each code with its exact place."""

from collections.abc import Callable

import pytest

from revsyncd.checks.contract import CheckResult, Dialect, Manifest, Problem, Rules

Examine = Callable[..., CheckResult]

HEADER = "Id,Type,Amount,Date\r\n"
GOOD = "1,SO,10.50,23-NOV-2026\r\n"
RULES = Rules(required=("Id",), unique=("id ",), allowed={"TYPE": ("SO", "INV")})
Place = tuple[str, int, int, str, str]


def place(problem: Problem) -> Place:
    return problem.code, problem.line, problem.record, problem.column, problem.value


def places(result: CheckResult) -> list[Place]:
    return [place(problem) for problem in result.problems]


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (",SO,1,", ("cell.required", "Id", "")),
        ('"  ",SO,1,', ("cell.required", "Id", "  ")),
        ("9,XX,1,", ("cell.allowed", "Type", "XX")),
        ("9, SO,1,", ("cell.allowed", "Type", " SO")),
        ("9,so,1,", ("cell.allowed", "Type", "so")),
        ("9,SO,12x,", ("cell.number", "Amount", "12x")),
        ("9,SO, 12,", ("cell.number", "Amount", " 12")),
        ("9,SO,12 ,", ("cell.number", "Amount", "12 ")),
        ('9,SO,"1,234",', ("cell.number", "Amount", "1,234")),
        ("9,SO,100.00-,", ("cell.number", "Amount", "100.00-")),
        ("9,SO,(100),", ("cell.number", "Amount", "(100)")),
        ("9,SO,+1,", ("cell.number", "Amount", "+1")),
        ("9,SO,1e5,", ("cell.number", "Amount", "1e5")),
        ("9,SO,1_000,", ("cell.number", "Amount", "1_000")),
        ("9,SO,NaN,", ("cell.number", "Amount", "NaN")),
        ("9,SO,.,", ("cell.number", "Amount", ".")),
        ("9,SO,-,", ("cell.number", "Amount", "-")),
        ("9,SO,1.2.3,", ("cell.number", "Amount", "1.2.3")),
        ("9,SO,\uff11\uff12,", ("cell.number", "Amount", "\uff11\uff12")),
        ("9,SO,\u22125,", ("cell.number", "Amount", "\u22125")),
        ("9,SO,#N/A,", ("cell.number", "Amount", "#N/A")),
        ('9,SO,"1\n2",', ("cell.number", "Amount", "1\n2")),
        ("9,SO,1,31-FEB-2026", ("cell.date", "Date", "31-FEB-2026")),
        ("9,SO,1,2026-11-23", ("cell.date", "Date", "2026-11-23")),
        ("9,SO,1,1-NOV-2026", ("cell.date", "Date", "1-NOV-2026")),
        ("9,SO,1, 01-NOV-2026", ("cell.date", "Date", " 01-NOV-2026")),
        ("9,SO,1,01-NOV-26", ("cell.date", "Date", "01-NOV-26")),
        ("1,SO,1,", ("record.duplicate", "Id", "1")),
        ("9,SO,1", ("record.fields", "", "9,SO,1")),
        ("9,SO,1,,", ("record.fields", "", "9,SO,1,,")),
        ('9,S"O,1,', ("record.quote", "Type", 'S"O')),
        ('9,"S"O,1,', ("record.quote", "Type", '"S"O')),
        ('9,"SO,1,', ("file.unterminated_quote", "Type", '"SO,1,')),
        ("9,SO\r,1,", ("file.control", "Type", "SO\r")),
        ("9\0,SO,1,", ("file.control", "Id", "9\0")),
        ("9\x7f,SO,1,", ("file.control", "Id", "9\x7f")),
        ("9\x85,SO,1,", ("file.control", "Id", "9\x85")),
        ("#N/A,SO,1,", ("cell.suspect", "Id", "#N/A")),
        ("#REF!,SO,1,", ("cell.suspect", "Id", "#REF!")),
        ("1.23E+15,SO,1,", ("cell.suspect", "Id", "1.23E+15")),
        ("9\xa0,SO,1,", ("cell.suspect", "Id", "9\xa0")),
    ],
)
def test_a_defect_is_told_once_with_its_place(
    examine: Examine, cells: str, expected: tuple[str, str, str]
) -> None:
    """One defect gives one problem: code, line, record, column and the cell as it stands."""
    code, column, value = expected
    after = GOOD.replace("1,", "3,", 1)
    result = examine(HEADER + GOOD + cells + "\r\n" + after, RULES)
    assert places(result) == [(code, 3, 2, column, value)]
    assert result.by_code == {code: 1}
    assert (result.errors, result.warnings) == ((0, 1) if code == "cell.suspect" else (1, 0))
    assert result.records == 3
    assert result.rejected == (() if code == "cell.suspect" else ((2, 2),))


@pytest.mark.parametrize(
    "cells",
    [
        ",,,",
        "9,,-0.5,01-jan-2026",
        "9,SO,.5,29-Feb-2024",
        "9,SO,5.,",
        "9,SO,-12345678901234567890.123456789,",
        '"9 ""x"", y",SO,1,',
        '"multi\r\nline",SO,1,',
        '"a\rb",SO,1,',
        "\tid,SO,1,",
        "Zo\xeb \u20ac \U0001f600,SO,1,",
    ],
)
def test_a_good_record_is_not_complained_about(examine: Examine, cells: str) -> None:
    """What the tenant takes passes."""
    result = examine(HEADER + cells + "\r\n", Rules(allowed={"Type": ("SO",)}))
    assert (result.problems, result.by_code, result.rejected) == ((), {}, ())


@pytest.mark.parametrize(
    ("content", "expected", "looks_cut"),
    [
        ("", [("file.empty", 0, 0, "", "")], False),
        ("\ufeff", [("file.empty", 0, 0, "", "")], False),
        ("\r\n\n", [("file.empty", 0, 0, "", "")], False),
        ("sep=,\r\n", [("file.empty", 0, 0, "", "")], False),
        (HEADER, [("file.no_records", 1, 0, "", "")], False),
        (HEADER + "\r\n\r\n", [("file.no_records", 1, 0, "", "")], False),
        (HEADER + GOOD + GOOD[:-2], [("file.final_newline", 3, 2, "", "")], True),
        (HEADER + GOOD + "2,SO,1", [("file.final_newline", 3, 2, "", "")], True),
        (HEADER + GOOD + "2,SO,1\r\n", [("record.fields", 3, 2, "", "2,SO,1")], True),
        (HEADER + '2,"SO', [("file.unterminated_quote", 2, 1, "Type", '"SO')], True),
        (HEADER + "2,SO,1,,\r\n", [("record.fields", 2, 1, "", "2,SO,1,,")], False),
        (HEADER + "x\r\n" + GOOD, [("record.fields", 2, 1, "", "x")], False),
    ],
)
def test_the_file_as_a_whole(
    examine: Examine, content: str, expected: list[Place], *, looks_cut: bool
) -> None:
    """Empty, headless, recordless and cut files are told by one problem each."""
    result = examine(content)
    assert places(result) == expected
    assert result.looks_cut is looks_cut
    assert result.file_refused is expected[0][0].startswith("file.")


def test_a_file_cut_inside_a_character_is_told_as_cut_alone(examine: Examine) -> None:
    """Half a character at the end is the same defect as the missing newline."""
    result = examine((HEADER + "1,SO,1,\r\n2,\u20ac").encode()[:-1])
    assert places(result) == [("file.final_newline", 3, 2, "", "")]


def test_a_missing_final_newline_may_be_allowed(examine: Examine) -> None:
    """`final_newline = "allow"` takes the last line as it is, and still sees a short record."""
    allow = Dialect(final_newline="allow")
    assert examine(HEADER + GOOD[:-2], dialect=allow).problems == ()
    short = examine(HEADER + "1,SO", dialect=allow)
    assert places(short) == [("record.fields", 2, 1, "", "1,SO")]
    assert short.looks_cut


@pytest.mark.parametrize(
    ("header", "cells", "expected"),
    [
        ("Id,Type,Amount", "1,SO,1", [("header.missing", 1, 0, "Date", "")]),
        ("Id,Type,Amount,Date,Note", "1,SO,1,,", [("header.unknown", 1, 0, "Note", "Note")]),
        ("Id,Type,Amount,Date, id", "1,SO,1,,", [("header.duplicate", 1, 0, "Id", " id")]),
        (
            "Id,Type,Amount,Date,,",
            "1,SO,1,,,",
            [("header.blank", 1, 0, "", ""), ("header.blank", 1, 0, "", "")],
        ),
        ('Id,Type,Amount,"Da"te', "1,SO,1,", [("record.quote", 1, 0, "", '"Da"te')]),
        (
            'Id,"Ty\npe",Amount,Date',
            "1,SO,1,",
            [("header.unknown", 1, 0, "Ty\npe", "Ty\npe"), ("header.missing", 1, 0, "Type", "")],
        ),
    ],
)
def test_the_header(examine: Examine, header: str, cells: str, expected: list[Place]) -> None:
    """The header is compared with the template; what does not fit refuses the file."""
    result = examine(f"{header}\r\n{cells}\r\n")
    assert sorted(places(result)) == sorted(expected)
    assert result.file_refused
    assert result.errors == len(expected)


def test_labels_are_compared_without_case_and_outer_blanks(examine: Examine) -> None:
    """An ERP's spelling of a label is good enough, and the report uses the template's."""
    result = examine(" ID ,type,AMOUNT ,dAtE\r\n1,SO,x,\r\n")
    assert places(result) == [("cell.number", 2, 1, "Amount", "x")]


def test_a_header_problem_does_not_hide_the_cells(examine: Examine) -> None:
    """The columns that are there are checked all the same."""
    result = examine("Id,Amount,Date\r\n1,x,y\r\n")
    assert result.by_code == {"header.missing": 1, "cell.number": 1, "cell.date": 1}


def test_a_label_that_only_the_checks_name_is_missed(examine: Examine) -> None:
    """A check on a column that does not exist is no check: that is said, not skipped."""
    result = examine(HEADER + GOOD, Rules(unique=("Doc Id",), levels={"header": "off"}))
    assert places(result) == [("header.missing", 1, 0, "Doc Id", "")]


def test_a_required_column_stays_required_when_missing_ones_are_allowed(examine: Examine) -> None:
    """`header.missing = "off"` does not cover a column without which every record would be at fault."""
    rules = Rules(required=("Date",), levels={"header.missing": "off"})
    assert examine("Id,Type,Amount\r\n1,SO,1\r\n", rules).errors == 1
    assert examine("Id,Type,Date\r\n1,SO,01-JAN-2026\r\n", rules).errors == 0


@pytest.mark.parametrize(
    ("manifest", "expected"),
    [
        (Manifest(records=1, totals={"amount": "10.5"}), []),
        (Manifest(records=2), [("manifest.records", 0, 0, "", "1")]),
        (Manifest(totals={"Amount": "10.51"}), [("manifest.totals", 0, 0, "Amount", "10.50")]),
        (Manifest(totals={"Amount": "ten"}), [("manifest.totals", 0, 0, "Amount", "10.50")]),
        (Manifest(totals={"Price": "1"}), [("manifest.totals", 0, 0, "Price", "")]),
    ],
)
def test_the_manifest(examine: Examine, manifest: Manifest, expected: list[Place]) -> None:
    """What the sender says must be so."""
    result = examine(HEADER + GOOD, manifest=manifest)
    assert places(result) == expected
    assert result.file_refused is bool(expected)


def test_the_manifests_hash(examine: Examine) -> None:
    """The hash is compared whatever its case and prefix."""
    sha256 = examine(HEADER + GOOD).sha256
    same = Manifest(sha256=f" SHA256:{sha256.upper()}\n")
    assert examine(HEADER + GOOD, manifest=same).errors == 0
    other = examine(HEADER + GOOD, manifest=Manifest(sha256="0" * 64))
    assert places(other) == [("manifest.sha256", 0, 0, "", sha256)]


def test_a_multi_line_record_has_its_cells_on_their_lines(examine: Examine) -> None:
    """The line is the one on which the cell begins, the record's number counts records."""
    content = HEADER + '\r\n"a\r\nb","S\nO",x,y\r\n' + "2,SO,z,\r\n"
    assert places(examine(content)) == [
        ("cell.number", 5, 1, "Amount", "x"),
        ("cell.date", 5, 1, "Date", "y"),
        ("cell.number", 6, 2, "Amount", "z"),
    ]


def test_one_fault_never_hides_the_next(examine: Examine) -> None:
    """Every bad place of a thoroughly broken file is told, each in its own record."""
    content = (
        HEADER.encode()
        + b'1,S"O,1,\r\n2,"SO,1,\r\n3,M\xfc,1,\r\n4,SO\0,1,\r\n5,SO\r\n6,SO,x,\r\n7,"S"O,1,\r\n'
    )
    assert [(p.code, p.record) for p in examine(content).problems] == [
        ("record.quote", 1),
        ("record.quote", 2),
        ("file.encoding", 3),
        ("file.control", 4),
        ("record.fields", 5),
        ("cell.number", 6),
        ("record.quote", 7),
    ]


def test_a_repeated_key_names_the_later_record_and_points_to_the_first(examine: Examine) -> None:
    """Every later one is told; an empty key is none."""
    content = HEADER + "a,,,\r\nb,,,\r\n,,,\r\n,,,\r\na,,,\r\na,,,\r\n"
    result = examine(content, Rules(unique=("Id",)))
    assert [(p.record, p.line) for p in result.problems] == [(5, 6), (6, 7)]
    assert all("record 1 (line 2)" in p.message for p in result.problems)


def test_levels_apply_by_exact_code_then_by_the_longest_prefix(examine: Examine) -> None:
    """`cell = off` silences all but what is named more exactly."""
    content = HEADER + "1,XX,x,y\r\n"
    levels = {"cell": "off", "cell.date": "warn"}
    result = examine(content, Rules(allowed={"Type": ("SO",)}, levels=levels))
    assert [(p.code, p.level) for p in result.problems] == [("cell.date", "warn")]
    assert (result.errors, result.warnings, result.rejected) == (0, 1, ())


@pytest.mark.parametrize("content", ["1,SO\r\n", '1,S"O,1,\r\n', '1,"SO,1,\r\n', "1,S\rO,1,\r\n"])
def test_what_can_not_be_read_is_an_error_whatever_the_levels(
    examine: Examine, content: str
) -> None:
    """Else a record would be left out in silence."""
    off = Rules(levels={"file": "off", "record": "off"})
    result = examine(HEADER + content + GOOD, off)
    assert (result.errors, result.rejected, result.unreadable) == (1, ((1, 1),), 1)


def test_all_are_counted_and_the_listed_are_spread_over_the_codes(examine: Examine) -> None:
    """A flood of one code leaves room for the single case of another."""
    content = HEADER + "1,SO,x,\r\n" * 50 + "1,SO,1,y\r\n"
    result = examine(content, Rules(problem_limit=5))
    assert result.by_code == {"cell.number": 50, "cell.date": 1}
    assert [p.record for p in result.problems] == [1, 2, 3, 4, 51]
    assert result.rejected == ((1, 51),)
    assert result.rejected_records == 51


def test_a_value_is_cut_to_200_characters(examine: Examine) -> None:
    """A report is no place for a cell of a megabyte."""
    result = examine(HEADER + f"1,SO,{'x' * 5000},\r\n")
    assert result.problems[0].value == "x" * 200
    assert len(result.problems[0].message) < 300


def test_a_line_longer_than_the_bound_is_one_bad_record(examine: Examine) -> None:
    """It counts once, however many pieces it is read in, and the next line is read as ever."""
    result = examine(HEADER + "x" * (3 << 20) + "\r\n" + GOOD)
    assert [(p.code, p.record) for p in result.problems] == [("record.fields", 1)]
    assert (result.records, result.unreadable, result.lines) == (2, 1, 3)
