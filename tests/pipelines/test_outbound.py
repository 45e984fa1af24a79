import hashlib
from dataclasses import replace

import pytest
from batches import Start, confirms, name_of, ready, section, status

from revsyncd.core import batch as core
from revsyncd.core.batch import LATE_AGAIN, State
from revsyncd.pipelines.batch_delivery import Delivering
from revsyncd.pipelines.overview import overview
from revsyncd.simulator.journal import Packing


@pytest.mark.parametrize("source", ["report", "pages", "file"])
async def test_a_batch_is_written_then_confirmed(start: Start, source: str) -> None:
    """File and manifest are out, byte for byte, before the tenant has it as transferred."""
    async with start(section(sources=f'["{source}"]')) as it:
        batch = it.tenant.world.journal.add(25)
        async with it.running():
            said = await it.log.until("gl.confirmed", batch=str(batch.id))
        name = f"GL_{batch.id}_GL-{batch.id}.csv"
        assert it.delivered() == {name: batch.file()}
        assert said["file"] == name
        manifest = it.manifest(name)
        assert manifest["batch_id"] == batch.id
        assert manifest["records"] == 25
        assert manifest["source"] == source
        assert manifest["totals"]["USD"]["debit"] == manifest["totals"]["USD"]["credit"]
        assert it.tenant.world.journal.batches[batch.id].status == "TRANSFERRED"
        assert it.tenant.world.violations == []
        assert not it.log.having("gl.step_failed")


@pytest.mark.parametrize("packing", [Packing.GZIP, Packing.ZIP])
@pytest.mark.parametrize("source", ["report", "file"])
async def test_what_is_packed_is_delivered_unpacked(
    start: Start, source: str, packing: Packing
) -> None:
    """By its first bytes, whatever its name says."""
    async with start(section(sources=f'["{source}"]')) as it:
        batch = ready(it, packing=packing)
        async with it.running():
            await it.log.until("gl.confirmed")
        assert it.delivered() == {name_of(batch): replace(batch, packing=Packing.PLAIN).file()}


async def test_batches_go_in_the_order_of_their_ids(start: Start) -> None:
    """And one that can't be had does not stop the others."""
    async with start() as it:
        batches = [ready(it) for _ in range(4)]
        it.tenant.trouble.add(
            "answer", on=f"/signedurl/{batches[1].report_id}", status=404, times=99
        )
        async with it.running():
            await it.log.until("gl.confirmed", batch=str(batches[3].id))
            await it.log.until("gl.step_failed", batch=str(batches[1].id))
        told = [line["batch"] for line in it.log.having("gl.written")]
        assert told == [str(b.id) for b in batches if b is not batches[1]]
        assert status(it, batches[1]) == "READY TO TRANSFER"


async def test_an_unbalanced_batch_is_held_and_never_confirmed(start: Start) -> None:
    """File and manifest are kept aside; a regenerated one is delivered."""
    async with start() as it:
        batch = ready(it, balanced=False)
        async with it.running():
            held = await it.log.until("gl.held", reason="unbalanced")
            assert "USD: debit" in held["error"]
            assert it.delivered() == {}
            assert (it.outbox / ".held" / name_of(batch)).read_bytes() == batch.file()
            assert it.manifest(name_of(batch), ".held")["unbalanced"] == ["USD"]
            assert confirms(it) == 0
            done, answer = await it.ask("gl-confirm", str(batch.id))
            assert (done, "not published and verified" in answer) == (False, True)
            again = it.tenant.world.journal.reissue(batch.id, 8)
            await it.log.until("gl.confirmed", batch=str(batch.id))
        assert it.delivered() == {name_of(batch): again.file()}
        assert confirms(it) == 1


async def test_a_difference_may_be_only_told(start: Start) -> None:
    """`balance = "report"` delivers, and the manifest names the currency."""
    async with start(section(balance='"report"')) as it:
        batch = ready(it, balanced=False)
        async with it.running():
            await it.log.until("gl.confirmed")
        assert it.manifest(name_of(batch))["unbalanced"] == ["USD"]


async def test_amounts_that_cant_be_summed_are_held_where_a_balance_is_required(
    start: Start,
) -> None:
    """A column that is not there proves nothing."""
    async with start(section(debit='"functional_dr"')) as it:
        ready(it)
        async with it.running():
            held = await it.log.until("gl.held", reason="unverified")
        assert "there is no column functional_dr" in held["error"]
        assert confirms(it) == 0


