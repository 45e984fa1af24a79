"""What is fetched: failures that are tried for ever, answers in place of a file, batches without records."""

import gzip
from typing import Any

import pytest
from batches import Start, confirms, name_of, ready, section, status

from revsyncd.core.batch import State
from revsyncd.simulator.journal import Batch, Packing

ON_CONFIRM = {"on": "/batch/status/", "method": "PUT"}

# -- failures that are tried for ever, and those that are not ------------------------------------

CUT = b"id,currency_code\r\n1,U"


async def test_network_failures_do_not_count_as_cut_contents(start: Start) -> None:
    """However many there are, two contents that are short are not three."""
    async with start(ranges=False) as it, it.outbound() as outbound:
        batch = ready(it)
        for trouble in ({"status": 500}, {"status": 200, "body": CUT.decode()}) * 2:
            # Eight tries of one download, at a host that is down; a short content comes once.
            times = 8 if trouble["status"] == 500 else 1
            it.tenant.trouble.add("answer", on="/signed/", times=times, **trouble)
            assert not await outbound.look()
        for verb in ("reset", "cut", "close"):
            it.tenant.trouble.add(verb, on="/signed/", times=8)
            assert not await outbound.look()
        known = await it.batch(batch.id)
        assert (known.state, known.tries, known.cuts) == (State.LISTED, 7, 2)
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


async def test_a_content_that_is_cut_three_times_is_held(start: Start) -> None:
    """The host says its length and means it; a person must look."""
    async with start() as it, it.outbound() as outbound:
        batch = ready(it)
        for _ in range(3):
            it.tenant.trouble.add("answer", on="/signed/", status=200, body=CUT.decode())
            await outbound.look()
        assert (await it.batch(batch.id)).reason == "cut"


async def test_a_source_that_is_out_of_reach_keeps_another_s_cut_from_holding(start: Start) -> None:
    """The first one may have all of it, once it is back."""
    gl = section(sources='["report", "file"]')
    async with start(gl, ranges=False) as it, it.outbound() as outbound:
        batch = ready(it)
        it.tenant.trouble.add("reset", on="/signed/", at="head", times=32)
        body = CUT.decode()
        it.tenant.trouble.add("answer", on="/transferbatchfile/", status=200, body=body, times=4)
        for _ in range(4):
            assert not await outbound.look()
        assert (await it.batch(batch.id)).state is State.LISTED
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


async def test_a_tenant_that_asks_for_patience_is_left_in_peace(start: Start) -> None:
    """By all batches, not only by the one that heard it."""
    gl = section(sources='["file"]')
    async with start(gl) as it, it.outbound() as outbound:
        for _ in range(3):
            ready(it)
        it.tenant.trouble.add(
            "answer", on="/transferbatchfile/", status=503, retry_after=60, times=9
        )
        assert not await outbound.look()
        calls = it.tenant.world.counts.calls
        # Asked as a stream, and once more for the words.
        assert calls["GET /api/integration/v1/download/transferbatchfile/{}"] == 2


