"""What every create shares: read without a loss, confirmed, sent once; what is said of a refusal."""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from spotdx_async import BadRequestError, InvalidInputError, NewOrder, NewRequisition, SpotClient
from spotdx_async.cli.create import ConfirmedAction, _carry_out, is_confirmed, read_to_send
from spotdx_async.cli.exit_codes import Exit
from spotdx_async.cli.options import View
from spotdx_async.cli.output import Streams
from spotdx_async.cli.settings import Settings
from spotdx_async.models import Model

ADDRESS = {"street1": "1 Canary Street", "city": "Springfield", "state": "IL", "country": "US", "zip": "00000"}
ORDER: dict[str, Any] = {
    "kit_types": ["health_kit_1"],
    "recipient": {
        "first_name": "Canary",
        "last_name": "Sample",
        "email": "c@example.org",
        "phone": "1",
        "address": ADDRESS,
    },
    "metadata": {"street_2": "free to be anything"},
}


def written(tmp_path: Path, value: Any) -> str:
    path = tmp_path / "object.json"
    path.write_text(json.dumps(value))
    return str(path)


def test_an_object_is_read_into_its_model(tmp_path: Path) -> None:
    order = read_to_send(written(tmp_path, ORDER), NewOrder, yes=False)

    assert order.kit_types == ("health_kit_1",)
    assert order.recipient is not None
    assert order.recipient.address is not None
    assert (order.recipient.first_name, order.recipient.address.city) == ("Canary", "Springfield")
    assert order.metadata == {"street_2": "free to be anything"}


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        ({**ORDER, "quantity": 2}, "quantity"),
        ({**ORDER, "recipient": {**ORDER["recipient"], "name": "Canary"}}, "recipient.name"),
        (
            {"recipient": {"address": {**ADDRESS, "street_2": "Canary"}, "phone_": "1"}, "kit": []},
            "kit, recipient.phone_, recipient.address.street_2",
        ),
        (dict.fromkeys("abcdefghijkl"), "a, b, c, d, e, f, g, h, i, j and 2 more"),
    ],
)
def test_a_field_that_the_api_does_not_have_never_gets_lost(tmp_path: Path, value: Any, fields: str) -> None:
    path = written(tmp_path, value)

    with pytest.raises(InvalidInputError) as caught:
        read_to_send(path, NewOrder, yes=False)

    assert str(caught.value) == f"{path}: unknown fields: {fields}"


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"kit_types": "Canary"}, "kit_types"),
        ({"patient": ["Canary"]}, "patient"),
        ({"patient": {"date_of_birth": "Canary"}}, "patient.date_of_birth"),
        ({"patient": {"date_of_birth": "1990-02-30"}}, "patient.date_of_birth"),
        ({"patient": {"address": {"zip": 90210}}}, "patient.address.zip"),
        ({"panels": ["a", 1]}, "panels[1]"),
    ],
)
def test_a_value_of_another_shape_is_told_by_its_place(tmp_path: Path, value: Any, place: str) -> None:
    path = written(tmp_path, value)

    with pytest.raises(InvalidInputError) as caught:
        if "kit_types" in value:
            read_to_send(path, NewOrder, yes=False)
        else:
            read_to_send(path, NewRequisition, yes=False)

    assert str(caught.value).startswith(f"{path}: {place} should be ")
    assert "Canary" not in str(caught.value)
    assert "1990" not in str(caught.value)


def test_an_option_that_nobody_knows_is_no_file() -> None:
    with pytest.raises(InvalidInputError, match=r"unknown option --nope: --help lists them; write .* as \./--nope"):
        read_to_send("--nope", NewOrder, yes=True)


def test_standard_input_without_a_yes_is_not_even_read() -> None:
    with pytest.raises(InvalidInputError, match="pass --yes"):
        read_to_send("-", NewOrder, yes=False)


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
    assert is_confirmed("Order 2 kits?", Streams(), yes=False)
    assert seen.getvalue() == "Order 2 kits? [y/N] "


@pytest.mark.parametrize("answer", ["\n", "n\n", "no\n", "yess\n", "ja\n", "y n\n", "\x04\n"])
def test_anything_else_is_a_no_and_told_as_one(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    seen = typed(monkeypatch, answer)
    assert not is_confirmed("Order?", Streams(), yes=False)
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
    assert not is_confirmed("Order?", Streams(), yes=False)
    assert seen.getvalue() == "Order? [y/N] \nspotdx: nothing was sent\n"


def test_an_interrupt_at_the_question_leaves_a_clean_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "")

    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.stdin, "readline", interrupted)
    with pytest.raises(KeyboardInterrupt):
        is_confirmed("Order?", Streams(), yes=False)
    assert seen.getvalue().endswith("[y/N] \n")


def test_a_question_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "y\n")
    is_confirmed("Order [red]\x1b[2J\r?", Streams(), yes=False)
    assert seen.getvalue() == "Order [red]\\x1b[2J\\r? [y/N] "


def test_a_yes_given_beforehand_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = typed(monkeypatch, "n\n")
    assert is_confirmed("Order?", Streams(), yes=True)
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
    with pytest.raises(InvalidInputError, match="pass --yes"):
        is_confirmed("Order?", streams, yes=False)


ADVICE = "look before you run this command again"


class SettingsOfNobody:
    """Makes a client that sends nothing."""

    def client(self) -> SpotClient:
        return SpotClient("token", base_url="http://127.0.0.1:1")


@pytest.mark.parametrize("may_be_executed", [True, False])
def test_a_no_after_an_attempt_that_may_have_been_carried_out_says_so(
    capsys: pytest.CaptureFixture[str], *, may_be_executed: bool
) -> None:
    async def do(_: SpotClient) -> Model:
        error = BadRequestError("the server answered 400", status=400)
        error.may_be_executed = may_be_executed
        raise error

    act = ConfirmedAction(question="?", do=do, look=None, advice=ADVICE)
    settings: Any = SettingsOfNobody()

    code = asyncio.run(_carry_out(act, cast("Settings", settings), Streams(), View()))

    assert code is Exit.FAILED
    assert (f"may have been executed all the same: {ADVICE}" in capsys.readouterr().err) is may_be_executed
