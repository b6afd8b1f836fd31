"""The fake's kits: what a test adds and changes, their steps up to registration, and their operations.

Pure; knows no HTTP. What happens to a kit's sample is in ``samples``, its activation in ``patients``.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.listed_store import ListedStore
from spotdx_async.testing.listing import SHARED_QUERY, Condition, Query, holds, page_of
from spotdx_async.testing.made_up import EXAMPLE_INSTANT, EXAMPLE_KIT_ID, example_kit, example_kit_text, new_shipment
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.samples import SampleSteps, new_sample
from spotdx_async.testing.store import Step, add_event, instant_now, stamp

if TYPE_CHECKING:
    from spotdx_async.testing.patients import FakePatient
    from spotdx_async.testing.state import SpotState

KIT_STATUSES = (
    *("preparing", "in_transit", "delivered", "delivery_exception", "registered", "canceled"),
    *("pending", "kit_type_assigned"),  # named by the guides alone
)
SAMPLE_STATUSES = (
    *("awaiting_collection", "collection_exception", "delivery_exception", "delivered", "in_transit", "received"),
    *("resulted", "partially_resulted", "extra_quality_checks", "canceled"),
    *("rejected", "collected"),  # named by the guides alone
)

_WAITING = ("preparing", "pending", "kit_type_assigned")
_SHIP = Step("ship()", "in_transit", _WAITING)
_DELIVER = Step("deliver()", "delivered", ("in_transit", "delivery_exception"), "ship()")
_FAIL = Step("fail_delivery()", "delivery_exception", ("in_transit",), "ship()")
_REGISTER = Step("register()", "registered", ("delivered",), "deliver()")
_CANCEL = Step("cancel()", "canceled", (*_WAITING, "in_transit", "delivery_exception", "delivered"))
_TOO_LATE_TO_ACTIVATE = ("registered", "canceled")


class FakeKit(SampleSteps):
    """One kit on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps (``ship``, ``deliver``, ``register``, ``collect``, ``result`` and those between) play its life. Each sets
    the status, appends an event stamped by the fake's clock, and updates ``updated``. The status alone decides which
    step may come next, so a kit that was added with one continues from there. A step out of turn raises ValueError,
    which says what has to come first.

    Assumed: which statuses follow one another; the documents list them and give one example.

    Attributes:
        kit_id: its id; fixed.
        created: when it was created, as text; fixed, since lists are sorted by it.
        updated: when it was last changed, as text.
        order_id: the order that it belongs to, or None.
        metadata: what the last update set; empty before the first.
        document: what "get kit" answers: change it freely, with fields missing, null or on no list.
    """

    __slots__ = ("_updated", "metadata", "order_id")

    _noun: ClassVar[str] = "a kit"
    _fields = frozenset({"type", "status", "events", "shipment_to_customer", "registered_to", "sample"})
    _options = frozenset({"metadata", "order_id", "created", "updated", "document"})
    _store: "Kits | None"

    def __init__(
        self,
        kit_id: str,
        *,
        metadata: dict[str, Any] | None = None,
        order_id: str | None = None,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        store: "Kits | None" = None,
        **fields: Any,
    ) -> None:
        super().__init__(kit_id, created=created, document=document, store=store, fields=fields)
        self._updated = stamp(created if updated is None else updated)
        self.order_id: str | None = order_id
        self.metadata: dict[str, Any] = {} if metadata is None else metadata

    @property
    def kit_id(self) -> str:
        """The kit's id."""
        return self._id

    @property
    def registered_to(self) -> Mapping[str, Any]:
        """The person the kit is registered to, to read; empty where that is missing or null."""
        return self._view.get("registered_to") or {}

    @property
    def person(self) -> Mapping[str, Any]:
        """The same as ``registered_to``."""
        return self.registered_to

    @property
    def updated(self) -> str:
        """When it was last changed, as text."""
        return self._updated

    @updated.setter
    def updated(self, value: str) -> None:
        self._updated = value
        self._changed()

    def answer(self) -> Answer:
        """Answer with the whole kit. Its metadata is not in it, as in the documented answer."""
        if self._document is None:
            return Answer(200, example_kit_text(self._id).encode())
        return json_answer(200, self._document)

    def summary(self) -> dict[str, Any]:
        """Return the kit's row of the list, without the fields that the document lacks."""
        document = self._view
        row: dict[str, Any] = {"kit_id": self._id}
        if "type" in document:
            row["kit_type"] = document["type"]
        row["order_id"] = self.order_id
        if "status" in document:
            row["kit_status"] = document["status"]
        if "sample" in document:
            row["sample_status"] = (document["sample"] or {}).get("status")
        return {**row, "created": self._created, "updated": self.updated}

    def ship(self, *, tracking_number: str | None = None, carrier: str | None = "usps") -> None:
        """Hand the kit to the carrier, on its way to the customer.

        Args:
            tracking_number: None for a made-up one.
            carrier: ``fedex``, ``ups`` or ``usps``.
        """
        at = self._take(_SHIP)
        self.document["shipment_to_customer"] = new_shipment(self._id, at, tracking_number, carrier)
        self._moved(at)

    def deliver(self) -> None:
        """Deliver the kit to the customer; the last kit of an order to arrive completes the order."""
        self._moved(self._take(_DELIVER))

    def fail_delivery(self) -> None:
        """Fail the delivery to the customer; ``deliver()`` may follow."""
        self._moved(self._take(_FAIL))

    def register(self, patient: "FakePatient") -> None:
        """Register a delivered kit to a patient."""
        _REGISTER.check(self._noun, self.status)
        self.activate(patient)

    @property
    def can_be_activated(self) -> bool:
        """Whether "activate kit" accepts the kit: it is neither registered nor canceled.

        Assumed: whoever activates a kit holds it, so the carrier need not have reported it delivered.
        """
        return self.status not in _TOO_LATE_TO_ACTIVATE

    def activate(self, patient: "FakePatient") -> None:
        """Register the kit to a patient, delivered or not, as the API's "activate kit" does."""
        if not self.can_be_activated:
            raise ValueError(f"a kit is registered once, and not after cancel(); this one is {self.status}")
        at = self._now()
        add_event(self.document, "registered", at)
        self.document["registered_to"] = patient.registrant()
        if not self.document.get("sample"):
            self.document["sample"] = new_sample(self._id, at)
        self._moved(at)

    def cancel(self) -> None:
        """Cancel a kit that nobody has registered."""
        self._moved(self._take(_CANCEL))

    def _take(self, step: Step) -> str:
        at = self._now()
        step.take(self._noun, self.document, at)
        return at

    def _moved(self, at: str) -> None:
        self.updated = at
        if self._store is not None:
            self._store.notify(self)

    def _new_document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(example_kit_text(self._id))
        return document

    def _example(self) -> Mapping[str, Any]:
        return example_kit()


