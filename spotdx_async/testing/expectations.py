"""Which requests a test expects, and how what came differs from that. Pure; shows no id and no body."""

from collections import Counter
from collections.abc import Iterable

from spotdx_async.testing.operations import operation_named, title_of
from spotdx_async.testing.records import ReceivedRequest

__all__ = ["ExpectedRequests"]


class ExpectedRequests:
    """The requests that a test expects, in any order; every other one fails it. The fixture ``spot_expect``.

    Each request that arrives counts, so that a call which is repeated after a fault counts as often as it was sent.
    """

    def __init__(self) -> None:
        self._times: dict[tuple[str, str], int | None] = {}

    def __call__(self, operation: str, *, times: int | None = 1) -> None:
        """Expect requests of an operation.

        Args:
            operation: the client's words for it such as ``"kits.get"``, or method and path template as in errors.
            times: how many; those of the same operation add up. None: any number, none too.

        Raises:
            ValueError: there is no such operation, or ``times`` is out of range; the message says what there is.
        """
        row = operation_named(operation)
        _check_times(times)
        before = self._times.get(row, 0)
        self._times[row] = None if times is None or before is None else before + times

    def differences(self, requests: Iterable[ReceivedRequest]) -> list[str]:
        """Give a line for each operation that came more or less often than expected; empty where all is as expected."""
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


def _check_times(times: object) -> None:
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 0):
        raise ValueError("times must be a whole number from 0, or None for any number")
