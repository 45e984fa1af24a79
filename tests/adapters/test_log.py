import io
import json
import logging
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from revsyncd.adapters import log
from revsyncd.config import Secret


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test has its own secrets and configuration, and leaves none behind."""
    monkeypatch.setattr(log, "_SECRETS", log._Secrets())
    root = logging.getLogger()
    level = root.level
    yield
    structlog.reset_defaults()
    root.setLevel(level)
    for handler in [h for h in root.handlers if isinstance(h, log._Libraries)]:
        root.removeHandler(handler)


def failing(error: Exception) -> None:
    raise error


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    log.configure("info", "json", stream)
    return stream


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


class Gone(io.StringIO):
    """A pipe whose reader has gone."""

    def write(self, text: str) -> int:
        """Fails as the kernel makes it fail."""
        raise BrokenPipeError


class Wordless:
    """A value that can't be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_one_line(out: io.StringIO) -> None:
    """A line is one JSON object: time, level, event, then the facts in order."""
    log.get_logger().info("drop.claimed", folder="orders", drop="01J", size=3)
    (line,) = lines(out)
    assert list(line) == ["ts", "level", "event", "folder", "drop", "size"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "info", "event": "drop.claimed", "folder": "orders", "drop": "01J", "size": 3
    }  # fmt: skip


def test_level(out: io.StringIO) -> None:
    """What is below the level is not written."""
    logger = log.get_logger()
    logger.debug("drop.seen")
    logger.warning("drop.ignored")
    assert [line["event"] for line in lines(out)] == ["drop.ignored"]


def test_bound_facts(out: io.StringIO) -> None:
    """Facts may be bound once for many lines."""
    log.get_logger().bind(folder="orders").error("folder.missing")
    assert lines(out)[0]["folder"] == "orders"


@pytest.mark.parametrize(
    "value",
    [
        "pw hunt er2/é.",
        Path("/x/hunt er2/é"),
        b"hunt er2/\xc3\xa9",
        {"a": [{"hunt er2/é": "hunt er2/é"}]},
        ("x", {"hunt er2/é"}),
        ValueError("sent hunt er2/é"),
        "https://h/p/hunt%20er2%2F%C3%A9",
        "form=hunt+er2%2F%C3%A9",
        json.dumps({"p": "hunt er2/é"}),
        Secret("hunt er2/é"),
    ],
)
def test_secrets(out: io.StringIO, value: object) -> None:
    """A secret is masked wherever it stands, in each form in which it is written."""
    log.redact("hunt er2/é")
    log.get_logger().info("token.renewed", error=value)
    assert "er2" not in out.getvalue()
    assert "***" in out.getvalue()


def test_secret_in_traceback(out: io.StringIO) -> None:
    """An exception's own text is no way out for a secret."""
    log.redact("hunter2")
    try:
        failing(RuntimeError("Authorization: hunter2\nts=forged"))
    except RuntimeError:
        log.get_logger().exception("service.failed")
    (line,) = lines(out)
    assert (line["level"], "hunter2" in out.getvalue()) == ("error", False)
    assert "RuntimeError: Authorization: ***" in line["exception"]


def test_longer_secret_first(out: io.StringIO) -> None:
    """A secret that begins with another one is masked whole."""
    log.redact("hunter")
    log.redact("hunter2-tail")
    log.redact("")
    log.get_logger().info("token.renewed", error="hunter2-tail")
    assert lines(out)[0]["error"] == "***"


def test_register_is_bounded(out: io.StringIO) -> None:
    """Tokens of months do not pile up: the latest are kept, and what is used again is the latest."""
    log.redact("password-0")
    for number in range(80):
        log.redact(f"token-{number:03}")
        log.redact("password-0")
    log.get_logger().info("token.renewed", error="password-0 token-079 token-000")
    assert lines(out)[0]["error"] == "*** *** token-000"


def test_tokens_by_their_look(out: io.StringIO) -> None:
    """A token is masked by its shape too, whoever printed it."""
    log.get_logger().info("token.renewed", error="got eyJhbGciOiJI.eyJpYXQiOjE3.c2ln-_x!")
    assert lines(out)[0]["error"] == "got ***!"


def test_urls(out: io.StringIO) -> None:
    """A signed URL's query, and credentials in a URL, never reach the log."""
    text = "GET 'https://u:p@bucket.example/r/1?X-Sig=abc&t=1' and HTTPS://h/x#frag, http://h/y"
    log.get_logger().info("gl.held", error=text)
    assert lines(out)[0]["error"] == (
        "GET 'https://bucket.example/r/1?…' and HTTPS://h/x?… http://h/y"
    )


def test_hostile_text(out: io.StringIO) -> None:
    """Control characters, newlines and foreign bytes from outside are spelled out; words are not."""
    log.get_logger().info("drop.seen", file="a\r\n{}\x1b[2J\x7f\x9b\u202e\udcff\ud800ü\u2028.csv")
    assert lines(out)[0]["file"] == r"a\r\n{}\x1b[2J\x7f\x9b\u202e\xff\ud800ü\u2028.csv"
    assert out.getvalue().count("\n") == 1


