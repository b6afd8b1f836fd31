"""Whether a command that cannot be undone may go on."""

import io
import sys

import pytest

from spotdx_async import InvalidInputError
from spotdx_async.cli.prompt import is_agreed
from spotdx_async.cli.streams import Streams


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> Terminal:
    """Put a person's words on a terminal; gives what the person sees."""
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setattr(sys, "stdin", Terminal(text))
    monkeypatch.setattr(sys, "stderr", seen := Terminal())
    return seen


@pytest.mark.parametrize("answer", ["y\n", "yes\n", " YES \n", "y"])
def test_a_clear_yes_goes_on(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    seen = typed(monkeypatch, answer)
    assert is_agreed("Order 2 kits?", Streams(), yes=False)
    assert seen.getvalue() == "Order 2 kits? [y/N] "


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", "yess\n", "ja\n", "y n\n", "\x04\n"])
def test_anything_else_is_a_no_and_told_as_one(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    seen = typed(monkeypatch, answer)
    assert not is_agreed("Order?", Streams(), yes=False)
    assert seen.getvalue() == "Order? [y/N] spotdx: nothing was sent\n"


@pytest.mark.parametrize("error", [None, OSError(5, "Input/output error"), UnicodeDecodeError("utf-8", b"", 0, 1, "")])
def test_an_end_or_a_broken_line_in_place_of_an_answer_is_a_no(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None
) -> None:
    seen = typed(monkeypatch, "")

    def readline() -> str:
        if error is None:
            return ""
        raise error

    monkeypatch.setattr(sys.stdin, "readline", readline)
    assert not is_agreed("Order?", Streams(), yes=False)
    assert seen.getvalue() == "Order? [y/N] \nspotdx: nothing was sent\n"


def test_an_interrupt_at_the_question_leaves_a_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "")

    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    with pytest.raises(KeyboardInterrupt):
        is_agreed("Order?", Streams(), yes=False)
    assert seen.getvalue().endswith("[y/N] \n")


def test_a_question_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "y\n")
    is_agreed("Order [red]\x1b[2J\r?", Streams(), yes=False)
    assert seen.getvalue() == "Order [red]\\x1b[2J\\r? [y/N] "


def test_a_yes_given_beforehand_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "n\n")
    assert is_agreed("Order?", Streams(), yes=True)
    assert seen.getvalue() == ""


@pytest.mark.parametrize("stream", ["stdin", "stderr"])
@pytest.mark.parametrize("kind", ["no terminal", "none", "closed"])
def test_without_a_terminal_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch, stream: str, kind: str) -> None:
    typed(monkeypatch, "y\n")
    streams = Streams()
    stand_in = None if kind == "none" else Terminal("y\n") if kind == "closed" else io.StringIO("y\n")
    if kind == "closed" and stand_in is not None:
        stand_in.close()
    monkeypatch.setattr(sys, stream, stand_in)
    with pytest.raises(InvalidInputError, match="give --yes"):
        is_agreed("Order?", streams, yes=False)
