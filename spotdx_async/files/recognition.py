"""What an input is, by its first bytes: its encoding, or the name of what cannot be read as rows."""

import codecs

from spotdx_async.errors import InvalidInputError
from spotdx_async.files.json_text import BOM
from spotdx_async.files.rows import RowFault

__all__ = ["LONGEST_MARK", "check_encoding", "encoding_of", "foreign_name", "is_array"]

_WORKBOOK = "an Excel workbook: pass it as a file named .xlsx, or pass the file's name and --format xlsx"
# What is no text of rows, and what to do with it.
_FOREIGN = (
    (b"PAR1", "Parquet, which can be read only from a file, not from a pipe: pass its name"),
    (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        "an old Excel workbook (.xls): save it as CSV UTF-8, or as .xlsx without a password",
    ),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"\x04\x22\x4d\x18", "data packed with lz4: unpack it, or pack it with gzip"),
    (b"\x1f\x9d", "data packed with compress (.Z): unpack it, or pack it with gzip"),
    (b"\x5d\0\0", "data packed with lzma (.lzma): unpack it, or pack it with xz"),
    (b"\x89LZO\0", "data packed with lzop: unpack it, or pack it with gzip"),
    (b"\xff\x06\0\0sNaPpY", "data packed with snappy: unpack it, or pack it with gzip"),
    (b"{\\rtf", "a document of a word processor (RTF): save it as plain text"),
    (
        b"version https://git-lfs.",
        "only the pointer that Git LFS keeps of the file: git lfs pull fetches the file itself",
    ),
    (b"%PDF", "a PDF: export the table as CSV UTF-8"),
    (b"SQLite format 3\0", "an SQLite database: export the table as CSV"),
    (b"ORC", "ORC: convert it to Parquet or CSV"),
    (b"Obj\x01", "Avro: convert it to Parquet or CSV"),
    (b"ARROW1", "an Arrow (Feather) file: convert it to Parquet"),
)
_TAR_AT, _TAR = 257, b"ustar"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_MARKUP = (b"<!doctype", b"<html", b"<?xml", b"<table")
_MARKS = (
    (b"\xff\xfe\0\0", "utf-32-le"),
    (b"\0\0\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
    (BOM, "utf-8"),
)
_BY_ZEROS = {"x000": "utf-32-le", "000x": "utf-32-be", "x0x0": "utf-16-le", "0x0x": "utf-16-be"}
LONGEST_MARK = 16
"""How many bytes are enough to recognise anything."""
_WITHOUT_ORDER = {"utf-16", "utf-32"}  # their decoders refuse text without a mark
_ASCII = "kit_id"
# Codecs that change more than the characters' bytes, or need to see the whole text.
_NO_ENCODINGS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "utf-7", "undefined", "mbcs", "oem"}


def foreign_name(start: bytes) -> str | None:
    """Return what it is that cannot be read as rows, and what to do with it; None if it may be rows."""
    if start.startswith(_ZIP):
        is_workbook = b"[Content_Types].xml" in start or b"xl/" in start
        return _WORKBOOK if is_workbook else "a zip archive: unpack it, or pack the file with gzip"
    if start.startswith(_TAR, _TAR_AT):
        return "a tar archive: unpack it, and pass the files in it"
    if start.removeprefix(BOM).lstrip()[:9].lower().startswith(_MARKUP):
        return "a page of HTML or XML: export the table as CSV UTF-8"
    return next((what for mark, what in _FOREIGN if start.startswith(mark)), None)


def is_array(start: bytes) -> bool:
    """Return whether UTF-8 text begins as a JSON array."""
    return start.lstrip().startswith(b"[")


def encoding_of(start: bytes, given: str | None) -> tuple[str, bytes]:
    """Return the encoding of text and its byte order mark, which is empty if there is none.

    A mark is stronger than what is given: nobody means the letters that it would be otherwise. Without either, zero
    bytes tell UTF-16 and UTF-32, since rows begin with a letter, a quote or a bracket of ASCII. They tell the order of
    bytes as well where ``utf-16`` or ``utf-32`` is given; without them it is that of Windows.

    Raises:
        RowFault: the text is surely not in the encoding that is given.
    """
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding, mark
    found = _BY_ZEROS.get("".join("0" if byte == 0 else "x" for byte in start[:4]))
    if given is None:
        return found or "utf-8", b""
    name = codecs.lookup(given).name
    if not _extends_ascii(name) and _begins_as_utf_8(start):
        raise RowFault(f"the text is ASCII or UTF-8, not {name}: leave out --encoding")
    if name not in _WITHOUT_ORDER:
        return name, b""
    return found if found is not None and found.startswith(name) else f"{name}-le", b""


def _extends_ascii(encoding: str) -> bool:
    """Return whether ASCII means the same in it, as in latin-1 and shift_jis; not in UTF-16 and EBCDIC."""
    return _ASCII.encode().decode(encoding, "replace") == _ASCII if encoding not in _WITHOUT_ORDER else False


def _begins_as_utf_8(start: bytes) -> bool:
    # The last character may be cut. A zero byte is of UTF-16 or UTF-32; EBCDIC has its letters above ASCII.
    first, *_ = start.lstrip().splitlines() or [b""]
    try:
        codecs.getincrementaldecoder("utf-8")().decode(first)
    except UnicodeDecodeError:
        return False
    return bool(first) and b"\0" not in first


def check_encoding(name: str) -> str:
    """Return the name that Python has for an encoding.

    Raises:
        InvalidInputError: it has none, or it is none of text.
    """
    try:
        found = codecs.lookup(name)
        b"a".decode(name, "replace")  # which some codecs are not for
    except (LookupError, ValueError):
        pass
    else:
        if found.name not in _NO_ENCODINGS and found.incrementaldecoder is not None:
            return found.name
    raise InvalidInputError("--encoding is unknown: it takes a name such as latin-1, cp1252, utf-16 or shift_jis")
