"""The man page and the completions that the packages bring."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pages
import pytest

SOURCE = Path(__file__).parents[1]


def test_pages_are_current() -> None:
    """What lies there is what the commands are; else `make pages` writes it anew."""
    for place, text in pages.files().items():
        assert (pages.SHARE / place).read_text() == text.rstrip() + "\n", f"{place}: make pages"


def test_page_has_every_command_and_option() -> None:
    """As a reader sees it: each command with its section, each option with its sentence."""
    if shutil.which("man") is None:
        pytest.skip("man is not installed (Debian: man-db)")
    page = pages.SHARE / "man/man1/revsyncd.1"
    environment = {**os.environ, "MANWIDTH": "400", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["man", "--warnings", "-P", "cat", "-l", page],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    assert done.stderr == ""
    shown = " ".join(done.stdout.split())
    seen = set()
    for context in (pages.whole(), *pages.commands(pages.whole())):
        for parameter in context.command.get_params(context):
            record = parameter.get_help_record(context)
            if isinstance(parameter, click.Option) and record is not None:
                assert " ".join(f"{record[0]} {record[1]}".split()) in shown
        assert f"{context.command_path} " in shown
        seen.add(context.command_path)
    assert {"revsyncd run", "revsyncd gl confirm", "revsyncd ledger backup"} <= seen


def test_page_survives_hostile_words() -> None:
    """A line that begins with a dot, a backslash or a dash stays text."""
    assert pages.roff(".so /etc/passwd\n'x\na\\b --c") == (
        "\\&.so /etc/passwd\n\\&'x\na\\eb \\-\\-c"
    )


def test_bash_completes(tmp_path: Path) -> None:
    """With the shipped file, bash offers commands, and options of a command."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("bash is not installed (Debian: bash)")
    (tmp_path / "revsyncd").write_text(f'#!/bin/sh\nexec {sys.executable} -m revsyncd "$@"\n')
    (tmp_path / "revsyncd").chmod(0o755)
    file = SOURCE / "packages/share/bash-completion/completions/revsyncd"
    script = f"""
        . {file}
        COMP_WORDS=(revsyncd led) COMP_CWORD=1
        _revsyncd_completion revsyncd
        echo "${{COMPREPLY[@]}}"
        COMPREPLY=()
        COMP_WORDS=(revsyncd resolve x --ar) COMP_CWORD=3
        _revsyncd_completion revsyncd
        echo "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        [bash, "--norc", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=SOURCE,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )
    assert done.stdout.split("\n")[:2] == ["ledger", "--arrived"], done.stderr
