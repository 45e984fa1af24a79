"""Keys that an earlier drop has staged."""

from dataclasses import replace
from pathlib import Path

import pytest
from prepared_parts import bytes_of

from revsyncd.checks import engine
from revsyncd.checks.contract import CheckJob, CheckResult, Dialect, Preparation, Rules
from revsyncd.checks.remembered import KEY, keys_of
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

MAPPING = Mapping("", tuple(MappedColumn(x, x, ColumnType.CHARACTER) for x in ("Id", "Text")))
RULES = Rules(unique=("Id",))


def file_of(path: Path, ids: list[str], header: str = "Id,Text") -> Path:
    path.write_text(header + "\r\n" + "".join(f"{id_},x\r\n" for id_ in ids), newline="")
    return path


def staged(path: Path, ids: list[str], **file: str) -> Path:
    """The keys of a file that holds these ids."""
    earlier = file_of(path / "earlier.csv", ids, **file)
    keys_of(earlier, Dialect(), ["Id"], [(1, len(ids))], path / "keys")
    return path / "keys"


def checked(tmp_path: Path, known: Path, ids: list[str], rules: Rules = RULES) -> CheckResult:
    path = file_of(tmp_path / "later.csv", ids)
    return engine.check(CheckJob(path, MAPPING, Dialect(), rules, remembered=known))


@pytest.mark.parametrize("many", [1, 3000])
def test_a_key_that_was_staged_before_is_warned_of(tmp_path: Path, many: int) -> None:
    """With its place; whatever was between, and however the label was written."""
    known = staged(tmp_path, ["a", "", *map(str, range(many))], header=" ID,Text")
    result = checked(tmp_path, known, ["x", "a", "", "A", "0"])
    found = [(p.code, p.level, p.line, p.record, p.column, p.value) for p in result.problems]
    assert found == [
        ("record.seen_before", "warn", 3, 2, "Id", "a"),
        ("record.seen_before", "warn", 6, 5, "Id", "0"),
    ]
    assert (result.errors, result.rejected) == (0, ())


def test_without_a_memory_nothing_is_said(tmp_path: Path) -> None:
    """An empty one, none at all, or the code switched off."""
    known = staged(tmp_path, ["a"])
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert checked(tmp_path, empty, ["a"]).by_code == {}
    off = replace(RULES, levels={"record.seen_before": "off"})
    assert checked(tmp_path, known, ["a"], off).by_code == {}
    path = tmp_path / "later.csv"
    assert engine.check(CheckJob(path, MAPPING, Dialect(), RULES)).by_code == {}


def test_keys_are_of_the_chosen_records_sorted_and_each_once(tmp_path: Path) -> None:
    """Records that can't be read have none."""
    path = tmp_path / "a.csv"
    path.write_bytes(b'Id,Text\r\na,1\r\nb,1\r\na,2\r\nc"d,1\r\ne\r\n,1\r\nf,1\r\n')
    assert keys_of(path, Dialect(), ["Id", "Nowhere"], [(1, 1), (3, 6)], tmp_path / "k") == 1
    data = b"".join((tmp_path / "k").read_bytes() for _ in range(1))
    assert len(data) == KEY
    assert keys_of(path, Dialect(), ["Id"], [(1, 7)], tmp_path / "all") == 3
    keys = (tmp_path / "all").read_bytes()
    assert sorted(keys[i : i + KEY] for i in (0, KEY, 2 * KEY)) == [
        keys[i : i + KEY] for i in (0, KEY, 2 * KEY)
    ]


def test_as_an_error_it_is_left_out_under_split(tmp_path: Path) -> None:
    """What was sent before does not go again where the folder says so."""
    known = staged(tmp_path, ["b"])
    parts = tmp_path / "parts"
    parts.mkdir()
    rules = replace(RULES, levels={"record.seen_before": "error"})
    path = file_of(tmp_path / "later.csv", ["a", "b", "c"])
    preparation = Preparation(parts, 10, split_off_invalid=True)
    job = CheckJob(path, MAPPING, Dialect(), rules, None, preparation, known)
    result = engine.check(job)
    assert result.rejected == ((2, 2),)
    assert bytes_of(result.parts[0]) == b"Id,Text\r\na,x\r\nc,x\r\n"
