"""General-ledger batches at the tenant: listed, fetched by three sources, confirmed.

Source: docs/revenue-api.md, 7. What the tenant says is told without any address that stands in it.
"""

import re
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

import anyio

from revsyncd.adapters.gl_pages import PageJoin, PageUnreadable
from revsyncd.adapters.partial import Partial, off_loop
from revsyncd.adapters.revenue_api.report import ReportDownload
from revsyncd.adapters.revenue_api.signed_in import SignedInCalls
from revsyncd.adapters.revenue_api.transport import LARGE, SMALL, Call, SignedUrl, Transport
from revsyncd.core.answer_words import says_nothing_is_known
from revsyncd.core.answers import (
    Answer,
    Fields,
    Form,
    Reading,
    Tone,
    one_line,
    read,
    without_urls,
)
from revsyncd.core.batch import Listed
from revsyncd.core.errors import Busy, NotReady, NotServed, Unreachable
from revsyncd.core.pace import Pace
from revsyncd.ports import Download

PAGE_SIZE = 10_000  # "10,000 at most"; the tenant may serve fewer
LARGEST_PAGE = 4 * LARGE  # bytes
MOST_PAGES = 1_000_000
TRIES = 5  # of one page, or of one file, in a row
RETRIES = Pace(first=1.0, factor=2.0, most=30.0)  # after a cut
_NO_ROW = re.compile(r"\b(?:0|no|zero)\s+row", re.IGNORECASE)
_JSON_STARTS = (b"[", b"{")


class JournalApi:
    """Implements `ports.Journal`."""

    def __init__(self, calls: SignedInCalls, transport: Transport) -> None:
        """`calls` carry the token, `transport` alone goes to signed URLs."""
        self._calls = calls
        self._transport = transport

    async def listed(self) -> list[Listed]:
        """Every batch in the list; none only where the tenant says so, else all would seem confirmed."""
        path = "/v1/journal/list"
        answer = await self._calls.call(Call("GET", path, limit=LARGE))
        reading = read(answer)
        if answer.status == HTTPStatus.NO_CONTENT:
            return []
        rows = [_listed(row) for row in reading.rows]
        found = {row.batch: row for row in sorted(rows, key=lambda row: row.ready) if row.batch}
        if found and answer.is_2xx:
            return list(found.values())
        if says_nothing_is_known(reading.words) or (answer.is_2xx and _empty(reading)):
            return []
        raise Unreachable(f"GET {path}: HTTP {answer.status}: {without_urls(reading.message)}")

    async def confirm(self, batch: str) -> None:
        """Have a batch marked as transferred. Raises NotReady unless the tenant says that it did so."""
        answer = await self._calls.call(Call("PUT", f"/v1/journal/batch/status/{_segment(batch)}"))
        reading = read(answer)
        said = answer.is_2xx and reading.tone is Tone.SUCCESS
        if not said or any(map(_NO_ROW.search, reading.words)):
            told = without_urls(reading.message) or f"HTTP {answer.status}"
            raise NotReady(f"the tenant does not mark batch {batch} as transferred: {told}")

    async def download(self, source: str, batch: Listed, path: Path, most: int) -> Download:
        """See `ports.Journal`."""
        match source:
            case "report":
                return await self._report(batch, path, most)
            case "pages":
                return await self._pages(batch.batch, path, most)
            case _:
                return await self._file(batch.batch, path, most)

    # -- report ----------------------------------------------------------------------------------

    async def _report(self, batch: Listed, path: Path, most: int) -> Download:
        async def signed() -> SignedUrl:
            return await self._signed_url(batch.report_id)

        return await ReportDownload(self._transport, signed, most).fetch(path)

    async def _signed_url(self, report_id: str) -> SignedUrl:
        path = f"/v2/reports/signedurl/{_segment(report_id)}"
        answer = await self._calls.call(Call("GET", path), also=_missing)
        reading = read(answer)
        address = _address(reading) if answer.is_2xx and reading.tone is not Tone.ERROR else ""
        if not address:
            told = without_urls(reading.message) or f"HTTP {answer.status}"
            raise NotServed(f"the tenant gives no address for report {report_id}: {told}")
        return SignedUrl(address)

    # -- file ------------------------------------------------------------------------------------

    async def _file(self, batch: str, path: Path, most: int) -> Download:
        """Fetched anew as a whole when it is cut: the call is not documented to take ranges."""
        for failures in range(1, TRIES + 1):
            try:
                return await self._file_once(batch, path, most)
            except Unreachable:
                if failures == TRIES:
                    raise
            await anyio.sleep(RETRIES.pause(failures))
        raise AssertionError("the last try returns or raises")

    async def _file_once(self, batch: str, path: Path, most: int) -> Download:
        name = f"/v1/download/transferbatchfile/{_segment(batch)}"
        async with self._calls.stream(name) as stream:
            if stream.status != HTTPStatus.OK or stream.is_page:
                await self._no_file(name, stream.status)
            async with Partial(path, most) as part:
                await part.take(stream.portions)
            if stream.length not in (None, part.size):
                raise Unreachable(f"GET {name}: {part.size} of {stream.length} bytes came")
            return Download(part.size, stream.framed)

    async def _no_file(self, name: str, status: int) -> None:
        """Ask again as a plain call: its answer says why, in the usual words."""
        if status == HTTPStatus.NO_CONTENT:
            raise NotServed("the tenant has no file of the batch (any more)")
        answer = await self._calls.call(Call("GET", name), also=_missing)
        told = without_urls(read(answer).message) if answer.status != HTTPStatus.OK else "HTTP 200"
        raise NotServed(f"the tenant gives no file of the batch: {told or answer.status}")

    # -- pages -----------------------------------------------------------------------------------

    async def _pages(self, batch: str, path: Path, most: int) -> Download:
        """All pages joined into one CSV: until one is empty, for a tenant may serve fewer a page.

        204 means "nothing here" in many places. That a batch ends is believed when it is said twice.
        """
        join = PageJoin(path, most)
        try:
            for number in range(1, MOST_PAGES):
                body = await self._page(batch, number) or await self._page(batch, number)
                try:
                    records = await off_loop(join.add, body) if body.strip() else 0
                except PageUnreadable as error:
                    told = f"page {number} of batch {batch} can't be read: {error}"
                    raise Unreachable(told) from None
                if not records:
                    break
            if not join.records:
                raise NotServed(f"the tenant has no lines of batch {batch}")
            return Download(await off_loop(join.finish), proven=True)
        finally:
            await off_loop(join.close)

    async def _page(self, batch: str, number: int) -> bytes:
        """A page's body; nothing where the tenant says that there is none."""
        for failures in range(1, TRIES + 1):
            try:
                return await self._page_once(batch, number)
            except Busy as error:
                if failures == TRIES:
                    raise
                pause = error.retry_after
                await anyio.sleep(RETRIES.pause(failures) if pause is None else min(pause, 300.0))
            except Unreachable:
                if failures == TRIES:
                    raise
                await anyio.sleep(RETRIES.pause(failures))
        raise AssertionError("the last try returns or raises")

    async def _page_once(self, batch: str, number: int) -> bytes:
        size = {"pagesize": str(PAGE_SIZE)}
        path = f"/v1/journal/batch/{_segment(batch)}/{number}"
        call = Call("GET", path, headers=size, params=size, limit=LARGEST_PAGE)
        answer = await self._calls.call(call, also=_looks_like_a_page)
        if answer.status == HTTPStatus.NO_CONTENT:
            return b""
        if not answer.complete:
            raise Unreachable(f"page {number} of batch {batch} was cut")
        if _looks_like_a_page(answer) and not _is_an_error(answer):
            return answer.body
        reading = read(answer)
        if says_nothing_is_known(reading.words):
            return b""
        if answer.is_2xx and not answer.body.strip():  # neither lines nor the end: 204 is that
            raise Unreachable(f"page {number} of batch {batch} came without a body")
        told = without_urls(reading.message) or f"HTTP {answer.status}"
        raise NotServed(f"the tenant gives no page {number} of batch {batch}: {told}")


