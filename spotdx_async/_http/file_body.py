"""The body of an answer that is to be a report's file: decoded, capped and recognised as it arrives. Pure."""

import re
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from spotdx_async._http.failures import TooLargeError

FileKind: TypeAlias = Literal["pdf", "txt"]

MOST_BYTES: Final = 50 * 1024 * 1024
"""Of a file, as it is sent and as it is stored. A choice: a report has a few pages."""
_TOO_LARGE: Final = "is larger than 50 MiB"
_STEP: Final = 256 * 1024
_LOOKED_AT: Final = 1024
"""Bytes at either end in which a file's marks must be; readers of PDF look as far."""
_BLANKS: Final = b"\xef\xbb\xbf \t\r\n\f\0"
_PDF: Final = b"%PDF-"
_END_OF_PDF: Final = b"%%EOF"
_HTML: Final = re.compile(rb"<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_WHOLE_FILE: Final = frozenset({200, 203})
_GZIP: Final = frozenset({"gzip", "x-gzip"})


class FileBody:
    """Takes the pieces of one answer, and gives those of the file in it."""

    def __init__(self, kind: FileKind, status: int, headers: Mapping[str, str]) -> None:
        """Look at the head.

        Args:
            kind: what is expected.
            status: a 2xx.
            headers: of the answer.

        Raises:
            TooLargeError: the body will be larger than allowed.
        """
        self.fault: str | None = None
        """Why it is not the file, as the rest of a sentence that begins with "the answer"; None while it may be."""
        self._kind = kind
        self._received = self._size = 0
        self._begin: bytearray | None = bytearray()
        self._tail = b""
        length = headers.get("Content-Length", "").strip()
        self._length = int(length) if length.isascii() and length.isdigit() else None
        self._is_chunked = "chunked" in headers.get("Transfer-Encoding", "").lower()
        self._unpacked: _Unpacked | None = None
        encoding = headers.get("Content-Encoding", "").strip().lower() or "identity"
        if encoding in _GZIP or encoding == "deflate":
            self._unpacked = _Unpacked(is_gzip=encoding in _GZIP)
        elif encoding != "identity":
            self.fault = "is compressed in a way that was not asked for"
        if status not in _WHOLE_FILE:
            self.fault = f"has the status {status}, which brings no whole file"
        if self._length is not None and self._length > MOST_BYTES:
            raise TooLargeError(_TOO_LARGE)

    def take(self, piece: bytes) -> Iterator[bytes]:
        """Yield what of the file a piece of the body brings; nothing once there is a fault.

        Raises:
            TooLargeError: the body is larger than allowed.
            zlib.error: it cannot be unpacked.
        """
        self._received += len(piece)
        if self._received > MOST_BYTES:
            raise TooLargeError(_TOO_LARGE)
        for part in [piece] if self._unpacked is None else self._unpacked.take(piece):
            self._size += len(part)
            if self._size > MOST_BYTES:
                raise TooLargeError(_TOO_LARGE)
            yield from self._recognised(part)

    def rest(self) -> Iterator[bytes]:
        """Yield what was kept back until the body's end, which has come."""
        if self._begin is not None:
            yield from self._looked_at(self._begin)
        # The end of the connection is all that ends such a body, and what breaks a connection ends it as well.
        if not self._is_framed and self._kind == "txt" and self.fault is None:
            self.fault = "does not say how long it is, so nobody can tell whether it is whole"

    @property
    def is_whole(self) -> bool:
        """Whether the body that has ended is all of it, as far as that can be told."""
        if self._length is not None and self._received != self._length:
            return False
        if self._unpacked is not None:
            return self._unpacked.is_whole
        return self._is_framed or self._kind == "txt" or _END_OF_PDF in self._tail

    @property
    def _is_framed(self) -> bool:
        return self._length is not None or self._is_chunked or self._unpacked is not None

    def _recognised(self, part: bytes) -> Iterator[bytes]:
        self._tail = (self._tail + part[-_LOOKED_AT:])[-_LOOKED_AT:]
        if self._begin is None:
            if self.fault is None:
                yield part
            return
        self._begin += part
        if len(self._begin.lstrip(_BLANKS)) >= _LOOKED_AT or len(self._begin) >= _STEP:
            yield from self._looked_at(self._begin)

    def _looked_at(self, begin: bytearray) -> Iterator[bytes]:
        self._begin = None
        self.fault = self.fault or _fault_of(self._kind, bytes(begin.lstrip(_BLANKS)[:_LOOKED_AT]))
        if self.fault is None:
            yield bytes(begin)


class _Unpacked:
    """Unpacks gzip and deflate a step at a time, so that a small piece never becomes a huge one."""

    def __init__(self, *, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._step: Any = None

    @property
    def is_whole(self) -> bool:
        return self._step is not None and self._step.eof

    def take(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            if self.is_whole:
                # gzip files may be put together by writing one behind the other; some writers fill up with zeros.
                piece = piece.lstrip(b"\0")
                if not piece:
                    return
            if self._step is None or self._step.eof:
                self._step = zlib.decompressobj(self._window_of(piece))
            yield from self._unpack(piece)
            piece = self._step.unused_data

    def _unpack(self, piece: bytes) -> Iterator[bytes]:
        is_full = True
        while piece or is_full:
            part = self._step.decompress(piece, _STEP)
            yield part
            # What fills a step may have left more inside, even if all of the piece was taken.
            piece, is_full = self._step.unconsumed_tail, len(part) == _STEP

    def _window_of(self, piece: bytes) -> int:
        if self._is_gzip:
            return 16 + zlib.MAX_WBITS
        # Some servers send deflate without the header of zlib that HTTP wants.
        return zlib.MAX_WBITS if piece[0] & 0xF == 8 else -zlib.MAX_WBITS  # noqa: PLR2004 - zlib's number of deflate


def _fault_of(kind: FileKind, begin: bytes) -> str | None:
    if not begin:
        return "is empty"
    if _HTML.match(begin):
        return "is a web page, such as one for signing in, and not the file"
    if begin.startswith(_PDF) != (kind == "pdf"):
        return "is not a PDF" if kind == "pdf" else "is a PDF, and not text"
    return None