# -- acknowledgements ----------------------------------------------------------------------------


@pytest.mark.parametrize("with_digest", ["", "file", "manifest"])
async def test_an_acknowledgement_confirms(start: Start, with_digest: str) -> None:
    """An empty one, or one with the manifest's sha256; its content is kept."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            assert status(it, batch) == "READY TO TRANSFER"
            beside = (it.outbox / f"{name_of(batch)}.manifest.json").read_bytes()
            digests = {
                "": "",
                "file": it.manifest(name_of(batch))["sha256"].upper() + "\r\n",
                "manifest": hashlib.sha256(beside).hexdigest(),
            }
            (it.outbox / f"{name_of(batch)}.ack").write_text(digests[with_digest])
            await it.log.until("gl.confirmed")
            known = (await it.batch(batch.id)).acknowledged
        assert known is not None
        assert (known.kind, known.content) == ("ack", digests[with_digest].strip())
        assert status(it, batch) == "TRANSFERRED"
        assert confirms(it) == 1


async def test_a_refusal_of_the_erp_holds_until_it_is_taken_back(start: Start) -> None:
    """`<file>.nack` with a reason; an acknowledgement in its place lets it go on."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            nack = it.outbox / f"{name_of(batch)}.nack"
            nack.write_text("period\nis closed")
            held = await it.log.until("gl.held", reason="rejected")
            assert "period is closed" in held["error"]
            assert (await it.batch(batch.id)).state is State.HELD
            nack.rename(it.outbox / f"{name_of(batch)}.ack")
            (it.outbox / f"{name_of(batch)}.ack").write_text("")
            await it.log.until("gl.confirmed")
        assert confirms(it) == 1


async def test_an_acknowledgement_of_another_content_holds(start: Start) -> None:
    """A half-written right one only waits."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            ack = it.outbox / f"{name_of(batch)}.ack"
            ack.write_text("0" * 64)
            await it.log.until("gl.held", reason="wrong_ack")
            ack.write_text(it.manifest(name_of(batch))["sha256"])
            await it.log.until("gl.confirmed")
        assert confirms(it) == 1


async def test_an_erp_that_takes_the_file_early_never_makes_it_be_written_again(
    start: Start,
) -> None:
    """Neither by the next looks nor by a restart; its acknowledgement counts all the same."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            for path in it.outbox.glob("GL_*"):
                path.unlink()
            await it.looks(2)
        async with it.running():
            (it.outbox / f"{name_of(batch)}.ack").touch()
            await it.log.until("gl.confirmed")
        assert it.delivered() == {}
        assert len(it.log.having("gl.written")) == 1


async def test_nothing_is_confirmed_where_people_do_that(start: Start) -> None:
    """`confirm = "never"`: written, and closed when somebody marked it."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            assert confirms(it) == 0
            it.tenant.world.journal.confirm(batch.id)
            await it.log.until("gl.confirmed", reason="withdrawn")
            assert (await it.batch(batch.id)).state is State.CLOSED
        assert confirms(it) == 0


# -- what changes meanwhile ----------------------------------------------------------------------


async def test_a_confirmed_batch_that_comes_back_is_written_beside_the_old(start: Start) -> None:
    """Under a new name, naming the old one; both are confirmed, each once."""
    async with start() as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.confirmed")
            again = it.tenant.world.journal.reissue(batch.id, 7)
            told = await it.log.until("gl.reissued")
            await it.log.until("gl.confirmed", times=2)
        new = name_of(batch).replace(".csv", ".r2.csv")
        assert it.delivered() == {name_of(batch): batch.file(), new: again.file()}
        assert told["reissue_of"] == it.manifest(new)["reissue_of"] == name_of(batch)
        assert told["level"] == "warning"
        assert confirms(it) == 2


async def test_a_batch_that_changes_after_it_was_written_is_not_confirmed_as_it_was(
    start: Start,
) -> None:
    """The old file's acknowledgement confirms nothing; the new file needs its own."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            it.tenant.world.journal.reissue(batch.id, 7)
            (it.outbox / f"{name_of(batch)}.ack").touch()
            await it.log.until("gl.written", times=2)
            assert status(it, batch) == "READY TO TRANSFER"
            assert confirms(it) == 0
            (it.outbox / f"{name_of(batch).replace('.csv', '.r2.csv')}.ack").touch()
            await it.log.until("gl.confirmed")
        assert confirms(it) == 1


