"""One limit for many processes and machines, kept in a server that speaks the Redis protocol; an optional extra."""

try:
    from spotdx_async.limits.shared_limiter import SharedLimiter
except ModuleNotFoundError as _error:
    if _error.name != "redis":
        raise
    raise ModuleNotFoundError(
        "a shared limit needs the package redis: pip install 'spotdx-async[redis]'", name="redis"
    ) from None

__all__ = ["SharedLimiter"]
