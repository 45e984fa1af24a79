"""Hostile names and words from every side, and the canaries: a run of everything at debug level."""

import csv
import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from daemon import LABELS, Daemon, Launch, line, lines, table
from strict_tenant import StrictTenant

pytestmark = pytest.mark.prove

# Line ends, an escape sequence, a turned direction, markup, a shell's words, a formula, a header.
HOSTILE = (
    "=1+1\r\nX-Evil: 1\n\x1b[31m\u202egnp\u2028<script>alert(1)</script>`id`$(id);\x00\x7f\x9b"
)
NAMED = HOSTILE.replace("\x00", "").replace("/", "_")
GL = {"confirm": "written", "every": "200ms"}
UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
TOP: dict[str, Any] = {"stage_errors": {"every": "200ms"}, "log": {"level": "debug"}, "gl": GL}


def everything(daemon: Daemon, tenant: StrictTenant) -> None:
    """Drops that end in every way, line errors and a batch, each with hostile words in it."""
    tenant.knobs.stage_errors = {"L2": HOSTILE}
    tenant.knobs.turn({"refuse": "REFUSE-ME", "refuse_at": "status"})
    batch = tenant.books.journal.add(4)
    batch.name = f"../../{HOSTILE}"
    site = daemon.site
    daemon.start()
    site.drop(f"good {NAMED}.csv", lines("L1", "L2"))
    site.drop("refused.csv", table([line("L3", comment="REFUSE-ME")]))
    site.drop(
        f"{NAMED}.csv", table([[HOSTILE.replace("\x00", ""), *line("L4")[1:-3], "+1", "", ""]])
    )
    site.drop("header.csv", table([line("L5")], [*LABELS[:-1], f"@{HOSTILE}"]))
    site.drop("nul.csv", lines("L6").replace(b"EUR", b"E\x00R"))
    (site.inbox() / f"link{NAMED}.csv").symlink_to(f"/nowhere/{NAMED}")
    daemon.wait_for("drop.done")
    daemon.wait_for("drop.failed", times=4)
    daemon.wait_for("drop.held", reason="not_a_file")
    daemon.wait_for("stage_errors.found")
    daemon.wait_for("gl.confirmed")


def said(daemon: Daemon, tenant: StrictTenant) -> list[subprocess.CompletedProcess[str]]:
    """What the commands say of it."""
    with_errors = daemon.wait_for("drop.done")["drop"]
    words = [("status",), ("status", "--json"), ("check", "--online"), ("check", "--audit")]
    words += [("gl", "list"), ("show", with_errors)]
    tenant.books.expect_sign_in()  # of `check --online`
    return [daemon.command(*each) for each in words]


def written(daemon: Daemon) -> dict[Path, str]:
    """What people and programs read: reports, status files, sidecars, manifests; by path."""
    suffixes = (".report.json", "status.txt", ".errors.csv", ".manifest.json")
    root = daemon.site.root
    paths = [path for path in root.rglob("*") if path.name.endswith(suffixes) and path.is_file()]
    return {path: path.read_bytes().decode("utf-8-sig") for path in paths}


def test_hostile_words_act_on_nothing(make: Launch, tenant: StrictTenant) -> None:
    """Nothing that people read carries what acts on a screen or a sheet, or a secret; at debug level."""
    daemon = make({"orders": {"upload": "file"}}, top=TOP)
    tenant.books.journal.outbox = str(daemon.site.root / "outbox" / "gl")
    everything(daemon, tenant)
    commands = said(daemon, tenant)
    no_canary(daemon, tenant, commands)
    assert daemon.stop() == 0
    assert [text for text in daemon.lines if UNSAFE.search(text)] == []
    for command in commands:
        assert "Traceback" not in command.stderr
        assert UNSAFE.search(command.stdout + command.stderr) is None, command.args
    texts = written(daemon)
    assert {path.name.rpartition(".")[2] for path in texts} == {"json", "txt", "csv"}
    for path, text in texts.items():
        if path.suffix == ".csv":
            assert [cell for cell in cells(text) if is_formula(cell) or UNSAFE.search(cell)] == []
        else:
            assert UNSAFE.search(text) is None, path
    assert all(json.loads(text) for path, text in texts.items() if path.suffix == ".json")
    outside = [path.name for path in daemon.site.home.iterdir()]
    assert sorted(outside) == ["config.toml", "root", "sender", "state"]
    for stored in tenant.stored:
        assert re.fullmatch(r"[A-Za-z0-9._ -]+", stored.file_name)


def no_canary(
    daemon: Daemon, tenant: StrictTenant, commands: list[subprocess.CompletedProcess[str]]
) -> None:
    """Neither commands nor process arguments show a secret; log and files are searched after each test."""
    shown = "".join(each.stdout + each.stderr for each in commands)
    shown += Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
    names = [name for name in daemon.site.environment() if "USERNAME" not in name]
    secrets = [daemon.site.environment()[name] for name in names]
    secrets += [*tenant.books._tokens, *tenant.books.journal._signatures]
    assert len(secrets) >= 3  # a password, a token, a signed address
    assert [secret for secret in secrets if secret in shown] == []


def cells(text: str) -> list[str]:
    """Every cell of a sheet."""
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def is_formula(cell: str) -> bool:
    """Whether a spreadsheet would calculate it; a plain number it may read."""
    return cell[:1] in tuple("=+-@\t\r") and not re.fullmatch(r"-[0-9.,]+", cell)
