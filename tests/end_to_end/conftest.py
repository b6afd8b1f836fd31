"""A fake server, and the command line that talks to it; a file whose server differs has a ``fake`` of its own."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.command_line import Done, Spotdx
from tests.command_line import spotdx as run_command


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot() as server:
        yield server


@pytest.fixture
def spotdx(fake: FakeSpot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Spotdx:
    """Run a command in a thread, so that its loop and the server's run side by side."""
    monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)

    async def command(*argv: object) -> Done:
        return Done(await run_command(*argv), *capsys.readouterr())

    return command
