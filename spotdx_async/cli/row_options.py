"""Options of files of rows, and of the commands that update from them. A class is flattened into a command."""

from typing import Annotated, Literal, TypeAlias

from attrs import frozen
from cyclopts import Parameter

from spotdx_async.cli.options import FilePath, Flag, Number, Seconds, Whole
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import Format


@frozen(kw_only=True)
class ReadingOptions:
    """How files of rows are read."""

    row_format: Annotated[Format | None, Parameter(name="--format")] = None
    """The format of the rows. Default: guessed from the suffix or the first character."""
    column_map: Annotated[tuple[str, ...], Parameter(name="--map", metavar="COLUMN=KEY", show_default=False)] = ()
    """COLUMN=KEY uses this column for that key or the id, COLUMN= leaves it out; repeatable; not for JSON."""
    delimiter: Annotated[str | None, Parameter(metavar="SIGN")] = None
    """What separates the cells of CSV, such as ';' or tab. Default: the one of , ; tab | that the header shows."""
    encoding: Annotated[str | None, Parameter(metavar="NAME")] = None
    """The encoding of CSV and JSON, such as latin-1. Default: what the first bytes tell, else UTF-8."""
    max_cell: Annotated[str, Parameter(metavar="SIZE")] = "16MiB"
    """The longest cell of CSV; a row with a longer one is rejected."""
    has_one_line_rows: Annotated[Flag, Parameter(name="--one-line-rows")] = False
    """No cell of the CSV holds a line break: each line is a row, so that a broken quote spoils no other."""
    sheet: Annotated[str | None, Parameter(metavar="NAME|NUMBER")] = None
    """The sheet of an Excel workbook, by its name or its number from 1. Default: the first that is visible."""


@frozen(kw_only=True)
class RowOptions(ReadingOptions):
    """Options of every command that reads files of rows and sends them."""

    rate: Number | None = None
    """The most requests a second. Default: the profile's, else no limit."""
    failed: FilePath = None
    """Write the rows that are not done to this file (mode 0600), in the order and form of the input, to be used as
    input again; those that cannot be read go to PATH.unreadable. A file that exists needs --force."""
    replaces_failed: Annotated[Flag, Parameter(name="--force")] = False
    """Replace the files given by --failed and --outcomes if they exist."""
    report: FilePath = None
    """Write a page about the run to this file."""
    outcomes: FilePath = None
    """Write each row's outcome to this file (mode 0600), for programs: .csv, or .jsonl for JSON Lines. It has the id
    of a row, and no other value."""
    outcomes_only: Annotated[Literal["failed"] | None, Parameter(show_choices=True)] = None
    """Write only the rows to it that were rejected, failed or ended unknown."""
    progress: Annotated[Literal["json"] | None, Parameter(show_choices=True)] = None
    """Write progress, messages and the end to standard error as JSON, one object a line, for programs."""
    max_errors: Whole | None = None
    """Stop the run once this many rows were rejected, failed or ended unknown; what is in flight is finished."""
    outage_limit_s: Annotated[Seconds, Parameter(name="--outage-limit")] = 1800.0
    """Stop after an outage of this many seconds."""
    from_row: Whole = 1
    """Begin at this row of the first file; 1 is the first below the header."""
    is_dry_run: Annotated[Flag, Parameter(name="--dry-run")] = False
    """Check every row, send nothing; needs no token."""

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            InvalidInputError: an option is.
        """
        if self.max_errors is not None and self.max_errors < 1:
            raise InvalidInputError("--max-errors must be at least 1")
        if not self.outage_limit_s > 0:
            raise InvalidInputError("--outage-limit must be a number of seconds above 0")


@frozen(kw_only=True)
class UpdateOptions(RowOptions):
    """Options of ``kits update`` and ``orders update``."""

    concurrency: Whole | None = None
    """Requests in flight at once. Default: the profile's, else 64."""
    journal: FilePath = None
    """Record in this file (mode 0600) which rows are done, so that the run can be resumed; it holds no id or value.
    With --dask or --workers: a folder that the workers share, which holds the rows during the run."""
    accepts_changed_input: Annotated[Flag, Parameter(name="--accept-changed-input")] = False
    """With --journal: resume with an input that was mended or extended. Rows that are done are known by what they hold,
    and are not sent again, wherever they stand now; the input must hold them all. Not with --dask or --workers."""
    coalesces: Annotated[Flag, Parameter(name="--coalesce")] = False
    """Send only the latest of the values that are waiting for the same id."""
    allows_empty: Annotated[Flag, Parameter(name="--allow-empty")] = False
    """Send {} for a row in which only the id is given, which erases what is set. Default: such a row is rejected."""
    waits_for_server: Annotated[Flag, Parameter(name="--wait-for-server")] = False
    """Wait that long even for a server that no request has reached yet. Without it the run stops after 30 s, since the
    address may be wrong. Not with --dask or --workers."""
    lands_within_s: Annotated[Seconds, Parameter(name="--lands-within")] = 60.0
    """How long a request that got no answer may still be executed, in seconds; at least the timeout. The next value
    of its id waits that long, also after a run that was killed."""
    show_phi: Flag = False
    """Show the server's reasons for rows that it refuses, which may name patients. Not with --dask or --workers."""
    dask: Annotated[str | None, Parameter(metavar="ADDRESS")] = None
    """Run on the workers of the Dask cluster at this address, such as tls://host:8786."""
    dask_tls_ca: FilePath = None
    """The CA certificates (PEM) that identify the cluster at a tls:// address; with the next two."""
    dask_tls_cert: FilePath = None
    """The client certificate (PEM) to show to the cluster."""
    dask_tls_key: FilePath = None
    """The key (PEM) of that certificate."""
    workers: Whole | None = None
    """Run on this many processes of this machine, closed to others: encrypted, with a certificate made for this run."""


UpdateWith: TypeAlias = Annotated[UpdateOptions, Parameter(name="*")]
USUAL_UPDATE = UpdateOptions()
