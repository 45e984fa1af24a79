"""Reading the tenant's lists: a template's mapping, and the lines that are in error."""

import re

from revsyncd.core.answers import Fields, Reading, one_line, rows_under
from revsyncd.core.template import ColumnType, MappedColumn, Mapping
from revsyncd.ports import StageErrorRow

_RPRO = re.compile(r"\bRPRO[-_ ]?0*(\d{1,9})", re.IGNORECASE)
_CUSTOM = re.compile(r"\bCUST[-_A-Z0-9]*\d", re.IGNORECASE)
_NUMBERS = ("number", "numeric", "int", "decimal", "float", "double", "real")
_DATES = ("date", "timestamp")


def read_mapping(reading: Reading) -> Mapping | None:
    """A template's columns in the order of `seq`; None when the answer holds none."""
    inner = rows_under(reading.top, "result", "data")
    for fields in (reading.top, *inner[:1]):
        columns = _columns(rows_under(fields, "mapping", "mappings"))
        if columns:
            return Mapping(fields.text("dateformat") or reading.top.text("dateformat"), columns)
    return None


def column_type(data_type: str) -> ColumnType:
    """The tenant's type in any spelling: VARCHAR2(240), NUMBER, DATE…; what is unknown is text."""
    name = data_type.strip().lower()
    if name.startswith(_NUMBERS):
        return ColumnType.NUMBER
    return ColumnType.DATE if name.startswith(_DATES) else ColumnType.CHARACTER


def read_stage_errors(reading: Reading) -> list[StageErrorRow]:
    """Every row with an id or a line id; a list of none when there are none."""
    rows = (_stage_error(fields) for fields in reading.rows)
    return [row for row in rows if row.id or row.so_line_id or row.inv_line_id]


def error_code(message: str) -> str:
    """The tenant's code inside a stage error's text: RPRO with five digits, or CUST as it stands."""
    if found := _RPRO.search(message):
        return f"RPRO-{int(found[1]):05d}"
    custom = _CUSTOM.search(message)
    return custom[0].upper() if custom else ""


def _columns(rows: tuple[Fields, ...]) -> tuple[MappedColumn, ...]:
    numbered = [(_sequence(row, at), at, row) for at, row in enumerate(rows)]
    named = (row for _, _, row in sorted(numbered, key=lambda item: item[:2]))
    columns = (_column(row) for row in named)
    return tuple(column for column in columns if column.label)


def _sequence(row: Fields, at: int) -> float:
    try:
        return float(row.text("seq"))
    except ValueError:
        return float(at)  # no number: where it stands


def _column(row: Fields) -> MappedColumn:
    name = row.text("col_name")
    return MappedColumn(row.text("label") or name, name, column_type(row.text("data_type")))


def _stage_error(row: Fields) -> StageErrorRow:
    message = one_line(row.text("err_msg"))
    return StageErrorRow(
        id=row.text("id"),
        message=message,
        code=error_code(message),
        so_line_id=row.text("so_line_id"),
        inv_line_id=row.text("inv_line_id"),
        type=row.text("type"),
        upload_id=row.text("upload_id"),
        created=row.text("crtd_dt"),
    )
