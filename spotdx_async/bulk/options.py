"""How a bulk run is to go: its options, as the parts of the engine read them."""

from collections.abc import Awaitable, Callable

from attrs import frozen

from spotdx_async.config import RetryPolicy

__all__ = ["RunOptions"]

_READ_AHEAD_TO_COALESCE = 64
_LEAST_WINDOW = 8
"""A total outage shows in five rows, which must be there to be tried."""


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
