"""What comes in: mapping, the two upload routes, their status, and the lines in error."""

import json

from anyio import to_thread

from . import answers, multipart
from .answers import Answer
from .call import Call, number
from .multipart import Malformed, Part
from .templates import Kind, Template, Type
from .tenant import Tenant
from .uploads import CLIENT_ID, Arrival, Route, Upload

_BOM = b"\xef\xbb\xbf"
_DATABASE_TYPES = {Type.CHARACTER: "VARCHAR2", Type.NUMBER: "NUMBER", Type.DATE: "DATE"}
_FIRST_COLUMN_ID = 3001
_CSV_TYPES = ("text/plain", "text/csv")


class Refused(Exception):
    """The call is answered with 400, or another status, and these words."""

    def __init__(self, words: str, status: int = 400) -> None:
        """Keep the words and the status."""
        super().__init__(words)
        self.words = words
        self.status = status


async def mapping(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/upload/mapping?templatename=`."""
    settings = tenant.settings
    name = call.query.get("templatename", "")
    template = settings.template(name)
    if template is None:
        return answers.error(settings, 400, f"Template {name!r} does not exist")
    rows = [_column(tenant, template, seq) for seq in range(1, len(template.columns) + 1)]
    return answers.said(settings, {"Dateformat": template.date_format, "Mapping": rows})


def _column(tenant: Tenant, template: Template, seq: int) -> dict[str, object]:
    column = template.columns[seq - 1]
    shown = _DATABASE_TYPES[column.type] if tenant.settings.database_types else column.type.value
    return {
        "client_id": CLIENT_ID,
        "col_name": column.name,
        "data_type": shown,
        "id": _FIRST_COLUMN_ID + seq,
        "label": column.label,
        "seq": seq,
        "upload_id": tenant.settings.templates.index(template) + 1,
    }


async def upload_file(tenant: Tenant, call: Call) -> Answer:
    """`POST /v1/upload/file`: a form with a part `file`; its fate is told by the status."""
    try:
        template = _template(tenant, call)
        part = await _file_part(tenant, call)
        upload = await _take(tenant, call, Route.FILE, template, part)
    except Refused as refused:
        return answers.error(tenant.settings, refused.status, refused.words)
    return answers.received(tenant.settings, upload)


async def csv_upload(tenant: Tenant, call: Call) -> Answer:
    """`POST /v1/csv/upload`: the CSV itself, staged or refused before the answer."""
    try:
        template = _template(tenant, call)
        _check_csv_head(tenant, call)
        await to_thread.run_sync(_check_csv_lines, tenant, call)
        whole = Part("file", call.header("filename"), 0, call.body.size)
        upload = await _take(tenant, call, Route.CSV, template, whole)
    except Refused as refused:
        return answers.error(tenant.settings, refused.status, refused.words)
    return answers.loaded(tenant.settings, await tenant.conclude(upload))


def _template(tenant: Tenant, call: Call) -> Template:
    name = call.header("templatename")
    if not name:
        tenant.world.violation("templatename", f"missing on {call.path}")
        raise Refused("templatename is missing in the header")
    template = tenant.settings.template(name)
    if template is None:
        raise Refused(f"Template {name!r} does not exist")
    return template


async def _file_part(tenant: Tenant, call: Call) -> Part:
    """The form's part `file` with its file name."""
    try:
        boundary = multipart.boundary_of(call.header("content-type"))
        with call.body.view() as data:
            parts = await to_thread.run_sync(multipart.parse, data, boundary)
    except Malformed as malformed:
        tenant.world.violation("multipart", str(malformed))
        raise Refused(f"File could not be read: {malformed}") from malformed
    part = next((each for each in parts if each.name == "file"), None)
    if part is None or not part.file_name:
        tenant.world.violation("multipart", "no part `file` with a file name")
        raise Refused("No part `file` with a file name in the form")
    return part


def _check_csv_head(tenant: Tenant, call: Call) -> None:
    kind = call.header("content-type").partition(";")[0].strip().lower()
    if kind not in _CSV_TYPES:
        tenant.world.violation("content_type", f"{kind!r} on {call.path}")
        raise Refused("Content-Type must be text/plain", 415)
    if not call.header("filename"):
        tenant.world.violation("filename", f"missing on {call.path}")
        raise Refused("filename is missing in the header")


def _check_csv_lines(tenant: Tenant, call: Call) -> None:
    limit = tenant.settings.csv_line_limit
    with call.body.view() as data:
        lines = sum(data[at : at + 65_536].count(b"\n") for at in range(0, len(data), 65_536))
    if lines > limit + 1:
        tenant.world.violation("csv_lines", f"{lines} lines in {call.header('filename')}")
        raise Refused(f"More than {limit} lines in one request")


async def _take(tenant: Tenant, call: Call, route: Route, template: Template, part: Part) -> Upload:
    """Store a part of the body and accept it."""
    if part.start == part.end:
        raise Refused("File is empty")
    _look_at(tenant, call, part)
    request_id = tenant.world.next_request_id()
    path = tenant.uploads / f"{request_id}.csv"
    sha256 = await to_thread.run_sync(call.body.save, path, part.start, part.end)
    if route is Route.CSV and not tenant.world.claim_name(part.file_name):
        path.unlink()
        tenant.world.violation("filename", f"{part.file_name} was used before")
        raise Refused(f"File name {part.file_name!r} already exists")
    size = part.end - part.start
    arrival = Arrival(route, template, part.file_name, path, size, sha256)
    upload = tenant.world.receive(request_id, arrival)
    path.with_suffix(".json").write_text(json.dumps(upload.to_json(), indent=1) + "\n")
    return upload


def _look_at(tenant: Tenant, call: Call, part: Part) -> None:
    """Record what a client may not do but the tenant takes all the same."""
    if not part.file_name.isascii():
        tenant.world.violation("file_name", f"not ASCII: {part.file_name!r}")
    with call.body.view() as data:
        if data[part.start : part.start + 3] == _BOM:
            tenant.world.violation("bom", f"{part.file_name} begins with a byte order mark")


async def file_status(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/fileupload/status/{file_request_id}`."""
    return answers.file_status(tenant.settings, _upload(tenant, call.captured[0], Route.FILE))


async def csv_status(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/csv/upload/status?id=`."""
    return answers.csv_status(tenant.settings, _upload(tenant, call.query.get("id", ""), Route.CSV))


def _upload(tenant: Tenant, request_id: str, route: Route) -> Upload | None:
    upload = tenant.world.uploads.get(number(request_id) or 0)
    return upload if upload is not None and upload.route is route else None


async def stage_errors(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/stage/error/{transaction|event}`."""
    kind = call.captured[0]
    if kind not in {Kind.TRANSACTION, Kind.EVENT}:
        tenant.world.violation("unknown_call", f"stage errors of {kind!r}")
        return answers.error(tenant.settings, 404, "Not found")
    rows = [error.to_json() for error in tenant.world.errors_of(Kind(kind))]
    return answers.stage_errors(tenant.settings, rows)
