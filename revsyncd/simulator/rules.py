"""The rules by which staging puts single lines in error; a selection of the documented codes."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation

_TYPES = frozenset(
    ("SO", "INV", "CM", "CM-C", "CM-R", "CM-D", "CM-VC", "INV-VC", "CST", "RORD", "CM-RO")
)
_INVOICED = frozenset(("INV", "CM", "CM-C", "CM-R", "CM-RO"))
_CALENDAR_BEGINS = date(1948, 1, 1)


@dataclass(frozen=True, slots=True)
class Line:
    """One record by staging field, with the template's way to read dates."""

    cells: dict[str, str]
    read_date: Callable[[str], date | None]

    def text(self, name: str) -> str:
        """The cell, "" when blank or when the template has no such column."""
        return self.cells.get(name, "")

    def date(self, name: str) -> date | None:
        """The cell as a date; None when blank."""
        return self.read_date(self.text(name))

    def number(self, name: str) -> Decimal | None:
        """The cell as a number; None when blank."""
        try:
            return Decimal(self.text(name))
        except InvalidOperation:
            return None

    def blank(self, name: str) -> bool:
        """Whether there is nothing in the cell."""
        return not self.text(name).strip()


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule applies where the template has all of `columns`."""

    code: int
    message: str
    columns: tuple[str, ...]
    broken: Callable[[Line], bool]

    @property
    def words(self) -> str:
        """What the stage error says."""
        return f"RPRO-{self.code:05d}: {self.message}"


def _starts_after_end(line: Line) -> bool:
    start, end = line.date("START_DATE"), line.date("END_DATE")
    return start is not None and end is not None and start > end


def _too_old(name: str) -> Callable[[Line], bool]:
    def broken(line: Line) -> bool:
        day = line.date(name)
        return day is not None and day < _CALENDAR_BEGINS

    return broken


def _outside_percent(line: Line) -> bool:
    value = line.number("EVENT_PCT")
    return value is not None and not 0 <= value <= 100  # noqa: PLR2004  (a percentage)


def _no_quantity(line: Line) -> bool:
    value = line.number("ORD_QTY")
    return line.text("TYPE") in {"SO", "RORD"} and (value is None or value <= 0)


def _positive_reduction(line: Line) -> bool:
    value = line.number("EXT_SELL_PRC")
    return line.text("TYPE") == "RORD" and value is not None and value > 0


def _rate_not_one(line: Line) -> bool:
    same = line.text("TRANS_CURR") == line.text("BASE_CURR") != ""
    return same and line.number("F_EX_RATE") not in {None, Decimal(1)}


RULES = (
    Rule(1, "Transaction type is not valid", ("TYPE",), lambda row: row.text("TYPE") not in _TYPES),
    Rule(
        2,
        "CV eligible flag is not Y or N",
        ("CV_ELIGIBLE_FLAG",),
        lambda row: row.text("CV_ELIGIBLE_FLAG") not in {"Y", "N", ""},
    ),
    Rule(3, "Customer name is blank", ("CUSTOMER_NAME",), lambda row: row.blank("CUSTOMER_NAME")),
    Rule(
        7,
        "Invoice quantity is blank",
        ("TYPE", "INV_QTY"),
        lambda row: row.text("TYPE") in _INVOICED and row.blank("INV_QTY"),
    ),
    Rule(
        11,
        "Exchange rate is not 1 within one currency",
        ("TRANS_CURR", "BASE_CURR", "F_EX_RATE"),
        _rate_not_one,
    ),
    Rule(13, "Start date is after end date", ("START_DATE", "END_DATE"), _starts_after_end),
    Rule(15, "Start date is before 1948", ("START_DATE",), _too_old("START_DATE")),
    Rule(16, "End date is before 1948", ("END_DATE",), _too_old("END_DATE")),
    Rule(18, "Start date is blank", ("START_DATE",), lambda row: row.blank("START_DATE")),
    Rule(
        30,
        "Original SO line id is blank",
        ("TYPE", "ORIG_SO_LINE_ID"),
        lambda row: row.text("TYPE") == "RORD" and row.blank("ORIG_SO_LINE_ID"),
    ),
    Rule(
        36,
        "Invoice line id is blank",
        ("TYPE", "INV_LINE_ID"),
        lambda row: row.text("TYPE") in _INVOICED and row.blank("INV_LINE_ID"),
    ),
    Rule(
        46,
        "Credit rule is not P, L or F",
        ("CREDIT_RULE",),
        lambda row: row.text("CREDIT_RULE") not in {"P", "L", "F", ""},
    ),
    Rule(51, "Customer number is blank", ("CUSTOMER_NUM",), lambda row: row.blank("CUSTOMER_NUM")),
    Rule(58, "Extended sell price is positive", ("TYPE", "EXT_SELL_PRC"), _positive_reduction),
    Rule(72, "Ordered quantity is blank or not positive", ("TYPE", "ORD_QTY"), _no_quantity),
    Rule(
        630,
        "SO line id is blank",
        ("TYPE", "DOC_LINE_ID"),
        lambda row: row.text("TYPE") == "SO" and row.blank("DOC_LINE_ID"),
    ),
    Rule(668, "Percent is outside 0 to 100", ("EVENT_PCT",), _outside_percent),
)


def applicable(codes: tuple[int, ...], names: list[str]) -> tuple[Rule, ...]:
    """The rules among `codes` whose columns are all in `names`."""
    return tuple(
        rule for rule in RULES if rule.code in codes and not set(rule.columns) - set(names)
    )
