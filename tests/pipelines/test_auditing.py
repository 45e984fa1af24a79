"""The audit of a real tree: clean as it is, and each damage found, named and placed."""

import json
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread
from audit import DAMAGED, Held, violations
from batches import Start, ready, section
from bench import Bench, bench
from drops import drop_id
from lived_tree import lived

from revsyncd.adapters.ledger.book import FILE_NAME
from revsyncd.pipelines import auditing
from revsyncd.pipelines.auditing import Audit, audit

Harm = Callable[[Bench], object]


def rules(it: Bench) -> list[str]:
    """The rules that the tree breaks now, each once."""
    return sorted({violation.rule for violation in audit(it.config).violations})


def path_of(it: Bench, name: str) -> Path:
    """Where a file of this name lies."""
    [found] = (it.root / "orders").rglob(name)
    return found


def rewrite(it: Bench, name: str, **changes: object) -> None:
    """Let a report say something else."""
    path = path_of(it, f"{name}.report.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def meddle(script: str) -> Harm:
    """Change the ledger past its guards, as nobody may."""

    def change(it: Bench) -> None:
        with closing(sqlite3.connect(it.config.state_dir / FILE_NAME)) as connection:
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall():
                connection.execute(f"DROP TRIGGER {name}")
            connection.executescript(script)

    return change


def set_part(state: str) -> str:
    """SQL that lets every part of the done drop be in another state."""
    return f"UPDATE parts SET state = '{state}', data = json_set(data, '$.state', '{state}')"  # noqa: S608  (a test's own word)


IN_DOUBT_AND_FAILED = """
UPDATE parts SET state = 'in_doubt', data = json_set(data, '$.state', 'in_doubt');
UPDATE drops SET state = 'failed', data = json_set(data, '$.state', 'failed');
"""


def into_work(it: Bench) -> None:
    done = path_of(it, "done.csv")
    work = it.root / "orders" / ".work" / it.report("done.csv")["drop"]
    work.mkdir()
    (work / "done.csv").write_bytes(done.read_bytes())


DAMAGES: dict[str, tuple[str, Harm]] = {
    "a file that is gone": ("place.vanished", lambda it: path_of(it, "done.csv").unlink()),
    "a held file that is gone": ("place.vanished", lambda it: path_of(it, "held.csv").unlink()),
    "a file twice": ("place.doubled", into_work),
    "a copy beside it": (
        "place.unknown",
        lambda it: path_of(it, "done.csv").with_name("copy.csv").touch(),
    ),
    "other bytes": (
        "bytes.changed",
        lambda it: path_of(it, "failed.csv").write_bytes(b"nonsense\r\n2\r\n"),
    ),
    "no report": ("report.missing", lambda it: path_of(it, "done.csv.report.json").unlink()),
    "a torn report": (
        "report.missing",
        lambda it: path_of(it, "done.csv.report.json").write_bytes(b'{"sch'),
    ),
    "another outcome": ("report.differs", lambda it: rewrite(it, "done.csv", outcome="failed")),
    "another reason": ("report.differs", lambda it: rewrite(it, "held.csv", reason="incomplete")),
    "another digest": ("report.differs", lambda it: rewrite(it, "done.csv", sha256="0" * 64)),
    "no parts": ("report.differs", lambda it: rewrite(it, "done.csv", parts=[])),
    "no rejects": ("sidecar.missing", lambda it: path_of(it, "split.csv.rejects.csv").unlink()),
    "no errors": ("sidecar.missing", lambda it: path_of(it, "failed.csv.errors.csv").unlink()),
    "remaining that is not": (
        "sidecar.stale",
        lambda it: path_of(it, "done.csv").with_name("done.csv.remaining.csv").touch(),
    ),
    "a forged step": (
        "ledger.history",
        meddle("UPDATE history SET facts = '{}' WHERE event = 'claimed' AND n = 1"),
    ),
    "a missing step": ("ledger.history", meddle("DELETE FROM history WHERE n = 2")),
    "a part taken back": ("ledger.disagrees", meddle(set_part("planned"))),
    "done without proof": ("done.unproven", meddle(set_part("in_doubt"))),
    "failed without proof": ("failed.unproven", meddle(IN_DOUBT_AND_FAILED)),
    "a shelf that is another's": (
        "place.wrong",
        meddle("UPDATE drops SET data = json_set(data, '$.place', 'orders/elsewhere/2026-11-23')"),
    ),
    "records that do not add up": (
        "records.sum",
        meddle("UPDATE parts SET data = json_set(data, '$.records', 99)"),
    ),
    "counts that do not add up": (
        "report.sum",
        lambda it: rewrite(it, "done.csv", records_by_state={"staged": 99}),
    ),
    "a word of nobody": (
        "word.nameless",
        meddle(
            """UPDATE drops SET data = json_set(data, '$.resolved', json('{"verb": "send"}'))"""
        ),
    ),
    "an older head": ("ledger.root", meddle("DELETE FROM history WHERE n > 5")),
    "a stranger in work": (
        "place.unknown",
        lambda it: (it.root / "orders" / ".work" / "stranger").touch(),
    ),
    "no ledger": ("ledger.root", lambda it: (it.config.state_dir / FILE_NAME).unlink()),
}


async def test_each_damage_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree as the daemon leaves it is clean; each harm done to a copy of it is told by its rule."""
    async with lived(tmp_path, monkeypatch) as it:
        assert rules(it) == []
        kept = contents(tmp_path)
        missed = {}
        for what, (rule, harm) in DAMAGES.items():
            harm(it)
            found = rules(it)
            if rule not in found:
                missed[what] = found
            _restore(tmp_path, kept)
        assert missed == {}
        assert rules(it) == []


# Told by `core.audit_sending`, `core.audit_batches` and `pipelines.audit_secrets`, and tried with these.
TRIED_ELSEWHERE = ("gl.", "secret.", "sent.", "temporary.")


def test_each_rule_is_broken_once() -> None:
    """Whatever the audit may tell of a drop has a harm here that it tells: a rule that finds nothing proves nothing."""
    told = re.compile(r'broken\(\s*"([a-z]+\.[a-z]+)"|Violation\(\s*"([a-z]+\.[a-z]+)"')
    sources = Path(auditing.__file__).parents[1].rglob("audit*.py")
    found = {a or b for source in sources for a, b in told.findall(source.read_text())}
    tried = {rule for rule, _ in DAMAGES.values()}
    assert len(found) > len(DAMAGES) / 2
    assert {rule for rule in found - tried if not rule.startswith(TRIED_ELSEWHERE)} == set()


def held_by(it: Bench) -> list[Held]:
    """What the tenant holds."""
    return [Held.of_simulator(upload) for upload in it.tenant.world.uploads.values()]


DIFFERENCES: dict[str, Callable[[list[Held]], list[Held]]] = {
    "the ledger does not know": lambda held: [*held, replace(held[0], file_name="x.csv")],
    "holds other bytes as": lambda held: [replace(held[0], sha256="0" * 64), *held[1:]],
    "2 times": lambda held: [*held, held[0]],
    "the tenant does not have it": lambda held: held[1:],
    "counts as staged": lambda held: [replace(held[0], state="refused"), *held[1:]],
}


async def test_each_difference_from_the_tenant_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is compared after every test tells what the tenant has too much, too little or otherwise."""
    async with bench(tmp_path, monkeypatch) as it:
        async with it.running():
            it.drop("a.csv", it.content(["A1"]))
            await it.log.until("drop.done")
        held = held_by(it)
        assert violations(it.config, held) == []
        found = {told: violations(it.config, change(held)) for told, change in DIFFERENCES.items()}
    assert {told for told, lines in found.items() if told in "\n".join(lines)} == found.keys()


def contents(base: Path) -> dict[Path, bytes]:
    """Every file below, to be put back later."""
    return {p: p.read_bytes() for p in base.rglob("*") if p.is_file()}


def _restore(base: Path, kept: dict[Path, bytes]) -> None:
    for path in [p for p in base.rglob("*") if p.is_file() and p not in kept]:
        path.unlink()
    for path, content in kept.items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


async def test_a_secret_is_found_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a report, in a status file, in the ledger, in a log: named by its key and place, never shown."""
    async with lived(tmp_path, monkeypatch) as it:
        monkeypatch.setenv("BENCH_PASSWORD", "very-secret-words")
        log = tmp_path / "journal"
        log.write_text("trying very-secret-words now")
        places: list[Harm] = [
            lambda it: (it.root / "orders" / "status.txt").write_text("very-secret-words"),
            lambda it: rewrite(it, "done.csv", owner="dmVyeS1zZWNyZXQtd29yZHM="),
            meddle("INSERT INTO meta VALUES ('x', 'of very-secret-words')"),
        ]
        kept = contents(tmp_path)
        for harm in places:
            harm(it)
            _told_not_shown(audit(it.config))
            _restore(tmp_path, kept)
        _told_not_shown(audit(it.config, logs=[log]))
        assert rules(it) == []


def _told_not_shown(found: Audit) -> None:
    [leak] = [each for each in found.violations if each.rule == "secret.found"]
    assert "tenant.password" in leak.what
    assert "very-secret" not in str(leak)


async def test_old_date_folders_may_be_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole date folder that is older than what is watched is archived; one file of it is lost."""
    async with lived(tmp_path, monkeypatch) as it:
        day = path_of(it, "done.csv").parent
        aside = day.rename(tmp_path / "archive")
        assert rules(it) == ["place.vanished"]
        in_spring = audit(it.config, now=lambda: 4e9)
        assert in_spring.violations == []
        assert "2 settled files" in in_spring.notes[0]
        aside.rename(day)


async def test_beside_the_running_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While drops come, are sent and are filed, no step in between passes for a violation."""
    async with bench(tmp_path, monkeypatch) as it, it.running():
        found = []
        for number in range(8):
            it.drop(f"{number}.csv", it.content([str(number)]))
            await it.log.until("upload.started", times=number + 1)
            found += (await _in_thread(it)).violations
        await it.log.until("drop.done", times=8)
        assert found == []


async def _in_thread(it: Bench) -> Audit:
    return await to_thread.run_sync(audit_of, it)


def audit_of(it: Bench) -> Audit:
    return audit(it.config)


async def test_batches(start: Start) -> None:
    """A changed file, a changed manifest and a missing one are told; a file that was taken away is not."""
    async with start(section()) as it:
        ready(it)
        async with it.outbound() as outbound:
            await outbound.look()
        [(name, content)] = it.delivered().items()
        assert rules(it) == []
        file, manifest = it.outbox / name, it.outbox / f"{name}.manifest.json"
        told = manifest.read_bytes()
        file.write_bytes(content + b"1")
        assert rules(it) == ["gl.changed"]
        file.write_bytes(content)
        manifest.unlink()
        assert rules(it) == ["gl.silent"]
        file.unlink()
        assert rules(it) == []
        file.write_bytes(content)
        manifest.write_bytes(told)
        meddle("UPDATE gl_batches SET data = json_set(data, '$.published', json('false'))")(it)
        assert rules(it) == ["gl.unpublished"]
        meddle("UPDATE gl_batches SET data = json_set(data, '$.published', json('true'))")(it)


def test_what_is_excused_exists() -> None:
    """Every test that the audit leaves out is there, under its name."""
    below = Path(__file__).parents[1]
    for named in DAMAGED:
        file, _, function = named.partition("::")
        [path] = below.rglob(file)
        assert f"def {function}(" in path.read_text()


async def test_what_a_killed_run_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next start removes it from everywhere; what is older than a run that swept is told."""
    async with bench(tmp_path, monkeypatch) as it:
        ours = ".revsyncd-1-abcd-0.tmp"
        parts = it.root / "orders" / ".work" / f"{drop_id(1)}.parts"
        left = [
            it.root / ours,
            it.root / "orders" / ours,
            it.config.state_dir / ours,
            parts / "p001.csv",
        ]
        parts.mkdir()
        for path in left:
            path.touch()
        async with it.running():
            pass
        assert [path for path in left if path.exists()] == []
        for path in left[:3]:
            path.touch()
            os.utime(path, (1e9, 1e9))
        assert rules(it) == ["temporary.left"]
        for path in left[:3]:
            path.unlink()
