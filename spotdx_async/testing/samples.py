"""What happens to a kit's sample, from its collection to the lab's report: one method a step. Pure; knows no store."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from spotdx_async.testing.lifecycle import Lifecycle, Step, enter
from spotdx_async.testing.made_up import new_shipment
from spotdx_async.testing.reports import new_report

__all__ = ["SampleLifecycle", "new_sample"]

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


class SampleLifecycle(Lifecycle):
    """A sample's steps, with the same manners as those of a kit.

    What lies between the collection and the lab is made up where a test goes straight to ``check_quality()``,
    ``reject()`` or ``result()``: the sample is sent back, arrives and is received then.

    Source: ``collected`` and ``rejected`` are named by the guides alone.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def kit_id(self) -> str:
        """The kit's id."""

    def collect(self) -> None:
        """Let the patient take the sample, of a kit that is registered."""
        if (status := self.document.get("status")) != "registered":
            raise ValueError(
                f"collect() needs a kit that is registered (register() has to come first); this one is {status}"
            )
        if not self.document.get("sample"):
            self.document["sample"] = new_sample(self.kit_id, self._now())
        self._step(_COLLECT)

    def fail_collection(self) -> None:
        """Let the collection go wrong; ``collect()`` may follow."""
        self._step(_FAIL_COLLECTION)

    def send_back(self, *, tracking_number: str | None = None, carrier: str | None = "usps") -> None:
        """Hand the sample to the carrier; it is on its way to the lab.

        Args:
            tracking_number: None: made up.
            carrier: ``fedex``, ``ups`` or ``usps``.
        """
        at = self._step(_SEND_BACK)
        sample = self._sample
        shipment = new_shipment(f"{self.kit_id} back", at, tracking_number, carrier)
        sample["shipments"] = [*(sample.get("shipments") or ()), shipment]

    def fail_return(self) -> None:
        """Let something go wrong on the way back; ``arrive()`` may follow."""
        self._step(_FAIL_RETURN)

    def arrive(self) -> None:
        """Let the carrier deliver the sample to the lab."""
        self._step(_ARRIVE)

    def receive(self) -> None:
        """Let the lab take the sample in."""
        self._step(_RECEIVE)

    def check_quality(self) -> None:
        """Let the lab look again before it reports."""
        self._bring_to_the_lab()
        self._step(_CHECK)

    def reject(self) -> None:
        """Let the lab refuse the sample."""
        self._bring_to_the_lab()
        self._step(_REJECT)

    def result(self, results: Iterable[Mapping[str, Any]] | None = None, *, is_partial: bool = False) -> dict[str, Any]:
        """Let the lab report; of a sample with a whole report already it is an amendment.

        Args:
            results: as they shall stand in the report; None: two quantities, a reactivity and a genotype.
            is_partial: whether more results are to follow: the sample is ``partially_resulted`` then.

        Returns:
            The report as it stands in the kit's document: change it freely.
        """
        self._bring_to_the_lab()
        sample = self._sample
        _RESULT.check("a sample", sample.get("status"))
        is_amendment, at = sample.get("status") == "resulted", self._now()
        report = new_report(
            results,
            collected=_when(sample, "collected") or at,
            received=_when(sample, "received") or at,
            resulted=at,
            is_amendment=is_amendment,
        )
        sample["reports"] = [*(sample.get("reports") or ()), report]
        enter(sample, "partially_resulted" if is_partial else "resulted", at)
        self._moved(at)
        return report

    @property
    def _sample(self) -> dict[str, Any]:
        sample: dict[str, Any] = self.document.get("sample") or {}
        return sample

    def _bring_to_the_lab(self) -> None:
        ways = ((_SEND_BACK, self.send_back), (_ARRIVE, self.arrive), (_RECEIVE, self.receive))
        for step, take in ways:
            if self._sample.get("status") in step.after:
                take()

    def _step(self, step: Step) -> str:
        at = self._now()
        step.take("a sample", self._sample, at)
        self._moved(at)
        return at


def new_sample(kit_id: str, at: str) -> dict[str, Any]:
    """Give the sample of a kit as it is before its collection.

    Assumed: it is known by its id from the kit's beginning: so it is in the documented example.
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


def _when(sample: Mapping[str, Any], status: str) -> str | None:
    """Give the instant of the last event of that status."""
    found = [event["created"] for event in sample.get("events") or () if event.get("status") == status]
    return str(found[-1]) if found else None
