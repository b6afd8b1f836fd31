"""What an import brings along: it is paid by everybody, at every start."""

import inspect
import os
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

import spotdx_async


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


def test_rows_and_resources_come_without_the_network() -> None:
    added = modules_added_by("import spotdx_async.fhir, spotdx_async.tables")

    assert not added & {"aiohttp", "cattrs", "tenacity", "asyncio", "sqlite3"}


def public_signatures() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in spotdx_async.__all__:
        value = getattr(spotdx_async, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            if attrs.has(value):
                attrs.resolve_types(value)
            for part, method in inspect.getmembers(value, inspect.isfunction):
                if method.__module__.startswith("spotdx_async") and (part == "__init__" or part[0] != "_"):
                    yield f"{name}.{part}", method


def test_every_public_signature_can_be_resolved_as_containers_and_frameworks_do() -> None:
    seen = 0
    for name, function in public_signatures():
        try:
            typing.get_type_hints(function)
        except NameError as error:
            pytest.fail(f"{name}: {error}")
        seen += 1

    assert seen > 50
