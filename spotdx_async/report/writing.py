"""The report's file: checked before the run, written whole or not at all after it."""

import os
from collections.abc import Iterable
from pathlib import Path

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError
from spotdx_async.report.page import PAGE_START, render
from spotdx_async.report.run_stats import RunStory

__all__ = ["check_path", "write_report"]


def check_path(path: str | os.PathLike[str], *, others: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check, before a run, that its report can be written there; nothing is made or changed.

    A file that is there already must be empty or an earlier report, which the new one will replace.

    Args:
        path: where the report is to be.
        others: files of the run that it must not be, such as its inputs; they need not exist yet.

    Raises:
        InvalidInputError: it cannot be made, or must not be replaced.
    """
    place = Path(path)
    try:
        fault = _fault(place, others)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    if fault is not None:
        raise InvalidInputError(f"the report {place} {fault}")
    private_files.warn_of_folder(place)


def write_report(path: str | os.PathLike[str], run_stats: RunStory) -> None:
    """Write the page of a finished run, readable by its owner alone (mode 0600 from its first instant).

    Raises:
        InvalidInputError: the path cannot be used.
        ConfigError: the chart library is missing.
        OSError: the page could not be written, as on a full disk; a file that was there before is untouched.
    """
    check_path(path)
    private_files.replace(path, render(run_stats).encode())


def _fault(place: Path, others: Iterable[str | os.PathLike[str]]) -> str | None:
    folder = place.parent
    if not folder.is_dir():
        return "cannot be written: there is no such folder"
    if any(_is_same(place, Path(other)) for other in others):
        return "would replace a file that the run itself uses"
    try:
        about = private_files.look(place)
    except private_files.UnfitFileError as error:
        return f"{error.strerror}: name another file"
    if not os.access(folder, os.W_OK | os.X_OK):
        return "cannot be written: its folder does not allow it"
    if about is not None and about.st_size and not _is_report(place):
        return "exists and is no earlier report: name another file, or remove it"
    return None


def _is_same(place: Path, other: Path) -> bool:
    if place.exists() and other.exists():
        return place.samefile(other)
    return place.resolve() == other.resolve()


def _is_report(place: Path) -> bool:
    start = PAGE_START.encode()
    with place.open("rb") as file:
        return file.read(len(start)) == start
