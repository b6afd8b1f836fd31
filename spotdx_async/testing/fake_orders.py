"""The orders of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

import copy
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.fake_kits import FakeKit
from spotdx_async.testing.instants import EXAMPLE_INSTANT, stamp
from spotdx_async.testing.shelf import Shelf, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_ORDER_ID", "FakeOrder", "Orders"]

EXAMPLE_ORDER_ID = "O1234567"
# The vendor shows no whole order; this person and address are made up.
_EXAMPLE: Mapping[str, Any] = {
    "status": "pending",
    "recipient": {
        "first_name": "Robin",
        "last_name": "Sample",
        "email": "robin.sample@example.com",
        "phone": "2025550147",
        "address": {
            "street1": "1 Example Street",
            "street2": "Apt 1",
            "city": "Springfield",
            "state": "CA",
            "country": "US",
            "zip": "00000",
        },
    },
    "kit_types": ["health_kit_1"],
    "kits": [],
}
_SHAPE = frozenset(_EXAMPLE)
_ABOUT = frozenset({"metadata", "created", "updated", "document"})


class FakeOrder:
    """One order on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Attributes:
        order_id: its id; fixed.
        created: when it was placed, as text; fixed.
        updated: when it was last changed, as text; None before the first change, and then the answer lacks it.
        metadata: what the last update set; None where there is none.
    """

    __slots__ = ("_created", "_document", "_order_id", "metadata", "updated")

    def __init__(
        self,
        order_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        **shape: Any,
    ) -> None:
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
        self._order_id = check_id("an order", order_id)
        self._created = stamp(created)
        self.updated = None if updated is None else stamp(updated)
        self.metadata = metadata
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
    def document(self) -> dict[str, Any]:
        """The order as "get order" answers it, but for ``created``, ``updated`` and ``metadata``; change it freely."""
        # Made when first asked for, as that of a kit.
        if self._document is None:
            self._document = {"order_id": self._order_id, **copy.deepcopy(dict(_EXAMPLE))}
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

    @property
    def _peek(self) -> Mapping[str, Any]:
        return _EXAMPLE if self._document is None else self._document

    def __repr__(self) -> str:
        return f"<FakeOrder {self._order_id} {self.status}>"


class Orders(Shelf[FakeOrder]):
    """The fake's orders by id, in the order of adding."""

    _free_id: ClassVar[str] = "O{:07}"

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
        if order_id in self._by_id:
            raise ValueError("an order with this id is there already")
        order = self._by_id[order_id] = FakeOrder(order_id, **about)
        return order

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
