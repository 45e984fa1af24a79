from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledgers import open_ledger
from logs import Lines, logged
from stand_ins import SetClock, ToldTenant

from revsyncd.adapters.ledger import Ledger
from revsyncd.config import Folder
from revsyncd.core.errors import (
    Busy,
    ConfigError,
    Forbidden,
    SignInRefused,
    TenantError,
    Unreachable,
)
from revsyncd.core.template import ColumnType, MappedColumn, Mapping
from revsyncd.pipelines.conditions import FOLDER_PAUSED, UNREACHABLE, Conditions
from revsyncd.pipelines.mappings import FRESH_FOR, Mappings
from revsyncd.pipelines.register import Wake
from revsyncd.pipelines.tenant_gate import TenantGate

URL = "https://acme.example"
ORDERS = Folder("Transaction Upload", name="orders")


def columns(*labels: str) -> Mapping:
    return Mapping(
        "DD-MON-YYYY",
        tuple(MappedColumn(label, label.upper(), ColumnType.CHARACTER) for label in labels),
    )


ONE, TWO = columns("Doc Line Id", "Curr"), columns("Doc Line Id", "Amount")


class Bench:
    """Mappings of a tenant that answers as it was told."""

    def __init__(self, ledger: Ledger, tenant: ToldTenant) -> None:
        self.clock = SetClock()
        self.tenant = tenant
        self.conditions = Conditions(ledger, self.clock)
        self.gate = TenantGate(tenant, self.conditions, self.clock, Wake())
        # The ledger notes when a mapping was fetched by the clock that later says how old it is.
        ledger.mappings._now = self.clock.now
        self.mappings = Mappings(ledger, self.clock, tenant, self.gate)

    async def get(self, folder: Folder = ORDERS) -> Mapping:
        """The folder's mapping now."""
        return await self.mappings.get(folder, URL)


@pytest.fixture
def log() -> Iterator[Lines]:
    with logged() as lines:
        yield lines


@pytest.fixture
def bench(tmp_path: Path, log: Lines) -> Iterator[Callable[..., Bench]]:
    with open_ledger(tmp_path) as ledger:

        def made(*answers: TenantError | None, mappings: tuple[Mapping, ...] = (ONE,)) -> Bench:
            return Bench(ledger, ToldTenant(*answers, mappings=mappings))

        yield made


async def test_a_mapping_is_fetched_once_an_hour(bench: Callable[..., Bench], log: Lines) -> None:
    """In between the ledger's copy serves; one that did not change is nothing to tell."""
    it = bench()
    for _ in range(3):
        assert await it.get() == ONE
        it.clock.go_on(FRESH_FOR / 4)
    assert it.tenant.asked == ["Transaction Upload"]
    it.clock.go_on(FRESH_FOR / 4)
    assert await it.get() == ONE
    assert len(it.tenant.asked) == 2
    assert log() == []


async def test_a_clock_set_back_keeps_no_old_mapping(bench: Callable[..., Bench]) -> None:
    """A copy from the future is of unknown age."""
    it = bench(mappings=(ONE, TWO))
    await it.get()
    it.clock.go_on(-10)
    assert await it.get() == TWO


async def test_a_changed_mapping_is_told(bench: Callable[..., Bench], log: Lines) -> None:
    """With the labels that came and went, once."""
    it = bench(mappings=(ONE, TWO))
    await it.get()
    it.clock.go_on(FRESH_FOR)
    assert await it.get() == TWO
    it.clock.go_on(FRESH_FOR)
    assert await it.get() == TWO
    assert log() == [
        {
            "level": "warning",
            "event": "mapping.changed",
            "folder": "orders",
            "template_name": "Transaction Upload",
            "added": ["Amount"],
            "removed": ["Curr"],
        }
    ]


@pytest.mark.parametrize("error", [Unreachable("no route"), Busy("503", retry_after=60)])
async def test_an_old_mapping_serves_while_the_tenant_is_away(
    bench: Callable[..., Bench], error: TenantError
) -> None:
    """Files can be checked although the tenant does not answer; what failed is known to the gate."""
    it = bench(None, error)
    await it.get()
    it.clock.go_on(10 * FRESH_FOR)
    assert await it.get() == ONE
    assert it.conditions.holds(UNREACHABLE) is isinstance(error, Unreachable)
    assert it.gate.open() is isinstance(error, Unreachable)


@pytest.mark.parametrize("error", [Unreachable("no route"), Busy("503"), SignInRefused("no")])
async def test_without_any_mapping_nothing_can_be_checked(
    bench: Callable[..., Bench], error: TenantError
) -> None:
    """The call's own error comes through; the drop waits."""
    with pytest.raises(type(error)):
        await bench(error).get()


async def test_an_unknown_template_pauses_the_folder(bench: Callable[..., Bench]) -> None:
    """An old copy does not help: nothing could be uploaded. When it is known again the pause ends."""
    it = bench(None, Forbidden("no such template", hint="compare template_name"), None)
    await it.get()
    it.clock.go_on(FRESH_FOR)
    with pytest.raises(Forbidden):
        await it.get()
    assert it.conditions.holds(FOLDER_PAUSED, "orders")
    it.clock.go_on(30)
    assert await it.get() == ONE
    assert it.conditions.all() == []


async def test_no_call_is_made_while_something_is_paused(bench: Callable[..., Bench]) -> None:
    """The tenant's Retry-After, its pause and the folder's own keep mapping calls back as well."""
    it = bench()
    errors: list[TenantError] = [
        Busy("429", retry_after=60),
        Forbidden("403"),
        SignInRefused("no"),
    ]
    for error in errors:
        await it.gate.failed(error, "orders", "upload")
        with pytest.raises(Unreachable, match="waits for a pause to end"):
            await it.get()
        it.clock.go_on(60)
    assert it.tenant.asked == []


async def test_each_tenant_has_its_own(bench: Callable[..., Bench]) -> None:
    """A mapping that was fetched from a test tenant is never used for another."""
    it = bench(mappings=(ONE, TWO))
    await it.get()
    assert await it.mappings.get(ORDERS, "https://other.example") == TWO


async def test_a_mapping_file_needs_no_tenant(bench: Callable[..., Bench], tmp_path: Path) -> None:
    """It is read each time, so that a correction counts at once; a mistake in it is named."""
    path = tmp_path / "mapping.toml"
    path.write_text(
        'date_format = "DD-MON-YYYY"\n[[columns]]\nlabel = "A"\nname = "B"\ntype = "number"\n'
    )
    it, folder = bench(), Folder("Transaction Upload", name="orders", mapping=path)
    expected = Mapping("DD-MON-YYYY", (MappedColumn("A", "B", ColumnType.NUMBER),))
    assert await it.get(folder) == expected
    path.write_text("nonsense")
    with pytest.raises(ConfigError):
        await it.get(folder)
    assert it.tenant.asked == []
