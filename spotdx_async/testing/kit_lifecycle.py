"""What happens to a kit, from the parcel to its registration: one method a step. Pure; knows no store and no rules."""

from typing import Any

from spotdx_async.testing.lifecycle import Step, enter
from spotdx_async.testing.made_up import new_shipment
from spotdx_async.testing.patients import FakePatient
from spotdx_async.testing.samples import SampleLifecycle, new_sample

__all__ = ["KitLifecycle", "new_kit_document"]

_WAITING = ("preparing", "pending", "kit_type_assigned")
_SHIP = Step("ship()", "in_transit", _WAITING)
_DELIVER = Step("deliver()", "delivered", ("in_transit", "delivery_exception"), "ship()")
_FAIL = Step("fail_delivery()", "delivery_exception", ("in_transit",), "ship()")
_REGISTER = Step("register()", "registered", ("delivered",), "deliver()")
_CANCEL = Step("cancel()", "canceled", (*_WAITING, "in_transit", "delivery_exception", "delivered"))
_TOO_LATE_TO_ACTIVATE = ("registered", "canceled")


class KitLifecycle(SampleLifecycle):
    """A kit's steps and its sample's.

    Each sets the status, appends an event with the fake's clock, and moves ``updated``.

    The status alone says which step may come next: a kit that was added with one goes on from there. A step out of
    turn raises ValueError, with what has to come first.

    Assumed: which statuses follow one another; the documents list them and give one example.
    """

    __slots__ = ()

    def ship(self, *, tracking_number: str | None = None, carrier: str | None = "usps") -> None:
        """Hand the kit to the carrier; it is on its way to the customer.

        Args:
            tracking_number: None: made up.
            carrier: ``fedex``, ``ups`` or ``usps``.
        """
        at = self._take(_SHIP)
        self.document["shipment_to_customer"] = new_shipment(self.kit_id, at, tracking_number, carrier)
        self._moved(at)

    def deliver(self) -> None:
        """Let the kit arrive; the last kit of an order to arrive completes the order."""
        self._moved(self._take(_DELIVER))

    def fail_delivery(self) -> None:
        """Let something go wrong on the way; ``deliver()`` may follow."""
        self._moved(self._take(_FAIL))

    def register(self, patient: FakePatient) -> None:
        """Let the customer, who holds the kit, register it to a patient."""
        _REGISTER.check("a kit", self.document.get("status"))
        self.activate(patient)

    @property
    def can_be_activated(self) -> bool:
        """Whether the status is neither registered nor canceled: what "activate kit" asks.

        Assumed: whoever activates a kit holds it, so that the carrier need not have reported it delivered.
        """
        return self.document.get("status") not in _TOO_LATE_TO_ACTIVATE

    def activate(self, patient: FakePatient) -> None:
        """Register the kit to a patient, delivered or not: what the API's "activate kit" does."""
        if not self.can_be_activated:
            raise ValueError(f"a kit is registered once, and not after cancel(); this one is {self.document['status']}")
        at = self._now()
        enter(self.document, "registered", at)
        self.document["registered_to"] = patient.registrant()
        if not self.document.get("sample"):
            self.document["sample"] = new_sample(self.kit_id, at)
        self._moved(at)

    def cancel(self) -> None:
        """Cancel a kit that nobody has registered."""
        self._moved(self._take(_CANCEL))

    def _take(self, step: Step) -> str:
        at = self._now()
        step.take("a kit", self.document, at)
        return at


def new_kit_document(kit_id: str, kit_type: str, at: str) -> dict[str, Any]:
    """Give a kit as it is made for an order: it is being prepared, and waits for a customer."""
    return {
        "kit_id": kit_id,
        "type": kit_type,
        "status": "preparing",
        "events": [{"status": "preparing", "created": at}],
        "sample": new_sample(kit_id, at),
    }
