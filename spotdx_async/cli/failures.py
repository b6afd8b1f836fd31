"""Errors, shown: what failed, what to do next, and the server's own reasons, which may name patients."""

from spotdx_async.cli.exit_codes import line_of, reasons_of
from spotdx_async.cli.output import Streams
from spotdx_async.errors import SpotError

__all__ = ["show_error"]


def show_error(error: SpotError, streams: Streams, *, about: str | None = None) -> None:
    """Write an error on standard error: one line, and one more for each of the server's reasons that may be shown.

    Args:
        error: the error.
        streams: where to write.
        about: the id of what it is about, of several.
    """
    begin = "" if about is None else f"{about}: "
    reasons = reasons_of(error, show_phi=streams.shows_phi)
    if streams.shows_phi:
        for line in (line_of(error), *reasons):
            streams.say(f"{begin}{line}")
    else:
        streams.say(begin + "; ".join([line_of(error), *reasons]))
