import os
from pathlib import Path

import pytest

from revsyncd.config import Secret, SecretRef, resolve
from revsyncd.core.errors import ConfigError


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return path


def refusal(ref: str, env: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(SecretRef.read(ref), env or {})
    (problem,) = caught.value.problems
    assert problem.startswith(f"'{ref}': ")
    return problem


def test_env() -> None:
    """A variable's value is the secret."""
    assert resolve(SecretRef.read("env:PW"), {"PW": "hunter2"}).reveal() == "hunter2"


def test_process_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless told otherwise, the process's own environment counts."""
    monkeypatch.setenv("REVSYNCD_TEST_PW", "hunter2")
    assert resolve(SecretRef.read("env:REVSYNCD_TEST_PW")).reveal() == "hunter2"


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_file(kept: Path, end: str) -> None:
    """A file's one line is the secret, its line end is not."""
    kept.write_bytes(b" hunter2 " + end.encode())
    assert resolve(SecretRef.read(f"file:{kept}")).reveal() == " hunter2 "


def test_rotation(kept: Path) -> None:
    """A secret is read anew each time, so a changed one counts at once."""
    ref = SecretRef.read(f"file:{kept}")
    assert resolve(ref).reveal() == "hunter2"
    kept.write_text("hunter3\n")
    assert resolve(ref).reveal() == "hunter3"


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666])
def test_open_file(kept: Path, mode: int) -> None:
    """A file that everybody may read or write is refused with the command that mends it."""
    kept.chmod(mode)
    assert f"chmod o-rwx {kept}" in refusal(f"file:{kept}")


def test_group_file(kept: Path) -> None:
    """A file for a group is no file for everybody."""
    kept.chmod(0o640)
    assert resolve(SecretRef.read(f"file:{kept}")).reveal() == "hunter2"


def test_credential(kept: Path) -> None:
    """A credential is a file in the directory that systemd names."""
    env = {"CREDENTIALS_DIRECTORY": str(kept.parent)}
    assert resolve(SecretRef.read("credential:password"), env).reveal() == "hunter2"


def test_unset() -> None:
    """What is not there is told with what to do."""
    assert "is not set; set it" in refusal("env:PW")
    assert "is empty" in refusal("env:PW", {"PW": ""})
    assert "LoadCredential=pw:PATH" in refusal("credential:pw")
    assert "can't be read: No such file" in refusal("file:/nowhere/pw")


def test_not_a_line(kept: Path) -> None:
    """A directory, a FIFO, a heap of bytes and another encoding are no secrets, and nothing hangs."""
    assert "not a regular file" in refusal(f"file:{kept.parent}")
    os.mkfifo(kept.parent / "fifo", 0o600)
    assert "not a regular file" in refusal(f"file:{kept.parent}/fifo")
    kept.write_bytes(b"x" * 100_000)
    assert "larger than any secret" in refusal(f"file:{kept}")
    kept.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in refusal(f"file:{kept}")


def test_never_shown() -> None:
    """A secret shows itself only when asked by name."""
    secret = Secret("hunter2")
    assert f"{secret} {secret!r} {[secret]} %s" % secret == "*** *** [***] ***"
    assert secret == Secret("hunter2")
    assert str(SecretRef.read("env:PW")) == "env:PW"
