"""The account of a run: a count for each state, the first reasons, and how it ended."""

import json
import sys
import time
from collections import Counter
from pathlib import Path

from attrs import define, field
from rich.console import Console
from rich.table import Table

from spotdx_async.cli.tables import plain_text

__all__ = ["Summary"]

STATES = ("ok", "rejected", "failed", "unknown", "superseded", "skipped")
_MOST_REASONS = 20


@define
class Summary:
    """Counts while the run goes on; written at its end."""

    failed_path: Path | None = None
    counts: Counter[str] = field(factory=Counter)
    reasons: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    """Rows that could not be written to the failed-rows file, and why; the first few."""
    lost_count: int = 0
    stopped: str | None = None
    """Why the run ended early; None where it did not."""
    requests: int = 0
    read: int = 0
    started: float = field(factory=time.monotonic)

    @property
    def rows(self) -> int:
        """Rows that have their outcome."""
        return self.counts.total()

    @property
    def not_done(self) -> int:
        """Rows that are not done."""
        return self.rows - self.counts["ok"] - self.counts["superseded"]

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some rows not, 3 stopped early."""
        if self.stopped:
            return 3
        return 1 if self.not_done else 0

    def count(self, state: str) -> None:
        """Count one row."""
        self.counts[state] += 1

    def note(self, name: str, number: int, line: int, state: str, reason: str) -> None:
        """Keep why a row is not done; the first few are shown."""
        if len(self.reasons) < _MOST_REASONS:
            self.reasons.append(f"{name}, row {number} (line {line}): {state}: {reason}")

    def note_lost(self, number: int, reason: str) -> None:
        """Keep that a failed row could not be written."""
        self.lost_count += 1
        if len(self.lost) < _MOST_REASONS:
            self.lost.append(f"row {number}: {reason}")

    def write(self, *, as_json: bool) -> None:
        """Write the reasons to standard error, and the counts as a table, or as JSON, to standard output."""
        console = Console(stderr=True, highlight=False)
        for reason in self.reasons:
            console.print(plain_text(reason), soft_wrap=True)
        if self.not_done > len(self.reasons):
            console.print(f"… and {self.not_done - len(self.reasons)} more rows", soft_wrap=True)
        for lost in self.lost:
            console.print(plain_text(f"not written to {self.failed_path}: {lost}"), soft_wrap=True)
        if self.stopped:
            console.print(plain_text(f"stopped early: {self.stopped}"), soft_wrap=True)
            console.print(f"{self.read} rows were read; those after them were not.", soft_wrap=True)
        if self.not_done:
            advice = "give --failed PATH to have these rows written to a file, ready to be fed in again"
            if self.failed_path is not None:
                advice = f"rows that are not done: {self.failed_path} (feed it in again after mending it)"
            console.print(plain_text(advice), soft_wrap=True)
        if as_json:
            sys.stdout.write(json.dumps(self._facts()) + "\n")
        else:
            Console(highlight=False).print(self._table())

    def _facts(self) -> dict[str, object]:
        return {
            "rows": self.rows,
            **{state: self.counts[state] for state in STATES},
            "requests": self.requests,
            "seconds": round(time.monotonic() - self.started, 3),
            "stopped": self.stopped,
        }

    def _table(self) -> Table:
        seconds = time.monotonic() - self.started
        table = Table("state", "rows")
        table.columns[1].justify = "right"
        for state in STATES:
            if self.counts[state] or state == "ok":
                table.add_row(state, f"{self.counts[state]:,}")
        table.add_section()
        table.add_row("all", f"{self.rows:,}")
        table.caption = f"{self.requests:,} requests in {seconds:.1f} s"
        return table
