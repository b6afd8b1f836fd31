"""The pytest plugin that is installed with the package: fixtures ``fake_spot`` and ``spot_client``.

pytest imports it in every run of every user, so that it imports neither the SDK nor aiohttp before a fixture is used.
"""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, NoReturn

import pytest

if TYPE_CHECKING:
    from spotdx_async import SpotClient
    from spotdx_async.testing.harness import FakeSpot

try:
    import pytest_asyncio
except ImportError:

    def _explain() -> NoReturn:
        pytest.fail("the fixtures of spotdx_async need pytest-asyncio: install it beside pytest", pytrace=False)

    @pytest.fixture(name="fake_spot")
    def fake_spot_unavailable() -> NoReturn:
        """Say what is missing."""
        _explain()

    @pytest.fixture(name="spot_client")
    def spot_client_unavailable() -> NoReturn:
        """Say what is missing."""
        _explain()

else:

    @pytest_asyncio.fixture
    async def fake_spot() -> "AsyncIterator[FakeSpot]":
        """A fake Spot API on loopback, started, with the documented example kit and two others."""
        from spotdx_async.testing.harness import FakeSpot  # noqa: PLC0415 - see the module's docstring

        async with FakeSpot() as fake:
            yield fake

    @pytest_asyncio.fixture
    async def spot_client(fake_spot: "FakeSpot") -> "AsyncIterator[SpotClient]":
        """A client of ``fake_spot``, closed after the test."""
        async with fake_spot.client() as client:
            yield client
