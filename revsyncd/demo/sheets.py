"""The files of this month-end, each with what is promised of it."""

from collections.abc import Iterator
from dataclasses import replace

from revsyncd.demo import sample
from revsyncd.demo.promises import Fate, Faults, Rows, Sheet
from revsyncd.demo.sample import LINE_ID, Row
from revsyncd.demo.tree import ADJUSTMENTS, EVENTS, TRANSACTIONS, records_per_upload

_BAD_CREDITS: Faults = {11: {"Ext Sll Prc": "12,50"}, 23: {"Start Date": "31-FEB-2026"}}
_BAD_ADJUSTMENTS: Faults = {8: {"Ext Sll Prc": "n/a"}, 31: {"End Date": "30-FEB-2027"}}
_NOT_STAGED: Faults = {7: {"Start Date": "01-DEC-2028"}, 19: {"Cstmr Nm": ""}}


def _lines(prefix: str, records: int, types: tuple[str, ...] = ("SO", "INV")) -> Rows:
    return lambda: sample.transactions(prefix, records, types)


def _good(folder: str, file: str, rows: Rows, records: int, about: str) -> Sheet:
    return Sheet(folder, file, records, rows, Fate("done", "staged", records), about)


def _with_faults(sheet: Sheet, faults: Faults, fate: Fate, about: str) -> Sheet:
    """The same file with wrong cells, and what becomes of it then."""

    def rows() -> Iterator[Row]:
        return sample.spoiled(sheet.rows(), faults)

    return replace(sheet, rows=rows, faults=faults, right=sheet.rows, fate=fate, about=about)


def billing(records: int) -> Sheet:
    """The large file."""
    large = _good(TRANSACTIONS, "billing.csv", _lines("BIL", records), records, "large")
    return replace(large, most_per_upload=records_per_upload(records))


ORDERS = _good(TRANSACTIONS, "orders.csv", _lines("ORD", 120), 120, "good")
ORDERS_AGAIN = replace(
    ORDERS, file="orders-copy.csv", fate=Fate("held", "duplicate", 0), about="the same bytes"
)
RENEWALS = replace(
    _good(TRANSACTIONS, "renewals.csv", _lines("REN", 30), 30, "a label in the header is wrong"),
    fate=Fate("failed", "invalid", 0),
    relabelled={LINE_ID: "Doc Line No"},
)
CREDITS = _good(
    TRANSACTIONS, "credits.csv", _lines("CRE", 40, ("CM",)), 40, "corrected, the whole file"
)
BAD_CREDITS = _with_faults(CREDITS, _BAD_CREDITS, Fate("failed", "invalid", 0), "two bad cells")
ADJUSTMENTS_MIXED = replace(
    _with_faults(
        _good(ADJUSTMENTS, "adjustments.csv", _lines("ADJ", 40), 40, ""),
        _BAD_ADJUSTMENTS,
        Fate("done", "staged_with_errors", 40 - len(_BAD_ADJUSTMENTS)),
        "two bad cells, a folder that splits",
    ),
    left_out=frozenset(_BAD_ADJUSTMENTS),
)
SUBSCRIPTIONS = replace(
    _with_faults(
        _good(TRANSACTIONS, "subscriptions.csv", _lines("SUB", 60), 60, ""),
        _NOT_STAGED,
        Fate("done", "staged", 60 - len(_NOT_STAGED)),
        "two lines will displease the tenant",
    ),
    in_error=frozenset(_NOT_STAGED),
)
DELIVERIES = replace(
    _good(
        EVENTS, "deliveries.csv", lambda: sample.events("ORD", 50), 50, "events, columns reversed"
    ),
    backwards=True,
)
LATE_ORDERS = replace(
    _good(TRANSACTIONS, "late-orders-müller.csv", _lines("LAT", 25), 25, "good"),
    fate=Fate("done", "resolved", 25),
)
