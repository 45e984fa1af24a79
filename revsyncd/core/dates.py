"""Dates against an Oracle mask: `DD-MON-YYYY`, `MM/DD/YYYY`, `YYYYMMDD` and what else their elements compose.

Month names are English whatever the locale, in any case; a date must exist and match the mask exactly.
"""

import datetime as dt
import re

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")

_ELEMENTS = {
    "YYYY": r"(?P<year>[0-9]{4})",
    "RRRR": r"(?P<year>[0-9]{4})",
    "YY": r"(?P<century_year>[0-9]{2})",
    "RR": r"(?P<rounded_year>[0-9]{2})",
    "MON": f"(?P<name>{'|'.join(MONTHS)})",
    "MM": r"(?P<month>[0-9]{2})",
    "DD": r"(?P<day>[0-9]{2})",
}
_TOKEN = re.compile("|".join(_ELEMENTS) + r"|[-/.,;: ]")
_EXAMPLE = {
    "YYYY": "2026",
    "RRRR": "2026",
    "YY": "26",
    "RR": "26",
    "MON": "NOV",
    "MM": "11",
    "DD": "23",
}
_PARTS_OF_A_DATE = 3
_CENTURY = 2000
_ROUNDED_UP_FROM = 50  # Oracle's RR: 50 to 99 are the last century


class DateMask:
    """A date mask, ready to judge cells.

    Raises ValueError for a mask with elements other than DD, MM, MON, YY, YYYY, RR, RRRR and
    separators, or without exactly one day, month and year.
    """

    def __init__(self, mask: str) -> None:
        """Compile `mask`, in any case."""
        self.mask = mask.strip().upper()
        tokens = _tokens(self.mask)
        try:
            self._pattern = re.compile(
                "".join(_ELEMENTS.get(t, re.escape(t)) for t in tokens), re.IGNORECASE
            )
        except re.error:  # the same element twice
            raise _unknown(mask) from None
        if len(self._pattern.groupindex) != _PARTS_OF_A_DATE or not _is_whole(tokens):
            raise _unknown(mask)
        self.example = "".join(_EXAMPLE.get(token, token) for token in tokens)

    def parse(self, text: str) -> dt.date | None:
        """The date, or None where `text` does not match the mask. Raises ValueError if no such day exists."""
        # ASCII alone, else the long s would pass for an S where case is ignored.
        found = self._pattern.fullmatch(text) if text.isascii() else None
        if found is None:
            return None
        parts = found.groupdict()
        month = MONTHS.index(parts["name"].upper()) + 1 if "name" in parts else int(parts["month"])
        return dt.date(_year(parts), month, int(parts["day"]))


def _year(parts: dict[str, str]) -> int:
    if "year" in parts:
        return int(parts["year"])
    if "century_year" in parts:
        return _CENTURY + int(parts["century_year"])
    year = int(parts["rounded_year"])
    return _CENTURY + year - (100 if year >= _ROUNDED_UP_FROM else 0)


def _tokens(mask: str) -> list[str]:
    tokens = _TOKEN.findall(mask)
    if "".join(tokens) != mask:
        raise _unknown(mask)
    return tokens


def _is_whole(tokens: list[str]) -> bool:
    kinds = {"DD": "day", "MM": "month", "MON": "month"}
    found = {kinds.get(token, "year") for token in tokens if token in _ELEMENTS}
    return found == {"day", "month", "year"}


def _unknown(mask: str) -> ValueError:
    return ValueError(
        f'the date mask "{mask}" is not one of those known: it needs one day (DD), one month (MM or MON)'
        " and one year (YYYY, RRRR, YY or RR), with separators between them"
    )
