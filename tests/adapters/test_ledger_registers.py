from collections.abc import Iterator
from pathlib import Path

import pytest
from ledgers import MORNING, open_ledger

from revsyncd.adapters.ledger import Condition, KnownStageError, Ledger
from revsyncd.core.template import ColumnType, MappedColumn, Mapping

URL, TEMPLATE = "https://acme.example", "Transaction Upload"
MAPPING = Mapping("DD-MON-YYYY", (MappedColumn("Doc Line Id", "DOC", ColumnType.CHARACTER),))
OTHER = Mapping("YYYY-MM-DD", MAPPING.columns)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with open_ledger(tmp_path) as opened:
        yield opened


def events(ledger: Ledger) -> list[str]:
    return [row[0] for row in ledger.book.rows("SELECT event FROM history ORDER BY n")]


# -- mappings ------------------------------------------------------------------------------------


def test_a_mapping_is_kept_for_tenant_and_template(ledger: Ledger) -> None:
    """With the time at which it was fetched; another tenant has its own."""
    assert ledger.mappings.get(URL, TEMPLATE) is None
    assert ledger.mappings.put(URL, TEMPLATE, MAPPING) is None
    kept = ledger.mappings.get(URL, TEMPLATE)
    assert kept is not None
    assert kept[0] == MAPPING
    assert kept[1] > MORNING
    assert ledger.mappings.get("https://other.example", TEMPLATE) is None


def test_only_a_change_is_worth_a_step(ledger: Ledger) -> None:
    """The same mapping fetched again is only fetched later; another one returns the one before."""
    ledger.mappings.put(URL, TEMPLATE, MAPPING)
    first = ledger.mappings.get(URL, TEMPLATE)
    assert ledger.mappings.put(URL, TEMPLATE, MAPPING) is None
    second = ledger.mappings.get(URL, TEMPLATE)
    assert first is not None
    assert second is not None
    assert second[1] > first[1]
    assert ledger.mappings.put(URL, TEMPLATE, OTHER) == MAPPING
    assert events(ledger) == ["mapping", "mapping"]


# -- conditions ----------------------------------------------------------------------------------


def paused(scope: str = "orders", **changes: object) -> Condition:
    facts = {"kind": "paused", "scope": scope, "since": 1.0, "message": "by anna", "lasting": True}
    return Condition(**{**facts, **changes})  # type: ignore[arg-type]  # a test names what differs


def test_conditions_are_kept_until_they_end(ledger: Ledger) -> None:
    """The oldest first, each with its facts."""
    second = paused("events", since=2.0, facts={"drop": "X"}, hint="resume")
    ledger.conditions.begin(second)
    ledger.conditions.begin(paused())
    assert ledger.conditions.all() == [paused(), second]
    ledger.conditions.end("paused", "orders")
    ledger.conditions.end("paused", "orders")
    assert ledger.conditions.all() == [second]


def test_a_condition_that_holds_already_keeps_its_beginning(ledger: Ledger) -> None:
    """Only what is said of it changes."""
    ledger.conditions.begin(paused())
    ledger.conditions.begin(paused(since=9.0, message="by bob"))
    assert ledger.conditions.all() == [paused(message="by bob")]


def test_only_what_lasts_outlives_a_start(ledger: Ledger) -> None:
    """A tenant that could not be reached yesterday says nothing about today."""
    ledger.conditions.begin(paused())
    ledger.conditions.begin(paused("*", kind="tenant.unreachable", lasting=False))
    ledger.conditions.forget_passing()
    assert ledger.conditions.all() == [paused()]


def test_a_persons_pause_stands_in_the_history(ledger: Ledger) -> None:
    """What comes and goes by itself does not."""
    ledger.conditions.begin(paused())
    ledger.conditions.begin(paused(kind="tenant.unreachable", lasting=False))
    assert events(ledger) == ["paused"]


def test_words_from_outside_can_always_be_kept(ledger: Ledger) -> None:
    """A name that is not UTF-8 in a message must not keep the condition from being recorded."""
    ledger.conditions.begin(paused(message="a\udcff.csv", hint="see \udc80", facts={"f": "\udcff"}))
    (kept,) = ledger.conditions.all()
    assert (kept.message, kept.hint, kept.facts) == (r"a\xff.csv", r"see \x80", {"f": "\udcff"})


# -- requests ------------------------------------------------------------------------------------


