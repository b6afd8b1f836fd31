"""``spotdx kits update --journal`` and ``spotdx runs show``: stopped, killed, resumed, refused."""

import asyncio
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.patience import PATIENCE_S, until

ROWS = 1000
HEADER = "kit_id,a\n"
CSV = HEADER + "".join(f"SPOT{number:06},{number}\n" for number in range(1, ROWS + 1))


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=ROWS) as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kits.csv").write_text(CSV)
    return tmp_path


async def start(fake: FakeSpot, folder: Path, *argv: str) -> Process:
    env = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", *argv), env=env, cwd=folder, stdin=DEVNULL, stdout=PIPE, stderr=PIPE
    )


async def finish(process: Process) -> tuple[int, Any, str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, json.loads(out) if out.startswith(b"{") else out.decode(), err.decode()


async def spotdx(fake: FakeSpot, folder: Path, *argv: str) -> tuple[int, Any, str]:
    return await finish(await start(fake, folder, *argv))


UPDATE = ("kits", "update", "kits.csv", "--journal", "run.journal", "--json")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_in_order_and_the_same_command_goes_on(
    fake: FakeSpot, folder: Path, number: signal.Signals
) -> None:
    fake.latency_s = 0.02
    process = await start(fake, folder, *UPDATE, "--concurrency", "8", "--failed", "failed.csv")
    await until(lambda: fake.counts["requests"] > 100)
    process.send_signal(number)
    code, first, err = await finish(process)

    assert code == 3
    assert first["ok"] + first["skipped"] == first["rows"] < ROWS
    assert first["ok"] == fake.counts["executed"]
    assert "run the same command again to resume" in err
    shown, state, _ = await spotdx(fake, folder, "runs", "show", "run.journal", "--json")
    assert (shown, state["rows"], state["ok"], state["ending"], state["in_use"]) == (
        *(0, first["ok"], first["ok"]),
        *("stopped", False),
    )

    fake.latency_s = 0
    code, second, _ = await spotdx(fake, folder, *UPDATE, "--concurrency", "8", "--failed", "failed.csv")

    assert (code, second["done_before"], second["ok"]) == (0, first["ok"], ROWS - first["ok"])
    assert len(fake.ledger) == ROWS
    assert (folder / "failed.csv").exists() is False


async def test_a_second_signal_stops_at_once_and_leaves_the_journal_intact(fake: FakeSpot, folder: Path) -> None:
    fake.latency_s = 0.01
    process = await start(fake, folder, *UPDATE, "--concurrency", "8")
    await until(lambda: fake.counts["executed"] > 200)
    fake.latency_s = 600
    sent = fake.counts["requests"]
    await until(lambda: fake.counts["requests"] >= sent + 8)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)
    process.send_signal(signal.SIGINT)
    code, first, _ = await finish(process)

    assert code == 3
    fake.latency_s = 0
    code, second, _ = await spotdx(fake, folder, *UPDATE)
    assert (code, second["done_before"]) == (0, first["ok"])
    assert second["ok"] + second["done_before"] == ROWS


async def test_a_journal_that_is_deleted_during_the_run_is_not_what_to_go_on_with(fake: FakeSpot, folder: Path) -> None:
    fake.latency_s = 0.05
    process = await start(fake, folder, *UPDATE, "--concurrency", "4")
    await until(lambda: fake.counts["executed"] > 50)
    (folder / "run.journal").unlink()
    code, told, err = await finish(process)

    assert code == 3
    assert "was moved or deleted during the run" in err
    assert "run the same command again" not in err
    assert f"to resume, pass the same input with --from-row {told['next_row']['row']}\n" in err


async def test_a_killed_run_is_resumed_by_the_same_command(fake: FakeSpot, folder: Path) -> None:
    fake.latency_s = 0.005
    fake.faults.add("400", kit_id="SPOT000003")
    process = await start(fake, folder, *UPDATE, "--concurrency", "8", "--failed", "failed.csv")
    await until(lambda: fake.counts["executed"] > 600)
    process.kill()
    await process.communicate()
    assert (folder / "failed.csv.part").read_text() == HEADER + "SPOT000003,3\n"
    _, told, _ = await spotdx(fake, folder, "runs", "show", "run.journal")
    assert "it was killed: the same command resumes it" in told

    code, summary, err = await spotdx(fake, folder, *UPDATE, "--failed", "failed.csv")

    assert code == 0
    assert "failed.csv.part is what a run that was killed has left: it is kept as failed.csv.1" in err
    assert (folder / "failed.csv.1").read_text() == HEADER + "SPOT000003,3\n"
    assert summary["done_before"] + summary["ok"] == ROWS
    assert summary["done_before"] >= 100
    assert len(fake.ledger) - ROWS <= 8 + 1000
    assert not (folder / "failed.csv").exists()


