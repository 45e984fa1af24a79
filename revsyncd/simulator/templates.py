"""The upload templates that this tenant has: labels, staging names, types and date mask."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Type(StrEnum):
    """A column's type, as the mapping names it."""

    CHARACTER = "Character"
    NUMBER = "Number"
    DATE = "Date"


class Kind(StrEnum):
    """What a template's lines are; stage errors are listed per kind."""

    TRANSACTION = "transaction"
    EVENT = "event"
    BUNDLE = "bundle"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `label` stands in the file's header, `name` is the staging field."""

    label: str
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Template:
    """An upload template; `date_format` is an Oracle mask."""

    name: str
    kind: Kind
    columns: tuple[Column, ...]
    date_format: str = "DD-MON-YYYY"

    @property
    def labels(self) -> list[str]:
        """The header that a file must have, in order."""
        return [column.label for column in self.columns]

    @property
    def names(self) -> list[str]:
        """The staging fields, in order."""
        return [column.name for column in self.columns]


_LETTER = {"c": Type.CHARACTER, "n": Type.NUMBER, "d": Type.DATE}

_TRANSACTION = """
Batch Id|BATCH_ID|c
Type|TYPE|c
Business Unit|BUSINESS_UNIT|c
Ct Line Num|CT_LINE_NUM|c
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
"""

_EVENT = """
Event Name|EVENT_NAME|c
Event Type|EVENT_TYPE|c
Doc Num|DOC_NUM|c
Doc Line Num|DOC_LINE_NUM|c
Doc Line Id|DOC_LINE_ID|c
Event Date|EVENT_DATE|d
Start Date|START_DATE|d
End Date|END_DATE|d
Event Pct|EVENT_PCT|n
Event Qty|EVENT_QTY|n
Event Amt|EVENT_AMT|n
Comments|COMMENTS|c
"""

_BUNDLE = """
Bundle Id|BUNDLE_ID|c
Bundle Name|BUNDLE_NAME|c
Line Type|LINE_TYPE|c
Item Num|ITEM_NUM|c
Item Desc|ITEM_DESC|c
Split Pct|SPLIT_PCT|n
Start Date|START_DATE|d
End Date|END_DATE|d
"""

_SMALL = (
    "Type",
    "Doc Num",
    "Doc Line Id",
    "Cstmr Nm",
    "Start Date",
    "End Date",
    "Curr",
    "Ext Sll Prc",
)


def _columns(table: str) -> tuple[Column, ...]:
    """The columns of a table with one `label|name|type` a line."""
    rows = (line.split("|") for line in table.split("\n") if line)
    return tuple(Column(label, name, _LETTER[letter]) for label, name, letter in rows)


def _numbered(label: str, of: Type, count: int) -> tuple[Column, ...]:
    """The tenant's free columns: Atr1, Atr2 and so on."""
    numbers = range(1, count + 1)
    return tuple(Column(f"{label}{n}", f"{label.upper()}{n}", of) for n in numbers)


TRANSACTION_UPLOAD = Template(
    "Transaction Upload",
    Kind.TRANSACTION,
    _columns(_TRANSACTION)
    + _numbered("Atr", Type.CHARACTER, 12)
    + _numbered("Num", Type.NUMBER, 4)
    + _numbered("Date", Type.DATE, 4),
)
SMALL_TRANSACTIONS = replace(
    TRANSACTION_UPLOAD,
    name="Small Transactions",
    columns=tuple(column for column in TRANSACTION_UPLOAD.columns if column.label in _SMALL),
)
EVENT_UPLOAD = Template("Event Upload", Kind.EVENT, _columns(_EVENT))
BUNDLE_UPLOAD = Template("Bundle Upload", Kind.BUNDLE, _columns(_BUNDLE))
TEMPLATES = (TRANSACTION_UPLOAD, SMALL_TRANSACTIONS, EVENT_UPLOAD, BUNDLE_UPLOAD)
