"""The server's script on a real server, with a clock that the test sets."""

from typing import Any

from spotdx_async.limits.block_limiter import HORIZON_S
from spotdx_async.limits.redis_source import script

CLOCK = "local clock = redis.call('TIME')"
RATE, OPENS, MARK, PAUSED, SLOTS = 0, 1, 2, 3, 5


class TimedScript:
    """Runs the script; times are in seconds."""

    def __init__(self, server: Any, settings: list[float]) -> None:
        assert CLOCK in script()
        self._script = server.register_script(script().replace(CLOCK, "local clock = { ARGV[13], ARGV[14] }"))
        self._settings = settings
        self.now = 1_700_000_000.0
        server.flushall()
        self.run("join")
        self.now += HORIZON_S  # what it may have given before it forgot

    def run(
        self, act: str, number: float = 0, *, me: str = "me", ahead_s: float = 0.0, mark: bytes = b"", waiting: int = 0
    ) -> Any:
        us = round(self.now * 1e6)
        arguments = [act, me, number, mark, ahead_s * 1e6, *self._settings, waiting]
        return self._script(keys=["k", "{k}:shares"], args=[*arguments, us // 1_000_000, us % 1_000_000])

    def take(self, number: int = 1, *, me: str = "me", ahead_s: float = 0.0) -> list[float]:
        return [float(slot) / 1e6 for slot in self.run("take", number, me=me, ahead_s=ahead_s)[SLOTS]]

    def paused_s(self) -> float:
        return float(self.run("look")[PAUSED]) / 1e6


def fixed(rate: float, burst: float = 1.0) -> list[float]:
    """Return the settings of a fixed rate."""
    return [rate, burst, HORIZON_S * 1e6, 0, rate, rate]


def learned(start: float, floor: float, ceiling: float) -> list[float]:
    """Return those of a learned one."""
    return [start, 1.0, HORIZON_S * 1e6, 1, floor, ceiling]
