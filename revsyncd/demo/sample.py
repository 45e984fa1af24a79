"""Sample drops: invented revenue lines, the same on every run, with umlauts, quotes and line breaks.

A row is a dict of label and cell. Rows are made one at a time, so that a large file costs no memory.
"""

import csv
import io
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

Row = dict[str, str]

LINE_ID = "Doc Line Id"
_SEED = 20261031
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_CUSTOMERS = (
    "Müller & Söhne GmbH",
    'Café "Zur Post"',
    "Smith, Jones & Partners",
    "Ørsted Vind A/S",
    "Société d’Énergie SA",  # noqa: RUF001  (as French writes it, and Windows-1252)
    "Nuñez Hermanos, S.L.",
)
_NOTE = 'Deliver to gate 3,\nring at "B. Groß"'
_INVOICED = ("INV", "CM")


@dataclass(frozen=True, slots=True)
class Style:
    """How a file is written."""

    encoding: str = "utf-8"
    delimiter: str = ","
    line_end: str = "\r\n"

    @property
    def reading(self) -> str:
        """The encoding for reading: a byte order mark is no part of the first label."""
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding


def transactions(prefix: str, count: int, types: tuple[str, ...] = ("SO", "INV")) -> Iterator[Row]:
    """`count` transaction lines with line ids `<prefix>-000001` and so on."""
    chance = random.Random(f"{_SEED} {prefix}")  # noqa: S311  (no secret: the same on every run)
    for number in range(1, count + 1):
        yield _transaction(prefix, number, types[number % len(types)], chance)


def _transaction(prefix: str, number: int, type_: str, chance: random.Random) -> Row:
    quantity, cents = chance.randint(1, 40), chance.randint(100, 99_999)
    sign = -1 if type_ == "CM" else 1
    start = chance.randrange(12)
    return {
        "Batch Id": f"{prefix}-2026-10",
        "Type": type_,
        "Business Unit": "EMEA",
        "Ct Line Num": str(number),
        "Doc Num": f"{prefix}-{(number + 3) // 4:05d}",
        "Doc Line Num": str(number % 4 + 1),
        LINE_ID: f"{prefix}-{number:06d}",
        "Doc Date": _date(chance, 2026, 9),
        "Start Date": _date(chance, 2026, start),
        "End Date": _date(chance, 2027, start),
        "Cust Num": f"C{chance.randint(1, 300):04d}",
        "Cstmr Nm": chance.choice(_CUSTOMERS),
        "Curr": "EUR",
        "F Cur": "EUR",
        "F Ex Rate": "1",
        "G Ex Rate": "1.0842",
        "Item Num": f"ITM-{chance.randint(1, 99):03d}",
        "Prod Ctgry": "Abonnement",
        "Ord Qty": str(quantity),
        "Unit List Prc": _amount(cents),
        "Ext Lst Prc": _amount(sign * quantity * cents),
        "Unit Sell Prc": _amount(cents),
        "Ext Sll Prc": _amount(sign * quantity * cents),
        "Return Flag": "N",
        "Def Segments": "01-2400-000",
        "Rev Segments": "01-4000-000",
        "Cv Eligible Flag": "Y",
        "Prod Class": "Service",
        "Prod Fmly": "Wärme",
        "Sob Id": "1",
        **_invoice(prefix, number, type_, quantity, chance),
        **_free_columns(number, chance),
    }


def _invoice(prefix: str, number: int, type_: str, quantity: int, chance: random.Random) -> Row:
    """The invoice's columns; an order has none, and a credit names the line that it credits."""
    if type_ not in _INVOICED:
        return {}
    return {
        "Inv Num": f"I-{prefix}-{(number + 3) // 4:05d}",
        "Inv Line Num": str(number % 4 + 1),
        "Inv Line Id": f"I-{prefix}-{number:06d}",
        "Inv Date": _date(chance, 2026, 9),
        "Inv Qty": str(quantity),
        **({"Orig Inv Line Id": f"I-PAST-{number:06d}"} if type_ == "CM" else {}),
    }


def _free_columns(number: int, chance: random.Random) -> Row:
    """The tenant's own columns: texts, numbers and dates, every fifth note over two lines."""
    row = {f"Atr{n}": f"A{n}/{chance.randint(1, 999)}" for n in range(2, 9)}
    row["Atr1"] = _NOTE if number % 5 == 0 else "ok"
    row["Atr9"] = "東京" if number % 7 == 0 else ""
    row |= {f"Num{n}": _amount(chance.randint(-9999, 9999)) for n in range(1, 4)}
    return row | {"Date1": _date(chance, 2026, 9)}


def events(of: str, count: int) -> Iterator[Row]:
    """`count` deliveries of the first order lines with the prefix `of`."""
    chance = random.Random(f"{_SEED} events of {of}")  # noqa: S311  (no secret: the same on every run)
    for number in range(1, count + 1):
        yield {
            "Event Name": "Lieferung",
            "Event Type": "DELIVERY",
            "Doc Num": f"{of}-{(number + 3) // 4:05d}",
            "Doc Line Num": str(number % 4 + 1),
            LINE_ID: f"{of}-{number:06d}",
            "Event Date": _date(chance, 2026, 9),
            "Start Date": _date(chance, 2026, 9),
            "End Date": _date(chance, 2027, 9),
            "Event Pct": str(chance.randint(1, 100)),
            "Event Qty": str(chance.randint(1, 40)),
            "Comments": f'Übergabe "{number}"\nbestätigt',
        }


def _date(chance: random.Random, year: int, month: int) -> str:
    return f"{chance.randint(1, 28):02d}-{_MONTHS[month]}-{year}"


def _amount(cents: int) -> str:
    sign, whole = "-" if cents < 0 else "", abs(cents)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def spoiled(rows: Iterable[Row], faults: Mapping[int, Row]) -> Iterator[Row]:
    """`rows` with the cells of `faults`, by record number, in place of the right ones."""
    for number, row in enumerate(rows, 1):
        yield {**row, **faults.get(number, {})}


def only(rows: Iterable[Row], records: Iterable[int]) -> list[Row]:
    """The rows with these record numbers."""
    wanted = set(records)
    return [row for number, row in enumerate(islice(rows, max(wanted)), 1) if number in wanted]


def write(path: Path, labels: Iterable[str], rows: Iterable[Row], style: Style) -> None:
    """Write a file; a label that a row lacks is an empty cell, one too many is left out."""
    with path.open("w", encoding=style.encoding, newline="") as file:
        _write(file, list(labels), rows, style)


def written(labels: Iterable[str], rows: Iterable[Row], style: Style) -> bytes:
    """The bytes that `write` would write."""
    text = io.StringIO(newline="")
    _write(text, list(labels), rows, style)
    return text.getvalue().encode(style.encoding)


def _write(file: io.TextIOBase, labels: list[str], rows: Iterable[Row], style: Style) -> None:
    sheet = csv.writer(file, delimiter=style.delimiter, lineterminator=style.line_end)
    sheet.writerow(labels)
    sheet.writerows([row.get(label, "") for label in labels] for row in rows)


def read(path: Path, style: Style) -> Iterator[Row]:
    """The rows of a file, one at a time; a blank line is none. Raises ValueError when it is ragged."""
    with path.open(encoding=style.reading, newline="") as file:
        sheet = csv.reader(file, delimiter=style.delimiter, strict=True)
        labels = next(sheet, [])
        for cells in filter(None, sheet):
            yield dict(zip(labels, cells, strict=True))
