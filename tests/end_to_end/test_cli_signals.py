"""Ctrl-C, as a real process gets it: a polite end with a line about what to do next, and never a traceback."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot, faults
from tests.patience import PATIENCE_S, until

CSV = "kit_id,a\n" + "".join(f"SPOT{number:06},{number}\n" for number in range(1, 501))


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=500) as server:
        yield server


@pytest.fixture
def kits_csv(tmp_path: Path) -> str:
    (tmp_path / "kits.csv").write_text(CSV)
    return str(tmp_path / "kits.csv")


async def start(fake: FakeSpot, *argv: str, how: tuple[str, ...] = ("-m", "spotdx_async")) -> Process:
    env = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url}
    return await asyncio.create_subprocess_exec(
        sys.executable, *how, *argv, env=env, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )


async def finish(process: Process) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    assert "Traceback" not in err.decode()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize(
    "argv", [["kits", "get", "SPOT000001"], ["kits", "list"], ["orders", "list"], ["doctor"]], ids=" ".join
)
async def test_a_question_that_is_interrupted_ends_with_130_and_one_line(fake: FakeSpot, argv: list[str]) -> None:
    fake.faults.add(faults.slow(600), times=None)
    process = await start(fake, *argv)
    await until(lambda: fake.counts["requests"] > 0)

    process.send_signal(signal.SIGINT)

    code, _, err = await finish(process)
    assert (code, err) == (130, "spotdx: stopped: run the command again when you are ready\n")


async def test_an_update_that_is_interrupted_says_how_to_go_on_and_goes_on(
    fake: FakeSpot, kits_csv: str, tmp_path: Path
) -> None:
    fake.latency_s = 0.02
    command = ("kits", "update", kits_csv, "--concurrency", "4", "--journal", str(tmp_path / "run.journal"), "--json")
    process = await start(fake, *command)
    await until(lambda: len(fake.ledger) > 20)

    process.send_signal(signal.SIGINT)

    code, out, err = await finish(process)
    done = json.loads(out)["ok"]
    assert code == 3
    assert done == len(fake.ledger) < 500
    assert "stopping: rows under way have 10 s to finish; another signal stops at once" in err
    assert "run the same command again to resume; spotdx runs show" in err
    fake.latency_s = 0
    code, out, _ = await finish(await start(fake, *command))
    assert (code, json.loads(out)["ok"]) == (0, 500 - done)
    assert sorted(entry.kit_id for entry in fake.ledger) == sorted(fake.kits)


async def test_what_never_finishes_holds_an_interrupted_update_for_its_grace_alone(
    fake: FakeSpot, kits_csv: str
) -> None:
    fake.faults.add(faults.slow(600), times=None)
    process = await start(fake, "kits", "update", kits_csv, "--concurrency", "4", "--json", "--timeout", "600")
    await until(lambda: fake.counts["requests"] >= 4)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    process.send_signal(signal.SIGTERM)

    code, out, err = await finish(process)
    summary = json.loads(out)
    assert 9 < loop.time() - began_s < 20
    assert (code, summary["stopped"]) == (3, "stopped by a signal")
    assert summary["unknown"] + summary["skipped"] == summary["rows"]
    assert "to resume, pass " in err


async def test_a_signal_in_a_pause_ends_at_once_and_calls_nothing_unknown_that_was_not_sent(
    fake: FakeSpot, kits_csv: str
) -> None:
    fake.faults.add(faults.status(429, retry_after=300), times=None)
    process = await start(fake, "kits", "update", kits_csv, "--json")
    await until(lambda: fake.counts["requests"] >= 1)
    await until(lambda: fake.in_flight == 0)
    loop = asyncio.get_running_loop()
    began_s = loop.time()

    process.send_signal(signal.SIGTERM)

    code, out, _ = await finish(process)
    summary = json.loads(out)
    assert loop.time() - began_s < 8
    assert (code, summary["unknown"], summary["failed"]) == (3, 0, 0)
    assert summary["skipped"] == summary["rows"] > 0


async def test_of_two_signals_at_once_only_what_was_sent_is_unknown(fake: FakeSpot, kits_csv: str) -> None:
    fake.faults.add(faults.slow(600), times=None)
    process = await start(fake, "kits", "update", kits_csv, "--concurrency", "4", "--json", "--timeout", "600")
    await until(lambda: fake.counts["requests"] >= 4)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)

    code, out, _ = await finish(process)
    summary = json.loads(out)
    assert (code, summary["stopped"]) == (3, "stopped by a signal")
    assert summary["unknown"] == fake.counts["requests"] == 4
    assert summary["skipped"] == summary["rows"] - 4 > 0


@pytest.mark.parametrize("has_journal", [False, True])
async def test_after_two_signals_the_failed_file_holds_every_row_that_was_read_and_is_not_done(
    fake: FakeSpot, kits_csv: str, tmp_path: Path, *, has_journal: bool
) -> None:
    journal = ("--journal", str(tmp_path / "run.journal")) if has_journal else ()
    fake.latency_s = 0.01
    command = ("kits", "update", kits_csv, "--concurrency", "8", "--failed", str(tmp_path / "failed.csv"), "--json")
    process = await start(fake, *command, "--timeout", "600", *journal)
    await until(lambda: fake.counts["executed"] > 50)
    fake.latency_s = 600
    sent = fake.counts["requests"]
    await until(lambda: fake.counts["requests"] >= sent + 8)

    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)

    code, out, _ = await finish(process)
    summary, failed = json.loads(out), (tmp_path / "failed.csv").read_text().splitlines()
    rows = CSV.splitlines()
    done = {entry.kit_id for entry in fake.ledger}
    assert (code, summary["unknown"]) == (3, fake.counts["requests"] - summary["ok"])
    assert summary["ok"] + summary["skipped"] + summary["unknown"] == summary["rows"]
    assert failed == [rows[0], *(row for row in rows[1 : summary["rows"] + 1] if row.partition(",")[0] not in done)]


async def test_rows_cut_off_at_the_end_of_the_input_are_told_with_how_to_send_them_again(
    fake: FakeSpot, tmp_path: Path
) -> None:
    rows = tmp_path / "three.csv"
    rows.write_text("".join(CSV.splitlines(keepends=True)[:4]))
    fake.faults.add(faults.slow(600), times=None)
    process = await start(fake, "kits", "update", str(rows), "--json")
    await until(lambda: fake.counts["requests"] >= 3)
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).startswith(b"spotdx: stopping")

    process.send_signal(signal.SIGINT)

    code, out, err = await finish(process)
    assert (code, json.loads(out)["unknown"]) == (3, 3)
    assert "to resume, pass the same input with --from-row 1" in err
    assert "wait 60 s first" in err


async def test_an_interrupt_while_the_command_is_still_loading_ends_with_one_line() -> None:
    script = """
import sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "cyclopts":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupts())
sys.argv[1:] = ["kits", "types"]
from spotdx_async.__main__ import main
main()
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=PIPE, stderr=PIPE)

    assert await finish(process) == (130, "", "spotdx: stopped\n")


SIGNALS_AFTER_ALL_ROWS = """
import asyncio, atexit, signal, sys
from spotdx_async import SpotClient
from spotdx_async.cli import app, row_run
from spotdx_async.cli.output import Streams
from spotdx_async.cli.progress import LateSignals

def signals(*_):
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.raise_signal(getattr(signal, name))

leave, close, show = SpotClient.__aexit__, asyncio.Runner.close, row_run.show_summary
exit_run = row_run.RowRun.__exit__
def terminated(act):
    def acting(*args, **options):
        signal.raise_signal(signal.SIGTERM)
        return act(*args, **options)
    return acting
def twice(self, *error):
    try:
        signals()
    finally:
        exit_run(self, *error)
async def left(self, *error):
    signals()
    await asyncio.sleep(0)
    return await leave(self, *error)
def closed(self):
    close(self)
    signals()
def shown(*args, **options):
    show(*args, **options)
    signals()
match sys.argv.pop(1):
    case "the client is closed":
        SpotClient.__aexit__ = left
    case "the loop is closed":
        asyncio.Runner.close = closed
    case "the files are closed, once":
        row_run.RowRun.__exit__ = terminated(exit_run)
    case "the files are closed":
        row_run.RowRun.__exit__ = twice
    case "the summary begins, once":
        row_run.show_summary = terminated(show)
    case "the summary is shown":
        row_run.show_summary = shown
    case "it is told that the summary was cut off":
        row_run.show_summary, say = shown, Streams.say
        Streams.say = lambda self, text: (signals() if "cut off" in text else None, say(self, text))
    case "the signals are given back":
        give_back = LateSignals.give_back
        LateSignals.give_back = lambda self: (give_back(self), signals())
    case "the run is over":
        app._run_logged = lambda *args, inner=app._run_logged: (inner(*args), signals())
    case "Python shuts down":
        row_run.show_summary = lambda *args, **options: (show(*args, **options), atexit.register(signals))
    case "Python has nearly ended":
        atexit.register(signals)
from spotdx_async.__main__ import main
main()
"""


WHENS = (
    *("the client is closed", "the loop is closed", "the files are closed, once", "the files are closed"),
    *("the summary begins, once", "the summary is shown", "it is told that the summary was cut off"),
    *("the signals are given back", "the run is over", "Python shuts down", "Python has nearly ended"),
)


@pytest.mark.parametrize("when", WHENS)
async def test_signals_after_the_last_row_change_neither_files_nor_the_exit_code(
    fake: FakeSpot, tmp_path: Path, when: str
) -> None:
    rows, failed = tmp_path / "three.csv", tmp_path / "failed.csv"
    rows.write_text("kit_id,a\nSPOT000001,x\nNOPE,x\nSPOT000002,x\n")
    command = ("kits", "update", str(rows), "--failed", str(failed), "--json")

    code, out, err = await finish(await start(fake, when, *command, how=("-c", SIGNALS_AFTER_ALL_ROWS)))

    summary = json.loads(out)
    assert (code, summary["stopped"], summary["ok"], summary["failed"]) == (1, None, 2, 1)
    assert failed.read_text() == "kit_id,a\nNOPE,x\n"
    assert "stop" not in err
    assert ("the exit code is right all the same" in err) == (when == "the summary is shown")
