"""What happens to a requisition, from its approval to the lab's report: one method a step. Pure; knows no store."""

from collections.abc import Iterable, Mapping
from typing import Any

from spotdx_async.testing.lifecycle import Lifecycle, Step, enter
from spotdx_async.testing.reports import new_report

__all__ = ["RequisitionLifecycle", "new_events"]

_DELIVER = Step("deliver()", "delivered", ("approved", "delivery_exception"))
_FAIL = Step("fail_delivery()", "delivery_exception", ("approved",))
_RECEIVE = Step("receive()", "received", ("delivered",), "deliver()")
_CHECK = Step("check_quality()", "extra_quality_checks", ("received",), "receive()")
_REJECT = Step("reject()", "rejected", ("received", "extra_quality_checks"), "receive()")
_RESULT = Step("result()", "resulted", ("received", "extra_quality_checks", "resulted"), "receive()")
_NAMES = ("event", "date")


class RequisitionLifecycle(Lifecycle):
    """A requisition's steps, with the manners of those of a kit; it was approved or denied when it was created."""

    __slots__ = ()

    def deliver(self) -> None:
        """Let the sample arrive at the lab."""
        self._step(_DELIVER)

    def fail_delivery(self) -> None:
        """Let something go wrong on the way; ``deliver()`` may follow."""
        self._step(_FAIL)

    def receive(self) -> None:
        """Let the lab take the sample in."""
        self._step(_RECEIVE)

    def check_quality(self) -> None:
        """Let the lab look again before it reports."""
        self._step(_CHECK)

    def reject(self) -> None:
        """Let the lab refuse the sample."""
        self._step(_REJECT)

    def result(self, results: Iterable[Mapping[str, Any]] | None = None) -> dict[str, Any]:
        """Let the lab report; of a requisition with a report already it is an amendment.

        Args:
            results: as they shall stand in the report; None: two quantities, a reactivity and a genotype.

        Returns:
            The report as it stands in the requisition's document: change it freely.
        """
        is_amendment = self.document.get("status") == "resulted"
        at = self._step(_RESULT)
        document = self.document
        dates = {event.get("event"): event.get("date") for event in document["events"]}
        collected, received = (dates.get(name) or at for name in ("created", "received"))
        report = new_report(results, collected=collected, received=received, resulted=at, is_amendment=is_amendment)
        document["reports"] = [*(document.get("reports") or ()), report]
        return report

    def _step(self, step: Step) -> str:
        at = self._now()
        step.check("a requisition", self.document.get("status"))
        enter(self.document, step.leads_to, at, _NAMES)
        self._moved(at)
        return at


def new_events(status: str, at: str) -> list[dict[str, str]]:
    """Give the events of a requisition that was created and approved or denied in one instant."""
    return [{"event": event, "date": at} for event in ("created", status)]