async def test_pauses_after_failures_grow(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """For ever, up to `gl.every`; a look that goes well ends them."""
    rests: list[float] = []
    async with start(section(every='"1h"')) as it, it.outbound() as outbound:

        class Enough(Exception):
            pass

        async def rest(seconds: float) -> None:
            rests.append(seconds)
            if len(rests) == 9:
                raise Enough

        monkeypatch.setattr(outbound, "_rest", rest)
        it.tenant.trouble.add("answer", on="/journal/list", status=500, times=7)
        with pytest.raises(Enough):
            await outbound.run()
    assert rests == [60, 120, 240, 480, 960, 1800, 1800, 3600, 3600]


ANSWERS = {
    "page": "<!DOCTYPE html>\n<html><title>Back soon</title></html>\n",
    "xml": '<?xml version="1.0"?>\n<Error><Code>SlowDown</Code><StringToSign>LEAKED</StringToSign>'
    "<Message>Reduce, please https://h/?X-Sig=LEAKED</Message></Error>\n",
    "json": '  {"status": "Error", "message": "report, is being made"}\n',
    "list": '[{"error": "not found", "url": "https://h/?sig=LEAKED"}]\n',
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", list(ANSWERS))
@pytest.mark.parametrize("source", ["report", "file"])
async def test_an_answer_in_place_of_a_file_is_never_delivered(
    start: Start,
    source: str,
    kind: str,
    packed: bool,  # noqa: FBT001  (pytest hands it over)
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """200, text/csv, a right length, and `balance = "report"`: recognised by what it is, not held."""
    gl = section(sources=f'["{source}"]', balance='"report"')
    async with start(gl) as it, it.outbound() as outbound:
        ready(it, packing=Packing.GZIP if packed else Packing.PLAIN)
        content = ANSWERS[kind].encode()
        with monkeypatch.context() as patch:
            served = gzip.compress(content) if packed else content
            patch.setattr(Batch, "file", lambda _: served)
            for _ in range(4):
                assert not await outbound.look()
        assert (it.delivered(), confirms(it)) == ({}, 0)
        (line,) = it.log.having("gl.step_failed")
        assert "in place of the file" in line["error"]
        assert "LEAKED" not in str(it.log.lines)
        assert await outbound.look()
        assert confirms(it) == 1


async def test_words_without_a_column_are_no_file(start: Start) -> None:
    """A plain text that ends its lines passes for a CSV of one column: it is held, not delivered."""
    gl = section(balance='"report"')
    async with start(gl) as it, it.outbound() as outbound:
        batch = ready(it)
        body = "Report not available\r\nTry again later\r\n"
        it.tenant.trouble.add("answer", on="/signed/", status=200, body=body, times=3)
        for _ in range(3):
            await outbound.look()
        assert (await it.batch(batch.id)).reason == "unreadable"
        assert (it.delivered(), confirms(it)) == ({}, 0)


@pytest.mark.parametrize("answer", [{"status": 204}, {"status": 200, "body": ""}])
async def test_a_page_without_lines_is_not_the_end_at_once(
    start: Start, answer: dict[str, Any]
) -> None:
    """In the middle of a batch it is an answer that was wrong: every line comes, none twice."""
    gl = section(sources='["pages"]', balance='"report"')
    async with start(gl, page_cap=8) as it, it.outbound() as outbound:
        batch = ready(it, 40)
        it.tenant.trouble.add("answer", on="/journal/batch/.*/3", **answer)
        assert await outbound.look()
        assert it.delivered() == {name_of(batch): batch.file()}


# -- a batch without records ---------------------------------------------------------------------


@pytest.mark.parametrize("balance", ["require", "report"])
async def test_a_batch_without_records_is_held(start: Start, balance: str) -> None:
    """Never confirmed on its own; a named person may."""
    async with start(section(balance=f'"{balance}"')) as it:
        batch = ready(it, 0)
        async with it.outbound() as outbound:
            await outbound.look()
            await outbound.look()
            held = await it.batch(batch.id)
            assert (held.state, held.reason) == (State.HELD, "empty")
            assert f"revsyncd gl confirm {batch.id}" in held.next_step
        assert (it.delivered(), confirms(it)) == ({}, 0)
        assert it.manifest(name_of(batch), ".held")["held"] == "empty"
        assert await it.while_stopped("gl-confirm", str(batch.id), "nothing to post")
        assert (status(it, batch), confirms(it)) == ("TRANSFERRED", 1)
        assert it.delivered() == {}


async def test_an_empty_batch_that_gets_lines_while_it_is_confirmed_is_fetched(
    start: Start,
) -> None:
    """The answer was lost, and what is ready now is another content."""
    async with start() as it:
        batch = ready(it, 0)
        async with it.outbound() as outbound:
            await outbound.look()
        it.tenant.trouble.add("reset", **ON_CONFIRM, at="head")
        it.tenant.trouble.add("answer", on="/journal/list", status=500, skip=1, times=9)
        assert not await it.while_stopped("gl-confirm", str(batch.id), "nothing to post")
        it.tenant.trouble.clear()
        again = it.tenant.world.journal.reissue(batch.id, 6)
        async with it.outbound() as outbound:
            assert (await it.batch(batch.id)).state is State.CONFIRMING
            await outbound.look()
        assert list(it.delivered().values()) == [again.file()]
        (name,) = it.delivered()
        assert it.manifest(name)["reissue_of"] is None
