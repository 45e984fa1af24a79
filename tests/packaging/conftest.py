"""The Debian package, built once; long tests of it run only where they are asked for by their marker."""

from collections.abc import Iterator
from pathlib import Path

import deb
import pytest
from clean_root import BootedRoot, booted, skip_unless_a_root_can_boot

MARKER = "packaging"


def pytest_configure(config: pytest.Config) -> None:
    """The marker's meaning."""
    config.addinivalue_line("markers", f"{MARKER}: boots a clean system; `make test-packaging`")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Long tests only where `-m` names them."""
    if MARKER not in str(config.option.markexpr):
        long = [item for item in items if item.get_closest_marker(MARKER)]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package; skips where it can't be built."""
    if deb.missing():
        pytest.skip(
            f"the package can't be built here: {deb.missing()} is missing (Debian: dpkg-dev, binutils, python3-venv)"
        )
    return deb.build(tmp_path_factory.mktemp("deb"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BootedRoot]:
    """A clean Debian that has booted; skips where that can't be."""
    skip_unless_a_root_can_boot()
    with booted(tmp_path_factory.mktemp("root")) as system:
        yield system
