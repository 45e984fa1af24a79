import pytest

from revsyncd.checks import keys
from revsyncd.checks.blocks import HandRead
from revsyncd.checks.keys import Keys, batches_of, repeats
from revsyncd.checks.structure import Record, RecordReader


def records(*values: str) -> list[Record]:
    reader = RecordReader(",")
    return reader.feed("h\n" + "".join(f"{value}\n" for value in values), final=True)[1:]


def test_equal_hashes_of_different_texts_are_no_repeat() -> None:
    """Hashes only make candidates."""
    wanted = {0: frozenset(hash(v) for v in ("a", "b"))}
    assert list(repeats([HandRead(records("a", "b"))], wanted)) == []


def test_candidates_are_the_hashes_that_came_again() -> None:
    """Each once, however often it came."""
    column = Keys()
    column.add(["a", "b", "a", "", "", "c", "a"])
    assert list(column.candidates()) == [hash("a")]


def test_many_candidates_are_settled_in_several_readings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one reading keeps is bounded; nothing is lost or told twice."""
    monkeypatch.setattr(keys, "CANDIDATES_AT_ONCE", 2)
    column = Keys()
    rows = records(*"abcdeabcde")
    column.add([row.fields[0] for row in rows])
    batches = list(batches_of({0: column.candidates()}))
    assert [len(batch[0]) for batch in batches] == [2, 2, 1]
    found = [repeat for batch in batches for repeat in repeats([HandRead(rows)], batch)]
    assert sorted((r.value, r.first_record, r.record) for r in found) == [
        (value, n, n + 5) for n, value in enumerate("abcde", 1)
    ]


def test_one_reading_settles_the_candidates_of_several_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A file that holds everything twice is not read again for each of its keys."""
    monkeypatch.setattr(keys, "CANDIDATES_AT_ONCE", 4)
    batches = list(batches_of({3: [1, 2], 5: [], 7: [3, 4, 5]}))
    assert batches == [{3: {1, 2}, 7: {3, 4}}, {7: {5}}]


def test_long_keys_are_compared_too() -> None:
    """A key of any length counts, though it is not kept."""
    long, other = "x" * 5000, "x" * 4999 + "y"
    wanted = {0: frozenset(hash(v) for v in (long, other))}
    rows = HandRead(records(long, other, long))
    assert [r.record for r in repeats([rows], wanted)] == [3]


def test_eight_bytes_a_record() -> None:
    """Nothing but the hashes is kept."""
    column = Keys()
    column.add(str(n) for n in range(10_000))
    assert sum(len(bucket) * bucket.itemsize for bucket in column._buckets) == 80_000
