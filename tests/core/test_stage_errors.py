from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revsyncd.core.stage_errors import (
    CLOCK_SLACK,
    INV_LINE_ID,
    INVOICED,
    SO_LINE_ID,
    ZONE_SLACK,
    Created,
    Holding,
    LineId,
    Owner,
    choose,
    line_ids,
    read_created,
)

NOW = datetime(2026, 11, 23, 4, 47, 32, tzinfo=UTC).timestamp()


@dataclass(frozen=True, slots=True)
class ARow:
    type: str = "SO"
    so_line_id: str = "L-1"
    inv_line_id: str = ""
    upload_id: str = ""
    created: str = "2026-11-23T04:47:32Z"


def held(drop: str = "A", record: int = 1, **facts: object) -> Holding:
    usual = Holding(drop, 1, record, record + 1, SO_LINE_ID, "Doc Line Id", NOW - 60, type="SO")
    return replace(usual, **facts)  # type: ignore[arg-type]  # the facts are the test's own


def owner(row: ARow, *holdings: Holding, taken: dict[str, set[int]] | None = None) -> Owner | None:
    return choose(row, holdings, taken or {})


def drop_of(row: ARow, holdings: Sequence[Holding]) -> str | None:
    found = choose(row, holdings, {})
    return found.holding.drop if found and found.holding else None


class TestLineIds:
    """By which ids a row is looked for."""

    @pytest.mark.parametrize("type_", sorted(INVOICED))
    def test_an_invoice_or_credit_is_looked_for_by_its_own_id_first(self, type_: str) -> None:
        """Its order's id comes second: many invoices have the same."""
        row = ARow(type=type_, inv_line_id="I-1")
        assert line_ids(row) == (LineId(INV_LINE_ID, "I-1"), LineId(SO_LINE_ID, "L-1"))

    @pytest.mark.parametrize("type_", ["SO", "RORD", "CST", "", "NEW-TYPE"])
    def test_anything_else_is_looked_for_by_the_id_of_its_order_alone(self, type_: str) -> None:
        """An invoice id in such a row says nothing of whose line it is."""
        row = ARow(type=type_, inv_line_id="I-1")
        assert line_ids(row) == (LineId(SO_LINE_ID, "L-1"),)

    def test_blank_ids_are_no_ids(self) -> None:
        """The other one takes their place; where both are blank there is nothing to look for."""
        assert line_ids(ARow(so_line_id=" ", inv_line_id="I-1")) == (LineId(INV_LINE_ID, "I-1"),)
        assert line_ids(ARow(type="INV", inv_line_id="")) == (LineId(SO_LINE_ID, "L-1"),)
        assert line_ids(ARow(so_line_id="", inv_line_id=" ")) == ()

    def test_case_and_outer_blanks_do_not_count(self) -> None:
        """A type and an id are what they are without them."""
        row = ARow(type=" inv ", so_line_id="", inv_line_id=" I-1 ")
        assert line_ids(row) == (LineId(INV_LINE_ID, "I-1"),)


class TestTime:
    """What was sent after a row was made can't be the cause of it."""

    def test_the_newest_drop_sent_before_the_row_wins(self) -> None:
        """A correction sent later still is not blamed for what its parent did."""
        old, new = held("A", sent_at=NOW - 500), held("B", sent_at=NOW - 100)
        later = held("C", sent_at=NOW + 100)
        assert drop_of(ARow(), [later, old, new]) == "B"

    def test_of_two_sent_at_once_the_one_claimed_later_is_the_newer(self) -> None:
        """Order of claiming decides where the clock can't."""
        assert drop_of(ARow(), [held("B", seq=2), held("A", seq=1)]) == "B"

    def test_a_drop_sent_within_the_row_s_own_second_was_sent_before_it(self) -> None:
        """`crtd_dt` is cut to whole seconds, our time is not."""
        old, new = held("A"), held("B", sent_at=NOW + 0.9)
        assert drop_of(ARow(), [old, new]) == "B"
        assert drop_of(ARow(), [old, replace(new, sent_at=NOW + 1.0)]) == "A"

    def test_a_drop_sent_long_after_the_row_is_not_its_cause(self) -> None:
        """The row is then nobody's."""
        assert owner(ARow(), held(sent_at=NOW + CLOCK_SLACK + 1)) is None

    def test_a_tenant_whose_clock_is_behind_still_finds_the_drop(self) -> None:
        """Within the slack time does not exclude; the first drop after the row is the likeliest."""
        first, second = held("A", sent_at=NOW + 200), held("B", sent_at=NOW + 300)
        assert drop_of(ARow(), [second, first]) == "A"

    def test_a_time_without_a_zone_may_be_any_zone_s(self) -> None:
        """It is read as UTC, and half a day more does not exclude."""
        row, late = ARow(created="2026-11-23 04:47:32"), held(sent_at=NOW + 8 * 3600)
        assert drop_of(row, [late]) == "A"
        assert drop_of(row, [late, held("B")]) == "B"
        assert owner(row, held(sent_at=NOW + ZONE_SLACK + CLOCK_SLACK + 1)) is None

    @pytest.mark.parametrize("created", ["", "yesterday", "11/23/2026 04:47:32"])
    def test_an_unreadable_time_excludes_nothing(self, created: str) -> None:
        """The newest drop wins."""
        holdings = [held("A"), held("B", sent_at=NOW + 1e6)]
        assert drop_of(ARow(created=created), holdings) == "B"


