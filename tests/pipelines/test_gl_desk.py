"""What people may say about a batch, and what is refused with what would make sense."""

import json
from typing import Any

import pytest
from anyio import to_thread
from batches import Start, confirms, name_of, ready, section, status
from bench import Bench
from click.testing import CliRunner, Result

from revsyncd.cli.group import group
from revsyncd.core.batch import State


async def test_a_batch_may_be_delivered_again(start: Start) -> None:
    """As the next issue, under a new name that names the old one; nothing is written over."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            assert (await it.ask("gl-fetch", str(batch.id)))[0]
            await it.log.until("gl.written", times=2)
        new = name_of(batch).replace(".csv", ".r2.csv")
        assert it.delivered() == {name_of(batch): batch.file(), new: batch.file()}
        assert it.manifest(new)["reissue_of"] == name_of(batch)
        assert confirms(it) == 0


async def test_a_batch_may_be_confirmed_by_a_person(start: Start) -> None:
    """Once it is published and verified; the word is kept."""
    async with start(section("never")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            assert await it.ask("gl-confirm", str(batch.id), "posted") == (
                True,
                f"batch {batch.id} is marked as transferred",
            )
            known = await it.batch(batch.id)
            assert (known.word or {})["reason"] == "posted"
            done, answer = await it.ask("gl-confirm", str(batch.id))
            assert (done, "confirmed already" in answer) == (False, True)
        assert (status(it, batch), confirms(it)) == ("TRANSFERRED", 1)


async def test_a_refusal_of_the_erp_may_be_overruled(start: Start) -> None:
    """The file is out and whole; a person says that the ERP has it after all."""
    async with start(section("acknowledged")) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            (it.outbox / f"{name_of(batch)}.nack").write_text("no")
            await it.log.until("gl.held", reason="rejected")
            assert (await it.ask("gl-confirm", str(batch.id), "loaded by hand"))[0]
        assert confirms(it) == 1


async def test_a_batch_that_changed_is_not_confirmed_by_a_person_either(start: Start) -> None:
    """The list that is asked right before shows another content."""
    async with start(section("never", every='"1h"')) as it:
        batch = ready(it)
        async with it.running():
            await it.log.until("gl.written")
            it.tenant.world.journal.reissue(batch.id, 4)
            done, answer = await it.ask("gl-confirm", str(batch.id))
            assert (done, "changed meanwhile" in answer) == (False, True)
        assert confirms(it) == 0


async def test_a_held_batch_may_be_closed(start: Start) -> None:
    """It needs nobody any more; a new content of it is fetched all the same."""
    async with start() as it:
        batch = ready(it, balanced=False)
        async with it.running():
            await it.log.until("gl.held", reason="unbalanced")
            assert (await it.ask("gl-close", str(batch.id), "entered by hand"))[0]
            await it.looks(2)
            assert (await it.batch(batch.id)).state is State.CLOSED
            it.tenant.world.journal.reissue(batch.id, 6)
            await it.log.until("gl.confirmed")
        assert len(it.log.having("gl.held", reason="unbalanced")) == 1


@pytest.mark.parametrize("verb", ["gl-fetch", "gl-confirm", "gl-close"])
async def test_an_unknown_batch_is_refused(start: Start, verb: str) -> None:
    """With where to look."""
    async with start() as it, it.running():
        done, answer = await it.ask(verb, "4711")
        assert (done, "4711 is not known" in answer) == (False, True)
        assert "revsyncd gl list" in answer


async def test_while_the_daemon_is_stopped_the_command_does_the_work(start: Start) -> None:
    """The whole way: fetched, verified, written and confirmed."""
    async with start() as it:
        batch = ready(it)
        assert await it.while_stopped("gl-fetch", str(batch.id))
        assert it.delivered() == {name_of(batch): batch.file()}
        assert status(it, batch) == "TRANSFERRED"
        bad = ready(it, balanced=False)
        assert not await it.while_stopped("gl-fetch", str(bad.id))
        assert not await it.while_stopped("gl-confirm", str(bad.id))
        assert confirms(it) == 1


async def test_without_a_section_there_is_nothing_to_say(start: Start) -> None:
    """The remedy is named."""
    async with start("[gl]\nenabled = false\n") as it, it.running():
        done, answer = await it.ask("gl-list", "")
        assert (done, "enabled = true" in answer) == (False, True)


# -- the commands --------------------------------------------------------------------------------


def revsyncd(it: Bench, *words: str) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(group, [*words, "--config", str(it.config.path)])


async def listed(it: Bench) -> dict[str, Any]:
    """What `gl list --json` prints beside the daemon, which alone may answer."""
    result = await to_thread.run_sync(revsyncd, it, "gl", "list", "--json")
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


async def test_the_list_shows_what_is_open_and_what_was_last(start: Start) -> None:
    """As JSON and in words."""
    async with start() as it:
        good, bad = ready(it), ready(it, balanced=False)
        async with it.running():
            await it.log.until("gl.held")
            await it.log.until("gl.confirmed")
            found = await listed(it)
            [held], [last] = found["batches"], found["last"]
            assert (held["batch"], held["state"], held["reason"]) == (
                str(bad.id),
                "held",
                "unbalanced",
            )
            assert (last["batch"], last["records"], last["file"]) == (
                str(good.id),
                12,
                name_of(good),
            )
            told = revsyncd_status(it)
        assert f"{bad.id}  {bad.name}  held as unbalanced" in told
        assert f"revsyncd gl close {bad.id}" in told


def revsyncd_status(it: Bench) -> str:
    """What `revsyncd status` prints."""
    return revsyncd(it, "status").stdout
