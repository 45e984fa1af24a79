import csv
import io
from pathlib import Path

import pytest

from revsyncd.checks.contract import Problem
from revsyncd.checks.errors_csv import safe, write_errors_csv

PROBLEM = Problem(3, 2, "Amount", 'x,"y"', "cell.number", "error", "Not a number.")
TENANT = Problem(4, 3, "", "L-1", "RPRO-00076", "error", "A rate is missing", "tenant")
WHOLE_FILE = Problem(0, 0, "", "", "file.empty", "error", "Empty.")


def test_rows_read_back_as_they_were(tmp_path: Path) -> None:
    """One row a problem, UTF-8 with BOM, CRLF; a place that is none is an empty cell."""
    path = tmp_path / "errors.csv"
    write_errors_csv([PROBLEM, TENANT, WHOLE_FILE], path)
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfline,record,column,value,code,level,message,source\r\n")
    assert data.count(b"\r\n") == data.count(b"\n") == 4
    assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))[1:] == [
        ["3", "2", "Amount", 'x,"y"', "cell.number", "error", "Not a number.", "check"],
        ["4", "3", "", "L-1", "RPRO-00076", "error", "A rate is missing", "tenant"],
        ["", "", "", "", "file.empty", "error", "Empty.", "check"],
    ]


def test_an_open_file_will_do() -> None:
    """More than one batch of rows goes the same way."""
    out = io.BytesIO()
    write_errors_csv([PROBLEM] * 2500, out)
    assert out.getvalue().count(b"cell.number") == 2500


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+49 89", "'+49 89"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("-", "'-"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\t=1", "'\u2409=1"),
        ("\r=1", "'\u240d=1"),
        ("-12.50", "-12.50"),
        ("-1.234,5", "-1.234,5"),
        ("12", "12"),
        ("a\r\nb\0\x7f\x85", "a\u240d\u240ab\u2400\u2421\\x85"),
        ("M\udcfcller", "M\\xfcller"),
        ("a\u202efdp.exe\u2028b", "a\\u202efdp.exe\\u2028b"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_and_each_row_is_one_line(text: str, shown: str) -> None:
    """A lead that spreadsheets take for a formula is disarmed; control characters become pictures."""
    assert safe(text) == shown
