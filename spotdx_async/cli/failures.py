"""Errors, shown: what failed, what to do next, and the server's own reasons, which may name patients.

Under ``--json`` each is one object on one line of standard error, in the same form for every command.
"""

from typing import Any

from spotdx_async.cli.exit_codes import Exit, exit_of, line_of, message_of, next_step, reasons_of
from spotdx_async.cli.output import HIDDEN, Streams
from spotdx_async.errors import OutcomeUnknownError, SpotError, StatusError

__all__ = ["show_error", "show_failure"]


def show_error(
    error: SpotError,
    streams: Streams,
    *,
    about: str | None = None,
    exit_code: Exit | None = None,
    hint: str | None = None,
) -> None:
    """Write an error on standard error: one line, and one more for each of the server's reasons that may be shown.

    Args:
        error: the error.
        streams: where to write.
        about: the id of what it is about, of several.
        exit_code: what the command ends with; None: what such an error usually means.
        hint: what to do next, for programs; None: what is usually to be done. A line for people says it elsewhere.
    """
    if streams.as_json or streams.tells_events:
        _write(streams, _as_object(error, streams, about, exit_code, hint))
        return
    begin = "" if about is None else f"{about}: "
    reasons = reasons_of(error, show_phi=streams.shows_phi)
    if streams.shows_phi:
        for line in (line_of(error), *reasons):
            streams.say(f"{begin}{line}")
    else:
        streams.say(begin + "; ".join([line_of(error), *reasons]))


def show_failure(streams: Streams, kind: str, message: str, *, hint: str | None, exit_code: Exit) -> None:
    """Write, under ``--json`` alone, what ended a command and is no error of the SDK."""
    if streams.as_json:
        _write(streams, _object(kind, message, hint, exit_code))


def _write(streams: Streams, error: dict[str, Any]) -> None:
    if streams.tells_events:
        streams.tell_event("error", error=error)
    else:
        streams.err.write_raw_json({"error": error})


def _object(kind: str, message: str, hint: str | None, exit_code: Exit) -> dict[str, Any]:
    return {
        "kind": kind,
        "message": message,
        "hint": hint,
        "status": None,
        "request_id": None,
        "details": [],
        "id": None,
        "exit_code": int(exit_code),
    }


def _as_object(
    error: SpotError, streams: Streams, about: str | None, exit_code: Exit | None, hint: str | None
) -> dict[str, Any]:
    code = exit_of(error) if exit_code is None else exit_code
    shown = _object(type(error).__name__, message_of(error), hint or next_step(error), code)
    shown["id"] = about
    if isinstance(error, (StatusError, OutcomeUnknownError)):
        shown["status"], shown["request_id"] = error.status, error.request_id
    if isinstance(error, StatusError) and error.details:
        shown["details"] = [*error.details] if streams.shows_phi else HIDDEN
    return shown
