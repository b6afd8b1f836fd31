"""What all benches found, in one file with the machine that they ran on."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypedDict

PACKAGES = ("aiohttp", "attrs", "cattrs", "orjson", "tenacity", "uvloop", "pydantic", "msgspec", "cyclopts")


class Machine(TypedDict):
    """What the figures depend on."""

    cpu: str
    cores: int | None
    python: str
    packages: dict[str, str]


class BenchResult(TypedDict):
    """What one bench found, and how to find it again."""

    date: str
    command: str
    missing: str
    """Why there are no figures; empty where there are."""
    figures: list[dict[str, Any]]


class Results(TypedDict):
    """The whole file."""

    machine: Machine
    benches: dict[str, BenchResult]


def merged(old: Results | None, machine: Machine, new: Mapping[str, BenchResult], order: list[str]) -> Results:
    """Put new results in the place of old ones. Those of another machine or other packages are not kept beside them."""
    kept = old["benches"] if old is not None and old["machine"] == machine else {}
    both = {**kept, **new}
    return {"machine": machine, "benches": {name: both[name] for name in order if name in both}}


def this_machine() -> Machine:
    """Describe the machine."""
    return {
        "cpu": cpu_model(Path("/proc/cpuinfo")),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
    }


def cpu_model(path: Path) -> str:
    """Name the processor."""
    lines = path.read_text().splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def installed(package: str) -> str | None:
    """Give a package's version; None: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
