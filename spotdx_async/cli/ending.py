"""How a bulk update ended."""

from pathlib import Path

from attrs import frozen

from spotdx_async.cli.account import Account
from spotdx_async.cli.exits import Exit

__all__ = ["Ending"]


@frozen(kw_only=True)
class Ending:
    """How a run ended."""

    account: Account
    is_dry_run: bool
    elapsed_s: float
    stopped: str | None
    """Why it stopped early; None where it did not."""
    next_row: tuple[str, int] | None
    """The file and row at which to go on after an early stop; None where all was read."""
    has_many_files: bool
    journal: str | Path | None = None
    """The journal with which the same command goes on."""
    journal_folder: str | Path | None = None
    """The same of a run on a cluster."""
    report: str | Path | None = None
    """Where the page about the run is."""

    @property
    def exit(self) -> Exit:
        """The exit code."""
        if self.stopped is not None:
            return Exit.STOPPED
        if self.account.troubles or self.account.unwritten or self.account.disk_error:
            return Exit.FAILED
        return Exit.OK
