"""A kit's sample: its steps from collection to the lab's report, one method each. Pure; knows no store."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from spotdx_async.testing.made_up import new_report, new_shipment
from spotdx_async.testing.store import Item, Step, add_event

_COLLECT = Step("collect()", "collected", ("awaiting_collection", "collection_exception"))
_FAIL_COLLECTION = Step("fail_collection()", "collection_exception", ("awaiting_collection", "collected"))
_SEND_BACK = Step("send_back()", "in_transit", ("collected",), "collect()")
_FAIL_RETURN = Step("fail_return()", "delivery_exception", ("in_transit",), "send_back()")
_ARRIVE = Step("arrive()", "delivered", ("in_transit", "delivery_exception"), "send_back()")
_RECEIVE = Step("receive()", "received", ("delivered",), "arrive()")
_AT_THE_LAB = ("received", "extra_quality_checks", "partially_resulted")
_CHECK = Step("check_quality()", "extra_quality_checks", ("received", "partially_resulted"), "collect()")
_REJECT = Step("reject()", "rejected", _AT_THE_LAB, "collect()")
_RESULT = Step("result()", "resulted", (*_AT_THE_LAB, "resulted"), "collect()")


class SampleSteps(Item):
    """The steps of a kit's sample; they work as the kit's own do.

    ``check_quality()``, ``reject()`` and ``result()`` first take the steps between collection and lab that the test
    has left out: the sample is sent back, arrives and is received.

    Source: ``collected`` and ``rejected`` are named by the guides alone.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def kit_id(self) -> str:
        """The kit's id."""

    @abstractmethod
    def _moved(self, at: str) -> None:
        """Note that a step was taken at that instant."""

    def collect(self) -> None:
        """Collect the sample of a registered kit."""
        if (status := self.document.get("status")) != "registered":
            raise ValueError(
                f"collect() needs a kit that is registered (register() has to come first); this one is {status}"
            )
        if not self.document.get("sample"):
            self.document["sample"] = new_sample(self.kit_id, self._now())
        self._step(_COLLECT)

    def fail_collection(self) -> None:
        """Fail the collection; ``collect()`` may follow."""
        self._step(_FAIL_COLLECTION)

    def send_back(self, *, tracking_number: str | None = None, carrier: str | None = "usps") -> None:
        """Hand the sample to the carrier, on its way to the lab.

        Args:
            tracking_number: None for a made-up one.
            carrier: ``fedex``, ``ups`` or ``usps``.
        """
        at = self._step(_SEND_BACK)
        sample = self._sample
        shipment = new_shipment(f"{self.kit_id} back", at, tracking_number, carrier)
        sample["shipments"] = [*(sample.get("shipments") or ()), shipment]

    def fail_return(self) -> None:
        """Fail the delivery to the lab; ``arrive()`` may follow."""
        self._step(_FAIL_RETURN)

    def arrive(self) -> None:
        """Deliver the sample to the lab."""
        self._step(_ARRIVE)

    def receive(self) -> None:
        """Register the sample as received at the lab."""
        self._step(_RECEIVE)

    def check_quality(self) -> None:
        """Put the sample through extra quality checks at the lab."""
        self._bring_to_lab()
        self._step(_CHECK)

    def reject(self) -> None:
        """Reject the sample at the lab."""
        self._bring_to_lab()
        self._step(_REJECT)

    def result(self, results: Iterable[Mapping[str, Any]] | None = None, *, is_partial: bool = False) -> dict[str, Any]:
        """Publish the lab's report; after a complete one, the next is an amendment.

        Args:
            results: the results as they appear in the report; None for two quantities, a reactivity and a genotype.
            is_partial: whether more results are to follow: the sample is then ``partially_resulted``.

        Returns:
            The report as it stands in the kit's document: change it freely.
        """
        self._bring_to_lab()
        sample = self._sample
        _RESULT.check("a sample", sample.get("status"))
        is_amendment, at = sample.get("status") == "resulted", self._now()
        report = new_report(
            results,
            collected=_last_time(sample, "collected") or at,
            received=_last_time(sample, "received") or at,
            resulted=at,
            is_amendment=is_amendment,
        )
        sample["reports"] = [*(sample.get("reports") or ()), report]
        add_event(sample, "partially_resulted" if is_partial else "resulted", at)
        self._moved(at)
        return report

    @property
    def _sample(self) -> dict[str, Any]:
        sample: dict[str, Any] = self.document.get("sample") or {}
        return sample

    def _bring_to_lab(self) -> None:
        for step, take in ((_SEND_BACK, self.send_back), (_ARRIVE, self.arrive), (_RECEIVE, self.receive)):
            if self._sample.get("status") in step.after:
                take()

    def _step(self, step: Step) -> str:
        at = self._now()
        step.take("a sample", self._sample, at)
        self._moved(at)
        return at


def new_sample(kit_id: str, at: str) -> dict[str, Any]:
    """Return the sample of a kit as it is before its collection.

    Assumed: it has its id from the start, as in the documented example.
    """
    return {
        "sample_id": f"{kit_id}S",
        "status": "awaiting_collection",
        "events": [{"status": "awaiting_collection", "created": at}],
        "type": "adx100",
        "shipments": [],
        "panels": ["PANEL-123"],
        "reports": [],
    }


def _last_time(sample: Mapping[str, Any], status: str) -> str | None:
    """Return when the sample last entered the status; None where it never did."""
    found = [event["created"] for event in sample.get("events") or () if event.get("status") == status]
    return str(found[-1]) if found else None
