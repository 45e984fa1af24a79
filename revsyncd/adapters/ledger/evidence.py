"""What a ledger holds, read for an audit: the sealed history step by step, contents, every text."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from revsyncd.adapters.ledger.book import EMPTY_CHAIN, Book, seal
from revsyncd.core.audit_sending import Address, Content, Sent

# In doubt without a time of release is what a rebuild found: nothing says that it ever left.
_OUT = (
    "state NOT IN ('planned', 'refused')"
    " AND (state <> 'in_doubt' OR json_extract(data, '$.released_at') IS NOT NULL)"
)
_UNWRITTEN = "stage_errors unwritten %"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A row of the history, and whether its seal is the right one after the row before."""

    n: int
    drop: str | None
    part: int | None
    event: str
    facts: dict[str, Any]
    whole: bool


def sealed_steps(book: Book) -> Iterator[Sealed]:
    """The history up to where it is now, each row with its seal proven."""
    last, before = book.head()[0], EMPTY_CHAIN
    query = "SELECT n, at, drop_id, part, event, facts, chain FROM history WHERE n <= ? ORDER BY n"
    for n, at, drop, part, event, facts, chain in book.each(query, last):
        whole = seal(before, [repr(at), drop, part, event, facts]) == chain
        yield Sealed(n, drop, part, event, _object(facts), whole)
        before = chain


def _object(written: str) -> dict[str, Any]:
    """The facts of a step; nothing of what somebody wrote there who is not us."""
    try:
        found = json.loads(written)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def addresses(book: Book) -> dict[str, Address]:
    """Of every drop, whose its content is."""
    query = (
        "SELECT id, tenant, template_name, json_extract(data, '$.permitted'),"
        " json_extract(data, '$.resolved') IS NOT NULL FROM drops"
    )
    return {
        id_: Address(tenant, template, "duplicate" in (permitted or ""), bool(word))
        for id_, tenant, template, permitted, word in book.rows(query)
    }


def contents(book: Book) -> dict[Content, list[Sent]]:
    """What is, or may be, at the tenant more than once: the content and which parts have it."""
    query = (
        "SELECT tenant, template_name, sha256, drop_id, part FROM parts WHERE sha256 IN"  # noqa: S608  (our own text)
        f" (SELECT sha256 FROM parts WHERE {_OUT} GROUP BY sha256 HAVING count(*) > 1)"
        f" AND {_OUT} ORDER BY drop_id, part"
    )
    found: dict[Content, list[Sent]] = {}
    for tenant, template, sha256, drop, part in book.rows(query):
        found.setdefault((tenant, template, sha256), []).append((drop, part))
    return found


def about_to_be_rewritten(book: Book) -> frozenset[str]:
    """The drops whose sidecars a round of stage errors has still to write."""
    rows = book.rows("SELECT value FROM meta WHERE key LIKE ?", _UNWRITTEN)
    return frozenset(drop for row in rows for drop in json.loads(row[0]))


def size_of_files(book: Book) -> int:
    """How many bytes the dropped files have in all."""
    return int(book.rows("SELECT coalesce(sum(json_extract(data, '$.size')), 0) FROM drops")[0][0])


def texts(book: Book, find: Callable[[bytes], str]) -> Iterator[tuple[str, str]]:
    """Where, and what, `find` finds in the ledger's texts: one line a table and column."""

    def named(value: object) -> str:
        return find(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else ""

    book.connection.create_function("revsyncd_find", 1, named, deterministic=True)
    for table, column in _texts(book):
        query = (
            f'SELECT revsyncd_find("{column}") AS found FROM "{table}"'  # noqa: S608  (names of the schema)
            " WHERE found <> '' GROUP BY found"
        )
        yield from ((f"{table}.{column}", row[0]) for row in book.rows(query))


def _texts(book: Book) -> list[tuple[str, str]]:
    tables = book.rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [
        (table, column)
        for (table,) in tables
        if not table.startswith("sqlite_")
        for column, type_ in book.rows(f"SELECT name, type FROM pragma_table_info('{table}')")  # noqa: S608  (names of the schema)
        if type_ == "TEXT"
    ]
