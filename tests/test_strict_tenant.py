"""The strict tenant is itself on trial: it lets the documented calls pass and sees every breach."""

import ast
import base64
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse, RemoteDisconnected
from pathlib import Path
from typing import Any

import pytest
from strict_books import (
    BASIC,
    CLIENT_ID,
    CLIENT_NAME,
    CLIENT_SECRET,
    PASSWORD,
    ROLE,
    USERNAME,
    Knobs,
)
from strict_rules import API
from strict_tenant import StrictTenant

EVENTS = "Event Upload"
GOOD = 'Doc Line Id,Event Name,Event Date,Percent\r\nL1,"a ""b"", ü",2026-11-23,10.5\r\n'.encode()
JOURNAL = f"GET {API}/v1/journal/list"
HERE = Path(__file__).parent


class Client:
    """A well-behaved client by hand, so that a test can misbehave in one point."""

    def __init__(self, port: int, prefix: str = "") -> None:
        self.port = port
        self.prefix = prefix
        self.token = ""

    def call(
        self, method: str, path: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> tuple[HTTPResponse, Any]:
        """Make one call on a connection of its own; the answer's JSON, or None without a body."""
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, self.prefix + path, body or None, headers or {})
            answer = connection.getresponse()
            content = answer.read()
        is_json = "json" in (answer.headers.get("Content-Type") or "")
        return answer, json.loads(content) if is_json else None

    def sign_in(self, **changes: str) -> int:
        """Sign in with a password and keep the token."""
        headers = {"Authorization": f"Basic {BASIC}", "role": ROLE, "clientname": CLIENT_NAME}
        answer, _ = self.call("POST", f"{API}/v1/authenticate", headers | changes)
        self.token = answer.headers.get("Revpro-Token", "")
        return answer.status

    def get(self, path: str, **headers: str) -> tuple[int, Any]:
        """Read something below the API's root."""
        answer, body = self.call("GET", API + path, {"token": self.token, **headers})
        return answer.status, body

    def csv(
        self, content: bytes = GOOD, name: str = "a.csv", headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """Upload as plain text."""
        usual = {"token": self.token, "templatename": EVENTS, "filename": name}
        headers = usual | {"Content-Type": "text/plain; charset=utf-8"} | (headers or {})
        answer, body = self.call("POST", f"{API}/v1/csv/upload", headers, content)
        return answer.status, body

    def file(
        self,
        content: bytes = GOOD,
        head: str = 'name="file"; filename="a.csv"',
    ) -> tuple[int, Any]:
        """Upload as a form with one part."""
        part = f"--xyz\r\nContent-Disposition: form-data; {head}\r\nContent-Type: text/csv\r\n\r\n"
        body = part.encode() + content + b"\r\n--xyz--\r\n"
        headers = {"token": self.token, "templatename": EVENTS}
        headers["Content-Type"] = "multipart/form-data; boundary=xyz"
        answer, told = self.call("POST", f"{API}/v1/upload/file", headers, body)
        return answer.status, told


@pytest.fixture
def tenant() -> Iterator[StrictTenant]:
    """A strict tenant served from a thread."""
    with StrictTenant() as tenant:
        yield tenant


@pytest.fixture
def client(tenant: StrictTenant) -> Client:
    """A client that has signed in."""
    client = Client(tenant.port, tenant.prefix)
    assert client.sign_in() == 200
    return client


def rules_broken(tenant: StrictTenant) -> list[str]:
    return [violation.rule for violation in tenant.violations]


def test_it_knows_nothing_of_the_program_it_judges() -> None:
    """The strict tenant imports the standard library and its own modules, nothing else."""
    for path in HERE.glob("strict_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            roots = {name.split(".")[0] for name in names}
            assert roots <= set(sys.stdlib_module_names) | {
                "strict_rules",
                "strict_books",
                "strict_journal",
            }


def test_a_documented_life_breaks_no_rule(tenant: StrictTenant, client: Client) -> None:
    """Sign-in, mapping, both uploads, both statuses, stage errors and an empty journal pass."""
    assert client.get("/v1/upload/mapping?templatename=Event+Upload")[0] == 200
    assert client.file()[0] == 200
    assert client.csv(name="b.csv")[0] == 200
    first, second = (stored.request_id for stored in tenant.stored)
    assert client.get(f"/v1/fileupload/status/{first}")[0] == 200
    assert client.get(f"/v1/csv/upload/status?id={second}")[0] == 200
    assert client.get("/v1/stage/error/event")[0] == 204
    assert client.get("/v1/journal/list")[0] == 204
    assert tenant.violations == []
    assert [stored.body for stored in tenant.stored] == [GOOD, GOOD]
    assert tenant.stored[0].rows == [["L1", 'a "b", ü', "2026-11-23", "10.5"]]
    assert [stored.file_name for stored in tenant.stored] == ["a.csv", "b.csv"]


@pytest.mark.parametrize(
    ("rule", "call", "headers"),
    [
        ("call.unknown", f"GET {API}/v1/upload/file", {}),
        ("call.unknown", "GET /v1/journal/list", {}),
        ("call.unknown", f"DELETE {API}/v1/journal/list", {}),
        ("http", f"BREW {API}/v1/journal/list", {}),
        ("query.missing", f"GET {API}/v1/upload/mapping", {}),
        ("query.unknown", f"GET {API}/v1/journal/list?all=1", {}),
        ("header.unknown", JOURNAL, {"X-Mine": "1"}),
        ("header.unknown", JOURNAL, {"role": ROLE}),
        ("header.not_ascii", JOURNAL, {"User-Agent": "ü"}),
        ("header.host", JOURNAL, {"Host": "elsewhere"}),
        ("page.size", f"GET {API}/v1/journal/batch/1/1?pagesize=10001", {}),
        ("page.size", f"GET {API}/v1/journal/batch/1/1", {"pagesize": "20000"}),
        ("status.unknown_id", f"GET {API}/v1/fileupload/status/5", {}),
        ("password.leaked", JOURNAL, {"Authorization": f"Basic {BASIC}"}),
        ("password.leaked", JOURNAL, {"Accept": f"x; {PASSWORD}"}),
        ("token.confused", JOURNAL, {"Authorization": "Bearer abc"}),
        ("token.confused", JOURNAL, {"token": "Bearer abc"}),
        ("token.unknown", JOURNAL, {"token": "abc"}),
        ("body.unexpected", f"PUT {API}/v1/journal/batch/status/1", {"Content-Length": "2"}),
    ],
)
def test_a_call_outside_the_reference_is_noted(
    tenant: StrictTenant, client: Client, rule: str, call: str, headers: dict[str, str]
) -> None:
    """Each undocumented path, method, query or header is a violation of its own rule."""
    method, path = call.split(" ")
    client.call(method, path, {"token": client.token, **headers})
    assert rule in rules_broken(tenant)


def test_a_faulty_upload_is_refused_as_a_whole(tenant: StrictTenant, client: Client) -> None:
    """Nothing of it is stored, the answer is a refusal, and the fault is noted, on both routes."""
    assert client.csv(b"\xef\xbb\xbf" + GOOD)[0] == 400
    assert client.file(head='name="file"')[0] == 400
    assert rules_broken(tenant) == ["body.bom", "file_name.missing"]
    assert tenant.stored == []


def test_other_faults_of_an_upload_are_noted(tenant: StrictTenant, client: Client) -> None:
    """A reused file name, a missing header, a wrong type, an unknown template: each is noted."""
    client.csv()
    client.csv()
    client.csv(name="ü.csv".encode().decode("latin-1"))
    client.csv(name="c.csv", headers={"templatename": "Orders"})
    client.csv(name="d.csv", headers={"Content-Type": "text/csv"})
    client.call("POST", f"{API}/v1/csv/upload", {"token": client.token}, GOOD)
    wanted = {"file_name.reused", "header.not_ascii", "file_name.not_ascii", "template.unknown"}
    assert wanted | {"content_type", "header.missing"} <= set(rules_broken(tenant))
    assert len(tenant.stored) == 1


@pytest.mark.parametrize(
    ("rule", "framing"),
    [("length.chunked", "Transfer-Encoding: chunked"), ("length.missing", "A: b")],
)
def test_an_upload_without_a_length_is_noted(
    tenant: StrictTenant, client: Client, rule: str, framing: str
) -> None:
    """Chunked uploads and uploads that do not say how long they are never pass."""
    lines = [f"POST {API}/v1/csv/upload HTTP/1.1", f"Host: {tenant.host}", framing]
    lines += [f"token: {client.token}", f"templatename: {EVENTS}", "filename: a.csv"]
    with socket.create_connection(("127.0.0.1", tenant.port), 20) as raw:
        raw.sendall("\r\n".join([*lines, "Content-Type: text/plain", "", ""]).encode())
        assert raw.recv(12) == b"HTTP/1.1 411"
    assert rule in rules_broken(tenant)


def test_a_third_upload_at_once_is_noted(tenant: StrictTenant, client: Client) -> None:
    """Uploads are counted from their headers to their answer; three at once are one too many."""
    head = f"POST {API}/v1/csv/upload HTTP/1.1\r\nHost: {tenant.host}\r\ntoken: {client.token}\r\n"
    head += f"templatename: {EVENTS}\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
    open_ones = [socket.create_connection(("127.0.0.1", tenant.port), 20) for _ in range(2)]
    for number, connection in enumerate(open_ones):
        connection.sendall(f"{head}filename: {number}.csv\r\n\r\n".encode())
        assert tenant.wait_until(lambda t: t.most_uploads_at_once == number + 1)  # noqa: B023  (awaited here)
    assert tenant.violations == []
    assert client.csv()[0] == 429
    assert rules_broken(tenant) == ["uploads.parallel"]
    for connection in open_ones:
        connection.close()
    assert client.csv()[0] == 200
    assert rules_broken(tenant) == ["uploads.parallel"]
    assert [call.complete for call in tenant.calls[1:3]] == [False, False]


def test_a_second_sign_in_is_noted_while_the_first_token_is_young(tenant: StrictTenant) -> None:
    """One sign-in serves a run; a restarted client or an ended token may sign in again."""
    client = Client(tenant.port, tenant.prefix)
    assert client.sign_in(role="") == 400
    assert client.sign_in(role="Intern") == 401
    assert client.sign_in() == 200
    tenant.books.expect_sign_in()
    assert client.sign_in() == 200
    tenant.books.expire_tokens()
    assert client.get("/v1/journal/list")[0] == 401
    assert client.sign_in() == 200
    assert tenant.violations == []
    client.sign_in()
    assert rules_broken(tenant) == ["sign_in.repeated"]
    assert tenant.books.sign_ins == 4


def test_a_followed_redirect_is_noted(tenant: StrictTenant, client: Client) -> None:
    """A redirect names another host; whoever arrives there has carried the token along."""
    tenant.knobs.redirect = {"journal": 307}
    answer, _ = client.call("GET", f"{API}/v1/journal/list", {"token": client.token})
    there = answer.headers["Location"]
    assert (answer.status, there.startswith("http://localhost:")) == (307, True)
    client.call("GET", "/__strict__/elsewhere")
    assert rules_broken(tenant) == ["redirect.followed"]


@pytest.mark.parametrize("place", ["list", "top", "message", "object"])
@pytest.mark.parametrize("case", ["upper", "title", "lower"])
def test_the_id_stands_where_the_knob_says(
    tenant: StrictTenant, client: Client, place: str, case: str
) -> None:
    """Keys come in three cases and the request id in four places, all of them documented or seen."""
    tenant.knobs.turn({"id_place": place, "key_case": case})
    _, told = client.file()
    assert str(tenant.stored[0].request_id) in json.dumps(told)
    cased = {"upper": str.isupper, "lower": str.islower, "title": str.istitle}[case]
    assert all(cased(key.replace("_", "")) for key in told)


def test_staging_is_known_only_after_its_time(tenant: StrictTenant, client: Client) -> None:
    """Until then the status says that it has no row, with 400 or 204; a wait is over at once."""
    tenant.knobs.staging_delay = 3600.0
    client.file()
    path = f"/v1/fileupload/status/{tenant.stored[0].request_id}"
    assert client.get(path)[0] == 400
    tenant.knobs.not_known = 204
    assert client.get(path) == (204, None)
    tenant.stored[0].ready_at = 0.0
    assert client.get(path)[1]["MESSAGE"] == "Data Staged Successfully"


def test_content_that_matches_is_refused_now_or_by_its_status(
    tenant: StrictTenant, client: Client
) -> None:
    """A refusal at the answer stores nothing; one at the status has stored and then says no."""
    tenant.knobs.refuse = "L1"
    assert client.file()[0] == 400
    assert tenant.stored == []
    tenant.knobs.refuse_at = "status"
    assert client.file()[0] == 200
    told = client.get(f"/v1/fileupload/status/{tenant.stored[0].request_id}")[1]
    assert told["MESSAGE"] == "Error loading Data into Staging Area"
    assert tenant.violations == []


def test_a_lost_answer_comes_after_storing(tenant: StrictTenant, client: Client) -> None:
    """The second upload is stored and its connection closed without a word."""
    tenant.knobs.lost_answers = [2]
    assert client.csv(name="1.csv")[0] == 200
    with pytest.raises(RemoteDisconnected):
        client.csv(name="2.csv")
    assert client.csv(name="3.csv")[0] == 200
    assert [stored.file_name for stored in tenant.stored] == ["1.csv", "2.csv", "3.csv"]
    assert tenant.violations == []


def test_who_does_not_stay_for_an_answer_is_told_apart(
    tenant: StrictTenant, client: Client
) -> None:
    """A client that closes after its last byte has its upload stored; one that closes before has not."""
    head = f"POST {API}/v1/csv/upload HTTP/1.1\r\nHost: {tenant.host}\r\ntoken: {client.token}\r\n"
    head += f"templatename: {EVENTS}\r\nContent-Type: text/plain\r\n"
    for name, body in (("short.csv", GOOD[:-1]), ("whole.csv", GOOD)):
        with socket.create_connection(("127.0.0.1", tenant.port), 20) as raw:
            length = f"Content-Length: {len(GOOD)}\r\nfilename: {name}\r\n\r\n"
            raw.sendall((head + length).encode() + body)
    both = 2 * len(GOOD) - 1
    assert tenant.wait_until(lambda t: sum(call.received for call in t.calls) == both)
    assert tenant.wait_until(lambda t: [s.file_name for s in t.stored] == ["whole.csv"])
    short = next(call for call in tenant.calls if call.header("filename") == "short.csv")
    assert (short.received, short.complete, short.status) == (len(GOOD) - 1, False, 0)


def test_lines_are_in_error_until_they_are_mended(tenant: StrictTenant, client: Client) -> None:
    """A line id that was named is listed under its kind, with the reason; mending empties the list."""
    tenant.knobs.stage_errors = {"L1": "RPRO-00076: a rate is missing"}
    client.csv()
    assert client.get("/v1/stage/error/transaction")[0] == 204
    status, told = client.get("/v1/stage/error/event")
    assert status == 200
    assert [(row["SO_LINE_ID"], row["ERR_MSG"]) for row in told["RESULT"]] == [
        ("L1", "RPRO-00076: a rate is missing")
    ]
    client.call("POST", "/__strict__/mend")
    assert client.get("/v1/stage/error/event")[0] == 204


def test_mapping_is_told_out_of_order_and_counted(tenant: StrictTenant, client: Client) -> None:
    """`seq` orders the columns, not the answer; how often a template was asked for is counted."""
    _, told = client.get("/v1/upload/mapping?templatename=Event%20Upload")
    assert [row["SEQ"] for row in told["MAPPING"]] == [4, 3, 2, 1]
    assert client.get("/v1/upload/mapping?templatename=Orders")[0] == 400
    assert dict(tenant.books.mapping_calls) == {EVENTS: 1, "Orders": 1}


def test_oneid_wants_a_form_and_then_a_bearer() -> None:
    """The second way to sign in takes no password header, and its token is `Authorization: Bearer`."""
    form = f"client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}&grant_type=client_credentials"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with StrictTenant(auth="oneid") as tenant:
        _, told = Client(tenant.port).call("POST", "/oauth2/token", headers, form.encode())
        client = Client(tenant.port, tenant.prefix)
        bearer = {"Authorization": f"Bearer {told['access_token']}"}
        assert client.call("GET", f"{API}/v1/journal/list", bearer)[0].status == 204
        assert tenant.violations == []
        client.call("GET", f"{API}/v1/journal/list", bearer | {"token": "other"})
        client.call("POST", f"{API}/v1/authenticate")
        assert rules_broken(tenant) == ["token.confused", "call.unknown"]


def put(client: Client, batch: int) -> int:
    """Confirm a batch."""
    path = f"{API}/v1/journal/batch/status/{batch}"
    return client.call("PUT", path, {"token": client.token, "Content-Length": "0"})[0].status


def test_a_batch_is_confirmed_once_and_never_unbalanced(
    tenant: StrictTenant, client: Client
) -> None:
    """A second confirmation updates no row, and is a breach like that of an unbalanced batch."""
    good, bad = tenant.books.journal.add(4), tenant.books.journal.add(4, balanced=False)
    assert (put(client, good.id), put(client, good.id), put(client, bad.id)) == (200, 400, 200)
    assert put(client, 99) == 400
    assert rules_broken(tenant) == [
        "journal.confirmed_twice",
        "journal.unbalanced_confirmed",
        "journal.unknown_batch",
    ]


@pytest.mark.parametrize("what", ["nothing", "manifest", "other bytes", "both"])
def test_a_batch_is_confirmed_only_when_file_and_manifest_are_out(
    tenant: StrictTenant, client: Client, tmp_path: Path, what: str
) -> None:
    """The tenant looks into the outbox itself."""
    journal = tenant.books.journal
    journal.outbox = str(tmp_path)
    batch = journal.add(4)
    if what != "nothing":
        (tmp_path / "a.csv.manifest.json").write_text(json.dumps({"batch_id": batch.id}))
        (tmp_path / "a.csv").write_bytes(batch.content[: None if what == "both" else -2])
    put(client, batch.id)
    assert rules_broken(tenant) == (
        [] if what == "both" else ["journal.confirmed_before_it_was_out"]
    )


def test_the_signed_url_s_host_sees_every_credential(tenant: StrictTenant, client: Client) -> None:
    """A token, a cookie or the tenant's own host name there is a breach."""
    batch = tenant.books.journal.add(4)
    _, told = client.get(f"/v2/reports/signedurl/{batch.report_id}")
    url = told["signed_url"].partition(f"localhost:{tenant.port}")[2]
    client.call("GET", url, {"Host": f"localhost:{tenant.port}"})
    assert tenant.violations == []
    client.call("GET", url, {"token": client.token, "Authorization": "x", "Cookie": "y"})
    assert sorted(rules_broken(tenant)) == ["header.host", *["signed.header"] * 3]


@pytest.mark.parametrize(("header", "query"), [("10001", "10001"), ("5", "6"), ("", "7")])
def test_the_size_of_a_page_is_said_twice_and_bounded(
    tenant: StrictTenant, client: Client, header: str, query: str
) -> None:
    """By header and query alike, at most 10,000."""
    batch = tenant.books.journal.add(4)
    client.get(f"/v1/journal/batch/{batch.id}/1?pagesize={query}", pagesize=header)
    assert set(rules_broken(tenant)) <= {"page.size", "page.size_differs"}
    assert tenant.violations


def test_as_a_process_it_introduces_itself_and_reports_over_http() -> None:
    """The first line says how to sign in; the report waits for an upload and carries its bytes."""
    command = [sys.executable, str(HERE / "strict_tenant.py"), "--knobs", '{"key_case": "lower"}']
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert (told["username"], told["templates"][EVENTS][0]) == (USERNAME, "Doc Line Id")
        client = Client(int(told["base_url"].rpartition(":")[2]))
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(client.call, "GET", "/__strict__/report?stored=1&within=20")
            assert client.sign_in() == 200
            assert client.csv()[0] == 200
            _, report = asked.result()
        process.kill()
    assert base64.b64decode(report["stored"][0]["body"]) == GOOD
    assert report["violations"] == []


def test_an_unknown_knob_is_refused() -> None:
    """A misspelt knob must not make a test pass."""
    with pytest.raises(AttributeError):
        Knobs().turn({"stageing_delay": 1})
