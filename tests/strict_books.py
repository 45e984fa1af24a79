"""What the strict tenant remembers and how it answers: tokens, mappings, uploads, staging, errors.

Knows calls and answers, but no sockets; see `strict_tenant` for those and `strict_rules` for what
the reference allows.
"""

import base64
import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import strict_rules as rules
from strict_journal import Journal
from strict_rules import Column, Endpoint, Fault, Template

USERNAME, PASSWORD = "revenue-loader", "correct horse battery staple"
ROLE, CLIENT_NAME = "Revpro API Role", "Default"
CLIENT_ID, CLIENT_SECRET = "f2c1a0de-strict", "nobody-may-see-this"
BASIC = base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()

_STAGED = "Data Staged Successfully"
_REFUSED = "Error loading Data into Staging Area"
_NOT_KNOWN = "No records found. Logs might have been truncated"
_LINE, _INVOICE = ("SO_LINE_ID", "DOC_LINE_ID"), ("INV_LINE_ID",)
TEMPLATES = {
    "Transaction Upload": Template(
        "transaction",
        (
            Column("Doc Line Id", "DOC_LINE_ID", "VARCHAR2"),
            Column("Type", "TYPE", "Character"),
            Column("Doc Date", "DOC_DATE", "DATE"),
            Column("Cstmr Nm", "CUSTOMER_NAME", "VARCHAR"),
            Column("Curr", "TRANS_CURR_CODE", "Character"),
            Column("Ord Qty", "ORD_QTY", "Number"),
            Column("Ext Sll Prc", "EXT_SELL_PRICE", "NUMBER"),
            Column("Inv Line Id", "INV_LINE_ID", "VARCHAR2"),
            Column("Comments", "COMMENTS", "Character"),
        ),
    ),
    "Event Upload": Template(
        "event",
        (
            Column("Doc Line Id", "SO_LINE_ID", "Character"),
            Column("Event Name", "EVENT_NAME", "Character"),
            Column("Event Date", "EVENT_DATE", "Date"),
            Column("Percent", "EVENT_PERCENT", "NUMBER"),
        ),
        date_format="YYYY-MM-DD",
    ),
    "Bundle Upload": Template(
        "transaction",
        (
            Column("Parent Line Id", "PARENT_LINE_ID", "Character"),
            Column("Doc Line Id", "DOC_LINE_ID", "Character"),
            Column("Item Num", "ITEM_NUMBER", "Character"),
        ),
    ),
}


@dataclass(slots=True)
class Knobs:
    """What the tenant is made to do; may be changed while it runs."""

    token_life: float = 1800.0  # seconds
    staging_delay: float = 0.0  # seconds from receipt until the status says staged
    answer_delay: float = 0.0  # seconds before an upload is answered
    refuse: str = ""  # content that matches this pattern is refused
    refuse_at: str = "answer"  # answer | status
    lost_answers: list[int] = field(default_factory=list)  # the n-th stored upload gets no answer
    key_case: str = "upper"  # upper | title | lower
    id_place: str = "list"  # list | top | message | object | none
    not_known: int = 400  # 204 | 400: how a status says that there is no row yet
    stage_errors: dict[str, str] = field(default_factory=dict)  # line id -> err_msg
    created_format: str = "%Y-%m-%dT%H:%M:%SZ"  # crtd_dt; whole seconds, as a database DATE has
    redirect: dict[str, int] = field(default_factory=dict)  # pattern of a path -> 301, 302, 307…
    lost_confirms: int = 0  # so many confirmations are carried out and not answered

    def turn(self, changes: dict[str, Any]) -> None:
        """Set several knobs; an unknown one is an AttributeError."""
        for name, value in changes.items():
            setattr(self, name, value)


@dataclass(slots=True)
class Call:
    """One request as it came; `complete` says whether its whole body did."""

    number: int
    method: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    received: int = 0  # bytes of body
    complete: bool = False
    status: int = 0  # of the answer; 0: none was sent

    def header(self, name: str) -> str:
        """The value of a header, "" when it is absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


@dataclass(slots=True)
class Stored:
    """An upload that was taken: `body` is the CSV byte for byte, `rows` are its records."""

    request_id: int
    route: str  # file | csv
    template: str
    file_name: str
    body: bytes
    rows: list[list[str]]
    refused: bool  # its status will say so
    ready_at: float  # monotonic seconds: when the status begins to say staged


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: JSON or no body at all; `lost` closes the connection instead."""

    status: int
    body: dict[str, Any] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    lost: bool = False
    content: bytes | None = None  # a CSV in place of JSON


