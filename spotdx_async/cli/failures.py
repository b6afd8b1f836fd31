"""Errors, shown: what failed, what to do next, and the server's own reasons, which may name patients."""

from spotdx_async.cli.exit_codes import line_of, reasons_of
from spotdx_async.cli.output import Streams
from spotdx_async.errors import SpotError

__all__ = ["show_error"]


def show_error(error: SpotError, streams: Streams) -> None:
    """Write an error on standard error: one line, and one more for each of the server's reasons that may be shown."""
    reasons = reasons_of(error, show_phi=streams.shows_phi)
    if streams.shows_phi:
        for line in (line_of(error), *reasons):
            streams.say(line)
    else:
        streams.say("; ".join([line_of(error), *reasons]))
