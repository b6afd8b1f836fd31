"""The wheel and the sdist of this checkout, built once with the backend that is installed: no network."""

import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[2]


@frozen
class Built:
    """What a build has made."""

    wheel: Path
    sdist: Path

    def names(self) -> list[str]:
        """The files in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    def about(self, name: str) -> str:
        """A file of the wheel's ``dist-info``."""
        with zipfile.ZipFile(self.wheel) as archive:
            (found,) = [entry for entry in archive.namelist() if entry.endswith(f".dist-info/{name}")]
            return archive.read(found).decode()

    def metadata(self) -> Message:
        """The wheel's metadata."""
        return Parser().parsestr(self.about("METADATA"))


def build(source: Path, into: Path) -> Built:
    """Build both as ``pip`` and ``build`` do, in an environment that has the backend."""
    subprocess.run(  # noqa: S603 - our own source
        [sys.executable, "-m", "hatchling", "build", "-d", str(into)],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,), (sdist,) = into.glob("*.whl"), into.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(ROOT, tmp_path_factory.mktemp("built"))


@pytest.fixture(scope="session")
def unpacked(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, as ``site-packages`` has them."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(built.wheel) as archive:
        archive.extractall(folder)
    return folder
