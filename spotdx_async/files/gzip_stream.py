"""A gzip stream read as what is packed in it, in pieces, with flat memory; knows nothing of rows."""

import zlib
from typing import BinaryIO

__all__ = ["GZIP_MARK", "GzipStream"]

GZIP_MARK = b"\x1f\x8b"
_GZIP = 31  # zlib's way to say: a gzip header, and its checksum is checked
_READ_BYTES = 64 * 1024


class GzipStream:
    """Unpacks one or more gzip members, and passes over the zeros with which tapes are filled up."""

    def __init__(self, packed: BinaryIO, start: bytes = b"") -> None:
        """Unpack ``start``, which was read before, and then the stream."""
        self._packed = packed
        self._input = start
        self._member = zlib.decompressobj(_GZIP)
        self._is_between = False
        self.packed_bytes: int = len(start)
        """Bytes taken from the packed stream so far."""

    @property
    def has_more(self) -> bool:
        """Whether more can be unpacked without reading."""
        return bool(self._input)

    def read(self, most: int) -> bytes:
        """Give the next bytes, at most so many; none at the end.

        Raises:
            OSError: the packed data is damaged, or ends in the middle.
        """
        while True:
            if not self._input:
                self._input = self._packed.read(_READ_BYTES)
                self.packed_bytes += len(self._input)
                if not self._input:
                    self._check_end()
                    return b""
            if self._is_between and not self._begin_member():
                continue
            if piece := self._unpack(most):
                return piece

    def fileno(self) -> int:
        """Give the file's number for the operating system."""
        return self._packed.fileno()

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()

    def _unpack(self, most: int) -> bytes:
        try:
            piece = self._member.decompress(self._input, most)
        except zlib.error:
            piece = None
        if piece is None:
            raise OSError("the gzip data is damaged: what comes after the rows read so far is lost")
        self._input = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
        self._is_between = self._member.eof
        return piece

    def _begin_member(self) -> bool:
        """Begin the next member; False where there is only filling so far."""
        self._input = self._input.lstrip(b"\0")
        if not self._input:
            return False
        self._member = zlib.decompressobj(_GZIP)
        self._is_between = False
        return True

    def _check_end(self) -> None:
        if not self._is_between:
            raise OSError("the gzip data ends in the middle: the file was cut off")
