"""The page for people, read as a browser reads it."""

from html.parser import HTMLParser
from typing import Any

import pytest

from revsyncd.pipelines import status_page
from revsyncd.pipelines.readings import Waits

HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</td></table><h1>All is well</h1>",
    "' onmouseover='alert(1)",
    "&lt;b&gt;",
    "<!--",
    "</style><style>*{display:none}",
)
AT = "2026-11-23T04:47:32.120Z"


def status(**changes: Any) -> dict[str, Any]:
    """A status in which nothing goes on."""
    return {
        "at": AT,
        "tenant": {"base_url": "https://acme.example", "state": "open"},
        "folders": [],
        "drops": [],
        "settled": [],
        "needs_a_person": [],
        "gl": None,
        **changes,
    }


def drop(text: str, state: str) -> dict[str, Any]:
    """A drop all of whose words are the same."""
    words = dict.fromkeys(("drop", "folder", "file", "message", "next_step", "in_words"), text)
    times = dict.fromkeys(("since", "received_at", "settled_at"), AT)
    return {**words, **times, "state": state, "records": 1200, "place": f"{text}/done/x"}


class Reader(HTMLParser):
    """The tags, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.texts: list[str] = []
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def rendered(**changes: Any) -> Reader:
    waiting, red = changes.pop("waiting", {}), changes.pop("red", [])
    return Reader(status_page.render(status(**changes), waiting, red, None))


def full(text: str) -> Reader:
    """A page on which a text stands wherever one may stand."""
    folder = {"folder": text, "state": text, "since": AT, "open": 1, "held": 1}
    batch = {"batch": text, "name": text, "in_words": text, "late": True, "since": AT}
    told = {"message": text, "next_step": text}
    return rendered(
        tenant={"base_url": text, "state": "open"},
        folders=[{**folder, **told}],
        drops=[drop(text, "held"), drop(text, "sending")],
        settled=[drop(text, "done")],
        needs_a_person=[text],
        gl={"batches": [{**batch, **told}]},
        waiting={text: [Waits(text, 0.0)]},
        red=[text],
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_words_are_text(text: str) -> None:
    """Wherever they stand, they are read back as they are, and make no element."""
    page, plain = full(text), full("plain")
    assert page.tags == plain.tags
    assert page.attributes == plain.attributes
    assert page.texts.count(text) == plain.texts.count("plain") > 20


def test_the_page_loads_and_runs_nothing() -> None:
    """No script, no form, no link, no picture, no attribute that could run or load something."""
    page = full("plain")
    tags = "html head meta title style body h1 p h2 table thead tr th tbody td"
    assert " ".join(dict.fromkeys(page.tags)) == tags
    assert page.attributes <= {"lang", "charset", "name", "content", "scope", "class"}


def test_the_policy_names_the_only_style() -> None:
    """The browser takes the style by its digest, and nothing else from anywhere."""
    assert "default-src 'none'" in status_page.POLICY
    assert "unsafe" not in status_page.POLICY
    assert status_page._DIGEST in status_page.POLICY


def test_what_a_person_wants_to_know() -> None:
    """Held drops with why and what to do, those in work, those that wait: each with its file."""
    texts = rendered(
        drops=[
            {**drop("x", "held"), "file": "held.csv", "message": "why", "next_step": "do this"},
            {**drop("x", "sending"), "file": "work.csv", "message": "", "next_step": None},
        ],
        waiting={"orders": [Waits("inbox.csv", 0.0)]},
        needs_a_person=["D1"],
        red=["disk.trouble: full."],
    ).texts
    page = " ".join(texts)
    for words in ("held.csv", "why", "do this", "work.csv", "1,200", "inbox.csv", "disk.trouble"):
        assert words in page
    assert "1 thing needs a person: see below." in texts
    assert "Nothing: it goes on by itself." in texts


def test_an_idle_page_says_so() -> None:
    """Nothing to do reads as such, and nothing looks broken."""
    texts = rendered().texts
    assert "revsyncd: nothing to do for you" in texts
    for nothing in ("Nothing is held.", "Nothing is in work.", "Nothing is waiting."):
        assert nothing in texts


def test_a_page_is_never_endless() -> None:
    """Of very many rows the first are shown, and the others counted."""
    waiting = {"orders": [Waits(f"{n}.csv", 0.0) for n in range(20_000)]}
    page = rendered(waiting=waiting)
    assert page.tags.count("tr") == status_page.MOST_ROWS + 1
    assert "… and 19,800 more." in page.texts
    assert "Waiting in the inbox (20,000)" in page.texts
