"""Reads ``faults.toml``, and prints the page made of it: ``python tests/matrix/page.py [--write]``.

It knows neither the SDK nor the server that plays the faults.
"""

import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Final

FILE: Final = Path(__file__).parent / "faults.toml"
PAGE: Final = Path(__file__).parents[2] / "docs" / "faults.md"
CLASSES: Final = {"update": "update", "create": "create", "bulk": "bulk row", "list": "list"}
_FACTS: Final = frozenset({"gets", "executed", "sent", "tries", "took_s", "retry_after_s", "reason"})


@dataclass(frozen=True)
class Span:
    """A number that a line promises, or the bounds of one that chance decides."""

    least: float
    most: float

    def __contains__(self, number: float) -> bool:
        return self.least <= number <= self.most

    def __str__(self) -> str:
        return f"{self.least:g}" if self.least == self.most else f"{self.least:g}…{self.most:g}"


@dataclass(frozen=True)
class Line:
    """What one class of operation gets from a fault; ``reason`` says why there is nothing to get."""

    gets: str = ""
    executed: Span = Span(0, 0)
    sent: Span = Span(0, 0)
    tries: Span = Span(0, 0)
    took_s: Span | None = None
    retry_after_s: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Fault:
    """One fault, how it is played, and a line for each class."""

    id: str
    group: str
    says: str
    lines: Mapping[str, Line]
    play: str = "healthy"
    having: Mapping[str, Any] = field(default_factory=dict)
    """The script's parameters."""
    is_once: bool = False
    client: Mapping[str, Any] = field(default_factory=dict)
    """Options of the client."""
    set_up: str = ""
    """What is wrong around the client."""
    token: str = ""
    tls: str = ""
    cancel: str = ""
    """Where the call is cancelled."""
    input: str = ""
    """What is wrong with the arguments."""
    ends_after_s: float = 0.0
    """When the server gets well; 0: not before the call has ended."""
    clock_s: float = 0.0
    """How far the wall clock is wrong."""
    rows: int = 1
    """Rows of the bulk run."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Options of the bulk run."""


@dataclass(frozen=True)
class Group:
    """Faults that meet a call at the same place."""

    id: str
    title: str
    says: str


def groups() -> list[Group]:
    """Read the groups, in the file's order."""
    return [Group(id_, **about) for id_, about in _file()["groups"].items()]


def faults() -> list[Fault]:
    """Read the faults, in the file's order."""
    return [_fault(entry) for entry in _file()["faults"]]


def page() -> str:
    """Make the page."""
    introduction = _file()["page"]["introduction"].strip()
    parts = [f"# What goes wrong, and what you get\n\n{introduction}"]
    by_group = {name: list(some) for name, some in groupby(faults(), lambda fault: fault.group)}
    for group in groups():
        head = "| fault | " + " | ".join(CLASSES.values()) + " |\n|" + "---|" * (len(CLASSES) + 1)
        rows = "\n".join(_row(fault) for fault in by_group[group.id])
        parts.append(f"## {group.title}\n\n{' '.join(group.says.split())}\n\n{head}\n{rows}")
    return "\n\n".join(parts) + "\n"


def _file() -> dict[str, Any]:
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


def _fault(entry: dict[str, Any]) -> Fault:
    about = {name: value for name, value in entry.items() if name not in CLASSES}
    if about.pop("plays", "always") == "once":
        about["is_once"] = True
    return Fault(lines={name: _line(entry[name]) for name in CLASSES if name in entry}, **about)


def _line(facts: dict[str, Any]) -> Line:
    if unknown := facts.keys() - _FACTS:
        raise ValueError(f"a line has no {', '.join(unknown)}")
    if "reason" in facts:
        return Line(reason=facts["reason"])
    sent = _span(facts["sent"])
    return Line(
        gets=facts["gets"],
        executed=_span(facts["executed"]),
        sent=sent,
        tries=_span(facts["tries"]) if "tries" in facts else sent,
        took_s=_span(facts["took_s"]) if "took_s" in facts else None,
        retry_after_s=facts.get("retry_after_s"),
    )


def _span(value: float | str) -> Span:
    if isinstance(value, str):
        least, most = value.split("..")
        return Span(float(least), float(most))
    return Span(value, value)


def _row(fault: Fault) -> str:
    cells = [fault.says.rstrip("."), *(_cell(fault.lines[name]) for name in CLASSES)]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _cell(line: Line) -> str:
    if line.reason:
        return f"– ({line.reason})"
    return "; ".join([line.gets, f"{line.executed}/{line.sent}", *_extras(line)])


def _extras(line: Line) -> Iterator[str]:
    if line.tries != line.sent:
        yield f"{line.tries} {'try' if line.tries == Span(1, 1) else 'tries'}"
    if line.took_s is not None:
        yield f"{line.took_s} s"


def main(arguments: list[str]) -> None:
    """Print the page, or write it."""
    if arguments == ["--write"]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(), encoding="utf-8")
    else:
        sys.stdout.write(page())


if __name__ == "__main__":
    main(sys.argv[1:])
