"""One upload, one organisation: the first record's counts, and any other is told (revenue.744)."""

from collections.abc import Iterator

from revsyncd.checks.blocks import Rows
from revsyncd.checks.judges import Finding, IsOn, shown
from revsyncd.checks.row_checks import RowFinding

CODE = "revenue.744"


class OneOrganisation:
    """Compares the organisation of every record with the first one that is filled."""

    def __init__(self, index: int | None, is_on: IsOn) -> None:
        """`index` is the column's place, None where the template has none."""
        self._index = index if is_on(CODE) else None
        self.first = ""

    def find(self, rows: Rows) -> Iterator[RowFinding]:
        """Every record of the block with another organisation; an empty cell has none."""
        if self._index is None:
            return
        cells = rows.column(self._index)
        self.first = self.first or next(filter(None, cells), "")
        if not set(cells) - {"", self.first}:
            return
        message = (
            f"The first organisation of this file is {shown(self.first)}, and the tenant refuses"
            " an upload with more than one. Send each in a file of its own."
        )
        for row, value in enumerate(cells):
            if value not in ("", self.first):
                yield RowFinding(row, self._index, Finding(CODE, message))
