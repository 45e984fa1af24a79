"""The service of one inbox, while something is in the way of its looks."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from lives.road import Meets
from lives.senders import Senders, Shape
from lives.site import Site

from revsyncd.adapters import inbox
from revsyncd.adapters.disk import missing
from revsyncd.core.settle import Entry


@pytest.fixture
def site() -> Iterator[Site]:
    """An instance on virtual time, not running yet."""
    made = Site(1)
    yield made
    made.close()


def test_an_inbox_that_is_missing_from_the_start_is_not_looked_at_without_rest(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At most one look a second is made at what can't be listed, and it goes on by itself."""
    looks: list[Path] = []
    gone = site.base / "root" / "orders" / "inbox"
    listed = inbox.look

    def look(path: Path) -> list[Entry]:
        if path != gone:
            return listed(path)
        looks.append(path)
        raise missing(path)

    monkeypatch.setattr(inbox, "look", look)
    site.start()
    site.pass_time(60.0)
    assert 5 < len(looks) <= 65
    monkeypatch.setattr(inbox, "look", listed)
    Senders(site).drop("orders", Shape.GOOD, 2, 0, whole=True)
    site.pass_time(60.0)
    assert [drop.state for drop in site.drops()] == ["done"]


def test_a_sender_that_writes_on_into_a_checked_drop_is_told_in_its_ending(site: Site) -> None:
    """What was added is in no part, so the report of a cancelled drop says so."""
    senders = Senders(site)
    site.road.ahead["upload"] = [Meets.NO_CONNECTION] * 9
    site.start()
    senders.drop("orders", Shape.GOOD, 2, 0, whole=True)
    site.pass_time(20.0)
    assert senders.write_on(0)
    [drop] = site.drops()
    site.ask("cancel", drop.drop)
    site.pass_time(20.0)
    [path] = (site.base / "root" / "orders" / "failed").rglob("*.report.json")
    report = json.loads(path.read_text())
    assert report["message"].endswith("; the file was written to after it was checked")
    assert report["next_step"].startswith("What was added stands in no part and no sidecar")
