"""What a person sees while a run goes on: a live bar on a terminal, a plain line every few seconds elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from spotdx_async.cli.summary import Summary
from spotdx_async.files import RowFile

__all__ = ["Progress", "open_progress"]

_BAR_EVERY_S = 0.1
_LINE_EVERY_S = 5.0


class Progress(Protocol):
    """Told after each row."""

    def tick(self) -> None:
        """Show how things stand, if it is time to."""
        ...


@contextmanager
def open_progress(summary: Summary, files: Sequence[RowFile]) -> Iterator[Progress]:
    """Give the view that fits standard error."""
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _Lines(summary, files)
        return
    columns = (
        TextColumn("{task.fields[rows]:,} rows"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TextColumn("{task.fields[speed]:,.0f}/s"),
        TextColumn("{task.fields[not_done]:,} not done", style="red"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console) as bar:
        view = _Bar(summary, files, bar)
        yield view
        view.show()


def _total(files: Sequence[RowFile]) -> int | None:
    """Bytes of all inputs; None where one is a pipe."""
    total = 0
    for file in files:
        if file.size is None:
            return None
        total += file.size
    return total


class _Bar:
    def __init__(self, summary: Summary, files: Sequence[RowFile], bar: RichProgress) -> None:
        self._summary, self._files, self._bar = summary, files, bar
        self._task = bar.add_task("", total=_total(files), rows=0, speed=0.0, not_done=0)
        self._next = 0.0

    def tick(self) -> None:
        if (now := time.monotonic()) >= self._next:
            self._next = now + _BAR_EVERY_S
            self.show()

    def show(self) -> None:
        summary = self._summary
        speed = summary.rows / max(time.monotonic() - summary.started, 0.001)
        done = sum(file.bytes_read for file in self._files)
        self._bar.update(self._task, completed=done, rows=summary.rows, speed=speed, not_done=summary.not_done)


class _Lines:
    def __init__(self, summary: Summary, files: Sequence[RowFile]) -> None:
        self._summary, self._files = summary, files
        self._total = _total(files)
        self._next = time.monotonic() + _LINE_EVERY_S

    def tick(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _LINE_EVERY_S
        summary = self._summary
        share = ""
        if self._total:
            share = f", {sum(file.bytes_read for file in self._files) / self._total:.0%} of the input read"
        speed = summary.rows / max(now - summary.started, 0.001)
        sys.stderr.write(f"{summary.rows} rows, {speed:.0f}/s, {summary.not_done} not done{share}\n")
