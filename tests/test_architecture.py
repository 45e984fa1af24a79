"""What must stay true of the shape of the program, and proof that the test of it can fail."""

import json
import subprocess
import sys
from pathlib import Path

import architecture
import pytest
from architecture import Rules

import revsyncd

LOWEST = ("root", "core")
CONTRACTS = (*LOWEST, "contract")
MIDDLE = (*CONTRACTS, "checks", "config", "ports")
PARTS = {
    "root": ("revsyncd",),
    "core": ("revsyncd.core", "revsyncd.core.*"),
    "contract": ("revsyncd.checks.contract",),
    "checks": ("revsyncd.checks", "revsyncd.checks.*"),
    "config": ("revsyncd.config", "revsyncd.config.*"),
    "ports": ("revsyncd.ports", "revsyncd.ports.*"),
    "adapters": ("revsyncd.adapters", "revsyncd.adapters.*"),
    "pipelines": ("revsyncd.pipelines", "revsyncd.pipelines.*"),
    "supervisor": ("revsyncd.supervisor", "revsyncd.supervisor.*"),
    "assemble": (
        "revsyncd.assemble",
        "revsyncd.tenant_link",
        "revsyncd.checkup",
        "revsyncd.checkup.*",
        "revsyncd.listener",
        "revsyncd.first_tree",
    ),
    "demo": ("revsyncd.demo", "revsyncd.demo.*"),
    "cli": ("revsyncd.cli", "revsyncd.cli.*", "revsyncd.__main__"),
    "simulator": ("revsyncd.simulator", "revsyncd.simulator.*"),
}
ARROWS = {
    "root": ("root",),
    "core": LOWEST,
    "contract": CONTRACTS,
    "checks": (*CONTRACTS, "checks"),
    "config": (*CONTRACTS, "config"),
    "ports": (*CONTRACTS, "ports"),
    "adapters": (*MIDDLE, "adapters"),
    "pipelines": (*MIDDLE, "adapters", "pipelines"),
    "supervisor": (*MIDDLE, "adapters", "pipelines", "supervisor"),
    "assemble": (*MIDDLE, "adapters", "pipelines", "supervisor", "assemble"),
    "demo": (
        *MIDDLE,
        "adapters",
        "pipelines",
        "supervisor",
        "assemble",
        "demo",
        "cli",
        "simulator",
    ),
    "cli": (*MIDDLE, "adapters", "pipelines", "supervisor", "assemble", "demo", "cli", "simulator"),
    "simulator": ("root", "simulator"),
}
CONFIG = ("revsyncd.config", "revsyncd.config.*")
NOT_PURE = tuple(
    pattern
    for part, patterns in PARTS.items()
    if part not in ("root", "core", "contract", "checks")
    for pattern in patterns
)
DOORS = {
    "httpx": ("revsyncd.adapters.revenue_api.transport",),
    "sqlite3": ("revsyncd.adapters.ledger", "revsyncd.adapters.ledger.*"),
    "watchfiles": ("revsyncd.adapters.watcher",),
    "httpcore": ("revsyncd.adapters.revenue_api.wire",),
    "structlog": ("revsyncd.adapters.log",),
    "tomli": CONFIG,
    "cattrs": CONFIG,
    "attrs": CONFIG,
    "attr": CONFIG,
    "click": ("revsyncd.cli", "revsyncd.cli.*"),
    # Two sides of HTTP that share nothing: the stand-in for the tenant, and what serves [http].
    "h11": ("revsyncd.simulator", "revsyncd.simulator.*", "revsyncd.adapters.web.visit"),
    "prometheus_client": ("revsyncd.adapters.metrics",),
    "anyio": NOT_PURE,
}


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Everything with a clock, a disk, a socket, a process, a thread or chance in it.
WORLDLY = words("""
    asyncio concurrent ctypes fcntl fileinput ftplib getpass glob http.client http.server importlib io logging mmap
    multiprocessing os pty queue random resource sched secrets select selectors shutil signal
    smtplib socket socketserver sqlite3 ssl subprocess sys syslog tempfile threading time
    urllib.request uuid warnings
""")
# What looks at a disk or a clock without an import that would show it.
LOOKING = words("""
    open input now today utcnow read_text read_bytes write_text write_bytes exists is_file
    is_dir is_symlink stat lstat unlink mkdir rmdir iterdir rglob touch resolve cwd home
""")
RULES = Rules(
    parts=PARTS,
    may_import={part: frozenset(others) for part, others in ARROWS.items()},
    doors=DOORS,
    pure={"core": WORLDLY},
    pure_calls={"core": LOOKING},
    may_hide=frozenset({"cli", "demo"}),
    never_named=words("util utils helper helpers manager managers common misc"),
)
ASIDE = ("simulator", "demo")  # parts that the daemon never loads
PACKAGE = Path(revsyncd.__file__).parent


