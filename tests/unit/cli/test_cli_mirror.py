"""How ``spotdx mirror pull --every`` goes on and ends."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.cli import mirror
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.mirror import PullOptions
from spotdx_async.cli.output import Streams
from spotdx_async.cli.settings import Settings
from spotdx_async.mirror import PullReport


class Scripted:
    """A mirror that counts its pulls."""

    path = Path("spot.db")

    def __init__(self) -> None:
        self.pulls = 0

    async def pull(self, *_: Any, **__: Any) -> PullReport:
        self.pulls += 1
        return PullReport()


async def test_a_signal_that_comes_as_the_wait_ends_begins_no_other_pull(monkeypatch: pytest.MonkeyPatch) -> None:
    scripted = Scripted()
    settings = Settings.for_server("http://127.0.0.1:9", "test-token")
    puller = mirror._Puller(scripted, PullOptions(every_s=60.0), settings, Streams())  # type: ignore[arg-type]

    async def sleep(_: float) -> None:
        asyncio.get_running_loop().call_soon(puller._stop)  # once this wait is over, and before anybody knows it

    monkeypatch.setattr("spotdx_async.cli.mirror.asyncio.sleep", sleep)

    assert await puller.run() == Exit.OK
    assert scripted.pulls == 1
