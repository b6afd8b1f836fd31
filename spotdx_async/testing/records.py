"""What the fake remembers of the requests that came: one record each, or counts alone. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from spotdx_async.testing.routes import NOT_JSON, Call

__all__ = ["ReceivedRequest", "RequestLog"]


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """One request that arrived whole, or was answered early, as things stand when it is asked for.

    ``repr`` shows the method and the path template, no id, query, header or body.
    """

    index: int
    """Its place among all requests, from 0."""
    at_s: float
    """When it had arrived, on the loop's clock."""
    method: str
    template: str | None
    """The path template; None where no operation has such a path."""
    path: str = field(repr=False)
    """As sent, percent-encoded, without the query."""
    kit_id: str | None = field(repr=False)
    """The kit that the path names."""
    order_id: str | None = field(repr=False)
    """The order that the path names."""
    requisition_id: str | None = field(repr=False)
    """The requisition that the path names."""
    query: Mapping[str, str] = field(repr=False)
    """The parameters, decoded; of one that came twice the last."""
    body: Any = field(repr=False)
    """The parsed JSON; None where there was none, or where it was answered before its body was read."""
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name."""
    connection: int = field(repr=False)
    """The client's port: the same for requests on the same connection."""
    executed: bool = False
    """Whether it was carried out: it reached the API and was not refused there."""
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
    """Keeps the records, or with ``keep=False`` only counts, so that a long run does not grow.

    One thread writes; others may read.
    """

    def __init__(self, *, keep: bool = True) -> None:
        self._keep = keep
        self._records: list[ReceivedRequest] = []
        self._counted: Counter[str] = Counter()

    @property
    def next_index(self) -> int:
        """The index of the request that comes next."""
        return self._counted["requests"]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many so far: ``"requests"``, ``"executed"``, ``"faults"``, ``"dropped"``, each status; a copy."""
        return MappingProxyType(Counter(self._counted))

    @property
    def records(self) -> list[ReceivedRequest]:
        """The records so far, in order of arrival; a copy."""
        return list(self._records)

    def arrived(self, call: Call, *, at_s: float, headers: Mapping[str, str], connection: int) -> None:
        """Note a request that has arrived whole; its index is the one that ``next_index`` gave."""
        self._counted["requests"] += 1
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

    def struck(self, index: int, fault: str) -> None:
        """Note that a fault plays on the request."""
        self._note(index, "faults", fault=fault)

    def executed(self, index: int) -> None:
        """Note that the request was carried out."""
        self._note(index, "executed", executed=True)

    def ended(self, index: int, status: int | None, *, at_s: float) -> None:
        """Note the status that was sent, None for a dropped connection."""
        self._note(index, "dropped" if status is None else str(status), status=status, ended_at_s=at_s)

    def _note(self, index: int, counted: str, **changes: Any) -> None:
        self._counted[counted] += 1
        if self._keep:
            self._records[index] = replace(self._records[index], **changes)
