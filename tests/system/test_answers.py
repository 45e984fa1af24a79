"""Every way in which the reference's sources say that the tenant may answer."""

from daemon import Launch, lines
from strict_tenant import StrictTenant


def test_every_documented_shape_of_an_answer_is_understood(
    launch: Launch, tenant: StrictTenant
) -> None:
    """Keys in any case, `result` as object, list, string or null, ids anywhere, 204 and 400 for unknown."""
    shapes = [
        ("upper", "list", 400),
        ("title", "top", 204),
        ("lower", "message", 400),
        ("title", "object", 204),
    ]
    tenant.knobs.staging_delay = 3600.0
    daemon = launch({"orders": {"upload": "file"}})
    for key_case, id_place, not_known in shapes:
        tenant.knobs.turn({"key_case": key_case, "id_place": id_place, "not_known": not_known})
        daemon.site.drop(f"{id_place}.csv", lines(f"L-{id_place}"))
        daemon.wait_for("upload.accepted", file=f"{id_place}.csv")
        count = len(tenant.calls)
        assert tenant.wait_until(
            lambda t: any(c.status == not_known for c in t.calls[count:])  # noqa: B023  (awaited here)
        )
    for stored in tenant.stored:
        stored.ready_at = 0.0
    for _, id_place, _ in shapes:
        ended = daemon.settled(f"{id_place}.csv")
        assert ended.ending == ("done", "staged")
    ids = [stored.request_id for stored in tenant.stored]
    reports = {report["file"]: report for _, report in daemon.site.reports()}
    told = [reports[f"{place}.csv"]["parts"][0]["request_id"] for _, place, _ in shapes]
    assert [int(each) for each in told] == ids


def test_an_upload_received_without_an_id_is_held(launch: Launch, tenant: StrictTenant) -> None:
    """Nobody can follow it, so it is held as unconfirmed, with the configuration's key as remedy."""
    tenant.knobs.id_place = "none"
    daemon = launch({"orders": {"upload": "file"}})
    daemon.site.drop("orders.csv", lines("L1"))
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("held", "unconfirmed")
    assert "tenant.without_id" in ended.report["next_step"]
    assert len(tenant.stored) == 1


def test_a_refusal_by_the_status_fails_the_drop(launch: Launch, tenant: StrictTenant) -> None:
    """What was received and then not staged is failed, in the tenant's words."""
    tenant.knobs.turn({"refuse": "L2", "refuse_at": "status"})
    daemon = launch({"orders": {"upload": "file"}})
    daemon.site.drop("orders.csv", lines("L1", "L2"))
    ended = daemon.settled("orders.csv")
    assert ended.ending == ("failed", "refused")
    assert "Error loading Data into Staging Area" in ended.report["message"]
