"""A part refused in the middle of three: what remains, and how it completes the set."""

from collections import Counter

from daemon import Daemon, Launch, Settled, line, read_table, table
from strict_tenant import StrictTenant
from wire import Fate, Wire

ROWS = [line(f"L{n}", comment="bad" if n == 4 else "good") for n in range(1, 8)]


def dropped_and_partly_refused(daemon: Daemon) -> Settled:
    failed = daemon.settled("orders.csv")
    assert failed.ending == ("failed", "partly_refused")
    assert len(daemon.seen("upload.started")) == 2
    states = [part["state"] for part in failed.report["parts"]]
    assert states == ["staged", "refused", "not_sent"]
    return failed


def completed_by_its_remaining(daemon: Daemon, tenant: StrictTenant, failed: Settled) -> None:
    """Drop remaining.csv corrected, and find every record once at the tenant."""
    held = [row for stored in tenant.stored for row in stored.rows]
    remaining = failed.sidecar(".remaining.csv").read_bytes()
    assert remaining == table(row for row in ROWS if row not in held)
    daemon.site.drop("orders.csv.remaining.csv", remaining.replace(b"bad", b"fine"))
    done = daemon.settled("orders.csv.remaining.csv")
    assert done.ending == ("done", "staged")
    assert done.report["correction_of"] == failed.drop
    assert daemon.site.settled(failed.drop).report["corrected_by"] == [done.drop]
    counts = Counter(row[0] for stored in tenant.stored for row in stored.rows)
    assert counts == {row[0]: 1 for row in ROWS}
    assert sorted(row[0] for row in read_table(failed.path.read_bytes())[1:]) == sorted(counts)


def test_in_sequence_nothing_follows_a_refused_part(launch: Launch, tenant: StrictTenant) -> None:
    """Part 2 of 3 is refused: part 3 never starts, and remaining.csv completes the set."""
    tenant.knobs.refuse = "bad"
    daemon = launch({"orders": {"parts": "sequence", "max_records_per_upload": 3}})
    daemon.site.drop("orders.csv", table(ROWS))
    failed = dropped_and_partly_refused(daemon)
    assert [row[0] for stored in tenant.stored for row in stored.rows] == ["L1", "L2", "L3"]
    completed_by_its_remaining(daemon, tenant, failed)


def test_in_parallel_no_further_part_starts_after_a_refusal(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """Part 2 is refused while part 1 awaits its answer: part 3 never starts, the rest is as before."""
    tenant.knobs.refuse = "bad"
    wire.plan(Fate.HOLD, naming="p001of003")
    wire.plan(Fate.FOLLOW, naming="p002of003")  # refused earlier, it would keep part 1 here
    daemon = launch({"orders": {"max_records_per_upload": 3}})
    daemon.site.drop("orders.csv", table(ROWS))
    daemon.wait_for("upload.refused", part=2)
    wire.wait_met(Fate.HOLD)
    wire.let_go()
    completed_by_its_remaining(daemon, tenant, dropped_and_partly_refused(daemon))


def test_the_remaining_file_holds_also_when_it_is_refused_by_the_status(
    launch: Launch, tenant: StrictTenant
) -> None:
    """A part received and refused only by its status leaves the same remaining.csv."""
    tenant.knobs.turn({"refuse": "bad", "refuse_at": "status"})
    folder = {"parts": "sequence", "max_records_per_upload": 3, "upload": "file"}
    daemon = launch({"orders": folder})
    daemon.site.drop("orders.csv", table(ROWS))
    failed = dropped_and_partly_refused(daemon)
    tenant.stored.remove(next(stored for stored in tenant.stored if stored.refused))
    completed_by_its_remaining(daemon, tenant, failed)
