"""What becomes of a body that is to be a report's file: whole, cut, too large, compressed, or not the file."""

import gzip
import zlib
from collections.abc import Iterator, Mapping

import pytest

from spotdx_async._http import file_body
from spotdx_async._http.failures import TooLargeError
from spotdx_async._http.file_body import FileBody, FileKind

PDF = b"%PDF-1.7\n" + bytes(range(256)) * 20 + b"\n%%EOF\n"
TXT = b"HDL 61.5 mg/dL\n"
CHUNKED = {"Transfer-Encoding": "chunked"}


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def length(data: bytes, **headers: str) -> dict[str, str]:
    return {"Content-Length": str(len(data)), **headers}


def taken(body: FileBody, sent: bytes, size: int = 1000) -> bytes:
    came = b"".join(part for piece in pieces(sent, size) for part in body.take(piece))
    return came + b"".join(body.rest())


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("size", [1, 700, 100_000])
@pytest.mark.parametrize(
    ("kind", "data"), [("pdf", PDF), ("txt", TXT), ("pdf", b"\xef\xbb\xbf \n" + PDF), ("txt", b"x")]
)
def test_a_file_comes_out_as_it_was_sent(kind: FileKind, data: bytes, size: int) -> None:
    body = FileBody(kind, 200, length(data))

    assert taken(body, data, size) == data
    assert (body.fault, body.is_whole) == (None, True)


@pytest.mark.parametrize("size", [1, 700, 100_000])
@pytest.mark.parametrize(
    ("encoding", "sent"),
    [
        ("gzip", gzip.compress(PDF)),
        ("X-GZIP", gzip.compress(PDF[:100]) + gzip.compress(PDF[100:])),
        ("gzip", gzip.compress(PDF) + bytes(300)),
        ("deflate", zlib.compress(PDF)),
        ("deflate", raw_deflate(PDF)),
    ],
)
def test_a_compressed_file_is_unpacked(encoding: str, sent: bytes, size: int) -> None:
    body = FileBody("pdf", 200, {"Content-Encoding": encoding, **length(sent)})

    assert taken(body, sent, size) == PDF
    assert (body.fault, body.is_whole) == (None, True)


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        (length(PDF), PDF[:-1]),
        (length(PDF), PDF + b"x"),
        ({}, PDF[:-10]),
        ({"Content-Encoding": "gzip"}, gzip.compress(PDF)[:-9]),
        ({"Content-Encoding": "gzip", **CHUNKED}, gzip.compress(PDF)[:-9]),
    ],
)
def test_a_body_that_was_cut_is_not_whole(headers: Mapping[str, str], sent: bytes) -> None:
    body = FileBody("pdf", 200, headers)
    taken(body, sent)

    assert not body.is_whole


@pytest.mark.parametrize(("kind", "headers"), [("pdf", CHUNKED), ("txt", CHUNKED), ("pdf", {})])
def test_what_a_pdf_ends_with_counts_only_where_nothing_else_says_how_long_it_is(
    kind: FileKind, headers: Mapping[str, str]
) -> None:
    data = PDF if not headers else PDF[:-6] if kind == "pdf" else TXT
    body = FileBody(kind, 200, headers)
    taken(body, data)

    assert (body.fault, body.is_whole) == (None, True)


@pytest.mark.parametrize(
    ("kind", "sent", "fault"),
    [
        ("pdf", b"", "is empty"),
        ("txt", b" \r\n", "is empty"),
        ("pdf", TXT, "is not a PDF"),
        ("pdf", b"<?xml version='1.0'?><Error/>", "is not a PDF"),
        ("pdf", b"<p>%PDF-1.7", "is not a PDF"),
        ("pdf", b"<!DOCTYPE html><html>", "is a web page"),
        ("txt", b"\xef\xbb\xbf\n <HTML lang='en'>", "is a web page"),
        ("txt", b"<!doctype  html>", "is a web page"),
        ("txt", PDF, "is a PDF, and not text"),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_what_is_not_the_file_is_known_by_its_beginning(kind: FileKind, sent: bytes, fault: str, size: int) -> None:
    body = FileBody(kind, 200, length(sent))

    assert taken(body, sent, size) == b""
    assert body.fault is not None
    assert body.fault.startswith(fault)


def test_a_text_whose_length_nobody_says_is_refused() -> None:
    body = FileBody("txt", 200, {})
    taken(body, TXT)

    assert body.fault == "does not say how long it is, so nobody can tell whether it is whole"


@pytest.mark.parametrize("status", [201, 202, 204, 206])
def test_only_a_status_that_brings_a_whole_file_does(status: int) -> None:
    assert "brings no whole file" in str(FileBody("pdf", status, length(PDF)).fault)


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip"])
def test_a_compression_that_was_not_asked_for_is_refused(encoding: str) -> None:
    assert "compressed" in str(FileBody("pdf", 200, {"Content-Encoding": encoding}).fault)


@pytest.fixture
def cap(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(file_body, "MOST_BYTES", len(PDF))
    return len(PDF)


def test_a_file_that_says_to_be_larger_than_the_cap_is_not_read(cap: int) -> None:
    FileBody("pdf", 200, {"Content-Length": str(cap)})
    with pytest.raises(TooLargeError):
        FileBody("pdf", 200, {"Content-Length": str(cap + 1)})


def test_the_cap_holds_for_the_bytes_that_come(cap: int) -> None:
    assert len(taken(FileBody("pdf", 200, CHUNKED), PDF)) == cap
    with pytest.raises(TooLargeError):
        taken(FileBody("pdf", 200, CHUNKED), PDF + b"x")


@pytest.mark.usefixtures("cap")
def test_the_cap_holds_for_what_they_are_unpacked_to() -> None:
    body = FileBody("pdf", 200, {"Content-Encoding": "gzip"})

    with pytest.raises(TooLargeError):
        taken(body, gzip.compress(PDF + bytes(10_000_000)))


@pytest.mark.usefixtures("cap")
def test_the_cap_holds_for_bytes_that_unpack_to_nothing() -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    empty_block = b"\0\0\0\xff\xff"
    nothing = packer.compress(PDF[:100]) + packer.flush(zlib.Z_SYNC_FLUSH) + empty_block * 2000

    with pytest.raises(TooLargeError):
        taken(FileBody("pdf", 200, {"Content-Encoding": "gzip"}), nothing)


def test_a_small_piece_is_unpacked_step_by_step() -> None:
    bomb = gzip.compress(PDF + bytes(20_000_000))

    parts = FileBody("pdf", 200, {"Content-Encoding": "gzip"}).take(bomb)

    assert max(len(part) for part in parts) <= 256 * 1024


def test_broken_compression_is_an_error_of_zlib() -> None:
    with pytest.raises(zlib.error):
        taken(FileBody("pdf", 200, {"Content-Encoding": "gzip"}), b"no gzip at all")
