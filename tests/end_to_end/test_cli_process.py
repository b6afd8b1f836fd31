"""``python -m spotdx_async`` as a process: pipes, signals, a terminal."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot, faults
from tests.patience import PATIENCE_S, until

ROWS = 800
CSV = "kit_id,a\n" + "".join(f"SPOT{number:06},{number}\n" for number in range(1, ROWS + 1))


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=ROWS) as server:
        yield server


@pytest.fixture
def kits_csv(tmp_path: Path) -> str:
    (tmp_path / "kits.csv").write_text(CSV)
    return str(tmp_path / "kits.csv")


async def start(fake: FakeSpot, *argv: str, **options: Any) -> Process:
    env = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url, **options.pop("env", {})}
    streams = {"stdin": DEVNULL, "stdout": PIPE, "stderr": PIPE, **options}
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "spotdx_async", *argv, env=env, **streams)


async def finish(process: Process, data: bytes | None = None) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(data), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, (out or b"").decode(), (err or b"").decode()


def command_line(process: Process) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_text()


@pytest.mark.parametrize("form", [["--format", "csv"], []])
async def test_rows_come_from_standard_input(fake: FakeSpot, form: list[str]) -> None:
    process = await start(fake, "kits", "update", "-", "--json", *form, stdin=PIPE)
    code, out, err = await finish(process, CSV.encode())
    assert (code, err) == (0, "")
    assert json.loads(out)["ok"] == ROWS
    assert fake.kits[f"SPOT{ROWS:06}"].metadata == {"a": f"{ROWS}"}


async def test_rows_of_a_slow_pipe_are_sent_as_they_come(fake: FakeSpot) -> None:
    process = await start(fake, "kits", "update", "-", "--json", stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(b'{"kit_id": "SPOT000001", "metadata": {"n": 1}}\n')
    await until(lambda: len(fake.ledger) == 1)
    process.stdin.write(b'{"kit_id": "SPOT000002", "metadata": {"n": 2}}\n')
    await until(lambda: len(fake.ledger) == 2)
    code, out, _ = await finish(process, b"")
    assert (code, json.loads(out)["ok"]) == (0, 2)


async def test_the_token_is_in_no_argument(fake: FakeSpot, kits_csv: str) -> None:
    fake.latency_s = 0.2
    process = await start(fake, "kits", "update", kits_csv)
    await until(lambda: fake.counts["requests"] > 0)
    assert fake.token not in command_line(process)
    process.send_signal(signal.SIGTERM)
    await finish(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_lets_what_is_under_way_finish_and_accounts_for_every_row(
    fake: FakeSpot, kits_csv: str, number: signal.Signals
) -> None:
    fake.latency_s = 0.02
    process = await start(fake, "kits", "update", kits_csv, "--json", "--concurrency", "4")
    await until(lambda: fake.counts["requests"] > 20)
    process.send_signal(number)
    code, out, err = await finish(process)
    summary = json.loads(out)
    assert code == 3
    assert summary["ok"] == len(fake.ledger) < ROWS
    assert summary["ok"] + summary["skipped"] == summary["rows"]
    go_on = summary["next_row"]["row"]
    assert summary["ok"] - 8 < go_on <= summary["ok"] + 1
    assert f"with --from-row {go_on}" in err
    again = await start(fake, "kits", "update", kits_csv, "--json", "--from-row", str(go_on))
    code, out, _ = await finish(again)
    assert (code, json.loads(out)["ok"]) == (0, ROWS + 1 - go_on)
    assert len({entry.kit_id for entry in fake.ledger}) == ROWS


async def test_a_second_signal_stops_at_once_and_still_accounts_for_every_row(
    fake: FakeSpot, kits_csv: str, tmp_path: Path
) -> None:
    fake.faults.add(faults.slow(600), times=None)
    failed = tmp_path / "failed.csv"
    process = await start(fake, "kits", "update", kits_csv, "--json", "--concurrency", "4", "--failed", str(failed))
    await until(lambda: fake.counts["requests"] >= 4)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    first = await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)
    assert first.startswith(b"spotdx: stopping")
    process.send_signal(signal.SIGINT)
    code, out, _ = await finish(process)
    summary = json.loads(out)
    assert (code, summary["stopped"]) == (3, "stopped by a signal")
    assert summary["unknown"] == 4  # those that were sent
    assert summary["skipped"] == summary["rows"] - 4
    assert failed.read_text() == "".join(CSV.splitlines(keepends=True)[: summary["rows"] + 1])


async def test_a_signal_ends_the_wait_for_input(fake: FakeSpot) -> None:
    process = await start(fake, "kits", "update", "-", "--json", stdin=PIPE)
    assert process.stdin is not None
    process.stdin.write(b"kit_id,a\nSPOT000001,x\n")
    await until(lambda: len(fake.ledger) == 1)
    process.send_signal(signal.SIGTERM)
    assert process.stdout is not None
    out = await asyncio.wait_for(process.stdout.read(), PATIENCE_S)
    assert await asyncio.wait_for(process.wait(), PATIENCE_S) == 3
    assert json.loads(out)["ok"] == 1
    process.stdin.close()


async def test_a_reader_that_has_gone_changes_nothing_about_the_run(fake: FakeSpot, kits_csv: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = await start(fake, "kits", "update", kits_csv, stdout=writing)
    os.close(writing)
    assert await finish(process) == (0, "", "")
    assert len(fake.ledger) == ROWS
    reading, writing = os.pipe()
    os.close(reading)
    listing = await start(fake, "kits", "list", "--json", stdout=writing, stderr=writing)
    os.close(writing)
    assert (await finish(listing))[0] == 0


async def on_a_terminal(fake: FakeSpot, *argv: str, **env: str) -> tuple[int, str]:
    ours, theirs = pty.openpty()
    process = await start(
        fake, *argv, stdin=theirs, stdout=theirs, stderr=theirs, env={"TERM": "xterm-256color", "COLUMNS": "110", **env}
    )
    os.close(theirs)
    shown = bytearray()
    loop = asyncio.get_running_loop()
    is_over = asyncio.Event()

    def read() -> None:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the other side is closed
            piece = b""
        shown.extend(piece)
        if not piece:
            loop.remove_reader(ours)
            is_over.set()

    loop.add_reader(ours, read)
    async with asyncio.timeout(PATIENCE_S):
        await is_over.wait()
        code = await process.wait()
    os.close(ours)
    return code, shown.decode()


async def test_on_a_terminal_a_live_bar_is_shown_and_then_a_table(fake: FakeSpot, kits_csv: str) -> None:
    fake.latency_s = 0.05
    fake.faults.add("404", times=3)
    code, shown = await on_a_terminal(fake, "kits", "update", kits_csv)
    assert code == 1
    assert "\x1b[2K" in shown
    frames = re.findall(
        r"([\d,]+) rows ([\d,.]+) rows/s (\d+) failures\s+(?:(\d:\d\d) left)?", re.sub(r"\x1b\[[\d;]*m", "", shown)
    )
    assert len(frames) >= 3
    assert any(left for *_, left in frames)
    assert frames[-1][0] == f"{ROWS:,}"
    assert frames[-1][2] == "3"
    assert f"{ROWS:,} rows read" in shown
    assert "\x1b[?25h" in shown  # the cursor is given back


async def test_without_colours_there_are_none(fake: FakeSpot, kits_csv: str) -> None:
    _, coloured = await on_a_terminal(fake, "kits", "update", kits_csv)
    assert re.search(r"\x1b\[(3\d|9\d|38;)", coloured)
    _, plain = await on_a_terminal(fake, "kits", "update", kits_csv, NO_COLOR="1")
    assert not re.search(r"\x1b\[(3\d|9\d|38;)", plain)


async def test_a_pipe_gets_neither_colours_nor_control(fake: FakeSpot) -> None:
    _, out, err = await finish(await start(fake, "kits", "list"))
    assert "\x1b" not in out + err


async def test_the_sandbox_serves_until_it_is_stopped_and_says_how_to_use_it(fake: FakeSpot) -> None:
    sandbox = await start(fake, "sandbox", "--kits", "5", "--faults", "0.2", "--seed", "3", "--ship-after", "0")
    assert sandbox.stdout is not None
    lines = [(await asyncio.wait_for(sandbox.stdout.readline(), PATIENCE_S)).decode() for _ in range(2)]
    settings = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
    assert set(settings) == {"SPOTDX_BASE_URL", "SPOTDX_TOKEN"}
    code, out, _ = await finish(await start(fake, "kits", "list", "--json", env=settings))
    assert (code, len(json.loads(out))) == (0, 6)  # with that of its pending order
    sandbox.send_signal(signal.SIGINT)
    code, _, err = await finish(sandbox)
    assert code == 0
    assert "Ctrl-C stops it" in err
    assert "received" in err


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--port", "70000"], "the port cannot be used"),
        (["--faults", "2"], "--faults is a share of requests, from 0 (none) to 1 (all)"),
        (["--latency", "-1"], "latency_s must be 0 or more"),
        (["--ship-after", "-1"], "--ship-after must be 0 or more seconds"),
        (["--rate-limit", "0"], "rate_limit must be a number"),
    ],
)
async def test_a_sandbox_that_cannot_be_is_refused(fake: FakeSpot, options: list[str], reason: str) -> None:
    code, out, err = await finish(await start(fake, "sandbox", *options))
    assert (code, out) == (2, "")
    assert reason in err


async def test_a_port_in_use_is_said(fake: FakeSpot) -> None:
    port = fake.url.rpartition(":")[2]
    code, _, err = await finish(await start(fake, "sandbox", "--port", port))
    assert code == 2
    assert "the port cannot be used" in err
