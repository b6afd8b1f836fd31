"""Lanes: the rows of one key go one after the other, the lanes of different keys side by side."""

from attrs import define, field

from spotdx_async._pipeline.messages import Flight, Verdict
from spotdx_async._pipeline.watching import Watched
from spotdx_async.bulk.journal import RowDigests

__all__ = ["Lanes", "Row"]

_MOST_OVERTAKEN = 250
"""Rows that one row may overtake while nothing tells the journal of them: their digests are kept until it has ended."""


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its tries have shown."""

    index: int
    key: str = field(repr=False)
    """Whose metadata to set."""
    body: bytes = field(repr=False)
    """What to send: written when the row was read, so that nothing that is done to the mapping later changes it."""
    digests: RowDigests | None = field(default=None, repr=False)
    """The journal's marks of it; None without a journal."""
    flight: Flight = field(factory=Flight, repr=False)
    """What is known of its attempts."""
    tries: int = 0
    """Tries so far; a try with a renewed token makes two requests."""
    attempts: int = 0
    """Requests made."""
    failing_since_s: float = float("-inf")
    """When the request of its first failed try began."""
    charged: int = 0
    """Failed tries while the run was not paused."""
    odds: float = 1.0
    """How likely these are if they were not its own fault: the product of what others failed with at the time."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    lands_until_s: float = float("-inf")
    """Until when a try that may have been executed may still be carried out."""
    unanswered_until_s: float = float("-inf")
    """The same of a try that got no answer at all: it may still be carried out after a later one was answered."""
    rests_until_s: float = float("-inf")
    """Until when it is not tried again, since the server said that calls come too fast."""
    last: Verdict | None = field(default=None, repr=False)
    """On the last try that failed."""
    watch: Watched | None = field(default=None, repr=False)
    """What observers are told through, once it is taken up; None where there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    overtaken: list[tuple[int, RowDigests]] = field(factory=list, repr=False)
    """Rows whose place it has taken: the journal hears of them when its own value is there."""

    @property
    def may_be_executed(self) -> bool:
        """Whether an attempt may have been carried out, in this session or an earlier one."""
        return self.flight.may_be_executed or self.flight.may_have_arrived

    @property
    def can_be_overtaken(self) -> bool:
        """Whether a newer row may take its place: it has not been taken up yet."""
        return self.began_s is None and len(self.overtaken) < _MOST_OVERTAKEN

    def become(self, newer: "Row") -> None:
        """Stand for the newer row from now on, in the same place; nothing has been tried yet."""
        if self.digests is not None:
            self.overtaken.append((self.index, self.digests))
        self.index, self.body, self.digests, self.flight = newer.index, newer.body, newer.digests, newer.flight
        # What an earlier session may have sent of either: of the older one it would land over the newer.
        self.rests_until_s = max(self.rests_until_s, self.unanswered_until_s)
        self.unanswered_until_s = max(self.unanswered_until_s, newer.unanswered_until_s)


class Lanes:
    """Who may go now, and who waits for whom."""

    def __init__(self) -> None:
        self._last: dict[str, Row] = {}

    def last(self, key: str) -> Row | None:
        """The row of the key that came last, while its lane is in use."""
        return self._last.get(key)

    def enter(self, row: Row) -> bool:
        """Take a row in; whether it may go now, else it follows the row of its key before it."""
        key = row.key
        before = self._last.get(key)
        self._last[key] = row
        if before is None:
            return True
        before.following = row
        return False

    def leave(self, row: Row) -> Row | None:
        """Tell that a row has its outcome and its key is free; give the one that may go now."""
        if row.following is None:
            del self._last[row.key]
        return row.following
