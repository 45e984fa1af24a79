"""Arithmetic of waiting: growing pauses, and what a tenant's Retry-After asks for."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_WISH = 86_400.0  # seconds; a tenant that asks for more than a day is asked again after one
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Pace:
    """Pauses that grow from `first` by `factor` up to `most` seconds.

    `jitter` (0 to 1) is the share of a pause that chance may take away, so that things which
    failed together do not come back together.
    """

    first: float
    factor: float = 2.0
    most: float = 300.0
    jitter: float = 0.2

    def __post_init__(self) -> None:
        if not (0 < self.first <= self.most and self.factor >= 1 and 0 <= self.jitter <= 1):
            raise ValueError(f"these pauses do not grow: {self}")

    def pause(self, failures: int, chance: float = 0.0) -> float:
        """Seconds to wait after the `failures`-th failure in a row (from 1); `chance` is in [0, 1)."""
        if failures < 1:
            return 0.0
        return self._grown(failures - 1) * (1 - self.jitter * chance)

    def _grown(self, steps: int) -> float:
        # Compared as logarithms: after months of failures the power itself would overflow.
        if self.factor > 1 and steps * math.log(self.factor) >= math.log(self.most / self.first):
            return self.most
        return self.first * self.factor**steps


def retry_after(text: str | None, now: float, date: str | None = None) -> float | None:
    """Read a Retry-After header: seconds, or an HTTP date; None when there is none to understand.

    An HTTP date is measured against the answer's own `date` header where there is one, which makes
    it immune to clocks that disagree; else against `now` (seconds since the epoch).
    """
    if not text:
        return None
    wish = text.strip()
    if _SECONDS.fullmatch(wish):
        return min(float(wish), LONGEST_WISH)
    until = http_date(wish)
    if until is None:
        return None
    since = http_date(date or "")
    return min(max(until - (now if since is None else since), 0.0), LONGEST_WISH)


def http_date(text: str) -> float | None:
    """An HTTP date in seconds since the epoch; None for what is none."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:  # the oldest of HTTP's date forms names no zone and means GMT
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp() if moment > datetime(1970, 1, 2, tzinfo=UTC) else None
