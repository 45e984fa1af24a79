"""A person's word: what it does to a held drop, what is refused, and that it is carried out once."""

from pathlib import Path
from typing import Any

import pytest
from bench import Bench, bench, folder, together

from revsyncd.simulator import Settings, Words

IDS = ["A1", "A2", "A3"]


async def in_doubt(it: Bench) -> str:
    """A drop whose answer was lost after the tenant had stored it; returns its id."""
    it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored")
    it.drop("a.csv", it.content(IDS))
    line = await it.log.until("drop.held", reason="in_doubt")
    return str(line["drop"])


async def test_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--arrived takes the doubtful part as staged: the drop is done, and nothing is sent again."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        drop = await in_doubt(it)
        assert (await it.ask("arrived", drop, "seen in File Upload"))[0]
        await it.log.until("drop.done", drop=drop)
        report = it.report("a.csv")
        assert (report["outcome"], report["reason"]) == ("done", "resolved")
        assert report["resolved"]["by"] == "anna"
        assert report["resolved"]["reason"] == "seen in File Upload"
        assert it.stored() == [IDS]
        assert it.found("a.csv") == [Path("done") / it.found("a.csv")[0].parent.name / "a.csv"]


async def test_not_arrived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--not-arrived has the doubtful part sent again; its old report leaves held/."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        it.tenant.trouble.add("answer", on="/v1/upload/file", status=500, body="", at="body")
        it.drop("a.csv", it.content(IDS))
        drop = (await it.log.until("drop.held", reason="in_doubt"))["drop"]
        assert it.stored() == []
        assert (await it.ask("not-arrived", drop))[0]
        await it.log.until("drop.done", drop=drop)
        assert it.stored() == [IDS]
        assert not list((it.root / "orders/held").rglob("*.json"))
        assert it.report("a.csv")["records_by_state"]["staged"] == 3


async def test_not_arrived_although_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tenant knows the upload's name: the drop is held again, so that nobody corrects and re-sends it."""
    keys = 'upload = "csv"\nmax_records_per_upload = 20000'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it, it.running():
        it.tenant.trouble.add("reset", on="/v1/csv/upload", at="stored")
        it.drop("a.csv", it.content(IDS))
        drop = (await it.log.until("drop.held", reason="in_doubt"))["drop"]
        assert (await it.ask("not-arrived", drop, "looked too early"))[0]
        held = await it.log.until("drop.held", times=2, reason="in_doubt")
        assert held["drop"] == drop
        assert it.stored() == [IDS]
        assert "already exists" in it.report("a.csv")["message"]
        assert (await it.ask("arrived", drop, "there it is"))[0]
        await it.log.until("drop.done", drop=drop)


async def test_reject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--reject moves a held drop to failed, with what a person said."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        drop = await in_doubt(it)
        assert (await it.ask("reject", drop, "sent by hand"))[0]
        await it.log.until("drop.failed", reason="resolved")
        assert "sent by hand" in it.report("a.csv")["message"]


async def test_send_duplicate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--send posts a duplicate once more, because a named person said so."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        it.drop("a.csv", it.content(IDS))
        first = await it.log.until("drop.done")
        it.drop("b.csv", it.content(IDS))
        held = await it.log.until("drop.held", reason="duplicate")
        assert it.report("b.csv")["duplicate_of"] == first["drop"]
        assert (await it.ask("send", held["drop"]))[0]
        await it.log.until("drop.done", file="b.csv")
        assert it.stored() == [IDS, IDS]


async def test_send_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--send takes a file without a final line end as whole."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        it.drop("a.csv", it.content(IDS).removesuffix(b"\r\n"))
        held = await it.log.until("drop.held", reason="incomplete")
        assert (await it.ask("send", held["drop"]))[0]
        await it.log.until("drop.done", file="a.csv")
        assert it.stored() == [IDS]


