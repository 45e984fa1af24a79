from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from revsyncd.adapters.revenue_api.report import ReportDownload
from revsyncd.adapters.revenue_api.transport import SignedUrl, Stream, Transport
from revsyncd.core.errors import NotServed


class Elsewhere:
    """A host that sends everybody to one address."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.asked: list[str] = []

    @asynccontextmanager
    async def outside(self, url: SignedUrl, headers: Mapping[str, str]) -> AsyncIterator[Stream]:
        """A redirect."""
        assert "token" not in headers
        self.asked.append(url.text)
        yield Stream(307, {"location": self.location}, _nothing())


async def _nothing() -> AsyncIterator[bytes]:
    yield b""


@pytest.mark.parametrize("location", ["http://127.0.0.1:9/secret", "http://localhost/admin"])
async def test_a_report_host_can_t_send_us_to_this_machine(tmp_path: Path, location: str) -> None:
    """Plain http serves trials on one host; what began with https stays with it."""
    host = Elsewhere(location)

    async def signed() -> SignedUrl:
        return SignedUrl("https://reports.example.com/r?sig=x")

    download = ReportDownload(cast("Transport", host), signed, 1000)
    with pytest.raises(NotServed, match="from https to http") as refused:
        await download.fetch(tmp_path / "report")
    assert host.asked == ["https://reports.example.com/r?sig=x"]
    assert location not in str(refused.value)
