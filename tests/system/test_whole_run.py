"""A whole run with several folders, as a tenant sees it that knows only the API's reference."""

import pytest
from daemon import Launch, line, lines, table
from strict_tenant import StrictTenant
from wire import Fate, Wire

EVENTS = ("Doc Line Id", "Event Name", "Event Date", "Percent")
BUNDLES = ("Parent Line Id", "Doc Line Id", "Item Num")
FOLDERS = {
    "orders": {"max_records_per_upload": 2},
    "events": {"template_name": "Event Upload", "kind": "event", "upload": "file"},
    "bundles": {"template_name": "Bundle Upload", "kind": "bundle", "upload": "auto"},
}


@pytest.mark.parametrize("tenant", ["token", "oneid"], indirect=True)
def test_a_strict_tenant_has_nothing_to_complain_of(launch: Launch, tenant: StrictTenant) -> None:
    """Three folders, both routes: no call that the reference forbids, and one sign-in for all."""
    daemon = launch(FOLDERS, top={"stage_errors": {"every": "200ms"}})
    daemon.site.drop("Aufträge (neu).csv", lines("L1", "L2", "L3", "L4", "L5"))
    daemon.site.drop("e.csv", table([["L1", "Go live", "2026-11-23", "50"]], EVENTS), "events")
    daemon.site.drop("b.csv", table([["P1", "L1", "Ä"], ["P1", "L2", "B"]], BUNDLES), "bundles")
    assert daemon.settled("Aufträge (neu).csv").ending == ("done", "staged")
    assert daemon.settled("e.csv", "events").ending == ("done", "staged")
    assert daemon.settled("b.csv", "bundles").ending == ("done", "staged")
    assert {each.route for each in tenant.stored} == {"file", "csv"}
    assert sorted(row[0] for each in tenant.stored for row in each.rows) == sorted(
        ["L1", "L2", "L3", "L4", "L5", "L1", "P1", "P1"]
    )
    asked = {"transaction", "event"}
    assert tenant.wait_until(lambda t: asked <= {c.path.rpartition("/")[2] for c in t.calls})
    assert daemon.stop() == 0
    assert tenant.violations == []
    assert tenant.books.sign_ins == 1
    assert set(tenant.books.mapping_calls.values()) == {1}


def test_a_third_upload_waits_for_one_of_the_two(
    wire: Wire, launch: Launch, tenant: StrictTenant
) -> None:
    """While two uploads are on their way, the drops of other folders are checked but not sent."""
    wire.plan(Fate.STALL, Fate.STALL)
    big = table(line(f"L{n}", comment="c" * 2900) for n in range(4800))
    daemon = launch({**FOLDERS, "orders": {"max_records_per_upload": 2400}})
    daemon.site.drop("big.csv", big)
    wire.wait_met(Fate.STALL, Fate.STALL)
    daemon.site.drop("e.csv", table([["L1", "Go live", "2026-11-23", "50"]], EVENTS), "events")
    daemon.wait_for("drop.checked", file="e.csv")
    assert daemon.seen("upload.started", file="e.csv") == []
    assert tenant.stored == []
    wire.let_go()
    assert daemon.settled("big.csv").ending == ("done", "staged")
    assert daemon.settled("e.csv", "events").ending == ("done", "staged")
    assert tenant.most_uploads_at_once == 2
