"""Real programs beside the tests, such as a proxy: found, started on a port of their own, ended."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

__all__ = ["answers", "find", "free_port", "running"]


def find(name: str, package: str) -> str:
    """Return a program's path; without it the test skips, or fails where SPOTDX_NEED_<NAME> says it must be there."""
    found = shutil.which(name)
    if found is not None:
        return found
    need = f"SPOTDX_NEED_{name.upper()}"
    if os.environ.get(need):
        pytest.fail(f"{need} is set, and there is no {name}")
    pytest.skip(f"{name} is not installed: apt-get install {package}")


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def answers(port: int, process: subprocess.Popen[bytes] | None = None) -> None:
    """Return once a port of loopback accepts a connection; fail where the program has ended before."""
    async with asyncio.timeout(20):
        while True:
            assert process is None or process.poll() is None, "the program has ended"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return


@asynccontextmanager
async def running(*command: str, port: int) -> AsyncIterator[subprocess.Popen[bytes]]:
    """Run a program that stays in the foreground, from the moment at which its port answers."""
    process = subprocess.Popen(command)  # noqa: ASYNC220, S603 - a program that was found, with settings of ours
    try:
        await answers(port, process)
        yield process
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 10)
        except subprocess.TimeoutExpired:  # tinyproxy misses a signal that comes between its look for one and its wait
            process.kill()
            await asyncio.to_thread(process.wait)
