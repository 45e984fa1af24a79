"""What a real shipper makes of the lines of a real run: the field mappings of docs/logs.md."""

import configparser
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from daemon import Launch, lines
from shipping import SHIPPING, Shipper, Sinks, skip_without_syslog_ng
from strict_tenant import StrictTenant

_NAME = 'it\'s "quoted" \\ ä.csv'
_SHOWN = _NAME.replace("\\", "\\\\")
Line = dict[str, Any]


@pytest.fixture
def told(launch: Launch, tenant: StrictTenant) -> list[str]:
    """The log of a run with a staged, a failed and a held drop, and a name with all that needs quoting."""
    daemon = launch()
    daemon.site.drop(_NAME, lines("L1"))
    daemon.settled(_SHOWN)
    daemon.site.drop("bad.csv", lines("L2").replace(b"10.50", b"ten"))
    daemon.settled("bad.csv")
    daemon.site.drop("again.csv", lines("L1"))
    daemon.settled("again.csv")
    daemon.expected_faults = ("config.rejected",)
    daemon.site.config.write_text("nonsense = 1")
    daemon.send(signal.SIGHUP)
    daemon.wait_for("config.rejected")
    daemon.site.configure()
    assert daemon.stop() == 0
    return list(daemon.lines)


@pytest.fixture
def shipped(told: list[str], tmp_path: Path) -> tuple[list[Line], Sinks]:
    """The same lines, and what arrived of them; one that is no JSON stands among them."""
    log = tmp_path / "log"
    log.write_text("\n".join([told[0], "Started revsyncd@acme.service.", *told[1:], ""]))
    with Shipper(tmp_path, log) as shipper:
        shipper.sinks.wait_for(len(told))
    return [json.loads(line) for line in told], shipper.sinks


def test_the_log_arrives_whole(shipped: tuple[list[Line], Sinks], told: list[str]) -> None:
    """Each line once, in order, at Loki, Elasticsearch and Splunk, with the fields of the manual."""
    events, sinks = shipped
    assert {"drop.done", "drop.failed", "drop.held"} <= {event["event"] for event in events}
    assert any(event.get("file") == _SHOWN for event in events)
    assert [entry["line"] for entry in sinks.loki] == told
    assert [entry["event"] for entry in sinks.splunk] == events
    assert [entry["revsyncd"] for entry in sinks.elastic] == events
    for event, loki, splunk, elastic in zip(
        events, sinks.loki, sinks.splunk, sinks.elastic, strict=True
    ):
        milliseconds = round(datetime.fromisoformat(event["ts"]).timestamp() * 1000)
        labels = {"job": "revsyncd", "instance": "acme", "level": event["level"]}
        assert (loki["labels"], loki["ns"]) == (labels, milliseconds * 1_000_000)
        assert round(splunk["time"] * 1000) == milliseconds
        assert (splunk["source"], splunk["sourcetype"]) == ("revsyncd@acme", "revsyncd")
        told_error = elastic.get("error", {})
        if isinstance(event.get("error"), list):  # one text of several: the words are in it
            assert event["error"][0].split(":")[0] in told_error.pop("message")
            assert elastic.pop("error") == {}  # what is left of it
        assert elastic == {"revsyncd": event, **schema(event)}
    assert sinks.authorizations == {
        ("loki", ""),
        ("elastic", "ApiKey the-key"),
        ("splunk", "Splunk the-token"),
    }
    assert list(unlike(sinks.elastic)) == []
    assert mistimed(told) == []
    assert named_elsewhere() <= {key for event in events for key in event}


def schema(event: Line) -> Line:
    """What the Elastic Common Schema has for a line, as the manual's table says."""
    optional = (
        ("file", "name", event.get("file")),
        ("error", "message", error if isinstance(error := event.get("error"), str) else None),
    )
    happened = {"action": event["event"], "dataset": "revsyncd"}
    if "reason" in event:
        happened["reason"] = event["reason"]
    return {
        "@timestamp": event["ts"],
        "message": event["event"],
        "log": {"level": event["level"]},
        "event": happened,
        "service": {"name": "revsyncd", "node": {"name": "acme"}},
        **{group: {name: value} for group, name, value in optional if value},
    }


_TYPES: dict[str, tuple[type, ...]] = {
    "long": (int,),
    "double": (int, float),
    "keyword": (str, int),
    "text": (str,),
}


def unlike(documents: list[Line]) -> Iterator[str]:
    """Values that the index template's types would not take."""
    template = json.loads((SHIPPING / "elastic-index-template.json").read_text())
    for document in documents:
        yield from _unlike(document, template["template"]["mappings"]["properties"], "")


def _unlike(found: Line, properties: Line, place: str) -> Iterator[str]:
    for key, value in found.items():
        wanted = properties.get(key, {})
        if "properties" in wanted:
            yield from _unlike(value, wanted["properties"], f"{place}{key}.")
        elif wanted.get("type") == "date":
            datetime.fromisoformat(value)
        elif not place.startswith("revsyncd") and not wanted:
            yield f"{place}{key} is not in the template"
        else:
            values = value if isinstance(value, list) else [value]
            types = _TYPES.get(wanted.get("type", ""), (object,))
            yield from (f"{place}{key}: {each!r}" for each in values if not isinstance(each, types))


def named_elsewhere() -> set[str]:
    """The facts that the configurations for other shippers name; none of those is run here."""
    filebeat = (SHIPPING / "filebeat.yml").read_text()
    props = configparser.ConfigParser(interpolation=None)
    props.optionxform = str  # type: ignore[assignment,method-assign]
    props.read(SHIPPING / "splunk" / "props.conf")
    aliases = [value for key, value in props["revsyncd"].items() if key.startswith("FIELDALIAS")]
    alloy = (SHIPPING / "revsyncd.alloy").read_text()
    expressions = re.findall(r"expressions = {(.*)}", alloy)[0]
    return {
        *re.findall(r"(?:from|field): revsyncd\.(\w+)", filebeat),
        *(alias.split(" AS ")[0] for alias in aliases),
        *re.findall(r'= "(\w+)"', expressions),
    }


def mistimed(told: list[str]) -> list[str]:
    """The lines in which TIME_PREFIX and TIME_FORMAT of Splunk's props.conf find no time."""
    text = (SHIPPING / "splunk" / "props.conf").read_text()
    prefix = re.findall(r"^TIME_PREFIX = (.*)$", text, re.MULTILINE)[0]
    form = re.findall(r"^TIME_FORMAT = (.*)$", text, re.MULTILINE)[0]
    wanted = re.escape(form).replace("%3N", r"\d{3}")
    for directive, digits in (("%Y", 4), ("%m", 2), ("%d", 2), ("%H", 2), ("%M", 2), ("%S", 2)):
        wanted = wanted.replace(directive, rf"\d{{{digits}}}")
    return [line for line in told if not re.search(prefix + wanted + '"', line)]


def test_the_shipped_configuration_is_one_that_syslog_ng_takes(tmp_path: Path) -> None:
    """As it stands, the source that reads the journal included."""
    skip_without_syslog_ng()
    text = (SHIPPING / "syslog-ng.conf").read_text()
    config = tmp_path / "syslog-ng.conf"
    config.write_text(f"@version: 3.35\n{text}".replace("/etc/syslog-ng/revsyncd", str(SHIPPING)))
    command = ["syslog-ng", "--syntax-only", "-f", str(config), f"--persist-file={tmp_path}/kept"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
