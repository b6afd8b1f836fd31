"""How a bulk run is to go: its options as a caller gives them, and as the parts of the engine read them."""

import os
from collections.abc import Awaitable, Callable
from typing import TypedDict

from attrs import frozen

from spotdx_async.bulk.records import Journal, Progress
from spotdx_async.config import RetryPolicy

__all__ = ["RunOptions", "UpdateOptions"]

_READ_AHEAD_TO_COALESCE = 64
_LEAST_WINDOW = 8
"""A total outage shows in five rows, which must be there to be tried."""


class UpdateOptions(TypedDict, total=False):
    """What ``update_metadata_many`` takes beside its rows and ``decode``, each of which may be left out."""

    concurrency: int
    """Rows under way at once, 64 if left out; the client's own ``concurrency`` applies as well."""
    ordered: bool
    """Return outcomes in the order of the rows, not as they come; False if left out."""
    journal: str | os.PathLike[str] | Journal | None
    """A file in which the run records which rows are done. The same call with the same input resumes a run that was
    stopped or killed: rows done come out as ``skipped``, and at most what was in flight and the last 1,000 rows or
    200 ms are sent once more. It holds no id, metadata or patient data. None, or left out: no journal."""
    coalesce: bool
    """Whether a newer update of an object replaces an older one that has not been sent yet, which comes out as
    ``superseded``; False if left out."""
    progress: Callable[[Progress], object] | None
    """A plain function, called with a Progress every half second, and at the end."""
    stop_after: int | None
    """Stop the run once this many rows were rejected, failed or ended unknown; None, or left out: never. Of the rows
    under way only those are finished whose request was handed to a connection."""
    outage_limit: float
    """Stop the run after an outage of so many seconds, 1,800 if left out; pauses that the server asked for count."""
    wait_for_server: bool
    """False, or left out, stops the run after 30 s in which no request has ever reached the server because its name is
    not found, it refuses connections or TLS fails: a wrong ``base_url`` is no outage."""


@frozen(kw_only=True)
class RunOptions:
    """How a run is to go."""

    concurrency: int
    ordered: bool
    coalesce: bool
    stop_after: int | None
    outage_limit_s: float
    wait_for_server: bool
    """Whether to wait as long as in any outage for a server that has never been reached."""
    policy: RetryPolicy
    operation: str
    host: str
    """The server's, with its port where it names one: what texts may show of its address."""
    lands_within_s: float
    """Seconds after which a request that was sent has been carried out, or never will be."""
    sleep: Callable[[float], Awaitable[None]]
    """Waits before a repeat; it ends early where the client lifts a pause."""
    total: int | None = None
    """Rows of the input, where that is known."""

    @property
    def window(self) -> int:
        """Rows that are read and whose outcome the consumer has not taken, at most."""
        return max(_LEAST_WINDOW, 2 * self.concurrency) + (_READ_AHEAD_TO_COALESCE if self.coalesce else 0)
