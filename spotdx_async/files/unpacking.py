"""Packed data to plain bytes, a piece at a time: gzip, bzip2, xz and zstd; the only importer of zstd's package."""

import bz2
import lzma
import sys
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO

from attrs import frozen

from spotdx_async.files.rows import DamagedInputError, RowFault
from spotdx_async.files.stored_file import StoredFile

__all__ = ["PACKINGS", "Packing", "UnpackedStream", "packing_of"]

_GZIP_WBITS = 31  # tells zlib to expect a gzip header and to verify the checksum
_READ_BYTES = 64 * 1024
# xz at its strongest asks for 65 MiB; a file that asks for more is no table of rows.
_MAX_XZ_BYTES = 256 * 1024 * 1024


@frozen
class Packing:
    """A way of packing files."""

    name: str
    suffix: str
    magics: tuple[bytes, ...]
    """How such data may begin."""
    begin: Callable[[], Any]
    """Begins to unpack one member or stream."""
    faults: tuple[type[Exception], ...]
    """What is raised for damaged data."""


class _TooMuchAskedError(Exception):
    """The data is in order, and asks for more than it is given; the text is what."""


class _GzipMember:
    """A member of gzip data with the interface of the other unpackers of the standard library."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP_WBITS)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self.needs_input = not self._inner.unconsumed_tail and len(piece) < max_length
        return piece


class _ZstdFrame:
    """A frame of zstd, with errors that are known before its module is."""

    def __init__(self) -> None:
        zstd = _zstd()
        self._inner = zstd.ZstdDecompressor()
        self._fault = zstd.ZstdError

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    @property
    def needs_input(self) -> bool:
        return bool(self._inner.needs_input)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return bytes(self._inner.decompress(data, max_length))
        except self._fault as error:
            text = str(error)
        if "memory" in text:
            raise _TooMuchAskedError("was packed for long distances, and asks for more than 128 MiB of memory")
        if "Dictionary" in text:
            raise _TooMuchAskedError("was packed with a dictionary, which is not in the file")
        raise ValueError


class _XzStream:
    """A stream of xz, which says how much memory it asks for."""

    def __init__(self) -> None:
        self._inner = lzma.LZMADecompressor(memlimit=_MAX_XZ_BYTES)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return self._inner.needs_input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            return self._inner.decompress(data, max_length)
        except lzma.LZMAError as error:
            text = str(error)
        if "Memory" in text:
            raise _TooMuchAskedError(f"asks for more than {_MAX_XZ_BYTES // 1024**2} MiB of memory")
        raise ValueError


def _zstd() -> Any:
    """Return the module that unpacks zstd.

    Raises:
        RowFault: there is none.
    """
    if sys.version_info >= (3, 14):
        from compression import zstd  # noqa: PLC0415 - not in earlier versions

        return zstd
    try:
        from backports import zstd  # noqa: PLC0415 - an extra
    except ImportError:
        pass
    else:
        return zstd
    raise RowFault("this is packed with zstd: install the extra, pip install 'spotdx-async[zstd]', or unpack it")


_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"
# What is skipped: pzstd begins with such a frame, and others keep notes in one.
_ZSTD_SKIPPED = tuple(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
PACKINGS = (
    Packing("gzip", ".gz", (b"\x1f\x8b",), _GzipMember, (zlib.error,)),
    Packing("bzip2", ".bz2", (b"BZh",), bz2.BZ2Decompressor, (OSError, ValueError)),
    Packing("xz", ".xz", (b"\xfd7zXZ\0",), _XzStream, (ValueError,)),
    Packing("zstd", ".zst", (_ZSTD_FRAME, *_ZSTD_SKIPPED), _ZstdFrame, (ValueError,)),
)


def packing_of(start: bytes) -> Packing | None:
    """Return how data that begins so is packed; None if it is not."""
    return next((packing for packing in PACKINGS if start.startswith(packing.magics)), None)


class UnpackedStream:
    """Unpack one or more members in flat memory, skipping the zero padding that may stand between them."""

    def __init__(self, packed: BinaryIO | StoredFile, packing: Packing, start: bytes = b"") -> None:
        """Unpack ``start``, which has been read already, and then the stream.

        Raises:
            RowFault: what unpacks it is not installed.
        """
        self._packed = packed
        self._packing = packing
        self._input = start
        self._member = packing.begin()
        self._is_between_members = False
        self._is_begun = True  # of the first one the beginning is known
        self.packed_bytes: int = len(start)
        """Bytes taken from the packed stream so far."""

    @property
    def has_more(self) -> bool:
        """Whether more can be unpacked without reading."""
        return bool(self._input) or not (self._is_between_members or self._member.needs_input)

    def read(self, max_bytes: int) -> bytes:
        """Return the next bytes, at most ``max_bytes``; empty only at the end.

        Raises:
            DamagedInputError: the packed data is damaged or truncated, or asks for more than it is given.
            OSError: it cannot be read any further.
        """
        while True:
            if not self.has_more:
                self._input = self._packed.read(_READ_BYTES)
                self.packed_bytes += len(self._input)
                if not self._input and self._is_between_members:
                    return b""
                if not self._input:
                    raise DamagedInputError(f"the {self._packing.name} data ends in the middle: the file was cut off")
            if self._is_between_members and not self._begin_member():
                continue
            if piece := self._unpack(max_bytes):
                return piece

    def fileno(self) -> int:
        """Return the file descriptor of the packed stream."""
        return self._packed.fileno()

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()

    def _unpack(self, max_bytes: int) -> bytes:
        data, self._input = self._input, b""
        try:
            piece: bytes | None = self._member.decompress(data, max_bytes)
        except self._packing.faults:
            piece = None
        except _TooMuchAskedError as asked:
            raise DamagedInputError(f"the {self._packing.name} data {asked}: unpack it, and pass it so") from None
        if piece is None:
            raise self._damage(len(data))
        self._is_begun = True
        if self._member.eof:
            self._input = self._member.unused_data
            self._is_between_members = True
        return piece

    def _damage(self, left: int) -> DamagedInputError:
        where = f"the {self._packing.name} data is damaged at byte {self.packed_bytes - left + 1:,} or after it"
        if not self._is_begun:  # what came before is whole, with its checksum
            return DamagedInputError(f"{where}: something else follows there")
        error = DamagedInputError(f"{where}: rows above may not have the values that they had")
        error.are_earlier_rows_sound = False
        return error

    def _begin_member(self) -> bool:
        """Begin the next member; return False if there is only padding so far."""
        self._input = self._input.lstrip(b"\0")
        if not self._input:
            return False
        self._member = self._packing.begin()
        self._is_between_members = self._is_begun = False
        return True