async def test_a_batch_that_changes_between_file_and_confirmation_is_fetched_anew(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is listed again right before it is confirmed."""
    async with start() as it:
        batch = ready(it)
        publish = Delivering.publish

        async def slowly(delivering: Delivering, prepared: core.Batch) -> core.Batch:
            written = await publish(delivering, prepared)
            if prepared.issue == 1:
                it.tenant.world.journal.reissue(batch.id, 5)
            return written

        monkeypatch.setattr(Delivering, "publish", slowly)
        async with it.running():
            await it.log.until("gl.confirmed")
        new = name_of(batch).replace(".csv", ".r2.csv")
        assert sorted(it.delivered()) == [name_of(batch), new]
        assert [line["file"] for line in it.log.having("gl.confirmed")] == [new]
        assert confirms(it) == 1


async def test_a_status_that_a_person_changes_is_noticed(start: Start) -> None:
    """Written and gone from the list without our word: told, not confirmed; back, it goes on."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            journal = it.tenant.world.journal
            before = journal.batches[batch.id]
            journal._set(replace(before, status="UPDATED"))
            told = await it.log.until("gl.held", reason="withdrawn")
            assert "UPDATED" in told["error"]
            (it.outbox / f"{name_of(batch)}.ack").touch()
            journal._set(before)
            await it.log.until("gl.confirmed")
        assert len(it.log.having("gl.written")) == 1
        assert confirms(it) == 1


@pytest.mark.parametrize("verb", ["reset", "cut", "close"])
async def test_a_lost_answer_is_settled_by_the_list(start: Start, verb: str) -> None:
    """The tenant marked it, and the answer never came: it is not told twice."""
    async with start() as it:
        batch = ready(it)
        it.tenant.trouble.add(verb, on="/batch/status/", method="PUT", at="stored")
        async with it.running():
            await it.log.until("gl.confirmed", batch=str(batch.id))
        assert status(it, batch) == "TRANSFERRED"
        assert confirms(it) == 1


async def test_a_confirmation_that_did_not_arrive_is_repeated(start: Start) -> None:
    """The list has it as before, so the tenant does not know yet."""
    async with start() as it:
        batch = ready(it)
        it.tenant.trouble.add("reset", on="/batch/status/", method="PUT", at="head")
        async with it.running():
            await it.log.until("gl.confirmed", batch=str(batch.id))
        assert confirms(it) == 2
        assert len(it.log.having("gl.written")) == 1


async def test_a_list_that_cant_be_read_confirms_nothing(start: Start) -> None:
    """A web page or an error in place of a list is not an empty list."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            for body in ('{"status": "Error"}', "<html><body>back soon</body></html>", '{"x": 1}'):
                it.tenant.trouble.add("answer", on="/journal/list", status=200, body=body)
            await it.tenant.seen(lambda t: t.trouble.met >= 3)
            assert (await it.batch(batch.id)).state is State.WRITTEN
        assert not it.log.having("gl.held")


# -- late ----------------------------------------------------------------------------------------


async def test_a_late_batch_is_told_once_until_six_hours_are_over(start: Start) -> None:
    """Older than `alert_after` and not delivered."""
    async with start(section("acknowledged", alert_after='"500ms"')) as it:
        batch = ready(it)
        async with it.running():
            told = await it.log.until("gl.late", batch=str(batch.id))
            assert told["seconds"] >= 0.5
            await it.looks(2)
            assert len(it.log.having("gl.late")) == 1
            known = await it.batch(batch.id)
            ledger = it.instance.ledger
            earlier = (known.told_late_at or 0) - LATE_AGAIN
            await ledger.run(ledger.batches.note, known, told_late_at=earlier)
            await it.log.until("gl.late", times=2)
            shown = overview(it.config, ledger, running=True, now=it.instance.clock.now())
            assert str(batch.id) in shown["needs_a_person"]
            (it.outbox / f"{name_of(batch)}.ack").touch()
            await it.log.until("gl.confirmed")
            shown = overview(it.config, ledger, running=True, now=it.instance.clock.now())
            assert shown["needs_a_person"] == []
            assert shown["gl"]["oldest_undelivered_seconds"] is None
