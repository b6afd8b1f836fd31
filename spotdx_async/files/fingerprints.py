"""The mark of a whole input: other bytes, another order or another reading give another mark."""

import hashlib
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.rows import Format

__all__ = ["fingerprint"]


def fingerprint(
    paths: Sequence[str | os.PathLike[str]],
    *,
    row_format: Format | None = None,
    columns: Mapping[str, str] | None = None,
    extra: str = "",
) -> str | None:
    """Give the mark of files and of how they are read; the files are read through once, with flat memory.

    Args:
        paths: the files in their order.
        row_format: how the rows are written, where that is given.
        columns: how columns are renamed.
        extra: whatever else decides which rows there are.

    Returns:
        None where an input can be read only once, such as standard input.

    Raises:
        InvalidInputError: a file cannot be read.
    """
    mark = hashlib.blake2b(digest_size=16)
    mark.update(repr((len(paths), row_format, sorted((columns or {}).items()), extra)).encode())
    for path in paths:
        if os.fspath(path) == "-" or not _is_file(Path(path)):
            return None
        try:
            with Path(path).open("rb") as file:
                mark.update(hashlib.file_digest(file, "blake2b").digest())
        except OSError as error:
            reason = error.strerror
        else:
            continue
        raise InvalidInputError(f"{path}: {reason}")
    return mark.hexdigest()


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return False
