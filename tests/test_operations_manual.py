"""What docs/operations.md and docs/logs.md say is what the program knows."""

import json
import re
from pathlib import Path

from shipping import SHIPPING

from revsyncd.core.drop import Reason
from revsyncd.pipelines.overview import FOLDER_STATES

DOCS = Path(__file__).parents[1] / "docs"


def section(name: str, heading: str) -> str:
    """One section of a manual, without those that follow."""
    text = (DOCS / name).read_text()
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The names in the first column of the tables, in order."""
    rows = [line.split(" | ")[0] for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_each_reason_has_its_row() -> None:
    """The set is closed: every reason, and no other."""
    rows = first_cells(section("operations.md", "For each reason"))
    assert sorted(set(rows)) == sorted(Reason)


def test_each_state_of_a_folder_has_its_row() -> None:
    """What `revsyncd status` may show is in the table of every day."""
    text = section("operations.md", "Every day")
    states = [*(state for _, state in FOLDER_STATES), "not_configured"]
    assert [state for state in states if f"| folder `{state}` |" not in text] == []


def test_the_field_mapping_is_that_of_the_configuration() -> None:
    """Each name of the Elastic Common Schema in the manual is set by syslog-ng, and in the template."""
    rows = [line.split(" | ") for line in section("logs.md", "Shippers").splitlines()]
    names = {
        name
        for row in rows
        if len(row) == 4 and row[0].startswith("| ")
        for name in re.findall(r"`([@a-z_.]+)`", row[2])
        if "revsyncd" not in name and "/" not in name
    }
    assert "event.action" in names
    configured = (SHIPPING / "revsyncd-elastic.conf").read_text()
    assert [name for name in names if f"revsyncd.ecs.{name}" not in configured] == []
    template = json.loads((SHIPPING / "elastic-index-template.json").read_text())
    known = template["template"]["mappings"]["properties"]
    assert [name for name in names if not _has(known, name)] == []


def _has(properties: dict[str, dict[str, object]], name: str) -> bool:
    first, _, rest = name.partition(".")
    inner = properties.get(first, {})
    below = inner.get("properties")
    return _has(below, rest) if rest and isinstance(below, dict) else bool(inner) and not rest
