"""Batches for the tests of the outbound pipeline: a [gl], batches at the simulator, what became of them."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from bench import Bench

from revsyncd.simulator.journal import Batch

Start = Callable[..., AbstractAsyncContextManager[Bench]]
CONFIRM = "PUT /api/integration/v1/journal/batch/status/{}"


def section(confirm: str = "written", **keys: str) -> str:
    """A [gl] that looks four times a second."""
    lines = {"confirm": f'"{confirm}"', "every": '"250ms"', **keys}
    return "[gl]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def ready(it: Bench, lines: int = 12, **how: Any) -> Batch:
    """A batch that is ready at the tenant."""
    return it.tenant.world.journal.add(lines, **how)


def status(it: Bench, batch: Batch) -> str:
    """How the tenant has it now."""
    return it.tenant.world.journal.batches[batch.id].status


def name_of(batch: Batch) -> str:
    """What its file is called."""
    return f"GL_{batch.id}_{batch.name}.csv"


def confirms(it: Bench) -> int:
    """How often the tenant was told."""
    return it.tenant.world.counts.calls[CONFIRM]
