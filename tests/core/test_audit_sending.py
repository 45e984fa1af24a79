"""What the history must tell of contents that left."""

from typing import Any

import pytest
from drops import drop_id

from revsyncd.core.audit_sending import Address, Releases, standing_twice

ONE, TWO = drop_id(1), drop_id(2)
PLAIN = Address("https://acme.example", "Transaction Upload", duplicates=False, word=False)
PERMITTED = Address("https://acme.example", "Transaction Upload", duplicates=True, word=True)
ELSEWHERE = Address("https://acme.example", "Event Upload", duplicates=False, word=False)
SPOKEN = Address("https://acme.example", "Transaction Upload", duplicates=False, word=True)

Row = tuple[str, str, dict[str, Any]]


def released(drop: str, sha256: str = "ab") -> Row:
    return "released", drop, {"sha256": sha256}


def became(drop: str, state: str, before: str = "released") -> Row:
    return state, drop, {"from": before, "to": state}


def broken(two: Address, *rows: Row) -> list[str]:
    """The rules that these steps break, all about part 1, where the second drop has this address."""
    releases = Releases({ONE: PLAIN if two is not SPOKEN else SPOKEN, TWO: two})
    found = [v for event, drop, facts in rows for v in releases.take(event, drop, 1, facts)]
    return [violation.rule for violation in found]


@pytest.mark.parametrize("end", ["staged", "accepted", "in_doubt", "released"])
def test_a_content_that_may_be_there_goes_only_once(end: str) -> None:
    """Whatever the first became that is no definite refusal, a second release is a violation."""
    assert broken(PLAIN, released(ONE), became(ONE, end), released(TWO)) == ["sent.twice"]


@pytest.mark.parametrize("end", ["planned", "refused"])
def test_what_was_surely_not_taken_may_go_again(end: str) -> None:
    """After a definite refusal the same content is free, in the same drop and in another."""
    assert broken(PLAIN, released(ONE), became(ONE, end), released(TWO)) == []
    assert broken(PLAIN, released(ONE), became(ONE, end), released(ONE)) == []


def test_the_same_part_again_without_an_answer_is_a_violation() -> None:
    """A drop is its own duplicate, too."""
    assert broken(PLAIN, released(ONE), released(ONE)) == ["sent.twice"]


def test_another_template_or_content_is_free() -> None:
    """Contents are compared within one tenant and template."""
    assert broken(ELSEWHERE, released(ONE), released(TWO)) == []
    assert broken(PLAIN, released(ONE), released(TWO, "cd")) == []


def test_a_person_may_permit_a_duplicate() -> None:
    """`resolve --send` is such a word."""
    assert broken(PERMITTED, released(ONE), released(TWO)) == []


def test_what_was_in_doubt_goes_again_only_on_a_word() -> None:
    """Without a trace of the person who said so, it is a violation."""
    rows = (released(ONE), became(ONE, "in_doubt"), became(ONE, "planned", "in_doubt"))
    assert broken(PLAIN, *rows, released(ONE)) == ["sent.unasked"]
    assert broken(SPOKEN, *rows, released(ONE)) == []
    said: Row = ("resolved", ONE, {"resolved": {}})
    assert broken(PLAIN, *rows, said, released(ONE)) == []


def test_contents_that_stand_twice() -> None:
    """The same from what the ledger holds, for histories that begin after a rebuild."""
    content = ("https://acme.example", "Transaction Upload", "ab")
    sent = {content: [(ONE, 1), (TWO, 1)]}
    assert [v.drop for v in standing_twice(sent, {ONE: PLAIN, TWO: PLAIN})] == [TWO]
    assert list(standing_twice(sent, {ONE: PLAIN, TWO: PERMITTED})) == []
    assert list(standing_twice({content: [(ONE, 1)]}, {ONE: PLAIN})) == []
