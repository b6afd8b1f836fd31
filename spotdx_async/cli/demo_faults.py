"""The troubles of the demonstration: a seeded mixture that the SDK must overcome without losing a row."""

import random
from collections.abc import Sequence

from spotdx_async.testing import Fault, FaultPlan, faults
from spotdx_async.testing.routes import Call

__all__ = ["mishaps_for"]

_SHARES = (0.92, 0.06, 0.02)  # kits that meet no, one and two troubles: fewer than the attempts of a call
_SLOW_S = 0.2
_THROTTLES = 3
_THROTTLE_S = 1


def mishaps_for(kit_ids: Sequence[str], *, seed: int) -> FaultPlan:
    """Plan troubles for some of the kits: the same ones for the same seed, in whatever order requests arrive."""
    dice = random.Random(seed)
    kinds = _kinds()
    plan = _ByKit()
    for kit_id in kit_ids:
        (how_many,) = dice.choices(range(len(_SHARES)), _SHARES)
        if how_many:
            plan.troubles[kit_id] = dice.choices(kinds, k=how_many)
    # Few, and spread out: each makes the whole client wait.
    for part in range(1, _THROTTLES + 1):
        kit_id = kit_ids[len(kit_ids) * part // (_THROTTLES + 1)]
        plan.troubles[kit_id] = [faults.status(429, retry_after=_THROTTLE_S)]
    return plan


class _ByKit(FaultPlan):
    """A plan that finds a kit's troubles without searching: there may be very many."""

    def __init__(self) -> None:
        super().__init__()
        self.troubles: dict[str, list[Fault]] = {}

    def pick(self, call: Call) -> Fault | None:
        left = self.troubles.get(call.kit_id or "")
        if not left:
            return super().pick(call)
        fault = left.pop()
        self.played[fault.name] += 1
        return fault


def _kinds() -> list[Fault]:
    return [
        faults.status(500),
        faults.status(502, form="html"),
        faults.status(503, form="guide"),
        faults.status(504, form="empty"),
        faults.drop_before(),
        faults.drop_after(),
        faults.half_body(),
        faults.unreadable(),
        faults.broken_json(),
        faults.unknown_enum(),
        faults.slow(_SLOW_S),
        faults.slow_answer(_SLOW_S),
    ]
