"""The files of reports: saved from the links that kits and requisitions carry."""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from attrs import field, frozen

from spotdx_async._http.downloads import OPERATION, FileDownload, FileNotWrittenError
from spotdx_async._http.file_body import FileKind
from spotdx_async._http.links import AllowedHosts, Link, UnusableLinkError
from spotdx_async._http.runner import Runner
from spotdx_async._observe.scrub import Prepared, scrubs_traceback_of_call
from spotdx_async._requests.operation import Operation
from spotdx_async.config import name_server
from spotdx_async.errors import InvalidInputError, NotSentError, SpotError
from spotdx_async.files.part_file import check_place
from spotdx_async.models import Report

__all__ = ["OPERATIONS", "FileKind", "Reports", "SavedFile"]

OPERATIONS: tuple[Operation[Any], ...] = ()
"""None of the contract: it names the links, and nothing of what is behind them."""


@frozen
class SavedFile:
    """A report's file on this machine; the whole of it."""

    path: Path = field(repr=False)
    """Where it is, as it was given."""
    size: int
    """Its length in bytes."""
    sha256: str
    """The SHA-256 digest of its bytes, in hexadecimal."""


class Reports:
    """The files of reports. Reached as ``spot.reports``."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    @scrubs_traceback_of_call
    def save(
        self,
        report_or_url: Report | str,
        path: str | os.PathLike[str],
        *,
        kind: FileKind = "pdf",
        hosts: Iterable[str] | None = None,
    ) -> Prepared[SavedFile]:
        """Save the file of a report, whole or not at all, readable by its owner alone (mode 0600).

        It is written beside ``path`` and put there, in place of an older file, once all of it has come and was
        recognised: a PDF by its first bytes, a text by not being a web page. Neither of them may be empty, or larger
        than 50 MiB. A call that fails or is cancelled leaves nothing. Repeating is safe, and the SDK does so.

        ``timeout_s`` bounds each attempt, from connection to last byte: a slow line may need more, by
        ``spot.with_options(timeout_s=300)``. A redirect is followed at most three times, to the allowed hosts, and is a
        request of its own for limits and observers. The link, which opens the file to whoever has it, is in no log,
        error or record.

        Args:
            report_or_url: a report of a kit or a requisition, or one of its links.
            path: the file; its folder must exist. A symbolic link, a folder, a device or another
                user's file is refused.
            kind: which of the report's two files, or what the link leads to: ``"pdf"`` or ``"txt"``. A report that
                lacks it is refused, whether or not it has the other.
            hosts: where links may lead besides the client's own server and ``app.spotkits.com``: ``host`` or
                ``host:port``, compared exactly. Links use https, or http on loopback. The token is sent to the client's
                own server alone (scheme, host and port).

        Raises:
            InvalidInputError: an argument is wrong, the report has no such file, the link leads elsewhere, or nothing
                can be written there; nothing was sent.
            LinkExpiredError: the link is no longer valid: get the kit again, and save its new one.
            DecodeError: what came is not the file (a page for signing in, say), or is too large.
            OutcomeUnknownError: the file did not come whole, even after repeats; or a redirect leads elsewhere.
            OSError: the file cannot be written, as on a full disk.
            SpotError: any other, as the error tree says.
        """
        wanted = _checked_kind(kind)
        allowed = AllowedHosts(self._runner.state.transport.base_url, hosts)
        link = _link_of(_text_of(report_or_url, wanted), allowed)
        place = _checked_place(path)
        # As it is now: the folder may be another one by the time that a queued call has its turn.
        return partial(self._save, FileDownload(link, allowed, place.absolute(), wanted), place)

    async def _save(self, download: FileDownload, path: Path) -> SavedFile:
        trouble: SpotError | OSError
        try:
            await self._runner.call(download.request, download.decode)
            await download.finish()
        except FileNotWrittenError as error:
            trouble = error.error
        except NotSentError as error:
            name_server(error, download.link.place)
            trouble = error
        else:
            return SavedFile(path, download.size, download.sha256)
        finally:
            download.discard()
        raise trouble.with_traceback(None)


def _checked_kind(kind: object) -> FileKind:
    if kind == "pdf" or kind == "txt":  # noqa: PLR1714 - for the type checkers
        return kind
    raise _refusal("kind must be 'pdf' or 'txt'")


def _text_of(report_or_url: object, kind: FileKind) -> str:
    if isinstance(report_or_url, str):
        return report_or_url
    if not isinstance(report_or_url, Report):
        raise _refusal(f"report_or_url must be a Report or a string, not {type(report_or_url).__name__}")
    links: dict[FileKind, str | None] = {"pdf": report_or_url.pdf, "txt": report_or_url.txt}
    if found := links.pop(kind):
        return found
    ((other, link),) = links.items()
    raise _refusal(f"the report has no {kind}" + (f", but a {other}: pass kind={other!r} for that" if link else ""))


def _link_of(text: str, allowed: AllowedHosts) -> Link:
    try:
        return allowed.link(text)
    except UnusableLinkError as error:
        fault = f"the link {error}"
    raise _refusal(fault)


def _checked_place(path: object) -> Path:
    if not isinstance(path, (str, os.PathLike)):
        raise _refusal(f"path must be a string or a path, not {type(path).__name__}")
    place = Path(os.fsdecode(path))
    if "\0" in str(place):
        raise _refusal("path holds a null character")
    try:
        check_place(place.absolute(), replace=True)
    except InvalidInputError as error:
        fault = str(error)
    except OSError as error:
        fault = f"{place} cannot be written: {error.strerror}"
    else:
        return place
    raise _refusal(fault)


def _refusal(fault: str) -> InvalidInputError:
    return InvalidInputError(f"{fault}; nothing was sent", operation=OPERATION)
