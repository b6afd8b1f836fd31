"""What every noun of the fake is built from: a store of items by id, an item with its document, and a step of its life.

Pure; knows no kit and no order.
"""

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from threading import RLock
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from spotdx_async.testing.made_up import new_uuid

if TYPE_CHECKING:
    from spotdx_async.testing.listed_store import ListedStore
    from spotdx_async.testing.report_files import ReportFiles

T = TypeVar("T")


def stamp(moment: datetime | str) -> str:
    """Return an instant as the API writes it: ISO 8601, milliseconds, UTC, ``Z``.

    Raises:
        ValueError: it is not an ISO 8601 instant, or has no time zone.
    """
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        raise ValueError("an instant needs a time zone: give an aware datetime, or text that ends in Z")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def instant_now() -> str:
    """Return this instant by the machine's clock: the default of a store that belongs to no server."""
    return stamp(datetime.now(UTC))


def seconds_now() -> float:
    """Return seconds that only grow, by the machine's clock: the default of a store that belongs to no server."""
    return time.monotonic()


class NotFoundError(LookupError):
    """No item has the id that an operation asks for."""


class Store(Mapping[str, T], ABC):
    """Items by id; ``del`` removes one. Safe to use while the server answers in another thread.

    Attributes:
        now: returns the instant that the items' steps are stamped with.
        report_files: renews the links in the items' documents; None for a store that belongs to no server.
    """

    report_files: "ReportFiles | None" = None
    _noun: ClassVar[str]
    """What messages call one of the items."""
    _id_format: ClassVar[str | None] = None
    """The format of made-up ids, with a place for a number; None for UUIDs."""

    def __init__(self, *, now: Callable[[], str] = instant_now) -> None:
        self.now = now
        self._by_id: dict[str, T] = {}
        self._numbers = count(1)
        self._lock = RLock()

    @abstractmethod
    def add(self, an_id: str, /) -> T:
        """Add one item, with made-up values for everything else."""

    def add_many(self, which: int | Iterable[str]) -> tuple[str, ...]:
        """Add items with these ids, or this many with made-up ids; return the ids in order.

        Raises:
            ValueError: the number is below 0, or the ids are one text, of which each letter would be an id.
        """
        if isinstance(which, (str, bytes)) or (isinstance(which, int) and which < 0):
            raise ValueError("objects are given by a list of their ids, or by a number of at least 0")
        ids = tuple(self.free_id() for _ in range(which)) if isinstance(which, int) else tuple(which)
        for an_id in ids:
            self.add(an_id)
        return ids

    def free_id(self) -> str:
        """Return a made-up id that no item has; a different one each time."""
        id_format = self._id_format
        if id_format is None:
            return new_uuid()
        return next(an_id for n in self._numbers if (an_id := id_format.format(n)) not in self._by_id)

    def find(self, an_id: str) -> T:
        """Return the item that an operation asks for.

        Raises:
            NotFoundError: no item has this id; the message is the API's.
        """
        if an_id not in self._by_id:
            raise NotFoundError(f"{self._noun.split()[-1].capitalize()} id {an_id} not found")
        return self._by_id[an_id]

    def _put(self, an_id: str, item: T) -> T:
        with self._lock:
            if an_id in self._by_id:
                raise ValueError(f"{self._noun} with this id is there already")
            self._by_id[an_id] = item
        return item

    def __getitem__(self, an_id: str) -> T:
        return self._by_id[an_id]

    def __delitem__(self, an_id: str) -> None:
        with self._lock:
            del self._by_id[an_id]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._by_id])  # a copy: a create may add to it meanwhile

    def __len__(self) -> int:
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)}>"


