"""One file that holds one JSON object; knows nothing of what the object should be."""

import os
from typing import BinaryIO

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.json_rows import decode_text, parse_object
from spotdx_async.files.rows import RowFault

__all__ = ["MAX_OBJECT_BYTES", "name_of", "read_object"]

MAX_OBJECT_BYTES = 10 * 1024 * 1024
"""The largest file that is read."""
_BOM = b"\xef\xbb\xbf"


def name_of(path: str | os.PathLike[str]) -> str:
    """Give the file's name for messages; ``-`` is standard input."""
    return "standard input" if os.fspath(path) == "-" else os.fspath(path)


def read_object(path: str | os.PathLike[str]) -> bytes:
    """Read a file, or standard input for ``-``, and make sure that it holds one JSON object.

    Stricter than JSON: no key stands twice in an object, since the value that would be dropped may be the one meant.

    Returns:
        The text as it came, without a byte order mark.

    Raises:
        InvalidInputError: it cannot be read, is too large, is no UTF-8, or holds anything else; no value is shown.
    """
    try:
        with _open(path) as file:
            data = file.read(MAX_OBJECT_BYTES + 1).removeprefix(_BOM)
        _check(data)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except RowFault as fault:
        reason = str(fault)
    else:
        return data
    raise InvalidInputError(f"{name_of(path)}: {reason}")


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return open(0, "rb", closefd=False) if os.fspath(path) == "-" else open(path, "rb")  # noqa: PTH123 - 0 is no path


def _check(data: bytes) -> None:
    if len(data) > MAX_OBJECT_BYTES:
        raise RowFault(f"it is larger than {MAX_OBJECT_BYTES:,} bytes")
    if not data.strip():
        raise RowFault("the file is empty")
    parse_object(decode_text(data), "the file")