def new_kit_document(kit_id: str, kit_type: str, at: str) -> dict[str, Any]:
    """Return a kit as it is made for an order: in preparation, and registered to nobody."""
    return {
        "kit_id": kit_id,
        "type": kit_type,
        "status": "preparing",
        "events": [{"status": "preparing", "created": at}],
        "sample": new_sample(kit_id, at),
    }


class Kits(ListedStore[FakeKit]):
    """The fake's kits by id, in the order of adding.

    Attributes:
        now: returns the instant that a kit's steps are stamped with.
        watchers: called with the kit after each of its steps.
    """

    _noun: ClassVar[str] = "a kit"
    _id_format: ClassVar[str | None] = "SPOT{:06}"

    def __init__(self, *, now: Callable[[], str] = instant_now) -> None:
        super().__init__(now=now)
        self.watchers: list[Callable[[FakeKit], None]] = []

    def add(self, kit_id: str, **about: Any) -> FakeKit:
        """Add one kit, in the shape of the documented example.

        Args:
            kit_id: an id that no kit has yet.
            about: ``metadata``, ``order_id``, ``created``, ``updated``; the fields of the example to replace
                (``type``, ``status``, ``events``, ``shipment_to_customer``, ``registered_to``, ``sample``; None for
                null); or ``document``, the whole answer, for one with fields missing.

        Raises:
            ValueError: the id is taken or cannot be part of a path, or an argument is unknown.
        """
        return self._put(kit_id, FakeKit(kit_id, store=self, **about))

    def add_default_world(self) -> None:
        """Add the documented example, a kit with next to nothing, and one full of nulls."""
        self.add(EXAMPLE_KIT_ID)
        bare = {"kit_id": "SPOT234567", "type": "health_kit_1", "status": "preparing", "events": []}
        self.add("SPOT234567", created="2023-01-02T09:00:00.000Z", document=bare)
        self.add(
            "SPOT345678",
            created="2023-01-03T09:00:00.000Z",
            order_id="ORDER123456",
            type="health_kit_2",
            status="in_transit",
            events=[{"status": "in_transit", "created": "2023-01-03T09:00:00.000Z"}],
            shipment_to_customer={"tracking_number": None, "carrier": None, "created": "2023-01-03T09:00:00.000Z"},
            registered_to=None,
            sample=None,
        )

    def by_creation(self) -> list[FakeKit]:
        """Return all kits, oldest first, in the order of adding among equals. Not to be changed."""
        return self._in_order()

    def notify(self, kit: FakeKit) -> None:
        """Tell the watchers that a kit has taken a step."""
        for watch in self.watchers:
            watch(kit)


