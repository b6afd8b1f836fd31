"""Figures in words: counts, rates and durations as a person reads them."""

__all__ = ["counted", "duration", "latency", "rate"]

_LONG_S = 120
_HOUR_S = 3600


def counted(count: int, thing: str) -> str:
    """Say ``1 row``, ``2,000 rows``."""
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def rate(count: int, seconds: float) -> str:
    """Say a rate a second, to three digits."""
    per_s = count / seconds if seconds > 0 else 0.0
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.3g}"  # noqa: PLR2004 - three digits


def duration(seconds: float) -> str:
    """Say how long something took: ``0.25 s``, ``45 s``, ``12 min 3 s``, ``3 h 0 min``."""
    if seconds < _LONG_S:
        return f"{seconds:.3g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    return f"{minutes} min {rest_s} s" if seconds < _HOUR_S else f"{minutes // 60} h {minutes % 60} min"


def latency(seconds: float | None) -> str:
    """Say how long a request took, to three digits; ``n/a`` where it is not known."""
    if seconds is None:
        return "n/a"
    return duration(seconds) if seconds >= 1 else f"{seconds * 1000:.3g} ms"
