import aiohttp
import pytest
from aioresponses import aioresponses

URL = "http://127.0.0.1/api/v2/kit_types"


async def test_the_shimmed_mock_answers(aioresponses_mock: aioresponses) -> None:
    aioresponses_mock.get(URL, payload=["health_kit_1"], headers={"X-A": "b"})

    async with aiohttp.ClientSession() as session, session.get(URL) as response:
        assert response.status == 200
        assert response.headers["X-A"] == "b"
        assert await response.json() == ["health_kit_1"]


async def test_the_shim_is_still_needed() -> None:
    with aioresponses() as mock:
        mock.get(URL, payload=[])
        async with aiohttp.ClientSession() as session:
            try:
                await session.get(URL)
            except TypeError as error:
                assert "stream_writer" in str(error)  # noqa: PT017 - the other outcome needs words of its own
            else:
                pytest.fail("aioresponses works with this aiohttp unaided: delete the shim in tests/conftest.py")
