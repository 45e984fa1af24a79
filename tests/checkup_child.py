"""What `revsyncd check` finds in a process of its own: as another user, or behind other mounts.

Run as a script it prints the findings as JSON: `checkup_child.py CONFIG MOUNTS UID`.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from revsyncd.checkup import look
from revsyncd.config import load

SECRETS = {"REVSYNCD_TEST_USER": "erp", "REVSYNCD_TEST_PASSWORD": "top-secret"}
HIDDEN = Path("/nonexistent/mountinfo")  # a list of mounts that can't be read

Findings = dict[str, dict[str, Any]]


def by_code(findings: list[dict[str, Any]]) -> Findings:
    """What is told, by code."""
    return {each["code"]: each for each in findings if each["code"]}


def findings_of(
    config: Path, *, first: str = "true", namespace: tuple[str, ...] = (), mounts: Path = HIDDEN,
    uid: int = 0,
) -> Findings:  # fmt: skip
    """Look at a configuration after a shell command, in the namespaces that `unshare` makes."""
    script = f'{first} && exec "$0" "$@"'
    whole = ("sh", "-c", script, sys.executable, __file__, str(config), str(mounts), str(uid))
    # What the child loads is measured by others; as another user it could not write that down.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COV")} | SECRETS
    done = subprocess.run(
        [*(("unshare", *namespace) if namespace else ()), *whole],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return by_code(json.loads(done.stdout))


def skip_unless_unshared(*namespace: str, first: str = "true") -> None:
    """Skip the test, with the reason, where these namespaces may not be made."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not here (Debian: util-linux)")
    command = ["unshare", *namespace, "sh", "-c", first]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        pytest.skip(f"unshare {' '.join(namespace)} is not permitted: {done.stderr.strip()}")


def main(config: str, mounts: str, uid: str) -> None:
    """Look as the user `uid`, who is in no group but his own."""
    loaded = load(Path(config))
    if int(uid):
        os.setgroups([])
        os.setgid(int(uid))
        os.setuid(int(uid))
    print(json.dumps([each.to_json() for each in look(loaded, Path(mounts))]))


if __name__ == "__main__":
    main(*sys.argv[1:])