class TestUploadId:
    """Whether it is the request id is not documented."""

    def test_it_decides_between_drops_that_hold_the_line(self) -> None:
        """An older drop of that request id wins over a newer one."""
        old, new = held("A", sent_at=NOW - 500, request_id="10001"), held("B", request_id="10002")
        assert drop_of(ARow(upload_id=" 10001 "), [old, new]) == "A"

    def test_one_that_is_nobody_s_request_id_says_nothing(self) -> None:
        """The newest drop wins as if there were none."""
        holdings = [held("A", sent_at=NOW - 500, request_id="10001"), held("B")]
        assert drop_of(ARow(upload_id="77"), holdings) == "B"
        assert drop_of(ARow(upload_id=""), holdings) == "B"

    def test_it_does_not_bring_back_what_was_sent_too_late(self) -> None:
        """Another instance's request may have the same number."""
        late = held(sent_at=NOW + 1e6, request_id="10001")
        assert owner(ARow(upload_id="10001"), late) is None


class TestRecords:
    """Which record of the drop it is."""

    def test_an_order_s_line_is_told_from_its_invoices_by_the_type(self) -> None:
        """All of them have the order's line id."""
        invoice, order = held(record=1, type="INV"), held(record=2, type="so ")
        assert owner(ARow(), invoice, order) == Owner(order)

    def test_types_that_do_not_agree_are_better_than_none(self) -> None:
        """A tenant may give types other names than the file."""
        invoice = held(type="INVOICE", column=INV_LINE_ID)
        assert owner(ARow(type="INV", inv_line_id="I-1"), invoice) == Owner(invoice)

    def test_an_older_drop_of_the_right_type_is_preferred_to_a_newer_of_another(self) -> None:
        """Invoices dropped later than their order are not blamed for the order."""
        order, invoice = held("A", sent_at=NOW - 500), held("B", type="INV")
        assert owner(ARow(), order, invoice) == Owner(order)

    def test_an_invoice_is_not_found_by_its_order_s_id_in_the_order(self) -> None:
        """Its own id is not ours: somebody else loaded it."""
        row = ARow(type="INV", inv_line_id="I-1")
        assert owner(row, held(type="SO"), held(type="INV", inv_line_id="I-2")) is None

    def test_an_invoice_without_an_id_in_the_file_is_found_by_its_order_s(self) -> None:
        """The tenant may have numbered it itself."""
        invoice = held(type="INV", inv_line_id=" ")
        assert owner(ARow(type="INV", inv_line_id="I-1"), invoice) == Owner(invoice)

    def test_several_rows_take_different_records_with_one_id(self) -> None:
        """Three events of one line, two in error: two records, and each names the others."""
        events = [held(record=n, type="") for n in (3, 7, 9)]
        assert owner(ARow(), *events) == Owner(events[0], also_in=(7, 9))
        assert owner(ARow(), *events, taken={"A": {3}}) == Owner(events[1], also_in=(3, 9))
        assert owner(ARow(), *events, taken={"A": {3, 7, 9}}) == Owner(events[0], also_in=(7, 9))
        assert owner(ARow(), *events, taken={"B": {3}}) == Owner(events[0], also_in=(7, 9))

    def test_a_row_waits_for_an_upload_that_is_not_known_to_be_staged(self) -> None:
        """A correction that fails again is listed perhaps before its status has been asked for."""
        old, new = held("A", sent_at=NOW - 500), held("B", staged=False)
        assert owner(ARow(), old, new) == Owner(None, waits_for="B")
        assert owner(ARow(), old, replace(new, sent_at=NOW + 5)) == Owner(old)


HOLDINGS = st.lists(
    st.builds(
        Holding,
        drop=st.sampled_from("ABC"),
        seq=st.integers(1, 3),
        record=st.integers(1, 5),
        line=st.just(1),
        column=st.sampled_from([SO_LINE_ID, INV_LINE_ID]),
        label=st.just(""),
        sent_at=st.integers(-1000, 1000).map(lambda seconds: NOW + seconds),
        request_id=st.sampled_from(["", "1", "2"]),
        staged=st.booleans(),
        type=st.sampled_from(["", "SO", "INV"]),
        inv_line_id=st.sampled_from(["", "I-1"]),
    ),
    max_size=8,
    unique_by=lambda h: (h.drop, h.record, h.column),
)
ROWS = st.builds(
    ARow,
    type=st.sampled_from(["", "SO", "INV"]),
    inv_line_id=st.sampled_from(["", "I-1"]),
    upload_id=st.sampled_from(["", "1", "9"]),
)


