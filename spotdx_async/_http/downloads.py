"""One report's file on its way to the disk, over all attempts and redirects of its call; knows no aiohttp.

The link is in no text of an error; neither is what servers write about it, which may repeat it.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from attrs import evolve

from spotdx_async import private_files
from spotdx_async._http.file_body import FileBody, FileKind
from spotdx_async._http.links import AllowedHosts, Link, UnusableLinkError
from spotdx_async._http.messages import Action, Reply, Request, TransportFailure, Verdict
from spotdx_async._http.verdict import judge_reply
from spotdx_async.errors import (
    GET_AGAIN,
    DecodeError,
    FailureCause,
    LinkExpiredError,
    OutcomeUnknownError,
    StatusError,
    is_out_of_files,
)

OPERATION: Final = "GET report file"
"""The only name of such a request that texts may show."""
_MOST_REDIRECTS: Final = 3
"""A choice: a server that hands its files over to a storage needs one."""
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GONE: Final = frozenset({401, 403, 404, 410})
_UNAUTHORIZED: Final = 401


class FileNotWrittenError(Exception):
    """The file cannot be written; ``error`` says why. No OSError itself, which would count as the network's."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error


class FileDownload:
    """A file that is written beside its place, and put there once it is whole."""

    def __init__(self, link: Link, hosts: AllowedHosts, path: Path, kind: FileKind) -> None:
        self.link: Link = link
        self.carries_token: bool = True
        self.size: int = 0
        """Bytes that the file has so far."""
        self._digest = hashlib.sha256()
        self._first = link
        self._next: Link | None = None
        self._redirects = 0
        self._hosts = hosts
        self._path = path
        self._kind = kind
        self._body: FileBody | None = None
        self._file: private_files.NewFile | None = None

    @property
    def request(self) -> Request:
        """The request of the call."""
        return Request(OPERATION, "GET", "", is_replay_safe=True, download=self)

    @property
    def sha256(self) -> str:
        """The digest of what was written, in hexadecimal."""
        return self._digest.hexdigest()

    def start(self) -> TransportFailure | None:
        """Begin an attempt with an empty file: before anything is sent, so that a full disk costs no request.

        Returns:
            Why it cannot begin now, if another file may be open in a moment.

        Raises:
            FileNotWrittenError: no file can be created.
        """
        self.discard()
        if self._next is None:
            self.link, self.carries_token, self._redirects = self._first, True, 0
        else:
            # Where another host redirects to was not chosen by the API's own server: no token, even if that is there.
            self.carries_token &= self.link.is_of_server
            self.link, self._next = self._next, None
        self.size, self._digest, self._body = 0, hashlib.sha256(), None
        try:
            self._file = private_files.NewFile(self._path)
        except OSError as error:
            if is_out_of_files(error):
                message = "no file could be created: too many open files, so nothing was sent"
                cause = FailureCause("OSError", error.errno)
                return TransportFailure("connect", message, may_have_arrived=False, cause=cause)
            trouble = FileNotWrittenError(error)
        else:
            return None
        raise trouble

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take the head of a 2xx; return whether to read its body.

        Raises:
            TooLargeError: the file is larger than allowed.
        """
        self._body = FileBody(self._kind, status, headers)
        return self._body.fault is None

    def take(self, piece: bytes) -> bool:
        """Take a piece of the body as it was sent; return whether to read on.

        Raises:
            TooLargeError: the file is larger than allowed.
            FileNotWrittenError: it cannot be written.
        """
        assert self._body is not None  # noqa: S101 - only a body that was begun has pieces; for the type checker
        self._write(self._body.take(piece))
        return self._body.fault is None

    def end(self) -> bool:
        """Take the end of the body; return whether that was all of it.

        Raises:
            FileNotWrittenError: it cannot be written.
        """
        assert self._body is not None  # noqa: S101 - as above
        self._write(self._body.rest())
        return self._body.fault is not None or self._body.is_whole

    def decode(self, _: Reply) -> None:
        """Make sure that the body of a 2xx was the file.

        Raises:
            DecodeError: it was not.
        """
        fault = None if self._body is None else self._body.fault
        if fault is not None:
            self.discard()
            raise DecodeError(f"the answer {fault}", outcome="unknown")

    def judge(self, request: Request, reply: Reply) -> Verdict:
        """Judge an answer that is no 2xx.

        1. 401, 403, 404, 410: the link is gone; at the API's own server, 401 may be about the token.
        2. A redirect: followed, to the allowed hosts alone.
        3. Everything else: as of any other call, but what another server asks for holds up this call alone.
        """
        self.discard()
        if reply.status in _GONE:
            return self._gone(request, reply)
        if reply.status < 400:  # noqa: PLR2004 - HTTP's own classes
            return self._redirected(reply)
        return evolve(judge_reply(request, reply), is_of_server=self.link.is_of_server)

    async def finish(self) -> None:
        """Put the whole file in its place, where it replaces an older one.

        Raises:
            FileNotWrittenError: it cannot be put there.
        """
        file, loop = self._file, asyncio.get_running_loop()
        assert file is not None  # noqa: S101 - there is one after an accepted answer; for the type checker
        with _writing():
            # A disk may take its time, which the other calls of the loop do not have. A cancellation does not wait for
            # it: that the thread finds the file closed then is of no consequence.
            await loop.run_in_executor(None, file.sync)
            file.put_in_place()
            self._file = None
            await loop.run_in_executor(None, private_files.sync_folder, self._path.parent)

    def discard(self) -> None:
        """Leave nothing of a file that is not in its place; doing so twice does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.discard()

    def _write(self, pieces: Iterator[bytes]) -> None:
        for piece in pieces:
            self.size += len(piece)
            self._digest.update(piece)
            with _writing():
                assert self._file is not None  # noqa: S101 - an attempt has one; for the type checker
                self._file.write([piece])

    def _gone(self, request: Request, reply: Reply) -> Verdict:
        was_token_sent = self.link.is_of_server and self.carries_token
        plain = judge_reply(request, reply).error
        assert isinstance(plain, StatusError)  # noqa: S101 - as of every 4xx; for the type checker
        may_be_token = reply.status == _UNAUTHORIZED and was_token_sent
        perhaps = ", or it does not accept the token" if may_be_token else ""
        message = f"the server answered {reply.status}: the link has expired{perhaps}{GET_AGAIN}"
        error = LinkExpiredError(message, status=reply.status, request_id=plain.request_id, headers=plain.headers)
        return Verdict(Action.RENEW_TOKEN if may_be_token else Action.RAISE, error=error)

    def _redirected(self, reply: Reply) -> Verdict:
        self._redirects += 1
        if reply.status not in _REDIRECTS:
            fault = f"the server answered {reply.status}, which brings no file"
        elif self._redirects > _MOST_REDIRECTS:
            fault = f"more than {_MOST_REDIRECTS} redirects came, one after the other"
        else:
            try:
                self._next = self._hosts.redirected(self.link, reply.headers.get("Location", ""))
            except UnusableLinkError as error:
                fault = f"the server answered {reply.status}, a redirect whose link {error}"
            else:
                return Verdict(Action.FOLLOW)
        unknown = OutcomeUnknownError(fault, reason="redirect", status=reply.status)
        return Verdict(Action.RAISE, error=unknown, may_be_executed=True)


@contextmanager
def _writing() -> Iterator[None]:
    trouble = None
    try:
        yield
    except OSError as error:
        trouble = FileNotWrittenError(error)
    if trouble is not None:
        raise trouble
