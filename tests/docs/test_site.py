"""The documentation builds without a warning, and names everything that the package promises."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import pytest
from cyclopts import App
from sphinx.util.inventory import InventoryFile

from spotdx_async.cli.app import make_app
from tests.browser import shown, started_browser
from tests.docs.pages import DOCS

pytestmark = pytest.mark.no_cover

PUBLIC = (
    "spotdx_async",
    "spotdx_async.models",
    "spotdx_async.errors",
    "spotdx_async.fhir",
    "spotdx_async.files",
    "spotdx_async.mirror",
    "spotdx_async.report",
    "spotdx_async.shared",
    "spotdx_async.tables",
    "spotdx_async.otel",
    "spotdx_async.distributed",
    "spotdx_async.testing",
    "spotdx_async.testing.factories",
    "spotdx_async.testing.faults",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", str(DOCS), str(folder)]
    done = subprocess.run(  # noqa: S603 - our own pages
        command, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0
    return folder


@pytest.fixture(scope="module")
def documented(site: Path) -> set[str]:
    """The dotted names in the inventory by which other sites link here."""
    inventory = InventoryFile.loads((site / "objects.inv").read_bytes(), uri="").data
    return {name for role, names in inventory.items() if role.startswith("py:") for name in names}


def public_names() -> Iterator[tuple[str, Any]]:
    for module_name in PUBLIC:
        module = importlib.import_module(module_name)
        for name in module.__all__:
            yield f"{module_name}.{name}", getattr(module, name)


def test_every_public_name_is_in_the_reference(documented: set[str]) -> None:
    found = [*public_names()]
    at_hand = {id(value) for name, value in found if name in documented and not isinstance(value, (str, int))}

    missing = [name for name, value in found if name not in documented and id(value) not in at_hand]

    assert len(found) > 200
    assert not missing


def test_every_field_and_method_of_a_public_class_is_in_the_reference(documented: set[str]) -> None:
    classes = {name: value for name, value in public_names() if name in documented and inspect.isclass(value)}

    missing = [
        f"{name}.{member}"
        for name, value in classes.items()
        for member in members_of(value) - {"extra"}  # every model has it, and one page says so
        if not any(f"{place}.{member}" in documented for place, kind in classes.items() if issubclass(value, kind))
    ]

    assert not missing


def members_of(value: type) -> set[str]:
    fields = {field.name for field in attrs.fields(value)} if attrs.has(value) else set()
    ours = (kind for kind in value.__mro__ if kind.__module__.startswith("spotdx_async"))
    members = {name for kind in ours for name, member in vars(kind).items() if is_shown(member)}
    return {name for name in fields | members if not name.startswith("_")}


def is_shown(member: object) -> bool:
    return inspect.isroutine(member) or isinstance(member, (property, cached_property))


def test_every_command_is_on_the_page_of_the_command_line(site: Path) -> None:
    page = (site / "command-line.html").read_text(encoding="utf-8")

    assert [words for words in commands_of(make_app(), "spotdx") if f'id="{words.replace(" ", "-")}"' not in page] == []
    assert page.count("--concurrency INT") == 12


async def test_no_page_is_wider_than_the_window(site: Path, tmp_path: Path) -> None:
    pages = ("faults.html", "command-line.html", "web-apps.html", "reference/bulk.html")
    wider = []
    with started_browser(tmp_path) as browser:
        for page in pages:
            async with shown(browser, site / page) as tab:
                # The theme changes its layout at 46, 63, 67, 82 and 97 em of 16 pixels, and its font at the last.
                for width in (390, 768, 1040, 1320, 1366, 1440, 1540, 1560, 1700, 1920):
                    await tab.resize(width)
                    if (found := await tab.look("document.documentElement.scrollWidth")) > width:
                        wider.append((page, width, found))

    assert wider == []


def commands_of(app: App, words: str) -> Iterator[str]:
    yield words
    for name in app:
        if not name.startswith("-"):
            yield from commands_of(app[name], f"{words} {name}")
