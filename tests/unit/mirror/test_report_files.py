"""How saving the files of many reports ends where none can be had."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from attrs import define, field

from spotdx_async import NotSentError, ServerError, SpotError
from spotdx_async.mirror import Mirror
from spotdx_async.mirror.known_files import KnownFiles
from spotdx_async.mirror.report_files import ReportFiles
from spotdx_async.mirror.store import MirrorFile
from tests.unit.mirror.scripted import ScriptedSpot, batches

T = TypeVar("T")
MANY = 300


@define
class Kits:
    """Kits that cannot be got."""

    error: SpotError
    is_up: bool
    gets: list[str] = field(factory=list)
    probes: int = 0

    async def get(self, kit_id: str) -> Any:
        self.gets.append(kit_id)
        raise self.error

    async def types(self) -> list[str]:
        self.probes += 1
        if not self.is_up:
            raise self.error
        return []


@define
class Client:
    kits: Kits
    requisitions: Any = None
    reports: Any = None


async def run(job: Callable[[], T]) -> T:
    return job()


@pytest.fixture
async def known(tmp_path: Path) -> AsyncIterator[KnownFiles]:
    """The files of many reports, of which none was saved."""
    await Mirror(tmp_path / "spot.db").pull(ScriptedSpot(*batches(range(1, MANY + 1))))
    file = MirrorFile.open(tmp_path / "spot.db", for_pull=True)
    yield KnownFiles(file)
    file.close()


@pytest.mark.parametrize(
    ("error", "is_up"),
    [(NotSentError("gone", reason="outage"), True), (ServerError("503", status=503), False)],
    ids=repr,
)
async def test_an_outage_ends_it_and_not_every_further_kit_is_asked_for(
    known: KnownFiles, tmp_path: Path, error: SpotError, *, is_up: bool
) -> None:
    spot, files = Client(Kits(error, is_up)), ReportFiles(known, run, tmp_path / "reports", ())

    with pytest.raises(type(error)) as caught:
        await files.save(spot)

    assert caught.value is error
    assert len(spot.kits.gets) < 30


async def test_kits_that_the_server_cannot_digest_hold_up_no_others(known: KnownFiles, tmp_path: Path) -> None:
    kits = Kits(ServerError("500", status=500), is_up=True)
    files = ReportFiles(known, run, tmp_path / "reports", ())

    await files.save(Client(kits))

    assert (len(kits.gets), files.failed) == (MANY, MANY)
    assert 0 < kits.probes <= MANY / 16
