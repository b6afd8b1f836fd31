"""Sessions of the SDK's own, and what they do otherwise than aiohttp's by default; the transport sends through them."""

import sys
from collections.abc import Mapping
from typing import Any, Final

import aiohttp
from aiohttp.http import StreamWriter

__all__ = ["pooled_session", "request_class", "single_use_session"]

_KNOWN: Final = "3.14."
"""The releases of aiohttp whose requests are written here; with another one aiohttp writes them itself."""
_WRITES_AT_ONCE: Final = sys.version_info >= (3, 12)
"""Whether aiohttp itself writes a body without waiting for a task of its own."""


def pooled_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Make a session that keeps connections for the next request.

    Args:
        headers: of every request, ``Host`` among them; what is sent besides comes with the request.
    """
    # No limit here: the client's own gate stands before it, and waits without eating the timeout.
    return _session(_Pool(limit=0), headers)


def single_use_session(headers: Mapping[str, str]) -> aiohttp.ClientSession:
    """Make a session that opens a connection for each request and closes it after.

    A kept connection can be closed by the server just as a request goes out, and nobody knows whether it was carried
    out. What must not be done twice gets a fresh one.
    """
    return _session(aiohttp.TCPConnector(limit=0, force_close=True), {**headers, "Connection": "close"})


class _Pool(aiohttp.TCPConnector):
    """Gives no kept connection on which something came that nobody asked for: it would pass for the next answer."""

    async def _get(self, key: Any, traces: Any) -> Any:
        while (kept := await super()._get(key, traces)) is not None:
            if kept.protocol is not None and not kept.protocol.should_close:
                break
            kept.close()
        return kept


class _OneWrite(aiohttp.ClientRequest):
    """Takes its headers as they are, and writes them with the body at once.

    Before Python 3.12 aiohttp makes a task for each body. That and the merging of headers take 84 kI of a request's 460
    (callgrind).
    """

    def update_headers(self, headers: Any) -> None:
        """Take the session's headers, which are all there are, with ``Host`` in its place."""
        self.headers = headers

    def update_auto_headers(self, skip_auto_headers: Any) -> None:
        """Add none."""

    async def send(self, conn: Any) -> aiohttp.ClientResponse:
        """Write the request; what is not simple is left to aiohttp."""
        body, protocol = self._body, conn.protocol
        if _WRITES_AT_ONCE or type(body) is not aiohttp.BytesPayload or protocol.writing_paused:
            return await super().send(conn)
        writer = StreamWriter(protocol, self.loop)
        await writer.write_headers(f"{self.method} {self.url.raw_path_qs} HTTP/1.1", self.headers)
        await body.write_with_length(writer, None)  # goes out with the head
        await writer.write_eof()
        protocol.start_timeout()
        return self.response_class(
            self.method,
            self.original_url,
            writer=None,
            continue100=None,
            timer=self._timer,
            request_info=self.request_info,
            traces=self._traces,
            loop=self.loop,
            session=self._session,
            stream_writer=writer,
        )


def request_class(aiohttp_version: str) -> type[aiohttp.ClientRequest]:
    """Choose what writes requests: nothing of ours where the release may have changed what stands around it."""
    return _OneWrite if aiohttp_version.startswith(_KNOWN) else aiohttp.ClientRequest


def _session(connector: aiohttp.TCPConnector, headers: Mapping[str, str]) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers=headers,
        request_class=request_class(aiohttp.__version__),
        trust_env=False,
    )
    # Else aiohttp sends a GET a second time by itself when a kept connection breaks, unseen by the retry budget. There
    # is no public way to say so.
    session._retry_connection = False  # noqa: SLF001 - a test holds its effect
    return session
