"""What a test declares about its requests: the operations it expects, and the faults that its markers play on them.

Pure; knows no pytest. Messages show no id and no body.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from spotdx_async.testing.fault_plan import FaultPlan, PlannedFault
from spotdx_async.testing.records import ReceivedRequest
from spotdx_async.testing.report_files import FILE_OPERATIONS
from spotdx_async.testing.state import OPERATIONS

_TEXTS = ("kit_id", "order_id", "requisition_id", "method", "path")
_PLAN_OPTIONS = ("times", *_TEXTS)
_OPTIONS = (*_PLAN_OPTIONS, "operation", "unmet_ok")
_NAMED: Mapping[str, tuple[str, str]] = {**OPERATIONS, **FILE_OPERATIONS}


class ExpectedRequests:
    """The requests that a test expects, in any order; every other one fails it. The fixture ``spot_expect``.

    Each request that arrives counts: a call that is retried after a fault counts once for each attempt.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], int | None] = {}

    def __call__(self, operation: str, *, times: int | None = 1) -> None:
        """Expect requests of an operation.

        Args:
            operation: the client's call, such as ``"kits.get"``, or method and path template as in errors.
            times: how many; calls for the same operation add up. None for any number, including none.

        Raises:
            ValueError: there is no such operation, or ``times`` is out of range; the message says what is allowed.
        """
        row = operation_named(operation)
        _check_times(times)
        before = self._times.get(row, 0)
        self._times[row] = None if times is None or before is None else before + times

    def differences(self, requests: Iterable[ReceivedRequest]) -> list[str]:
        """Return a line for each operation that came more or less often than expected."""
        came: Counter[tuple[str, str | None]] = Counter((request.method, request.template) for request in requests)
        lines = []
        for method, template in dict.fromkeys([*self._times, *came]):
            expected = 0 if template is None else self._times.get((method, template), 0)
            found = came[method, template]
            if expected is not None and found != expected:
                lines.append(f"{title_of(method, template)}: expected {expected or 'none'}, came {found or 'none'}")
        return lines

    def __repr__(self) -> str:
        expected = ", ".join(f"{title_of(*row)}: {times}" for row, times in self._times.items())
        return f"<ExpectedRequests {expected or 'none'}>"


@dataclass(slots=True)
class FaultInPlay:
    """A marker's fault in the plan of a fake."""

    planned: PlannedFault
    times: int | None
    unmet_ok: bool
    faults: FaultPlan

    def end(self) -> str | None:
        """Withdraw it; return a message if it has not played as often as planned, else None."""
        left = self.faults.withdraw(self.planned)
        is_unmet = left != 0 if self.times is not None else not self.planned.played
        if self.unmet_ok or not is_unmet:
            return None
        wanted = "at least once" if self.times is None else str(self.times)
        return f"{self.planned.fault.name!r}: planned {wanted}, played {self.planned.played or 'never'}"


class MarkedFault:
    """The fault of one ``spot_fault`` marker, checked when tests are collected.

    Args:
        arguments: the marker's positional arguments: the fault alone.
        options: its keyword arguments: those of ``FaultPlan.add``, ``operation`` in place of method and path, and
            ``unmet_ok``.

    Raises:
        ValueError: the fault or an option is unknown or out of range; the message says what is allowed.
    """

    def __init__(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        if len(arguments) != 1:
            raise ValueError(f"it takes one fault and options by keyword, not {len(arguments)} positional arguments")
        for name in options:
            if name not in _OPTIONS:
                raise ValueError(f"unknown option {name!r}: there are {', '.join(_OPTIONS)}")
            if name in _TEXTS and not isinstance(options[name], str):
                raise ValueError(f"{name} must be text")
        self._fault = arguments[0]
        self._options = {name: options[name] for name in _PLAN_OPTIONS if name in options}
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


def operation_named(name: object) -> tuple[str, str]:
    """Return an operation's method and path template.

    Args:
        name: a key of ``OPERATIONS``, ``"reports.save"``, or method and path template as errors show them.

    Raises:
        ValueError: there is no such operation; the message lists those that there are.
    """
    if isinstance(name, str):
        row = _NAMED.get(name) or tuple(name.split(" ", 1))
        if row in _NAMED.values():
            return row[0], row[1]
    raise ValueError(
        f"unknown operation {name!r}: use one of {', '.join(_NAMED)}, or method and path template as in "
        "'GET /api/v2/kits/{kit_id}/'"
    )


def title_of(method: str, template: str | None) -> str:
    """Return what messages call an operation: never a path as sent, which holds ids."""
    if template is None:
        return f"{method} of a path that no operation has"
    names = [name for name, row in _NAMED.items() if row == (method, template)]
    return f"{method} {template} ({names[0]})"


def _check_times(times: object) -> None:
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
        raise ValueError("times must be a whole number from 0, or None for any number")
