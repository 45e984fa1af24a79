from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.checks import totals
from revsyncd.checks.numbers import is_plain
from revsyncd.checks.totals import OTHERS, Totals, written


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=4), max_size=20))
def test_totals_are_exact(numbers: list[Decimal]) -> None:
    """The sum is that of whole numbers at one scale, for numbers of any length."""
    total = Totals(["N"], [])
    total.add([[format(number, "f") for number in numbers]], [])
    scaled = sum(int(Decimal(format(n, "f") + "e4")) for n in numbers)
    assert int(Decimal(total.totals()["N"] + "e4")) == scaled


@given(st.lists(st.text("0123456789.-+_ e\u0665", max_size=5), max_size=9))
def test_the_quick_way_to_a_total_is_exact(texts: list[str]) -> None:
    """A column of one scale is summed as integers: what is no plain number is left out there too."""
    total = Totals(["N"], [])
    total.add([texts], [])
    numbers = [Decimal(text) for text in texts if is_plain(text)]
    assert Decimal(total.totals()["N"]) == sum(numbers)
    assert total.unsummed().get("N", 0) == sum(1 for text in texts if text) - len(numbers)


def test_forty_digits_and_eleven_decimals_lose_nothing() -> None:
    """No precision bounds a total."""
    total = Totals(["N"], [])
    total.add([["1" + "0" * 400, "0.00000000001", "", "x", "1e5"]], [])
    assert total.totals() == {"N": "1" + "0" * 400 + ".00000000001"}
    assert total.unsummed() == {"N": 2}


def test_a_total_is_written_plainly() -> None:
    """No exponent, no negative zero."""
    assert [written(Decimal(n)) for n in ("-0.00", "0.0000000001", "-12.50")] == [
        "0.00",
        "0.0000000001",
        "-12.50",
    ]


def test_totals_by_combination() -> None:
    """Each combination has its count and its sums with the column's decimals, in the order of its values."""
    total = Totals(["N", "M"], ["Curr", "Type"])
    keys = [("USD", "SO"), ("EUR", "SO"), ("USD", "SO")]
    total.add([["1", "2", "x"], ["0.5", "", "1"]], keys)
    assert total.totals_by() == (
        {"Curr": "EUR", "Type": "SO", "records": 1, "N": "2", "M": "0.0"},
        {"Curr": "USD", "Type": "SO", "records": 2, "N": "1", "M": "1.5"},
    )


def test_how_a_total_is_written_does_not_depend_on_the_blocks() -> None:
    """Nor on who else stands in one."""
    numbers = ["1.25", "", "5", ""]
    keys = [("a",), ("b",), ("b",), ("c",)]
    told = []
    for cut in range(5):
        total = Totals(["N"], ["K"])
        for begin, end in ((0, cut), (cut, 4)):
            total.add([numbers[begin:end]], keys[begin:end])
        told.append(total.totals_by())
    assert [line["N"] for line in told[0]] == ["1.25", "5.00", "0.00"]
    assert all(lines == told[0] for lines in told)


def test_combinations_are_counted_where_nothing_is_summed() -> None:
    """The records of each are told."""
    total = Totals([], ["Curr"])
    total.add([], [("USD",), ("EUR",), ("USD",)])
    assert total.totals_by() == ({"Curr": "EUR", "records": 1}, {"Curr": "USD", "records": 2})


def test_combinations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grouping by an id does not grow with the file; nothing is missing from the sums."""
    monkeypatch.setattr(totals, "MOST_GROUPS", 3)
    total = Totals(["N"], ["Id"])
    total.add([["1"] * 9], [(str(n),) for n in range(9)])
    lines = total.totals_by()
    assert [line["Id"] for line in lines] == [OTHERS, "0", "1", "2"]
    assert lines[0]["records"] == 6
