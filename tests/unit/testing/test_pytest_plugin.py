import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from spotdx_async.testing import plugin

UPDATE = """
    kit = await spot_client.kits.update_metadata("SPOT123456", {"cohort": "A"})
    assert kit.kit_id == "SPOT123456"
    assert fake_spot.kits["SPOT123456"].metadata == {"cohort": "A"}
"""
IN_AUTO_MODE = f"async def test_update(fake_spot, spot_client):{UPDATE}"
IN_STRICT_MODE = f"import pytest\n\n@pytest.mark.asyncio\n{IN_AUTO_MODE}"
WITHOUT_FIXTURES = "def test_nothing():\n    pass\n"


WITH_PYTEST_ASYNCIO = ("-o", "asyncio_default_fixture_loop_scope=function", "--asyncio-mode")


def run_pytest(folder: Path, test: str, *options: str, start: str = "") -> subprocess.CompletedProcess[str]:
    """Run pytest as a user does: in a folder of their own, with the plugins that are installed."""
    (folder / "test_theirs.py").write_text(test)
    arguments = ["-p", "no:cacheprovider", "-W", "error", *options]
    run = f"{start}\nimport pytest, sys\nsys.exit(pytest.main({arguments!r}))"
    return subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", run],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("mode", "test"), [("strict", IN_STRICT_MODE), ("auto", IN_AUTO_MODE)])
def test_the_installed_plugin_alone_gives_the_fixtures(tmp_path: Path, mode: str, test: str) -> None:
    done = run_pytest(tmp_path, test, *WITH_PYTEST_ASYNCIO, mode)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


WITHOUT_PYTEST_ASYNCIO = """
import builtins

import_installed = builtins.__import__

def import_others(name, *rest, **options):
    if name == "pytest_asyncio":
        raise ModuleNotFoundError(name)
    return import_installed(name, *rest, **options)

builtins.__import__ = import_others
"""


def test_without_pytest_asyncio_other_tests_run(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, WITHOUT_FIXTURES, "-p", "no:asyncio", start=WITHOUT_PYTEST_ASYNCIO)

    assert done.returncode == 0, done.stdout + done.stderr


# What an uninstallation may leave behind: a folder that can be imported, and holds nothing.
HALF_UNINSTALLED = WITHOUT_PYTEST_ASYNCIO.replace("raise ModuleNotFoundError", "return type(builtins)")
IN_A_SYNC_TEST = """
import asyncio

def test_theirs(fake_spot, spot_client, spot_expect):
    spot_expect("kits.get")

    async def ask():
        async with spot_client:
            return await spot_client.kits.get("SPOT123456")

    assert asyncio.run(ask()).kit_id == "SPOT123456"
"""


@pytest.mark.parametrize("start", [WITHOUT_PYTEST_ASYNCIO, HALF_UNINSTALLED, ""], ids=["none", "half", "blocked"])
def test_without_pytest_asyncio_a_sync_test_has_the_fake(tmp_path: Path, start: str) -> None:
    done = run_pytest(tmp_path, IN_A_SYNC_TEST, "-p", "no:asyncio", start=start)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("start", [WITHOUT_PYTEST_ASYNCIO, HALF_UNINSTALLED, ""], ids=["none", "half", "blocked"])
def test_without_pytest_asyncio_virtual_time_says_what_is_missing(tmp_path: Path, start: str) -> None:
    done = run_pytest(tmp_path, "def test_theirs(spot_clock):\n    pass\n", "-p", "no:asyncio", start=start)

    assert done.returncode == 1
    assert "needs a test that pytest-asyncio 1.4 or later runs: install it" in done.stdout
    assert 'asyncio_mode = "auto"' in done.stdout


def test_a_test_that_anyio_runs_has_the_fake(tmp_path: Path) -> None:
    test = """
import pytest

@pytest.mark.anyio
async def test_theirs(fake_spot):
    async with fake_spot.client() as spot:
        await spot.kits.get("SPOT123456")

@pytest.fixture
def anyio_backend():
    return "asyncio"
"""
    done = run_pytest(tmp_path, test, "-p", "no:asyncio")

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_setting_that_an_older_pytest_asyncio_does_not_know_is_none(pytestconfig: pytest.Config) -> None:
    item: Any = SimpleNamespace(config=pytestconfig)

    assert plugin._ini(item, "asyncio_default_fixture_loop_scope") == "function"
    assert plugin._ini(item, "asyncio_of_tomorrow") is None


async def test_the_fixtures_close_what_they_open(tmp_path: Path) -> None:
    test = """
import pytest, socket

seen = []

async def test_use(fake_spot, spot_client):
    await spot_client.kits.get("SPOT123456")
    seen.append((fake_spot, spot_client))

async def test_later():
    fake, client = seen[0]
    assert "stopped" in repr(fake)
    with pytest.raises(Exception, match="closed"):
        await client.kits.get("SPOT123456")
"""
    done = run_pytest(tmp_path, test, *WITH_PYTEST_ASYNCIO, "auto")

    assert done.returncode == 0, done.stdout + done.stderr
