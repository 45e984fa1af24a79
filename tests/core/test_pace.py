import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.pace import LONGEST_WISH, Pace, retry_after

NOON = 1_795_435_200.0  # Mon, 23 Nov 2026 12:00:00 GMT


def test_pauses_grow_and_stop_growing() -> None:
    """Each failure in a row makes the pause longer, up to the longest."""
    pace = Pace(first=1, factor=2, most=10)
    assert [pace.pause(n) for n in range(7)] == [0, 1, 2, 4, 8, 10, 10]


def test_a_factor_of_one_keeps_the_pause() -> None:
    """Pauses that do not grow stay as long as the first."""
    assert [Pace(first=5, factor=1, most=60).pause(n) for n in (1, 50)] == [5, 5]


def test_chance_takes_only_its_share() -> None:
    """Jitter shortens a pause by at most its share, so that things part without rushing."""
    pace = Pace(first=10, factor=2, most=100, jitter=0.2)
    assert pace.pause(1, 0.5) == pytest.approx(9)
    assert pace.pause(99, 0.999) > 80


@given(failures=st.integers(1, 10**9), chance=st.floats(0, 1, exclude_max=True))
def test_no_number_of_failures_breaks_the_arithmetic(failures: int, chance: float) -> None:
    """After months of failures a pause is still a pause."""
    pace = Pace(first=0.5, factor=3, most=300, jitter=0.5)
    assert 0.25 <= pace.pause(failures, chance) <= 300


@pytest.mark.parametrize("wrong", [(0, 2, 10, 0), (5, 0.5, 10, 0), (11, 2, 10, 0), (1, 2, 10, 2)])
def test_pauses_that_do_not_grow_are_refused(wrong: tuple[float, float, float, float]) -> None:
    """A pace that can't work is an error where it is made."""
    with pytest.raises(ValueError, match="do not grow"):
        Pace(*wrong)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 1.5 ", 1.5),
        ("99999999999", LONGEST_WISH),
        ("Mon, 23 Nov 2026 12:01:30 GMT", 90),
        ("Monday, 23-Nov-26 12:01:30 GMT", 90),
        ("Mon Nov 23 12:01:30 2026", 90),
        ("Mon, 23 Nov 2026 11:00:00 GMT", 0),
        ("Thu, 23 Nov 2028 12:00:00 GMT", LONGEST_WISH),
        ("", None),
        (None, None),
        ("-5", None),
        ("nan", None),
        ("soon", None),
        ("Mon, 99 Nov 2026 12:00:00 GMT", None),
        ("٣", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """Both forms of Retry-After are understood, and nonsense is no wish."""
    assert retry_after(text, NOON) == seconds


def test_a_date_is_measured_against_the_answers_own_clock() -> None:
    """A tenant whose clock differs from ours still gets the pause that it meant."""
    date, until = "Mon, 23 Nov 2026 15:00:00 GMT", "Mon, 23 Nov 2026 15:00:30 GMT"
    assert retry_after(until, NOON, date) == 30
