import re
from pathlib import Path

import revsyncd
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
    """The events that other programs were promised are all there; more may be."""
    assert set(PROMISED.split()) <= EVENTS


def test_every_event_logged_is_listed() -> None:
    """Nothing logs an event that the list does not have."""
    source = Path(revsyncd.__file__).parent
    text = "\n".join(path.read_text() for path in source.rglob("*.py"))
    logged = set(re.findall(r'log\.(?:debug|info|warning|error|exception)\(\s*"([^"]+)"', text))
    assert "drop.claimed" in logged
    assert logged <= EVENTS
