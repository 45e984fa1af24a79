"""Between two steps that are seldom taken, and words that are no UTF-8: nothing passes for delivered."""

from dataclasses import replace

import pytest
from batches import Start, confirms, name_of, ready, section, status
from bench import Bench

from revsyncd.adapters import outbox
from revsyncd.adapters.ledger.batches import Batches
from revsyncd.adapters.revenue_api.journal import JournalApi
from revsyncd.core.batch import Event, Listed, State
from revsyncd.simulator.journal import Batch as Made


class Killed(BaseException):
    """What nothing catches: the process is gone."""


async def _look(it: Bench) -> None:
    """A process that looks once."""
    async with it.outbound() as outbound:
        await outbound.look()


def _killed_before(patch: pytest.MonkeyPatch, owner: object, name: str) -> None:
    def step(*_: object, **__: object) -> None:
        raise Killed

    patch.setattr(owner, name, step)


def _killed_at_moves(patch: pytest.MonkeyPatch, *events: Event) -> None:
    move = Batches.move

    def step(self: Batches, batch: object, event: Event, **changes: object) -> object:
        if event in events:
            raise Killed
        return move(self, batch, event, **changes)  # type: ignore[arg-type]

    patch.setattr(Batches, "move", step)


async def test_killed_where_somebody_took_the_name(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was prepared for it does not pass for published: it gets another name."""
    async with start() as it:
        batch = ready(it)
        with monkeypatch.context() as patch:
            _killed_before(patch, outbox, "publish")
            with pytest.raises(Killed):
                await _look(it)
        (it.outbox / name_of(batch)).write_bytes(b"not ours")
        with monkeypatch.context() as patch:
            _killed_at_moves(patch, Event.START_OVER)
            with pytest.raises(Killed):
                await _look(it)
        async with it.outbound() as outbound:
            await outbound.look()
        other = name_of(batch).replace(".csv", ".2.csv")
        assert it.delivered() == {name_of(batch): b"not ours", other: batch.file()}
        assert confirms(it) == 1


async def test_killed_where_the_file_was_taken_before_its_manifest(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held, and never confirmed, for the ERP got no manifest."""
    async with start() as it:
        batch = ready(it)
        with monkeypatch.context() as patch:
            _killed_before(patch, outbox, "_signal")
            with pytest.raises(Killed):
                await _look(it)
        (it.outbox / name_of(batch)).unlink()
        with monkeypatch.context() as patch:
            _killed_at_moves(patch, Event.SET_ASIDE)
            with pytest.raises(Killed):
                await _look(it)
        async with it.outbound() as outbound:
            await outbound.look()
            assert (await it.batch(batch.id)).state is State.HELD
        assert confirms(it) == 0
        assert list(it.outbox.glob(".revsyncd-*")) == []


@pytest.mark.parametrize("suffix", ["ack", "nack"])
async def test_killed_while_a_refusal_is_recorded(
    start: Start, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """An acknowledgement of another content, or a refusal, holds the batch all the same."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        (it.outbox / f"{name_of(batch)}.{suffix}").write_text("0" * 64)
        with monkeypatch.context() as patch:
            _killed_at_moves(patch, Event.SET_ASIDE)
            with pytest.raises(Killed):
                await _look(it)
        async with it.outbound() as outbound:
            await outbound.look()
            assert (await it.batch(batch.id)).state is State.HELD
        assert confirms(it) == 0


async def test_killed_while_a_held_batch_is_confirmed_on_a_person_s_word(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tenant was told nothing: it is held as before, and the wrong acknowledgement confirms nothing."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
            (it.outbox / f"{name_of(batch)}.ack").write_text("0" * 64)
            await outbound.look()
        with monkeypatch.context() as patch:
            _killed_before(patch, JournalApi, "confirm")
            with pytest.raises(Killed):
                await it.while_stopped("gl-confirm", str(batch.id))
        async with it.outbound() as outbound:
            assert (await it.batch(batch.id)).state is State.CONFIRMING
            await outbound.look()
            await outbound.look()
            held = await it.batch(batch.id)
        assert (held.state, held.reason) == (State.HELD, "wrong_ack")
        assert confirms(it) == 0


async def test_a_header_that_is_no_utf_8_is_delivered(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Byte for byte; the manifest escapes what UTF-8 can't hold."""
    made = Made.file

    def in_latin_1(batch: Made) -> bytes:
        return made(batch).replace(b"memo", b"W\xe4hrung", 1)

    monkeypatch.setattr(Made, "file", in_latin_1)
    gl = section(sources='["file"]')
    async with start(gl) as it, it.outbound() as outbound:
        batch = ready(it)
        assert b"W\xe4hrung" in batch.file()
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert "W\udce4hrung" in it.manifest(name_of(batch))["columns"]


async def test_an_error_in_place_of_a_page_is_not_the_end(start: Start) -> None:
    """Neither is its empty list: the lines before it are not the batch."""
    gl = section(sources='["pages"]', balance='"report"')
    async with start(gl, page_cap=8) as it, it.outbound() as outbound:
        batch = ready(it, 40)
        body = '{"status": "Error", "message": "the query timed out", "result": []}'
        it.tenant.trouble.add("answer", on="/journal/batch/.*/3", status=200, body=body)
        assert not await outbound.look()
        assert (it.delivered(), confirms(it)) == ({}, 0)
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert status(it, batch) == "TRANSFERRED"


async def test_a_person_may_have_what_is_no_longer_ready(start: Start) -> None:
    """A confirmed batch is delivered again under a new name, though the tenant lists it no more."""
    async with start() as it:
        batch = ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        assert await it.while_stopped("gl-fetch", str(batch.id))
        new = name_of(batch).replace(".csv", ".r2.csv")
        assert it.delivered() == {name_of(batch): batch.file(), new: batch.file()}
        assert confirms(it) == 1


@pytest.mark.parametrize("body", ["", '{"status": "Success", "message": "0 row(s) updated"}'])
async def test_a_confirm_that_is_no_clear_yes_is_settled_by_the_list(
    start: Start, body: str
) -> None:
    """The tenant has it as ready still: it is told again, and nothing is written twice."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("answer", on="/batch/status/", status=200, body=body)
        await outbound.look()
        assert (await it.batch(batch.id)).state is State.WRITTEN
        await outbound.look()
        assert (await it.batch(batch.id)).state is State.CONFIRMED
        assert it.delivered() == {name_of(batch): batch.file()}
        assert status(it, batch) == "TRANSFERRED"


async def test_what_changes_while_another_is_confirmed_is_not_fetched_as_it_was(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list right before the first one's confirm has the second no more: it stays with the tenant."""
    listed, calls = JournalApi.listed, 0
    async with start() as it, it.outbound() as outbound:
        first, second = ready(it), ready(it)

        async def step(self: JournalApi) -> list[Listed]:
            nonlocal calls
            calls += 1
            if calls > 1:
                it.tenant.world.journal.batches[second.id] = replace(second, status="UPDATED")
            return await listed(self)

        monkeypatch.setattr(JournalApi, "listed", step)
        await outbound.look()
        assert it.delivered() == {name_of(first): first.file()}
        assert (await it.batch(second.id)).state is State.WITHDRAWN


async def test_a_redirect_to_nowhere_is_only_a_failure(start: Start) -> None:
    """An address that is none ends one try of one batch, not the service."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("redirect", on="/signed/", location="http://[")
        assert not await outbound.look()
        assert (await it.batch(batch.id)).tries == 1


async def test_a_host_that_trickles_holds_up_nobody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download has a longest time; then it is given up, told, and nothing of it is left."""
    async with start() as it:
        batch = ready(it)
        stalled = it.tenant.trouble.add("stall", on="/signed/", at="stored", times=9)
        monkeypatch.setattr("revsyncd.pipelines.outbound.LONGEST_FETCH", 0.5)
        async with it.outbound() as outbound:
            assert not await outbound.look()
            (line,) = it.log.having("gl.step_failed")
            assert "not fetched within" in line["error"]
            assert stalled.met
            assert list(it.outbox.rglob("*GL_*")) == []
            it.tenant.trouble.clear()
            assert await outbound.look()
        assert (it.outbox / name_of(batch)).exists()
