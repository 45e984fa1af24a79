"""The tenant's documented rules on single lines that the line alone can show, as a table.

Staging puts a line in error by such a rule after the upload was taken. A rule names the fields that it
reads; it applies where the template has them all. To add one: a row in `ROW_RULES`, a row in
docs/reports.md. Numbers, conditions and names are those of docs/revenue-api.md, section 6.
"""

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum, auto
from typing import Any

FIELDS: dict[str, tuple[str, ...]] = {
    "type": ("TYPE", "TRAN_TYPE"),
    "cv_eligible": ("CV_ELIGIBLE_FLAG",),
    "fv_eligible": ("FV_ELIGIBLE_FLAG",),
    "unbill": ("UNBILL_FLAG", "UNBILLED_FLAG"),
    "customer_name": ("CUSTOMER_NAME",),
    "customer_num": ("CUSTOMER_NUM", "CUSTOMER_NUMBER"),
    "item": ("ITEM_NUM", "ITEM_NUMBER", "LINE_ITEM_NUM"),
    "inv_qty": ("INV_QTY", "INVOICE_QTY", "INVOICED_QTY"),
    "inv_num": ("INV_NUM", "INVOICE_NUM", "INVOICE_NUMBER"),
    "inv_line_id": ("INV_LINE_ID", "INVOICE_LINE_ID"),
    "so_line_id": ("SO_LINE_ID", "DOC_LINE_ID"),
    "orig_so": ("ORIG_SO_LINE_ID", "ORIGINAL_SO_LINE_ID"),
    "orig_inv": ("ORIG_INV_LINE_ID", "ORIGINAL_INV_LINE_ID"),
    "currency": ("TRANS_CURR", "TRANS_CURR_CODE", "CURRENCY_CODE"),
    "base_currency": ("BASE_CURR", "BASE_CURR_CODE", "F_CURR_CODE"),
    "f_rate": ("F_EX_RATE", "EX_RATE"),
    "g_rate": ("G_EX_RATE",),
    "start": ("START_DATE",),
    "end": ("END_DATE",),
    "so_date": ("SO_DATE", "DOC_DATE", "SO_BOOK_DATE"),
    "modified": ("MODIFICATION_DATE", "MOD_DATE"),
    "credit_rule": ("CREDIT_RULE",),
    "deferred": ("DEF_SEGMENTS",),
    "revenue": ("REV_SEGMENTS",),
    "deferred_offset": ("DEF_OFFSET_SEGMENTS", "DEF_OFFSET_SEGMENT"),
    "revenue_offset": ("REV_OFFSET_SEGMENTS", "REV_OFFSET_SEGMENT"),
    "term": ("TERM",),
    "duration": ("DURATION",),
    "price": ("EXT_SELL_PRC", "EXT_SELL_PRICE", "EXT_SLL_PRC"),
    "ord_qty": ("ORD_QTY", "ORDERED_QTY", "ORDER_QTY"),
    "cost_amount": ("COST_AMOUNT", "COST_AMT", "EXT_COST"),
    "cost_type": ("COST_TYPE",),
    "percent": ("EVENT_PCT", "EVENT_PERCENT", "PERCENT"),
    "amount": ("EVENT_AMT", "EVENT_AMOUNT"),
    "cumulative": ("CUMULATIVE_FLAG", "CUMULATIVE"),
}
"""Field -> the staging names (`col_name`) under which a mapping may have it, the first one found counting."""

ORGANISATION = ("ORG_ID", "SEC_ATR_VAL", "ORGANIZATION", "ORGANISATION")
INVOICE_LINE = FIELDS["inv_line_id"]
"""Staging names for the rules on the file: 744 and 715."""


class Lens(StrEnum):
    """How a rule sees a field: a number or date is None where the cell is blank."""

    CODE = auto()  # str: without outer blanks, in upper case
    FILLED = auto()  # bool
    NUMBER = auto()  # Decimal | None
    DATE = auto()  # date | None


_CODES = frozenset({"type", "cv_eligible", "fv_eligible", "unbill", "credit_rule", "cumulative"})
_CURRENCIES = frozenset({"currency", "base_currency"})
_NUMBERS = frozenset(
    {"f_rate", "g_rate", "term", "duration", "price", "ord_qty", "percent", "amount"}
)
_DATES = frozenset({"start", "end", "so_date", "modified"})


