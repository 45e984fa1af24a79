from collections.abc import Callable
from pathlib import Path

import pytest

from revsyncd.checks.contract import (
    CheckJob,
    CheckResult,
    Dialect,
    Manifest,
    Preparation,
    Rules,
)
from revsyncd.checks.engine import check
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

MAPPING = Mapping(
    "DD-MON-YYYY",
    (
        MappedColumn("Id", "DOC_LINE_ID", ColumnType.CHARACTER),
        MappedColumn("Type", "ATR1", ColumnType.CHARACTER),
        MappedColumn("Amount", "EXT_SELL_PRICE", ColumnType.NUMBER),
        MappedColumn("Date", "DOC_DATE", ColumnType.DATE),
    ),
)
HEADER = "Id,Type,Amount,Date\r\n"
GOOD = "1,SO,10.50,23-NOV-2026\r\n"

Examine = Callable[..., CheckResult]


@pytest.fixture
def examine(tmp_path: Path) -> Examine:
    """Check a file of the given content; whatever is not said stays at its default."""

    def run(  # noqa: PLR0917  (each fact of a job may be the one that a test is about)
        content: str | bytes,
        rules: Rules | None = None,
        dialect: Dialect | None = None,
        manifest: Manifest | None = None,
        preparation: Preparation | None = None,
        mapping: Mapping = MAPPING,
    ) -> CheckResult:
        path = tmp_path / "drop.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return check(
            CheckJob(path, mapping, dialect or Dialect(), rules or Rules(), manifest, preparation)
        )

    return run


@pytest.fixture
def parts_directory(tmp_path: Path) -> Path:
    """Where a preparation writes."""
    directory = tmp_path / "parts"
    directory.mkdir()
    return directory
