"""What is written cannot steer the terminal, and a reader that has gone is no trouble."""

import io
import json
import os
from collections.abc import Iterator

import pytest
from rich.table import Table
from rich.text import Text

from spotdx_async.cli.streams import Streams, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain [red]text[/red]", "plain [red]text[/red]"),
        ("Łódź 北京", "Łódź 北京"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb\nc\td\x00", "a\\rb\\nc\\td\\x00"),
        ("\x7f\x9b31m", "\\x7f\\x9b31m"),
        ("\u202egnp.exe\u2066", "\\u202egnp.exe\\u2066"),
        ("a\u2028b\ufeff", "a\\u2028b\\ufeff"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_would_steer_a_terminal_is_seen_instead(text: str, seen: str) -> None:
    assert visible(text) == seen


def test_a_line_about_the_command_goes_to_standard_error_unfolded(capsys: pytest.CaptureFixture[str]) -> None:
    Streams().say("x" * 300 + "[bold]\x1b[2J")
    assert capsys.readouterr() == ("", "spotdx: " + "x" * 300 + "[bold]\\x1b[2J\n")


def test_a_table_on_its_way_to_a_file_is_cut_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("column")
    table.add_row(Text("y" * 500))
    Streams().show(table)
    assert "y" * 500 in capsys.readouterr().out


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    Streams().write_json({"a": "Ł\x9b\x1b"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"a": "Ł\x9b\x1b"}


def test_what_the_encoding_lacks_is_written_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Streams().tell("Łódź")
    assert raw.getvalue() == b"\\u0141\\xf3d\\u017a\n"


@pytest.fixture
def broken_stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        monkeypatch.setattr("sys.stdout", broken)
        yield


@pytest.mark.usefixtures("broken_stdout")
def test_a_reader_that_has_gone_ends_the_output_and_not_the_command() -> None:
    streams = Streams()
    streams.tell("nobody reads this")
    streams.write_json(["nor this"])
    streams.tell("nor this")


@pytest.mark.usefixtures("broken_stdout")
def test_a_reader_that_has_gone_is_no_trouble_for_json() -> None:
    streams = Streams()
    streams.write_json(["nobody reads this"])
    streams.tell("nor this")
