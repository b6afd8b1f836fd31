"""The options that all commands share which update many objects from files."""

from typing import Annotated, TypeAlias

from attrs import frozen
from cyclopts import Parameter

from spotdx_async.cli.file_arguments import FilePath
from spotdx_async.cli.options import Flag
from spotdx_async.files import Format

__all__ = ["USUAL_UPDATE", "UpdateOptions", "UpdateWith"]


@frozen(kw_only=True)
class UpdateOptions:
    """Options of ``kits update`` and ``orders update``; the line beneath each is its help."""

    rate: float | None = None
    """The most requests a second. Default: the profile's, else no limit."""
    concurrency: int | None = None
    """Requests in flight at once. Default: the profile's, else 64."""
    row_format: Annotated[Format | None, Parameter(name="--format")] = None
    """How the rows are written. Default: told by the suffix or the first character."""
    failed: FilePath = None
    """Write rows that are not done to this new file (mode 0600), as they came, ready to be fed in again."""
    replaces_failed: Annotated[Flag, Parameter(name="--force")] = False
    """Replace the file given by --failed where it exists."""
    journal: FilePath = None
    """Write down in this file (mode 0600) which rows are done, to resume the run; it holds no id or value. With --dask
    or --workers: a folder, which the workers must share, and in which rows lie while the run goes on."""
    coalesces: Annotated[Flag, Parameter(name="--coalesce")] = False
    """Send only the last of the values that wait for the same id."""
    column_map: Annotated[tuple[str, ...], Parameter(name="--map", show_default=False)] = ()
    """COLUMN=KEY takes this column for that key or the id, COLUMN= leaves it out; repeatable; for CSV and Parquet."""
    report: FilePath = None
    """Write a page about the run to this file."""
    outage_limit_s: Annotated[float, Parameter(name="--outage-limit")] = 1800.0
    """Stop after an outage of so many seconds."""
    waits_for_server: Annotated[Flag, Parameter(name="--wait-for-server")] = False
    """Wait that long also for a server that no request has reached yet. Without it the run stops after 30 s, since the
    address may be wrong. Not with --dask or --workers."""
    lands_within_s: Annotated[float, Parameter(name="--lands-within")] = 60.0
    """How long a request that got no answer may still be carried out, in seconds; at least the timeout. An id's next
    value waits so long after it, and after a run that was killed."""
    dask: str | None = None
    """Run on the workers of the Dask cluster at this address, such as tls://host:8786."""
    dask_tls_ca: FilePath = None
    """The certificates (PEM) by which the cluster at a tls:// address is known; with the next two."""
    dask_tls_cert: FilePath = None
    """The certificate (PEM) that is shown to the cluster."""
    dask_tls_key: FilePath = None
    """The key (PEM) of that certificate."""
    workers: int | None = None
    """Run on so many processes of this machine, which take nobody else: encrypted, with a certificate of this run."""
    from_row: int = 1
    """Begin at this row of the first file; 1 is the first below the header."""
    is_dry_run: Annotated[Flag, Parameter(name="--dry-run")] = False
    """Check every row, send nothing; needs no token."""


UpdateWith: TypeAlias = Annotated[UpdateOptions, Parameter(name="*")]
"""A command's parameter that stands for all the options."""
USUAL_UPDATE = UpdateOptions()
