"""A command of ``spotdx`` as tests run it, and what came of it."""

import asyncio
import io
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

from spotdx_async.cli.app import run

__all__ = ["Done", "Spotdx", "Terminal", "spotdx"]


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def summary(self) -> dict[str, Any]:
        """The object that ``--json`` writes."""
        value: dict[str, Any] = json.loads(self.out)
        return value

    @property
    def counts(self) -> dict[str, int]:
        """Of the summary, the rows by state, as far as there are any."""
        names = ("rows", "ok", "rejected", "failed", "unknown", "skipped")
        return {name: self.summary[name] for name in names if self.summary[name]}


Spotdx: TypeAlias = Callable[..., Awaitable[Done]]
"""Runs a command; the words may be paths."""


class Terminal(io.StringIO):
    """A standard stream that a person may be at."""

    def isatty(self) -> bool:
        return True


async def spotdx(*argv: object) -> int:
    """Run a command in a thread of this process, so that its loop and a server's run side by side; return its code."""
    return await asyncio.to_thread(run, [str(word) for word in argv])
