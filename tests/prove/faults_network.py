"""The network's ways to fail, as one table: what happens, to which call, when, and what must come of it.

The table is the test: `test_network` lets each row happen between the real instance and a strict
tenant, over sockets and TLS, and the rows of `FAULTS` are made of it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from prove.fault import Fault
from prove.front import (
    At,
    Call,
    Deed,
    Outage,
    answers,
    closes,
    cuts_the_answer,
    every,
    floods,
    half_closes,
    has_no_address,
    hears_and_resets,
    keeps_silent,
    outlasts_the_token,
    patience_until,
    redirects,
    refuses,
    resets,
    sends,
    sets_the_clock,
    shows,
    stalls_after,
    trickles,
)

DAY = 86_400.0
PAGE = "<!DOCTYPE html><html><title>Down for maintenance</title></html>"
NO = '{"status": "Error", "message": "Header does not match the template"}'
PERHAPS = '{"status": "Error", "message": "Exception occurred while loading"}'
RECEIVED = '{"status": "Success", "message": "File received successfully"}'
HTML = {"Content-Type": "text/html"}
LATER = {"Retry-After": "1"}
# For what is told by a time-out; a busy machine may need a second for any other call.
SOON = {"read_timeout": "1500ms"}
IMPATIENT = {"upload_timeout": "1500ms"}


class Verdict(StrEnum):
    """What must come of it; the tenant's holdings are compared each time."""

    RETRIED = "sent again by itself; staged once"
    WAITS = "sent again, not before it is told to; staged once"
    TENANT_PAUSED = "the tenant is paused with a remedy and resumed by itself; staged once"
    FOLDER_PAUSED = "the folder is paused with a remedy and resumed by itself; staged once"
    REFUSED = "failed in the tenant's words; the same bytes dropped again are staged"
    IN_DOUBT = "held in doubt with what to look for; never sent again, nor after a restart"
    UNCONFIRMED = "held as unconfirmed; never sent again"
    ACCEPTED = "sent once, followed, staged once"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What befalls a call. `held`: how often the tenant has the content when the verdict is in."""

    fault: str
    deed: Deed
    must: Verdict
    at: At = At.BEGUN
    call: Call = Call.UPLOAD
    times: int = 1
    held: int = 0
    wait: float = 0.0  # seconds that the tenant asks for
    settings: dict[str, str] = field(default_factory=dict)  # of `[tenant]`
    knobs: dict[str, Any] = field(default_factory=dict)  # of the strict tenant
    renews: bool = False  # a second sign-in is right, however soon

    @property
    def told(self) -> str:
        """The name of the row."""
        return f"{self.call.name.lower()}: {self.fault}, when {self.at.value}"


@dataclass(frozen=True, slots=True)
class Outages:
    """What befalls every new connection, from the sign-in on or just before the upload."""

    fault: str
    outage: Outage
    must: Verdict
    settings: dict[str, str] = field(default_factory=dict)


def _troubles(call: Call, at: At, must: Verdict, **deeds: Deed) -> tuple[Trouble, ...]:
    return tuple(Trouble(n.replace("_", " "), d, must, at, call) for n, d in deeds.items())


V = Verdict
OUTAGES = (
    Outages("connection refused", refuses, V.RETRIED),
    Outages("no address for the name", has_no_address, V.RETRIED),
    Outages("reset in the handshake", every(hears_and_resets), V.RETRIED),
    Outages("closed before TLS", every(closes), V.RETRIED),
    Outages("the handshake stalls", every(keeps_silent), V.RETRIED, {"connect_timeout": "1s"}),
    Outages("no TLS but garbage", every(sends(b"SSH-2.0-OpenSSH_9.2p1\r\n")), V.TENANT_PAUSED),
    Outages("certificate of another host", shows("another host"), V.TENANT_PAUSED),
    Outages("certificate expired", shows("expired"), V.TENANT_PAUSED),
    Outages("certificate of an unknown authority", shows("unknown"), V.TENANT_PAUSED),
)
BEFORE = (  # the last chunk: nothing is in doubt
    *_troubles(
        Call.UPLOAD,
        At.HALF,
        V.RETRIED,
        reset=resets,
        closed=closes,
        half_closed=half_closes,
        garbage=sends(b"\x00\x01 no HTTP\r\n\r\n"),
        status_503=answers(503),
        web_page=answers(200, PAGE, HTML),
        redirect_302=redirects(302),
    ),
    Trouble("reset", resets, V.RETRIED),
    Trouble("reading stops", keeps_silent, V.RETRIED, settings=SOON),
    Trouble("413 in the tenant's words", answers(413, NO, stays=True), V.REFUSED),
    Trouble("413 and closed", answers(413, NO), V.REFUSED, At.HALF),
    Trouble("413 as a web page", answers(413, PAGE, HTML), V.RETRIED, At.HALF),
    Trouble("429", answers(429, "", LATER, stays=True), V.WAITS, wait=1.0),
)
NOT_TAKEN = (  # answers that count as not taken though the body was whole
    Trouble("401", answers(401), V.RETRIED, At.WHOLE, renews=True),
    Trouble("429", answers(429), V.WAITS, At.WHOLE),
    Trouble("429 for seconds", answers(429, "", LATER), V.WAITS, At.WHOLE, wait=1.0),
    # A date has whole seconds only: two of them are more than one.
    Trouble("429 until a date", patience_until(2), V.WAITS, At.WHOLE, wait=1.0),
    Trouble("403", answers(403), V.FOLDER_PAUSED, At.WHOLE),
    Trouble("404", answers(404), V.FOLDER_PAUSED, At.WHOLE),
    Trouble("405", answers(405), V.TENANT_PAUSED, At.WHOLE),
    Trouble("redirect 301", redirects(301), V.TENANT_PAUSED, At.WHOLE),
    Trouble("redirect 307", redirects(307), V.TENANT_PAUSED, At.WHOLE),
    Trouble("redirect 308", redirects(308), V.TENANT_PAUSED, At.WHOLE),
    Trouble("400 in the tenant's words", answers(400, NO), V.REFUSED, At.WHOLE),
    Trouble("415 in the tenant's words", answers(415, NO), V.REFUSED, At.WHOLE),
    Trouble("422 in the tenant's words", answers(422, NO), V.REFUSED, At.WHOLE),
)
AFTER = (  # the last chunk left, and nothing definite came back
    *_troubles(
        Call.UPLOAD,
        At.WHOLE,
        V.IN_DOUBT,
        reset=resets,
        status_500=answers(500),
        status_502_as_a_web_page=answers(502, PAGE, HTML),
        status_503=answers(503, "", LATER),
        words_that_leave_it_open=answers(400, PERHAPS),
        status_200_and_nothing_else=answers(200),
        garbage=sends(b"\x00\x01 no HTTP\r\n\r\n"),
        redirect_302=redirects(302),
        redirect_303=redirects(303),
        half_an_answers_head=sends(b"HTTP/1.1 200 OK\r\nContent-Le"),
    ),
    Trouble("reset", resets, V.IN_DOUBT, At.STORED, held=1),
    Trouble("closed", closes, V.IN_DOUBT, At.STORED, held=1),
    Trouble("its end said, and no more", half_closes, V.IN_DOUBT, At.STORED, held=1),
    Trouble("the answer is cut", cuts_the_answer, V.IN_DOUBT, At.STORED, held=1),
    Trouble("500", answers(500), V.IN_DOUBT, At.STORED, held=1),
    Trouble("503", answers(503, "", LATER), V.IN_DOUBT, At.STORED, held=1),
    Trouble("a web page", answers(200, PAGE, HTML), V.IN_DOUBT, At.STORED, held=1),
    Trouble("silence", keeps_silent, V.IN_DOUBT, At.STORED, held=1, settings=IMPATIENT),
    Trouble("trickling", trickles, V.IN_DOUBT, At.STORED, held=1, settings=IMPATIENT),
    Trouble("an answer without end", floods, V.IN_DOUBT, At.STORED, held=1),
    Trouble(
        "the answer stalls",
        stalls_after(b'HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{"status":'),
        V.IN_DOUBT,
        At.STORED,
        held=1,
        settings=SOON,
    ),
    Trouble("no request id", answers(200, RECEIVED), V.UNCONFIRMED, At.STORED, held=1),
)
TIME = (  # clocks, and tokens that end
    Trouble(
        "the answer comes after the token's life",
        outlasts_the_token,
        V.ACCEPTED,
        At.STORED,
        renews=True,
    ),
    *(
        Trouble(
            f"the wall clock is set {told}",
            sets_the_clock(seconds),
            V.ACCEPTED,
            At.STORED,
            call,
            knobs={"staging_delay": 0.3},
        )
        for told, seconds in (("forward by a month", 30 * DAY), ("back by a day", -DAY))
        for call in (Call.UPLOAD, Call.STATUS)
    ),
)
OTHERS = (  # calls that may be repeated
    *_troubles(
        Call.MAPPING,
        At.BEGUN,
        V.RETRIED,
        reset=resets,
        closed=closes,
        status_500=answers(500),
        web_page=answers(200, PAGE, HTML),
        garbage=sends(b"\x00\x01 no HTTP\r\n\r\n"),
        half_an_answer=sends(b'HTTP/1.1 200 OK\r\nContent-Length: 80\r\n\r\n{"Mapp'),
    ),
    Trouble("503 for seconds", answers(503, "", LATER), V.WAITS, call=Call.MAPPING, wait=1.0),
    Trouble("silence", keeps_silent, V.RETRIED, call=Call.MAPPING, settings=SOON),
    Trouble("403", answers(403), V.FOLDER_PAUSED, call=Call.MAPPING),
    Trouble("redirect 302", redirects(302), V.TENANT_PAUSED, call=Call.MAPPING),
    Trouble("redirect 307", redirects(307), V.TENANT_PAUSED, call=Call.MAPPING),
    *_troubles(
        Call.STATUS,
        At.BEGUN,
        V.ACCEPTED,
        reset=resets,
        status_500=answers(500),
        web_page=answers(200, PAGE, HTML),
        status_429=answers(429, "", {"Retry-After": "0"}),
        nothing_yet=answers(204),
    ),
    Trouble("redirect 308", redirects(308), V.TENANT_PAUSED, call=Call.STATUS),
    *_troubles(Call.SIGN_IN, At.BEGUN, V.RETRIED, reset=resets, web_page=answers(200, PAGE, HTML)),
    Trouble("401", answers(401), V.TENANT_PAUSED, call=Call.SIGN_IN),
    Trouble("405", answers(405), V.TENANT_PAUSED, call=Call.SIGN_IN),
    Trouble("redirect 301", redirects(301), V.TENANT_PAUSED, call=Call.SIGN_IN),
    Trouble("redirect 302", redirects(302), V.TENANT_PAUSED, call=Call.SIGN_IN),
)
TROUBLES = (*BEFORE, *NOT_TAKEN, *AFTER, *TIME, *OTHERS)

# What differs from another row by little is tried by `make prove` only.
RARELY = frozenset(
    {
        "closed",
        "half closed",
        "garbage",
        "status 503",
        "status 502 as a web page",
        "status 200 and nothing else",
        "redirect 303",
        "redirect 308",
        "404",
        "413 as a web page",
        "413 and closed",
        "415 in the tenant's words",
        "422 in the tenant's words",
        "an answer without end",
        "its end said, and no more",
        "500",
        "503",
        "half an answers head",
        "nothing yet",
        "closed before TLS",
        "certificate expired",
    }
)

KIND = "The network fails"
FAULTS = (
    *(
        Fault(
            KIND,
            each.fault,
            "all new connections, from the sign-in on and from the upload on",
            each.must,
            "prove/test_network.py::test_no_connection_can_be_made",
        )
        for each in OUTAGES
    ),
    *(
        Fault(
            KIND,
            each.fault,
            f"{each.call.name.lower().replace('_', '-')}: {each.at.value}",
            each.must,
            "prove/test_network.py::test_a_call_meets_trouble",
        )
        for each in TROUBLES
    ),
    Fault(
        KIND,
        "the process stands still for longer than every time-out",
        "`SIGSTOP` in the middle of an upload, and after the tenant stored it",
        "half sent it is sent again, else held in doubt or staged; never twice",
        "prove/test_network.py::test_stopped_for_longer_than_every_time_out",
    ),
)
