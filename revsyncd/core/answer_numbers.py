"""Numbers in the tenant's answers: the request id wherever it stands, and counts of records.

A wrong request id would follow somebody else's upload, and a wrong count would hold a good drop:
so a number is taken only where its meaning is plain, and two that contradict are none.
"""

import re
from collections.abc import Iterable, Iterator

from revsyncd.core.answers import Fields, Reading, rows_under, scalar_text

RequestId = int | str

_WHOLE_NUMBER = re.compile(r"[1-9][0-9]{0,17}")
_PLAIN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_UNITS = (
    r"(?:records?|rows?|lines?|files?|columns?|bytes|[kmg]i?b|seconds?|secs?|minutes?|ms|of|ok)\b"
)
# A whole number that is no part of a name, a date, a decimal, a time or a quantity.
_DIGITS = rf"(\d{{1,18}})(?![\w%])(?![.,:/-]\w)(?!\s*%)(?!\s*{_UNITS})"
_LABEL_END = r"[\s:=#'\"(\[]*(?:is\s+|of\s+)?"
_REQUEST_ID = re.compile(
    rf"(?<![A-Za-z])request[\s_-]*(?:id|number|no\.?)?{_LABEL_END}{_DIGITS}", re.IGNORECASE
)
_NOT_ANOTHERS = "".join(
    rf"(?<!{who} )" for who in ("client", "template", "tenant", "user", "batch")
)
_ANY_ID = re.compile(rf"{_NOT_ANOTHERS}\bid{_LABEL_END}{_DIGITS}", re.IGNORECASE)
_BARE = re.compile(rf"(?<![\w.,:/%+-]){_DIGITS}", re.IGNORECASE)
_CALLED_OTHERWISE = re.compile(
    r"\b(?:of|in|at|on|after|took|id|batch|client|template|tenant|user|org|role|code|http|version"
    r"|line|row|record|column|part|page|port)\W*$",
    re.IGNORECASE,
)

_COUNT = r"(?<![\w.:/#-])(\d{1,3}(?:[,.' \u00a0\u202f]\d{3})+|\d{1,12})(?![\w:/-])(?![.,]\d)"
_OF_RECORDS = r"(?:(?:data\s+)?(?:records?|rows?|lines?))"
_DONE = r"(?P<done>staged|loaded)\b"
_BEFORE = re.compile(
    rf"{_COUNT}\s+(?P<unit>{_OF_RECORDS}\s+)?(?:(?:were|was|are|have|has|been|successfully)\s+)*{_DONE}",
    re.IGNORECASE,
)
_AFTER = re.compile(
    rf"{_DONE}(?:\s+successfully)?(?:\s*[:=]\s*{_COUNT}"
    rf"|[\s.,:;(-]{{1,3}}{_COUNT}\s*{_OF_RECORDS}\b)",
    re.IGNORECASE,
)
_NAMES_A_THING = re.compile(
    r"(?:id|request|batch|file|job|upload|number|no\.?|part|#)[\s:=#]*$", re.IGNORECASE
)


def request_id(reading: Reading, *, success: bool) -> RequestId | None:
    """The id under which the tenant received an upload; None when there is none, or two.

    Keys are looked through in every answer. Numbers in the words are looked for only in those
    that report success.
    """
    for name in ("file_request_id", "request_id", "id"):
        found = {value for value in _under_key(reading, name) if value is not None}
        if found:
            return found.pop() if len(found) == 1 else None
    return _only(_ids_in(_all_words(reading))) if success else None


def row_ids(rows: Iterable[Fields]) -> list[RequestId | None]:
    """For each status row, the id of the upload that it speaks of; None where it does not say."""
    return [_row_id(row) for row in rows]


def staged_counts(texts: Iterable[str]) -> list[int]:
    """Counts of records that the words plainly call staged; else those that they call loaded."""
    found = [pair for text in texts for pair in _counts(text)]
    staged = [count for done, count in found if done == "staged"]
    return staged or [count for _, count in found]


def _under_key(reading: Reading, name: str) -> Iterator[RequestId | None]:
    for row in (reading.top, *rows_under(reading.top, "result", "results", "data")):
        yield _as_id(row.first(name), whole_number=name != "file_request_id")


def _row_id(row: Fields) -> RequestId | None:
    for name in ("file_request_id", "request_id", "id"):
        found = _as_id(row.first(name), whole_number=False)
        if found is not None:
            return found
    return None


def _as_id(value: object, *, whole_number: bool) -> RequestId | None:
    text = "" if isinstance(value, bool) else scalar_text(value)
    if _WHOLE_NUMBER.fullmatch(text):
        return int(text)
    # Other things may be called id too, such as the trace of a gateway: those are no numbers.
    plain = _PLAIN_ID.fullmatch(text) and text.strip("0")
    return text if plain and not whole_number else None


def _all_words(reading: Reading) -> list[str]:
    result = scalar_text(reading.top.first("result"))
    return [*reading.words, *([result] if result and result not in reading.words else [])]


def _ids_in(texts: list[str]) -> list[int]:
    """The numbers that are called a request's id, else an id, else that stand alone."""
    for pattern in (_REQUEST_ID, _ANY_ID):
        found = [int(number) for text in texts for number in pattern.findall(text)]
        if found:
            return found
    matches = [match for text in texts for match in _BARE.finditer(text)]
    return [int(m[1]) for m in matches if not _CALLED_OTHERWISE.search(m.string[: m.start()])]


def _only(numbers: list[int]) -> int | None:
    distinct = {number for number in numbers if number}
    return distinct.pop() if len(distinct) == 1 else None


def _counts(text: str) -> Iterator[tuple[str, int]]:
    for match in _BEFORE.finditer(text):
        # "Request 10001 staged" names a thing, "1,200 records staged" and "120 staged" count.
        if match["unit"] or not _NAMES_A_THING.search(text[: match.start()]):
            yield match["done"].lower(), _whole(match[1])
    for match in _AFTER.finditer(text):
        yield match["done"].lower(), _whole(next(g for g in match.groups()[1:] if g))


def _whole(count: str) -> int:
    return int(re.sub(r"\D", "", count))