def test_requests_wait_in_order_for_one_answer(ledger: Ledger) -> None:
    """Each is asked once, answered once, and kept with both."""
    requests = ledger.requests
    first = requests.put("anna", "pause", "orders", "period close")
    second = requests.put("bob", "resolve", "X", "seen")
    assert [request.id for request in requests.waiting()] == [first, second]
    requests.answer(first, done=True, answer="paused")
    assert [request.id for request in requests.waiting()] == [second]
    requests.answer(second, done=False, answer="no such drop")
    answered = requests.get(first), requests.get(second)
    assert [(r.done, r.answer) for r in answered if r] == [
        (True, "paused"),
        (False, "no such drop"),
    ]
    assert answered[0] is not None
    assert (answered[0].who, answered[0].verb, answered[0].target) == ("anna", "pause", "orders")
    assert (answered[0].reason, answered[0].at > MORNING) == ("period close", True)
    assert requests.get(99) is None


def test_a_name_in_a_request_and_its_answer_can_be_anything(ledger: Ledger) -> None:
    """What a person types, and what the answer quotes, need not be UTF-8."""
    number = ledger.requests.put("anna", "resolve", "a\udcff.csv", "b\udc80")
    ledger.requests.answer(number, done=False, answer="the file a\udcff.csv is another")
    request = ledger.requests.get(number)
    assert request is not None
    assert (request.target, request.reason) == (r"a\xff.csv", r"b\x80")
    assert request.answer == r"the file a\xff.csv is another"


def test_a_command_asks_beside_the_daemon(ledger: Ledger, tmp_path: Path) -> None:
    """The daemon sees by one number that something was asked, and not by its own writing."""
    before = ledger.requests.changes()
    ledger.book.set_meta("own", "1")
    assert ledger.requests.changes() == before
    with Ledger.ask(tmp_path / "state", lambda: 5.0) as asking:
        number = asking.requests.put("anna", "pause", "", "close")
    assert ledger.requests.changes() != before
    assert [request.id for request in ledger.requests.waiting()] == [number]


def test_a_reader_sees_what_the_daemon_wrote(ledger: Ledger, tmp_path: Path) -> None:
    """Also what it writes while the reader is open."""
    with Ledger.read(tmp_path / "state", lambda: 5.0) as reader:
        ledger.conditions.begin(paused())
        assert reader.conditions.all() == [paused()]


# -- stage errors --------------------------------------------------------------------------------


def known(number: str, state: str = "open", drop: str | None = None) -> KnownStageError:
    return KnownStageError("transaction", number, state, drop, {"message": "bad \udcff"})


def test_stage_errors_are_kept_by_the_tenants_id(ledger: Ledger) -> None:
    """Seen again, the newer sight counts; those gone are kept, too."""
    ledger.stage_errors.put(URL, [known("1", drop="D"), known("2")])
    ledger.stage_errors.put(URL, [known("1", "gone", "D")])
    assert ledger.stage_errors.known(URL, "transaction") == {
        "1": known("1", "gone", "D"),
        "2": known("2"),
    }
    assert ledger.stage_errors.known(URL, "event") == {}
    assert ledger.stage_errors.known("https://other.example", "transaction") == {}
    assert ledger.stage_errors.of_drop("D") == [known("1", "gone", "D")]


# -- remembered keys -----------------------------------------------------------------------------


def test_keys_are_remembered_by_folder_in_their_order(ledger: Ledger) -> None:
    """Piece by piece; a key that comes again counts from then."""
    keys = [bytes([n]) * 8 for n in range(5)]
    ledger.remembered.put("orders", reversed(keys), 10.0)
    ledger.remembered.put("orders", keys[:1], 20.0)
    ledger.remembered.put("others", keys[:2], 20.0)
    assert ledger.remembered.after("orders", b"", 0.0, 3) == keys[:3]
    assert ledger.remembered.after("orders", keys[2], 0.0, 3) == keys[3:]
    assert ledger.remembered.after("orders", b"", 15.0, 3) == keys[:1]


def test_old_keys_are_forgotten_a_few_at_a_time(ledger: Ledger) -> None:
    """Those of other folders stay."""
    keys = [bytes([n]) * 8 for n in range(5)]
    ledger.remembered.put("orders", keys, 10.0)
    ledger.remembered.put("others", keys, 10.0)
    assert [ledger.remembered.forget("orders", 11.0, 3) for _ in range(3)] == [3, 2, 0]
    assert ledger.remembered.after("orders", b"", 0.0, 9) == []
    assert ledger.remembered.after("others", b"", 0.0, 9) == keys
