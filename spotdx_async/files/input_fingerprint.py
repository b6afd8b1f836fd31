"""A hash of input files, by which a journal knows them again."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.late_input import AnyInput
from spotdx_async.files.rows import ChangedInputError, Format
from spotdx_async.files.stored_file import DIGEST_NAME

__all__ = ["fingerprint"]


def fingerprint(
    paths: Sequence[str | os.PathLike[str]],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    extra: str = "",
    inputs: Sequence[AnyInput] = (),
) -> str | None:
    """Return a hash of files and of how they are read: other bytes, another order or another reading change it.

    The files are read through once, in flat memory.

    Args:
        paths: the files in their order.
        row_format: the format of the rows, if it is given.
        columns: how columns are renamed.
        extra: whatever else decides which rows there are.
        inputs: the same files, opened: their rows are surely those of the bytes that are hashed, or reading them ends
            with a ChangedInputError.

    Returns:
        None if an input can be read only once, such as standard input.

    Raises:
        InvalidInputError: a file cannot be read.
        ChangedInputError: one of ``inputs`` is no longer the file that was opened.
    """
    mark = hashlib.blake2b(digest_size=16)
    mark.update(repr((len(paths), row_format, sorted((columns or {}).items()), extra)).encode())
    for path, opened in zip_longest(paths, inputs):
        if os.fspath(path) == "-" or not os.path.isfile(path):  # noqa: PTH113 - Path.is_file may raise
            return None
        try:
            found = _digest_of(Path(path)) if opened is None else opened.digest()
        except ChangedInputError as error:
            raise ChangedInputError(f"{path}: {error}") from None
        except OSError as error:
            reason = error.strerror
        else:
            if found is None:
                return None
            mark.update(found)
            continue
        raise InvalidInputError(f"{path}: {reason}")
    return mark.hexdigest()


def _digest_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, DIGEST_NAME).digest()