async def test_a_complete_run_is_left_alone(fake: FakeSpot, folder: Path) -> None:
    assert (await spotdx(fake, folder, *UPDATE))[0] == 0
    sent = fake.counts["requests"]

    code, summary, err = await spotdx(fake, folder, *UPDATE)

    assert (code, summary["skipped"], summary["done_before"], err) == (0, ROWS, ROWS, "")
    assert fake.counts["requests"] == sent
    code, out, _ = await spotdx(fake, folder, "kits", "update", "kits.csv", "--journal", "run.journal")
    assert (code, "done in an earlier session" in out) == (0, True)
    assert stat.S_IMODE((folder / "run.journal").stat().st_mode) == 0o600


async def test_a_changed_file_is_refused_before_anything_is_sent(fake: FakeSpot, folder: Path) -> None:
    (folder / "kits.csv").write_text(CSV[: len(CSV) // 2])
    await spotdx(fake, folder, *UPDATE)
    sent = fake.counts["requests"]
    (folder / "kits.csv").write_text(CSV)

    code, _, err = await spotdx(fake, folder, *UPDATE)

    assert (code, fake.counts["requests"]) == (2, sent)
    assert "resume with the input" in err


async def test_a_journal_in_use_is_refused_and_can_be_looked_at(fake: FakeSpot, folder: Path) -> None:
    fake.latency_s = 0.05
    (folder / "failed.csv").write_text("")
    process = await start(fake, folder, *UPDATE, "--concurrency", "4")
    await until(lambda: fake.counts["executed"] > 20)

    code, _, err = await spotdx(fake, folder, *UPDATE, "--failed", "failed.csv")
    shown, told, _ = await spotdx(fake, folder, "runs", "show", "run.journal")

    assert (code, "in use" in err) == (2, True)
    assert (shown, "under way" in told) == (0, True)
    process.kill()
    await process.communicate()


@pytest.mark.parametrize("content", [None, b"kit_id,a\n"])
async def test_what_is_no_journal_is_said(fake: FakeSpot, folder: Path, content: bytes | None) -> None:
    if content is not None:
        (folder / "run.journal").write_bytes(content)

    code, out, err = await spotdx(fake, folder, "runs", "show", "run.journal")

    assert (code, out, err.count("\n")) == (2, "", 1)


async def test_a_dry_run_makes_no_journal(fake: FakeSpot, folder: Path) -> None:
    code, summary, _ = await spotdx(fake, folder, *UPDATE, "--dry-run")

    assert (code, summary["ok"]) == (0, ROWS)
    assert not (folder / "run.journal").exists()


async def test_coalesced_rows_are_counted(fake: FakeSpot, folder: Path) -> None:
    (folder / "kits.csv").write_text(HEADER + "".join(f"SPOT000001,{number}\n" for number in range(100)))

    code, summary, _ = await spotdx(fake, folder, "kits", "update", "kits.csv", "--coalesce", "--json")

    assert code == 0
    assert summary["superseded"] + summary["ok"] == 100
    assert summary["superseded"] >= 90
    assert fake.kits["SPOT000001"].metadata == {"a": "99"}


async def test_an_outage_is_told_and_its_end_too(fake: FakeSpot, folder: Path) -> None:
    fake.faults.add("503", times=None)
    process = await start(fake, folder, *UPDATE, "--rate", "500")
    await until(lambda: fake.counts["503"] >= 5)
    assert process.stderr is not None
    told = await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)
    fake.faults.clear()
    code, summary, err = await finish(process)

    assert (code, summary["ok"]) == (0, ROWS)
    assert f"the server is unavailable ({fake.url.removeprefix('http://')}: status 503): rows paused" in told.decode()
    assert "the server is back" in err
