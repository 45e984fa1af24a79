"""The rules of the strict tenant, on bodies that break exactly one of them."""

import pytest
import strict_rules as rules
from strict_books import TEMPLATES

EVENTS = TEMPLATES["Event Upload"]
GOOD = 'Doc Line Id,Event Name,Event Date,Percent\r\nL1,"a ""b"", ü",2026-11-23,10.5\r\n'.encode()


def rules_of(faults: list[rules.Fault]) -> list[str]:
    return [rule for rule, _ in faults]


@pytest.mark.parametrize(
    ("rule", "content"),
    [
        ("body.bom", b"\xef\xbb\xbf" + GOOD),
        ("body.bom", GOOD.decode().encode("utf-16")),
        ("body.not_utf8", GOOD.decode().encode("windows-1252")),
        ("body.csv", GOOD + b'L2,"open,2026-11-23,1\r\n'),
        ("body.header", GOOD.replace(b"Event Name,Event Date", b"Event Date,Event Name")),
        ("body.header", GOOD.replace(b"Percent", b"percent")),
        ("body.header", b""),
        ("body.no_records", GOOD.split(b"\r\n")[0] + b"\r\n"),
        ("record.fields", GOOD + b"L2,x\r\n"),
        ("record.fields", GOOD + b"\r\n"),
        ("cell", GOOD.replace(b"10.5", b"10.5-")),
        ("cell", GOOD.replace(b"10.5", b" 10.5")),
        ("cell", GOOD.replace(b"2026-11-23", b"23/11/2026")),
        ("body.too_many", GOOD + b"L2,x,2026-11-23,1\r\n" * 3),
    ],
)
def test_content_that_the_tenant_can_not_want(rule: str, content: bytes) -> None:
    """UTF-8 without a BOM, the mapping's labels in order, whole records, plain numbers and dates."""
    assert rules_of(rules.read_rows(content, EVENTS, 3)[1]) == [rule]


def test_content_as_the_tenant_wants_it_is_read_cell_by_cell() -> None:
    """Quotes, commas and umlauts arrive as they were meant."""
    assert rules.read_rows(GOOD, EVENTS, 1) == ([["L1", 'a "b", ü', "2026-11-23", "10.5"]], [])


@pytest.mark.parametrize(
    ("rule", "head", "tail"),
    [
        ("multipart.parts", b'name="data"; filename="a.csv"', b"--\r\n"),
        ("file_name.missing", b'name="file"', b"--\r\n"),
        ("file_name.not_ascii", 'name="file"; filename="ä.csv"'.encode(), b"--\r\n"),
        ("file_name.extended", b"name=\"file\"; filename*=UTF-8''a.csv", b"--\r\n"),
        ("file_name.characters", b'name="file"; filename="../a.csv"', b"--\r\n"),
        ("multipart.unfinished", b'name="file"; filename="a.csv"', b""),
        ("multipart.unfinished", b'name="file"; filename="a.csv"', b"--\r\nand more"),
    ],
)
def test_a_form_that_the_tenant_can_not_read(rule: str, head: bytes, tail: bytes) -> None:
    """One part `file` with a plain ASCII file name and an end is what an upload must be."""
    body = b"--xyz\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + GOOD
    body += b"\r\n--xyz" + tail
    assert rules_of(rules.file_part("multipart/form-data; boundary=xyz", body)[2]) == [rule]


def test_a_form_gives_its_content_back_byte_for_byte() -> None:
    """Also content that ends in newlines or looks like a boundary of somebody else."""
    content = b"\r\n--other--\r\n" + GOOD + b"\r\n\r\n"
    body = b'--xyz\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    read = rules.file_part('multipart/form-data; boundary="xyz"', body + content + b"\r\n--xyz--")
    assert read == ("a.csv", content, [])


def test_a_form_without_a_boundary_is_a_fault() -> None:
    """The content type must name it."""
    assert rules_of(rules.file_part("multipart/form-data", b"")[2]) == ["multipart.boundary"]
