"""What is asked and answered."""

from dataclasses import dataclass, field

TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Question:
    """A request without its body; header names are in lower case, values as they came."""

    method: str
    path: str  # without the query; not decoded
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes
    content_type: str = TEXT
    headers: tuple[tuple[str, str], ...] = ()


def words(status: int, text: str, *headers: tuple[str, str]) -> Answer:
    """An answer of one line."""
    return Answer(status, f"{text}\n".encode("utf-8", "backslashreplace"), headers=headers)
