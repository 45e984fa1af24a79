"""To which drop a line in error belongs. Pure.

The tenant lists every line that is in error, whoever loaded it, and names it by its line ids: nothing
in a row says for sure from which upload it came. What decides is stated in `choose`.

Source: the API reference's `GET /v1/stage/error/{kind}`; see docs/revenue-api.md. The form of `crtd_dt`
is not documented: what `read_created` takes is inferred from what databases and JSON usually hold.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple, Protocol

from revsyncd.core.dates import MONTHS

SO_LINE_ID = "so_line_id"
INV_LINE_ID = "inv_line_id"
# Invoices and credits: one SO line may have many of them, so their own id says more.
INVOICED = frozenset({"INV", "CM", "CM-C", "CM-R", "CM-D", "CM-VC", "INV-VC", "CM-RO"})

CLOCK_SLACK = 600.0  # seconds by which the tenant's clock may be behind ours
ZONE_SLACK = 12 * 3600.0  # seconds by which a local time may be behind UTC


class Row(Protocol):
    """What the tenant says of a line in error, as far as it tells whose line it is."""

    @property
    def type(self) -> str:
        """The transaction type; may be empty."""

    @property
    def so_line_id(self) -> str:
        """The id of the order's line; may be empty."""

    @property
    def inv_line_id(self) -> str:
        """The id of the invoice's line; may be empty."""

    @property
    def upload_id(self) -> str:
        """Perhaps the request id of the upload."""

    @property
    def created(self) -> str:
        """`crtd_dt` as it came."""


class LineId(NamedTuple):
    """An id and the column in which it stands: `SO_LINE_ID` or `INV_LINE_ID`."""

    column: str
    id: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A record of a drop in which one of a row's line ids stands.

    `staged` is False while its upload is received but not known to be staged.
    """

    drop: str
    seq: int  # order of claiming
    record: int
    line: int  # the physical line on which the id begins
    column: str
    label: str  # the column's, in the header
    sent_at: float  # seconds since the epoch: when its upload's last chunk was released
    request_id: str = ""
    staged: bool = True
    type: str = ""  # the record's own cells; empty where it has none
    inv_line_id: str = ""


@dataclass(frozen=True, slots=True)
class Created:
    """When a row was made: before `until` (seconds since the epoch), by the tenant's clock."""

    until: float
    zoned: bool = True  # False: the time came without a zone and was read as UTC


@dataclass(frozen=True, slots=True)
class Owner:
    """The record to which a row belongs, and the drop's other records that the row fits as well.

    `holding` is None, and `waits_for` a drop, where that drop's upload is not known to be staged yet.
    """

    holding: Holding | None
    also_in: tuple[int, ...] = ()
    waits_for: str = ""


def line_ids(row: Row) -> tuple[LineId, ...]:
    """The ids by which to look for a row, the one that says most first; empty ones are left out."""
    so = LineId(SO_LINE_ID, row.so_line_id.strip())
    inv = LineId(INV_LINE_ID, row.inv_line_id.strip())
    if _type(row.type) in INVOICED:
        return tuple(found for found in (inv, so) if found.id)
    return tuple(found for found in (so, inv) if found.id)[:1]


def choose(
    row: Row, holdings: Sequence[Holding], taken: Mapping[str, Iterable[int]]
) -> Owner | None:
    """Whose line it is; None when it is nobody's. `taken` is drop -> records that other rows have.

    Left out are records sent after the row was made. Of the others those that fit best count; an
    `upload_id` that is one's request id decides between them, else the newest drop wins. Where the
    tenant's clock may be behind, so that all seem sent too late, the first after the row wins.
    """
    created = read_created(row.created)
    fitting = _best(row, [h for h in holdings if _may_be_before(h, created)])
    named = [h for h in fitting if h.request_id and h.request_id == row.upload_id.strip()]
    possible = named or fitting
    if not possible:
        return None
    before = [h for h in possible if created is None or h.sent_at < created.until]
    by_age = sorted(before or possible, key=lambda h: (h.sent_at, h.seq, h.drop))
    drop = by_age[-1 if before else 0].drop
    records = {h.record: h for h in possible if h.drop == drop and h.staged}
    return _owner(drop, records, frozenset(taken.get(drop, ())))


