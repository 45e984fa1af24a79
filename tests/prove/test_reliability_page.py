"""`docs/reliability.md` says what the bench does."""

from pathlib import Path

from prove import report
from prove.faults import FAULTS

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "reliability.md"


def test_the_page_has_every_fault() -> None:
    """Its tables are those of `faults`; `make prove` writes them."""
    assert report.read(PAGE, "faults") == report.faults()


def test_every_fault_names_a_test_that_there_is() -> None:
    """A path below tests/ and a function in it."""
    for fault in FAULTS:
        path, _, name = fault.test.partition("::")
        assert f"def {name}(" in (TESTS / path).read_text(), fault.test


def test_the_figures_on_the_page_are_those_of_a_good_run() -> None:
    """At most one table, and without a violation; `make prove` writes it."""
    sums = [
        line for line in report.read(PAGE, "figures").splitlines() if line.startswith("| all |")
    ]
    assert len(sums) <= 1
    assert all(line.endswith("| 0 |") for line in sums)
