"""Colours on a real terminal, and none where they were switched off or nobody looks; nothing else is lost with them."""

import asyncio
import os
import pty
import re
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async.testing import FakeSpot
from tests.patience import PATIENCE_S

STYLE = re.compile(r"\x1b\[[\d;]*m")
CONTROL = "\x1b"


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=50) as server:
        server.latency_s = 0.01
        yield server


@pytest.fixture
def kits_csv(tmp_path: Path) -> str:
    (tmp_path / "kits.csv").write_text("kit_id,a\n" + "".join(f"SPOT{number:06},1\n" for number in range(1, 51)))
    return str(tmp_path / "kits.csv")


def environment(fake: FakeSpot, **changes: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "FORCE_COLOR"}}
    about = {"SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url, "TERM": "xterm-256color", "COLUMNS": "100"}
    return {**inherited, **about, **changes}


async def on_a_terminal(fake: FakeSpot, *argv: str, **changes: str) -> str:
    """Run a command with both its outputs on a terminal; give all that was written to it."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", *argv),
        env=environment(fake, **changes),
        stdin=DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, is_over, loop = bytearray(), asyncio.Event(), asyncio.get_running_loop()

    def read() -> None:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other side has closed
            piece = b""
        shown.extend(piece)
        if not piece:
            loop.remove_reader(ours)
            is_over.set()

    loop.add_reader(ours, read)
    async with asyncio.timeout(PATIENCE_S):
        await is_over.wait()
        await process.wait()
    os.close(ours)
    return shown.decode()


COMMANDS = [["doctor"], ["kits", "get", "SPOT000001"], ["kits", "update"], ["kits", "list", "--help"]]


def completed(argv: list[str], kits_csv: str) -> list[str]:
    return [*argv, kits_csv] if argv == ["kits", "update"] else argv


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
async def test_a_terminal_gets_colours(fake: FakeSpot, argv: list[str], kits_csv: str) -> None:
    assert STYLE.search(await on_a_terminal(fake, *completed(argv, kits_csv)))


@pytest.mark.parametrize("argv", COMMANDS[1:3], ids=" ".join)
@pytest.mark.parametrize(
    ("option", "changes"),
    [(["--no-color"], {}), ([], {"NO_COLOR": "1"}), ([], {"TERM": "dumb"})],
    ids=["--no-color", "NO_COLOR", "TERM=dumb"],
)
async def test_a_terminal_gets_none_where_they_are_off(
    fake: FakeSpot, argv: list[str], kits_csv: str, option: list[str], changes: dict[str, str]
) -> None:
    shown = await on_a_terminal(fake, *completed(argv, kits_csv), *option, **changes)

    assert not STYLE.search(shown)
    assert "Traceback" not in shown
    assert any(word in shown for word in ("ok", "SPOT000001", "--limit"))


async def test_the_switch_works_anywhere_on_the_line(fake: FakeSpot) -> None:
    for argv in (["--no-color", "doctor"], ["kits", "--no-color", "list", "--help"]):
        assert not STYLE.search(await on_a_terminal(fake, *argv))


async def test_a_bar_moves_without_colours_too(fake: FakeSpot, kits_csv: str) -> None:
    shown = await on_a_terminal(fake, "kits", "update", kits_csv, "--no-color", "--rate", "50")

    assert shown.count("50 rows") >= 1
    assert "\x1b[2K" in shown  # the line is drawn over itself


async def test_a_terminal_that_cannot_draw_gets_lines_alone(fake: FakeSpot, kits_csv: str) -> None:
    assert CONTROL not in await on_a_terminal(fake, "kits", "update", kits_csv, TERM="dumb")


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
async def test_a_pipe_gets_neither_colours_nor_control(fake: FakeSpot, argv: list[str], kits_csv: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", *completed(argv, kits_csv)),
        env=environment(fake),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)

    assert CONTROL not in (out + err).decode()
    assert process.returncode == 0
