"""Plays a fault of a row of a bulk create against the fake server.

A run before it has created something, as the scans want to see. Then a run meets the fault, and the same call follows
an hour later, when all is well again.
"""

import asyncio
import shutil
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import SpotError
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.matrix.create_page import CreateFault
from tests.matrix.create_stage import KITS, Ran, Stage
from tests.matrix.create_surroundings import BETWEEN, KILLS, SET_UPS


async def play_create(
    fault: CreateFault, folder: Path, wall: Callable[[], datetime], patch: pytest.MonkeyPatch
) -> tuple[Ran, Ran, Stage]:
    """Play it; return what the run that meets it did with the row, then what the same call did."""
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeSpot(wall=wall, kits=KITS, orders=[], requisitions=[]))
        with patch.context() as inner:
            stage = Stage(fault, fake, folder / "j", inner, run={**fault.run})
            stage.rows = [stage.row(0)]
            await _ran(stage)
            await asyncio.sleep(5)
            stage.rows.append(stage.row(1))
            if fault.play:
                made: Fault = getattr(faults, fault.play)(**_arguments(fault.having))
                fake.faults.add(made, times=fault.times or None, method="POST")
            if fault.set_up:
                await SET_UPS[fault.set_up](stage)
            first = await (_killed(stage) if fault.killed else _ran(stage))
        await _get_well(stage)
        if fault.between:
            await BETWEEN[fault.between](stage)
        await asyncio.sleep(3600)
        return first, await _ran(stage), stage


async def _get_well(stage: Stage) -> None:
    fake = stage.fake
    fake.faults.clear()
    fake.date_ahead_s = 0.0
    if not stage.is_of_kits and stage.fault.noun != "patients":
        store = getattr(fake, stage.fault.noun)
        store.list_lag_s = 0.0
        store.show_metadata()
    if "server" in stage.fault.set_up:
        await fake.start()
    if stage.other is not None:
        await stage.other.close("stopped")


async def _ran(stage: Stage) -> Ran:
    """Run to the end."""
    ran, sent, looks = Ran(), stage.sent, stage.looks
    async with stage.fake.client(timeout_s=5) as spot:
        run = stage.start(spot)
        try:
            async for outcome in run:
                if outcome.key == stage.key(1):
                    ran.outcome, ran.looks = outcome, stage.looks - looks
                    if stage.on_outcome is not None:
                        await stage.on_outcome()
        except SpotError as error:
            ran.error = error
        ran.duplicates, ran.is_unaudited = len(run.duplicates), run.audit_error is not None
    ran.sent = stage.sent - sent
    return ran


async def _killed(stage: Stage) -> Ran:
    """Run until the process would be killed; what the disk then holds is what the next run finds."""
    kept = stage.journal.with_name("killed")
    kept.mkdir()

    async def kill() -> None:
        for path in stage.journal.parent.glob("j*"):
            if path.name in {"j", "j-wal"}:
                shutil.copy2(path, kept)
        await asyncio.Event().wait()

    await KILLS[stage.fault.killed](stage, kill)
    running = asyncio.create_task(_ran(stage))
    while not (kept / "j").exists():
        await asyncio.sleep(0.1)
        if stage.fault.killed == "under way" and stage.sent:
            await asyncio.sleep(0.5)
            await asyncio.wait([asyncio.ensure_future(kill())], timeout=0.1)
    running.cancel()
    await asyncio.wait([running])
    stage.on_outcome, stage.journal = None, kept / "j"
    stage.rows = [stage.row(0), stage.row(1)]
    return Ran(sent=stage.sent)


def _arguments(having: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.encode() if name == "content" else value for name, value in having.items()}
