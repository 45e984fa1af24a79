import csv
import io
import json
from pathlib import Path

import pytest

from revsyncd.adapters.gl_pages import PageJoin, PageUnreadable, read_page
from revsyncd.core.errors import TooLarge


def joined(tmp_path: Path, *pages: str, most: int = 10**6) -> list[list[str]]:
    join = PageJoin(tmp_path / "out.csv", most)
    try:
        for page in pages:
            join.add(page.encode())
        assert join.finish() == (tmp_path / "out.csv").stat().st_size
    finally:
        join.close()
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    text = (tmp_path / "out.csv").read_bytes().decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def test_columns_are_the_union_in_first_seen_order(tmp_path: Path) -> None:
    """A column that only a later page has is empty in the lines before it."""
    first = '[{"id": 1, "b": "x,\\"y\\"\\r\\nz"}, {"b": "q", "c": true, "id": 2}]'
    second = '{"Status": "Success", "Result": [{"d": null, "id": 3}]}'
    assert joined(tmp_path, first, second) == [
        ["id", "b", "c", "d"],
        ["1", 'x,"y"\r\nz', "", ""],
        ["2", "q", "true", ""],
        ["3", "", "", ""],
    ]


@pytest.mark.parametrize(
    "number", ["1.10", "-0.0", "1e5", "12345678901234567890.123456789", "0.1000", "100"]
)
def test_numbers_stay_as_they_are_written(tmp_path: Path, number: str) -> None:
    """Never through a float."""
    assert joined(tmp_path, f'[{{"amount": {number}}}]')[1] == [number]


@pytest.mark.parametrize(
    "page",
    [
        "[]",
        '{"result": []}',
        '{"Result": "None"}',
        '{"result": null, "status": "x"}',
        '{"status": "Success"}',
    ],
)
def test_an_empty_page_is_the_end(page: str) -> None:
    """In every shape in which nothing comes."""
    assert read_page(page.encode()) == []


@pytest.mark.parametrize(
    "page", ["", "{", "[1]", '"x"', '{"a": 1}', '{"status": "Error"}', "[" * 99999]
)
def test_what_is_no_page_is_refused(page: str) -> None:
    """It must not pass for the end."""
    with pytest.raises(PageUnreadable):
        read_page(page.encode())


def test_a_page_that_comes_again_is_refused(tmp_path: Path) -> None:
    """A host that does not look at the page's number would never end."""
    page = json.dumps([{"id": 1}])
    with pytest.raises(PageUnreadable, match="same"):
        joined(tmp_path, page, page)


def test_joined_pages_are_bounded(tmp_path: Path) -> None:
    """While they come, not only in the end."""
    with pytest.raises(TooLarge):
        joined(tmp_path, json.dumps([{"id": "x" * 100}]), most=50)
    assert list(tmp_path.iterdir()) == []


def test_half_a_pair_stays_escaped(tmp_path: Path) -> None:
    """JSON may hold what UTF-8 can't: it is written as it was escaped, and nothing breaks."""
    join = PageJoin(tmp_path / "file", 1000)
    assert join.add(rb'[{"a\ud800": "x\udc00y"}]') == 1
    join.finish()
    join.close()
    assert (tmp_path / "file").read_bytes() == b"a\\ud800\r\nx\\udc00y\r\n"
