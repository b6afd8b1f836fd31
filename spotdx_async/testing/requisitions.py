"""The requisitions of the fake: what a test adds, looks at and changes. Pure; knows no HTTP and no rules."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Any, ClassVar, Literal

from spotdx_async.testing import instants
from spotdx_async.testing.answers import Answer, json_answer
from spotdx_async.testing.instants import EXAMPLE_INSTANT, stamp
from spotdx_async.testing.made_up import RECIPIENT, fresh, new_uuid
from spotdx_async.testing.reports import new_report
from spotdx_async.testing.requisition_lifecycle import RequisitionLifecycle, new_events
from spotdx_async.testing.store import Store, check_id, refuse_unknown_fields

__all__ = ["EXAMPLE_REQUISITION_ID", "AddressForm", "FakeRequisition", "Requisitions"]

AddressForm = Literal["plain", "wrapped"]
"""How ``patient.address`` is sent: the address itself, or an object that holds it under ``address``."""

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
_SHAPE = frozenset({*_EXAMPLE, "barcode", "events"})
_ABOUT = frozenset({"created", "updated", "document"})


class FakeRequisition(RequisitionLifecycle):
    """One requisition on the fake; its attributes may be changed at any time. ``repr`` shows no patient data.

    Its steps (``deliver``, ``receive``, ``result`` and the others) play its life.

    Attributes:
        requisition_id: its id; fixed.
        created: when it was created, as text; fixed, since lists are sorted by it.
        updated: when it was last changed, as text.
        document: the requisition as "get requisition" answers it, but for ``created`` and ``updated``, and with a
            plain address; change it freely, but for the barcode.
    """

    __slots__ = ("_created", "_document", "_home", "_requisition_id", "updated")

    def __init__(
        self,
        requisition_id: str,
        *,
        created: datetime | str = EXAMPLE_INSTANT,
        updated: datetime | str | None = None,
        document: dict[str, Any] | None = None,
        home: "Requisitions | None" = None,
        **shape: Any,
    ) -> None:
        refuse_unknown_fields(shape, _SHAPE, _ABOUT)
        self._home = home  # the store, for its clock
        self._requisition_id = check_id("a requisition", requisition_id)
        self._created = stamp(created)
        self.updated: str = stamp(created if updated is None else updated)
        if document is None:
            made_up = {"requisition_id": requisition_id, "barcode": f"B-{requisition_id}", **fresh(_EXAMPLE)}
            document = {**made_up, "events": new_events("approved", self._created)}
        self._document = document
        self._document.update(shape)

    @property
    def requisition_id(self) -> str:
        """The requisition's id."""
        return self._requisition_id

    @property
    def created(self) -> str:
        """When the requisition was created."""
        return self._created

    @property
    def document(self) -> dict[str, Any]:
        """The requisition as it is answered."""
        return self._document

    @property
    def barcode(self) -> Any:
        """The barcode of its sample; None where the document has none."""
        return self._document.get("barcode")

    @property
    def status(self) -> Any:
        """The requisition's status; None where the document has none."""
        return self._document.get("status")

    @status.setter
    def status(self, value: Any) -> None:
        self._document["status"] = value

    @property
    def metadata(self) -> Any:
        """What the requisition was created with; None where there is none."""
        return self._document.get("metadata")

    @property
    def patient(self) -> Mapping[str, Any]:
        """Whom the requisition is for, to read; empty where that is missing or null."""
        return self._document.get("patient") or {}

    def answer(self, form: AddressForm = "plain") -> Answer:
        """Answer with the whole requisition."""
        row = {"requisition_id": self._requisition_id, **self._document}
        if form == "wrapped" and "address" in self.patient:
            row["patient"] = {**self.patient, "address": {"address": self.patient["address"]}}
        return json_answer(200, {**row, "created": self._created, "updated": self.updated})

    def summary(self) -> dict[str, Any]:
        """Give the requisition's row of the list, without the fields that the document lacks.

        Its address is always plain: the documents wrap only that of a whole requisition.
        """
        known = {name: self._document[name] for name in _SUMMARY if name in self._document}
        return {"requisition_id": self._requisition_id, **known, "created": self._created, "updated": self.updated}

    def _now(self) -> str:
        return instants.now() if self._home is None else self._home.now()

    def _moved(self, at: str) -> None:
        self.updated = at

    def __repr__(self) -> str:
        return f"<FakeRequisition {self._requisition_id} {self.status}>"


