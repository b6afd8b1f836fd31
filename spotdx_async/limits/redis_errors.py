"""Why the server cannot be asked, in words that hold no address and no credentials; and the log lines about it."""

import logging
import socket
import ssl
from typing import Any

from attrs import frozen
from redis import exceptions as redis_errors

__all__ = ["RedisFailure", "tell_recovery", "tell_trouble", "trouble_of"]

_log = logging.getLogger("spotdx_async")

_UNTRUSTED = {
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}
"""By OpenSSL's verify codes. Its texts are not shown, since some hold the name of the server."""


@frozen
class RedisFailure:
    """What stands in the way."""

    text: str
    """Such as ``connection refused``."""
    is_lasting: bool = False
    """Whether somebody has to set something right: waiting does not help."""


_NO_ANSWER = RedisFailure("no answer in time")
_LOST = RedisFailure("the connection was lost")
_NOT_REDIS = RedisFailure("it does not speak the Redis protocol", is_lasting=True)

_CREDENTIALS = RedisFailure("it does not accept the credentials", is_lasting=True)
_BY_WORD = {
    "unauthenticated": _CREDENTIALS,  # of a call with many arguments, before it is looked at
    "READONLY": RedisFailure("it is a read-only replica"),
    "OOM": RedisFailure("it is out of memory"),
    "MISCONF": RedisFailure("it cannot write to its disk"),
    "BUSY": RedisFailure("it is busy with another script"),
    "NOREPLICAS": RedisFailure("it has too few replicas"),
}
"""In the protocol's errors that redis has no class for. Before version 7, a script's error holds another's code."""

# The first that fits counts.
_BY_TYPE: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], RedisFailure], ...] = (
    (
        (redis_errors.AuthenticationError, redis_errors.AuthenticationWrongNumberOfArgsError),
        _CREDENTIALS,
    ),
    (
        (redis_errors.NoPermissionError, redis_errors.AuthorizationError),
        RedisFailure("this user has no permission for scripts or for the key", is_lasting=True),
    ),
    (redis_errors.ReadOnlyError, RedisFailure("it is a read-only replica")),
    (redis_errors.BusyLoadingError, RedisFailure("it is loading its data")),
    (redis_errors.OutOfMemoryError, RedisFailure("it is out of memory")),
    # Before its parent: it is a redirection too, and passes.
    (redis_errors.MovedError, RedisFailure("it is a cluster node that does not hold the key", is_lasting=True)),
    (redis_errors.AskError, RedisFailure("its cluster is being rearranged")),
    ((redis_errors.ClusterError, redis_errors.TryAgainError), RedisFailure("its cluster is down")),
    (redis_errors.InvalidResponse, _NOT_REDIS),
    ((redis_errors.TimeoutError, TimeoutError), _NO_ANSWER),
    (redis_errors.ResponseError, RedisFailure("it refuses the script's command", is_lasting=True)),
    (socket.gaierror, RedisFailure("its name cannot be resolved")),
    (ConnectionRefusedError, RedisFailure("connection refused")),
    ((ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError), _LOST),
    (ssl.SSLError, RedisFailure("the TLS handshake failed", is_lasting=True)),
    (ConnectionError, _LOST),
    (OSError, RedisFailure("cannot connect")),
    (redis_errors.ConnectionError, _LOST),
)


def trouble_of(error: Exception) -> RedisFailure:
    """Say what an error of redis, or of the system below it, means."""
    if type(error) is redis_errors.ConnectionError:
        below = error.__cause__ or error.__context__  # redis puts the system's errors into a text of its own
        if isinstance(below, (OSError, redis_errors.RedisError)):
            error = below
    if isinstance(error, redis_errors.ResponseError):
        words = str(error).replace("-", " ").split()
        if found := next((trouble for word, trouble in _BY_WORD.items() if word in words), None):
            return found
    if isinstance(error, ssl.SSLCertVerificationError):
        return RedisFailure(_UNTRUSTED.get(error.verify_code, "its certificate is not trusted"), is_lasting=True)
    # What is left is an answer that is not the script's.
    return next((trouble for kind, trouble in _BY_TYPE if isinstance(error, kind)), _NOT_REDIS)


def tell_trouble(trouble: RedisFailure, *, outcome: str) -> None:
    """Log that the server cannot be asked, at WARNING.

    Args:
        trouble: why.
        outcome: what happens to calls meanwhile.
    """
    _log.warning(
        "the shared limit's server cannot be asked (%s): %s",
        trouble.text,
        outcome,
        extra=_fields(spotdx_reason=trouble.text),
    )


def tell_recovery(after_s: float) -> None:
    """Log that the server can be asked again, at WARNING, as its going is."""
    text = "the shared limit's server can be asked again after %.1f s"
    _log.warning(text, after_s, extra=_fields(spotdx_wait_s=after_s))


def _fields(**fields: Any) -> dict[str, Any]:
    return {"spotdx_event": "limit", **fields}
