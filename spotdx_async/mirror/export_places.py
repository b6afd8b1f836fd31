"""Where the files of an export are put: what must not be replaced, and how a place that takes no file is told."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError
from spotdx_async.mirror.store import MirrorFile

__all__ = ["check_targets", "writing"]


def check_targets(file: MirrorFile, folder: Path, paths: Iterable[Path]) -> None:
    """Make the folder of an export, and check that none of its files would replace the mirror itself.

    Raises:
        InvalidInputError: one would, or the folder cannot be made.
    """
    if "\0" in str(folder):
        raise InvalidInputError("the folder of an export must not have NUL in its path")
    mine = _places_of(file.path)
    for path in paths:
        if path.resolve() in mine:
            raise InvalidInputError(f"{path} is the mirror itself: name another folder")
    with writing(folder):
        private_files.make_folder(folder)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise what the system says about a place as an InvalidInputError that names it."""
    try:
        yield
    except OSError as error:
        fault = error.strerror
        if not isinstance(error, private_files.UnfitFileError):
            fault = f"cannot be written: {fault}"
        trouble = InvalidInputError(f"{path} {fault}")
        try:
            raise trouble
        finally:
            trouble.__context__ = None  # its frames hold rows


def _places_of(path: Path) -> set[Path]:
    place = path.resolve()
    return {Path(f"{place}{suffix}") for suffix in ("", "-wal", "-shm", "-lock", "-journal")}
