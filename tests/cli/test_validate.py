import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from made_drops import opened, tree
from strict_books import PASSWORD, USERNAME
from strict_tenant import StrictTenant

from revsyncd.config import Config, load, load_mapping

Revsyncd = Callable[..., Result]
GOOD = b"Doc Line Id,Amount\r\nA,1.50\r\nB,2\r\n"
BAD = b"Doc Line Id,Amount\r\nA,1.50\r\nB,two\r\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Files that lie anywhere."""
    contents = {"good": GOOD, "bad": BAD, "empty": b"Doc Line Id,Amount\r\n", "cut": GOOD[:-3]}
    (tmp_path / "elsewhere").mkdir()
    found = {name: tmp_path / "elsewhere" / f"{name}.csv" for name in contents}
    for name, path in found.items():
        path.write_bytes(contents[name])
    return found


def test_valid(revsyncd: Revsyncd, config: Config, files: dict[str, Path]) -> None:
    """A good file is valid; nothing is written beside it or anywhere."""
    before = sorted(config.path.parent.rglob("*"))
    result = revsyncd("validate", "transactions", files["good"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"{files['good']}: valid: 2 records, 0 errors, 0 warnings" in result.stdout
    assert sorted(config.path.parent.rglob("*")) == before


def test_not_valid(revsyncd: Revsyncd, config: Config, files: dict[str, Path]) -> None:
    """One bad file makes it 1; its problems are told by line, column and value."""
    result = revsyncd("validate", "transactions", files["good"], files["bad"])
    assert result.exit_code == 1
    assert f"{files['bad']}: not valid: 2 records, 1 error, 0 warnings" in result.stdout
    problem = next(line for line in result.stdout.splitlines() if "cell.number" in line)
    assert problem.split()[:3] == ["3", "Amount", "two"]


def test_the_first_problems_are_marked_in_their_lines(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path]
) -> None:
    """The line as it stands, and carets under the cell."""
    files["bad"].write_bytes(GOOD + b'"C, ""x""",two\r\n' + b'"D\r\nE",2x\r\nF\r\n')
    lines = revsyncd("validate", "transactions", files["bad"]).stdout.splitlines()
    at = lines.index('  line 4: "C, ""x""",two')
    assert lines[at + 1] == " " * 21 + "^^^"
    assert "is not a plain number" in lines[at + 2]
    at = lines.index('  line 6: E",2x')
    assert lines[at + 1] == "             ^^"
    assert "  line 7: F" in lines


@pytest.mark.parametrize("name", ["empty", "cut"])
def test_what_would_not_be_sent_is_not_valid(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path], name: str
) -> None:
    """No records, and a file that looks cut."""
    assert revsyncd("validate", "transactions", files[name]).exit_code == 1


@pytest.mark.parametrize("level", ["error", "warn", "off"])
@pytest.mark.parametrize(("on_empty", "code"), [("done", 0), ("fail", 1), ("hold", 1)])
def test_an_empty_file_is_valid_where_the_folder_takes_it(
    revsyncd: Revsyncd, config: Config, level: str, on_empty: str, code: int
) -> None:
    """Where `on_empty` says done, no records are no error, whatever their level."""
    levels = f'[templates.transactions.checks.levels]\n"file.no_records" = "{level}"'
    tree(config.path.parent, more=f'on_empty = "{on_empty}"\n{levels}')
    empty = config.path.parent / "empty.csv"
    for content in (b"Doc Line Id,Amount\r\n", b""):
        empty.write_bytes(content)
        assert revsyncd("validate", "transactions", empty).exit_code == code


def test_a_group_without_room_is_found(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path]
) -> None:
    """As the daemon finds it; what was written to see it is gone."""
    more = 'keep_together = ["Amount"]\nmax_records_per_upload = 1'
    tree(config.path.parent, more=more)
    assert revsyncd("validate", "transactions", files["good"]).exit_code == 0
    files["good"].write_bytes(GOOD + b"C,2\n")
    before = sorted(config.path.parent.rglob("*"))
    result = revsyncd("validate", "transactions", files["good"])
    assert result.exit_code == 1
    assert "file.group" in result.stdout
    assert sorted(config.path.parent.rglob("*")) == before


