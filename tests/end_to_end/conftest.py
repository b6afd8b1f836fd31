"""A fake server, and the command line that talks to it; a file whose server differs has a ``fake`` of its own."""

import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.command_line import Done, Spotdx, Terminal
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


@pytest.fixture
def asked(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch) -> Spotdx:
    """Run a command on a terminal, on which the first word is typed."""
    monkeypatch.setenv("TERM", "dumb")

    async def command(answer: str, *argv: object) -> Done:
        with monkeypatch.context() as terminal:
            terminal.setattr(sys, "stdin", Terminal(answer))
            terminal.setattr(sys, "stderr", seen := Terminal())
            done = await spotdx(*argv)
        return Done(done.code, done.out, seen.getvalue())

    return command