# --- Operations -------------------------------------------------------------------------------------------------------


def update_kit_metadata(state: "SpotState", call: Call) -> Answer:
    """Replace the kit's metadata as a whole, and answer with the kit.

    Assumed: the value is replaced, as the contract says of an order's; of a kit's it says only that it is set.
    """
    kit = state.kits.find(call.params["kit_id"])
    metadata = bodies.metadata(call.body)
    kit.metadata = dict(metadata)  # a copy, so that changing the kit's leaves the ledger's alone
    kit.updated = state.now()
    state.record_update(kit.kit_id, metadata, call.index)
    return kit.answer()


def get_kit(state: "SpotState", call: Call) -> Answer:
    """Answer with the kit."""
    return state.kits.find(call.params["kit_id"]).answer()


def list_kits(state: "SpotState", call: Call) -> Answer:
    """Answer with a page of kit summaries by creation date: a bare array without a total."""
    return page_of(call, state.kits.listed(), own=_conditions, day_offset=state.day_offset)


def list_kit_types(state: "SpotState", _call: Call) -> Answer:
    """Answer with the names of the kit types."""
    return json_answer(200, state.kit_types)


_LIST_QUERY = (*SHARED_QUERY, "kit_type", "has_order", "kit_status", "sample_status")
KIT_ROUTES = (
    Route("kits.update_metadata", "POST", "/api/v2/kits/{kit_id}/", update_kit_metadata),
    Route("kits.get", "GET", "/api/v2/kits/{kit_id}/", get_kit),
    Route("kits.list", "GET", "/api/v2/kits/", list_kits, query=_LIST_QUERY),
    Route("kits.types", "GET", "/api/v2/kit_types", list_kit_types),
)


def _conditions(query: Query) -> Iterator[Condition]:
    """Turn the filters that only the list of kits has into conditions.

    Assumed: texts are compared whole and case-sensitively.
    """
    if "kit_type" in query:
        yield holds("kit_type", query["kit_type"])
    for name, allowed in (("kit_status", KIT_STATUSES), ("sample_status", SAMPLE_STATUSES)):
        if (wanted := listing.choice(query, name, allowed)) is not None:
            yield holds(name, wanted)
    if (has_order := listing.boolean(query, "has_order")) is not None:
        yield lambda row, _: (row["order_id"] is not None) is has_order