@pytest.mark.parametrize(
    ("verb", "would"), [("send", "--arrived"), ("nonsense", "--arrived"), ("cancel", "--reject")]
)
async def test_senseless(
    verb: str, would: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What makes no sense for the drop's reason is refused, saying what would."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        drop = await in_doubt(it)
        done, answer = await it.ask(verb, drop)
        assert not done
        assert would in answer
        assert (await it.ledger_drop(drop)).state == "held"


async def test_other_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word about a file that is no longer the dropped one is refused."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        drop = await in_doubt(it)
        (path,) = (it.root / "orders/held").rglob("a.csv")
        path.write_bytes(it.content(["Z9"]))
        done, answer = await it.ask("not-arrived", drop)
        assert not done
        assert "SHA-256" in answer


async def test_lost_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A word about a drop whose file somebody took away is answered, and the desk goes on."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        drop = await in_doubt(it)
        (path,) = (it.root / "orders/held").rglob("a.csv")
        path.unlink()
        done, answer = await it.ask("arrived", drop)
        assert not done
        assert "--reject" in answer
        assert (await it.ask("reject", drop))[0]
        await it.log.until("drop.failed", reason="resolved")
        assert not it.log.having("service.failed")


async def test_while_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same words work while the daemon is stopped, and the next start goes on from there."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            drop = await in_doubt(it)
        assert await it.while_stopped("arrived", drop)
        assert it.report("a.csv")["outcome"] == "done"
        assert not await it.while_stopped("arrived", drop)
        async with it.running():
            it.drop("b.csv", it.content(["B1"]))
            await it.log.until("drop.done", file="b.csv")
        assert it.stored() == [IDS, ["B1"]]


async def test_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop or a folder that does not exist is named as such."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        assert "not known" in (await it.ask("arrived", "01NOSUCHDROP"))[1]
        assert "orders" in (await it.ask("pause", "nosuchfolder"))[1]
        assert not (await it.ask("resume", "orders"))[0]


@pytest.mark.parametrize("scope", ["", "orders"])
async def test_pause(scope: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause stops claiming, survives a restart, and ends with resume."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            assert (await it.ask("pause", scope, "period close"))[0]
            it.drop("a.csv", it.content(IDS))
            await it.log.until("drop.seen", file="a.csv")
        async with it.running():
            await it.log.until("drop.seen", times=2, file="a.csv")
            assert it.found("a.csv") == [Path("inbox/a.csv")]
            assert (await it.ask("resume", scope, "closed"))[0]
            await it.log.until("drop.done", file="a.csv")


async def test_cancel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drop of which nothing was released can be cancelled; it goes to failed, unsent."""
    # Larger than what the sockets' buffers on both sides swallow.
    async with bench(tmp_path, monkeypatch, settings=Settings(receive_buffer=4096)) as it:
        it.tenant.trouble.add("stall", on="/v1/upload/file", at="bytes", after_bytes=100)
        async with it.running():
            it.drop("a.csv", it.content((str(n) for n in range(40_000)), Doc_Num="x" * 200))
            started = await it.log.until("upload.started")
            done, answer = await it.ask("cancel", started["drop"], "wrong month")
            assert done, answer
            await it.log.until("drop.failed", reason="cancelled")
        assert it.stored() == []
        assert "wrong month" in it.report("a.csv")["message"]


async def test_late_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the status time-out a drop is held, the asking goes on, and a late answer settles it."""
    keys = 'status_timeout = "1s"'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        it.tenant.world.hold_staging()
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            await it.log.until("drop.held", reason="status_timeout")
            it.tenant.world.release_staging()
            it.tenant.touch()
            await it.log.until("drop.done", file="a.csv")
        assert it.stored() == [IDS]
        assert it.report("a.csv")["outcome"] == "done"


async def test_count_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A status that counts other records than were sent holds the drop with both numbers."""
    async with bench(tmp_path, monkeypatch) as it:
        words: dict[str, Any] = {
            "message": "2 records staged successfully",
            "file_log": "2 staged, 0 failed",
        }
        it.tenant.world.say_of_upload(Words(refused=False, **words))
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            await it.log.until("drop.held", reason="count_mismatch")
        report = it.report("a.csv")
        assert "3 records" in report["message"]
        assert "2 records" in report["message"]


PARTS = "max_records_per_upload = 3"


@pytest.mark.parametrize("verb", ["arrived", "not-arrived"])
async def test_a_part_that_is_followed_is_not_meant(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word about the part in doubt leaves another, which is still being followed, alone."""
    ids = [*IDS, "B1", "B2", "B3"]
    async with bench(tmp_path, monkeypatch, folders=folder(keys=PARTS)) as it:
        it.tenant.world.hold_staging()
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored", skip=1)
        async with it.running():
            it.drop("a.csv", it.content(ids))
            held = await it.log.until("drop.held", reason="in_doubt")
            (line,) = it.log.having("upload.in_doubt")
            assert (await it.ask(verb, held["drop"]))[0]
            it.tenant.world.release_staging()
            it.tenant.touch()
            await it.log.until("drop.done", file="a.csv")
        meant, other = (IDS, ids[3:]) if line["part"] == 1 else (ids[3:], IDS)
        assert it.stored().count(other) == 1
        assert it.stored().count(meant) == (1 if verb == "arrived" else 2)


async def test_no_remaining_while_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A held drop has no remaining file: what is left of it may still be sent by a person's word."""
    keys = PARTS + '\nparts = "sequence"'
    ids = [*IDS, "B1", "B2", "B3", "C1"]
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it:
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored", skip=1)
        async with it.running():
            it.drop("a.csv", it.content(ids))
            held = await it.log.until("drop.held", reason="in_doubt")
            assert it.found("a.csv.remaining.csv") == []
            assert it.report("a.csv")["records_by_state"] == {
                "staged": 3,
                "refused": 0,
                "rejected": 0,
                "in_doubt": 3,
                "not_sent": 1,
            }
            assert (await it.ask("reject", held["drop"]))[0]
            await it.log.until("drop.failed")
        remaining = it.sidecar("a.csv", ".remaining.csv").decode().splitlines()
        assert [line.count("C1") for line in remaining[1:]] == [1]


REFUSAL = '{"status": "Error", "message": "Upload file is not right"}'


@pytest.mark.parametrize(
    ("verb", "reason"), [("arrived", "partly_refused"), ("not-arrived", "refused")]
)
async def test_a_refused_part_beside_the_one_in_doubt(
    verb: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a word on the part in doubt, another that was refused ends the drop: nothing more goes."""
    together(monkeypatch, 2)
    folders = folder(keys="max_records_per_upload = 1")
    hasty = bench(tmp_path, monkeypatch, folders=folders, upload_timeout="1s")
    async with hasty as it, it.running():
        it.tenant.trouble.add("stall", on="/v1/upload/file", at="stored")
        it.tenant.trouble.add("answer", on="/v1/upload/file", status=400, body=REFUSAL)
        it.drop("a.csv", it.content(IDS))
        held = await it.log.until("drop.held", reason="in_doubt")
        assert (await it.ask(verb, held["drop"]))[0]
        await it.log.until("drop.failed", reason=reason)
        assert len(it.stored()) == 1


async def test_a_folder_that_stopped_sends_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that has a drop sent again lets it pass the stop that it caused, and ends the stop."""
    keys = 'on_failure = "stop"\norder = "name"'
    async with bench(tmp_path, monkeypatch, folders=folder(keys=keys)) as it, it.running():
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored")
        it.drop("b.csv", it.content(IDS))
        held = await it.log.until("drop.held", reason="in_doubt")
        it.drop("a.csv", it.content(["A9"]))
        await it.log.until("drop.checked", file="a.csv")
        assert (await it.ask("not-arrived", held["drop"]))[0]
        await it.log.until("drop.done", file="b.csv")
        await it.log.until("drop.done", file="a.csv")
        assert it.stored() == [IDS, IDS, ["A9"]]


async def test_a_held_report_follows_the_other_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What becomes of the other parts of a held drop is in its report before a person speaks."""
    together(monkeypatch, 2)
    async with bench(tmp_path, monkeypatch, folders=folder(keys=PARTS)) as it:
        it.tenant.world.hold_staging()
        it.tenant.trouble.add("reset", on="/v1/upload/file", at="stored", skip=1)
        async with it.running():
            it.drop("a.csv", it.content([*IDS, "B1", "B2", "B3"]))
            await it.log.until("drop.held", reason="in_doubt")
            assert it.report("a.csv")["records_by_state"]["staged"] == 0
            it.tenant.world.release_staging()
            it.tenant.touch()
            await it.log.until("drop.held", times=2)
            assert it.report("a.csv")["records_by_state"]["staged"] == 3


async def test_a_cancel_during_the_checks_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drop that is cancelled while it is checked goes to failed, and the checks change nothing."""
    async with bench(tmp_path, monkeypatch) as it:
        it.tenant.trouble.add("stall", on="/v1/upload/mapping")
        async with it.running():
            it.drop("a.csv", it.content(IDS))
            drop = (await it.log.until("drop.claimed"))["drop"]
            assert (await it.ask("cancel", drop))[0]
            it.tenant.trouble.clear()
            await it.log.until("drop.failed", reason="cancelled")
        assert not [line for line in it.log.lines if "exception" in line]
        assert it.stored() == []


async def test_a_stop_is_lifted_by_name_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who ends a pause of everything may not know of a stop on failure: the answer names it."""
    stops = folder(keys='on_failure = "stop"')
    async with bench(tmp_path, monkeypatch, folders=stops) as it, it.running():
        it.drop("bad.csv", it.content(IDS, Ext_Sll_Prc="ten"))
        await it.log.until("drop.failed", file="bad.csv")
        assert (await it.ask("pause", "", "period close"))[0]
        done, answer = await it.ask("resume", "", "closed")
        assert done
        assert "still stopped on failure: orders" in answer
        it.drop("good.csv", it.content(IDS))
        await it.log.until("drop.checked", file="good.csv")
        assert it.stored() == []
        assert (await it.ask("resume", "orders", "looked at"))[0]
        await it.log.until("drop.done", file="good.csv")
        assert it.stored() == [IDS]
