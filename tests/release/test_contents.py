"""What is in the wheel and in the sdist, and what they say of themselves."""

import configparser
import tarfile
from pathlib import Path

from packaging.specifiers import SpecifierSet

from spotdx_async import __version__
from tests.release.conftest import ROOT, Built, build

EXTRAS = {"cli", "dask", "excel", "otel", "parquet", "redis", "truststore", "uvloop", "zstd"}
MADE_BY_RUNNING = {"__pycache__"}


def in_the_checkout(folder: str) -> set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file())
    return {path.relative_to(ROOT).as_posix() for path in files if not MADE_BY_RUNNING & {*path.parts}}


def in_the_sdist(built: Built) -> set[str]:
    with tarfile.open(built.sdist) as archive:
        return {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    about = f"spotdx_async-{__version__}.dist-info"
    papers = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}

    assert {*built.names()} == in_the_checkout("spotdx_async") | {f"{about}/{paper}" for paper in papers}
    assert "spotdx_async/py.typed" in built.names()
    assert built.wheel.name == f"spotdx_async-{__version__}-py3-none-any.whl"


def test_the_sdist_holds_what_tests_and_documentation_need(built: Built) -> None:
    names = in_the_sdist(built)

    papers = {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "LICENSE", "Makefile", "noxfile.py"}
    assert papers | {"pyproject.toml", ".ci/run"} <= names
    assert in_the_checkout("spotdx_async") | in_the_checkout("tests") | in_the_checkout("examples") <= names
    assert {name.partition("/")[0] for name in names if "/" in name} == {
        *(".ci", "benchmarks", "docs", "examples", "spotdx_async", "tests")
    }
    assert [name for name in names if name.startswith(("docs/_build", "benchmarks/peers"))] == []


def test_the_sdist_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.iterdir()

    again = build(source, tmp_path / "again")

    assert again.wheel.name == built.wheel.name
    assert again.wheel.read_bytes() == built.wheel.read_bytes()


def test_the_metadata_says_what_an_installer_needs(built: Built) -> None:
    about = built.metadata()

    assert (about["Name"], about["Version"]) == ("spotdx-async", __version__)
    assert about["License-Expression"] == "MIT"
    pythons = SpecifierSet(about["Requires-Python"])
    assert [minor for minor in range(8, 15) if f"3.{minor}.0" in pythons] == [11, 12, 13, 14]
    assert {*about.get_all("Provides-Extra", [])} == EXTRAS
    assert {"Framework :: AsyncIO", "Framework :: Pytest", "Typing :: Typed"} <= {*about.get_all("Classifier", [])}
    assert about["Description-Content-Type"] == "text/markdown"
    assert about.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")


def test_core_dependencies_are_five_and_each_has_a_lower_bound(built: Built) -> None:
    required = [line for line in built.metadata().get_all("Requires-Dist", []) if "extra ==" not in line]

    assert {line.partition(">")[0].partition("<")[0] for line in required} == {
        *("aiohttp", "attrs", "cattrs", "orjson", "tenacity")
    }
    assert [line for line in required if ">=" not in line] == []


def test_the_wheel_brings_the_command_and_the_plugin(built: Built) -> None:
    points = configparser.ConfigParser(delimiters=["="])
    points.read_string(built.about("entry_points.txt"))

    assert {section: {**points[section]} for section in points.sections()} == {
        "console_scripts": {"spotdx": "spotdx_async.__main__:main"},
        "pytest11": {"spotdx_async": "spotdx_async.testing.plugin"},
    }