def lens_of(name: str) -> Lens:
    """How the field of a rule is seen; `name?` asks only whether it is filled."""
    if name in _CODES or name in _CURRENCIES:
        return Lens.CODE
    if name in _NUMBERS:
        return Lens.NUMBER
    return Lens.DATE if name in _DATES else Lens.FILLED


@dataclass(frozen=True, slots=True)
class RowRule:
    """One rule. `fields` (see `lens_of`) are handed to `broken` in order; `at` is the one reported."""

    number: int
    at: str
    fields: tuple[str, ...]
    broken: Callable[..., Any]
    message: str
    level: str = "warn"
    types: frozenset[str] = frozenset()  # where not empty: the only transaction types it is about

    @property
    def code(self) -> str:
        """As levels and reports name it."""
        return f"revenue.{self.number}"


_TYPES = frozenset(
    ("SO", "INV", "CM", "CM-C", "CM-R", "CM-D", "CM-VC", "INV-VC", "CST", "RORD", "CM-RO")
)
_CREDITS = frozenset(("CM", "CM-C", "CM-R", "CM-D", "CM-VC", "CM-RO"))
_INVOICED = frozenset(("INV", "CM", "CM-C", "CM-R", "CM-RO"))
_REFERRING = frozenset(("INV", *_CREDITS))
_YES_NO = frozenset(("Y", "N", ""))
_CALENDAR_BEGINS = dt.date(1948, 1, 1)


def _flag(number: int, field: str, name: str) -> RowRule:
    message = f"The {name} must be Y, N or empty."
    return RowRule(number, field, (field,), lambda flag: flag not in _YES_NO, message)


def _blank(number: int, field: str, name: str) -> RowRule:
    asked = f"{field}?"
    return RowRule(number, field, (asked,), lambda filled: not filled, f"The {name} is empty.")


def _blank_for(number: int, field: str, name: str, types: frozenset[str], words: str) -> RowRule:
    def broken(kind: str, filled: bool) -> bool:  # noqa: FBT001  (handed over in order)
        return kind in types and not filled

    return RowRule(
        number, field, ("type", f"{field}?"), broken, f"The {name} is empty; {words} need it."
    )


def _blank_but_cost(number: int, field: str, name: str) -> RowRule:
    others = _TYPES - {"CST"}
    return _blank_for(number, field, name, others, "all but cost lines (CST)")


def _too_old(number: int, field: str, name: str) -> RowRule:
    message = f"The {name} is before 1948, where the tenant's calendar begins."
    return RowRule(number, field, (field,), lambda day: day and day < _CALENDAR_BEGINS, message)


def _not_positive(number: int, field: str, name: str) -> RowRule:
    message = f"The {name} must be more than zero."
    return RowRule(number, field, (field,), lambda n: n is not None and n <= 0, message)


def _zero(number: int, field: str, name: str) -> RowRule:
    return RowRule(
        number,
        field,
        ("cumulative", field),
        lambda cumulative, n: cumulative != "Y" and n is not None and n == 0,
        f"The {name} is zero on an event that is not cumulative.",
    )


def _full_credit(number: int, field: str, name: str) -> RowRule:
    return RowRule(
        number,
        field,
        ("type", "credit_rule", f"{field}?"),
        lambda kind, rule, filled: kind == "CM" and rule == "F" and not filled,
        f"The {name} is empty; a credit memo with credit rule F needs it.",
    )


def _negative_rate(field: str) -> RowRule:
    message = "An exchange rate must not be negative."
    return RowRule(67, field, (field,), lambda rate: rate is not None and rate < 0, message)


