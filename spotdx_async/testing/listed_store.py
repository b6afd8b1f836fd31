"""Stores whose items are listed: sorted, or some seconds behind; and those whose items have metadata. Pure."""

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, ClassVar, Literal, Protocol, TypeVar

from spotdx_async.testing.list_lag import LaggingList, ListedRow
from spotdx_async.testing.store import Item, Store, instant_now, seconds_now

MetadataGap = Literal["missing", "null", "reference"]
"""What is not shown of an object's metadata: the field is missing, it is null, or the client reference is not in it."""

T = TypeVar("T", bound=Item)
_GAPS = ("missing", "null", "reference")


class _Sortable(Protocol):
    @property
    def sort_key(self) -> str: ...


_S = TypeVar("_S", bound=_Sortable)


class ListedStore(Store[T]):
    """Items that have a list.

    Attributes:
        elapsed_s: returns the seconds by which ``list_lag_s`` is counted; within a server, those of its loop.
    """

    _newest_first: ClassVar[bool] = False
    """Whether the list begins with the highest sort key."""

    def __init__(self, *, now: Callable[[], str] = instant_now, elapsed_s: Callable[[], float] = seconds_now) -> None:
        super().__init__(now=now)
        self.elapsed_s = elapsed_s
        self._sorted: list[T] | None = None
        self._lagging: LaggingList | None = None

    @property
    def list_lag_s(self) -> float:
        """Seconds after which the list shows what was added, changed or removed; "get" shows it at once.

        Setting it begins with what there is now. Meanwhile an item's row stays as it was, its dates included. What a
        test changes within a ``document`` is not noticed: call ``changed`` after it.

        Raises:
            ValueError: it is not a number, 0 or more.
        """
        return 0.0 if self._lagging is None else self._lagging.lag_s

    @list_lag_s.setter
    def list_lag_s(self, seconds: float) -> None:
        if not (math.isfinite(seconds) and seconds >= 0):
            raise ValueError("list_lag_s must be a number of seconds, 0 or more")
        with self._lock:
            if not seconds:
                self._lagging = None
            elif self._lagging is None:
                self._lagging = LaggingList(((an_id, _row(item)) for an_id, item in self._by_id.items()), seconds)
            else:
                self._lagging.lag_s = seconds

    def changed(self, item: T) -> None:
        """Note that an item has changed; its own attributes and steps do that."""
        with self._lock:
            # An item that was removed, or is not added yet, is in no list.
            if self._lagging is not None and self._by_id.get(item.an_id) is item:
                self._lagging.changed(item.an_id, _row(item), at_s=self.elapsed_s())

    def reset_order(self) -> None:
        """Sort the list again before its next use: an item's sort key has changed."""
        with self._lock:
            self._sorted = None

    def listed(self) -> list[T] | list[ListedRow]:
        """Return what the list shows now, in its order. Not to be changed."""
        with self._lock:
            if self._lagging is not None:
                return self._lagging.in_order(self._sort, now_s=self.elapsed_s())
            return self._in_order()

    def _in_order(self) -> list[T]:
        # Sorted on first use, since a list of thousands is read page by page. Under the lock, since an item that
        # another thread adds while this one sorts would be missing from the list.
        with self._lock:
            if self._sorted is None:
                self._sorted = self._sort(self._by_id.values())
            return self._sorted

    def _sort(self, items: Iterable[_S]) -> list[_S]:
        ordered = sorted(items, key=attrgetter("sort_key"))
        if self._newest_first:
            ordered.reverse()  # the last added comes first among equals, unlike with sorted(reverse=True)
        return ordered

    def _put(self, an_id: str, item: T) -> T:
        with self._lock:
            super()._put(an_id, item)
            self._sorted = None
            self.changed(item)
        return item

    def __delitem__(self, an_id: str) -> None:
        with self._lock:
            super().__delitem__(an_id)
            self._sorted = None
            if self._lagging is not None:
                self._lagging.changed(an_id, None, at_s=self.elapsed_s())


class MetadataStore(ListedStore[T]):
    """Items that show their metadata, or not all of it."""

    def __init__(self, *, now: Callable[[], str] = instant_now, elapsed_s: Callable[[], float] = seconds_now) -> None:
        super().__init__(now=now, elapsed_s=elapsed_s)
        self._gap: Callable[[T, dict[str, Any]], dict[str, Any]] | None = None

    def strip_metadata(
        self, gap: MetadataGap, *, only: Callable[[T], bool] | None = None, key: str = "client_ref"
    ) -> None:
        """Show less of the metadata than there is, in every answer with a whole object; what is stored stays whole.

        It replaces what an earlier call said, and holds until ``show_metadata``.

        Args:
            gap: ``"missing"`` for no such field, ``"null"``, or ``"reference"`` for metadata without ``key``.
            only: returns whether it is for this object; None for all.
            key: where the client keeps its reference.

        Raises:
            ValueError: there is no such gap; the message lists those that there are.
        """
        if gap not in _GAPS:
            raise ValueError(f"gap must be one of {', '.join(_GAPS)}")

        def strip(item: T, answer: dict[str, Any]) -> dict[str, Any]:
            if "metadata" not in answer or (only is not None and not only(item)):
                return answer
            shown = {name: value for name, value in answer.items() if name != "metadata"}
            if gap == "null":
                shown["metadata"] = None
            elif gap == "reference":
                shown["metadata"] = _without(answer["metadata"], key)
            return shown

        self._gap = strip

    def show_metadata(self) -> None:
        """Show the metadata again as they are."""
        self._gap = None

    def shown(self, item: T, answer: dict[str, Any]) -> dict[str, Any]:
        """Return what is sent of an answer with a whole object."""
        return answer if self._gap is None else self._gap(item, answer)

    def add_foreign(
        self,
        count: int = 1,
        *,
        metadata: Mapping[str, Any] | Callable[[int], Mapping[str, Any] | None] | None = None,
    ) -> tuple[str, ...]:
        """Add what other callers of the API create meanwhile: stamped with this instant, and in no ledger.

        Args:
            count: how many. Ten thousand orders take a tenth of a second.
            metadata: those of each; or a function that takes a number from 0 and returns them; None for null.

        Returns:
            The ids, in order.
        """
        at, ids = self.now(), tuple(self.free_id() for _ in range(count))
        for number, an_id in enumerate(ids):
            given = metadata(number) if callable(metadata) else metadata
            self._add_stamped(an_id, at, None if given is None else dict(given))
        return ids

    def ids_by_reference(self, *, key: str = "client_ref") -> dict[str, tuple[str, ...]]:
        """Return the ids of all that is there and carries a reference, by the reference, each in the order of adding.

        It reads what is stored, whoever stored it. What was deleted is not among it: see ``creations`` for that.
        """
        found: dict[str, tuple[str, ...]] = {}
        with self._lock:
            for an_id, item in self._by_id.items():
                metadata = self._metadata_of(item)
                reference = metadata.get(key) if isinstance(metadata, dict) else None
                if isinstance(reference, str):
                    found[reference] = (*found.get(reference, ()), an_id)
        return found

    @abstractmethod
    def _add_stamped(self, an_id: str, created: str, metadata: dict[str, Any] | None) -> None:
        """Add an item, made up but for these."""

    @abstractmethod
    def _metadata_of(self, item: T) -> Any:
        """Return the item's metadata."""


def _row(item: Item) -> ListedRow:
    return ListedRow(item.sort_key, item.summary(), item.person)


def _without(metadata: Any, key: str) -> Any:
    if not isinstance(metadata, dict):
        return metadata
    return {name: value for name, value in metadata.items() if name != key}
