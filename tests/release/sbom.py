"""Compares a CycloneDX SBOM with what pip has installed. No import of ours: nox reads it too."""

import re
from typing import Any


def differences(installed: list[dict[str, str]], sbom: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return what the SBOM lacks, and what it has that is not installed, as ``name==version``.

    Args:
        installed: what ``pip list --format=json`` prints.
        sbom: as it is in its file.
    """
    told = [*sbom.get("components", []), sbom["metadata"]["component"]]
    here = {_pinned(one) for one in installed}
    there = {_pinned(one) for one in told}
    return sorted(here - there), sorted(there - here)


def _pinned(one: dict[str, str]) -> str:
    return f"{re.sub(r'[-_.]+', '-', one['name']).lower()}=={one.get('version', '')}"
