"""The service of lines in error: drops still on their way, trouble, and when it looks."""

from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from errors_world import MAPPING, NOON, ORDERS, World, a_row, lines, made

from revsyncd.config import load_mapping
from revsyncd.core.drop import Drop, Reason, State
from revsyncd.core.errors import NoSpace, Unreachable
from revsyncd.core.part import PartState
from revsyncd.core.template import Kind
from revsyncd.pipelines.conditions import DISK, UNREACHABLE
from revsyncd.pipelines.stage_errors import UNATTRIBUTED, StageErrors


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Folders `orders` and `events`; every part is one upload of up to 100 records."""
    async with made(tmp_path, every="1h") as it:
        yield it


class TestTiming:
    """Drops that are still on their way when their lines are listed."""

    async def test_a_drop_not_filed_yet_is_told_when_it_is(self, world: World) -> None:
        """Its sidecars have the error when they first appear; its ending follows."""
        drop = await world.sent("orders.csv", ORDERS)
        assert drop.state is State.STAGED
        await world.look(a_row())
        assert (await world.ledgers(drop)).revision == 0
        await world.filing.file(drop.drop)
        assert await world.open_records(drop) == [2]
        await world.look(a_row())
        assert (await world.report(drop))["reason"] == "staged_with_errors"
        await world.look(a_row())
        assert (await world.report(drop))["revision"] == 2

    async def test_a_held_drop_keeps_its_ending(self, tmp_path: Path) -> None:
        """Its other part is in doubt: that is what a person must look at first."""
        async with made(tmp_path, every="1h", most=1) as world:
            states = (PartState.STAGED, PartState.IN_DOUBT)
            content = lines("SO,L-2,,1.00", "SO,L-3,,1.00")
            drop = await world.done("orders.csv", content, states=states)
            await world.look(a_row())
            report = await world.report(drop)
            assert (report["outcome"], report["reason"]) == ("held", "in_doubt")
            assert await world.open_records(drop) == [1]

    async def test_a_held_drop_that_is_done_later_tells_its_errors_then(
        self, tmp_path: Path
    ) -> None:
        """The errors were listed before; its new ending does not know of them."""
        async with made(tmp_path, every="1h", most=1) as world:
            states = (PartState.STAGED, PartState.IN_DOUBT)
            content = lines("SO,L-2,,1.00", "SO,L-3,,1.00")
            drop = await world.done("orders.csv", content, states=states)
            await world.look(a_row())
            register = world.instance.register
            said = {"verb": "arrived", "by": "anna", "reason": "seen", "at": NOON}
            await register.note(drop.drop, resolved=said)
            await register.settle_part(drop.drop, 2, PartState.STAGED)
            async with register.locked(drop.drop):
                await world.concluding.advance(drop.drop)
            await world.filing.file(drop.drop)
            assert (await world.report(drop))["reason"] == "resolved"
            await world.look(a_row())
            report = await world.report(drop)
            assert report["reason"] == "staged_with_errors"
            assert "on the word of anna; 1 line is in error" in report["message"]
            assert "Nothing to do" not in report["next_step"]
            await world.look()
            assert (await world.report(drop))["reason"] == "resolved"


class TestTrouble:
    """What can't be done now is done later."""

    async def test_a_tenant_that_does_not_answer_changes_nothing(self, world: World) -> None:
        """It is told as a condition, which ends with the next answer."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())
        looked_at = world.instance.ledger.book.meta("stage_errors transaction")
        world.tenant.rows = dict.fromkeys(Kind, Unreachable("no answer"))
        await world.service.look()
        assert world.instance.conditions.holds(UNREACHABLE)
        assert world.instance.ledger.book.meta("stage_errors transaction") == looked_at
        assert await world.open_records(drop) == [2]
        world.tenant.rows = {}
        await world.service.look()
        assert not world.instance.conditions.holds(UNREACHABLE)
        assert await world.open_records(drop) == []

    async def test_nothing_is_asked_of_a_tenant_that_wants_to_be_left_alone(
        self, world: World
    ) -> None:
        """The gate is closed for a while."""
        world.instance.gate.wait(3600)
        await world.service.look()
        assert world.tenant.asked == []

    async def test_a_full_disk_is_made_up_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The error is recorded, the sidecars are not; the next look writes them."""
        drop = await world.done("orders.csv", ORDERS)

        async def full(*_: object, **__: object) -> Drop:
            raise NoSpace("no space left")

        with monkeypatch.context() as patched:
            patched.setattr(world.filing, "rewrite", full)
            await world.look(a_row())
        assert world.instance.conditions.holds(DISK)
        assert (await world.report(drop))["revision"] == 1
        await world.look(a_row())
        assert (await world.report(drop))["revision"] == 2
        assert await world.open_records(drop) == [2]

    async def test_a_round_cut_short_is_made_up_for(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A kill after the record leaves sidecars that the next process writes, even of gone errors."""
        drop = await world.done("orders.csv", ORDERS)
        await world.look(a_row())

        async def killed(*_: object, **__: object) -> Drop:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(world.filing, "rewrite", killed)
            with pytest.raises(KeyboardInterrupt):
                await world.look()
        assert await world.open_records(drop) == [2]
        world.service = StageErrors(world.instance, world.filing)
        await world.look()
        assert await world.open_records(drop) == []
        assert (await world.ledgers(drop)).reason is Reason.STAGED

    async def test_a_settled_file_that_somebody_took_away_stops_nothing(self, world: World) -> None:
        """Said once; other drops are told as ever."""
        taken = await world.done("a.csv", lines("SO,L-1,,1.00"))
        drop = await world.done("b.csv", lines("SO,L-2,,1.00"), at=NOON + 1)
        await world.look(a_row(9000, so_line_id="L-1"))
        world.instance.path(taken).unlink()
        for number in (9001, 9002):
            await world.look(a_row(number))
        assert await world.open_records(drop) == [1]
        (line,) = world.log.having("drop.step_failed")
        assert line["drop"] == taken.drop
        assert (await world.ledgers(taken)).revision == 2

    async def test_a_file_taken_away_before_its_lines_are_listed_is_said_once(
        self, world: World
    ) -> None:
        """Its index still names the line, but nothing is attributed that the cells do not confirm."""
        drop = await world.done("orders.csv", ORDERS)
        world.instance.path(drop).unlink()
        for number in (9001, 9002):
            await world.look(a_row(number))
        assert [row[1] for row in world.unattributed()] == ["9002"]
        assert len(world.log.having("drop.step_failed", drop=drop.drop)) == 1

    async def test_an_unusable_mapping_file_is_waited_for(
        self, world: World, tmp_path: Path
    ) -> None:
        """Said once; the drop is looked through when the file is mended."""
        drop = await world.done("orders.csv", ORDERS)
        (tmp_path / "mapping.toml").write_text("columns = 7")
        for _ in range(2):
            await world.look(a_row())
        assert len(world.unattributed()) == 1
        assert len(world.log.having("drop.step_failed", drop=drop.drop)) == 1
        (tmp_path / "mapping.toml").write_text(MAPPING)
        await world.look(a_row())
        assert await world.open_records(drop) == [2]

    async def test_the_tenant_s_mapping_is_used_as_it_was_last_known(self, world: World) -> None:
        """Looking for a line is not worth a call; without any mapping nothing can be found."""
        drop = await world.done("orders.csv", ORDERS)
        it = world.instance
        mapping = load_mapping(it.config.path.with_name("mapping.toml"))
        of_tenant = replace(it.config.templates["orders"], mapping=None)
        it.config = replace(it.config, templates={"orders": of_tenant})
        await world.look(a_row())
        assert await world.open_records(drop) == []
        put = it.ledger.mappings.put
        await it.ledger.run(put, drop.tenant, drop.template_name, mapping)
        await world.look(a_row(9002))
        assert await world.open_records(drop) == [2]

    async def test_sidecars_that_can_not_be_written_are_tried_again(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Said once, until they are written."""
        drop = await world.done("orders.csv", ORDERS)

        async def failing(*_: object, **__: object) -> Drop:
            raise PermissionError("not allowed")

        with monkeypatch.context() as patched:
            patched.setattr(world.filing, "rewrite", failing)
            for _ in range(2):
                await world.look(a_row())
        assert len(world.log.having("drop.step_failed", drop=drop.drop)) == 1
        await world.look(a_row())
        assert await world.open_records(drop) == [2]

    async def test_a_folder_not_configured_any_more_waits(self, world: World) -> None:
        """Nobody knows how its files are written; configured again, it is looked through."""
        drop = await world.done("orders.csv", ORDERS)
        it = world.instance
        configured = it.config
        others = {"events": replace(configured.templates["events"], kind=Kind.BUNDLE)}
        it.config = replace(configured, templates=others)
        await world.look(a_row())
        assert len(world.unattributed()) == 1
        it.config = configured
        await world.look(a_row())
        assert await world.open_records(drop) == [2]

    async def test_an_unusable_reports_folder_is_said_once(self, world: World) -> None:
        """The rows of no drop are written when it is mended."""
        with suppress(FileNotFoundError):
            (world.root / "reports").rmdir()
        (world.root / "reports").write_text("in the way")
        for _ in range(2):
            await world.look(a_row(so_line_id="X-1"))
        assert len(world.log.having("drop.step_failed", file=UNATTRIBUTED)) == 1
        (world.root / "reports").unlink()
        await world.look(a_row(so_line_id="X-1"))
        assert len(world.unattributed()) == 1


class TestService:
    """When it looks, and at which lists."""

    async def test_it_looks_at_once_and_then_again_and_again(self, tmp_path: Path) -> None:
        """Every `stage_errors.every`, at each list of which a folder is configured."""
        async with made(tmp_path, every="10ms") as world, anyio.create_task_group() as tasks:
            tasks.start_soon(world.service.run)
            await world.tenant.until_asked(6)
            tasks.cancel_scope.cancel()
        assert world.tenant.asked[:4] == [Kind.TRANSACTION, Kind.EVENT] * 2

    async def test_a_nudge_makes_it_look_soon(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An hour is not waited for when a drop is done."""
        monkeypatch.setattr("revsyncd.pipelines.stage_errors.SOON", 0.0)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(world.service.run)
            await world.tenant.until_asked(2)
            world.service.wake.nudge()
            await world.tenant.until_asked(4)
            tasks.cancel_scope.cancel()

    async def test_bundles_stand_in_the_transactions_list(self, world: World) -> None:
        """The reference has no list of their own; their reports say when it was looked at."""
        it = world.instance
        bundles = {"orders": replace(it.config.templates["orders"], kind=Kind.BUNDLE)}
        it.config = replace(it.config, templates=bundles)
        await world.look()
        assert world.tenant.asked == [Kind.TRANSACTION]
        drop = await world.done("bundles.csv", ORDERS)
        assert (await world.report(drop))["stage_errors"]["checked_at"] is not None
