"""Tables: ids stay whole at every width, pipes get tab-separated values, nothing steers a terminal."""

import io
import re
import sys
from collections.abc import Callable

import pytest

from spotdx_async.cli.output import Streams
from spotdx_async.cli.tables import RowsTable, escaped, show_fields, show_rows, widths_within

COLUMNS = ("kit_id", "kit_type", "kit_status", "order_id", "created")
IDS = ("SPOT123456", "3c90c3cc-0d44-4b50-8888-8dd25736052a")
ROW = (IDS[0], "health_kit_1", "delivery_exception", IDS[1], "2023-01-01T04:30:11.222Z")
STYLE = re.compile(r"\x1b\[[\d;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Make standard output a terminal of that many columns."""

    def make(columns: int) -> Terminal:
        monkeypatch.setattr(sys, "stdout", shown := Terminal())
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("NO_COLOR", "1")
        return shown

    return make


@pytest.mark.parametrize("columns", [20, 40, 60, 79, 80, 81, 90, 100, 120, 200])
def test_an_id_stays_on_one_line_at_every_width(terminal: Callable[[int], Terminal], columns: int) -> None:
    shown = terminal(columns)

    show_rows(Streams(), COLUMNS, [ROW, ("S", "", "", "", "")])

    lines = shown.getvalue().splitlines()
    assert all(any(an_id in line for line in lines) for an_id in IDS)
    assert "…" not in shown.getvalue()
    assert [line for line in lines if line != line.rstrip()] == []
    if columns >= 90:  # side by side
        assert max(map(len, lines)) <= columns
        assert [line for line in lines if all(an_id in line for an_id in IDS)] != []


def test_other_columns_give_way_and_lose_nothing(terminal: Callable[[int], Terminal]) -> None:
    shown = terminal(90)

    show_rows(Streams(), COLUMNS, [ROW])

    rows = [line for line in shown.getvalue().splitlines() if line.strip() and "─" not in line]
    for word in (ROW[1], ROW[2], ROW[4]):
        pieces = "".join("".join(line.split()) for line in rows)
        assert all(letter in pieces for letter in word)
    assert "Z" in rows[-1]


def test_a_cell_is_broken_between_words_where_it_can_be(terminal: Callable[[int], Terminal]) -> None:
    shown = terminal(30)

    show_rows(Streams(), ("setting", "from"), [("a file of rows", "the variable SPOTDX_CONFIG_OF_MINE  here")])

    lines = [line.strip() for line in shown.getvalue().splitlines() if line.strip()]
    assert lines[2:] == ["a file of      the variable", "rows           SPOTDX_CONFIG_", "OF_MINE  here"]


def test_a_narrow_terminal_gets_a_field_a_line(terminal: Callable[[int], Terminal]) -> None:
    shown = terminal(40)

    show_rows(Streams(), COLUMNS, [ROW, ROW])

    assert shown.getvalue().count(f"  order_id     {IDS[1]}\n") == 2


def test_a_longer_id_further_down_gets_its_place(terminal: Callable[[int], Terminal]) -> None:
    shown = terminal(60)
    table = RowsTable(Streams(), ("kit_id", "kit_type"))

    table.write([("K1", "a")])
    table.write([("K2", "b")])
    table.write([("K3" * 10, "c")])
    table.close()

    assert shown.getvalue().count("kit_type") == 2
    assert "K3" * 10 in shown.getvalue()


@pytest.mark.parametrize(
    ("natural", "firm", "room", "widths"),
    [
        ([5, 5], [True, False], 10, [5, 5]),
        ([5, 20], [True, False], 20, [5, 15]),
        ([5, 20, 12], [True, False, False], 30, [5, 13, 12]),
        ([5, 20], [True, False], 13, [5, 8]),
        ([5, 20], [True, False], 12, None),
        ([20], [True], 19, None),
        ([3, 3], [False, False], 5, None),
    ],
)
def test_the_widest_gives_way_first_and_an_id_never(
    natural: list[int], firm: list[bool], room: int, widths: list[int] | None
) -> None:
    assert widths_within(natural, firm=firm, room=room) == widths


def test_a_pipe_gets_tab_separated_values(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "20")

    show_rows(Streams(), COLUMNS, [ROW, ("S", "a\tb\n\\c", "", "", "")])

    lines = ["\t".join(COLUMNS), "\t".join(ROW), "S\ta\\tb\\n\\\\c\t\t\t", ""]
    assert capsys.readouterr().out == "\n".join(lines)


def test_an_empty_list_in_a_pipe_is_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(Streams(), COLUMNS, [])

    assert capsys.readouterr().out == "\t".join(COLUMNS) + "\n"


@pytest.mark.parametrize("text", ["plain", "a\tb", "a\nb\r", "\\t", "\\\t", "Łódź 北京", "\x1b[31m\u202e"])
def test_what_is_escaped_can_be_read_back(text: str) -> None:
    cell = escaped(text)

    assert not set(cell) & set("\t\n\r\x1b")
    assert re.sub(r"\\(?:u.{4}|x..|.)", lambda found: found[0].encode().decode("unicode_escape"), cell) == text


@pytest.mark.parametrize(
    ("color", "variables", "has_colours"),
    [
        ("auto", {"FORCE_COLOR": "1"}, False),
        ("auto", {"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"}, False),
        ("always", {}, True),
        ("always", {"NO_COLOR": "1", "TERM": "dumb"}, True),
        ("never", {"FORCE_COLOR": "1"}, False),
    ],
)
def test_a_pipe_has_colours_only_if_they_are_asked_for(
    color: str,
    variables: dict[str, str],
    has_colours: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    streams = Streams(color=color)  # type: ignore[arg-type]

    show_rows(streams, COLUMNS, [ROW])
    streams.tell("text", marked=("ok", "green"))
    streams.say("x" * 300)

    out, err = capsys.readouterr()
    assert bool(STYLE.search(out)) is has_colours
    assert (" ".join(STYLE.sub("", out).split()).count(" ".join(ROW)), err) == (1, f"spotdx: {'x' * 300}\n")


@pytest.mark.parametrize("is_pipe", [True, False])
def test_what_the_server_says_cannot_steer_the_terminal(
    *, terminal: Callable[[int], Terminal], capsys: pytest.CaptureFixture[str], is_pipe: bool
) -> None:
    shown = None if is_pipe else terminal(80)

    show_fields({"type": "[red]\x1b[31m", "name": "\x9b2J"}, Streams())
    show_rows(Streams(), ("kit_id",), [("[bold]\x07",)])

    text = capsys.readouterr().out if shown is None else shown.getvalue()
    assert all(word in text for word in ("[red]\\x1b[31m", "\\x9b2J", "[bold]\\x07"))


def test_fields_in_a_pipe_have_no_empty_lines_and_no_trailing_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields({"kit_id": "SPOT1", "type": ""}, Streams())

    assert capsys.readouterr().out == "  kit_id   SPOT1\n  type\n"
