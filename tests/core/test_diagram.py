import re
import subprocess
import sys
from pathlib import Path

from revsyncd.core.diagram import mermaid
from revsyncd.core.drop import MOVES

README = Path(__file__).parents[2] / "README.md"


def test_the_picture_shows_every_move_and_no_other() -> None:
    """Reading the arrows back gives the table."""
    drawn = set()
    for line in mermaid().splitlines():
        arrow = re.fullmatch(r"    (\w+) --> (\w+): (.+)", line)
        if arrow:
            drawn |= {(arrow[1], event, arrow[2]) for event in arrow[3].split(", ")}
    table = {(s.value, e.value, f.value) for s, row in MOVES.items() for e, f in row.items()}
    assert drawn == table


def test_the_picture_begins_with_a_claim_and_ends_with_done_and_failed() -> None:
    """A life has one beginning and two ends."""
    lines = mermaid().splitlines()
    assert lines[:2] == ["stateDiagram-v2", "    [*] --> claimed"]
    assert lines[-2:] == ["    done --> [*]", "    failed --> [*]"]


def test_the_readme_shows_the_current_picture() -> None:
    """README.md holds the diagram as it is generated now, `python -m revsyncd.core.diagram`."""
    assert f"```mermaid\n{mermaid()}\n```\n" in README.read_text()


def test_the_module_prints_the_picture() -> None:
    """The command that the README names writes what belongs there."""
    printed = subprocess.run(
        [sys.executable, "-m", "revsyncd.core.diagram"], capture_output=True, text=True, check=True
    )
    assert printed.stdout == f"{mermaid()}\n"
