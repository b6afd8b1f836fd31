"""Reads the bodies of answers: into memory up to a cap, or piece by piece into a file. Knows no request."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp

from spotdx_async._http.failures import ClosedError, TooLargeError
from spotdx_async._http.messages import SUCCESS, Download
from spotdx_async._http.sessions import look_at

_MOST_OF_AN_ERROR_BODY: Final = 64 * 1024
_CHUNK: Final = 64 * 1024
SMALL_BODY: Final = 64 * 1024
"""Anything smaller takes at most 5 MB as values: not worth counting."""
_BYTES_OF_A_VALUE: Final = 20
_TOO_LONG: Final = "is larger than max_body_bytes"
_TOO_MANY: Final = f"holds more values than one for every {_BYTES_OF_A_VALUE} bytes of max_body_bytes"
_VERSIONS: Final = frozenset({None, (0, 9), (1, 0), (1, 1), (2, 0)})
"""Of HTTP, as aiohttp's parser in C accepts them in an answer; None: a mock's."""


def check_head(response: aiohttp.ClientResponse) -> None:
    """Reject an ambiguous head, as aiohttp's parser in C does but not the one in Python.

    With two lengths the next answer on the connection could begin in the middle of this one.
    """
    if response.version not in _VERSIONS or len(response.headers.getall("Content-Length", ())) > 1:
        response.close()
        raise aiohttp.ClientPayloadError


async def read_body(
    response: aiohttp.ClientResponse, session: aiohttp.ClientSession, cap: int, *, is_own: bool
) -> bytes:
    """Return the decoded body, at most the cap; of an error's body only the beginning.

    Args:
        response: the answer.
        session: the one that it came through.
        cap: the most bytes.
        is_own: whether the session is ours.

    Raises:
        TooLargeError: it is longer.
        Exception: whatever aiohttp raises where it breaks off.
    """
    is_whole = response.status in SUCCESS
    if response.method == "HEAD":  # its Content-Length is that of a body that does not come
        return b""
    cap = cap if is_whole else min(cap, _MOST_OF_AN_ERROR_BODY)
    length = response.content_length
    try:
        if length is not None and length <= cap and "Content-Encoding" not in response.headers:
            content = response.content
            # A body that came with the head needs no waiting, nor the coroutines for it: saves 16 kI (callgrind).
            if content.is_eof():
                return content.read_nowait()
            # aiohttp's own reading informs a caller's hooks; our sessions have none to inform.
            with _ended_with_its_connection(response, session):
                return await (content if is_own else response).read()
        with _ended_with_its_connection(response, session):
            return await _read_at_most(cap, response, or_cut=not is_whole)
    except aiohttp.ClientPayloadError as error:
        raise error from _end_of(response) or error.__cause__
    finally:
        if not response.closed:  # cut, broken, or endless, as after 101
            response.close()


async def receive(response: aiohttp.ClientResponse, session: aiohttp.ClientSession, download: Download) -> None:
    """Hand the body of a 2xx to a download, as it was sent; of any other answer nothing is read.

    Raises:
        aiohttp.ClientPayloadError: it broke off, as far as that can be told.
        Exception: whatever aiohttp raises where it breaks off, or the download.
    """
    try:
        if response.status not in SUCCESS or not download.begin(response.status, response.headers):
            return
        with _ended_with_its_connection(response, session):
            async for chunk in response.content.iter_chunked(_CHUNK):
                if not download.take(chunk):
                    return
        _check_end(download)
    except aiohttp.ClientPayloadError as error:
        raise error from _end_of(response) or error.__cause__
    finally:
        if not response.closed:
            response.close()


def _check_end(download: Download) -> None:
    if not download.end():
        raise aiohttp.ClientPayloadError


def check_values(body: bytes, cap: int) -> None:
    """Reject an answer that would take far more memory as values than as text.

    Every value but the first of its list or object follows a comma; commas within texts count too.

    Args:
        body: the answer.
        cap: the most bytes that an answer may have.

    Raises:
        TooLargeError: it is one.
    """
    values = body.count(b",") + body.count(b"{") + body.count(b"[")
    if values * _BYTES_OF_A_VALUE > cap:
        raise TooLargeError(_TOO_MANY)


async def _read_at_most(cap: int, response: aiohttp.ClientResponse, *, or_cut: bool) -> bytes:
    length = response.content_length
    if length is not None and length > cap and not or_cut:
        raise TooLargeError(_TOO_LONG)
    body = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        body += chunk
        if len(body) > cap:
            if not or_cut:
                raise TooLargeError(_TOO_LONG)
            break
    return bytes(body)


def _end_of(response: aiohttp.ClientResponse) -> BaseException | None:
    """Return what the connection ended with: for a body that broke off, aiohttp only says that it is incomplete."""
    connection = response.connection
    return connection.protocol.exception() if connection is not None and connection.protocol is not None else None


@contextmanager
def _ended_with_its_connection(response: aiohttp.ClientResponse, session: aiohttp.ClientSession) -> Iterator[None]:
    """Make sure that reading the body ends when its connection does.

    aiohttp 3.14 leaves the reader waiting for the rest if the session was closed or a chunk cannot be parsed, and
    raises a RuntimeError if it was closed before the reader began to wait.
    """
    connection, body = response.connection, response.content
    protocol = connection.protocol if connection is not None else None
    closed: asyncio.Future[None] | None = getattr(protocol, "closed", None)

    def end() -> Exception:
        return ClosedError() if session.closed else aiohttp.ServerDisconnectedError()

    def tell(_: object) -> None:
        if not body.is_eof() and body.exception() is None:
            body.set_exception(end())

    if closed is not None:  # otherwise it is gone already, or a mock
        closed.remove_done_callback(look_at)  # left by an earlier answer on the same connection
        closed.add_done_callback(look_at)
        closed.add_done_callback(tell)
    try:
        yield
    except RuntimeError:
        if protocol is None or protocol.connected or body.is_eof():  # a hook's
            raise
        raise end() from None
    finally:
        if closed is not None:  # the next answer comes on the same connection
            closed.remove_done_callback(tell)