def test_the_package_keeps_its_shape() -> None:
    """Arrows, cycles, doors, purity, hidden imports, sizes and names are as the rules want them."""
    assert architecture.violations(architecture.read(PACKAGE), RULES) == []


@pytest.mark.parametrize(
    ("start", "hidden"),
    [("revsyncd.assemble", True), ("revsyncd.cli", False), ("revsyncd.cli.run", True)],
)
def test_the_daemon_reaches_neither_simulator_nor_demo(start: str, hidden: bool) -> None:  # noqa: FBT001  (pytest hands it over)
    """Nothing that `run` loads leads to them; commands load them for themselves."""
    modules = architecture.read(PACKAGE)
    if start not in modules:
        pytest.skip(f"there is no module {start}")
    reached = architecture.closure(modules, start, hidden=hidden)
    assert start in reached
    assert [name for name in reached if architecture.part_of(name, RULES) in ASIDE] == []


@pytest.mark.skipif(not (PACKAGE / "assemble.py").exists(), reason="there is no module assemble")
def test_the_assembled_program_has_loaded_neither_simulator_nor_demo() -> None:
    """What the interpreter itself lists after the import agrees with what the source says."""
    code = "import json, sys, revsyncd.assemble; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    loaded = json.loads(done.stdout)
    assert "revsyncd.assemble" in loaded
    assert [name for name in loaded if architecture.part_of(name, RULES) in ASIDE] == []


def test_an_idle_daemon_has_loaded_no_listener() -> None:
    """It is 2 MB of memory, and comes only where [http] is configured."""
    code = "import json, sys, revsyncd.cli.run; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)
    loaded = json.loads(done.stdout)
    assert "revsyncd.assemble" in loaded
    told = ("revsyncd.listener", "revsyncd.adapters.web", "prometheus_client")
    assert [name for name in loaded if name.startswith(told)] == []


GOOD = {
    "__init__": "",
    "core/__init__": "",
    "core/drop": "from enum import Enum\nfrom revsyncd.core import pace\n",
    "core/pace": "import math\n",
    "checks/__init__": "",
    "checks/contract": "from revsyncd.core.drop import Enum\n",
    "checks/cells": "import csv\nfrom . import contract\n",
    "config": "import tomli\nimport revsyncd.checks.contract\n",
    "ports": "from revsyncd.checks.contract import Enum\n",
    "adapters/__init__": "",
    "adapters/watcher": "import watchfiles, anyio\nfrom ..ports import Enum\n",
    "pipelines": "from revsyncd.adapters import watcher\n",
    "supervisor": "import anyio\nimport revsyncd.pipelines\n",
    "assemble": "import revsyncd.supervisor\n",
    "cli": "import click\ndef simulate():\n    import revsyncd.simulator\n",
    "simulator": "import h11\n",
}


def plant(tmp_path: Path, changes: dict[str, str] | None = None) -> Path:
    """An invented package with the shape of ours, some of its files changed."""
    for name, text in (GOOD | (changes or {})).items():
        path = tmp_path / "revsyncd" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "revsyncd"


def found(root: Path) -> list[str]:
    return architecture.violations(architecture.read(root), RULES)


def test_a_well_shaped_tree_has_no_violation(tmp_path: Path) -> None:
    """The invented package passes, so that each change below is the only cause of its finding."""
    assert found(plant(tmp_path)) == []


