"""Report files with aiohttp's requests mocked, as users' own tests have them: the vendor's hosts, and nothing sent."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aioresponses import aioresponses
from yarl import URL

from spotdx_async import OutcomeUnknownError, RetryPolicy, SavedFile, SpotClient

PDF = b"%PDF-1.7\nx\n%%EOF"
VENDORS = "https://app.spotkits.com/results/a.pdf"
OWN = "https://app.spotdx.com/reports/a.pdf"


@pytest.fixture
async def spot() -> AsyncIterator[SpotClient]:
    production = "https://app.spotdx.com"
    async with SpotClient("canary", base_url=production, retry=RetryPolicy(max_attempts=2, base_s=0)) as client:
        yield client


def headers_of(mock: aioresponses, url: str) -> list[dict[str, Any]]:
    return [call.kwargs["headers"] for call in mock.requests["GET", URL(url, encoded=True)]]


async def test_a_file_of_the_vendors_other_host_comes_without_the_token(
    aioresponses_mock: aioresponses, spot: SpotClient, tmp_path: Path
) -> None:
    aioresponses_mock.get(VENDORS, body=PDF)

    saved = await spot.reports.save(VENDORS, tmp_path / "a.pdf")

    digest = "6077f51fbf5ffbb827b2c6d55c90ce10cbbee5ea329655f9dfdddd753621bc84"
    assert saved == SavedFile(tmp_path / "a.pdf", len(PDF), digest)
    (headers,) = headers_of(aioresponses_mock, VENDORS)
    assert (headers["Host"], headers["Accept"]) == ("app.spotkits.com", "*/*")
    assert "Authorization" not in headers


async def test_a_redirect_between_the_vendors_hosts_leaves_the_token_behind(
    aioresponses_mock: aioresponses, spot: SpotClient, tmp_path: Path
) -> None:
    aioresponses_mock.get(OWN, status=302, headers={"Location": VENDORS})
    aioresponses_mock.get(VENDORS, body=PDF)

    await spot.reports.save(OWN, tmp_path / "a.pdf")

    assert [headers["Authorization"] for headers in headers_of(aioresponses_mock, OWN)] == ["Token canary"]
    assert ["Authorization" in headers for headers in headers_of(aioresponses_mock, VENDORS)] == [False]


async def test_fewer_bytes_than_were_announced_are_no_file(
    aioresponses_mock: aioresponses, spot: SpotClient, tmp_path: Path
) -> None:
    aioresponses_mock.get(VENDORS, body=PDF, headers={"Content-Length": str(len(PDF) + 1)}, repeat=True)

    with pytest.raises(OutcomeUnknownError, match="broke before a whole answer came"):
        await spot.reports.save(VENDORS, tmp_path / "a.pdf")

    assert len(headers_of(aioresponses_mock, VENDORS)) == 2
    assert [*tmp_path.iterdir()] == []
