"""What the bench says of a run, and which runs it does not put on the page."""

import pytest
from prove.kills import Figures
from prove.report import Kind, Row, of_tests, plain, summary, unfit

KILLS = Row.of("kills", Figures(points=1_200, done=1_100, doubts=100))
FAULTS = Row("faults", 2, 2, kind=Kind.FAULTS)
CAUGHT = Row.of_control("the claim", Figures(points=5), caught=True)
MISSED = Row.of_control("the record", Figures(points=5), caught=False)
WRONG = Row.of("kills", Figures(points=1, done=1, violations=["a record is there twice"]))


def test_the_table_ends_with_the_sums() -> None:
    """Faults, kill points, violations and controls are counted each for itself."""
    rows = [CAUGHT, KILLS, FAULTS, MISSED, WRONG]
    assert summary(rows) == [
        "faults tried: 2",
        "kill points tried: 1,201",
        "violations: 1",
        "negative controls caught: 1 of 2",
    ]
    assert plain(rows).endswith("\n".join(summary(rows)))
    assert "NOT CAUGHT" in plain(rows)


def test_a_fault_whose_test_fails_is_a_violation() -> None:
    """Tests of single faults make a line for each file."""
    tests = [("a.py::one", True), ("b.py::three", True), ("a.py::two", False)]
    assert of_tests(tests) == [
        Row("a.py", 2, 1, 0, 1, Kind.FAULTS),
        Row("b.py", 1, 1, 0, 0, Kind.FAULTS),
    ]


def test_a_whole_good_run_may_be_written_down() -> None:
    """Nothing is violated, and every control is caught."""
    assert unfit([KILLS, FAULTS, CAUGHT], passed=True, skipped=False, whole=True) == ""


@pytest.mark.parametrize("row", [WRONG, MISSED])
def test_a_bad_row_is_not_written_down(row: Row) -> None:
    """A violation, or a control that passes, keeps the figures from the page."""
    assert unfit([KILLS, row], passed=True, skipped=False, whole=True)


@pytest.mark.parametrize("but", ["passed", "skipped", "whole"])
def test_a_run_that_lacks_something_is_not_written_down(but: str) -> None:
    """A test failed outside the table, was skipped, or was not asked for."""
    facts = {"passed": True, "skipped": False, "whole": True}
    assert unfit([KILLS, CAUGHT], **facts | {but: not facts[but]})
