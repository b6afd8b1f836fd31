"""What an import brings along: it is paid by everybody, at every start."""

import inspect
import os
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import MagicMock, patch

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

    assert "spotdx_async.models" in added
    assert not added & {"aiohttp", "cattrs", "orjson", "tenacity", "asyncio"}
    assert not added & {"spotdx_async.models.orders", "spotdx_async.models.requisitions"}


def test_rows_and_resources_come_without_the_network() -> None:
    added = modules_added_by("import spotdx_async.fhir, spotdx_async.tables")

    assert not added & {"aiohttp", "cattrs", "tenacity", "asyncio", "sqlite3"}


FIRST_CLIENT = "from spotdx_async import SpotClient; spot = SpotClient('a-token')"
MOST_MODULES_OF_A_CLIENT, MOST_MODULES_OF_A_CALL = 32, 58
# What no client and no single call needs: its folder or module.
ON_DEMAND = (
    "bulk",
    "changes",
    "cli",
    "distributed",
    "fhir",
    "files",
    "limits",
    "mirror",
    "otel",
    "reconciliation",
    "report",
    "shared",
    "tables",
    "testing",
)


def rooms_of(modules: set[str]) -> list[str]:
    """Name the modules of the package, by their place in it."""
    return sorted(name.partition(".")[2] for name in modules if name.startswith("spotdx_async."))


def test_a_first_client_comes_without_calls_models_and_runs() -> None:
    added = modules_added_by(FIRST_CLIENT)

    rooms = rooms_of(added)
    assert "client" in rooms
    assert not {name.partition(".")[0] for name in rooms} & {*ON_DEMAND, "models", "observers", "pagination"}
    assert not {"_codec.codec", "_http.runner", "_http.retry", "resources.kits"} & set(rooms)
    assert not added & {"cattrs", "tenacity", "sqlite3", "redis", "pyarrow"}
    assert len(rooms) <= MOST_MODULES_OF_A_CLIENT, rooms


def test_a_noun_brings_what_its_calls_need_and_no_runs() -> None:
    added = modules_added_by(f"{FIRST_CLIENT}; spot.kits")

    rooms = rooms_of(added)
    # Before the call, and not when an answer has come or an attempt has failed: there an import could fail too.
    assert {"_codec.codec", "_http.runner", "_http.retry", "models.kits"} <= set(rooms)
    assert added >= {"cattrs", "tenacity"}
    assert not {name.partition(".")[0] for name in rooms} & {*ON_DEMAND, "observers"}
    assert not {"models.requisitions", "resources.orders", "sqlite3"} & {*rooms, *added}
    assert len(rooms) <= MOST_MODULES_OF_A_CALL, rooms


def test_threads_that_ask_first_at_once_get_the_same_things() -> None:
    program = """
import threading
import spotdx_async
barrier, found = threading.Barrier(8), []
def ask():
    barrier.wait(10)
    client = spotdx_async.SpotClient
    found.append((client, spotdx_async.BulkRun, spotdx_async.Changes, spotdx_async.Kit, type(spot.orders), spot.kits))
spot = spotdx_async.SpotClient("a-token")
threads = [threading.Thread(target=ask) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join(30)
print(len(found), len({tuple(map(id, one)) for one in found}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)  # noqa: S603

    assert done.stdout.split() == ["8", "1"]


@pytest.mark.parametrize(
    ("package", "first", "second"),
    [
        ("changes", "changes.waiting", "changes.feed"),  # of first calls of wait_for and changes
        ("distributed", "distributed.shard", "distributed.shard_run"),  # of pickles with shards and their options
    ],
)
def test_threads_that_come_to_a_package_at_once_get_no_deadlock(package: str, first: str, second: str) -> None:
    program = """
import sys
import threading
from importlib import import_module
package, *names = (f"spotdx_async.{name}" for name in sys.argv[1:])
import spotdx_async
errors = []
def ask(name):
    try: import_module(name)
    except BaseException as error: errors.append(repr(error))
def midway(frame, event, _):  # one thread is about to run the package: the other comes for a module in it, and waits
    is_made = event == "call" and frame.f_code.co_name == "module_from_spec"
    if is_made and frame.f_locals["spec"].name == package:
        second.start()
        second.join(0.2)
second = threading.Thread(target=ask, args=[names[1]])
sys.setprofile(midway)
ask(names[0])
sys.setprofile(None)
second.join(30)
print(errors)
"""
    command = [sys.executable, "-c", program, package, first, second]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603

    assert done.stdout.strip() == "[]"


def test_a_name_first_asked_for_while_a_test_patches_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    real = spotdx_async.BulkRun
    monkeypatch.delitem(vars(spotdx_async), "BulkRun")
    for stand_in in (MagicMock(), object(), lambda: None):
        with patch("spotdx_async.bulk.run.BulkRun", stand_in):
            assert spotdx_async.BulkRun is stand_in

        assert spotdx_async.BulkRun is real
        assert vars(spotdx_async).pop("BulkRun") is real


def test_a_star_and_the_names_show_everything() -> None:
    everything: dict[str, Any] = {}
    exec("from spotdx_async import *", everything)  # noqa: S102 - a star is for modules alone

    assert set(spotdx_async.__all__) <= everything.keys()
    assert set(dir(spotdx_async)) >= set(spotdx_async.__all__)


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
