import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result
from made_drops import claim

from revsyncd.adapters.ledger import Ledger
from revsyncd.cli.layout import LONGEST_NAME, columns, moment, plural, short
from revsyncd.cli.progress import progress_bar
from revsyncd.config import Config, load

Revsyncd = Callable[..., Result]


def test_init(revsyncd: Revsyncd, tmp_path: Path) -> None:
    """A tree that loads, each path told, and what comes next."""
    result = revsyncd("init", tmp_path / "new")
    assert result.exit_code == 0
    assert load(tmp_path / "new" / "config.toml", {}).root == tmp_path / "new" / "root"
    assert str(tmp_path / "new" / "config.toml") in result.stdout
    assert "revsyncd check --config" in result.stdout.splitlines()[-1]


def test_init_twice(revsyncd: Revsyncd, tmp_path: Path) -> None:
    """Nothing is overwritten."""
    revsyncd("init", tmp_path / "new")
    result = revsyncd("init", tmp_path / "new")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is there already" in result.stderr


def test_ledger_check(revsyncd: Revsyncd, config: Config, ledger: Ledger) -> None:
    """Whole while in use; a fault is told with what to do."""
    claim(config, ledger, "a.csv")
    assert revsyncd("ledger", "check").exit_code == 0
    (config.root / ".revsyncd" / "ledger.json").unlink()
    result = revsyncd("ledger", "check")
    assert result.exit_code == 1
    assert "is missing" in result.stderr
    assert "next step: " in result.stderr


def test_ledger_backup(revsyncd: Revsyncd, config: Config, ledger: Ledger, tmp_path: Path) -> None:
    """One file, and how large it is."""
    result = revsyncd("ledger", "backup", tmp_path / "copy")
    size = (tmp_path / "copy").stat().st_size
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/copy: {size:,} bytes\n")
    assert revsyncd("ledger", "backup", tmp_path / "copy").exit_code == 1


def test_simulate(tmp_path: Path) -> None:
    """The first line is JSON with all that a client needs; a signal ends it well."""
    arguments = [sys.executable, "-m", "revsyncd", "simulate", "--data", str(tmp_path / "data")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        info = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait(60) == 0
    names = (
        "base_url username password role client_name client_id client_secret token_url control_url"
    )
    assert set(names.split()) <= info.keys()
    assert {"Transaction Upload", "Event Upload", "Bundle Upload"} <= info["templates"].keys()
    assert (tmp_path / "data").is_dir()


def test_demo(revsyncd: Revsyncd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the demo found out is the exit code; its options reach it."""
    given: list[object] = []

    async def run(rows: int, keep: Path | None) -> int:
        given.append((rows, keep))
        return len(given) - 1

    monkeypatch.setattr("revsyncd.demo.run", run)
    assert revsyncd("demo", "--rows", 7, "--keep", tmp_path / "kept").exit_code == 0
    assert revsyncd("demo").exit_code == 1
    assert given[0] == (7, tmp_path / "kept")


def test_columns() -> None:
    """Text to the left, numbers to the right, nothing after the last word."""
    assert columns(["NAME", "N"], [["a", 1], ["long name", 1000]]) == [
        "NAME           N",
        "a              1",
        "long name  1,000",
    ]
    assert columns(["A", "B"], []) == ["A  B"]
    assert (len(short("a" * 61)), short("a" * 60)) == (LONGEST_NAME, "a" * 60)
    assert columns(["A", "B"], [[None, "x"], ["y", None]]) == ["A  B", "   x", "y"]


def test_words() -> None:
    """Times are cut to the second, and one is singular."""
    assert moment("2026-11-23T04:47:32.120Z") == "2026-11-23 04:47:32Z"
    assert moment(None) == ""
    assert (plural(1, "record"), plural(1200, "record")) == ("1 record", "1,200 records")


def test_no_bar_without_a_terminal() -> None:
    """Logs and pipes get no progress."""
    with progress_bar("checking") as told:
        assert told is None


def test_a_bar_on_a_terminal(config: Config, tmp_path: Path) -> None:
    """A large file shows how far its checks are, up to the end, and stdout stays clean."""
    large = tmp_path / "large.csv"
    large.write_bytes(b"Doc Line Id,Amount\r\n" + b"A,1\r\n" * 400_000)
    arguments = [sys.executable, "-m", "revsyncd", "validate", "transactions", str(large)]
    terminal, end = os.openpty()
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=end, text=True) as process:
        os.close(end)
        drawn = everything(terminal)
        assert process.stdout is not None
        assert process.stdout.read().startswith(f"{large}: valid: 400,000 records")
    assert "large.csv" in drawn
    assert "100%" in drawn
    shares = {int(share) for share in re.findall(r"(\d+)%", drawn)}
    assert shares - {0, 100}


def everything(terminal: int) -> str:
    """All that is written to a terminal until nobody has it open any more."""
    found = b""
    with suppress(OSError):  # EIO: the other end is closed
        while data := os.read(terminal, 4096):
            found += data
    os.close(terminal)
    return found.decode(errors="replace")