@pytest.mark.parametrize(
    ("module", "text", "told"),
    [
        ("core/pace", "import revsyncd.ports\n", "core may not import ports"),
        ("core/pace", "from .. import ports\n", "core may not import ports"),
        ("core/pace", "from revsyncd.checks import contract\n", "core may not import contract"),
        ("checks/cells", "from revsyncd import config\n", "checks may not import config"),
        ("config", "from revsyncd.checks import cells\n", "config may not import checks"),
        ("ports", "from revsyncd.config import x\n", "ports may not import config"),
        ("adapters/watcher", "import revsyncd.pipelines\n", "adapters may not import pipelines"),
        ("pipelines", "import revsyncd.supervisor\n", "pipelines may not import supervisor"),
        ("assemble", "import revsyncd.cli\n", "assemble may not import cli"),
        ("assemble", "import revsyncd.simulator\n", "assemble may not import simulator"),
        ("simulator", "import revsyncd.core.drop\n", "simulator may not import core"),
        ("first_tree", "import revsyncd.cli\n", "assemble may not import cli"),
        ("demo", "import revsyncd.nowhere\n", "imports revsyncd.nowhere, which does not exist"),
        ("extras", "", "extras: has no place in the architecture"),
        ("core/pace", "import time\n", "core is pure and may not import time"),
        ("core/pace", "from os import path\n", "core is pure and may not import os"),
        ("core/pace", "import urllib.request\n", "core is pure and may not import urllib.request"),
        ("core/pace", "x = open('y')\n", "core is pure and may not call open"),
        ("core/pace", "def f(p):\n    return p.stat()\n", "core is pure and may not call stat"),
        ("core/pace", "async def f(): ...\n", "core is pure and awaits nothing"),
        ("core/pace", "import anyio\n", "anyio enters only through"),
        ("checks/cells", "import anyio\n", "anyio enters only through"),
        ("supervisor", "import httpx\n", "httpx enters only through"),
        ("adapters/watcher", "import sqlite3\n", "sqlite3 enters only through"),
        ("adapters/ledgers", "import sqlite3\n", "sqlite3 enters only through"),
        ("adapters/watcher", "import numpy\n", "numpy is a foreign library without a door"),
        ("pipelines", "def f():\n    import revsyncd.ports\n", "hides an import of revsyncd.ports"),
        ("pipelines", "f = __import__('json')\n", "hides an import of json"),
        ("pipelines", "import importlib\nimportlib.import_module(x)\n", "hides an import of ?"),
        (
            "core/pace",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import revsyncd.ports\n",
            "core may not import ports",
        ),
        ("core/pace", "from revsyncd.core import drop\n", "an import cycle: "),
        ("core/pace", "\n" * 401, "401 lines, more than 400"),
        ("core/path_utils", "", "a module named utils says nothing"),
        ("adapters/common", "", "a module named common says nothing"),
        ("core/pace", "def f():\n" + "    x = 1\n" * 29, "1 of 2 functions are long"),
    ],
)
def test_each_rule_finds_its_breach(tmp_path: Path, module: str, text: str, told: str) -> None:
    """One change, one finding; but an arrow turned round may close a cycle as well."""
    lines = found(plant(tmp_path, {module: text}))
    others = [line for line in lines if told not in line]
    assert len(lines) - len(others) == 1
    assert all(line.startswith("an import cycle: ") for line in others)


def test_a_cycle_through_a_hidden_import_is_a_cycle(tmp_path: Path) -> None:
    """Where hiding is allowed, a cycle still is not."""
    root = plant(
        tmp_path, {"demo": "def f():\n    import revsyncd.cli\n", "cli": "import revsyncd.demo\n"}
    )
    assert found(root) == ["an import cycle: revsyncd.cli -> revsyncd.demo -> revsyncd.cli"]


def test_one_long_function_in_ten_is_allowed(tmp_path: Path) -> None:
    """Nine short functions beside a long one are enough, eight are not."""
    long = "def f():\n" + "    x = 1\n" * 29
    short = "".join(f"def f{n}(): ...\n" for n in range(7))  # with the one in cli: eight
    assert len(found(plant(tmp_path, {"core/pace": long + short}))) == 1
    short += "def g(): ...\n"
    assert found(plant(tmp_path, {"core/pace": long + short})) == []


def test_what_is_loaded_follows_packages_and_leaves_hidden_imports_to_the_caller(
    tmp_path: Path,
) -> None:
    """A package's own module is loaded with what is in it; types alone load nothing."""
    root = plant(
        tmp_path,
        {
            "core/pace": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import revsyncd.ports\n",
            "adapters/__init__": "import revsyncd.simulator\n",
        },
    )
    modules = architecture.read(root)
    assert architecture.closure(modules, "revsyncd.core.pace", hidden=True) == {
        "revsyncd",
        "revsyncd.core",
        "revsyncd.core.pace",
    }
    assert "revsyncd.simulator" in architecture.closure(modules, "revsyncd.pipelines", hidden=False)
    assert "revsyncd.simulator" in architecture.closure(modules, "revsyncd.cli", hidden=True)
    assert architecture.closure(modules, "revsyncd.cli", hidden=False) == {
        "revsyncd",
        "revsyncd.cli",
    }
