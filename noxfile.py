"""What needs virtual environments of its own, and so a package index: each Python, each extra, other aiohttp releases.

`nox` of the development environment runs it, as `make release-check` does. A Python that is not there is skipped.
"""

import json
import runpy
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nox

ROOT = Path(__file__).parent
_READ = runpy.run_path(str(ROOT / "tests" / "release" / "uses.py"))  # nox does not import from this folder
USES: dict[str, tuple[str, str]] = _READ["USES"]
TEST: str = _READ["TEST"]
SBOM_DIFFERENCES = runpy.run_path(str(ROOT / "tests" / "release" / "sbom.py"))["differences"]
PYTHONS = ["3.11", "3.12", "3.13", "3.14", "3.15"]
EXTRAS = [extra for extra in USES if extra != "core"]
WHERE = "import spotdx_async; print(spotdx_async.__file__)"
# The site is built from the sources, which are not beside these tests. PYTHONPATH: for programs that these start.
WHEEL_TESTS = ["python", "-m", "pytest", "--ignore=tests/release", "--ignore=tests/docs/test_site.py"]

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["release"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests of the sdist against the installed wheel; arguments after `--` are pytest's."""
    with _built(session) as (wheel, sdist):
        session.install(f"{wheel}[{','.join(EXTRAS)}]", *nox.project.dependency_groups(_project(), "dev"))
        with session.chdir(_without_the_package(sdist)):
            _check_that_it_is_the_wheel(session)
            session.run(*WHEEL_TESTS, *session.posargs, env={"PYTHONPATH": str(Path.cwd())})


@nox.session
@nox.parametrize("release", ["lowest", "newest"])
def aiohttp(session: nox.Session, release: str) -> None:
    """Run what depends on aiohttp with the lowest release that is allowed, or the newest, pre-releases included.

    With the newest, first as users would have it, which must pass, then with its insides taken for known ones: that
    fails where they have changed, and such a release cannot be listed in ``RELEASES`` as it is.
    """
    (need,) = (need for need in _project()["project"]["dependencies"] if need.startswith("aiohttp"))
    with _built(session) as (wheel, sdist):
        session.install(str(wheel), *nox.project.dependency_groups(_project(), "dev"))
        lowest = need.partition(",")[0].replace(">=", "==")
        session.install(*([lowest] if release == "lowest" else ["--upgrade", "--pre", need]))
        with session.chdir(_without_the_package(sdist)):
            _check_that_it_is_the_wheel(session)
            for way in ["public", "fast"]:
                session.run("python", "-m", "pytest", "-q", "@tests/on_aiohttp.txt", env={"SPOTDX_AIOHTTP": way})


@nox.session
@nox.parametrize("extra", [*USES], ids=[*USES])
def release(session: nox.Session, extra: str) -> None:
    """Install the wheel with nothing else, and with each extra alone, and use it."""
    with _built(session) as (wheel, _):
        session.install(str(wheel) if extra == "core" else f"{wheel}[{extra}]")
        session.run("python", "-m", "pip", "check")
        with session.chdir(wheel.parent):
            _check_that_it_is_the_wheel(session)
            program, printed = USES[extra]
            command = program.split() if program.startswith("spotdx ") else ["python", "-c", program]
            _run(session, *command, printed=printed)
            if extra == "core":
                _run(session, "spotdx", "kits", "types", printed="spotdx-async[cli]", code=2)


@nox.session
def no_orjson(session: nox.Session) -> None:
    """Run the tests as on a Python that orjson has no wheel for; arguments after `--` are pytest's."""
    with _built(session) as (wheel, sdist):
        session.install(f"{wheel}[{','.join(EXTRAS)}]", *nox.project.dependency_groups(_project(), "dev"))
        session.run("python", "-m", "pip", "uninstall", "--yes", "orjson")
        with session.chdir(_without_the_package(sdist)):
            _check_that_it_is_the_wheel(session)
            session.run(*WHEEL_TESTS, *session.posargs, env={"PYTHONPATH": str(Path.cwd())})


@nox.session
def plugin(session: nox.Session) -> None:
    """Install the wheel beside pytest, and run a test of a user with its fixtures."""
    with _built(session) as (wheel, _):
        session.install(str(wheel), "pytest", "pytest-asyncio")
        (wheel.parent / "test_mine.py").write_text(TEST, encoding="utf-8")
        with session.chdir(wheel.parent):
            _run(session, "python", "-m", "pytest", "--asyncio-mode=auto", printed="1 passed")


@nox.session
def papers(session: nox.Session) -> None:
    """Check what the index would show: the metadata, and that the long description can be drawn."""
    session.install("twine")
    with _built(session) as built:
        session.run("python", "-m", "twine", "check", "--strict", *map(str, built))


@nox.session
def sbom(session: nox.Session) -> None:
    """Write the CycloneDX SBOM of the wheel with all extras into dist/, and compare it with what pip has installed."""
    session.install(*nox.project.dependency_groups(_project(), "release"))
    with _built(session) as (wheel, _):
        version, extras = wheel.name.split("-")[1], ",".join(_project()["project"]["optional-dependencies"])
        # An environment of its own, without pip: what is in it came with the wheel.
        python = wheel.parent / "venv" / "bin" / "python"
        session.run("python", "-m", "venv", "--without-pip", str(python.parents[1]), silent=True)
        pip = ("python", "-m", "pip", "--python", str(python))
        session.run(*pip, "install", "--quiet", f"{wheel}[{extras}]", silent=True)
        said = session.run(*pip, "list", "--format=json", silent=True, stderr=None)
        target = ROOT / "dist" / f"spotdx_async-{version}.cdx.json"
        target.parent.mkdir(exist_ok=True)
        described = wheel.parent / "pyproject.toml"
        text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        described.write_text(text.replace('dynamic = ["version"]', f'version = "{version}"'), encoding="utf-8")
        # It checks what it writes against CycloneDX's own schema.
        options = ("--pyproject", str(described), "--mc-type", "library", "--output-reproducible")
        session.run("cyclonedx-py", "environment", *options, "-o", str(target), str(python), silent=True)
        missing, added = SBOM_DIFFERENCES(json.loads(str(said)), json.loads(target.read_text(encoding="utf-8")))
        if missing or added:
            session.error(f"{target.name} lacks {missing}, and has {added}, which are not installed")
        session.log(f"{target.relative_to(ROOT)} tells of all {len(json.loads(str(said)))} packages")


def _project() -> dict[str, Any]:
    return dict(nox.project.load_toml(ROOT / "pyproject.toml"))


@contextmanager
def _built(session: nox.Session) -> Iterator[tuple[Path, Path]]:
    """Build wheel and sdist in a folder of their own, outside the project: its settings would count below it."""
    with TemporaryDirectory(prefix="published-") as name:
        folder = Path(name)
        # By the Python of nox, so that the session's own gets nothing but what is to be tried.
        session.run(sys.executable, "-m", "hatchling", "build", "-d", name, silent=True, external=True)
        (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
        yield wheel, sdist


def _without_the_package(sdist: Path) -> Path:
    """Unpack an sdist, and take the package away: what is imported then is what is installed."""
    with tarfile.open(sdist) as archive:
        archive.extractall(sdist.parent, filter="data")
    # Renamed, since tests tell the SDK's frames from others by the folder's name.
    source = (sdist.parent / sdist.name.removesuffix(".tar.gz")).rename(sdist.parent / "source")
    shutil.rmtree(source / "spotdx_async")
    return source


def _check_that_it_is_the_wheel(session: nox.Session) -> None:
    _run(session, "python", "-c", WHERE, printed="site-packages")


def _run(session: nox.Session, *command: str, printed: str, code: int = 0) -> None:
    said = session.run(*command, silent=True, success_codes=[code])
    if printed not in str(said):
        session.error(f"{command[0]} did not print {printed!r}:\n{said}")