class Requisitions(Store[FakeRequisition]):
    """The fake's requisitions by id, in the order of adding; no two have the same barcode.

    Attributes:
        now: gives the instant that a requisition's steps are stamped with.
    """

    _noun: ClassVar[str] = "a requisition"

    def __init__(self, *, now: Callable[[], str] = instants.now) -> None:
        super().__init__()
        self.now = now
        self._barcodes: set[Any] = set()

    def add(self, requisition_id: str, **about: Any) -> FakeRequisition:
        """Add one requisition: approved, for a person who does not exist, with a barcode of its own.

        Args:
            requisition_id: an id that no requisition has yet.
            about: ``created``, ``updated``; fields to replace (``barcode``, ``account_number``, ``lab``, ``panels``,
                ``state_collected``, ``patient``, ``tracking``, ``status``, ``events``, ``reports``, ``attributes``,
                ``metadata``; None for null); or ``document``, the answer without the first two, where fields shall be
                missing.

        Raises:
            ValueError: the id or the barcode is taken, the id is no path segment, or something else was given.
        """
        made = FakeRequisition(requisition_id, home=self, **about)
        with self._lock:
            if made.barcode in self._barcodes:
                raise ValueError("a requisition with this barcode is there already")
            self._put(requisition_id, made)
            if made.barcode is not None:
                self._barcodes.add(made.barcode)
        return made

    def free_id(self) -> str:
        """Make up a UUID."""
        return new_uuid()

    def has_barcode(self, barcode: str) -> bool:
        """Whether a requisition has this barcode."""
        return barcode in self._barcodes

    def by_creation(self) -> list[FakeRequisition]:
        """Give all requisitions, oldest first; of the same age, in the order of adding. Not to be changed."""
        return self._in_order(_oldest_first)

    def add_default_world(self) -> None:
        """Add one with a report, one almost empty, and one that was denied and is full of nulls."""
        _add_resulted(self)
        self.add(
            "0b4c9a3e-51f7-4a39-9a3c-6a0f2d6c1d11", created="2023-01-02T09:00:00.000Z", document={"status": "created"}
        )
        self.add(
            "5d0f8f5c-3c0e-4b9e-8f5e-2b7f4f1f7a22",
            created="2023-01-03T09:00:00.000Z",
            state_collected="NY",
            tracking={"tracking_number": None, "carrier": None},
            status="denied",
            events=new_events("denied", "2023-01-03T09:00:00.000Z"),
            attributes=None,
        )

    def __delitem__(self, requisition_id: str) -> None:
        with self._lock:
            self._barcodes.discard(self[requisition_id].barcode)
            super().__delitem__(requisition_id)


def _add_resulted(store: Requisitions) -> None:
    days: Iterable[tuple[str, str]] = (("delivered", "02"), ("received", "03"), ("resulted", "05"))
    later = [{"event": event, "date": f"2023-01-{day}T09:00:00.000Z"} for event, day in days]
    store.add(
        EXAMPLE_REQUISITION_ID,
        barcode="19742938328",
        updated=later[-1]["date"],
        status="resulted",
        events=[*new_events("approved", EXAMPLE_INSTANT), *later],
        reports=[new_report(None, collected=EXAMPLE_INSTANT, received=later[1]["date"], resulted=later[2]["date"])],
        metadata={"campaign": "winter"},
    )


def _oldest_first(things: Iterable[FakeRequisition]) -> list[FakeRequisition]:
    return sorted(things, key=attrgetter("created"))
