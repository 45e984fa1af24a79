"""Lines in error that came in drops of ours: what is told beside the file, and whose they are."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from errors_world import NOON, ORDERS, World, a_row, lines, made

from revsyncd.core.part import PartState
from revsyncd.core.template import Kind


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Folders `orders` and `events`; every part is one upload of up to 100 records."""
    async with made(tmp_path, every="1h") as it:
        yield it


class TestOfADrop:
    """A line in error that came in a drop of ours."""

    async def test_it_is_told_beside_the_file(self, world: World) -> None:
        """Reason, next step, revision, item, errors.csv and the record itself in rejects.csv."""
        drop = await world.done("orders.csv", ORDERS)
        assert (await world.report(drop))["revision"] == 1
        world.clock.time = NOON + 120
        await world.look(a_row())
        report = await world.report(drop)
        assert (report["outcome"], report["reason"]) == ("done", "staged_with_errors")
        assert report["message"] == "3 records staged in 1 upload; 1 line is in error at the tenant"
        assert report["next_step"].startswith("Delete these lines in the tenant's Inbound")
        assert "rejects.csv" in report["next_step"]
        assert report["revision"] == 2
        (item,) = report["stage_errors"]["items"]
        assert item == {
            "id": 9001,
            "record": 2,
            "line": 3,
            "so_line_id": "L-2",
            "inv_line_id": "",
            "message": "RPRO-00013: Start date is after end date",
            "code": "RPRO-00013",
            "state": "open",
            "column": "Doc Line Id",
            "value": "L-2",
        }
        assert report["stage_errors"]["checked_at"].startswith("2026-11-24T12:02:0")
        rejects = await world.sidecar(drop, ".rejects.csv")
        assert rejects.read_bytes() == lines('SO,"L-2",,2.00').encode()
        errors = (await world.sidecar(drop, ".errors.csv")).read_text("utf-8-sig").splitlines()
        assert errors[1].startswith("3,2,Doc Line Id,L-2,RPRO-00013,error,")
        assert errors[1].endswith(",tenant")

    async def test_it_is_logged_once(self, world: World) -> None:
        """A look that finds the same list changes and says nothing."""
        drop = await world.done("orders.csv", ORDERS)
        for _ in range(3):
            await world.look(a_row(), a_row(9002, so_line_id="L-3", code="CUST-7"))
        (line,) = world.log.having("stage_errors.found")
        assert (line["drop"], line["folder"], line["file"]) == (drop.drop, "orders", "orders.csv")
        assert (line["count"], line["reason"]) == (2, "CUST-7, RPRO-00013")
        assert (await world.report(drop))["revision"] == 2

    async def test_gone_is_not_solved_and_may_come_back(self, world: World) -> None:
        """The report keeps it as gone and the rejects keep its record: it may have been deleted only."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())
        await world.look()
        report = await world.report(drop)
        assert (report["reason"], report["next_step"]) == ("staged", None)
        assert (report["stage_errors"]["open"], report["stage_errors"]["gone"]) == (0, 1)
        assert (await world.sidecar(drop, ".rejects.csv")).exists()
        assert not (await world.sidecar(drop, ".errors.csv")).exists()
        (line,) = world.log.having("stage_errors.gone")
        assert (line["drop"], line["count"]) == (drop.drop, 1)
        await world.look(a_row())
        assert await world.open_records(drop) == [2]
        assert (await world.report(drop))["revision"] == 4
        assert len(world.log.having("stage_errors.found")) == 2

    async def test_new_words_for_a_known_error_are_told_without_an_event(
        self, world: World
    ) -> None:
        """The tenant validates again and finds another fault in the same line."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())
        await world.look(a_row(message="Customer is blank", code="RPRO-00003"))
        (item,) = (await world.report(drop))["stage_errors"]["items"]
        assert (item["message"], item["code"]) == ("Customer is blank", "RPRO-00003")
        assert len(world.log.having("stage_errors.found")) == 1

    async def test_an_invoice_is_found_by_its_own_id_and_an_order_by_its_type(
        self, world: World
    ) -> None:
        """All three records hold the order's line id."""
        drop = await world.done(
            "mixed.csv", lines("INV,L-2,I-1,1.00", "INV,L-2,I-2,2.00", "SO,L-2,,3.00")
        )
        await world.look(a_row(type="INV", inv_line_id="I-2"), a_row(9002))
        assert await world.open_records(drop) == [2, 3]

    async def test_records_with_one_id_are_told_apart_as_far_as_can_be(self, world: World) -> None:
        """Two rows take two records, and each names those that it may be instead."""
        drop = await world.done(
            "events.csv", lines(*[f",L-2,,{n}.00" for n in (1, 2, 3)]), folder="events"
        )
        await world.look(a_row(type=""), a_row(9002, type=""), kind=Kind.EVENT)
        items = (await world.report(drop))["stage_errors"]["items"]
        assert [item["record"] for item in items] == [1, 2]
        assert items[0]["message"].endswith("(or one of the records with the same id: 2, 3)")
        again = a_row(type="", created="2026-11-24T12:02:00Z")
        await world.look(again, a_row(9002, type=""), kind=Kind.EVENT)
        assert await world.open_records(drop) == [1, 2]

    async def test_a_cell_with_newlines_before_the_id_moves_the_line(self, world: World) -> None:
        """The line is the physical one on which the id begins."""
        text = lines('"S\nO",L-1,,1.00', '"S\nO",L-2,,2.00')
        drop = await world.done("orders.csv", text)
        await world.look(a_row(type=""))
        (item,) = (await world.report(drop))["stage_errors"]["items"]
        assert (item["record"], item["line"]) == (2, 5)

    async def test_rejected_records_and_lines_in_error_stand_in_one_rejects_file(
        self, world: World
    ) -> None:
        """Both stay there when the tenant's errors are gone, until a correction is at the tenant."""
        drop = await world.done("orders.csv", lines("SO,L-1,,many", "SO,L-2,,2.00", "SO,L-3,,3"))
        await world.look(a_row())
        rejects = await world.sidecar(drop, ".rejects.csv")
        assert rejects.read_bytes() == lines("SO,L-1,,many", "SO,L-2,,2.00").encode()
        await world.look()
        assert rejects.read_bytes() == lines("SO,L-1,,many", "SO,L-2,,2.00").encode()
        report = await world.report(drop)
        assert report["reason"] == "staged_with_errors"
        assert "1 record was left out as faulty" in report["message"]
        assert "in error at the tenant" not in report["message"]

    async def test_a_row_without_an_id_or_with_half_a_character_is_told_too(
        self, world: World
    ) -> None:
        """It is known again by its line; what UTF-8 can't hold is replaced."""
        drop = await world.done("orders.csv", ORDERS)
        for _ in range(2):
            await world.look(a_row(id="", message="bad \ud800 date"))
        (item,) = (await world.report(drop))["stage_errors"]["items"]
        assert item["message"] == "bad ? date"
        assert (await world.report(drop))["revision"] == 2

    async def test_an_id_used_again_for_another_line_moves(self, world: World) -> None:
        """The drop that had it is told as well."""
        first = await world.done("a.csv", lines("SO,L-2,,1.00"))
        second = await world.done("b.csv", lines("SO,L-9,,1.00"), at=NOON + 1)
        await world.look(a_row())
        await world.look(a_row(so_line_id="L-9"))
        assert await world.open_records(second) == [1]
        assert (await world.report(first))["reason"] == "staged"
        assert (await world.report(first))["stage_errors"]["items"] == []


