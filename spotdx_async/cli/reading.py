"""The options that say how text is read as rows."""

import re

from spotdx_async.cli.create_options import CreateOptions
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import USUAL_READING, Reading, check_delimiter, check_encoding

__all__ = ["bytes_of", "facts_of_reading", "reading_of"]

_SIZE = re.compile(r"(\d{1,12})\s*(|b|kib|mib|gib)", re.IGNORECASE)
_BYTES = {"": 1, "b": 1, "kib": 1024, "mib": 1024**2, "gib": 1024**3}
_MOST_BYTES = 1024**3


def bytes_of(size: str) -> int:
    """Read ``--max-cell``.

    Raises:
        InvalidInputError: it is not a size, or out of range.
    """
    found = _SIZE.fullmatch(size.strip())
    count = 0 if found is None else int(found[1]) * _BYTES[found[2].lower()]
    if 1 <= count <= _MOST_BYTES:
        return count
    raise InvalidInputError("--max-cell takes a size up to 1GiB, such as 64MiB or 200000 (bytes)")


def reading_of(options: UpdateOptions | CreateOptions) -> Reading:
    """Return how text is read.

    Raises:
        InvalidInputError: an option has a value that it cannot have.
    """
    return Reading(
        delimiter=None if options.delimiter is None else check_delimiter(options.delimiter),
        encoding=None if options.encoding is None else check_encoding(options.encoding),
        allows_empty=options.allows_empty,
        max_cell_bytes=bytes_of(options.max_cell),
        is_one_line=options.has_one_line_rows,
        sheet=options.sheet,
    )


def facts_of_reading(options: UpdateOptions | CreateOptions) -> str:
    """Return what another reading of the same input would change, for its fingerprint; empty if all is as usual."""
    reading = reading_of(options)
    return "" if reading == USUAL_READING else f", {reading}"
