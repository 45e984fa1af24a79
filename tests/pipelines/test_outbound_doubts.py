"""Answers that prove nothing: a list that lacks a batch once, a page without lines, an ack that can't be read."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from batches import Start, confirms, name_of, ready, section, status
from bench import Bench

from revsyncd.adapters.revenue_api.journal import JournalApi
from revsyncd.core.batch import Listed, State
from revsyncd.pipelines import batch_list
from revsyncd.simulator.journal import Batch

ON_CONFIRM = {"on": "/batch/status/", "method": "PUT"}


def list_lacks(it: Bench, times: int = 1) -> None:
    """Let the list be 204, whatever is ready."""
    it.tenant.trouble.add("answer", on="/journal/list", status=204, times=times)


async def wrongly_acknowledged(it: Bench, outbound: Any) -> Batch:
    """A batch that is held, for its .ack names another content."""
    batch = ready(it)
    await outbound.look()
    (it.outbox / f"{name_of(batch)}.ack").write_text("0" * 64)
    await outbound.look()
    assert (await it.batch(batch.id)).reason == "wrong_ack"
    return batch


# -- a list that lacks a batch -------------------------------------------------------------------


async def test_one_list_that_lacks_it_does_not_prove_a_confirmation(start: Start) -> None:
    """The confirmation never arrived, and the list is 204 once: the tenant is told again."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("reset", **ON_CONFIRM, at="head")
        await outbound.list_now()  # what the look begins with, so that 204 comes after the confirm
        it.tenant.trouble.add("answer", on="/journal/list", status=204, skip=2)
        await outbound.look()
        await outbound.look()
        assert (await it.batch(batch.id)).state is State.CONFIRMED
        assert status(it, batch) == "TRANSFERRED"
        assert it.delivered() == {name_of(batch): batch.file()}
        assert not it.log.having("gl.reissued")


async def test_two_lists_that_lack_it_wrongly_are_made_up_for(start: Start) -> None:
    """It is there again as it was: the tenant is told again, and the ERP gets nothing twice."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("reset", **ON_CONFIRM, at="head")
        await outbound.list_now()
        it.tenant.trouble.add("answer", on="/journal/list", status=204, skip=2, times=2)
        await outbound.look()
        assert (await it.batch(batch.id)).confirmed_by == "list"
        assert status(it, batch) == "READY TO TRANSFER"
        await outbound.look()
        assert (await it.batch(batch.id)).confirmed_by == "answer"
        assert status(it, batch) == "TRANSFERRED"
        assert it.delivered() == {name_of(batch): batch.file()}


@pytest.mark.parametrize("balanced", [True, False])
async def test_one_moment_of_lists_that_lack_it_withdraws_nothing(
    start: Start,
    balanced: bool,  # noqa: FBT001  (pytest hands it over)
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither what is written nor what is held; and nothing is confirmed meanwhile."""
    async with start(section("acknowledged")) as it, it.outbound() as outbound:
        monkeypatch.setattr("revsyncd.pipelines.batch_list.SURE_AFTER", 60.0)
        batch = ready(it, balanced=balanced)
        await outbound.look()
        before = (await it.batch(batch.id)).state
        (it.outbox / f"{name_of(batch)}.ack").touch()
        list_lacks(it, times=2 if balanced else 1)
        await outbound.look()
        assert (await it.batch(batch.id)).state is before
        assert confirms(it) == 0
        await outbound.look()
        assert confirms(it) == int(balanced)
        assert not it.log.having("gl.held", reason="withdrawn")


async def test_a_held_batch_that_is_surely_gone_is_closed_and_opens_again(start: Start) -> None:
    """Somebody dealt with it; ready again as it was, it is fetched, and held as before."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it, balanced=False)
        await outbound.look()
        list_lacks(it, 2)
        await outbound.look()
        await anyio.sleep(batch_list.SURE_AFTER)
        await outbound.look()
        assert (await it.batch(batch.id)).state is State.CLOSED
        await outbound.look()
        assert (await it.batch(batch.id)).state is State.HELD
        assert len(it.log.having("gl.held", reason="unbalanced")) == 2
        assert confirms(it) == 0


async def test_a_file_that_was_taken_before_its_manifest_is_left_to_people(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ERP may have it: neither a list that lacks it nor its return has it written once more."""
    async with start() as it:
        batch = ready(it)
        with monkeypatch.context() as patch:
            patch.setattr("revsyncd.adapters.outbox._signal", _killed_in_a_thread)
            with pytest.raises(KeyboardInterrupt):
                async with it.outbound() as outbound:
                    await outbound.look()
        (it.outbox / name_of(batch)).unlink()
        async with it.outbound() as outbound:
            await outbound.look()
            list_lacks(it, 2)
            for _ in range(4):
                await outbound.look()
                await anyio.sleep(batch_list.SURE_AFTER)
            assert (await it.batch(batch.id)).reason == "file_missing"
            assert (it.delivered(), confirms(it)) == ({}, 0)
            again = it.tenant.world.journal.reissue(batch.id, 4)
            await outbound.look()
        assert list(it.delivered().values()) == [again.file()]
        (name,) = it.delivered()
        assert it.manifest(name)["reissue_of"] == name_of(batch)


