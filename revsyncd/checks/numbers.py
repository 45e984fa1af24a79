"""Numbers as the tenant wants them: an optional ASCII minus, ASCII digits, at most one decimal point.

Where a folder is configured for another notation ("1.234,50"), such a cell is brought into that form;
nothing else is ever repaired.
"""

import re
from collections.abc import Collection

_PLAIN = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)")
_NINES = str.maketrans("012345678", "999999999")
_DIGITS = b"0123456789"
_WITHOUT_DIGITS = {b"", b".", b"-", b"-."}  # what is left of an empty cell and of plain numbers


def is_plain(text: str) -> bool:
    """Whether `text` is a number that the tenant takes as it is."""
    return _PLAIN.fullmatch(text) is not None


def are_plain(text: str, count: int) -> bool:
    """Whether `count` texts, joined by newlines, are surely empty or plain numbers; False means "look closer".

    With the digits taken out of all of them at once, few distinct rests remain to be looked at. What
    these do not show is proven apart: that a minus leads, and that there was a digit.
    """
    if not text.isascii() or text.count("\n") >= count > 0:  # one has a newline in it
        return False
    rests = set(text.encode().translate(None, _DIGITS).split(b"\n"))
    if rests == {b""}:
        return True
    framed = f"\n{text}\n"
    if not rests <= _WITHOUT_DIGITS or "\n.\n" in framed:
        return False
    return "-" not in text or (
        framed.count("\n-") == text.count("-") and "\n-\n" not in framed and "\n-.\n" not in framed
    )


class NumberForm:
    """How a folder writes numbers. Distinct shapes ("-999.99") are few where distinct values are many."""

    def __init__(self, decimal: str = ".", thousands: str = "") -> None:
        """Take the decimal and, if not empty, the thousands separator; both are one character."""
        self.is_plain = decimal == "." and not thousands
        self.example = f"-1{thousands}234{decimal}50"
        self._decimal = decimal
        self._thousands = thousands
        self._pattern = _PLAIN if self.is_plain else _grouped(decimal, thousands)
        self._good_shapes: set[str] = {""}

    def is_number(self, text: str) -> bool:
        """Whether `text` is a number in this form."""
        return self._pattern.fullmatch(text) is not None

    def all_good(self, values: Collection[str]) -> bool:
        """Whether each of `values` is surely empty or a number; False only means "look closer"."""
        if self.is_plain:
            return are_plain("\n".join(values), len(values))
        text = "\n".join(values)
        if text.count("\n") != len(values) - 1:  # one has a newline in it
            return False
        shapes = set(text.translate(_NINES).split("\n"))
        strange = shapes - self._good_shapes
        if all(len(shape) < _LONGEST_SHAPE and self.is_number(shape) for shape in strange):
            self._good_shapes |= strange
            return True
        return False

    def plain(self, text: str) -> str:
        """A number of this form, or an empty text, as the tenant wants it."""
        if self._thousands:
            text = text.replace(self._thousands, "")
        return text.replace(self._decimal, ".")


_LONGEST_SHAPE = 64  # bounds what is remembered: at most a few thousand shapes of this length exist


def _grouped(decimal: str, thousands: str) -> re.Pattern[str]:
    fraction = f"(?:{re.escape(decimal)}[0-9]*)?"
    whole = "[0-9]+"
    if thousands:
        whole = f"(?:[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+)"
    return re.compile(f"-?(?:{whole}{fraction}|{re.escape(decimal)}[0-9]+)")
