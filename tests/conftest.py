"""What every test may use: the package's own plugin, virtual time, and a mock of aiohttp."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import aiohttp
import attrs
import pytest
from aiohttp import ClientResponse
from aioresponses import aioresponses
from hypothesis import settings

from spotdx_async._http import clock, fast_request
from spotdx_async._http.runner import Runner
from spotdx_async.testing import VirtualTimeLoop

pytest_plugins = ["spotdx_async.testing.plugin", "pytester"]

settings.register_profile("spotdx", deadline=None)  # how long an example takes says how busy the machine is
settings.load_profile("spotdx")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["SPOTDX_CONFIG"] = os.devnull  # the settings file of whoever runs the tests stays out of them
    for name in ("PROFILE", "PROXY", "CA_FILE", "CLIENT_CERT", "CLIENT_KEY"):
        os.environ.pop(f"SPOTDX_{name}", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell starts jobs in the background so, and they theirs
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if (way := os.environ.get("SPOTDX_AIOHTTP")) is not None:
        fast_request.RELEASES = frozenset({"fast": {aiohttp.__version__}, "public": ()}[way])
    config.addinivalue_line("markers", "virtual_time: run the test on a loop that jumps from timer to timer")


def pytest_report_header() -> str:
    """Say who writes the requests. SPOTDX_AIOHTTP decides: ``fast`` for the SDK, ``public`` for aiohttp itself."""
    writer = "the SDK" if aiohttp.__version__ in fast_request.RELEASES else "aiohttp"
    return f"aiohttp {aiohttp.__version__}: requests are written by {writer}"


LONG = (
    *("unit/benchmarks/test_instructions", "chaos/test_kills", "distributed/test_dask_engine", "docs/test_site"),
    *("matrix/test_canaries", "unit/testing/test_pytest_plugin", "end_to_end/test_report_page", "limits/test_sharing"),
    *("end_to_end/test_cli_journal", "end_to_end/test_bulk_outage", "chaos/test_order", "end_to_end/test_apm_products"),
    *("end_to_end/test_bulk_partial_outage", "unit/codec/test_codec_properties", "distributed/test_shard_run"),
)
"""Files that take long, and so come first: a process that meets one at the end is the only one that still works."""


_HANDLERS = pytest.StashKey[dict[signal.Signals, Any]]()
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Record what takes signals, before any fixture."""
    item.stash[_HANDLERS] = {number: signal.getsignal(number) for number in _SIGNALS}
    yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Fail a test that leaves a signal's handler behind: it would take a later test's signal."""
    try:
        yield
    finally:
        before = item.stash[_HANDLERS]
        left = {number: signal.getsignal(number) for number in before}
        for number, handler in before.items():
            if handler is not None:  # None: it was not set from Python
                signal.signal(number, handler)
    assert left == before


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Keep coverage out of the processes that a test marked ``no_cover`` starts, too."""
    names = [name for name in os.environ if name.startswith("COVERAGE_")] if item.get_closest_marker("no_cover") else []
    kept = {name: os.environ.pop(name) for name in names}
    try:
        return (yield)
    finally:
        os.environ.update(kept)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # Stable, so that the order within a file, and of the other files, stays.
    items.sort(key=lambda item: not str(item.path.with_suffix("")).endswith(LONG))


# Here and not in the plugin: wherever this hook exists, pytest-asyncio takes every test's loop from it.
@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(
    config: pytest.Config,  # noqa: ARG001 - pytest hands arguments over by their names
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("virtual_time"):
        return {"virtual_time": VirtualTimeLoop}
    return {"real_time": asyncio.new_event_loop}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, umount = shutil.which("mount"), shutil.which("umount")
    if mount is None or umount is None:
        pytest.skip("no mount here")
    command = [mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:  # noqa: S603 - no input of others
        pytest.skip("mounting is not permitted here")
    yield folder
    subprocess.run([umount, "--lazy", str(folder)], check=True)  # noqa: S603 - the same


@pytest.fixture
async def wall(monkeypatch: pytest.MonkeyPatch) -> Callable[[], datetime]:
    """One time of day for the client, and a server that is given it, which goes with the time of the test's loop."""
    began, now = datetime.now(UTC), clock.of_loop()  # the thread of a journal asks too

    def wall() -> datetime:
        return began + timedelta(seconds=now())

    monkeypatch.setattr(clock, "wall", wall)
    return wall


@pytest.fixture
def aioresponses_mock(monkeypatch: pytest.MonkeyPatch) -> Iterator[aioresponses]:
    """Mock aiohttp's requests; aioresponses 0.7.9 does not give the argument that aiohttp 3.14 has added."""
    shimmed = partial(ClientResponse, stream_writer=Mock(output_size=0))
    monkeypatch.setattr("aioresponses.core.ClientResponse", shimmed)
    with aioresponses() as mock:
        yield mock


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a request that was sent be sure after a moment, not a minute: commands live in real time."""
    monkeypatch.setattr(Runner, "lands_within_s", 0.2)
    monkeypatch.setattr("spotdx_async.bulk.settlement.LIST_LAG_S", 0.05)


@attrs.frozen
class Chaos:
    """How hard a test of ``tests/chaos`` is to try: a little in the normal tests, all of it by ``make chaos``."""

    is_full: bool
    seed: int


@pytest.fixture
def chaos() -> Chaos:
    """From SPOTDX_CHAOS (``full`` for all of it) and SPOTDX_CHAOS_SEED; the seed is in a failed test's output."""
    seed = int(os.environ.get("SPOTDX_CHAOS_SEED") or random.randrange(10**6))
    is_full = os.environ.get("SPOTDX_CHAOS") == "full"
    print(f"SPOTDX_CHAOS_SEED={seed}")  # noqa: T201 - what makes a failure repeatable
    return Chaos(is_full, seed)
