"""A process that may open few files: it goes on with fewer connections, and says so where it cannot."""

import asyncio
import errno
import json
import logging
import os
import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import NotSentError, RetryPolicy
from spotdx_async.cli.app import run
from spotdx_async.cli.open_files import connections_for, spare_files
from spotdx_async.errors import ConfigError
from spotdx_async.files.late_input import LateInput
from spotdx_async.testing import FakeSpot

PATIENCE_S = 60


class Sockets:
    """Lets so many sockets be opened at once, as a limit on open files does; those of a server do not count."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        self.most, self.refused = most, 0
        self._open: list[socket.socket] = []
        outer = self

        class Limited(socket.socket):
            def __init__(self, *args: Any, **options: Any) -> None:
                is_ours = options.get("fileno") is None
                if is_ours and outer.count >= outer.most:
                    outer.refused += 1
                    raise OSError(errno.EMFILE, "too many open files")
                super().__init__(*args, **options)
                if is_ours:
                    outer._open.append(self)

        monkeypatch.setattr(socket, "socket", Limited)

    @property
    def count(self) -> int:
        return sum(one.fileno() >= 0 for one in self._open)


async def test_a_run_goes_on_with_as_many_connections_as_there_can_be(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with FakeSpot(kits=300, latency_s=0.002) as fake, fake.client(concurrency=32) as spot:
        sockets = Sockets(monkeypatch, 3)
        rows = [(kit_id, {"n": 1}) for kit_id in fake.kits]
        with caplog.at_level(logging.WARNING):
            found = [outcome async for outcome in spot.kits.update_metadata_many(rows, concurrency=32)]

        assert {(outcome.state, outcome.attempts) for outcome in found} == {("ok", 1)}
        assert (len(fake.requests), spot.stats.attempts, spot.stats.in_flight) == (300, 300, 0)
        assert (fake.peak_in_flight, sockets.refused >= 29) == (3, True)
    assert not caplog.records


async def test_calls_wait_for_one_another_where_no_more_connections_can_be_opened(
    fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    sockets = Sockets(monkeypatch, 2)
    fake_spot.latency_s = 0.01
    async with fake_spot.client(concurrency=20) as spot:
        await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(40)))

        assert sockets.refused == 18
        assert (spot.stats.attempts, spot.stats.retries) == (40, 0)
        sockets.most = 100
        await asyncio.gather(*(spot.kits.get("SPOT123456") for _ in range(300)))

        assert 2 < sockets.count <= 6


async def test_a_call_alone_that_no_connection_can_be_opened_for_was_surely_not_sent(
    fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    Sockets(monkeypatch, 0)
    async with fake_spot.client(retry=RetryPolicy(max_attempts=2, base_s=0.001)) as spot:
        with pytest.raises(NotSentError, match="too many open files") as raised:
            await spot.kits.get("SPOT123456")

    assert (raised.value.errno, raised.value.attempts) == (errno.EMFILE, 2)
    assert not fake_spot.requests


# --- The command line -------------------------------------------------------------------------------------------------


@contextmanager
def room_for(spare: int) -> Iterator[None]:
    """Let this process open so many more files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY) for _ in range(spare)]
    for number in opened:
        os.close(number)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(opened) + 1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_how_many_files_may_still_be_opened_is_known_by_opening_them() -> None:
    with room_for(7):
        assert (spare_files(100), spare_files(4)) == (7, 4)


def test_connections_leave_room_for_what_else_a_run_opens() -> None:
    with room_for(20):
        assert connections_for(64, has_journal=False, files=0) == 15
        assert connections_for(4, has_journal=True, files=2) == 4
        assert connections_for(64, has_journal=True, files=2) == 7
    with (
        room_for(5),
        pytest.raises(
            ConfigError, match=r"may open only 5 more files at once, and needs 6: raise the limit, .* ulimit -n 1024"
        ),
    ):
        connections_for(64, has_journal=False, files=0)


