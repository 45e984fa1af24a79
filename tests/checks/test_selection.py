from pathlib import Path

import pytest

from revsyncd.checks.contract import Dialect
from revsyncd.checks.selection import locate, select

CONTENT = 'sep=;\r\nId;N\xf6te\r\n\r\n1;"a;\r\nb"\n2;\xe9"x\r\n3;\n"4;open\r\n5;too;many\r\n6;"last ""one"""\r\n'
RECORDS = [
    '1;"a;\r\nb"\n',
    '2;\xe9"x\r\n',
    "3;\n",
    '"4;open\r\n',
    "5;too;many\r\n",
    '6;"last ""one"""\r\n',
]
BEGIN = "sep=;\r\nId;N\xf6te\r\n"


@pytest.mark.parametrize(
    ("codec", "configured"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("cp1252", "windows-1252"),
        ("latin-1", "latin-1"),
        ("utf-16", "utf-16"),
    ],
)
@pytest.mark.parametrize("chosen", [[], [(1, 1)], [(2, 4)], [(6, 6), (1, 2)], [(1, 6)]])
def test_header_and_records_come_out_byte_for_byte(
    tmp_path: Path, codec: str, configured: str, chosen: list[tuple[int, int]]
) -> None:
    """Byte order mark, `sep=` line, encoding, quoting and line ends are those of the dropped file."""
    path, out = tmp_path / "drop.csv", tmp_path / "out.csv"
    path.write_bytes(CONTENT.encode(codec))
    count = select(path, Dialect(encoding=configured), chosen, out)
    numbers = sorted(n for first, last in chosen for n in range(first, last + 1))
    assert count == len(numbers)
    expected = BEGIN + "".join(RECORDS[n - 1] for n in numbers)
    assert out.read_bytes() == expected.encode(codec)


def test_undecodable_bytes_come_out_as_they_were(tmp_path: Path) -> None:
    """A record is copied whether or not it can be read."""
    path, out = tmp_path / "drop.csv", tmp_path / "out.csv"
    path.write_bytes(b"Id\xff\r\n\xe2\x82\r\n\x81\xfe\r\n")
    assert select(path, Dialect(), [(2, 2)], out) == 1
    assert out.read_bytes() == b"Id\xff\r\n\x81\xfe\r\n"


def test_a_last_record_without_newline_gets_none(tmp_path: Path) -> None:
    """Byte for byte means the end too, half a character included."""
    path, out = tmp_path / "drop.csv", tmp_path / "out.csv"
    path.write_bytes("Id\r\n1\r\n2".encode("utf-16") + b"x")
    assert select(path, Dialect(encoding="utf-16"), [(2, 2)], out) == 1
    assert out.read_bytes() == "Id\r\n2".encode("utf-16") + b"x"


def test_an_overlong_line_is_copied_whole_and_counts_once(tmp_path: Path) -> None:
    """It is read in pieces, which a copy must not show."""
    path, out = tmp_path / "drop.csv", tmp_path / "out.csv"
    content = "Id\r\n1\r\n" + "x" * (3 << 20) + "\r\n3\r\n"
    path.write_text(content, newline="")
    assert select(path, Dialect(), [(1, 3)], out) == 3
    assert out.read_bytes() == content.encode()


def test_a_failed_selection_leaves_no_file(tmp_path: Path) -> None:
    """Half a rejects.csv would be taken for a whole one."""
    out = tmp_path / "out.csv"
    with pytest.raises(FileNotFoundError):
        select(tmp_path / "gone.csv", Dialect(), [(1, 1)], out)
    assert not out.exists()


def test_what_exists_is_neither_overwritten_nor_removed(tmp_path: Path) -> None:
    """A file, or a link to something else altogether, stays as it was."""
    path, out, other = tmp_path / "drop.csv", tmp_path / "out.csv", tmp_path / "other"
    path.write_bytes(b"Id\n1\n")
    other.write_bytes(b"evidence")
    out.symlink_to(other)
    with pytest.raises(FileExistsError):
        select(path, Dialect(), [(1, 1)], out)
    assert out.is_symlink()
    assert other.read_bytes() == b"evidence"


def test_records_are_located_on_their_physical_lines(tmp_path: Path) -> None:
    """Quoted newlines, blank lines and the `sep=` line count."""
    path = tmp_path / "drop.csv"
    path.write_bytes(CONTENT.encode())
    assert locate(path, Dialect(), [1, 2, 6, 99]) == {1: 4, 2: 6, 6: 10}
