"""The outbox is made for the ERP's group, also where nobody may set a setgid bit."""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from revsyncd.adapters.outbox import lay_out

SERVICE, ERP = 65_534, 12_345  # nobody, and a group that he is not in
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
AS_SERVICE = f"""
import os, sys
from pathlib import Path
from revsyncd.adapters.outbox import lay_out
os.setgroups([]); os.setgid({SERVICE}); os.setuid({SERVICE}); os.umask(0o027)
root = Path(sys.argv[1])
lay_out(root, root / "out" / "gl")
"""


@pytest.fixture
def root() -> Iterator[Path]:
    """Where every user may look."""
    with tempfile.TemporaryDirectory(prefix="revsyncd-outbox-") as place:
        Path(place).chmod(0o755)
        path = Path(place, "root")
        path.mkdir()
        path.chmod(0o2750)
        yield path


def modes(root: Path) -> list[str]:
    places = (root / "out", root / "out/gl", root / "out/gl/.held")
    return [f"{stat.S_IMODE(path.stat().st_mode):04o}" for path in places]


@pytest.mark.parametrize("mask", [0o000, 0o027, 0o077])
def test_the_modes_do_not_depend_on_the_umask(root: Path, mask: int) -> None:
    """The group writes the outbox and reads the rest; the process has its umask back."""
    before = os.umask(mask)
    try:
        lay_out(root, root / "out" / "gl")
    finally:
        found = os.umask(before)
    assert modes(root) == ["2750", "2770", "2750"]
    assert found == mask


@only_root
def test_no_setgid_bit_is_ever_set(root: Path) -> None:
    """It is handed down: the kernel takes it from who sets it for a group that is not his, the unit refuses it."""
    os.chown(root, SERVICE, ERP)
    root.chmod(0o2750)
    subprocess.run([sys.executable, "-c", AS_SERVICE, root], check=True)
    assert modes(root) == ["2750", "2770", "2750"]
    assert (root / "out/gl").stat().st_gid == ERP
