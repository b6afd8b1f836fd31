"""How a bulk update ended."""

from pathlib import Path

from attrs import frozen

from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.row_results import RowResults

__all__ = ["RunResult"]


@frozen(kw_only=True)
class RunResult:
    """How a run ended."""

    row_results: RowResults
    is_dry_run: bool
    elapsed_s: float
    stopped: str | None
    """Why it stopped early; None where it did not."""
    next_row: tuple[str, int] | None
    """The file and row at which reading has stopped; None where all was read."""
    has_many_files: bool
    journal: str | Path | None = None
    """The journal with which the same command goes on."""
    journal_folder: str | Path | None = None
    """The same of a run on a cluster."""
    report: str | Path | None = None
    """Where the page about the run is."""
    lands_within_s: float = 60.0
    """How long a request that got no answer may still be carried out."""

    @property
    def is_cut_short(self) -> bool:
        """Whether rows are left that no file holds for certain: it stopped early, or the disk did not take them."""
        return self.stopped is not None or self.row_results.disk_error is not None

    @property
    def has_journal(self) -> bool:
        """Whether the same command goes on with what is left."""
        return self.journal is not None or self.journal_folder is not None

    @property
    def go_on_at(self) -> tuple[str, int] | None:
        """The file and row from which all that is left can be sent again in the input's order; None: nothing is.

        Every row above it is done, or overtaken. Of those below it that are done the values are set once more: to pass
        over a row that is not would leave it to be set later, over a newer value of its kit or order.
        """
        return self.row_results.left.first or self.next_row

    @property
    def exit(self) -> Exit:
        """The exit code."""
        if self.stopped is not None:
            return Exit.STOPPED
        if self.row_results.troubles or self.row_results.unwritten or self.row_results.disk_error:
            return Exit.FAILED
        return Exit.OK
