"""Multipart forms are read strictly, byte for byte."""

import pytest

from revsyncd.simulator.multipart import Malformed, boundary_of, parse


def form(*parts: bytes, closing: bytes = b"--B--\r\n") -> bytes:
    return b"".join(b"--B\r\n" + part + b"\r\n" for part in parts) + closing


FILE = b'Content-Disposition: form-data; name="file"; filename="a \\"b\\".csv"\r\nX: y\r\n\r\n'


@pytest.mark.parametrize(
    "content", [b"", b"a,b\r\n1,2\r\n", b"\r\n", b"x--B\r\n", b"\r\n-B\x00\xff"]
)
def test_content_comes_back_exactly(content: bytes) -> None:
    """Content that looks like the framing, but is not, belongs to the part."""
    body = form(FILE + content)
    [part] = parse(body, b"B")
    assert body[part.start : part.end] == content
    assert (part.name, part.file_name) == ("file", 'a "b".csv')


def test_all_parts_come_in_order() -> None:
    """A form may hold fields beside the file, in any order."""
    body = form(b"content-disposition: form-data; name=note\r\n\r\nhello", FILE + b"x")
    parts = parse(body, b"B")
    assert [(part.name, part.file_name) for part in parts] == [("note", ""), ("file", 'a "b".csv')]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "does not begin"),
        (form(FILE + b"x", closing=b""), "closing boundary is missing"),
        (form(FILE + b"x", closing=b"--B-"), "no line end after the boundary"),
        (form(FILE + b"x", closing=b"--B--trailing"), "text after"),
        (form(b"no headers"), "no headers"),
        (form(b"X: y\r\n\r\nx"), "no Content-Disposition"),
        (form(b"Content-Disposition: form-data\r\n\r\nx"), "no name"),
        (form(b""), "no headers"),
    ],
)
def test_a_form_that_is_not_complete_is_malformed(body: bytes, words: str) -> None:
    """A missing end is not taken for the end of the content."""
    with pytest.raises(Malformed, match=words):
        parse(body, b"B")


def test_every_prefix_of_a_form_is_malformed() -> None:
    """However a form is cut, short of its last line end, it is not acted on."""
    body = form(FILE + b"a,b\r\n1,2\r\n")
    for length in range(len(body) - 2):
        with pytest.raises(Malformed):
            parse(body[:length], b"B")


def test_the_boundary_comes_from_the_content_type() -> None:
    """Quoted or not; another content type is no form."""
    assert boundary_of("multipart/form-data; boundary=abc") == b"abc"
    assert boundary_of('Multipart/Form-Data; charset=x; boundary="a b"') == b"a b"
    for wrong in ("", "text/csv", "multipart/form-data", "multipart/mixed; boundary=abc"):
        with pytest.raises(Malformed):
            boundary_of(wrong)