class Item(ABC):
    """A thing with a document, a status and a date of creation; ``repr`` shows no patient data."""

    __slots__ = ("_created", "_document", "_id", "_store")

    _noun: ClassVar[str]
    """What messages call it."""
    _fields: ClassVar[frozenset[str]]
    """The fields of the document that may be given when it is added."""
    _options: ClassVar[frozenset[str]]
    """What else may be given then."""

    def __init__(
        self,
        an_id: str,
        *,
        created: datetime | str,
        document: dict[str, Any] | None,
        store: "ListedStore[Any] | None",
        fields: Mapping[str, Any],
    ) -> None:
        check_fields(fields, self._fields, self._options)
        self._store = store
        self._id = check_id(self._noun, an_id)
        self._created = stamp(created)
        self._document = document
        if fields:
            self.document.update(fields)

    @property
    def an_id(self) -> str:
        """Its id; fixed."""
        return self._id

    @property
    def created(self) -> str:
        """When it was created, as text; fixed."""
        return self._created

    @property
    def sort_key(self) -> str:
        """What its list is sorted by."""
        return self._created

    @property
    @abstractmethod
    def person(self) -> Mapping[str, Any]:
        """The person it is about, to read; empty where that is missing or null."""

    @abstractmethod
    def summary(self) -> dict[str, Any]:
        """Return its row of the list."""

    @property
    def document(self) -> dict[str, Any]:
        """What "get" answers; change it freely."""
        # Made on first use: the documents of a benchmark's hundred thousand kits would take half a gigabyte.
        if self._document is None:
            self._document = self._new_document()
        if self._store is not None and self._store.report_files is not None:
            self._store.report_files.renew_in(self._document)
        return self._document

    @property
    def status(self) -> Any:
        """Its status; None where the document has none."""
        return self._view.get("status")

    @status.setter
    def status(self, value: Any) -> None:
        self.document["status"] = value
        self._changed()

    @abstractmethod
    def _new_document(self) -> dict[str, Any]:
        """Return a document of its own, made up."""

    @abstractmethod
    def _example(self) -> Mapping[str, Any]:
        """Return what it shows until it has a document of its own; not to be changed."""

    @property
    def _view(self) -> Mapping[str, Any]:
        """The document to read from, without making one."""
        return self._example() if self._document is None else self._document

    def _now(self) -> str:
        return instant_now() if self._store is None else self._store.now()

    def _changed(self) -> None:
        if self._store is not None:
            self._store.changed(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._id} {self.status}>"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an item's life, such as the delivery of a kit."""

    name: str
    """The call that takes it."""
    leads_to: str
    """The status after it."""
    after: tuple[str, ...]
    """The statuses from which it may be taken."""
    first: str = ""
    """The call that leads to one of them."""

    def check(self, what: str, status: Any) -> None:
        """Refuse the step where the status does not allow it.

        Raises:
            ValueError: another step has to come first, or it is too late for this one.
        """
        if status not in self.after:
            hint = f" ({self.first} has to come first)" if self.first else ""
            raise ValueError(f"{self.name} needs {what} that is {' or '.join(self.after)}{hint}; this one is {status}")

    def take(
        self, what: str, document: dict[str, Any], at: str, names: tuple[str, str] = ("status", "created")
    ) -> None:
        """Set the status and append the event, where the status allows the step; ``names`` as in ``add_event``.

        Raises:
            ValueError: same as ``check``.
        """
        self.check(what, document.get("status"))
        add_event(document, self.leads_to, at, names)


def add_event(document: dict[str, Any], status: str, at: str, names: tuple[str, str] = ("status", "created")) -> None:
    """Set a document's status and append the event to its ``events``; ``names`` are those of an event's two fields."""
    document["status"] = status
    document["events"] = [*(document.get("events") or ()), dict(zip(names, (status, at), strict=True))]


def check_id(noun: str, an_id: str) -> str:
    """Return the id where it can be part of a path.

    Raises:
        ValueError: it cannot.
    """
    if not an_id or an_id in {".", ".."}:
        raise ValueError(f"{noun} id must be one segment of a path: not empty, '.' or '..'")
    return an_id


def check_fields(given: Collection[str], known: frozenset[str], options: frozenset[str]) -> None:
    """Refuse a field that the item's answer does not have.

    Raises:
        ValueError: there is one; the message lists the fields and options that there are.
    """
    if unknown := set(given) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known | options))}")
