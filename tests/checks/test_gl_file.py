import gzip
import hashlib
import io
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.checks.contract import Fault, GlResult, GlRules, LineEnd
from revsyncd.checks.gl_file import examine

HEADER = b"id,currency_code,accounted_dr,accounted_cr,memo\r\n"
GOOD = HEADER + b'1,USD,10.10,,"a ""b"",\r\nc"\r\n2,USD,,10.10,\r\n3,EUR,0.3,0.30,x\r\n'


def look(tmp_path: Path, content: bytes, **rules: object) -> GlResult:
    path = tmp_path / "raw"
    path.write_bytes(content)
    return examine(path, tmp_path / "unpacked", GlRules(**rules))  # type: ignore[arg-type]


def test_a_good_file(tmp_path: Path) -> None:
    """Counted, hashed, summed exactly for each currency."""
    found = look(tmp_path, GOOD)
    assert (found.fault, found.records, found.bytes) == (None, 3, len(GOOD))
    assert found.sha256 == hashlib.sha256(GOOD).hexdigest()
    assert found.totals == {
        "EUR": {"debit": "0.3", "credit": "0.30"},
        "USD": {"debit": "10.10", "credit": "10.10"},
    }
    assert (found.unbalanced, found.missing, found.unsummed) == ((), (), 0)


@pytest.mark.parametrize("packing", ["plain", "gzip", "zip"])
def test_cut_anywhere_it_is_whole_only_at_the_end_of_a_record(tmp_path: Path, packing: str) -> None:
    """An archive is never whole before its last bytes; a plain file only between two records."""
    whole = packed(GOOD, packing)
    ends = [at for at in range(len(whole)) if look(tmp_path, whole[:at]).fault is None]
    expected = [len(HEADER), GOOD.index(b"2,USD"), GOOD.index(b"3,EUR")]
    assert ends == (expected if packing == "plain" else [])


def packed(content: bytes, packing: str) -> bytes:
    if packing == "gzip":
        return gzip.compress(content)
    if packing == "plain":
        return content
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("folder/", "")
        out.writestr("folder/any.name", content)
    return archive.getvalue()


@pytest.mark.parametrize("packing", ["gzip", "zip"])
def test_an_archive_is_unpacked_within_its_bound(tmp_path: Path, packing: str) -> None:
    """One byte more than allowed is too large, whatever the archive says of itself."""
    content = packed(GOOD, packing)
    assert look(tmp_path, content, max_size=len(GOOD)).packing == packing
    assert (tmp_path / "unpacked").read_bytes() == GOOD
    assert look(tmp_path, content, max_size=len(GOOD) - 1).fault is Fault.TOO_LARGE
    bomb = packed(bytes(50_000_000), packing)
    assert look(tmp_path, bomb, max_size=1_000_000).fault is Fault.TOO_LARGE
    assert (tmp_path / "unpacked").stat().st_size <= 1_000_000


def test_a_zip_with_several_files_is_none_of_them(tmp_path: Path) -> None:
    """Nobody can say which is meant."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.csv", GOOD)
        out.writestr("b.csv", GOOD)
    found = look(tmp_path, archive.getvalue())
    assert (found.fault, "2 files" in found.told) == (Fault.UNREADABLE, True)


def test_a_gzip_of_several_members_is_all_of_them(tmp_path: Path) -> None:
    """As RFC 1952 has it; padding with zeros is none of them."""
    content = gzip.compress(GOOD[:60]) + gzip.compress(GOOD[60:])
    for padded in (content, content + bytes(512)):
        assert look(tmp_path, padded).sha256 == hashlib.sha256(GOOD).hexdigest()


@pytest.mark.parametrize("packing", ["gzip", "zip"])
@pytest.mark.parametrize("garbage", [b"x", b"<Error>", GOOD, b"PK", b"\x1f\x8b"])
def test_what_follows_an_archive_makes_it_a_damaged_one(
    tmp_path: Path, packing: str, garbage: bytes
) -> None:
    """Nobody can say what it is."""
    assert look(tmp_path, packed(GOOD, packing) + garbage).fault is Fault.CUT


def test_of_two_zips_in_a_row_none_is_the_file(tmp_path: Path) -> None:
    """Readers take the last one, and the entries of the first would be lost in silence."""
    found = look(tmp_path, packed(GOOD, "zip") + packed(HEADER, "zip"))
    assert (found.fault, "before or after" in found.told) == (Fault.CUT, True)


def test_a_zip_may_have_a_comment(tmp_path: Path) -> None:
    """It is a part of the archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.comment = b"made by the tenant"
        out.writestr("a.csv", GOOD)
    assert look(tmp_path, archive.getvalue()).fault is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf \r\n<html><title>Sign in</title>", "a web page came"),
        (
            b"<Error><Code>AccessDenied</Code></Error>",
            "XML came in place of the file: AccessDenied",
        ),
        ('<?xml version="1.0"?><a/>'.encode("utf-16"), "XML came in place of the file"),
        (b'{"Message": "no \\u00fc"}', "JSON came in place of the file: no ü"),
        (b'[{"error": "x"}]', "JSON came in place of the file: x"),
        (b"[]", "JSON came"),
        (b"{", "JSON came"),
        (b'{"message": "https://h/?a=b SIGNATURESIGNATURESIGNATURE"}', "file: (an address) …"),
    ],
)
def test_an_answer_is_no_file(tmp_path: Path, content: bytes, told: str) -> None:
    """Recognised by how it begins; of its words only those for people are told, and no key."""
    found = look(tmp_path, content)
    assert found.fault is Fault.ANSWER
    assert told in found.told


