"""A file of a single JSON object, whole."""

import os
from typing import BinaryIO

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.json_text import decode_text, name_of, parse_object
from spotdx_async.files.recognition import encoding_of
from spotdx_async.files.rows import RowFault

__all__ = ["MAX_OBJECT_BYTES", "read_object"]

MAX_OBJECT_BYTES = 10 * 1024 * 1024
"""The largest file that ``read_object`` reads."""


def read_object(path: str | os.PathLike[str]) -> bytes:
    """Read a file, or standard input for ``-``, and check that it holds one JSON object in which no key occurs twice.

    Returns:
        The text as it came, without a byte order mark; in UTF-8 if it was UTF-16 or UTF-32.

    Raises:
        InvalidInputError: it cannot be read, is larger than 10 MiB, is text in another encoding, or holds anything
            else. The message shows no value.
    """
    try:
        with _open(path) as file:
            data = _utf_8(file.read(MAX_OBJECT_BYTES + 1))
        _check_object(data)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    except RowFault as fault:
        reason = str(fault)
    else:
        return data
    raise InvalidInputError(f"{name_of(path)}: {reason}")


def _open(path: str | os.PathLike[str]) -> BinaryIO:
    return open(0, "rb", closefd=False) if os.fspath(path) == "-" else open(path, "rb")  # noqa: PTH123 - 0 is no path


def _check_object(text: bytes) -> None:
    if not text.strip():
        raise RowFault("the file is empty")
    parse_object(decode_text(text), "the file")


def _utf_8(data: bytes) -> bytes:
    if len(data) > MAX_OBJECT_BYTES:
        raise RowFault(f"it is larger than {MAX_OBJECT_BYTES:,} bytes")
    encoding, mark = encoding_of(data, None)
    try:
        return data.removeprefix(mark).decode(encoding).encode()
    except UnicodeDecodeError:
        pass
    raise RowFault(f"the text is not {encoding.upper()}: save it as UTF-8")
