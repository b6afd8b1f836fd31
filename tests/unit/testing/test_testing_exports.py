import subprocess
import sys

import pytest

from spotdx_async import testing

HEAVY = ("aiohttp", "attr", "attrs", "cattrs", "orjson", "tenacity")


@pytest.mark.parametrize("name", testing.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(testing, name) is not None
    assert name in dir(testing)


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'FakeSpt'"):
        _ = testing.FakeSpt  # type: ignore[attr-defined]  # as it is meant to be


def modules_after(statement: str) -> set[str]:
    """Import in a fresh interpreter and give the names of the modules that are loaded then."""
    done = subprocess.run(  # noqa: S603 - our own interpreter and text
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return set(done.stdout.split())


def test_the_faults_are_there_without_an_import_of_their_own() -> None:
    assert "spotdx_async.testing.faults" in modules_after("from spotdx_async import testing\ntesting.faults.slow(1)")


def test_the_plugin_imports_neither_the_sdk_nor_what_it_needs() -> None:
    loaded = modules_after("import spotdx_async.testing.plugin")

    assert loaded.isdisjoint(HEAVY)
    assert {name for name in loaded if name.startswith("spotdx_async.")} == {
        "spotdx_async._lazy",  # of the package itself, which comes first
        "spotdx_async.testing",
        "spotdx_async.testing.plugin",
    }


def test_the_server_imports_nothing_of_the_sdk() -> None:
    loaded = modules_after("import spotdx_async.testing.server, spotdx_async.testing.clock")

    ours = {name for name in loaded if name.startswith("spotdx_async.") and not name.startswith("spotdx_async.testing")}
    assert ours == {"spotdx_async._lazy"}  # of the package itself, which comes first
    assert "spotdx_async.testing.fake_spot" not in loaded


def test_the_rules_import_no_network() -> None:
    loaded = modules_after("import spotdx_async.testing.state, spotdx_async.testing.fault_plan")

    assert loaded.isdisjoint({*HEAVY, "asyncio"})


def test_the_factories_import_the_models_alone() -> None:
    loaded = modules_after("from spotdx_async.testing import factories\nfactories.make_kit()")

    assert loaded.isdisjoint({*HEAVY, "asyncio"} - {"attr", "attrs"})
