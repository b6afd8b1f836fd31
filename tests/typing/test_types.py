"""Two strict type checkers take what users write, refuse their mistakes, and find every public type known.

The other files of this folder are the programs. What a line is expected to be, ``assert_type`` says; what it must be
refused for, its marks do: each checker takes a mark on an accepted line for an error.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import spotdx_async

pytestmark = pytest.mark.no_cover

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent
PACKAGE_HOME = Path(spotdx_async.__file__).parents[1]

MYPY = ("mypy", "--config-file", str(ROOT / "pyproject.toml"))
PYRIGHT = ("pyright",)
RIGHT = "from spotdx_async import SpotClient\n\nSpotClient({argument})  {mark}\n"


def check(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a checker of this environment on the package that is under test; neither asks the network."""
    environment = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(PACKAGE_HOME),
        "MYPYPATH": "" if "site-packages" in PACKAGE_HOME.parts else str(PACKAGE_HOME),
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
    }
    return subprocess.run(  # noqa: S603 - our own files
        [sys.executable, "-m", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_mypy_takes_what_users_write_and_refuses_their_mistakes() -> None:
    done = check(*MYPY, str(PROGRAMS))

    assert done.returncode == 0, done.stdout + done.stderr


def test_pyright_takes_what_users_write_and_refuses_their_mistakes() -> None:
    done = check(*PYRIGHT)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_mistake_is_one_for_both_checkers() -> None:
    lines = (PROGRAMS / "mistakes.py").read_text(encoding="utf-8").splitlines()
    marked = [line for line in lines if "# type: ignore[" in line or "# pyright: ignore[" in line]

    assert [line for line in marked if "# type: ignore[" not in line or "# pyright: ignore[" not in line] == []
    assert len(marked) > 50


def test_a_check_that_finds_nothing_wrong_would_show(tmp_path: Path) -> None:
    mark = "# type: ignore[arg-type]  # pyright: ignore[reportArgumentType]"
    programs = {
        "mistake_without_mark.py": RIGHT.format(argument="5", mark=""),
        "mark_without_mistake.py": RIGHT.format(argument='"token"', mark=mark),
    }
    for name, text in programs.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pyright"]
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({**settings, "include": ["."]}), encoding="utf-8")

    by_mypy = check(*MYPY, *(str(tmp_path / name) for name in programs))
    by_pyright = check(*PYRIGHT, "--project", str(tmp_path))

    assert (by_mypy.returncode, by_pyright.returncode) == (1, 1)
    for name in programs:
        assert f"{name}:3: error" in by_mypy.stdout
        assert f"{name}:3:" in by_pyright.stdout


def test_every_type_that_the_package_shows_is_known() -> None:
    done = check(*PYRIGHT, "--verifytypes", "spotdx_async", "--ignoreexternal", "--outputjson")

    found = json.loads(done.stdout)["typeCompleteness"]
    unknown = [symbol["name"] for symbol in found["symbols"] if symbol["isExported"] and not symbol["isTypeKnown"]]
    assert Path(found["packageRootDirectory"]) == PACKAGE_HOME / "spotdx_async"
    assert unknown == []
    assert found["completenessScore"] == 1
    assert found["exportedSymbolCounts"]["withKnownType"] > 2000
