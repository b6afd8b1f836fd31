"""The fake's rate limit, a token bucket. Pure; the caller tells the time."""

import math


class Bucket:
    """The rate limit, a token bucket: ``burst`` requests at once, and ``rate_per_s`` a second after that."""

    def __init__(self, rate_per_s: float, burst: int | None = None) -> None:
        """Start full; ``burst`` defaults to one second's worth, at least 1."""
        if not (math.isfinite(rate_per_s) and rate_per_s > 0):
            raise ValueError("rate_limit must be a number of requests per second above 0")
        if burst is not None and burst < 1:
            raise ValueError("burst must be 1 or more")
        self.rate_per_s = rate_per_s
        self.burst: int = max(1, math.floor(rate_per_s)) if burst is None else burst
        self._level = float(self.burst)
        self._at_s: float | None = None

    def take(self, now_s: float) -> int:
        """Take a token and return 0, or return the seconds until there is one, rounded up to whole seconds."""
        if self._at_s is not None:
            self._level = min(self.burst, self._level + (now_s - self._at_s) * self.rate_per_s)
        self._at_s = now_s
        # Sums of floats that stand for whole tokens come out a hair below them.
        if self._level >= 1 - 1e-9:
            self._level -= 1
            return 0
        return max(1, math.ceil((1 - self._level) / self.rate_per_s - 1e-9))