class TestAlways:
    """What holds of any row and any holdings."""

    @given(ROWS, HOLDINGS, st.randoms())
    def test_the_order_in_which_drops_were_searched_does_not_matter(
        self, row: ARow, holdings: list[Holding], chance: object
    ) -> None:
        """The same holdings give the same owner."""
        shuffled = list(holdings)
        chance.shuffle(shuffled)  # type: ignore[attr-defined]  # Hypothesis's own Random
        assert drop_of(row, shuffled) == drop_of(row, holdings)

    @given(ROWS, HOLDINGS)
    def test_an_owner_holds_the_line_is_staged_and_was_not_sent_too_late(
        self, row: ARow, holdings: list[Holding]
    ) -> None:
        """Nothing is attributed by guessing beyond these."""
        found = owner(row, *holdings)
        if found and found.holding:
            assert found.holding in holdings
            assert found.holding.staged
            assert found.holding.sent_at < NOW + 1 + CLOCK_SLACK
            assert found.holding.column in [line_id.column for line_id in line_ids(row)]

    @given(ROWS, HOLDINGS)
    def test_what_was_sent_too_late_changes_nothing(
        self, row: ARow, holdings: list[Holding]
    ) -> None:
        """A drop sent after the row, past any slack, may as well not be there."""
        late = held("Z", sent_at=NOW + 1e6, request_id=row.upload_id)
        assert owner(row, *holdings, late) == owner(row, *holdings)


class TestCreated:
    """`crtd_dt`, whose form is not documented."""

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-23T04:47:32Z",
            "2026-11-23T04:47:32.120Z",
            " 2026-11-23 04:47:32 UTC ",
            "2026-11-23T05:47:32+01:00",
            "2026-11-22T20:47:32.000-0800",
            "2026-11-23 04:47:32 +0000",
            "1795409252",
            "1795409252120",
            "1795409252.5",
        ],
    )
    def test_a_time_with_a_zone(self, text: str) -> None:
        """It stands for a moment before the next whole second."""
        assert read_created(text) == Created(NOW + 1)

    @pytest.mark.parametrize(
        "text",
        [
            "2026-11-23 04:47:32",
            "2026-11-23T04:47:32.000",
            "23-NOV-2026 04:47:32",
            "23-nov-26 04.47.32.000000 AM",
            "23 Nov 2026 4:47:32",
        ],
    )
    def test_a_time_without_one_is_read_as_utc(self, text: str) -> None:
        """It is marked, for it may be any zone's."""
        assert read_created(text) == Created(NOW + 1, zoned=False)

    @pytest.mark.parametrize(
        ("text", "until"),
        [
            ("2026-11-23", "2026-11-24 00:00:00"),
            ("23-NOV-26", "2026-11-24 00:00:00"),
            ("2026-11-23 04:47", "2026-11-23 04:48:00"),
            ("23-NOV-2026 12:00:00 AM", "2026-11-23 00:00:01"),
            ("23-NOV-2026 12:00:00 PM", "2026-11-23 12:00:01"),
        ],
    )
    def test_what_was_cut_stands_for_all_that_it_may_have_been(self, text: str, until: str) -> None:
        """A day's row may have been made at any time of the day."""
        end = datetime.fromisoformat(until).replace(tzinfo=UTC).timestamp()
        assert read_created(text) == Created(end, zoned=False)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "0",
            "soon",
            "2026-13-01",
            "31-FEB-2026",
            "23-NIX-2026",
            "2026-11-23 25:00:00",
            "2026-11-23 04:47:32 +99:99",
            "20261123",
            "23/11/2026",
            "２０２６-11-23",  # noqa: RUF001  (these very digits are meant)
        ],
    )
    def test_anything_else_is_unreadable(self, text: str) -> None:
        """What could be meant in two ways is not guessed at."""
        assert read_created(text) is None

    @given(st.text())
    def test_no_text_is_too_strange(self, text: str) -> None:
        """It is read or it is not; it never raises."""
        assert read_created(text) is None or isinstance(read_created(text), Created)

    @given(
        st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)),  # noqa: DTZ001  (the zone comes with)
        st.integers(-14 * 60, 14 * 60),
    )
    def test_iso_times_of_any_zone_come_back(self, moment: datetime, minutes: int) -> None:
        """To the second in which they are."""
        moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        whole = moment.replace(microsecond=0).timestamp()
        assert read_created(moment.isoformat()) == Created(whole + 1)
