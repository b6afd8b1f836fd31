"""What an import brings along: it is paid by everybody, at every start."""

import os
import subprocess
import sys

import pytest


def modules_added_by(statement: str) -> set[str]:
    program = f"import sys; before = set(sys.modules)\n{statement}\nprint(*(set(sys.modules) - before))"
    # Without coverage, which loads some of it itself.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=kept)  # noqa: S603 - our own words
    return set(done.stdout.split())


def test_the_package_alone_brings_nothing_that_takes_long() -> None:
    added = modules_added_by("import spotdx_async")

    assert "spotdx_async" in added
    assert not added & {"typing", "aiohttp", "attr", "cattrs", "orjson", "tenacity", "asyncio"}


@pytest.mark.parametrize("statement", ["import spotdx_async.models", "from spotdx_async.models import Kit"])
def test_models_come_without_the_network(statement: str) -> None:
    added = modules_added_by(statement)

    assert "spotdx_async.models.kits" in added
    assert not added & {"aiohttp", "cattrs", "orjson", "tenacity", "asyncio"}