def _owner(drop: str, records: dict[int, Holding], taken: frozenset[int]) -> Owner:
    """The first record that no other row has: several rows may name one id that stands several times."""
    if not records:
        return Owner(None, waits_for=drop)
    first = min(set(records) - taken, default=min(records))
    return Owner(records[first], tuple(sorted(set(records) - {first})))


def _may_be_before(holding: Holding, created: Created | None) -> bool:
    if created is None:
        return True
    slack = CLOCK_SLACK if created.zoned else CLOCK_SLACK + ZONE_SLACK
    return holding.sent_at < created.until + slack


def _best(row: Row, holdings: list[Holding]) -> list[Holding]:
    """Those that fit a row best of all that fit it."""
    fits = [(fit, holding) for holding in holdings if (fit := _fit(row, holding)) is not None]
    best = min((fit for fit, _ in fits), default=0)
    return [holding for fit, holding in fits if fit == best]


def _fit(row: Row, holding: Holding) -> int | None:
    """0 is best; None does not fit. An order's id stands in its invoices too: types tell them apart."""
    columns = [line_id.column for line_id in line_ids(row)]
    if holding.column not in columns:
        return None
    row_type, own_type = _type(row.type), _type(holding.type)
    if holding.column == columns[0]:
        return 0 if row_type == own_type or not (row_type and own_type) else 1
    # An invoice by its order's id: only where the record has no invoice id that would say otherwise.
    return 2 if row_type == own_type and not holding.inv_line_id.strip() else None


def _type(text: str) -> str:
    return text.strip().upper()


# -- crtd_dt -------------------------------------------------------------------------------------

_EPOCH = re.compile(r"([0-9]{10})(?:\.[0-9]+|[0-9]{3})?")  # seconds, or milliseconds
_WRITTEN = re.compile(
    r"""
    (?: (?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})                    # 2026-11-23
      | (?P<dd>[0-9]{1,2})[ -](?P<mon>[A-Z]{3})[ -](?P<yy>[0-9]{4}|[0-9]{2}) )      # 23-NOV-2026
    (?: [T ]\ *(?P<hour>[0-9]{1,2})[:.](?P<minute>[0-9]{2})
        (?: [:.](?P<second>[0-9]{2}) (?: [.,][0-9]+ )? )?
        (?: \ ?(?P<half>[AP])M )? )?
    (?: \ ?(?P<zone>Z|UTC|GMT|[+-][0-9]{2}:?[0-9]{2}) )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


def read_created(text: str) -> Created | None:
    """When a row was made; None when the text can't be read, and then time decides nothing.

    Taken are ISO 8601 with a T or a blank, Oracle's `23-NOV-2026 04:47:32` (and `23-NOV-26 04.47.32 AM`),
    and seconds or milliseconds since 1970. A time without a zone is read as UTC.
    """
    text = text.strip()
    try:
        if epoch := _EPOCH.fullmatch(text):
            return Created(int(epoch[1]) + 1.0)
        found = _WRITTEN.fullmatch(text)
        return _created(found) if found else None
    except ValueError:  # a thirteenth month, a 31st of February
        return None


def _created(found: re.Match[str]) -> Created:
    moment = datetime(*_date(found), *_time(found), tzinfo=_zone(found["zone"]))
    # A time cut to whole seconds, minutes or days lies before the moment that it stands for.
    missing = 86400 if found["hour"] is None else 60 if found["second"] is None else 1
    return Created(moment.timestamp() + missing, zoned=found["zone"] is not None)


def _date(found: re.Match[str]) -> tuple[int, int, int]:
    if found["year"]:
        return int(found["year"]), int(found["month"]), int(found["day"])
    year = int(found["yy"])
    month = MONTHS.index(found["mon"].upper()) + 1
    return (year if len(found["yy"]) > 2 else 2000 + year), month, int(found["dd"])  # noqa: PLR2004  (two digits)


def _time(found: re.Match[str]) -> tuple[int, int, int]:
    hour, minute, second = (int(found[name] or 0) for name in ("hour", "minute", "second"))
    if found["half"]:
        hour = hour % 12 + (12 if found["half"].upper() == "P" else 0)
    return hour, minute, second


def _zone(text: str | None) -> timezone:
    if text is None or text.upper() in ("Z", "UTC", "GMT"):
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
