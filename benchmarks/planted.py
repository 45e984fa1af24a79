"""A large file of invented transactions with planted defects, and the list of what is wrong with it.

`python benchmarks/planted.py OUT.csv --records 1000000 --defects 3320 [--quote-all]` writes the file and,
beside it, `OUT.csv.expected.json`: every defect with its line, record, column, value and code, and the
exact totals. The same arguments give the same bytes.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from revsyncd.core.template import ColumnType, MappedColumn, Mapping

_TYPES = {"c": ColumnType.CHARACTER, "n": ColumnType.NUMBER, "d": ColumnType.DATE}
_COLUMNS = """
Batch Id|BATCH_ID|c
Type|TYPE|c
Business Unit|BUSINESS_UNIT|c
Doc Num|DOC_NUM|c
Doc Line Num|DOC_LINE_NUM|c
Doc Line Id|DOC_LINE_ID|c
Doc Date|DOC_DATE|d
Start Date|START_DATE|d
End Date|END_DATE|d
Cust Num|CUSTOMER_NUM|c
Cstmr Nm|CUSTOMER_NAME|c
Curr|TRANS_CURR|c
F Cur|BASE_CURR|c
F Ex Rate|F_EX_RATE|n
G Ex Rate|G_EX_RATE|n
Item Num|ITEM_NUM|c
Prod Ctgry|PRODUCT_CATEGORY|c
Inv Num|INV_NUM|c
Inv Line Num|INV_LINE_NUM|c
Inv Line Id|INV_LINE_ID|c
Orig Inv Line Id|ORIG_INV_LINE_ID|c
Orig So Line Id|ORIG_SO_LINE_ID|c
Inv Date|INV_DATE|d
Ord Qty|ORD_QTY|n
Unit List Prc|UNIT_LIST_PRC|n
Ext Lst Prc|EXT_LIST_PRC|n
Unit Sell Prc|UNIT_SELL_PRC|n
Ext Sll Prc|EXT_SELL_PRC|n
Inv Qty|INV_QTY|n
Return Flag|RETURN_FLAG|c
Ret Qty|RET_QTY|n
Def Segments|DEF_SEGMENTS|c
Rev Segments|REV_SEGMENTS|c
Cv Eligible Flag|CV_ELIGIBLE_FLAG|c
Prod Class|PRODUCT_CLASS|c
Prod Fmly|PRODUCT_FAMILY|c
Prod Ln|PRODUCT_LINE|c
Sob Id|SOB_ID|c
Credit Rule|CREDIT_RULE|c
Comments|COMMENTS|c
"""


def _column(line: str) -> MappedColumn:
    label, name, letter = line.split("|")
    return MappedColumn(label, name, _TYPES[letter])


MAPPING = Mapping(
    "DD-MON-YYYY",
    (
        *(_column(line) for line in _COLUMNS.strip().splitlines()),
        *(MappedColumn(f"Atr{n}", f"ATR{n}", ColumnType.CHARACTER) for n in range(1, 13)),
        *(MappedColumn(f"Num{n}", f"NUM{n}", ColumnType.NUMBER) for n in range(1, 6)),
        *(MappedColumn(f"Date{n}", f"DATE{n}", ColumnType.DATE) for n in range(1, 4)),
    ),
)
LABELS = MAPPING.labels
PLACE = {label: place for place, label in enumerate(LABELS)}
ALLOWED = {"Type": ("SO", "INV"), "Curr": ("USD", "EUR", "GBP")}
REQUIRED = ("Doc Line Id", "Cust Num")
UNIQUE = ("Doc Line Id",)
TOTALS = ("Ext Sll Prc",)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Planted:
    """One defect: what a report must say of it."""

    line: int
    record: int
    column: str
    value: str
    code: str


def _row(chance: random.Random, number: int) -> list[str]:
    """A good record, as cells."""
    chosen = chance.random()
    day = f"{1 + int(chosen * 28):02}-{_MONTHS[number % 12]}-2026"
    price = f"{int(chosen * 9_000_000) / 100:.2f}"
    kind = "SO" if number % 3 else "INV"
    invoice = "" if kind == "SO" else f"{number:07}"
    cells = {
        "Batch Id": "20261123",
        "Type": kind,
        "Business Unit": f"BU{number % 40:02}",
        "Doc Num": f"SO-{number // 10:07}",
        "Doc Line Num": str(number % 10 + 1),
        "Doc Line Id": f"SOL-{number:09}",
        "Doc Date": day,
        "Start Date": day,
        "End Date": day[:-4] + "2027",
        "Cust Num": f"C{number % 5000:05}",
        "Cstmr Nm": f"Customer {number % 5000}",
        "Curr": ("USD", "EUR", "GBP")[number % 3],
        "F Cur": "USD",
        "F Ex Rate": ("1", "1.0825", "1.2671")[number % 3],
        "G Ex Rate": "1",
        "Item Num": f"ITEM-{number % 900:04}",
        "Prod Ctgry": f"Category {number % 17}",
        "Inv Num": invoice and f"I-{invoice}",
        "Inv Line Num": invoice and "1",
        "Inv Line Id": invoice and f"IL-{invoice}",
        "Inv Date": invoice and day,
        "Ord Qty": str(1 + number % 12),
        "Unit List Prc": price,
        "Ext Lst Prc": price,
        "Unit Sell Prc": price,
        "Ext Sll Prc": price,
        "Inv Qty": invoice and "1",
        "Return Flag": "N",
        "Def Segments": "10.2100.000",
        "Rev Segments": "10.4100.000",
        "Cv Eligible Flag": "Y",
        "Prod Class": "SUBSCRIPTION",
        "Prod Fmly": f"Family {number % 9}",
        "Prod Ln": f"Line {number % 31}",
        "Sob Id": "1",
    }
    cells |= {f"Atr{n}": f"attribute {n} {number % (7 * n)}" for n in range(1, 11)}
    cells |= {f"Num{n}": f"{n}.5" for n in range(1, 4)}
    cells["Date1"] = day
    if number % 16 == 0:  # every sixteenth record has a cell with a newline, a comma and a quote
        cells["Comments"] = f'said "yes",\r\nthen called {number}'
    return [cells.get(label, "") for label in LABELS]


Spoil = Callable[[list[str]], tuple[str, str, str]]
"""Makes a record of quoted or plain cells wrong; gives the code, the column and the value to be told."""


def _put(label: str, code: str, written: str, told: str | None = None) -> Spoil:
    def spoil(cells: list[str]) -> tuple[str, str, str]:
        cells[PLACE[label]] = written
        return code, label, written if told is None else told

    return spoil


def _fewer(cells: list[str]) -> tuple[str, str, str]:
    del cells[-1]
    return "record.fields", "", ",".join(cells)


def _more(cells: list[str]) -> tuple[str, str, str]:
    cells.append("")
    return "record.fields", "", ",".join(cells)


def _twin(cells: list[str]) -> tuple[str, str, str]:
    cells[PLACE["Doc Line Id"]] = "SOL-000000001"  # the second record's, which stays as it is
    return "record.duplicate", "Doc Line Id", "SOL-000000001"


KINDS: tuple[Spoil, ...] = (
    _put("Cstmr Nm", "record.quote", '12" pipe', '12" pipe'),
    _put("Item Num", "record.quote", '"A"1'),
    _put("Unit Sell Prc", "cell.number", "12.5O"),
    _put("Start Date", "cell.date", "31-FEB-2026"),
    _put("Type", "cell.allowed", "XX"),
    _put("Cust Num", "cell.required", ""),
    _put("Prod Fmly", "file.encoding", "M\udcfcller", "M\\xfcller"),
    _put("Prod Ln", "file.control", "Line\x007"),
    _fewer,
    _more,
    _twin,
)
_UNREADABLE = ("record.quote", "record.fields")
_FIRST_SPOILED = 10


class _Writer:
    """Knows where it is, so that what it spoils has a place."""

    def __init__(self, *, quote_all: bool, seed: int) -> None:
        self._chance = random.Random(seed)
        self._quote_all = quote_all
        self.line = 2
        self.planted: list[Planted] = []
        self.cents = 0

    def header(self) -> str:
        return self._joined([self._written(label) for label in LABELS])

    def record(self, number: int, spoil: Spoil | None) -> str:
        row = _row(self._chance, number)
        cells = [self._written(cell) for cell in row]
        price = round(float(row[PLACE["Ext Sll Prc"]]) * 100)
        if spoil is not None:
            price = self._spoil(cells, spoil, number, price)
        self.cents += price
        text = self._joined(cells)
        self.line += text.count("\n")
        return text

    def _spoil(self, cells: list[str], spoil: Spoil, number: int, price: int) -> int:
        before = list(cells)
        code, column, value = spoil(cells)
        if self._quote_all and code not in _UNREADABLE and not value.startswith('"'):
            cells[:] = [
                new if new == old or new.startswith('"') else f'"{new}"'
                for old, new in zip(before, cells, strict=True)
            ]
        line = self.line
        if column:
            line += sum(cell.count("\n") for cell in cells[: PLACE[column]])
        self.planted.append(Planted(line, number + 1, column, value[:200], code))
        return 0 if code in _UNREADABLE else price

    def _written(self, cell: str) -> str:
        if self._quote_all or '"' in cell or "\n" in cell or "," in cell:
            return '"' + cell.replace('"', '""') + '"'
        return cell

    def _joined(self, cells: list[str]) -> str:
        return ",".join(cells) + "\r\n"


def _chunks(writer: _Writer, records: int, spoiled: dict[int, Spoil]) -> Iterator[str]:
    yield writer.header()
    for first in range(0, records, 1000):
        numbers = range(first, min(first + 1000, records))
        yield "".join(writer.record(n, spoiled.get(n)) for n in numbers)


def write(path: Path, records: int, defects: int, *, quote_all: bool = False, seed: int = 7) -> Any:
    """Write the file; gives what is to be found in it, as `expected.json` has it."""
    writer = _Writer(quote_all=quote_all, seed=seed)
    chance = random.Random(seed + 1)
    # A record with a quoted newline is left as it is: the value of a short record would be many lines.
    able = [n for n in range(_FIRST_SPOILED, records - 1) if n % 16]
    chosen = sorted(chance.sample(able, defects)) if defects else []
    spoiled = {n: KINDS[place % len(KINDS)] for place, n in enumerate(chosen)}
    with path.open("wb") as file:
        for text in _chunks(writer, records, spoiled):
            file.write(text.encode("utf-8", "surrogateescape"))
    return {
        "records": records,
        "lines": writer.line - 1,
        "totals": {"Ext Sll Prc": f"{writer.cents // 100}.{writer.cents % 100:02}"},
        "problems": [asdict(planted) for planted in writer.planted],
    }


def main() -> None:
    """Write a file and its expectations as the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--defects", type=int, default=3_320)
    parser.add_argument("--quote-all", action="store_true")
    asked = parser.parse_args()
    found = write(asked.out, asked.records, asked.defects, quote_all=asked.quote_all)
    expected = asked.out.with_name(asked.out.name + ".expected.json")
    expected.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
