import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import Result

from revsyncd import __version__
from revsyncd.cli.group import COMMANDS, Commands, Failure, explained, group
from revsyncd.config import Config
from revsyncd.core.errors import ConfigError, RevsyncdError

Revsyncd = Callable[..., Result]


def every_command() -> list[tuple[str, ...]]:
    """All commands, those inside groups too."""
    found: list[tuple[str, ...]] = []
    context = click.Context(group)
    for name in COMMANDS:
        command = group.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, inner) for inner in command.commands]
    return found


@pytest.mark.parametrize("command", every_command(), ids=" ".join)
def test_help(revsyncd: Revsyncd, command: tuple[str, ...]) -> None:
    """Every command explains itself with an example, and takes --config."""
    result = revsyncd(*command, "--help")
    assert result.exit_code == 0
    _, _, example = result.stdout.partition("Example:\n")
    assert example.strip().startswith(f"revsyncd {' '.join(command)}")
    assert "--config" in result.stdout


def test_overview_of_commands(revsyncd: Revsyncd) -> None:
    """The overview names every command, in order."""
    lines = revsyncd("--help").stdout.splitlines()
    named = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :] if line.strip()]
    assert named[: len(COMMANDS)] == list(COMMANDS)


def test_version(revsyncd: Revsyncd) -> None:
    """The version is that of the package."""
    assert revsyncd("--version").stdout == f"revsyncd {__version__}\n"


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("status", "--nonsense"),
        ("show",),
        ("show", "a", "b"),
        ("resolve", "x", "--arrived"),
        ("resolve", "x", "--reason", "y"),
        ("resolve", "x", "--arrived", "--send", "--reason", "y"),
        ("cancel", "x"),
        ("pause",),
        ("pause", "--reason", "  "),
        ("resume", "--reason", "a\x1b[2J"),
        ("validate", "transactions"),
        ("validate", "transactions", "/nowhere/at/all.csv"),
        ("simulate", "--port", "70000"),
        ("demo", "--rows", "none"),
        ("ledger", "nonsense"),
        ("gl", "confirm", "1"),
    ],
    ids=" ".join,
)
def test_wrong_usage(revsyncd: Revsyncd, config: Config, args: tuple[str, ...]) -> None:
    """A command that is not understood is 2, with the reason and where to look, and does nothing."""
    result = revsyncd(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    error, step = result.stderr.splitlines()
    assert error.startswith("error: ")
    assert step.startswith("next step: see `revsyncd")
    assert not (config.state_dir / "ledger.sqlite3").exists()


def test_no_command(revsyncd: Revsyncd) -> None:
    """Nothing at all is wrong usage, too, and shows what there is."""
    result = revsyncd()
    assert result.exit_code == 2
    assert "Commands:" in result.stderr


def test_config_before_or_after(
    revsyncd: Revsyncd, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """--config stands before the command or after it, and wins over the environment."""
    monkeypatch.setenv("REVSYNCD_CONFIG", "/nowhere.toml")
    assert revsyncd("check", "--config", config.path).exit_code == 0
    assert revsyncd("--config", config.path, "check").exit_code == 0
    assert revsyncd("--config", "/neither.toml", "check", "--config", config.path).exit_code == 0
    assert revsyncd("--config", config.path, "ledger", "check").exit_code == 1  # there is none yet
    assert "/nowhere.toml" in revsyncd("check").stderr


@pytest.mark.parametrize(
    ("command", "code"),
    [("run", 78), ("check", 78), ("status", 1), ("show", 1), ("pause", 1), ("validate", 1)],
)
def test_a_broken_configuration(
    revsyncd: Revsyncd, config: Config, command: str, code: int
) -> None:
    """Every problem is told at once; only the daemon and its check have a code of their own for it."""
    config.path.write_text('root = "relative"\nnonsense = 1\n')
    more = {
        "show": ["x"],
        "pause": ["--reason", "x"],
        "validate": ["transactions", str(config.path)],
    }
    result = revsyncd(command, *more.get(command, []))
    assert result.exit_code == code
    lines = result.stderr.splitlines()
    problems = [line for line in lines if line.startswith("error: ")]
    assert len(problems) >= 3
    assert any("nonsense" in problem for problem in problems)
    assert lines[-1].startswith(f"next step: correct {config.path}")


def test_errors_have_one_form() -> None:
    """Ours, the system's and those inside groups; a fault of ours stays what it is."""
    ours = explained(ExceptionGroup("", [RevsyncdError("what", hint="do")]))
    assert ours is not None
    assert (ours.problems, ours.hint, ours.code) == (["what"], "do", 1)
    system = explained(PermissionError(13, "Permission denied", "/x"))
    assert system is not None
    assert system.problems == ["/x: Permission denied"]
    assert "sudo -u" in system.hint
    config = explained(ConfigError(["a", "b"]))
    assert config is not None
    assert config.problems == ["a", "b"]
    assert explained(ExceptionGroup("", [ValueError(), RevsyncdError("x")])) is None
    interrupted = explained(click.Abort())
    assert interrupted is not None
    assert interrupted.code == 130
    other = explained(click.FileError("x", "gone"))
    assert isinstance(other, Failure)


def test_a_fault_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw ends with a traceback, not with a polite line."""

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Commands, "get_command", lambda *_: broken)
    with pytest.raises(ZeroDivisionError):
        group(["broken"], prog_name="revsyncd")


def command(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "revsyncd", *args],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | env,
    )


def test_as_a_process(tmp_path: Path) -> None:
    """`python -m revsyncd` is the command: exit codes, stdout and stderr as promised."""
    made = command("init", str(tmp_path / "tree"))
    assert (made.returncode, made.stderr) == (0, "")
    broken = command("run", "--config", str(tmp_path / "none.toml"))
    assert (broken.returncode, broken.stdout) == (78, "")
    assert broken.stderr.startswith("error: ")


def test_a_terminal_that_can_not_show_a_name(tmp_path: Path) -> None:
    """What can't be shown is escaped; nothing breaks off."""
    name = str(tmp_path / "\u0141x")
    result = command("init", name, PYTHONIOENCODING="latin-1", PYTHONUTF8="1")
    assert result.returncode == 0
    assert r"\u0141x/root" in result.stdout


LOADED = """
import json, sys
from click import Context
from revsyncd.cli.group import group
group.get_help(Context(group))
before = sorted(sys.modules)
group.get_command(Context(group), "run")
print(json.dumps([before, sorted(sys.modules)]))
"""


def test_what_is_loaded() -> None:
    """Help loads no command, and `run` neither simulator nor demo."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED], check=True, capture_output=True, timeout=60
    )
    before, after = json.loads(done.stdout)
    ours = {name for name in before if name.startswith("revsyncd")}
    assert ours == {
        "revsyncd",
        "revsyncd.cli",
        "revsyncd.cli.group",
        "revsyncd.core",
        "revsyncd.core.errors",
    }
    assert not {"anyio", "httpx", "cattrs", "structlog"} & set(before)
    assert "revsyncd.assemble" in after
    assert [
        name for name in after if name.startswith(("revsyncd.simulator", "revsyncd.demo"))
    ] == []
