"""What goes out: GL batches as a list, as pages, as a report behind a signed URL, as a file; confirming."""

import hashlib
import hmac
import re
from dataclasses import replace

from . import answers
from .answers import Answer
from .call import Call, number
from .journal import Batch
from .tenant import Tenant

_PAGE_SIZE = 1000
_CREDENTIALS = ("token", "authorization", "role", "clientname", "cookie")


async def journal_list(tenant: Tenant, _call: Call) -> Answer:
    """`GET /v1/journal/list`: also batches that are not ready, which a client must pass over."""
    rows = [batch.to_json() for batch in tenant.world.journal.listed()]
    if not rows:
        return answers.nothing()
    return answers.said(tenant.settings, {"status": "Success", "result": rows})


async def journal_page(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/journal/batch/{id}/{page}`, page size by header and query; 204 after the last page."""
    batch = _batch(tenant, call)
    page = number(call.captured[1]) or 0
    if batch is None or page < 1:
        return answers.error(tenant.settings, 400, "No such batch or page")
    rows = batch.page(page, min(_page_size(tenant, call), tenant.settings.page_cap))
    return answers.journal_page(tenant.settings, rows) if rows else answers.nothing()


def _page_size(tenant: Tenant, call: Call) -> int:
    """The size that was asked for, at most the documented limit."""
    given = {call.header("pagesize"), call.query.get("pagesize", "")} - {""}
    sizes = {number(size) or 0 for size in given}
    asked = max(sizes, default=_PAGE_SIZE)
    limit = tenant.settings.page_limit
    if len(sizes) > 1 or not 1 <= asked <= limit:
        tenant.world.violation("pagesize", f"{sorted(given)} where 1 to {limit} is allowed")
    return min(max(asked, 1), limit)


async def confirm(tenant: Tenant, call: Call) -> Answer:
    """`PUT /v1/journal/batch/status/{id}`: 400 unless the batch is ready to transfer."""
    batch = _batch(tenant, call)
    if batch is None or not tenant.world.journal.confirm(batch.id):
        words = "0 row(s) updated. The batch is not ready to transfer"
        return answers.error(tenant.settings, 400, words)
    return answers.said(tenant.settings, {"status": "Success"})


async def batch_file(tenant: Tenant, call: Call) -> Answer:
    """`GET /v1/download/transferbatchfile/{id}`: 204 when there is no file (any more)."""
    batch = _batch(tenant, call)
    if batch is None or not tenant.world.journal.has_file(batch):
        return answers.nothing()
    return _csv(tenant, batch)


async def signed_url(tenant: Tenant, call: Call) -> Answer:
    """`GET /v2/reports/signedurl/{report_id}`: a URL on another host that needs no token."""
    report_id = call.captured[0]
    if _of_report(tenant, report_id) is None:
        return answers.said(tenant.settings, {"error": f"Report {report_id} not found"}, 404)
    expires = str(int(tenant.world.clock() + tenant.settings.signed_life))
    signature = _signature(tenant, report_id, expires)
    url = f"{tenant.report_url}/signed/{report_id}?expires={expires}&signature={signature}"
    return answers.said(tenant.settings, {"signed_url": url, "success": True})


async def signed_report(tenant: Tenant, call: Call) -> Answer:
    """The report behind a signed URL; credentials have no business here and are refused."""
    if shown := [name for name in _CREDENTIALS if call.header(name)]:
        tenant.world.violation("credentials", f"{', '.join(shown)} shown to the signed URL's host")
        return Answer(400, b"Only one auth mechanism allowed\n", "text/plain")
    report_id, expires = call.captured[0], call.query.get("expires", "")
    signature = _signature(tenant, report_id, expires).encode()
    given = call.query.get("signature", "").encode("utf-8", "surrogateescape")
    if not hmac.compare_digest(given, signature) or (number(expires) or 0) <= tenant.world.clock():
        return Answer(403, b"Request has expired\n", "text/plain")
    batch = _of_report(tenant, report_id)
    return (
        Answer(404, b"No such report\n", "text/plain")
        if batch is None
        else _part(tenant, call, batch)
    )


def _csv(tenant: Tenant, batch: Batch) -> Answer:
    ascii_name = batch.name.encode("ascii", "replace").decode().replace("\n", "?")
    named = ("Content-Disposition", f'attachment; filename="{ascii_name}.csv"')
    framing = tenant.settings.framing
    return Answer(200, batch.file(), "text/csv; charset=utf-8", (named,), framing=framing)


def _part(tenant: Tenant, call: Call, batch: Batch) -> Answer:
    """The report, or the end of it that a Range asks for where the host does ranges."""
    whole = _csv(tenant, batch)
    if not tenant.settings.ranges:
        return whole
    etag = f'"{hashlib.sha256(whole.body).hexdigest()[:16]}"'
    tagged = replace(whole, headers=(*whole.headers, ("ETag", etag), ("Accept-Ranges", "bytes")))
    asked = re.fullmatch(r"bytes=([0-9]+)-", call.header("range"))
    if asked is None or call.header("if-range") not in ("", etag):
        return tagged
    start, size = int(asked[1]), len(whole.body)
    if start >= size:
        said = ("Content-Range", f"bytes */{size}")
        return Answer(416, b"", "text/plain", (said,))
    said = ("Content-Range", f"bytes {start}-{size - 1}/{size}")
    return replace(tagged, status=206, body=whole.body[start:], headers=(*tagged.headers, said))


def _batch(tenant: Tenant, call: Call) -> Batch | None:
    return tenant.world.journal.batches.get(number(call.captured[0]) or 0)


def _of_report(tenant: Tenant, report_id: str) -> Batch | None:
    return tenant.world.journal.of_report(number(report_id) or 0)


def _signature(tenant: Tenant, report_id: str, expires: str) -> str:
    message = f"{report_id}\n{expires}".encode("utf-8", "surrogateescape")
    return hmac.new(tenant.signing_key, message, hashlib.sha256).hexdigest()
