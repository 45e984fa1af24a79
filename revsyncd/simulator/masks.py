"""Dates in an Oracle mask (DD-MON-YYYY and its kin), read strictly."""

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_PARTS = {
    "YYYY": "(?P<year>[0-9]{4})",
    "MON": "(?P<mon>[A-Za-z]{3})",
    "YY": "(?P<yy>[0-9]{2})",
    "MM": "(?P<month>[0-9]{2})",
    "DD": "(?P<day>[0-9]{2})",
}
_TOKEN = re.compile("YYYY|MON|YY|MM|DD|.", re.DOTALL)


@lru_cache(maxsize=64)
def reader(mask: str) -> Callable[[str], date | None]:
    """A function from text to the date it is under `mask`; None when it is none. Answers are kept."""
    tokens = _TOKEN.findall(mask.upper())
    pattern = re.compile("".join(_PARTS.get(token) or re.escape(token) for token in tokens))

    @lru_cache(maxsize=4096)
    def read(text: str) -> date | None:
        found = pattern.fullmatch(text)
        return _existing(found.groupdict()) if found else None

    return read


def _existing(parts: dict[str, str | None]) -> date | None:
    """The day that the parts name, if the calendar has it."""
    year = parts.get("year") or "20" + (parts.get("yy") or "")
    name = (parts.get("mon") or "").upper()
    month = MONTHS.index(name) + 1 if name in MONTHS else int(parts.get("month") or 0)
    try:
        return date(int(year), month, int(parts.get("day") or 0))
    except ValueError:
        return None
