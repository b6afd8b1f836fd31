"""A finished run as one page of HTML that needs nothing else, and its file: whole or absent, its owner's alone."""

import base64
import hashlib
import os
from collections.abc import Iterable
from importlib import resources
from pathlib import Path

from spotdx_async import private_files
from spotdx_async.errors import InvalidInputError
from spotdx_async.report.markup import Html, element, escaped
from spotdx_async.report.run_stats import RunStory
from spotdx_async.report.sections import all_sections, summary_of

__all__ = ["check_path", "render", "write_report"]

_PAGE_START = (
    '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<meta name="generator" content="spotdx_async">\n'
)
_TITLE = "Bulk run report"


def render(story: RunStory) -> str:
    """Return the page of a run that has finished: under 200 kB, however long the run was."""
    style = Html((resources.files("spotdx_async.report") / "page.css").read_text(encoding="utf-8"))
    return "\n".join(
        (
            _PAGE_START + _policy(style),
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            element("title", escaped(_TITLE)),
            element("style", style),
            element("main", *_body(story)),
            "</html>\n",
        )
    )


def check_path(path: str | os.PathLike[str], *, others: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Check, before a run, that its report can be written there; nothing is created or changed.

    An existing file must be empty or an earlier report, which the new one will replace.

    Args:
        path: where the report will be.
        others: files of the run that it must not be, such as its inputs; they need not exist yet.

    Raises:
        InvalidInputError: it cannot be created, or must not be replaced.
    """
    place = Path(path)
    try:
        fault = _fault(place, others)
    except OSError as error:
        fault = f"cannot be written: {error.strerror}"
    if fault is not None:
        raise InvalidInputError(f"the report {place} {fault}")
    private_files.warn_of_folder(place)


def write_report(path: str | os.PathLike[str], story: RunStory) -> None:
    """Write the page of a finished run, readable by its owner alone (mode 0600 from the first instant).

    Raises:
        InvalidInputError: the path cannot be used.
        OSError: the page could not be written, as on a full disk; a file that was there before is untouched.
    """
    check_path(path)
    private_files.replace(path, render(story).encode())


def _body(run_stats: RunStory) -> list[Html]:
    body = [element("h1", escaped(_TITLE)), element("p", escaped(summary_of(run_stats)), class_="sum")]
    if run_stats.stopped is not None:
        body.append(element("p", escaped(f"The run stopped early: {run_stats.stopped}"), class_="stopped"))
    return body + all_sections(run_stats)


def _policy(style: Html) -> str:
    # No script runs and nothing is loaded: even a text that escaped its escaping could do nothing. The one style sheet
    # is named by its hash.
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    rules = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    return f'<meta http-equiv="Content-Security-Policy" content="{rules}">'


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
    start = _PAGE_START.encode()
    with place.open("rb") as file:
        return file.read(len(start)) == start
