"""What the fake remembers of the requests that came, and of the updates and creates that it executed. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from spotdx_async.testing.routes import NOT_JSON, Call

_K = TypeVar("_K")
_V = TypeVar("_V")
Noun = Literal["order", "requisition", "patient", "activation", "registration token"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One executed update of a kit's metadata."""

    kit_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The position of its request in ``requests``."""


@dataclass(frozen=True, slots=True)
class OrderLedgerEntry:
    """One executed update of an order's metadata."""

    order_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The position of its request in ``requests``."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One executed create: what must not happen twice."""

    noun: Noun
    an_id: str = field(repr=False)
    """The id of what was created; the kit's for an activation, and a registration token's number, never the token."""
    body: dict[str, Any] = field(repr=False)
    """What was sent."""
    index: int
    """The position of its request in ``requests``."""
    at_s: float = field(default=0.0, repr=False)
    """When it was executed, on the loop's clock, as ``ReceivedRequest.at_s``."""

    def reference(self, key: str = "client_ref") -> str | None:
        """Return the client reference in the metadata that were sent; None where there is none."""
        metadata = self.body.get("metadata")
        found = metadata.get(key) if isinstance(metadata, dict) else None
        return found if isinstance(found, str) else None


class Creations(list[Creation]):
    """Every executed create, in order, whatever became of its answer and of what it created."""

    def by_request(self) -> dict[int, tuple[Creation, ...]]:
        """Return what each request created, by its position in ``requests``; of one executed twice, both."""
        return _grouped((creation.index, creation) for creation in self)

    def ids_by_reference(self, noun: Noun | None = None, *, key: str = "client_ref") -> dict[str, tuple[str, ...]]:
        """Return the ids of what was created under each client reference, by the reference; each in order.

        Args:
            noun: ``"order"`` or ``"requisition"``; None for both.
            key: where in the metadata the client keeps its reference.
        """
        wanted = (creation for creation in self if noun is None or creation.noun == noun)
        return _grouped((found, one.an_id) for one in wanted if (found := one.reference(key)) is not None)

    def duplicates(self, noun: Noun | None = None, *, key: str = "client_ref") -> dict[str, tuple[str, ...]]:
        """Return ``ids_by_reference`` for the references under which more than one object was created."""
        return {found: ids for found, ids in self.ids_by_reference(noun, key=key).items() if len(ids) > 1}


def _grouped(pairs: Iterable[tuple[_K, _V]]) -> dict[_K, tuple[_V, ...]]:
    groups: dict[_K, list[_V]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request that arrived whole, or was answered early; a snapshot.

    ``repr`` shows the method and the path template, no id, query, header or body.
    """

    index: int
    """Its position among all requests, from 0."""
    at_s: float
    """When it had arrived, on the loop's clock."""
    method: str
    template: str | None
    """The path template; None where no operation has such a path."""
    path: str = field(repr=False)
    """As sent: percent-encoded, without the query."""
    kit_id: str | None = field(repr=False)
    """The kit that the path names."""
    order_id: str | None = field(repr=False)
    """The order that the path names."""
    requisition_id: str | None = field(repr=False)
    """The requisition that the path names."""
    query: Mapping[str, str] = field(repr=False)
    """The decoded parameters; the last value of one that came twice."""
    body: Any = field(repr=False)
    """The parsed JSON; None where there was none, or the answer came before the body was read."""
    headers: Mapping[str, str] = field(repr=False)
    """The headers by lower-case name."""
    connection: int = field(repr=False)
    """The client's port, which is the same for requests on the same connection."""
    executed: bool = False
    """Whether it was executed: it reached the API, which did not refuse it."""
    fault: str | None = None
    """The name of the fault that played on it."""
    status: int | None = None
    """The status that was sent; None while in flight, or when dropped."""
    ended_at_s: float | None = None
    """When it was answered or dropped, on the loop's clock; None while in flight."""

    @property
    def metadata(self) -> Any:
        """The body's ``metadata``; None where there is none."""
        return self.body.get("metadata") if isinstance(self.body, dict) else None


class RequestLog:
    """Keeps a record of each request, or with ``keep=False`` only counts, so that a long run does not grow.

    One thread writes; others may read.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._records: list[ReceivedRequest] = []
        self._counted: Counter[str] = Counter()
        self._operations: Counter[str] = Counter()

    @property
    def next_index(self) -> int:
        """The index of the next request."""
        return self._counted["requests"]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many so far: ``"requests"``, ``"executed"``, ``"faults"``, ``"dropped"``, each status; a copy."""
        return MappingProxyType(Counter(self._counted))

    @property
    def operation_counts(self) -> Mapping[str, int]:
        """How many so far of each operation, 0 of one that never came; a copy."""
        return MappingProxyType(Counter(self._operations))

    @property
    def records(self) -> list[ReceivedRequest]:
        """The records so far, in order of arrival; a copy."""
        return list(self._records)

    def arrived(self, call: Call, *, at_s: float, headers: Mapping[str, str], connection: int) -> None:
        """Record a request that has arrived whole; its index is the ``next_index`` of before."""
        self._counted["requests"] += 1
        if call.route is not None:
            self._operations[call.route.operation] += 1
        if self._keep:
            named = {name.lower(): value for name, value in headers.items()}
            body = None if call.body is NOT_JSON else call.body
            self._records.append(
                ReceivedRequest(
                    index=call.index,
                    at_s=at_s,
                    method=call.method,
                    template=call.template,
                    path=call.path,
                    kit_id=call.kit_id,
                    order_id=call.order_id,
                    requisition_id=call.requisition_id,
                    query=call.query,
                    body=body,
                    headers=named,
                    connection=connection,
                )
            )

    def fault_played(self, index: int, fault: str) -> None:
        """Record that a fault plays on the request."""
        self._note(index, "faults", fault=fault)

    def executed(self, index: int) -> None:
        """Record that the request was executed."""
        self._note(index, "executed", executed=True)

    def ended(self, index: int, status: int | None, *, at_s: float) -> None:
        """Record the status that was sent, None for a dropped connection."""
        self._note(index, "dropped" if status is None else str(status), status=status, ended_at_s=at_s)

    def _note(self, index: int, counted: str, **changes: Any) -> None:
        self._counted[counted] += 1
        if self._keep:
            self._records[index] = replace(self._records[index], **changes)
