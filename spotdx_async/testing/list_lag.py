"""What a list shows while it lags behind its items. Pure; the caller tells the time."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ListedRow:
    """One item as a list shows it, at one instant of its life."""

    sort_key: str
    row: dict[str, Any] = field(repr=False)
    person: Mapping[str, Any] = field(repr=False)
    """The person it is about; empty where that is missing or null."""

    def summary(self) -> dict[str, Any]:
        """Return the row."""
        return self.row


class LaggingList:
    """The rows of a list that shows what was added, changed or removed only ``lag_s`` seconds later.

    Args:
        rows: the rows that it shows from the start, by id.
        lag_s: may be changed; it then holds for what is still to be shown too.
    """

    def __init__(self, rows: Iterable[tuple[str, ListedRow]], lag_s: float) -> None:
        self.lag_s = lag_s
        self._shown = dict(rows)
        self._to_come: deque[tuple[float, str, ListedRow | None]] = deque()
        self._sorted: list[ListedRow] | None = None

    def changed(self, an_id: str, row: ListedRow | None, *, at_s: float) -> None:
        """Take in a change; None for an item that was removed."""
        self._to_come.append((at_s, an_id, row))

    def in_order(self, sort: Callable[[Iterable[ListedRow]], list[ListedRow]], *, now_s: float) -> list[ListedRow]:
        """Return the rows that the list shows at this instant, sorted; not to be changed."""
        # The sum, as a timer of the lag's length counts: a difference of floats comes out a hair below it.
        while self._to_come and self._to_come[0][0] + self.lag_s <= now_s:
            _, an_id, row = self._to_come.popleft()
            if row is None:
                self._shown.pop(an_id, None)
            else:
                self._shown[an_id] = row
            self._sorted = None
        if self._sorted is None:
            self._sorted = sort(self._shown.values())
        return self._sorted