def test_a_cell_in_no_total_is_told_beside_it(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path]
) -> None:
    """A total that lacks something does not look complete."""
    tree(config.path.parent, more='checks.totals = ["Amount"]')
    result = revsyncd("validate", "transactions", files["bad"])
    assert "  Amount: 1.50, without 1 cell that is no number" in result.stdout.splitlines()
    [told] = json.loads(revsyncd("validate", "transactions", files["bad"], "--json").stdout)
    assert told["cells_in_no_total"] == {"Amount": 1}


def test_json(revsyncd: Revsyncd, config: Config, files: dict[str, Path]) -> None:
    """A list with one object a file, whose fields are fixed."""
    result = revsyncd("validate", "transactions", files["good"], files["bad"], "--json")
    assert result.exit_code == 1
    good, bad = json.loads(result.stdout)
    fields = (
        "file valid records lines sha256 errors warnings by_code totals totals_by problems seconds"
    )
    assert set(fields.split()) <= good.keys()
    assert (good["valid"], good["records"], good["lines"], good["problems"]) == (True, 2, 3, [])
    [problem] = bad["problems"]
    assert problem.pop("message")
    assert problem == {
        "line": 3,
        "record": 2,
        "column": "Amount",
        "value": "two",
        "code": "cell.number",
        "level": "error",
    }


def test_unknown_folder(revsyncd: Revsyncd, config: Config, files: dict[str, Path]) -> None:
    """A folder that is not configured is wrong usage, and those that are, are named."""
    result = revsyncd("validate", "nowhere", files["good"])
    assert result.exit_code == 2
    assert "next step: name one of: transactions, events" in result.stderr


def test_the_mapping_that_the_daemon_saw(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path]
) -> None:
    """Where the folder takes the tenant's, the ledger's copy serves, daemon or not."""
    with opened(config) as ledger:
        mapping = load_mapping(config.path.parent / "mapping.toml")
        ledger.mappings.put(config.tenant.base_url, "Event Upload", mapping)
        assert revsyncd("validate", "events", files["good"]).exit_code == 0
    assert revsyncd("validate", "events", files["bad"]).exit_code == 1


def test_no_mapping_at_all(revsyncd: Revsyncd, config: Config, files: dict[str, Path]) -> None:
    """With neither ledger nor tenant, the tenant is what is missing."""
    result = revsyncd("validate", "events", files["good"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("manifest", "code"), [('{"records": 2}', 0), ('{"records": 3}', 1), ("nonsense", 1)]
)
def test_a_manifest_beside_the_file(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path], manifest: str, code: int
) -> None:
    """Where the folder waits for one, the file is held to it."""
    tree(config.path.parent, more='ready = "manifest"')
    assert load(config.path).templates["transactions"].ready == "manifest"
    files["good"].with_name("good.csv.manifest.json").write_text(manifest)
    assert revsyncd("validate", "transactions", files["good"]).exit_code == code


def test_a_file_that_can_not_be_checked(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told, counts as not valid, and the others are checked."""
    tree(config.path.parent, more='ready = "manifest"')
    files["bad"].with_name("bad.csv.manifest.json").write_text("[]")
    result = revsyncd("validate", "transactions", "--json", files["bad"], files["good"])
    first, second = json.loads(result.stdout)
    assert (first["valid"], second["valid"]) == (False, True)
    assert "manifest" in first["error"]
    assert "next step: have the sender mend the manifest" in result.stderr


def test_many_problems_are_cut_short(
    revsyncd: Revsyncd, config: Config, files: dict[str, Path]
) -> None:
    """People see the first ones and how many there are."""
    files["bad"].write_bytes(b"Doc Line Id,Amount\r\n" + b"A,x\r\n" * 50)
    lines = revsyncd("validate", "transactions", files["bad"]).stdout.splitlines()
    assert lines[-1] == "  … and 30 more problems; --json lists 50 of all"


def test_the_tenants_mapping(
    revsyncd: Revsyncd,
    config: Config,
    files: dict[str, Path],
    strict_tenant: StrictTenant,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no daemon has seen it, the mapping comes from the tenant: other columns are unknown."""
    monkeypatch.setenv("REVSYNCD_TEST_USER", USERNAME)
    monkeypatch.setenv("REVSYNCD_TEST_PASSWORD", PASSWORD)
    tree(config.path.parent, base_url=strict_tenant.base_url)
    result = revsyncd("validate", "events", files["good"])
    assert result.exit_code == 1
    assert "header.unknown" in result.stdout
    assert strict_tenant.violations == []
