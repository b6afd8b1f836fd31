"""The fake's orders: what a test adds and changes, their two steps, and their operations. Pure; knows no HTTP."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.kits import FakeKit, Kits, new_kit_document
from spotdx_async.testing.listed_store import MetadataStore
from spotdx_async.testing.listing import SHARED_QUERY, Condition, Query, holds, page_of
from spotdx_async.testing.made_up import EXAMPLE_INSTANT, RECIPIENT, fresh
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.store import Item, Step, instant_now, stamp

if TYPE_CHECKING:
    from spotdx_async.testing.state import SpotState

ORDER_STATUSES = ("pending", "in_progress", "completed", "canceled")
EXAMPLE_ORDER_ID = "O1234567"
# The vendor shows no whole order; this one is made up.
_EXAMPLE: Mapping[str, Any] = {
    "status": "pending",
    "recipient": RECIPIENT,
    "kit_types": ["health_kit_1"],
    "kits": [],
}
_ARRIVED = ("delivered", "registered")
_FULFIL = Step("fulfil()", "in_progress", ("pending",))
_CANCEL = Step("cancel()", "canceled", ("pending",))


class FakeOrder(Item):
    """One order on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps ``fulfil`` and ``cancel`` play its life; its kits' own steps do the rest.

    Attributes:
        order_id: its id; fixed.
        created: when it was placed, as text; fixed.
        metadata: what the last update set; None where there is none.
        document: what "get order" answers, but for ``created``, ``updated`` and ``metadata``; change it freely.
    """

    __slots__ = ("_updated", "metadata")

    _noun: ClassVar[str] = "an order"
    _fields = frozenset(_EXAMPLE)
    _options = frozenset({"metadata", "created", "updated", "document"})
    _store: "Orders | None"

    def __init__(
        self,
        order_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        store: "Orders | None" = None,
        **fields: Any,
    ) -> None:
        super().__init__(order_id, created=created, document=document, store=store, fields=fields)
        self._updated = None if updated is None else stamp(updated)
        self.metadata: dict[str, Any] | None = metadata

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self._id

    @property
    def updated(self) -> str | None:
        """When it was last changed, as text; None before the first change, when the answer has no such field."""
        return self._updated

    @updated.setter
    def updated(self, value: str | None) -> None:
        self._updated = value
        if self._store is not None:
            self._store.reset_order()
        self._changed()

    @property
    def last_change(self) -> str:
        """The sort key of lists: when it was last changed, or placed if it never was."""
        return self._updated or self._created

    @property
    def sort_key(self) -> str:
        """The same as ``last_change``."""
        return self.last_change

    @property
    def recipient(self) -> Mapping[str, Any]:
        """The person the order is shipped to, to read; empty where that is missing or null."""
        return self._view.get("recipient") or {}

    @property
    def person(self) -> Mapping[str, Any]:
        """The same as ``recipient``."""
        return self.recipient

    def answer(self) -> Answer:
        """Answer with the whole order."""
        row: dict[str, Any] = {"order_id": self._id, **self._view, "created": self._created}
        if self.updated is not None:
            row["updated"] = self.updated
        row["metadata"] = self.metadata
        return json_answer(200, row if self._store is None else self._store.shown(self, row))

    def summary(self) -> dict[str, Any]:
        """Return the order's row of the list, without the fields that the document lacks.

        Assumed: the row of an order that was never changed has the date of its creation as ``updated``.
        """
        known = {name: self._view[name] for name in ("status", "recipient") if name in self._view}
        return {"order_id": self._id, **known, "created": self._created, "updated": self.last_change}

    def fulfil(self) -> list[FakeKit]:
        """Make the kits of a pending order, one for each entry of ``kit_types``; it is then in progress.

        Assumed: the order is completed when the last of its kits is delivered.

        Returns:
            The kits, which are from now on among the fake's.

        Raises:
            ValueError: the order is not pending, or belongs to no fake.
        """
        if self._store is None:
            raise ValueError("an order has to be among the fake's orders first: its kits go to the fake's kits")
        _FULFIL.check(self._noun, self.status)
        kits = [self._store.make_kit(self._id, kit_type) for kit_type in self.document.get("kit_types") or ()]
        self.document["kits"] = [kit.document for kit in kits]
        self._enter(_FULFIL.leads_to, self._now())
        return kits

    def cancel(self) -> None:
        """Cancel a pending order.

        Raises:
            ValueError: the order is not pending.
        """
        _CANCEL.check(self._noun, self.status)
        self._enter(_CANCEL.leads_to, self._now())

    def follow_kits(self, at: str) -> None:
        """Complete the order where it is in progress and all its kits have arrived."""
        kits = self._view.get("kits") or ()
        if kits and self.status == "in_progress" and all(kit.get("status") in _ARRIVED for kit in kits):
            self._enter("completed", at)

    def _enter(self, status: str, at: str) -> None:
        self.status = status
        self.updated = at

    def _new_document(self) -> dict[str, Any]:
        return {"order_id": self._id, **fresh(_EXAMPLE)}

    def _example(self) -> Mapping[str, Any]:
        return _EXAMPLE


class Orders(MetadataStore[FakeOrder]):
    """The fake's orders by id, in the order of adding.

    Attributes:
        now: returns the instant that an order's steps are stamped with.
    """

    _noun: ClassVar[str] = "an order"
    _id_format: ClassVar[str | None] = "O{:07}"
    _newest_first: ClassVar[bool] = True

    def __init__(self, kits: Kits | None = None, *, now: Callable[[], str] = instant_now) -> None:
        """Start empty; the kits of orders are added to ``kits``."""
        super().__init__(now=now)
        self._kits = Kits(now=now) if kits is None else kits
        self._kits.watchers.append(self._kit_moved)

    def add(self, order_id: str, **about: Any) -> FakeOrder:
        """Add one order: pending, of one kit type, to a person who does not exist.

        Args:
            order_id: an id that no order has yet.
            about: ``metadata``, ``created``, ``updated``; fields to replace (``status``, ``recipient``, ``kit_types``,
                ``kits``; None for null); or ``document``, the answer without the first three, for one with fields
                missing. For ``kits`` give documents such as ``fake.kits["SPOT123456"].document``: they are shared.

        Raises:
            ValueError: the id is taken or cannot be part of a path, or an argument is unknown.
        """
        return self._put(order_id, FakeOrder(order_id, store=self, **about))

    def add_default_world(self, kits: Mapping[str, FakeKit]) -> None:
        """Add a new order, one with the kit that names it (where that is among the kits), and one almost empty."""
        self.add(EXAMPLE_ORDER_ID)
        self.add(
            "ORDER123456",
            created="2023-01-02T09:00:00.000Z",
            updated="2023-01-03T09:00:00.000Z",
            metadata={"campaign": "winter"},
            status="in_progress",
            kit_types=["health_kit_2"],
            kits=[kit.document for kit in kits.values() if kit.order_id == "ORDER123456"],
        )
        self.add("O2345678", document={"status": "canceled", "kits": []})

    def by_update(self) -> list[FakeOrder]:
        """Return all orders, the most recently updated first, the last added first among equals. Not to be changed."""
        return self._in_order()

    def make_kit(self, order_id: str, kit_type: str) -> FakeKit:
        """Make a kit of an order and add it to the kits."""
        kit_id, at = self._kits.free_id(), self.now()
        document = new_kit_document(kit_id, kit_type, at)
        return self._kits.add(kit_id, order_id=order_id, created=at, document=document)

    def _add_stamped(self, an_id: str, created: str, metadata: dict[str, Any] | None) -> None:
        self.add(an_id, created=created, metadata=metadata)

    def _metadata_of(self, item: FakeOrder) -> Any:
        return item.metadata

    def _kit_moved(self, kit: FakeKit) -> None:
        order = self._by_id.get(kit.order_id) if kit.order_id is not None else None
        if order is not None:
            order.follow_kits(kit.updated)


# --- Operations -------------------------------------------------------------------------------------------------------


def create_order(state: "SpotState", call: Call) -> Answer:
    """Place an order: pending, without kits and without ``updated``.

    Assumed: a kit type that "list kit types" does not name is refused.
    """
    kit_types = bodies.array_of(bodies.one_of(*state.kit_types))
    required = {"kit_types": kit_types, "recipient": bodies.RECIPIENT}
    check = bodies.fields(required, {"metadata": bodies.maybe_null(bodies.an_object)})
    placed = fresh(bodies.checked(call.body, check))  # a copy, apart from the ledger's
    metadata, order_id = placed.pop("metadata", None), state.orders.free_id()
    document = {"order_id": order_id, "status": "pending", **placed, "kits": []}
    order = state.orders.add(order_id, created=state.now(), metadata=metadata, document=document)
    state.record_creation("order", order_id, call)
    return replace(order.answer(), status=201)


def list_orders(state: "SpotState", call: Call) -> Answer:
    """Answer with a page of order summaries, the most recently updated first: a bare array without a total."""
    return page_of(call, state.orders.listed(), own=_conditions, day_offset=state.day_offset)


def update_order_metadata(state: "SpotState", call: Call) -> Answer:
    """Replace the order's metadata as a whole, and answer with the order."""
    order = state.orders.find(call.params["order_id"])
    metadata = bodies.metadata(call.body)
    order.metadata = dict(metadata)  # a copy, apart from the ledger's
    order.updated = state.now()
    state.record_order_update(order.order_id, metadata, call.index)
    return order.answer()


def get_order(state: "SpotState", call: Call) -> Answer:
    """Answer with the order."""
    return state.orders.find(call.params["order_id"]).answer()


ORDER_ROUTES = (
    Route("orders.create", "POST", "/api/v2/orders/", create_order),
    Route("orders.list", "GET", "/api/v2/orders/", list_orders, query=(*SHARED_QUERY, "status")),
    Route("orders.update_metadata", "POST", "/api/v2/orders/{order_id}/", update_order_metadata),
    Route("orders.get", "GET", "/api/v2/orders/{order_id}/", get_order),
)


def _conditions(query: Query) -> Iterator[Condition]:
    if (wanted := listing.choice(query, "status", ORDER_STATUSES)) is not None:
        yield holds("status", wanted)