@pytest.mark.parametrize("label", ["[id", "[id]", "(id)", "< id", "#id"])
def test_an_odd_label_is_no_answer(tmp_path: Path, label: str) -> None:
    """A header may begin with a bracket."""
    content = HEADER.replace(b"id,", f"{label},".encode(), 1) + b"1,USD,1,1,x\r\n"
    assert look(tmp_path, content).fault is None


@pytest.mark.parametrize(
    ("content", "fault", "told"),
    [
        (b"", Fault.CUT, "no header"),
        (b"Report not found\r\nTry later\r\n", Fault.UNREADABLE, "one cell"),
        (bytes(5000), Fault.UNREADABLE, "one cell"),
        (GOOD[:-2], Fault.CUT, "no end"),
        (HEADER + b"1,USD\r\n", Fault.CUT, "2 fields"),
        (HEADER + b"1,USD\r\n" + GOOD[len(HEADER) :], Fault.UNREADABLE, "record 1 has 2 fields"),
        (HEADER + b"1,USD,1,1,a,b\r\n", Fault.UNREADABLE, "6 fields"),
        (HEADER + b'1,USD,1,1,"a"b\r\n', Fault.UNREADABLE, "record 1"),
        (HEADER + b'1,USD,1,1,"a\r\n', Fault.CUT, "end of data"),
    ],
)
def test_what_is_not_whole_says_so(tmp_path: Path, content: bytes, fault: Fault, told: str) -> None:
    """A ragged or unterminated end is a cut; anything else in the middle is not readable."""
    found = look(tmp_path, content)
    assert found.fault is fault
    assert told in found.told


def test_a_last_line_without_an_end_may_be_allowed(tmp_path: Path) -> None:
    """Where the tenant never ends it."""
    assert look(tmp_path, GOOD[:-2], final_newline=LineEnd.ALLOW).fault is None


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_other_encodings_are_read_for_their_amounts(tmp_path: Path, encoding: str) -> None:
    """A byte order mark is no part of the first label; foreign letters break nothing."""
    text = "Accounted Dr;ACCOUNTED-CR;Currency Code;Name\r\n1.5;;EUR;Müller\r\n;1.50;EUR;x\r\n"
    found = look(tmp_path, text.encode(encoding))
    assert (found.fault, found.columns[0], found.unbalanced) == (None, "Accounted Dr", ())
    assert found.totals == {"EUR": {"debit": "1.5", "credit": "1.50"}}


@pytest.mark.parametrize("cell", ["1,000.00", "(5)", "NaN", "1_0", "٣", "Infinity", "5-", "1e9999"])
def test_an_amount_that_is_no_plain_number_is_in_no_total(tmp_path: Path, cell: str) -> None:
    """Counted, and the first is named."""
    found = look(tmp_path, HEADER + f'1,USD,"{cell}",,x\r\n2,USD,1,1,x\r\n'.encode())
    assert (found.unsummed, found.totals["USD"]["credit"]) == (1, "1")
    assert cell in found.unsummed_told


def test_a_column_that_holds_no_currencies_fills_no_memory(tmp_path: Path) -> None:
    """Ids in its place would make a total of each record: beyond a thousand they are in none."""
    rows = b"".join(b"1,%d,1,1,x\r\n" % number for number in range(3000))
    found = look(tmp_path, HEADER + rows)
    assert (len(found.totals), found.unsummed) == (1000, 2000)
    assert "record 1,001" in found.unsummed_told


@given(
    st.lists(
        st.tuples(st.sampled_from("AB"), st.decimals(-(10**30), 10**30, places=9)), max_size=40
    )
)
def test_totals_are_exact(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, Decimal]]
) -> None:
    """However large and however fine."""
    rows = b"".join(f"1,{code},{amount:f},,x\r\n".encode() for code, amount in lines)
    found = look(tmp_path_factory.getbasetemp(), HEADER + rows)
    for code in {code for code, _ in lines}:
        wanted = sum(int(a.scaleb(9)) for c, a in lines if c == code)
        assert (
            int(Decimal(found.totals[code]["debit"]).scaleb(9, None)) == wanted
            or abs(wanted) > 10**27
        )
        assert found.totals[code]["debit"] == f"{_exact(lines, code):f}"


def _exact(lines: list[tuple[str, Decimal]], code: str) -> Decimal:
    whole = sum(int(f"{amount:f}".replace(".", "")) for c, amount in lines if c == code)
    sign = "-" if whole < 0 else ""
    digits = f"{abs(whole):010d}"
    return Decimal(f"{sign}{digits[:-9]}.{digits[-9:]}")


def test_lines_before_the_header_are_skipped(tmp_path: Path) -> None:
    """As many as are configured; they count as bytes."""
    found = look(tmp_path, b'Report "x\r\n\r\n' + GOOD, preamble_lines=2)
    assert (found.fault, found.records, found.columns[0]) == (None, 3, "id")
