"""A rate shared without Redis: one ledger of slots for a run, given out in blocks. Pure: it knows no loop.

A block is of slots in time and not a share of the rate. So nothing has to be moved when workers come or go:
each slot is given once, the sum is the limit's at every moment, and what a lost worker held runs out by itself, within
the horizon. Slots lie evenly: the limit's burst is kept for what is used a little late.
"""

from attrs import frozen

from spotdx_async.config import RateLimit

__all__ = ["HORIZON_S", "SlotBlock", "SlotLedger"]

HORIZON_S = 0.5
"""How far ahead slots are given out: as long as a pause takes to reach every worker."""
_MOST_SLOTS = 256


@frozen(kw_only=True)
class SlotBlock:
    """A block of slots."""

    slots_s: tuple[float, ...]
    """When each may be used, in seconds from the answer, rising; may be empty."""
    again_s: float
    """When to ask again, where fewer came than were wanted."""


class SlotLedger:
    """A GCRA: at most ``rate * W + 1`` of its slots lie in any window of W seconds, whoever has them."""

    def __init__(self, limit: RateLimit) -> None:
        self._interval_s = limit.interval_s
        self._due_s = float("-inf")
        self._paused_until_s = float("-inf")

    def take(self, now_s: float, wanted: int) -> SlotBlock:
        """Give up to so many slots, none of them beyond the horizon.

        Args:
            now_s: the time, on any clock that does not jump.
            wanted: 1 or more.
        """
        slots: list[float] = []
        opens_s = self._opens_s(now_s)
        while len(slots) < min(wanted, _MOST_SLOTS) and opens_s <= now_s + HORIZON_S:
            slots.append(opens_s - now_s)
            self._due_s = opens_s + self._interval_s
            opens_s = self._opens_s(now_s)
        return SlotBlock(slots_s=tuple(slots), again_s=max(0.0, opens_s - now_s - HORIZON_S))

    def pause(self, now_s: float, seconds: float) -> None:
        """Give out no slot that lies within so many seconds from now; those given out before run out at the horizon."""
        self._paused_until_s = max(self._paused_until_s, now_s + seconds)

    def _opens_s(self, now_s: float) -> float:
        return max(now_s, self._due_s, self._paused_until_s)
