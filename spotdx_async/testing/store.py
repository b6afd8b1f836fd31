"""Where the fake keeps its things by id, in the order of adding. Pure; knows no kit and no order."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import count
from threading import RLock
from typing import ClassVar, TypeVar

__all__ = ["Store", "check_id", "refuse_unknown_fields"]

T = TypeVar("T")


class Store(Mapping[str, T], ABC):
    """Things by id; ``del`` takes one away. May be used while the server answers in another thread."""

    _noun: ClassVar[str]
    """What one of the things is called."""
    _free_id: ClassVar[str]
    """What the ids look like that are made up: a format for a number."""

    def __init__(self) -> None:
        self._by_id: dict[str, T] = {}
        self._numbers = count(1)
        self._sorted: list[T] | None = None
        self._lock = RLock()

    @abstractmethod
    def add(self, an_id: str, /) -> T:
        """Add one thing as it is where nothing is said of it."""

    def add_many(self, which: int | Iterable[str]) -> tuple[str, ...]:
        """Add things by their ids, or so many with ids made up; give the ids back in order."""
        ids = tuple(self.free_id() for _ in range(which)) if isinstance(which, int) else tuple(which)
        for an_id in ids:
            self.add(an_id)
        return ids

    def free_id(self) -> str:
        """Make up an id that nothing has yet; another one each time."""
        return next(an_id for n in self._numbers if (an_id := self._free_id.format(n)) not in self._by_id)

    def sort_anew(self) -> None:
        """Forget the order of the lists: something has changed by which they are sorted."""
        with self._lock:
            self._sorted = None

    def _put(self, an_id: str, thing: T) -> T:
        with self._lock:
            if an_id in self._by_id:
                raise ValueError(f"{self._noun} with this id is there already")
            self._by_id[an_id] = thing
            self._sorted = None
        return thing

    def _in_order(self, sort: Callable[[Iterable[T]], list[T]]) -> list[T]:
        # Sorted when first asked for: a list of thousands is asked for page by page. Under the lock, since what is
        # added while another thread sorts would stay out of the lists.
        with self._lock:
            if self._sorted is None:
                self._sorted = sort(self._by_id.values())
            return self._sorted

    def __getitem__(self, an_id: str) -> T:
        return self._by_id[an_id]

    def __delitem__(self, an_id: str) -> None:
        with self._lock:
            del self._by_id[an_id]
            self._sorted = None

    def __iter__(self) -> Iterator[str]:
        return iter([*self._by_id])  # a copy: a create may add to it meanwhile

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)}>"


def check_id(what: str, an_id: str) -> str:
    """Give the id back where it can stand in a path.

    Raises:
        ValueError: it cannot.
    """
    if not an_id or an_id in {".", ".."}:
        raise ValueError(f"{what} id must be one segment of a path: not empty, '.' or '..'")
    return an_id


def refuse_unknown_fields(given: Collection[str], known: frozenset[str], beside: frozenset[str]) -> None:
    """Refuse a field that the thing's answer does not have.

    Raises:
        ValueError: there is one; the message lists the known ones and what may be given beside them.
    """
    if unknown := set(given) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known | beside))}")