@pytest.mark.parametrize("command", [["kits", "types"], ["kits", "update", "kits.csv"], ["kits", "get", "K1"]])
def test_a_command_that_can_open_too_few_files_says_so(
    command: list[str], fake_spot: FakeSpot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", fake_spot.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake_spot.url)
    run(["kits", "update", "--help"])  # imports what the command needs
    capsys.readouterr()

    with room_for(5):
        code = run(command)

    assert code == 2
    assert capsys.readouterr().err == (
        "spotdx: this process may open only 5 more files at once, and needs 10: raise the limit, for example with "
        "ulimit -n 1024; nothing was sent\n"
    )
    assert not fake_spot.requests


async def test_a_run_under_a_low_limit_comes_to_its_end_with_all_its_files(tmp_path: Path) -> None:
    async with FakeSpot(kits=60) as fake:
        rows = [*fake.kits, *(f"NONE{number}" for number in range(20))]
        (tmp_path / "kits.csv").write_text("kit_id,a\n" + "".join(f"{kit_id},x\n" for kit_id in rows))
        script = 'ulimit -n 32; exec "$0" -m spotdx_async kits update kits.csv --json "$@"'
        files = ("--journal", "j", "--failed", "failed.csv", "--report", "page.html")
        environment = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url}
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", script, sys.executable, *files),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**environment, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            cwd=tmp_path,
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)

    told = json.loads(out)
    assert (process.returncode, told["ok"], told["failed"], told["stopped"]) == (1, 60, 20, None)
    assert (tmp_path / "failed.csv").read_text().count("NONE") == 20
    assert (tmp_path / "page.html").exists()
    assert b"connections at once instead of 64" in err or b"connection at once instead of 64" in err
    assert b"Traceback" not in err


@pytest.fixture
def gone(fake_spot: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Be in a folder that was deleted, beside a file of rows."""
    monkeypatch.setenv("SPOTDX_TOKEN", fake_spot.token)
    monkeypatch.setenv("SPOTDX_BASE_URL", fake_spot.url)
    (tmp_path / "kits.csv").write_text("kit_id,a\nSPOT123456,x\n")
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()


@pytest.mark.usefixtures("gone")
@pytest.mark.parametrize(
    "command",
    [
        ["runs", "show", "j"],
        ["kits", "update", "{}", "--journal", "j"],
        ["kits", "update", "{}", "--failed", "f"],
        ["kits", "update", "k.csv"],
        ["kits", "types", "--log-file", "x.log"],
    ],
)
def test_a_command_in_a_folder_that_is_gone_says_so(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([word.format(tmp_path / "kits.csv") for word in command]) == 2
    assert "the current folder does not exist any more" in capsys.readouterr().err


async def test_a_thousand_inputs_are_opened_one_at_a_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    files = [tmp_path / f"{number:04}.csv" for number in range(300)]
    for number, path in enumerate(files):
        path.write_text(f"kit_id,a\nSPOT{number + 1:06},x\n")
    async with FakeSpot(kits=300) as fake:
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        with room_for(150):
            code = await asyncio.to_thread(run, ["kits", "update", "--json", *map(str, files)])
        sent = [request.path for request in fake.requests]

    assert (code, json.loads(capsys.readouterr().out)["ok"]) == (0, 300)
    assert len({*sent}) == 300


async def test_an_input_that_was_changed_before_its_turn_is_not_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    first.write_text("kit_id,a\nSPOT000001,x\n")
    second.write_text("kit_id,a\nSPOT000002,x\n")
    opened = LateInput.open

    def changed(file: LateInput) -> None:
        second.write_text("kit_id,b\nSPOT000002,other\n")
        opened(file)

    monkeypatch.setattr(LateInput, "open", changed)
    async with FakeSpot(kits=2) as fake:
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", fake.url)
        code = await asyncio.to_thread(run, ["kits", "update", "--json", str(first), str(second)])
        assert "other" not in str(fake.ledger)  # the first file's row may be stopped before it is sent

    out, err = capsys.readouterr()
    assert (code, json.loads(out)["next_row"]) == (
        3,
        None,
    )  # its rows are not counted as those of the file that was there
    assert f"{second}: it was changed while it was read" in err or f"{second}: it was written to" in err
