"""The orders of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar

from spotdx_async.testing import instants
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.instants import EXAMPLE_INSTANT, stamp
from spotdx_async.testing.kit_lifecycle import new_kit_document
from spotdx_async.testing.kits import FakeKit, Kits
from spotdx_async.testing.made_up import RECIPIENT, fresh
from spotdx_async.testing.store import Store, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_ORDER_ID", "FakeOrder", "Orders"]

EXAMPLE_ORDER_ID = "O1234567"
# The vendor shows no whole order; this one is made up.
_EXAMPLE: Mapping[str, Any] = {
    "status": "pending",
    "recipient": RECIPIENT,
    "kit_types": ["health_kit_1"],
    "kits": [],
}
_ARRIVED = ("delivered", "registered")
_SHAPE = frozenset(_EXAMPLE)
_ABOUT = frozenset({"metadata", "created", "updated", "document"})


class FakeOrder:
    """One order on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps ``fulfil`` and ``cancel`` play its life; its kits' own steps do the rest.

    Attributes:
        order_id: its id; fixed.
        created: when it was placed, as text; fixed.
        metadata: what the last update set; None where there is none.
    """

    __slots__ = ("_created", "_document", "_home", "_order_id", "_updated", "metadata")

    def __init__(
        self,
        order_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        home: "Orders | None" = None,
        **shape: Any,
    ) -> None:
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
        self._home = home  # the store, for its clock
        self._order_id = check_id("an order", order_id)
        self._created = stamp(created)
        self._updated = None if updated is None else stamp(updated)
        self.metadata: dict[str, Any] | None = metadata
        self._document = document
        if shape:
            self.document.update(shape)

    @property
    def order_id(self) -> str:
        """The order's id."""
        return self._order_id

    @property
    def created(self) -> str:
        """When the order was placed."""
        return self._created

    @property
    def updated(self) -> str | None:
        """When it was last changed, as text; None before the first change, and then the answer lacks it."""
        return self._updated

    @updated.setter
    def updated(self, value: str | None) -> None:
        self._updated = value
        if self._home is not None:
            self._home.sort_anew()

    @property
    def last_change(self) -> str:
        """What lists are sorted by: when it was last changed, or placed where it never was."""
        return self._updated or self._created

    @property
    def document(self) -> dict[str, Any]:
        """The order as "get order" answers it, but for ``created``, ``updated`` and ``metadata``; change it freely."""
        # Made when first asked for, as that of a kit.
        if self._document is None:
            self._document = {"order_id": self._order_id, **fresh(_EXAMPLE)}
        return self._document

    @property
    def status(self) -> Any:
        """The order's status; None where the document has none."""
        return self._peek.get("status")

    @status.setter
    def status(self, value: Any) -> None:
        self.document["status"] = value

    @property
    def recipient(self) -> Mapping[str, Any]:
        """Whom the order is shipped to, to read; empty where that is missing or null."""
        return self._peek.get("recipient") or {}

    def answer(self) -> Answer:
        """Answer with the whole order."""
        row: dict[str, Any] = {"order_id": self._order_id, **self._peek, "created": self._created}
        if self.updated is not None:
            row["updated"] = self.updated
        return json_answer(200, {**row, "metadata": self.metadata})

    def summary(self) -> dict[str, Any]:
        """Give the order's row of the list, without the fields that the document lacks.

        Assumed: an order that was never changed counts as updated when it was placed.
        """
        known = {name: self._peek[name] for name in ("status", "recipient") if name in self._peek}
        return {"order_id": self._order_id, **known, "created": self._created, "updated": self.last_change}

    def fulfil(self) -> list[FakeKit]:
        """Make the kits of a pending order, one for each entry of ``kit_types``: it is in progress then.

        Assumed: the order is completed when the last of its kits is delivered.

        Returns:
            The kits, which are among the fake's from now on.

        Raises:
            ValueError: the order is not pending, or stands in no fake.
        """
        if self._home is None:
            raise ValueError("an order has to be among the fake's orders first: its kits go to the fake's kits")
        self._refuse_unless_pending("fulfil()")
        kits = [self._home.make_kit(self._order_id, kit_type) for kit_type in self.document.get("kit_types") or ()]
        self.document["kits"] = [kit.document for kit in kits]
        self._go_to("in_progress", self._home.now())
        return kits

    def cancel(self) -> None:
        """Cancel a pending order.

        Raises:
            ValueError: the order is not pending.
        """
        self._refuse_unless_pending("cancel()")
        self._go_to("canceled", instants.now() if self._home is None else self._home.now())

    def follow_kits(self, at: str) -> None:
        """Complete the order where it is in progress and all its kits have arrived."""
        kits = self._peek.get("kits") or ()
        if kits and self.status == "in_progress" and all(kit.get("status") in _ARRIVED for kit in kits):
            self._go_to("completed", at)

    def _refuse_unless_pending(self, step: str) -> None:
        if self.status != "pending":
            raise ValueError(f"{step} needs an order that is pending; this one is {self.status}")

    def _go_to(self, status: str, at: str) -> None:
        self.status = status
        self.updated = at

    @property
    def _peek(self) -> Mapping[str, Any]:
        return _EXAMPLE if self._document is None else self._document

    def __repr__(self) -> str:
        return f"<FakeOrder {self._order_id} {self.status}>"


class Orders(Store[FakeOrder]):
    """The fake's orders by id, in the order of adding.

    Attributes:
        now: gives the instant that an order's steps are stamped with.
    """

    _noun: ClassVar[str] = "an order"
    _free_id: ClassVar[str] = "O{:07}"

    def __init__(self, kits: Kits | None = None, *, now: Callable[[], str] = instants.now) -> None:
        """Start empty; ``kits`` is where the kits of orders go."""
        super().__init__()
        self.now = now
        self._kits = Kits(now=now) if kits is None else kits
        self._kits.watchers.append(self._kit_moved)

    def add(self, order_id: str, **about: Any) -> FakeOrder:
        """Add one order: pending, of one kit type, to a person who does not exist.

        Args:
            order_id: an id that no order has yet.
            about: ``metadata``, ``created``, ``updated``; fields to replace (``status``, ``recipient``, ``kit_types``,
                ``kits``; None for null); or ``document``, the answer without the first three, where fields shall be
                missing. For ``kits`` give documents such as ``fake.kits["SPOT123456"].document``, which stay the same.

        Raises:
            ValueError: the id is taken or no path segment, or something else was given.
        """
        return self._put(order_id, FakeOrder(order_id, home=self, **about))

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
        """Give all orders, the most recently updated first; of the same instant, the last added first.

        Not to be changed.
        """
        return self._in_order(_last_changed_first)

    def make_kit(self, order_id: str, kit_type: str) -> FakeKit:
        """Make a kit of an order, and let it be known."""
        kit_id, at = self._kits.free_id(), self.now()
        document = new_kit_document(kit_id, kit_type, at)
        return self._kits.add(kit_id, order_id=order_id, created=at, document=document)

    def _kit_moved(self, kit: FakeKit) -> None:
        order = self._by_id.get(kit.order_id) if kit.order_id is not None else None
        if order is not None:
            order.follow_kits(kit.updated)


def _last_changed_first(things: Iterable[FakeOrder]) -> list[FakeOrder]:
    return sorted(things, key=attrgetter("last_change"))[::-1]