def _killed_in_a_thread(*_: object) -> None:
    raise KeyboardInterrupt


async def test_what_the_list_lacks_is_not_fetched(start: Start) -> None:
    """It may be elsewhere already: the ERP gets it when the list has it again."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        await outbound.list_now()
        list_lacks(it)
        await outbound.look()
        assert it.delivered() == {}
        await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


async def test_a_person_confirms_only_what_the_list_has(start: Start) -> None:
    """Just now: else the word would be for another content."""
    async with start(section("never", every='"1h"')) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            list_lacks(it)
            done, answer = await it.ask("gl-confirm", str(batch.id))
            assert (done, "does not list" in answer) == (False, True)
            assert confirms(it) == 0
            assert (await it.ask("gl-confirm", str(batch.id)))[0]


async def test_an_error_under_the_list_s_key_is_no_empty_list(start: Start) -> None:
    """Two of them would make every batch seem gone."""
    async with start(section("acknowledged")) as it, it.outbound() as outbound:
        batch = ready(it)
        await outbound.look()
        body = '{"result": "ORA-01555: snapshot too old"}'
        it.tenant.trouble.add("answer", on="/journal/list", status=200, body=body, times=2)
        assert not await outbound.look()
        assert not await outbound.look()
        assert (await it.batch(batch.id)).state is State.WRITTEN


async def test_a_list_that_is_older_than_the_confirmation_delivers_nothing_twice(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after it, an unchanged row is a list that lags."""
    listed = JournalApi.listed
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        old = await it.instance.journal.listed()
        await outbound.look()

        async def lagging(_: JournalApi) -> list[Listed]:
            return old

        monkeypatch.setattr(JournalApi, "listed", lagging)
        await outbound.look()
        monkeypatch.setattr(JournalApi, "listed", listed)
        await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert confirms(it) == 1


# -- a confirmation that fails -------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["reset", "answer"])
async def test_a_held_batch_stays_held_where_a_person_s_confirmation_fails(
    start: Start, verb: str
) -> None:
    """Whether it was lost or refused: the ERP's wrong acknowledgement confirms nothing on its own."""
    async with start(section("acknowledged")) as it:
        async with it.outbound() as outbound:
            batch = await wrongly_acknowledged(it, outbound)
        how: dict[str, Any] = (
            {"at": "head"} if verb == "reset" else {"status": 400, "body": "0 row(s)"}
        )
        it.tenant.trouble.add(verb, **ON_CONFIRM, **how)
        assert not await it.while_stopped("gl-confirm", str(batch.id), "loaded by hand")
        async with it.outbound() as outbound:
            held = await it.batch(batch.id)
            assert (held.state, held.reason) == (State.HELD, "wrong_ack")
            assert "sha256" in held.next_step
            await outbound.look()
            assert confirms(it) == 1
        assert await it.while_stopped("gl-confirm", str(batch.id), "loaded by hand")
        assert status(it, batch) == "TRANSFERRED"


async def test_what_the_network_does_to_confirmations_holds_nothing(start: Start) -> None:
    """Only the tenant's own answers are counted; a lost one is settled by the list, however often."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("reset", **ON_CONFIRM, at="head", times=8)
        for _ in range(8):
            assert not await outbound.look()
            assert (await it.batch(batch.id)).state is State.WRITTEN
        assert await outbound.look()
        assert status(it, batch) == "TRANSFERRED"


async def test_a_tenant_that_answers_and_does_nothing_is_told(start: Start) -> None:
    """After five answers a person must look."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("answer", **ON_CONFIRM, status=400, body="0 row(s) updated", times=9)
        for _ in range(5):
            await outbound.look()
        assert (await it.batch(batch.id)).reason == "cannot_confirm"
        await outbound.look()
        assert confirms(it) == 5


