"""What a run of ``kits update`` is asked to do."""

from collections.abc import Mapping

from attrs import field, frozen

from spotdx_async.files import Format

__all__ = ["UpdateOptions"]


@frozen(kw_only=True)
class UpdateOptions:
    """What a run of ``kits update`` is asked to do."""

    files: tuple[str, ...]
    """Paths; ``-`` is standard input."""
    row_format: Format | None = None
    """None: told by the file."""
    from_row: int = 1
    """The first row of the first file to send."""
    failed: str | None = None
    """Where rows that are not done are written."""
    replaces_failed: bool = False
    """Whether an existing file of failed rows is replaced."""
    is_dry_run: bool = False
    """Whether rows are only checked."""
    journal: str | None = None
    """Where the run writes down what is done, so that the same command resumes it."""
    coalesces: bool = False
    """Whether a newer value takes the place of an older one that waits."""
    report: str | None = None
    """Where the page about the run is written."""
    columns: Mapping[str, str] | None = None
    """Metadata keys of columns that are named otherwise."""
    outage_limit_s: float = 1800.0
    """How long an outage may last before the run stops, in seconds."""
    rate: float | None = None
    """Requests a second; None: no limit."""
    concurrency: int = 64
    """Requests in flight at once."""
    timeout_s: float = 30.0
    """One attempt, in seconds."""
    base_url: str | None = None
    """None: from the environment, else production."""
    token: str | None = field(default=None, repr=False)
    """For a server of our own; None: from the environment."""
    grace_s: float = 10.0
    """How long rows under way may take to finish after the first signal to stop."""
