"""Closed descriptors, a terminal that goes away and SIGTERM, as real processes meet them."""

import asyncio
import json
import os
import pty
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot, faults
from tests.patience import until

PATIENCE_S = 40
ROWS = 400


@pytest_asyncio.fixture
async def fake(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=ROWS) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = "".join(f"SPOT{number:06},{number}\n" for number in range(1, ROWS + 1))
    (tmp_path / "kits.csv").write_text(f"kit_id,a\nNOPE,x\n{rows}")
    return tmp_path


UPDATE = ("kits", "update", "kits.csv", "--failed", "failed.csv", "--journal", "run.journal", "--json")


async def test_closed_descriptors_change_nothing_about_a_run(fake: FakeSpot, folder: Path) -> None:
    command = f"{sys.executable} -m spotdx_async {' '.join(UPDATE)} <&- >&- 2>&-"

    process = await asyncio.create_subprocess_shell(command, cwd=folder)

    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 1
    assert len(fake.ledger) == ROWS
    assert (folder / "failed.csv").read_text() == "kit_id,a\nNOPE,x\n"
    assert {path.name for path in folder.iterdir()} == {"kits.csv", "failed.csv", "run.journal"}


async def test_a_terminal_that_goes_away_stops_a_run_in_order(fake: FakeSpot, folder: Path) -> None:
    fake.latency_s = 0.05
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", *UPDATE, "--concurrency", "4"),
        stdin=theirs,
        stdout=PIPE,
        stderr=theirs,
        cwd=folder,
        env=env,
        start_new_session=True,
    )
    os.close(theirs)
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: len(fake.ledger) >= 20)
        os.close(ours)  # whatever is written there fails with EIO from now on
        process.send_signal(signal.SIGHUP)  # as the kernel does for the terminal's session
        out, _ = await process.communicate()
    told = json.loads(out)
    assert (process.returncode, told["stopped"]) == (3, "stopped by a signal")
    assert told["ok"] == len(fake.ledger) < ROWS
    assert (folder / "failed.csv").read_text().startswith("kit_id,a\nNOPE,x\n")
    assert "run.journal" in {path.name for path in folder.iterdir()}
    assert "failed.csv.part" not in {path.name for path in folder.iterdir()}


async def test_a_question_that_is_terminated_ends_with_a_word(fake: FakeSpot) -> None:
    fake.faults.add(faults.slow(600), times=None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", "kits", "list"), stdout=PIPE, stderr=PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: fake.counts["requests"])
        process.terminate()
        out, err = await process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert (out, err) == (b"", b"spotdx: stopped: run the command again when you are ready\n")


@pytest.mark.parametrize("command", ["kits list --all --json", "kits get - --json --concurrency 2 < ids.txt"])
async def test_a_reader_that_has_gone_is_sent_nothing_more(fake: FakeSpot, tmp_path: Path, command: str) -> None:
    (tmp_path / "ids.txt").write_text("\n".join(fake.kits))
    fake.latency_s = 0.02
    words = f"{sys.executable} -m spotdx_async {command} | head -n 1"

    process = await asyncio.create_subprocess_shell(words, cwd=tmp_path, stdout=PIPE, stderr=PIPE)

    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert (out.count(b"\n"), err) == (1, b"")
    assert fake.counts["requests"] < (5 if "list" in command else ROWS / 2)