def test_odd_values(out: io.StringIO) -> None:
    """Whatever is handed in, a line comes out; a fact that is None is none."""
    deep: list[Any] = []
    deep.append(deep)
    facts = {
        "a": Wordless(),
        "b": float("nan"),
        "c": signal.SIGUSR1,
        "d": None,
        "e": True,
        "f": 1.5,
    }
    log.get_logger().info("drop.seen", ts="forged", level="forged", deep=deep, **facts)
    (line,) = lines(out)
    assert line["ts"] != "forged"
    assert line["level"] == "info"
    assert "d" not in line
    assert [line[key] for key in "abcef"] == [
        "<Wordless without words>",
        "nan",
        10,
        True,
        1.5,
    ]


def test_console() -> None:
    """On a terminal a line is for people, and nothing from outside can begin one."""
    out = Terminal()
    log.configure("info", "auto", out)
    try:
        failing(ValueError("x\n2026-11-23 forged"))
    except ValueError:
        log.get_logger().error("drop.held", file="a b.csv\n2026", folder="orders", exc_info=True)
    first, *others = out.getvalue().splitlines()
    assert re.fullmatch(r'\S+Z error   drop\.held +file="a b\.csv\\\\n2026" folder=orders', first)
    assert all(line.startswith("    | ") for line in others)
    assert "    | 2026-11-23 forged" in others


def test_auto_is_json_elsewhere() -> None:
    """Where nobody looks on, lines are for programs."""
    out = io.StringIO()
    log.configure("info", "auto", out)
    log.get_logger().info("daemon.ready")
    assert lines(out)[0]["event"] == "daemon.ready"


def test_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """Unless told otherwise, the log goes to stdout."""
    log.configure("info", "json")
    log.get_logger().info("daemon.ready")
    assert json.loads(capsys.readouterr().out)["event"] == "daemon.ready"


def test_not_configured(capsys: pytest.CaptureFixture[str]) -> None:
    """Before it is configured, the log leaves stdout alone and shows errors only."""
    structlog.reset_defaults()
    logger = log.get_logger()
    logger.warning("drop.ignored")
    logger.error("service.failed")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "service.failed" in captured.err
    assert "drop.ignored" not in captured.err


def test_narrow_stream() -> None:
    """A stream that can't write a letter gets it spelled out."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    log.configure("info", "console", out)
    log.get_logger().info("drop.seen", file="für.csv")
    assert rb"file=f\xfcr.csv" in raw.getvalue()


def test_reader_gone() -> None:
    """A log that can't be written does not stop the daemon."""
    log.configure("info", "json", Gone())
    log.get_logger().info("daemon.ready")
    closed = io.StringIO()
    closed.close()
    log.configure("info", "json", closed)
    log.get_logger().info("daemon.ready")


def test_libraries(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libraries warn of is in the log, masked like all else; their chatter is not."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # pytest's own stumble over bad calls
    log.redact("hunter2")
    log.configure("info", "json", out)  # again: no line may come twice
    library = logging.getLogger("httpx")
    library.info("HTTP Request: GET https://h/x?sig=1")
    library.warning("refused %s", "hunter2")
    library.error("refused %d", "x")
    try:
        failing(OSError("disk hunter2"))
    except OSError:
        library.exception("broke")
    first, second, third = lines(out)
    assert (first["event"], first["level"]) == ("library.message", "warning")
    assert (first["logger"], first["message"]) == ("httpx", "refused ***")
    assert (second["message"], second["level"]) == ("refused %d", "error")
    assert "OSError: disk ***" in third["exception"]


def test_a_hearer_is_told_of_every_event_until_it_has_enough(out: io.StringIO) -> None:
    """What is below the level is heard though not written; after the end nothing is heard."""
    heard: list[tuple[str, Any]] = []
    end = log.hear(lambda event, facts: heard.append((event, facts.get("drop"))))
    log.get_logger().debug("upload.not_taken", drop="D1")
    log.get_logger().info("drop.done", drop="D2")
    end()
    log.get_logger().info("drop.done", drop="D3")
    assert heard == [("upload.not_taken", "D1"), ("drop.done", "D2")]
    assert [line["drop"] for line in lines(out)] == ["D2", "D3"]


def test_a_hearer_that_fails_harms_nobody(out: io.StringIO) -> None:
    """The line is written all the same, and other hearers hear."""
    heard: list[str] = []
    ends = [
        log.hear(lambda *_: failing(ValueError("no"))),
        log.hear(lambda event, _: heard.append(event)),
    ]
    log.get_logger().info("drop.done")
    for end in ends:
        end()
    assert heard == [line["event"] for line in lines(out)] == ["drop.done"]
