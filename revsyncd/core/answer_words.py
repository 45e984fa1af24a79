"""What the tenant's words mean: the patterns of `[tenant.answers]`, and a few fixed sentences."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

_ZERO = re.compile(
    r"\b(?:0|no|zero|none)\s+(?:(?:records?|rows?|lines?)\s+)?(?:(?:have|has|were|was)\s+)?"
    r"(?:failed|failures?|rejected|errors?)\b|\b(?:failed|failures?|rejected|errors?)\s*[:=]\s*0\b",
    re.IGNORECASE,
)
_UNKNOWN_TEMPLATE = re.compile(
    r"\b(?:invalid|unknown|no(?:\s+such)?)\s+(?:upload\s+|file\s+)?template\b"
    r"(?!\s+(?:column|header|field|label|format|file|data|row|line))"
    r"|\btemplate\b(?:(?!\b(?:columns?|headers?|fields?|labels?|cells?)\b)[^\n]){0,120}?"
    r"\b(?:not\s+found|(?:does\s+not|doesn'?t|not)\s+exists?|(?:is\s+)?(?:invalid|unknown|not\s+valid)"
    r"|(?:could\s+not|can\s*not|can't)\s+be\s+found)\b",
    re.IGNORECASE,
)
_NAME_TAKEN = re.compile(
    r"\bfile[\s_]?names?\b[^\n]{0,300}?\b(?:already|(?:is\s+)?not\s+unique|(?:must|should)\s+be\s+unique)\b"
    r"|\bfile\b(?:[^\n]{0,300}?\.csv\S*)?\s+(?:has\s+|have\s+|was\s+|is\s+)?(?:been\s+)?already\s+(?:been\s+)?"
    r"(?:exist(?:s|ing)?|there|present|used|uploaded|loaded|processed|received|staged)\b"
    r"|\b(?:duplicate|duplicated|non-?unique)\s+file(?:[\s_]?name)?s?\b",
    re.IGNORECASE,
)
_NOTHING_KNOWN = re.compile(
    r"\bno\s+(?:records?|data|rows?|logs?|result)\b(?:\s+\w+){0,2}?\s+found\b"
    r"|logs?\s+might\s+have\s+been\s+truncated|\bno\s+(?:data|records?)\s*\.?$",
    re.IGNORECASE,
)


class Match(StrEnum):
    """Which of the configured lists some text belongs to."""

    STAGED = "staged"
    REFUSED = "refused"
    DOUBT = "doubt"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class AnswerWords:
    """`[tenant.answers]`: patterns that tell one outcome from another; case is ignored."""

    staged: tuple[re.Pattern[str], ...]
    refused: tuple[re.Pattern[str], ...]
    doubt: tuple[re.Pattern[str], ...]

    @classmethod
    def of(
        cls,
        staged: Iterable[str] = ("staged .*successfully", "successfully uploaded"),
        refused: Iterable[str] = ("error loading", "failed", "rejected"),
        doubt: Iterable[str] = ("exception occurred",),
    ) -> Self:
        """Compile the three lists; the defaults are the reference's words. Raises re.error."""
        lists = (staged, refused, doubt)
        return cls(*(tuple(re.compile(p, re.IGNORECASE) for p in patterns) for patterns in lists))

    def match(self, texts: Iterable[str], *, staged: bool = True) -> Match:
        """Try staged first (unless told not to), then doubt, then refused, on each of the texts."""
        lines = tuple(texts)
        if staged and _any(self.staged, lines):
            return Match.STAGED
        # "0 failed" is no failure: what is counted as none is not looked at.
        blamed = tuple(_ZERO.sub(" ", line) for line in lines)
        if _any(self.doubt, blamed):
            return Match.DOUBT
        return Match.REFUSED if _any(self.refused, blamed) else Match.NOTHING


def says_template_is_unknown(texts: Iterable[str]) -> bool:
    """Whether the tenant says that it knows no such upload template."""
    return any(_UNKNOWN_TEMPLATE.search(text) for text in texts)


def says_name_is_taken(texts: Iterable[str]) -> bool:
    """Whether the tenant says that it has a file of this name already."""
    return any(_NAME_TAKEN.search(text) for text in texts)


def says_nothing_is_known(texts: Iterable[str]) -> bool:
    """Whether the tenant says "No records found" or the like: it does not know, or not yet."""
    return any(_NOTHING_KNOWN.search(text) for text in texts)


def _any(patterns: tuple[re.Pattern[str], ...], texts: tuple[str, ...]) -> bool:
    return any(pattern.search(text) for pattern in patterns for text in texts)
