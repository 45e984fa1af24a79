"""Small files with exactly what is to be found in them: tests/data/checks, a JSON beside each."""

import json
from pathlib import Path

import pytest

from revsyncd.checks import engine
from revsyncd.checks.contract import CheckJob, Dialect, Rules
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

DATA = Path(__file__).parents[1] / "data" / "checks"
MAPPING = Mapping(
    "DD-MON-YYYY",
    (
        MappedColumn("Id", "ATR1", ColumnType.CHARACTER),
        MappedColumn("Type", "ATR2", ColumnType.CHARACTER),
        MappedColumn("Amount", "NUM1", ColumnType.NUMBER),
        MappedColumn("Date", "DATE1", ColumnType.DATE),
        MappedColumn("Note", "ATR3", ColumnType.CHARACTER),
    ),
)
FILES = sorted(DATA.glob("*.csv"))


def test_every_file_has_its_expectations() -> None:
    """No file is there without, nor expectations without a file."""
    assert {path.stem for path in FILES} == {path.stem for path in DATA.glob("*.json")}
    assert len(FILES) > 25


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_found_is_what_is_there(path: Path) -> None:
    """Code, line, record, column and value of each problem, the counts and the totals."""
    expected = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    rules, dialect = Rules(**expected.get("rules", {})), Dialect(**expected.get("dialect", {}))
    result = engine.check(CheckJob(path, MAPPING, dialect, rules))
    names = ("code", "line", "record", "column", "value")
    found = [{name: getattr(problem, name) for name in names} for problem in result.problems]
    assert found == expected["problems"]
    assert (result.records, result.lines) == (expected["records"], expected["lines"])
    assert result.totals == expected.get("totals", {})
