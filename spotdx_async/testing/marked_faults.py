"""What a ``spot_fault`` marker says, understood when tests are collected. Pure; knows no pytest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spotdx_async.testing.fault_plan import FaultPlan, PlannedFault
from spotdx_async.testing.operations import operation_named

__all__ = ["FaultInPlay", "MarkedFault"]

_TEXTS = ("kit_id", "order_id", "requisition_id", "method", "path")
_OF_THE_PLAN = ("times", *_TEXTS)
_OPTIONS = (*_OF_THE_PLAN, "operation", "unmet_ok")


@dataclass(slots=True)
class FaultInPlay:
    """A marker's fault in the plan of a fake."""

    planned: PlannedFault
    times: int | None
    unmet_ok: bool
    faults: FaultPlan

    def end(self) -> str | None:
        """Let it play no more; give what is to be said where it has not played as often as planned, else None."""
        left = self.faults.withdraw(self.planned)
        is_unmet = left != 0 if self.times is not None else not self.planned.played
        if self.unmet_ok or not is_unmet:
            return None
        wanted = "at least once" if self.times is None else str(self.times)
        return f"{self.planned.fault.name!r}: planned {wanted}, played {self.planned.played or 'never'}"


class MarkedFault:
    """One marker's fault.

    Args:
        arguments: what the marker was given by place: the fault alone.
        options: what it was given by name: what ``FaultPlan.add`` takes, ``operation`` in place of method and path,
            ``unmet_ok``.

    Raises:
        ValueError: the fault or an option is unknown or out of range; the message says what there is.
    """

    def __init__(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        if len(arguments) != 1:
            raise ValueError(f"it takes one fault and options by keyword, not {len(arguments)} arguments by place")
        for name in options:
            if name not in _OPTIONS:
                raise ValueError(f"unknown option {name!r}: there are {', '.join(_OPTIONS)}")
            if name in _TEXTS and not isinstance(options[name], str):
                raise ValueError(f"{name} must be text")
        self._fault = arguments[0]
        self._options = {name: options[name] for name in _OF_THE_PLAN if name in options}
        self._unmet_ok = bool(options.get("unmet_ok"))
        if "operation" in options:
            if not self._options.keys().isdisjoint({"method", "path"}):
                raise ValueError("give operation, or method and path")
            self._options["method"], self._options["path"] = operation_named(options["operation"])
        self.plan(FaultPlan())

    def plan(self, faults: FaultPlan) -> FaultInPlay:
        """Add it to a plan."""
        planned = faults.add(self._fault, **self._options)
        return FaultInPlay(planned, planned.times_left, self._unmet_ok, faults)
