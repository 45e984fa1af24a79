from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.checks.problems import Marks, Problems, level_of, share, visible


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("cell.number", "warn"),
        ("cell.date", "off"),
        ("cell.suspect", "warn"),
        ("record.duplicate", "error"),
        ("record.seen_before", "warn"),
        ("file.encoding", "error"),
        ("revenue.709", "off"),
    ],
)
def test_a_level_comes_from_the_code_its_prefix_or_the_default(code: str, level: str) -> None:
    """The more exact name counts."""
    levels = {"cell": "warn", "cell.date": "off", "file": "off", "revenue.709": "off"}
    assert level_of(code, levels) == level


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), max_size=8), st.integers(0, 60))
def test_shares_fill_the_limit_and_no_code_starves(found: dict[str, int], limit: int) -> None:
    """All that fits is listed, and nobody gets less than a fair share of what he has."""
    shares = share(found, limit)
    assert sum(shares.values()) == min(limit, sum(found.values()))
    assert all(shares[code] >= min(found[code], limit // len(found)) for code in found)
    assert all(shares[code] <= found[code] for code in found)


def test_the_first_in_file_order_are_listed_whatever_the_order_of_finding() -> None:
    """Keys are judged last and column by column; the list does not show it, nor grow with it."""
    problems = Problems({}, 3)
    for line in range(100, 0, -1):
        problems.add("record.duplicate", "m", line=line, record=line)
        assert len(problems._listed["record.duplicate"]) <= 6
    assert [problem.line for problem in problems.listed()] == [1, 2, 3]
    assert problems.errors == 100


def test_a_limit_of_nothing_lists_nothing_and_counts_all() -> None:
    """`problem_limit = 0` is a wish, not an error."""
    problems = Problems({}, 0)
    problems.add("cell.number", "m", line=2, record=1)
    assert (problems.listed(), problems.errors) == ((), 1)


@given(st.sets(st.integers(1, 40)))
def test_marks_are_ranges(numbers: set[int]) -> None:
    """Neighbours are one range; the ranges hold exactly what was marked."""
    marks = Marks()
    for number in numbers:
        marks.add(number)
    ranges = marks.ranges()
    assert {n for first, last in ranges for n in range(first, last + 1)} == numbers
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(ranges))
    assert [n for n in range(45) if n in marks] == sorted(numbers)


def test_bytes_are_spelled_out() -> None:
    """What could not be decoded is shown as the byte that it is, other text as it stands."""
    assert visible("M\udcfcller \u20ac \ud83d") == "M\\xfcller \u20ac \\ud83d"
