"""Runs the demo: tenant, daemon, month-end, audit; cleans up however it ends."""

import signal
from pathlib import Path

import anyio
from anyio import to_thread

from revsyncd.demo import daemon, summary
from revsyncd.demo.audit import audit
from revsyncd.demo.findings import Case, Found, collect
from revsyncd.demo.journal import Journal, NotSeen
from revsyncd.demo.month_end import MonthEnd
from revsyncd.demo.promises import Promise
from revsyncd.demo.telling import Teller
from revsyncd.demo.tree import Tree, furnish, planted
from revsyncd.simulator import Settings, Tenant, serve

KEPT, NOT_KEPT, INTERRUPTED = 0, 1, 130
_STAGING_DELAY = 0.2  # seconds that the tenant takes
_PATIENCE = 20.0  # seconds for anything to happen
_RECORDS_A_SECOND = 1000  # a poor machine's pace, for the patience with large files


async def run(rows: int, keep: Path | None) -> int:
    """Play the month-end with a large file of `rows` records; the tree stays at `keep`, if given.

    Returns 0 when every comparison came out as promised, 1 when one did not, 130 when interrupted.
    Raises RevsyncdError when `keep` can't be used.
    """
    with planted(keep) as tree:
        code = INTERRUPTED
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_heed_signals, tasks.cancel_scope)
            code = await _perform(tree, rows, kept=keep is not None)
            tasks.cancel_scope.cancel()
        return code


async def _heed_signals(scope: anyio.CancelScope) -> None:
    """Ctrl-C and SIGTERM end the demo in good order: the daemon is stopped on the way out."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        await anext(aiter(signals))
        print("\ninterrupted: stopping the daemon, removing what is not to be kept", flush=True)
        scope.cancel()


async def _perform(tree: Tree, rows: int, *, kept: bool) -> int:
    teller = Teller()
    async with serve(Settings(staging_delay=_STAGING_DELAY), data=tree.tenant) as tenant:
        await to_thread.run_sync(furnish, tree, tenant.info, rows)
        teller.line(
            "A month-end in miniature: the real daemon, and a stand-in for the tenant", "bold"
        )
        teller.line(f"tree: {tree.home}", "dim")
        journal = Journal(_PATIENCE + rows / _RECORDS_A_SECOND, on_event=teller.event)
        month_end = MonthEnd(tree, tenant, journal, teller)
        exit_code = await _play(month_end, tree, journal, rows)
        found, promises = await to_thread.run_sync(
            _compare, tree, tenant, journal, month_end, exit_code
        )
    good = summary.tell(teller, found, [*month_end.evidence, *promises], tree if kept else None)
    teller.line(f"{teller.seconds:.1f} s", "dim")
    return KEPT if good else NOT_KEPT


async def _play(month_end: MonthEnd, tree: Tree, journal: Journal, rows: int) -> int:
    """The daemon's life with all acts; returns its exit code."""
    async with daemon.running(tree, journal) as process:
        try:
            await month_end.play(rows)
        except NotSeen as missing:
            month_end.evidence.append(
                Promise("everything came to its end", kept=False, found=str(missing))
            )
        return await daemon.stop(process)


def _compare(
    tree: Tree, tenant: Tenant, journal: Journal, month_end: MonthEnd, exit_code: int
) -> tuple[list[Found], list[Promise]]:
    found = collect(tree, tenant, journal, month_end.erp.dropped, month_end.deleted)
    return found, audit(Case(tree, tenant, journal, found, month_end.deleted, exit_code))