class TestWhoseItIs:
    """Which of several drops it is."""

    async def test_a_correction_sent_after_the_row_is_not_blamed_for_it(self, world: World) -> None:
        """Until the correction fails itself: that row is another one, made later."""
        parent = await world.done("a.csv", ORDERS)
        child = await world.done("a.csv.rejects.csv", lines("SO,L-2,,9.00"), at=NOON + 120)
        await world.look(a_row(), a_row(9002, created="2026-11-24T12:03:00Z"))
        assert await world.open_records(parent) == [2]
        assert await world.open_records(child) == [1]

    async def test_an_upload_id_that_is_a_request_id_decides(self, world: World) -> None:
        """Otherwise the newer drop would be the one."""
        first = await world.done("a.csv", lines("SO,L-2,,1.00"))
        second = await world.done("b.csv", lines("SO,L-2,,2.00"), at=NOON + 1)
        await world.look(a_row(upload_id=str(10_000 + first.seq)))
        assert await world.open_records(first) == [1]
        assert await world.open_records(second) == []

    async def test_records_that_were_left_out_do_not_count(self, world: World) -> None:
        """The tenant never had them from us."""
        drop = await world.done("orders.csv", lines("SO,L-1,,1.00", "SO,L-2,,many"))
        await world.look(a_row())
        assert await world.open_records(drop) == []
        assert len(world.unattributed()) == 1

    async def test_parts_that_were_not_staged_do_not_count(self, tmp_path: Path) -> None:
        """Of a drop partly refused, only the staged part's lines can be in error."""
        async with made(tmp_path, every="1h", most=1) as world:
            states = (PartState.STAGED, PartState.REFUSED)
            content = lines("SO,L-2,,1.00", "SO,L-3,,1.00")
            drop = await world.done("orders.csv", content, states=states)
            await world.look(a_row(), a_row(9002, so_line_id="L-3"))
            assert await world.open_records(drop) == [1]
            assert [row[1] for row in world.unattributed()] == ["9002"]
            report = await world.report(drop)
            assert (report["outcome"], report["reason"]) == ("failed", "partly_refused")
            assert report["revision"] == 2

    async def test_a_part_refused_leaves_the_line_to_an_older_drop(self, tmp_path: Path) -> None:
        """The newer drop holds the line as well, but the tenant did not take it from there."""
        async with made(tmp_path, every="1h", most=1) as world:
            older = await world.done("a.csv", lines("SO,L-2,,1.00"))
            states = (PartState.STAGED, PartState.REFUSED)
            content = lines("SO,L-9,,1.00", "SO,L-2,,2.00")
            await world.done("b.csv", content, states=states, at=NOON + 1)
            await world.look(a_row())
            assert await world.open_records(older) == [1]

    async def test_a_row_waits_for_an_upload_that_is_still_followed(self, world: World) -> None:
        """It is not given to an older drop meanwhile; as soon as the newer is staged it is its own."""
        older = await world.done("a.csv", lines("SO,L-2,,1.00"))
        newer = await world.sent(
            "b.csv", lines("SO,L-2,,2.00"), at=NOON + 1, states=[PartState.ACCEPTED]
        )
        await world.look(a_row())
        assert await world.open_records(older) == []
        assert len(world.unattributed()) == 1
        register = world.instance.register
        await register.settle_part(newer.drop, 1, PartState.STAGED)
        async with register.locked(newer.drop):
            await world.concluding.advance(newer.drop)
        await world.filing.file(newer.drop)
        await world.look(a_row())
        assert await world.open_records(newer) == [1]
        assert world.unattributed() == []

    async def test_a_row_that_waited_in_vain_goes_to_the_older_drop(self, world: World) -> None:
        """The upload that it waited for was refused after all."""
        older = await world.done("a.csv", lines("SO,L-2,,1.00"))
        newer = await world.sent(
            "b.csv", lines("SO,L-2,,2.00"), at=NOON + 1, states=[PartState.ACCEPTED]
        )
        await world.look(a_row())
        await world.look(a_row())
        register = world.instance.register
        await register.settle_part(newer.drop, 1, PartState.REFUSED)
        async with register.locked(newer.drop):
            await world.concluding.advance(newer.drop)
        await world.look(a_row())
        assert await world.open_records(older) == [1]

    async def test_drops_older_than_watch_for_are_not_looked_through(self, world: World) -> None:
        """But what was open in them stays so until it is gone."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())
        world.clock.time = NOON + 36 * 86400
        await world.look(a_row(), a_row(9002, so_line_id="L-3"))
        assert await world.open_records(drop) == [2]
        assert [row[1] for row in world.unattributed()] == ["9002"]
