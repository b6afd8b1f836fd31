"""Lanes: the rows of one key go one after the other, the lanes of different keys side by side."""

from attrs import define, field

from spotdx_async._pipeline.messages import Flight, Verdict
from spotdx_async._pipeline.watching import Watched
from spotdx_async.bulk.journal import RowDigests
from spotdx_async.bulk.records import Update

__all__ = ["Lanes", "Row"]


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its tries have shown."""

    index: int
    update: Update = field(repr=False)
    key: str = field(repr=False)
    """The update's."""
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
    """Failed tries while the gate was open."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    may_be_executed: bool = False
    """Whether a try ended without anybody knowing if it was carried out."""
    lands_until_s: float = float("-inf")
    """Until when such a try may still be carried out, as far as its timeout tells."""
    last: Verdict | None = field(default=None, repr=False)
    """On the last try that failed."""
    watch: Watched | None = field(default=None, repr=False)
    """What observers are told through, once it is taken up; None where there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    def become(self, newer: "Row") -> None:
        """Stand for the newer row from now on, in the same place; nothing has been tried yet."""
        self.index, self.update, self.digests = newer.index, newer.update, newer.digests


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