def _segment(text: str) -> str:
    return quote(text, safe="") if text not in (".", "..") else quote(text).replace(".", "%2E")


def _listed(row: Fields) -> Listed:
    return Listed(
        batch=row.text("id", "batch_id", "je_batch_id"),
        name=one_line(row.text("name", "batch_name")),
        status=row.text("status"),
        updated=row.text("updt_dt", "updated"),
        report_id=row.text("report_id"),
    )


def _empty(reading: Reading) -> bool:
    """Whether a success says in so many words that there is nothing: an empty result."""
    if reading.form is not Form.JSON or reading.rows or reading.tone is Tone.ERROR:
        return False
    names = ("result", "results", "data")
    return bool(reading.top.keys() & set(names)) and reading.top.first(*names) is None


def _missing(answer: Answer) -> bool:
    return answer.status == HTTPStatus.NOT_FOUND


def _looks_like_a_page(answer: Answer) -> bool:
    """A page is read elsewhere: it is long, and only its list is of interest."""
    return answer.is_2xx and answer.body.lstrip()[:1] in _JSON_STARTS


def _is_an_error(answer: Answer) -> bool:
    """A success by HTTP that says it is none: its empty list is not the end of the batch."""
    return len(answer.body) <= SMALL and read(answer).tone is Tone.ERROR


def _address(reading: Reading) -> str:
    for fields in (reading.top, *reading.rows[:1]):
        found = fields.first("signed_url", "url", "result")
        if isinstance(found, str) and "://" in found:
            return found.strip()
    return ""
