"""Everything the SDK logs, line by line and field by field: an allow-list, so that nothing else can get in.

Lines go to the logger ``spotdx_async``. Beside the text each record has fields, as attributes that begin with
``spotdx_``: ``event`` (``retry``, ``pause``, ``gate``, ``feed``, ``report`` or ``exposure``), ``operation``,
``attempt``, ``error``, ``status``, ``reason``, ``wait_s`` and ``gate`` (``closed`` while a bulk run is paused, else
``open``), each where it applies.
"""

import logging
import unicodedata
from pathlib import Path
from typing import Any, Literal

from spotdx_async.errors import SpotError

_log = logging.getLogger("spotdx_async")
_LONGEST_QUOTE = 200
_EXPOSED: set[str] = set()
"""The servers of which it was said that they are reached by http."""
# Control characters, format characters (which reorder or hide text), lone surrogates, line and paragraph separators.
_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def log_retry(error: SpotError | None, *, operation: str, attempt: int, wait_s: float) -> None:
    """Log at INFO that an attempt failed and another follows."""
    if not _log.isEnabledFor(logging.INFO):
        return
    kind = type(error).__name__
    status, reason = getattr(error, "status", None), getattr(error, "reason", None)
    about = status or reason
    _log.info(
        "%s: attempt %d ended in %s; the next one in %.2f s",
        operation,
        attempt,
        f"{kind} ({about})" if about else kind,
        wait_s,
        extra=_fields(
            "retry", operation=operation, attempt=attempt, error=kind, status=status, reason=reason, wait_s=wait_s
        ),
    )


def log_pause(seconds: float, *, asked_s: float | None = None) -> None:
    """Log at WARNING that the server asked for a pause, and whether it asked for more than is granted."""
    if asked_s is None or asked_s <= seconds:
        text = "the server asked for a pause of %.1f s: no request goes out until then"
        _log.warning(text, seconds, extra=_fields("pause", wait_s=seconds))
    else:
        text = (
            "the server asked for a pause of %.1f s, which is more than max_pause_s: no request goes out for %.1f s; "
            "client.resume() ends it sooner"
        )
        _log.warning(text, asked_s, seconds, extra=_fields("pause", wait_s=seconds))


def log_exposure(host: str) -> None:
    """Log at WARNING, once in a process for each server, that what is sent to it can be read on the way."""
    if host not in _EXPOSED:
        _EXPOSED.add(host)
        text = "http to %s, which allow_http_hosts names: token and patient data can be read on the way"
        _log.warning(text, host, extra=_fields("exposure"))


def log_breaker(
    state: Literal["closed", "open"], *, after_s: float = 0.0, trouble: str = "", is_back: bool = True
) -> None:
    """Log at WARNING that a bulk run pauses its rows, or sends them again.

    Args:
        state: ``closed`` when the circuit breaker pauses the rows, ``open`` when it lets them go again.
        after_s: how long the rows were paused.
        trouble: the host and the last failure, such as ``spot.example: connection refused``.
        is_back: False if the pause ends only because all remaining rows have failed before.
    """
    if state == "closed":
        text = "the server is unavailable%s: rows paused, probing one at a time"
        _log.warning(text, f" ({trouble})" if trouble else "", extra=_fields("gate", gate=state))
    else:
        text = "the server is back after %.1f s: rows resume, at a rising rate"
        if not is_back:
            text = (
                "after %.1f s only rows that have failed are left: they get their remaining attempts, then the run ends"
            )
        _log.warning(text, after_s, extra=_fields("gate", gate=state, wait_s=after_s))


def log_feed_outage(error: SpotError, *, noun: str, wait_s: float) -> None:
    """Log at WARNING that a pass of a feed of changes failed, and another follows."""
    kind, status, reason = type(error).__name__, getattr(error, "status", None), getattr(error, "reason", None)
    _log.warning(
        "following changes of %s: %s; nothing is lost, the next pass begins in %.0f s",
        noun,
        f"{kind} ({about})" if (about := status or reason) else kind,
        wait_s,
        extra=_fields("feed", operation=error.operation, error=kind, status=status, reason=reason, wait_s=wait_s),
    )


def log_unread(error: SpotError, *, noun: str) -> None:
    """Log at INFO that a feed of changes could not get an object."""
    text = "one of the %s that changed cannot be read: %s"
    kind, status = type(error).__name__, getattr(error, "status", None)
    _log.info(text, noun, error, extra=_fields("feed", operation=error.operation, error=kind, status=status))


def log_unsaved(error: SpotError, *, place: Path) -> None:
    """Log at INFO that a pull could not save the file of a report; its name, which holds ids, is not shown."""
    said = str(error).replace(str(place.absolute()), "its place")
    kind, status = type(error).__name__, getattr(error, "status", None)
    _log.info(
        "the file of a report cannot be saved: %s",
        said,
        extra=_fields("report", operation=error.operation, error=kind, status=status),
    )


def quoted(text: str) -> str:
    r"""Make the server's text safe for one line: control characters as ``\x1b``, 200 characters at most.

    Line breaks in it cannot forge a log line, and escape sequences cannot control a terminal.
    """
    cut = text if len(text) <= _LONGEST_QUOTE else f"{text[: _LONGEST_QUOTE - 1]}…"
    if cut.isascii() and cut.isprintable():
        return cut
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in _STEERING else char for char in cut
    )


def _fields(event: str, **fields: Any) -> dict[str, Any]:
    return {"spotdx_event": event, **{f"spotdx_{name}": value for name, value in fields.items() if value is not None}}
