"""The wheel works with no more than it asks for: the core alone, and each extra alone.

Packages are not taken away here but hidden, so that nothing has to be installed: `nox -s release` does that for real.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.release.conftest import Built
from tests.release.uses import USES, WITHOUT

Run = Callable[..., subprocess.CompletedProcess[str]]

FENCE = Path(__file__).with_name("fence.py")


def required(requirement: Requirement, found: set[str]) -> None:
    """Add a package with all that it requires; what is not installed here cannot be hidden."""
    name = canonicalize_name(requirement.name)
    is_new = name not in found
    found.add(name)
    try:
        its_own = distribution(name).requires or []
    except PackageNotFoundError:
        return
    for further in map(Requirement, its_own):
        of_the_extras = [extra for extra in requirement.extras if further.marker and says(further, extra)]
        if of_the_extras or (is_new and says(further, "")):
            required(further, found)


def says(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": extra})


def hidden(built: Built, extra: str) -> str:
    """All that is installed here and neither the wheel nor that extra asks for."""
    found = {"spotdx-async"}
    for requirement in map(Requirement, built.metadata().get_all("Requires-Dist", [])):
        if says(requirement, extra):
            required(requirement, found)
    tops = packages_distributions().items()
    return ",".join(top for top, givers in tops if not found & {canonicalize_name(giver) for giver in givers})


@pytest.fixture
def run(built: Built, unpacked: Path, tmp_path: Path) -> Run:
    """Run a program on the wheel, with what the core and one extra ask for."""

    def run(program: str, *, extra: str = "") -> subprocess.CompletedProcess[str]:
        # Without coverage: the wheel's files are not the checkout's.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE_", "SPOTDX_"))}
        return subprocess.run(  # noqa: S603 - our own programs
            [sys.executable, "-P", str(FENCE), hidden(built, extra), program],
            cwd=tmp_path,
            env={**kept, "PYTHONPATH": str(unpacked)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.mark.parametrize("extra", USES)
def test_the_wheel_works_with(run: Run, extra: str) -> None:
    program, printed = USES[extra]

    done = run(program, extra=extra)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    assert printed in done.stdout


@pytest.mark.parametrize("extra", WITHOUT)
def test_what_needs_an_extra_says_which(run: Run, extra: str) -> None:
    done = run(WITHOUT[extra])

    assert done.returncode == 1
    assert f"spotdx-async[{extra}]" in done.stderr.splitlines()[-1]


def test_the_command_without_its_extra_says_so_in_one_line(run: Run) -> None:
    done = run("spotdx kits types")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n"


def test_it_is_the_wheel_that_runs_and_what_is_hidden_is_missing(run: Run, unpacked: Path) -> None:
    done = run("import spotdx_async\nprint(spotdx_async.__file__, flush=True)\nimport rich")

    assert done.stdout == f"{unpacked / 'spotdx_async' / '__init__.py'}\n"
    assert done.stderr.endswith("ModuleNotFoundError: No module named 'rich'\n")
