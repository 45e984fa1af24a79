import datetime as dt

import pytest

from revsyncd.core.dates import DateMask

DAY = dt.date(2026, 11, 23)


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        ("DD-MON-YYYY", "23-NOV-2026"),
        ("dd-mon-yyyy", "23-nov-2026"),
        ("DD-MON-YY", "23-Nov-26"),
        ("MM/DD/YYYY", "11/23/2026"),
        ("DD/MM/YYYY", "23/11/2026"),
        ("YYYY-MM-DD", "2026-11-23"),
        ("YYYYMMDD", "20261123"),
        ("DD.MM.RR", "23.11.26"),
        ("RRRR MON DD", "2026 NOV 23"),
        ("DDMONYYYY", "23NOV2026"),
    ],
)
def test_a_date_in_the_masks_form_is_that_day(mask: str, text: str) -> None:
    """Masks compose of their elements; the example in messages is itself such a date."""
    date_mask = DateMask(mask)
    assert date_mask.parse(text) == DAY
    assert date_mask.parse(date_mask.example) == DAY


@pytest.mark.parametrize(
    "text",
    ["1-NOV-2026", "01-NOV-26", "01-11-2026", "01/NOV/2026", " 01-NOV-2026", "01-NOV-2026\n", "", "01-NOVE-2026",
     "\uff10\uff11-NOV-2026", "01-\u017fEP-2026", "01-DEZ-2026"],
)  # fmt: skip
def test_another_form_is_no_date(text: str) -> None:
    """Nothing is guessed, and digits and letters are ASCII."""
    assert DateMask("DD-MON-YYYY").parse(text) is None


@pytest.mark.parametrize(
    "text", ["31-FEB-2026", "29-FEB-2025", "00-JAN-2026", "31-NOV-2026", "01-JAN-0000"]
)
def test_a_day_must_exist(text: str) -> None:
    """The calendar decides."""
    with pytest.raises(ValueError, match=r".+"):
        DateMask("DD-MON-YYYY").parse(text)


@pytest.mark.parametrize(
    ("text", "year"), [("01-01-49", 2049), ("01-01-50", 1950), ("01-01-99", 1999)]
)
def test_rounded_years_turn_at_fifty(text: str, year: int) -> None:
    """Oracle's RR."""
    parsed = DateMask("DD-MM-RR").parse(text)
    assert parsed is not None
    assert parsed.year == year


@pytest.mark.parametrize(
    "mask",
    [
        "",
        "DD-MM",
        "YYYY-MM-DD-DD",
        "DD-MM-YYYY HH24",
        "DD-MM-MON",
        "DAY",
        "DD-MM-YY-YYYY",
        "YY-YYYY-DD",
    ],
)
def test_a_mask_that_is_not_known_is_refused(mask: str) -> None:
    """The message names the mask and what is known."""
    with pytest.raises(ValueError, match="one day"):
        DateMask(mask)
