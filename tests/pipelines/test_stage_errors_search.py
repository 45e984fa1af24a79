"""Lines in error that are nobody's, and the index by which drops are searched for them."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest
from errors_world import NOON, ORDERS, World, a_row, lines, made

from revsyncd.core.errors import Unreachable
from revsyncd.core.template import Kind
from revsyncd.pipelines.stage_errors import UNATTRIBUTED


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Folders `orders` and `events`; every part is one upload of up to 100 records."""
    async with made(tmp_path, every="1h") as it:
        yield it


class TestNobodys:
    """Lines that somebody else loaded."""

    async def test_they_stand_in_a_file_of_their_own(self, world: World) -> None:
        """UTF-8 with BOM, CRLF, safe in a spreadsheet, written whole, gone when there are none."""
        await world.done("orders.csv", ORDERS)
        await world.look(
            a_row(10, so_line_id="X-1", message='=HYPERLINK("http://x")', upload_id="77"),
            a_row(9, so_line_id="X-2", message="Zeile fehlt: ü"),
        )
        path = world.root / UNATTRIBUTED
        assert (
            path.read_bytes()
            == (
                "\ufeffkind,id,type,so_line_id,inv_line_id,upload_id,crtd_dt,code,message\r\n"
                "transaction,10,SO,X-1,,77,2026-11-24T12:01:00Z,RPRO-00013,"
                '"\'=HYPERLINK(""http://x"")"\r\n'
                "transaction,9,SO,X-2,,,2026-11-24T12:01:00Z,RPRO-00013,Zeile fehlt: ü\r\n"
            ).encode()
        )
        (line,) = world.log.having("stage_errors.found")
        assert (line["file"], line["count"]) == (UNATTRIBUTED, 2)
        before = path.stat().st_ino
        await world.look(a_row(10, so_line_id="X-1", message='=HYPERLINK("http://x")'))
        assert path.stat().st_ino != before
        await world.look()
        assert not path.exists()

    async def test_the_file_is_left_alone_while_nothing_changes(self, world: World) -> None:
        """A sync client that mirrors the folder has nothing to do."""
        await world.look(a_row(so_line_id="X-1"))
        before = (world.root / UNATTRIBUTED).stat().st_ino
        await world.look(a_row(so_line_id="X-1"))
        assert (world.root / UNATTRIBUTED).stat().st_ino == before

    async def test_both_lists_stand_in_it(self, world: World) -> None:
        """Ids of one list say nothing about those of the other."""
        world.tenant.rows[Kind.EVENT] = [a_row(so_line_id="E-1")]
        await world.look(a_row(so_line_id="X-1"))
        assert [row[:2] for row in world.unattributed()] == [
            ["event", "9001"],
            ["transaction", "9001"],
        ]

    async def test_a_list_that_can_not_be_had_keeps_its_rows_there(self, world: World) -> None:
        """Nothing is known to be gone when the tenant does not answer."""
        world.tenant.rows[Kind.EVENT] = [a_row(so_line_id="E-1")]
        await world.look(a_row(so_line_id="X-1"))
        world.tenant.rows[Kind.EVENT] = Unreachable("no answer")
        await world.look()
        assert [row[0] for row in world.unattributed()] == ["event"]

    async def test_they_are_looked_for_again_in_drops_that_came_since(self, world: World) -> None:
        """A drop may be known as staged only after its lines were first listed."""
        await world.look(a_row())
        assert len(world.unattributed()) == 1
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())
        assert await world.open_records(drop) == [2]
        assert world.unattributed() == []

    async def test_a_drop_is_not_looked_through_twice_for_the_same_row(self, world: World) -> None:
        """What was not there does not come there: its index is not even asked for."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row(so_line_id="X-1"))
        world.index(drop).unlink()
        await world.look(a_row(so_line_id="X-1"))
        assert not world.index(drop).exists()
        await world.look(a_row(so_line_id="X-1"), a_row(9002, so_line_id="X-2"))
        assert world.index(drop).exists()


class TestIndex:
    """The index only says where to look; it can always be made anew."""

    @pytest.mark.parametrize("damage", ["lost", "cut"])
    async def test_it_is_made_anew_from_the_settled_file(self, world: World, damage: str) -> None:
        """Where it is lost, or where a power loss cut it short."""
        drop = await world.done("orders.csv", ORDERS)
        index = world.index(drop)
        content = index.read_bytes()
        if damage == "lost":
            index.unlink()
        else:
            index.write_bytes(content[:16])
        await world.look(a_row())
        assert await world.open_records(drop) == [2]
        assert index.read_bytes() == content

    async def test_equal_hashes_are_not_equal_cells(self, world: World) -> None:
        """An index that is wrong attributes nothing."""
        drop = await world.done("orders.csv", lines("SO,L-1,,1.00"))
        other = await world.done("others.csv", lines("SO,L-2,,1.00"), at=NOON + 3600)
        world.index(drop).write_bytes(world.index(other).read_bytes())
        await world.look(a_row())
        assert await world.open_records(drop) == []

    async def test_those_of_drops_no_longer_watched_are_removed(self, world: World) -> None:
        """They would grow for ever."""
        old = await world.done("a.csv", ORDERS, received_at=NOON - 40 * 86400)
        new = await world.done("b.csv", lines("SO,L-1,,5.00"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.service.run)
            await world.tenant.until_asked(1)
            tasks.cancel_scope.cancel()
        assert not world.index(old).exists()
        assert world.index(new).exists()
