"""One limit for many processes and machines, kept in a server that speaks the Redis protocol; an optional extra."""

from .limiter import SharedLimiter

__all__ = ["SharedLimiter"]
