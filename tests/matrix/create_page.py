"""Reads ``create_faults.toml``, and prints the page made of it: ``python tests/matrix/create_page.py [--write]``.

It knows neither the SDK nor the server that plays the faults.
"""

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent / "create_faults.toml"
PAGE: Final = Path(__file__).parents[2] / "docs" / "create-faults.md"
HEAD: Final = ("what happens", "what is known", "the row becomes", "the same call again", "sent / created")


@dataclass(frozen=True)
class CreateFault:
    """One fault of a row, how it is played, and what becomes of the row."""

    id: str
    group: str
    says: str
    known: str
    """What is known of the row's request when its attempt has ended."""
    becomes: str
    """The row's outcome."""
    again: str
    """What the same call does after that, when all is well again."""
    sent: int
    """Requests for the row, in both runs together."""
    created: int
    """Objects that came of it."""
    noun: str = "orders"
    play: str = ""
    """A function of ``spotdx_async.testing.faults``, played on the row's first request."""
    having: Mapping[str, Any] = field(default_factory=dict)
    """Its arguments."""
    times: int = 1
    """On how many of its requests it is played; 0: on all."""
    set_up: str = ""
    """What is wrong around the first run."""
    killed: str = ""
    """When its process is killed."""
    between: str = ""
    """What happens before the same call is made again."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Options of both runs."""


def groups() -> dict[str, dict[str, str]]:
    """Read the groups, in the file's order."""
    found: dict[str, dict[str, str]] = _file()["groups"]
    return found


def create_faults() -> list[CreateFault]:
    """Read the faults, in the file's order."""
    return [CreateFault(**entry.pop("row"), **entry) for entry in _file()["faults"]]


def page() -> str:
    """Make the page."""
    parts = [_file()["page"]["introduction"].strip()]
    head = f"| {' | '.join(HEAD)} |\n|{'---|' * len(HEAD)}"
    by_group = {name: [*some] for name, some in groupby(create_faults(), lambda fault: fault.group)}
    for name, about in groups().items():
        rows = "\n".join(map(_row, by_group[name]))
        parts.append(f"## {about['title']}\n\n{' '.join(about['says'].split())}\n\n{head}\n{rows}")
    return "\n\n".join(parts) + "\n"


def _row(fault: CreateFault) -> str:
    cells = (fault.says.rstrip("."), fault.known, fault.becomes, fault.again, f"{fault.sent} / {fault.created}")
    return f"| {' | '.join(cells)} |"


def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def main(arguments: list[str]) -> None:
    """Print the page, or write it."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
