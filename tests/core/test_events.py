from revsyncd.core.events import EVENTS

# What dashboards and alerts are written against.
PROMISED = """
    daemon.started daemon.ready daemon.stopping daemon.stopped config.reloaded config.rejected
    service.failed service.restarted token.renewed token.refused tenant.paused tenant.resumed
    tenant.unreachable folder.paused folder.resumed folder.missing mapping.changed drop.seen
    drop.ignored drop.claimed drop.checked upload.started upload.accepted upload.refused
    upload.in_doubt drop.done drop.failed drop.held drop.resolved stage_errors.found
    stage_errors.gone gl.written gl.confirmed gl.held gl.reissued gl.late
"""


def test_events() -> None:
    """The events are those promised, and one for what libraries say."""
    assert set(PROMISED.split()) | {"library.message"} == EVENTS
