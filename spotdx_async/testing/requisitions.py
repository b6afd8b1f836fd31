"""The fake's requisitions: what a test adds and changes, their steps up to the lab's report, and their operations.

Pure; knows no HTTP.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from spotdx_async.testing import bodies, listing
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.bodies import (
    ADDRESS,
    TWO_LETTERS,
    Check,
    fields,
    fits,
    maybe_null,
    one_of,
    person_fields,
    text,
)
from spotdx_async.testing.listed_store import MetadataStore
from spotdx_async.testing.listing import SHARED_QUERY, Condition, Query, holds, page_of
from spotdx_async.testing.made_up import EXAMPLE_INSTANT, RECIPIENT, fresh, new_report
from spotdx_async.testing.routes import Call, Route
from spotdx_async.testing.store import Item, Step, instant_now, stamp

if TYPE_CHECKING:
    from spotdx_async.testing.state import SpotState

AddressForm = Literal["plain", "wrapped"]
"""How ``patient.address`` is sent: the address itself, or an object that holds it under ``address``."""

REQUISITION_STATUSES = (
    *("created", "approved", "denied", "delivered", "received", "extra_quality_checks", "resulted", "rejected"),
    "delivery_exception",
)
EXAMPLE_REQUISITION_ID = "f0e5a607-5b52-4d7c-a3f2-c40772d41482"
_EXAMPLE: Mapping[str, Any] = {
    "account_number": "1234567890",
    "lab": "CRL",
    "panels": ["PANEL-123"],
    "state_collected": "OH",
    "patient": {**RECIPIENT, "sex": "F", "date_of_birth": "1990-01-01"},
    "tracking": {"tracking_number": "9400123456789999876500", "carrier": "usps"},
    "status": "approved",
    "reports": [],
    "attributes": {"crl_slip_id": "1234567890", "crl_tier3_account_number": "12345678"},
    "metadata": None,
}
_SUMMARY = ("barcode", "account_number", "lab", "panels", "patient", "status")
_EVENT = ("event", "date")

_DELIVER = Step("deliver()", "delivered", ("approved", "delivery_exception"))
_FAIL = Step("fail_delivery()", "delivery_exception", ("approved",))
_RECEIVE = Step("receive()", "received", ("delivered",), "deliver()")
_CHECK = Step("check_quality()", "extra_quality_checks", ("received",), "receive()")
_REJECT = Step("reject()", "rejected", ("received", "extra_quality_checks"), "receive()")
_RESULT = Step("result()", "resulted", ("received", "extra_quality_checks", "resulted"), "receive()")


class FakeRequisition(Item):
    """One requisition on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps (``deliver``, ``receive``, ``result`` and the others) play its life, as a kit's do; it was approved or
    denied when it was created.

    Attributes:
        requisition_id: its id; fixed.
        created: when it was created, as text; fixed, since lists are sorted by it.
        updated: when it was last changed, as text.
        document: what "get requisition" answers, but for ``created`` and ``updated``, and with a plain address; change
            it freely, but for the barcode.
    """

    __slots__ = ("_updated",)

    _noun: ClassVar[str] = "a requisition"
    _fields = frozenset({*_EXAMPLE, "barcode", "events"})
    _options = frozenset({"created", "updated", "document"})
    _store: "Requisitions | None"

    def __init__(
        self,
        requisition_id: str,
        *,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        store: "Requisitions | None" = None,
        **fields: Any,
    ) -> None:
        super().__init__(requisition_id, created=created, document=document, store=store, fields=fields)
        self._updated = stamp(created if updated is None else updated)

    @property
    def requisition_id(self) -> str:
        """The requisition's id."""
        return self._id

    @property
    def barcode(self) -> Any:
        """The barcode of its sample; None where the document has none."""
        return self.document.get("barcode")

    @property
    def metadata(self) -> Any:
        """The metadata that it was created with; None where there is none."""
        return self.document.get("metadata")

    @property
    def patient(self) -> Mapping[str, Any]:
        """The patient, to read; empty where that is missing or null."""
        return self.document.get("patient") or {}

    @property
    def person(self) -> Mapping[str, Any]:
        """The same as ``patient``."""
        return self.patient

    @property
    def updated(self) -> str:
        """When it was last changed, as text."""
        return self._updated

    @updated.setter
    def updated(self, value: str) -> None:
        self._updated = value
        self._changed()

    def answer(self, form: AddressForm = "plain") -> Answer:
        """Answer with the whole requisition."""
        row = {"requisition_id": self._id, **self.document}
        if form == "wrapped" and "address" in self.patient:
            row["patient"] = {**self.patient, "address": {"address": self.patient["address"]}}
        row |= {"created": self._created, "updated": self.updated}
        return json_answer(200, row if self._store is None else self._store.shown(self, row))

    def summary(self) -> dict[str, Any]:
        """Return the requisition's row of the list, without the fields that the document lacks.

        Its address is always plain: the documents wrap only that of a whole requisition.
        """
        known = {name: self.document[name] for name in _SUMMARY if name in self.document}
        return {"requisition_id": self._id, **known, "created": self._created, "updated": self.updated}

    def deliver(self) -> None:
        """Deliver the sample to the lab."""
        self._step(_DELIVER)

    def fail_delivery(self) -> None:
        """Fail the delivery to the lab; ``deliver()`` may follow."""
        self._step(_FAIL)

    def receive(self) -> None:
        """Register the sample as received at the lab."""
        self._step(_RECEIVE)

    def check_quality(self) -> None:
        """Put the sample through extra quality checks at the lab."""
        self._step(_CHECK)

    def reject(self) -> None:
        """Reject the sample at the lab."""
        self._step(_REJECT)

    def result(self, results: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """Publish the lab's report; any report after the first is an amendment.

        Args:
            results: the results as they appear in the report; None for two quantities, a reactivity and a genotype.

        Returns:
            The report as it stands in the requisition's document: change it freely.
        """
        is_amendment = self.status == "resulted"
        at = self._step(_RESULT)
        document = self.document
        dates = {event.get("event"): event.get("date") for event in document["events"]}
        collected, received = (dates.get(name) or at for name in ("created", "received"))
        report = new_report(results, collected=collected, received=received, resulted=at, is_amendment=is_amendment)
        document["reports"] = [*(document.get("reports") or ()), report]
        return report

    def _step(self, step: Step) -> str:
        at = self._now()
        step.take(self._noun, self.document, at, _EVENT)
        self.updated = at
        return at

    def _new_document(self) -> dict[str, Any]:
        made_up = {"requisition_id": self._id, "barcode": f"B-{self._id}", **fresh(_EXAMPLE)}
        return {**made_up, "events": _new_events("approved", self._created)}

    def _example(self) -> Mapping[str, Any]:
        return self.document  # never shared: it has a barcode of its own


class Requisitions(MetadataStore[FakeRequisition]):
    """The fake's requisitions by id, in the order of adding; no two have the same barcode.

    Attributes:
        now: returns the instant that a requisition's steps are stamped with.
    """

    _noun: ClassVar[str] = "a requisition"

    def __init__(self, *, now: Callable[[], str] = instant_now) -> None:
        super().__init__(now=now)
        self._barcodes: set[Any] = set()

    def add(self, requisition_id: str, **about: Any) -> FakeRequisition:
        """Add one requisition: approved, for a person who does not exist, with a barcode of its own.

        Args:
            requisition_id: an id that no requisition has yet.
            about: ``created``, ``updated``; fields to replace (``barcode``, ``account_number``, ``lab``, ``panels``,
                ``state_collected``, ``patient``, ``tracking``, ``status``, ``events``, ``reports``, ``attributes``,
                ``metadata``; None for null); or ``document``, the answer without the first two, for one with fields
                missing.

        Raises:
            ValueError: the id or the barcode is taken, the id cannot be part of a path, or an argument is unknown.
        """
        made = FakeRequisition(requisition_id, store=self, **about)
        with self._lock:
            if made.barcode in self._barcodes:
                raise ValueError("a requisition with this barcode is there already")
            self._put(requisition_id, made)
            if made.barcode is not None:
                self._barcodes.add(made.barcode)
        return made

    def has_barcode(self, barcode: str) -> bool:
        """Return whether a requisition has this barcode."""
        return barcode in self._barcodes

    def by_creation(self) -> list[FakeRequisition]:
        """Return all requisitions, oldest first, in the order of adding among equals. Not to be changed."""
        return self._in_order()

    def add_default_world(self) -> None:
        """Add one with a report, one almost empty, and one that was denied and is full of nulls."""
        received, resulted = "2023-01-03T09:00:00.000Z", "2023-01-05T09:00:00.000Z"
        later = [("delivered", "2023-01-02T09:00:00.000Z"), ("received", received), ("resulted", resulted)]
        self.add(
            EXAMPLE_REQUISITION_ID,
            barcode="19742938328",
            updated=resulted,
            status="resulted",
            events=[
                *_new_events("approved", EXAMPLE_INSTANT),
                *({"event": event, "date": date} for event, date in later),
            ],
            reports=[new_report(None, collected=EXAMPLE_INSTANT, received=received, resulted=resulted)],
            metadata={"campaign": "winter"},
        )
        self.add(
            "0b4c9a3e-51f7-4a39-9a3c-6a0f2d6c1d11", created="2023-01-02T09:00:00.000Z", document={"status": "created"}
        )
        self.add(
            "5d0f8f5c-3c0e-4b9e-8f5e-2b7f4f1f7a22",
            created="2023-01-03T09:00:00.000Z",
            state_collected="NY",
            tracking={"tracking_number": None, "carrier": None},
            status="denied",
            events=_new_events("denied", "2023-01-03T09:00:00.000Z"),
            attributes=None,
        )

    def _add_stamped(self, an_id: str, created: str, metadata: dict[str, Any] | None) -> None:
        self.add(an_id, created=created, metadata=metadata)

    def _metadata_of(self, item: FakeRequisition) -> Any:
        return item.metadata

    def __delitem__(self, requisition_id: str) -> None:
        with self._lock:
            self._barcodes.discard(self[requisition_id].barcode)
            super().__delitem__(requisition_id)


def _new_events(status: str, at: str) -> list[dict[str, str]]:
    """Return the events of a requisition that was created and approved or denied in one instant."""
    return [{"event": event, "date": at} for event in ("created", status)]


# --- Operations -------------------------------------------------------------------------------------------------------


def create_requisition(state: "SpotState", call: Call) -> Answer:
    """Create a requisition, approved at once; denied where its sample was collected in a state without testing.

    Assumed: that this is what decides; the documents say only that it is decided at once. And that a patient's fields
        are required as those of "create patient" are.
    """
    sent = bodies.checked(call.body, _check(state))
    status = "denied" if state.is_without_testing(sent["state_collected"]) else "approved"
    at, requisition_id = state.now(), state.requisitions.free_id()
    document = {
        "requisition_id": requisition_id,
        "attributes": None,
        "metadata": None,
        **fresh(sent),  # a copy, apart from the ledger's
        "status": status,
        "events": _new_events(status, at),
        "reports": [],
    }
    requisition = state.requisitions.add(requisition_id, created=at, document=document)
    state.record_creation("requisition", requisition_id, call)
    return requisition.answer(state.address_form)


def get_requisition(state: "SpotState", call: Call) -> Answer:
    """Answer with the requisition."""
    return state.requisitions.find(call.params["requisition_id"]).answer(state.address_form)


def list_requisitions(state: "SpotState", call: Call) -> Answer:
    """Answer with a page of requisition summaries: a bare array without a total.

    Assumed: by creation date, as kits; the documents do not say.
    """
    return page_of(call, state.requisitions.listed(), own=_conditions, day_offset=state.day_offset)


_LIST_QUERY = (*SHARED_QUERY, "lab", "status")
REQUISITION_ROUTES = (
    Route("requisitions.create", "POST", "/api/v2/requisitions/", create_requisition),
    Route("requisitions.get", "GET", "/api/v2/requisitions/{requisition_id}", get_requisition),
    Route(
        "requisitions.list", "GET", "/api/v2/requisitions/", list_requisitions, query=(*SHARED_QUERY, "lab", "status")
    ),
)

_TRACKING = fields({}, {"tracking_number": maybe_null(text), "carrier": maybe_null(one_of("fedex", "ups", "usps"))})
_ATTRIBUTES = fields(
    {},
    {
        "crl_slip_id": maybe_null(fits("[A-Za-z0-9]{1,10}", "1 to 10 letters and digits")),
        "crl_tier3_account_number": maybe_null(fits("[A-Za-z0-9]{8}", "exactly 8 letters and digits")),
    },
)


def _check(state: "SpotState") -> Check:
    def barcode(value: Any, path: str) -> Iterator[str]:
        yield from text(value, path)
        if isinstance(value, str) and state.requisitions.has_barcode(value):
            yield f"{path}: Must be globally unique"

    patient = fields({**person_fields(state.today()), "address": ADDRESS}, {"phone": text})
    required: dict[str, Check] = {
        "barcode": barcode,
        "panels": bodies.array_of(text),
        "account_number": text,
        "lab": text,
        "state_collected": TWO_LETTERS,
        "patient": patient,
    }
    attributes, metadata = maybe_null(_ATTRIBUTES), maybe_null(bodies.an_object)
    return fields(required, {"tracking": _TRACKING, "attributes": attributes, "metadata": metadata})


def _conditions(query: Query) -> Iterator[Condition]:
    """Turn the filters that only the list of requisitions has into conditions.

    Assumed: a status that is on no list is refused, as with kits.
    """
    if "lab" in query:
        yield holds("lab", query["lab"])
    if (wanted := listing.choice(query, "status", REQUISITION_STATUSES)) is not None:
        yield holds("status", wanted)
