"""What left the house, from the history: no content twice but after a refusal or a person's word. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from revsyncd.core.audit import Violation
from revsyncd.core.part import PartState

_ANSWERED = (PartState.PLANNED, PartState.REFUSED)  # surely not taken


@dataclass(frozen=True, slots=True)
class Address:
    """Whose a drop's content is: contents are compared within one tenant and template."""

    tenant: str
    template_name: str
    duplicates: bool  # a person permitted that this drop's content goes once more
    word: bool  # a person spoke about it at all


_NOBODYS = Address("", "", duplicates=False, word=False)
Content = tuple[str, str, str]
Sent = tuple[str, int]  # drop and part


@dataclass(slots=True)
class Releases:
    """Fed with the whole history in order; `addresses` are those of all drops by id."""

    addresses: Mapping[str, Address]
    _out: dict[Content, set[Sent]] = field(default_factory=dict)  # sent, and not surely refused
    _contents: dict[Sent, Content] = field(default_factory=dict)
    _on_word: set[str] = field(default_factory=set)  # drops to be sent again, no word seen yet

    def take(
        self, event: str, drop: str, part: int | None, facts: Mapping[str, Any]
    ) -> list[Violation]:
        """The next step of the history; returns what it breaks."""
        if event == "resolved":
            self._on_word.discard(drop)
        if part is None:
            return []
        if event == PartState.RELEASED:
            return list(self._released(drop, part, str(facts.get("sha256", ""))))
        if event in _ANSWERED:
            self._answered(drop, part)
        if event == PartState.PLANNED and facts.get("from") == PartState.IN_DOUBT:
            self._on_word.add(drop)
        return []

    def _released(self, drop: str, part: int, sha256: str) -> Iterator[Violation]:
        address = self.addresses.get(drop, _NOBODYS)
        content = (address.tenant, address.template_name, sha256)
        others = self._out.setdefault(content, set())
        if others and not address.duplicates:
            yield _twice(drop, part, min(others))
        if drop in self._on_word and not address.word:
            step = "Look in the tenant for its uploads, and report it."
            told = f"part {part} was in doubt and was sent again without a person's word"
            yield Violation("sent.unasked", told, f"`revsyncd show {drop}`", step, drop)
        others.add((drop, part))
        self._contents[drop, part] = content

    def _answered(self, drop: str, part: int) -> None:
        content = self._contents.pop((drop, part), None)
        if content is not None:
            self._out[content].discard((drop, part))


def _twice(drop: str, part: int, before: Sent) -> Violation:
    told = (
        f"part {part} was released though part {before[1]} of drop {before[0]} with the same content"
        " was, or may have been, taken"
    )
    step = "Look for both uploads in the tenant; delete one there if both are, and report it."
    return Violation("sent.twice", told, f"`revsyncd show {drop}`", step, drop)


def standing_twice(
    contents: Mapping[Content, list[Sent]], addresses: Mapping[str, Address]
) -> Iterator[Violation]:
    """The same from what the ledger holds now: `contents` that are, or may be, at the tenant."""
    for sent in contents.values():
        unasked = [each for each in sent if not addresses.get(each[0], _NOBODYS).duplicates]
        if len(unasked) > 1:
            yield _twice(*max(unasked), min(unasked))
