"""The loop of the command line and workers."""

import asyncio
import subprocess
import sys

import pytest

from spotdx_async import own_loop
from spotdx_async.own_loop import run_in_own_loop


async def loop_in_use() -> str:
    return type(asyncio.get_running_loop()).__module__


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not run there")
def test_uvloop_is_taken_where_it_is_installed() -> None:
    assert run_in_own_loop(loop_in_use()) == "uvloop"


def test_without_it_asyncio_does_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_loop, "_new_loop", None)

    assert run_in_own_loop(loop_in_use()).startswith("asyncio.")


def test_the_library_sets_no_loop() -> None:
    program = (
        "import asyncio, sys, spotdx_async; from spotdx_async import SpotClient\n"
        "async def main(): return type(asyncio.get_running_loop()).__module__\n"
        "print(asyncio.run(main()), 'uvloop' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - ours
    assert done.stdout == "asyncio.unix_events False\n"
