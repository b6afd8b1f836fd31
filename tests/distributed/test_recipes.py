"""The recipes of docs/distributed.md: they run as they stand there, on stand-ins where an engine is not installed."""

import asyncio
import importlib
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.docs.pages import DOCS, blocks_of

PAGE = DOCS / "distributed.md"
RECIPES = {
    heading.removeprefix("# recipe: "): recipe
    for heading, _, recipe in (block.text.partition("\n") for block in blocks_of(PAGE) if block.language == "python")
}


class Lazy:
    """What an engine gives in place of a value."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def result(self) -> Any:
        return self.value


class Task:
    """A function as engines wrap it: called at once, mapped, expanded or sent."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)

    def remote(self, *args: Any) -> Lazy:
        return Lazy(self._function(*args))

    def map(self, values: Iterable[Any]) -> list[Lazy]:
        return [Lazy(self._function(value)) for value in values]

    def expand(self, **by_name: list[Any]) -> list[Any]:
        ((name, values),) = by_name.items()
        return [self._function(**{name: value}) for value in values]


def wrap(*bare: Callable[..., Any], **_: Any) -> Any:
    """A decorator that works with and without options."""
    return Task(bare[0]) if bare else Task


class Spread:
    def __init__(self, shards: list[Any], parts: int) -> None:
        self._parts = [shards[number::parts] for number in range(parts)]

    def mapPartitions(self, function: Callable[[Iterable[Any]], Iterable[Any]]) -> "Spread":  # noqa: N802 - Spark's
        self._parts = [[*function(iter(part))] for part in self._parts]
        return self

    def collect(self) -> list[Any]:
        return [item for part in self._parts for item in part]


def stand_ins() -> dict[str, Any]:
    session = SimpleNamespace(sparkContext=SimpleNamespace(parallelize=Spread))
    builder = SimpleNamespace(getOrCreate=lambda: session)
    return {
        "ray": SimpleNamespace(remote=wrap, get=lambda lazies: [lazy.value for lazy in lazies]),
        "pyspark.sql": SimpleNamespace(SparkSession=SimpleNamespace(builder=builder)),
        "prefect": SimpleNamespace(flow=wrap, task=wrap),
        "airflow.sdk": SimpleNamespace(task=wrap, dag=lambda **_: lambda _: lambda *_: None),
    }


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Give a recipe as a module of its own, which a process that unpickles its functions could not import."""
    for name, found in stand_ins().items():
        monkeypatch.setitem(sys.modules, name.partition(".")[0], ModuleType(name.partition(".")[0]))
        monkeypatch.setitem(sys.modules, name, found)

    def loaded(name: str) -> ModuleType:
        module = ModuleType(f"recipe_{name.replace(' ', '_')}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(RECIPES[name], f"{PAGE.name}: {name}", "exec"), module.__dict__)  # noqa: S102 - our own page
        return module

    return loaded


@pytest.fixture
def fake(start_fake: Any, monkeypatch: pytest.MonkeyPatch, token: str) -> Any:
    found = start_fake(kits=60)
    monkeypatch.setenv("SPOTDX_TOKEN", token)
    monkeypatch.setenv("SPOTDX_BASE_URL", found.url)
    return found


def test_the_page_has_all_recipes() -> None:
    assert [*RECIPES] == ["dask", "shared limit", "process pool", "ray", "spark", "airflow", "prefect"]


@pytest.mark.parametrize("name", RECIPES)
def test_every_name_that_a_recipe_takes_from_here_exists(name: str) -> None:
    taken = re.findall(r"^from (spotdx_async[\w.]*) import (.+)$", RECIPES[name], re.MULTILINE)

    assert taken
    for module, names in taken:
        for one in names.split(", "):
            assert hasattr(importlib.import_module(module), one)


@pytest.mark.parametrize("name", ["process pool", "ray", "spark", "prefect"])
def test_a_recipe_updates_every_kit_in_order(load: Any, fake: Any, rows_of: Any, tmp_path: Path, name: str) -> None:
    rows = rows_of(300, 60)

    recipe = load(name)
    run = recipe.update_kits if name == "prefect" else recipe.run

    report = run(rows, tmp_path / "run")

    assert (report.rows, report.is_done) == (300, True)
    fake.finish().check(rows)


def test_the_recipe_for_airflow_updates_every_kit(load: Any, fake: Any, rows_of: Any, tmp_path: Path) -> None:
    rows = rows_of(300, 60)
    lines = [f"{kit_id},{metadata['n']}\n" for kit_id, metadata in rows]
    (tmp_path / "kits.csv").write_text("kit_id,n\n" + "".join(lines))
    recipe = load("airflow")

    shards = recipe.split(tmp_path / "kits.csv", tmp_path / "run")
    counts = recipe.add_up(recipe.carry.expand(shard=shards))

    assert counts["ok"] == 300
    assert len(fake.finish().ledger) == 300
    with pytest.raises(RuntimeError, match="not all rows are done"):
        recipe.add_up([{"shard": 0, "counts": {**counts, "failed": 1}, "done_before": 0, "stopped": None}])


def test_the_recipe_for_dask_updates_every_kit(
    load: Any, fake: Any, rows_of: Any, cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = rows_of(60, 60)

    report = asyncio.run(load("dask").run(rows, cluster.scheduler_address))

    assert report.is_done
    assert "60 of 60" in capsys.readouterr().out
    fake.finish().check(rows)


def test_the_recipe_for_a_shared_limit_makes_settings_without_secrets(load: Any) -> None:
    recipe = load("shared limit")

    assert "LIMIT_URL" not in repr(recipe.settings)
    assert recipe.settings.limiter is recipe.limiter
