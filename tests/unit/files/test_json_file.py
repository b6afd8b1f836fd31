"""One JSON object as a file: read whole, strictly, and refused without a value of it."""

import io
import os
from pathlib import Path

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.files import json_file, read_object


@pytest.mark.parametrize("data", [b'{"a": 1}', b'\n {"a": 1}\n'])
def test_an_object_is_given_as_it_came(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "one.json").write_bytes(data)
    assert read_object(tmp_path / "one.json") == data


def test_a_byte_order_mark_is_no_part_of_it(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_object(str(tmp_path / "one.json")) == b'{"a": 1}'


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_it_is_read_as_any_editor_writes_it(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "one.json").write_bytes('{"a": "\u00e9"}\r\n'.encode(encoding))
    assert read_object(tmp_path / "one.json") == '{"a": "\u00e9"}\r\n'.encode()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n", "the file is empty"),
        (b"[]", "the file is not a JSON object"),
        (b'"Alice"', "the file is not a JSON object"),
        (b'{"a": "Alice"', "the file is broken JSON"),
        (b'{"a": "Alice"} {}', "the file is broken JSON"),
        (b'{"a": "Alice", "a": "Bob"}', "an object names a key twice"),
        (b'{"a": {"b": 1, "b": 2}}', "an object names a key twice"),
        (b'{"a": NaN}', "NaN and Infinity are not JSON"),
        (b'{"a": "Al\xefce"}', "the text is not UTF-8: save it as UTF-8"),
        ('{"a": "Alice"}'.encode("utf-16")[:-1], "the text is not UTF-16-LE: save it as UTF-8"),
        (b"[" * 100_000, "the file is nested too deeply"),
    ],
)
def test_anything_else_is_refused_without_a_value(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(data)

    with pytest.raises(InvalidInputError) as caught:
        read_object(path)

    assert str(caught.value).startswith(f"{path}: {reason}")
    assert "Alice" not in str(caught.value)


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    for place, reason in [(tmp_path, "Is a directory"), (tmp_path / "none", "No such file or directory")]:
        with pytest.raises(InvalidInputError, match=reason):
            read_object(place)


def test_what_is_too_large_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            return b" " * size

    monkeypatch.setattr(json_file, "_open", lambda _path: Endless())
    with pytest.raises(InvalidInputError, match="larger than 10,485,760 bytes"):
        read_object("endless.json")


def test_a_dash_is_standard_input_which_stays_open(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(b'{"a": 1}')
    kept = os.dup(0)
    with (tmp_path / "one.json").open("rb") as given:
        os.dup2(given.fileno(), 0)
    try:
        assert read_object("-") == b'{"a": 1}'
        assert os.fstat(0).st_size == 8
        with pytest.raises(InvalidInputError, match=r"^standard input: the file is empty"):
            read_object("-")
    finally:
        os.dup2(kept, 0)
        os.close(kept)
