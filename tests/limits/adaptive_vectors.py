"""One table for the adaptive law of the local limiter and of the server's script: which rate comes of what happens."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Step:
    """Something that happens, and the rate after it."""

    act: Literal["held", "idle", "429", "pause"]
    """``held``: somebody waits, and is looked at ten times a second; ``429``: to a request sent 10 ms ago."""
    seconds: float
    rate: float


@dataclass(frozen=True)
class Vector:
    """A learned rate, and what comes of it."""

    name: str
    start: float
    steps: tuple[Step, ...]
    floor: float = 0.5
    ceiling: float = 1e9


# The rates were taken from LearnedPace, whose rules tests/unit/http/test_rate_control.py holds one by one.
VECTORS = (
    Vector(
        "before the first 429 it doubles in a second and a half",
        10,
        (
            Step("held", 2, 20.945882),
            Step("held", 3, 83.78353),
        ),
    ),
    Vector(
        "it waits for half a second of demand",
        10,
        (
            Step("held", 0.4, 10),
            Step("held", 0.2, 10.96825),
        ),
    ),
    Vector(
        "a 429 cuts by a tenth, and one of the same round trip does not",
        50,
        (
            Step("429", 0, 45),
            Step("429", 0, 45),
        ),
    ),
    Vector(
        "below the rate of the last 429 it grows by 2 % a second",
        100,
        (
            Step("429", 0, 90),
            Step("held", 1, 91.086506),
            Step("held", 4, 98.672834),
        ),
    ),
    Vector(
        "a slow one grows by a tenth in 160 calls",
        5,
        (
            Step("429", 0, 4.5),
            Step("held", 1, 4.5076055),
            Step("held", 10, 4.6382583),
        ),
    ),
    Vector(
        "near that rate it grows slowly after a pause, and holds for as long again",
        100,
        (
            Step("429", 0, 90),
            Step("pause", 1.05, 90),
            Step("held", 1, 90),
            Step("held", 6, 96.968007),
            Step("held", 10, 100.60226),
        ),
    ),
    Vector(
        "beyond it, the faster the farther",
        100,
        (
            Step("429", 0, 90),
            Step("held", 9, 107.09472),
            Step("held", 5, 139.21168),
            Step("held", 5, 392.00977),
        ),
    ),
    Vector(
        "a 429 there takes back two seconds of growth",
        100,
        (
            Step("429", 0, 90),
            Step("held", 20, 503.35051),
            Step("429", 0, 274.76776),
            Step("held", 2, 285.98125),
        ),
    ),
    Vector(
        "short times between two pauses halve it, and it comes back twice as fast",
        500,
        (
            Step("429", 0, 450),
            Step("pause", 1.05, 450),
            Step("held", 0.3, 450),
            Step("429", 0, 405),
            Step("pause", 1.05, 405),
            Step("held", 0.3, 405),
            Step("429", 0, 202.5),
            Step("pause", 1.05, 202.5),
            Step("held", 0.3, 202.5),
            Step("429", 0, 101.25),
            Step("pause", 1.05, 101.25),
            Step("held", 5, 109.68282),
        ),
    ),
    Vector(
        "demand is forgotten while nobody waits",
        50,
        (
            Step("429", 0, 45),
            Step("held", 2, 46.463288),
            Step("idle", 10, 46.463288),
            Step("held", 0.4, 46.463288),
            Step("held", 0.3, 46.742905),
        ),
    ),
    Vector(
        "it stays at its floor",
        1,
        (
            Step("429", 0, 0.9),
            Step("idle", 1, 0.9),
            Step("429", 0, 0.9),
        ),
        floor=0.9,
    ),
    Vector(
        "it stays at its ceiling",
        10,
        (
            Step("held", 8, 12),
            Step("429", 0, 10.8),
            Step("held", 8, 11.416265),
        ),
        ceiling=12.0,
    ),
)
