"""One table for the GCRA of the local limiter, of the server's script and of the ledger of distributed runs.

Times are in seconds from the beginning of a vector, when nothing has been taken yet.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """Something that happens at a time; the slots that are asked for are had at those times, before the next step."""

    at_s: float
    act: Literal["ask", "pause", "resume", "give back"]
    number: float = 1
    """How many slots, or how many seconds of a pause."""
    slots_s: tuple[float, ...] = ()


@dataclass(frozen=True)
class Vector:
    """A limit, and what comes of it."""

    name: str
    rate: float
    burst: float
    steps: tuple[Step, ...]


VECTORS = (
    Vector("slots follow one another", 10, 1, (Step(0, "ask", 4, (0, 0.1, 0.2, 0.3)),)),
    Vector(
        "what is owed is owed to the next who asks",
        10,
        1,
        (Step(0, "ask", 2, (0, 0.1)), Step(0.15, "ask", 2, (0.2, 0.3)), Step(0.35, "ask", 1, (0.4,))),
    ),
    Vector(
        "a quiet time saves up nothing without a burst",
        10,
        1,
        (Step(0, "ask", 1, (0,)), Step(7, "ask", 3, (7, 7.1, 7.2))),
    ),
    Vector("beyond the horizon", 2, 1, (Step(0, "ask", 4, (0, 0.5, 1, 1.5)), Step(1.75, "ask", 1, (2,)))),
    Vector("a slow rate", 0.25, 1, (Step(0, "ask", 3, (0, 4, 8)), Step(9, "ask", 1, (12,)))),
    Vector("many a second", 1000, 1, (Step(0, "ask", 5, (0, 0.001, 0.002, 0.003, 0.004)),)),
    Vector("a pause holds", 10, 1, (Step(0, "ask", 1, (0,)), Step(0.05, "pause", 2), Step(1, "ask", 2, (2.05, 2.15)))),
    Vector(
        "a shorter pause changes nothing",
        10,
        1,
        (Step(0, "pause", 2), Step(1, "pause", 0.5), Step(1.2, "ask", 1, (2,))),
    ),
    Vector("a longer pause counts", 10, 1, (Step(0, "pause", 1), Step(0.5, "pause", 3), Step(0.6, "ask", 1, (3.5,)))),
    Vector(
        "what was owed before a pause is paid in it",
        2,
        1,
        (Step(0, "ask", 2, (0, 0.5)), Step(0.6, "pause", 0.1), Step(0.65, "ask", 2, (1, 1.5))),
    ),
    Vector(
        "a pause that is lifted",
        10,
        1,
        (Step(0, "pause", 60), Step(1, "resume"), Step(1, "ask", 2, (1, 1.1))),
    ),
    Vector(
        "a slot given back is had again",
        10,
        1,
        (Step(0, "ask", 1, (0,)), Step(0.02, "give back"), Step(0.04, "ask", 2, (0.04, 0.14))),
    ),
    Vector("a burst goes at once", 10, 3, (Step(0, "ask", 5, (0, 0, 0, 0.1, 0.2)),)),
    Vector(
        "a burst comes back by and by",
        10,
        3,
        (Step(0, "ask", 3, (0, 0, 0)), Step(0.15, "ask", 2, (0.15, 0.2)), Step(5, "ask", 4, (5, 5, 5, 5.1))),
    ),
    Vector("half a slot more", 10, 1.5, (Step(0, "ask", 3, (0, 0.05, 0.15)),)),
    Vector(
        "a pause saves up the burst",
        10,
        3,
        (Step(0, "ask", 3, (0, 0, 0)), Step(0.1, "pause", 5), Step(0.2, "ask", 4, (5.1, 5.1, 5.1, 5.2))),
    ),
)