ROW_RULES: tuple[RowRule, ...] = (
    RowRule(
        1,
        "type",
        ("type",),
        lambda kind: kind not in _TYPES,
        f"This is no transaction type. Known are: {', '.join(sorted(_TYPES))}.",
    ),
    _flag(2, "cv_eligible", "CV eligible flag"),
    _blank(3, "customer_name", "customer name"),
    _blank(6, "item", "line item number"),
    _blank_for(
        7, "inv_qty", "invoice quantity", _INVOICED, "invoices and credit memos (but CM-D, CM-VC)"
    ),
    RowRule(
        11,
        "f_rate",
        ("currency", "base_currency", "f_rate"),
        lambda curr, base, rate: curr and curr == base and rate is not None and rate != Decimal(1),
        "Currency and functional currency are the same, so the exchange rate must be 1.",
    ),
    RowRule(
        13,
        "start",
        ("start", "end"),
        lambda start, end: start and end and start > end,
        "The start date is after the end date.",
    ),
    _full_credit(14, "start", "start date"),
    _too_old(15, "start", "start date"),
    _too_old(16, "end", "end date"),
    _blank(18, "start", "start date"),
    _blank_but_cost(21, "deferred", "deferred revenue account (segments)"),
    _blank_but_cost(23, "revenue", "revenue account (segments)"),
    _blank_for(30, "orig_so", "original SO line id", frozenset({"RORD"}), "reductions (RORD)"),
    _blank_for(35, "inv_num", "invoice number", _REFERRING, "invoices and credit memos"),
    _blank_for(36, "inv_line_id", "invoice line id", _REFERRING, "invoices and credit memos"),
    RowRule(
        46,
        "credit_rule",
        ("credit_rule",),
        lambda rule: rule not in {"P", "L", "F", ""},
        "The credit rule must be P, L, F or empty.",
    ),
    RowRule(
        47,
        "credit_rule",
        ("type", "credit_rule", "orig_so?", "orig_inv?"),
        lambda kind, rule, so, inv: kind == "CM" and rule and not so and not inv,
        "A credit memo that refers to no original line can't have a credit rule.",
    ),
    _flag(49, "unbill", "unbill flag"),
    _not_positive(50, "term", "term"),
    _blank(51, "customer_num", "customer number"),
    _flag(52, "fv_eligible", "FV eligible flag"),
    RowRule(
        58,
        "price",
        ("type", "price"),
        lambda kind, price: kind == "RORD" and price is not None and price > 0,
        "The extended sell price of a reduction (RORD) must not be positive.",
        types=frozenset({"RORD"}),  # prices are many, reductions are few
    ),
    _blank_but_cost(59, "price", "extended sell price"),
    _full_credit(63, "end", "end date"),
    RowRule(
        66,
        "modified",
        ("modified", "so_date"),
        lambda modified, ordered: modified and ordered and modified < ordered,
        "The modification date is before the date of the sales order.",
    ),
    _negative_rate("f_rate"),
    _negative_rate("g_rate"),
    _not_positive(68, "duration", "duration"),
    RowRule(
        72,
        "ord_qty",
        ("type", "ord_qty"),
        lambda kind, n: kind in {"SO", "RORD"} and (n is None or n <= 0),
        "The ordered quantity of a sales order line (SO, RORD) must be more than zero.",
    ),
    RowRule(
        76,
        "f_rate",
        ("currency", "base_currency", "f_rate"),
        lambda curr, base, rate: curr and base and curr != base and rate is None,
        "The exchange rate is empty, though currency and functional currency differ.",
    ),
    RowRule(
        628,
        "deferred_offset",
        ("deferred_offset?", "revenue_offset?"),
        lambda deferred, revenue: deferred and revenue,
        "Both offset accounts (segments) are filled; only one may be.",
    ),
    _blank_for(630, "so_line_id", "SO line id", frozenset({"SO"}), "sales order lines (SO)"),
    _blank_for(631, "cost_amount", "cost amount", frozenset({"CST"}), "cost lines (CST)"),
    _blank_for(632, "cost_type", "cost type", frozenset({"CST"}), "cost lines (CST)"),
    RowRule(
        636,
        "orig_so",
        ("type", "orig_so?"),
        lambda kind, filled: kind == "INV" and filled,
        "An invoice line must not name an original SO line id.",
    ),
    RowRule(
        637,
        "orig_inv",
        ("type", "orig_so?", "orig_inv?"),
        lambda kind, so, inv: kind in _CREDITS and so and inv,
        "A credit memo names an original SO line and an original invoice line; only one may be.",
    ),
    RowRule(
        638,
        "orig_inv",
        ("type", "orig_so?", "orig_inv?"),
        lambda kind, so, inv: kind == "CM-C" and not so and not inv,
        "A CM-C must name an original SO line or an original invoice line.",
    ),
    RowRule(
        668,
        "percent",
        ("percent",),
        lambda n: n is not None and not 0 <= n <= 100,  # noqa: PLR2004  (a percentage)
        "The percentage must be from 0 to 100.",
    ),
    _zero(748, "percent", "percentage"),
    _zero(749, "amount", "amount"),
)
