"""The progress view in a real terminal: tmux draws it, and what a person would see is read from its screen."""

import asyncio
import os
import re
import shlex
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import attrs
import pytest
import pytest_asyncio

import spotdx_async
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.no_cover

ROWS = 3000
PATIENCE_S = 60
BAR = re.compile(r"^Updating ━*[╸╺]?━* +(\d+)% ([\d,]+) rows [\d,.]+ rows/s (\d+) failures")


class Chaos(Protocol):
    is_full: bool


@attrs.frozen
class Terminal:
    """A terminal of 100 columns with a shell in it."""

    socket: str
    """Names a tmux server of its own."""

    async def tmux(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec("tmux", "-L", self.socket, *words, stdout=PIPE, stderr=PIPE)
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    async def press(self, *keys: str) -> None:
        await self.tmux("send-keys", "-t", "view", *keys)

    async def run(self, command: str) -> None:
        await self.press("-l", command)
        await self.press("Enter")

    async def lines(self) -> list[str]:
        return (await self.tmux("capture-pane", "-p", "-t", "view")).splitlines()

    async def wait_for(self, is_so: Callable[[list[str]], bool]) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while not is_so(lines := await self.lines()):
                await asyncio.sleep(0.05)
        return lines


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=ROWS) as server:
        server.latency_s = 0.05
        yield server


@pytest_asyncio.fixture
async def terminal(chaos: Chaos, fake: FakeSpot, tmp_path: Path) -> AsyncIterator[Terminal]:
    if not chaos.is_full:
        pytest.skip("a real terminal is for the long test set")
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed")
    (tmp_path / "kits.csv").write_text("kit_id,a\n" + "".join(f"SPOT{n:06},1\n" for n in range(1, ROWS + 1)))
    made = Terminal(f"spotdx-{os.getpid()}-{tmp_path.name}")
    shell = f"cd {shlex.quote(str(tmp_path))}; exec env PS1='$ ' bash --norc --noprofile"
    source = Path(spotdx_async.__file__).parents[1]
    environment = {"SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url, "PYTHONPATH": str(source)}
    settings = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
    await made.tmux("-f", os.devnull, "new-session", "-d", "-s", "view", "-x", "100", "-y", "40", *settings, shell)
    yield made
    await made.tmux("kill-server")


def update(*options: str) -> str:
    command = [sys.executable, "-m", "spotdx_async", "kits", "update", "kits.csv", "--concurrency", "20"]
    return shlex.join([*command, *options])


def bars(lines: list[str]) -> list[re.Match[str]]:
    return [found for line in lines if (found := BAR.match(line))]


async def test_a_person_sees_one_bar_that_grows_and_then_the_summary(terminal: Terminal, fake: FakeSpot) -> None:
    fake.faults.add("404", times=3)
    await terminal.run(f"{update()}; echo code $?")

    shares = []
    lines: list[str] = []
    while "code 1" not in lines:
        lines = await terminal.lines()
        seen = bars(lines)
        assert len(seen) <= 1, "\n".join(lines)
        shares += [int(one[1]) for one in seen]
        await asyncio.sleep(0.1)

    assert shares == sorted(shares)
    assert len(set(shares)) >= 5
    (last,) = bars(lines)
    assert (last[1], last[2], last[3]) == ("100", "3,000", "3")
    assert any(line.startswith("3,000 rows read in ") for line in lines)


async def test_a_word_of_the_server_stands_above_the_bar(terminal: Terminal, fake: FakeSpot) -> None:
    fake.faults.add(faults.status(429, retry_after=2))
    await terminal.run(update())

    def has_both(lines: list[str]) -> bool:
        return any("asked for a pause" in line for line in lines) and bool(bars(lines))

    lines = await terminal.wait_for(has_both)

    told = next(index for index, line in enumerate(lines) if "asked for a pause" in line)
    assert told < next(index for index, line in enumerate(lines) if BAR.match(line))
    assert len(bars(lines)) == 1


async def test_ctrl_c_leaves_the_terminal_as_it_was_and_says_how_to_go_on(terminal: Terminal, fake: FakeSpot) -> None:
    await terminal.run(f"{update('--journal', 'run.journal')}; echo code $?")
    await terminal.wait_for(lambda lines: any(int(one[1]) >= 10 for one in bars(lines)))

    await terminal.press("C-c")

    lines = await terminal.wait_for(lambda lines: "code 3" in lines)
    text = " ".join(lines)
    assert "stopping: rows under way have 10 s to finish" in text
    assert "run the same command again to resume" in text
    assert len(bars(lines)) == 1
    assert (await terminal.tmux("display-message", "-p", "-t", "view", "#{cursor_flag}")).strip() == "1"
    assert 0 < len(fake.ledger) < ROWS
    await terminal.run("clear; echo typed")
    await terminal.wait_for(lambda lines: "typed" in lines)


async def test_a_terminal_that_is_made_narrow_still_shows_a_whole_summary(terminal: Terminal) -> None:
    await terminal.run(f"{update()}; echo code $?")
    await terminal.wait_for(lambda lines: bool(bars(lines)))

    await terminal.tmux("resize-window", "-t", "view", "-x", "60", "-y", "40")

    lines = await terminal.wait_for(lambda lines: "code 0" in lines)
    assert any(line.startswith("3,000 rows read in ") for line in lines)
    assert any(line.split()[:2] == ["ok", "3,000"] for line in lines)