def said(status: int, word: str, message: str, **more: Any) -> Answer:
    """The usual envelope."""
    return Answer(status, {"status": word, "message": message, **more})


class Books:
    """The tenant's memory. Not safe for threads: the server holds one lock around each call."""

    def __init__(self, knobs: Knobs, auth: str, note: Callable[[Call, list[Fault]], None]) -> None:
        """`note` keeps what the reference does not allow."""
        self.knobs = knobs
        self.auth = auth
        self.note = note
        self.templates = dict(TEMPLATES)
        self.stored: list[Stored] = []
        self.errors: list[tuple[Stored, dict[str, Any]]] = []
        self.mapping_calls: Counter[str] = Counter()
        self.sign_ins = 0
        self.journal = Journal()
        self.report_host = ""
        self._tokens: dict[str, float] = {}  # token -> end of its life in monotonic seconds
        self._ended: set[str] = set()
        self._signed_in_at = float("-inf")
        self._names: set[str] = set()
        self._acts: dict[str, Callable[[Endpoint, Call, bytes], Answer]] = {
            "sign-in token": self._sign_in_token,
            "sign-in oneid": self._sign_in_oneid,
            "upload file": self._upload_file,
            "upload csv": self._upload_csv,
            "status file": self._status_file,
            "status csv": self._status_csv,
            "mapping": self._mapping,
            "stage errors": self._stage_errors,
            "journal list": self._journal_list,
            "journal page": self._journal_page,
            "journal file": self._journal_file,
            "journal confirm": self._journal_confirm,
            "signed url": self._signed_url,
        }

    def act(self, endpoint: Endpoint, call: Call, body: bytes) -> Answer:
        """Do what a complete call asks for; what the reference only mentions has nothing here."""
        if not endpoint.name.startswith("sign-in") and not self._knows_token(call):
            return said(401, "Error", "Invalid or expired token")
        act = self._acts.get(endpoint.name)
        return act(endpoint, call, body) if act else Answer(204)

    def expire_tokens(self) -> None:
        """End every token now; signing in again is then right."""
        self._ended |= set(self._tokens)
        self._tokens.clear()
        self.expect_sign_in()

    def expect_sign_in(self) -> None:
        """Expect one more sign-in: the client was started anew."""
        self._signed_in_at = float("-inf")

    def _knows_token(self, call: Call) -> bool:
        token = call.header("token")
        if self.auth == "oneid":
            bearer = call.header("authorization").removeprefix("Bearer ")
            if token and token != bearer:
                self.note(call, [("token.confused", "the two tokens of one call differ")])
            token = bearer
        if token not in self._tokens and token not in self._ended:
            self.note(call, [("token.unknown", f"{len(token)} characters")])
        return self._tokens.get(token, 0.0) > time.monotonic()

    def _new_token(self, call: Call) -> str:
        now, wall = time.monotonic(), time.time()
        if now < self._signed_in_at + self.knobs.token_life / 2:
            self.note(call, [("sign_in.repeated", "the last token was not half as old as it gets")])
        self._signed_in_at = now
        self.sign_ins += 1
        claims = {"iat": int(wall), "exp": int(wall + self.knobs.token_life), "n": self.sign_ins}
        parts = [json.dumps(part).encode() for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
        parts.append(secrets.token_bytes(32))
        token = ".".join(base64.urlsafe_b64encode(p).decode().rstrip("=") for p in parts)
        self._tokens[token] = now + self.knobs.token_life
        return token

    def _sign_in_token(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        if not call.header("role") or not call.header("clientname"):
            return said(400, "Error", "role and clientname are required")
        given = call.header("authorization"), call.header("role"), call.header("clientname")
        if given != (f"Basic {BASIC}", ROLE, CLIENT_NAME):
            return said(401, "Error", "Invalid credentials")
        headers = (("Revpro-Token", self._new_token(call)),)
        return Answer(200, {"status": "success", "Message": "Token Generated"}, headers)

    def _sign_in_oneid(self, _endpoint: Endpoint, call: Call, body: bytes) -> Answer:
        form = parse_qs(body.decode("ascii", "replace"), keep_blank_values=True)
        asked = {"client_id": [CLIENT_ID], "client_secret": [CLIENT_SECRET]}
        if form.keys() != {*asked, "grant_type"}:
            self.note(call, [("sign_in.form", ", ".join(form))])
        if form != asked | {"grant_type": ["client_credentials"]}:
            return Answer(401, {"error": "invalid_client"})
        body_of = {"access_token": self._new_token(call), "token_type": "bearer"}
        return Answer(200, {**body_of, "expires_in": int(self.knobs.token_life)})

    def _mapping(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        name = parse_qs(call.query).get("templatename", [""])[0]
        self.mapping_calls[name] += 1
        template = self.templates.get(name)
        if template is None:
            return said(400, "Error", "Invalid template name")
        rows = [
            {"client_id": 1, "col_name": column.name, "data_type": column.data_type}
            | {"id": 5000 + seq, "label": column.label, "seq": seq, "upload_id": 77}
            for seq, column in enumerate(template.columns, 1)
        ]
        # The reference orders columns by `seq`, not by their place in the answer.
        return Answer(200, self._cased({"Dateformat": template.date_format, "Mapping": rows[::-1]}))

    def _upload_file(self, endpoint: Endpoint, call: Call, body: bytes) -> Answer:
        name, content, faults = rules.file_part(call.header("content-type"), body)
        self.note(call, faults)
        taken = "" if faults else self._take(endpoint, call, name, content)
        if isinstance(taken, str):
            return Answer(400, self._cased({"status": "Error", "message": taken or faults[0][0]}))
        answer = _with_id(taken, self.knobs.id_place)
        return Answer(200, self._cased(answer), lost=len(self.stored) in self.knobs.lost_answers)

    def _upload_csv(self, endpoint: Endpoint, call: Call, body: bytes) -> Answer:
        name = call.header("filename")
        faults = rules.faults_of_name(name)
        faults += [("file_name.reused", name)] if name in self._names else []
        self.note(call, faults)
        self._names.add(name)
        taken = "" if faults else self._take(endpoint, call, name, body)
        if isinstance(taken, str):
            result = {"client_id": 1, "message": taken or faults[0][0], "status": "Error"}
            told = {"status": "Error", "message": _REFUSED, "result": result}
            return Answer(400, self._cased(told))
        result = {"client_id": 1, "id": taken.request_id, "message": _STAGED, "status": "Success"}
        told = {"status": "Success", "message": _STAGED, "result": result}
        return Answer(200, self._cased(told), lost=len(self.stored) in self.knobs.lost_answers)

    def _take(self, endpoint: Endpoint, call: Call, name: str, content: bytes) -> Stored | str:
        """Store an upload as a whole, or say why nothing of it was taken."""
        template = self.templates.get(call.header("templatename"))
        if template is None:
            self.note(call, [("template.unknown", call.header("templatename"))])
            return "Invalid template name"
        rows, faults = rules.read_rows(content, template, endpoint.limit)
        self.note(call, faults)
        matches = self.knobs.refuse and re.search(self.knobs.refuse, content.decode("latin-1"))
        if faults or (matches and self.knobs.refuse_at == "answer"):
            return faults[0][0] if faults else f"Row contains {self.knobs.refuse}"
        ready = time.monotonic() + self.knobs.staging_delay
        number = 700_001 + 7 * len(self.stored)
        names = endpoint.name.split(" ")[1], call.header("templatename"), name
        self.stored.append(Stored(number, *names, content, rows, bool(matches), ready))
        if not matches:
            self._put_in_error(self.stored[-1], template)
        return self.stored[-1]

    def _put_in_error(self, stored: Stored, template: Template) -> None:
        created = datetime.now(UTC).strftime(self.knobs.created_format)
        for row in stored.rows:
            so_line_id, inv_line_id, kind = (
                _cell(row, template, names) for names in (_LINE, _INVOICE, ("TYPE",))
            )
            reason = self.knobs.stage_errors.get(so_line_id or inv_line_id)
            reason = reason or self.knobs.stage_errors.get(inv_line_id)
            if reason is not None:
                error = {"id": 80_001 + len(self.errors), "err_msg": reason, "type": kind}
                error |= {"so_line_id": so_line_id, "inv_line_id": inv_line_id, "client_id": 1}
                error |= {"crtd_dt": created, "updt_dt": created, "processed_flag": "E"}
                # Nothing says that this is the request id: here it is not.
                error["upload_id"] = str(stored.request_id + 1_000_000)
                self.errors.append((stored, error))

    def _stage_errors(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        kind = call.path.rpartition("/")[2]
        found = [
            error
            for stored, error in self.errors
            if self.templates[stored.template].kind == kind and stored.ready_at <= time.monotonic()
        ]
        if not found:
            return Answer(204)
        return Answer(200, self._cased({"status": "Success", "Result": found}))

    def _status_file(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        stored = self._find(call, "file", call.path.rpartition("/")[2])
        if stored is None or stored.ready_at > time.monotonic():
            return self._nothing(_NOT_KNOWN)
        log = "1 row rejected" if stored.refused else f"{len(stored.rows)} rows staged, 0 failed"
        result = [{"file_request_id": stored.request_id, "file_log": log}]
        word, message = ("Error", _REFUSED) if stored.refused else ("Success", _STAGED)
        told = {"status": word, "message": message, "Result": result}
        return Answer(200, self._cased(told))

    def _status_csv(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        stored = self._find(call, "csv", parse_qs(call.query).get("id", [""])[0])
        if stored is None:
            return self._nothing("No data found")
        result = {"client_id": 1, "id": stored.request_id, "message": "Data Received"}
        result["status"] = "Error" if stored.refused else "Successfully Uploaded"
        return Answer(200, self._cased({"status": "Success", "result": result}))

    # -- batches ---------------------------------------------------------------------------------

    def _journal_list(self, _endpoint: Endpoint, _call: Call, _body: bytes) -> Answer:
        rows = self.journal.listed()
        return (
            Answer(200, self._cased({"status": "Success", "result": rows})) if rows else Answer(204)
        )

    def _journal_page(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        *_, batch, page = call.path.split("/")
        faults, rows = self.journal.page(batch, page, call.query, call.header("pagesize"))
        self.note(call, faults)
        if rows is None:
            return said(400, "Error", "No such batch")
        return Answer(200, {"Status": "Success", "Result": rows}) if rows else Answer(204)

    def _journal_file(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        found = self.journal.batches.get(int(call.path.rpartition("/")[2]))
        return Answer(200, content=found.content) if found else Answer(204)

    def _journal_confirm(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        faults, updated = self.journal.confirm(call.path.rpartition("/")[2])
        self.note(call, faults)
        if not updated:
            return said(400, "Error", "0 row(s) updated")
        self.knobs.lost_confirms -= 1
        return Answer(200, self._cased({"status": "Success"}), lost=self.knobs.lost_confirms >= 0)

    def _signed_url(self, _endpoint: Endpoint, call: Call, _body: bytes) -> Answer:
        path = self.journal.sign(call.path.rpartition("/")[2])
        if not path:
            return Answer(404, {"error": "No such report"})
        return Answer(200, {"signed_url": f"http://{self.report_host}{path}", "success": True})

    def signed(self, query: str) -> Answer:
        """What the signed URL's host serves."""
        content = self.journal.report(query)
        return Answer(403) if content is None else Answer(200, content=content)

    def _find(self, call: Call, route: str, number: str) -> Stored | None:
        for stored in self.stored:
            if (stored.route, str(stored.request_id)) == (route, number):
                return stored
        self.note(call, [("status.unknown_id", f"{route} {number}")])
        return None

    def _nothing(self, message: str) -> Answer:
        if self.knobs.not_known == 204:
            return Answer(204)
        return Answer(400, self._cased({"status": "Error", "message": message}))

    def _cased(self, body: dict[str, Any]) -> dict[str, Any]:
        case = {"upper": str.upper, "title": str.capitalize, "lower": str.lower}
        cased: dict[str, Any] = _with_keys(body, case[self.knobs.key_case])
        return cased


def _with_keys(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {change(key): _with_keys(item, change) for key, item in value.items()}
    return [_with_keys(item, change) for item in value] if isinstance(value, list) else value


def _with_id(stored: Stored, place: str) -> dict[str, Any]:
    """The answer to upload/file: the reference leaves open where the id stands."""
    told: dict[str, Any] = {"status": "Success", "message": "File received successfully"}
    inner = {"file_request_id": stored.request_id, "file_name": stored.file_name}
    if place == "list":
        return told | {"result": [inner | {"file_request_id": str(stored.request_id)}]}
    if place == "top":
        return told | {"result": "None", "file_request_id": stored.request_id}
    if place == "message":
        return told | {"message": f"File received successfully: {stored.request_id}"}
    return told | {"result": inner if place == "object" else None}


def _cell(row: list[str], template: Template, names: tuple[str, ...]) -> str:
    for column, cell in zip(template.columns, row, strict=True):
        if column.name in names:
            return cell
    return ""
