"""What a feed of changes gives: batches, with the cursor to store beside them."""

from collections.abc import Iterator
from typing import Any, Generic, TypeVar

from attrs import field, frozen

from spotdx_async.errors import SpotError

__all__ = ["Batch", "ChangeCounts", "Unread"]

T = TypeVar("T")


@frozen
class Unread:
    """An object that changed and could not be got.

    It is tried again in every pass until it can be got. One that cannot be found (404) is given up when the list does
    not show it any more, or after two days if it changed so long ago that the list is not asked for it.
    """

    object_id: str | None
    """Its id; None for a row of the list that shows none, which is not tried again."""
    error: SpotError
    """Why."""


@frozen
class Batch(Generic[T]):
    """Some objects that changed, and the cursor: store both in one transaction.

    The last batch of a pass may be empty: its cursor spares later passes the reading of what this one has read.
    """

    items: tuple[T, ...] = field(repr=False)
    """Whole objects, each in the state in which it was got; at most ``batch_size``."""
    cursor: str = field(repr=False)
    """What was delivered up to and including this batch, as text for ``changes(cursor)``.

    It holds no patient data and no id in clear: 16 bytes, in base64, for each object that changed within the two days
    before the pass or shows no date, 220 bytes besides, and the enciphered ids of objects that could not be got. While
    a long list is read for the first time, also for those that were created on the days being read.
    """
    summaries: tuple[Any, ...] = field(default=(), repr=False)
    """The rows of the list for ``items``, in the same order: a kit's ``created``, ``updated`` and ``order_id`` are only
    there. None for an object that was got without its row."""
    touched: tuple[Any, ...] = field(default=(), repr=False)
    """The rows of objects whose row changed (such as ``updated`` alone) while the object is as it was delivered."""
    unread: tuple[Unread, ...] = ()
    """Objects that could not be got, each reported once."""

    def pairs(self) -> Iterator[tuple[T, Any]]:
        """Yield each object with its row in the list."""
        return zip(self.items, self.summaries, strict=True)


@frozen
class ChangeCounts:
    """What a feed has done so far, in all its passes."""

    lists: int = 0
    """Pages of lists that were fetched."""
    gets: int = 0
    """Objects that were got."""
    delivered: int = 0
    """Objects that came in batches."""
    unchanged: int = 0
    """Objects that were got and were as they had been delivered."""
    untold: int = 0
    """Of those that a sweep got: changed, although the list still shows the row that was delivered."""
