"""A real server of the Redis protocol for each test that asks for one: a free port, no persistence, loopback only."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.limits.virtual_server import VirtualServer

BINARIES = ("redis-server", "valkey-server")


class RedisServer:
    """Starts, stops and kills it; what it held is gone each time."""

    def __init__(self, binary: str, *, password: str | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._binary = binary
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        user = "" if self._password is None else f":{self._password}@"
        return f"redis://{user}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        if self._password is not None:
            command += ["--requirepass", self._password]
        self._process = subprocess.Popen(  # noqa: S603 - the program that was found, with arguments of ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if b"eady to accept connections" in line:
                return
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()


@pytest.fixture(scope="session")
def redis_binary() -> str:
    """The server's program; the tests skip without one, and fail where SPOTDX_NEED_REDIS says that it must be there."""
    found = next((path for name in BINARIES if (path := shutil.which(name))), None)
    if found is None:
        reason = f"none of {', '.join(BINARIES)} is installed: apt-get install redis-server"
        if os.environ.get("SPOTDX_NEED_REDIS"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    pytest.importorskip("redis", reason="the extra redis is not installed")
    return found


@pytest.fixture
def redis_server(redis_binary: str) -> Iterator[RedisServer]:
    server = RedisServer(redis_binary)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def guarded_redis(redis_binary: str) -> Iterator[RedisServer]:
    """One that asks for a password."""
    server = RedisServer(redis_binary, password="canary-password")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def virtual_server(redis_server: RedisServer) -> Iterator["VirtualServer"]:
    """The server asked in virtual time, for tests that are marked with ``virtual_time``."""
    from tests.limits.virtual_server import VirtualServer  # noqa: PLC0415 - redis is an extra

    server = VirtualServer(redis_server.url)
    yield server
    server.close()