# -- what can't be seen --------------------------------------------------------------------------


async def test_a_list_without_times_is_told_in_the_manifest(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is generated anew under the same report can't be seen then."""
    row = Batch.to_json
    monkeypatch.setattr(Batch, "to_json", lambda batch: {**row(batch), "updt_dt": None})
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        await outbound.look()
        told = it.manifest(name_of(batch))["not_verified"]
        assert any("no time of change" in line for line in told)
        assert confirms(it) == 1


async def test_an_acknowledgement_that_only_its_owner_may_read_stops_nobody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once and waited for; an empty one says the same whoever may read it."""
    async with start(section("acknowledged")) as it, it.outbound() as outbound:
        first, second = ready(it), ready(it)
        await outbound.look()
        ack = it.outbox / f"{name_of(first)}.ack"
        ack.write_text(it.manifest(name_of(first))["sha256"])
        (it.outbox / f"{name_of(second)}.ack").touch()
        with monkeypatch.context() as patch:
            _deny(patch, ".ack")
            await outbound.look()
            await outbound.look()
        assert status(it, first) == "READY TO TRANSFER"
        assert status(it, second) == "TRANSFERRED"
        (line,) = it.log.having("gl.step_failed")
        assert "can't be read" in line["error"]
        await outbound.look()
        assert status(it, first) == "TRANSFERRED"


async def test_an_acknowledgement_that_is_empty_for_now_confirms_nothing(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ERP makes the file, then writes the digest of another content into it."""
    async with start(section("acknowledged")) as it, it.outbound() as outbound:
        monkeypatch.setattr("revsyncd.pipelines.batch_delivery.EMPTY_SETTLES", 60.0)
        batch = ready(it)
        await outbound.look()
        ack = it.outbox / f"{name_of(batch)}.ack"
        ack.touch()
        await outbound.look()
        await outbound.look()
        assert confirms(it) == 0
        ack.write_text("0" * 64)
        await outbound.look()
        assert (await it.batch(batch.id)).reason == "wrong_ack"


def _deny(patch: pytest.MonkeyPatch, suffix: str) -> None:
    """Let opening such files fail as for a user without permission; root has every permission."""
    real = os.open

    def denied(path: Any, *args: Any, **kwargs: Any) -> int:
        if isinstance(path, Path) and path.name.endswith(suffix):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **kwargs)

    patch.setattr(os, "open", denied)


async def test_hidden_names_that_somebody_removed_are_not_a_published_file(start: Start) -> None:
    """Killed before it was published, and then the hidden files were removed: it is fetched anew."""
    async with start() as it:
        batch = ready(it)
        await _prepared(it)
        for path in it.outbox.glob(".revsyncd-gl-*"):
            path.unlink()
        async with it.outbound() as outbound:
            await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert confirms(it) == 1


@pytest.mark.parametrize("what", ["data", "manifest"])
async def test_half_of_the_hidden_names_is_not_a_published_file_either(
    start: Start, what: str
) -> None:
    """Without its manifest a file is no signal for the ERP."""
    async with start() as it:
        batch = ready(it)
        await _prepared(it)
        (path,) = it.outbox.glob(f".revsyncd-gl-*.{what}")
        path.unlink()
        async with it.outbound() as outbound:
            await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}
        assert it.manifest(name_of(batch))["records"] == 12


async def test_what_waits_for_another_tenant_is_kept(start: Start) -> None:
    """`base_url` names another one for a while, which has a batch of the same id: neither loses its file."""
    async with start() as it:
        batch = ready(it)
        await _prepared(it)
        here = it.config
        tenant = replace(
            here.tenant, base_url=here.tenant.base_url.replace("127.0.0.1", "localhost")
        )
        it.config = replace(here, tenant=tenant)
        async with it.outbound() as outbound:
            await outbound.look()
        assert list(it.delivered().values()) == [batch.file()]
        assert len(list(it.outbox.glob(".revsyncd-gl-*"))) == 2
        again = it.tenant.world.journal.reissue(batch.id, 4)
        it.config = here
        async with it.outbound() as outbound:
            await outbound.look()
        assert again.file() in it.delivered().values()


async def _prepared(it: Bench) -> None:
    """A process that was killed right before it published a batch."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("revsyncd.pipelines.batch_delivery.Delivering.publish", _killed)
        with pytest.raises(KeyboardInterrupt):
            async with it.outbound() as outbound:
                await outbound.look()


async def _killed(*_: Any) -> None:
    raise KeyboardInterrupt
