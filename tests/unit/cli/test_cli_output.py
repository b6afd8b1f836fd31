"""What is written cannot control the terminal, a reader that has gone is no error, patient data is hidden."""

import io
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from rich.table import Table
from rich.text import Text

from spotdx_async import Kit, KitSummary, Order, OrderSummary, Patient, Recipient, Report, Sample, Shipment, loads
from spotdx_async.cli.answers import fields_of, plain, row_of
from spotdx_async.cli.console import show
from spotdx_async.cli.output import HIDDEN, Streams, visible
from spotdx_async.cli.standard_streams import guarded_outputs
from tests.new_objects import part


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
    show(table, Streams())
    assert "y" * 500 in capsys.readouterr().out


def test_json_is_one_line_of_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    Streams().write_json({"a": "Ł\x9b\x1b"})
    out = capsys.readouterr().out
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"a": "Ł\x9b\x1b"}


DIGITS = "1" * 5_000
DEEP = f"{'[' * 1_000}7{']' * 1_000}"


@pytest.mark.parametrize("number", ["1e400", "-1E+400", DIGITS])
def test_a_number_beyond_a_float_is_shown_as_it_came(number: str, capsys: pytest.CaptureFixture[str]) -> None:
    order = loads(f'{{"order_id": "Ł😀", "metadata": {{"n": {number}, "of": [{{"n": {number}}}]}}}}', Order)

    values = plain(order, show_phi=True)
    Streams().write_json(values)

    out = capsys.readouterr().out
    assert out.isascii()
    assert loads(out, Order) == order
    assert out.count(number) == 2
    assert row_of(values, ["metadata.n", "metadata.of"]) == [number, f'[{{"n":{number}}}]']
    assert fields_of(values)["metadata.n"] == number


def test_values_nested_as_deep_as_they_are_read_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    order = loads(f'{{"order_id": "O", "metadata": {{"n": {DEEP}}}}}', Order)

    values = plain(order, show_phi=True)
    Streams().write_json(values)

    assert DEEP in capsys.readouterr().out
    assert fields_of(values) == {"order_id": "O", "metadata.n" + "[0]" * 1_000: "7"}


def test_what_the_encoding_lacks_is_written_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii"))
    with guarded_outputs():
        Streams().tell("Łódź")
    assert raw.getvalue() == b"\\u0141\\xf3d\\u017a\n"


@pytest.fixture
def broken_stdout(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        monkeypatch.setattr("sys.stdout", broken)
        with guarded_outputs():
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


EXAMPLE = files("spotdx_async.testing").joinpath("kit_example.json").read_bytes()
PHI = ["Alice", "Smith", "1990-01-01", "alice123", "1234567890", "9400123456789999876500", "HDL", "mg/dL", "pdf.pdf"]


def test_a_kit_with_patient_data_comes_out_as_it_came_in() -> None:
    assert plain(loads(EXAMPLE, Kit), show_phi=True) == json.loads(EXAMPLE)


def test_a_kit_without_patient_data_shows_none_and_keeps_the_rest() -> None:
    kit = plain(loads(EXAMPLE, Kit), show_phi=False)
    shown = json.dumps(kit)
    assert not [word for word in PHI if word in shown]
    assert kit["status"] == "preparing"
    assert kit["events"][0] == {"status": "preparing", "created": "2023-01-01T04:30:11.222Z"}
    assert kit["registered_to"]["first_name"] == HIDDEN
    assert kit["sample"]["reports"][0]["date_collected"] == "2023-11-07T05:31:56Z"


def test_that_there_is_nothing_is_not_hidden() -> None:
    kit = Kit(kit_id="SPOT1", shipment_to_customer=Shipment(), sample=Sample(reports=(None, Report())))
    shown = plain(kit, show_phi=False)
    assert shown["shipment_to_customer"] == {"tracking_number": None, "carrier": None, "created": None}
    assert shown["sample"]["panels"] == []
    assert shown["sample"]["reports"][0] is None
    assert "extra" not in shown


def test_fields_that_nobody_knows_are_hidden() -> None:
    kit = loads(b'{"kit_id": "SPOT1", "metadata": {"name": "Alice"}}', Kit)
    assert plain(kit, show_phi=False)["extra"] == HIDDEN
    assert plain(kit, show_phi=True)["metadata"] == {"name": "Alice"}


@pytest.mark.parametrize(("micro", "text"), [(0, "05Z"), (222_000, "05.222Z"), (222_333, "05.222333Z")])
def test_times_are_written_as_finely_as_they_are(micro: int, text: str) -> None:
    created = datetime(2024, 1, 2, 3, 4, 5, micro, tzinfo=UTC)
    assert plain(KitSummary(created=created), show_phi=False)["created"] == f"2024-01-02T03:04:{text}"


def test_the_fields_of_a_kit_are_named_by_their_place() -> None:
    fields = fields_of(plain(loads(EXAMPLE, Kit), show_phi=False))
    assert fields["events[0].status"] == "preparing"
    assert not [word for word in PHI if word in str(fields)]
    assert "Alice" in fields_of(plain(loads(EXAMPLE, Kit), show_phi=True)).values()


def test_a_kit_in_a_list_is_a_row_of_its_columns() -> None:
    kit = KitSummary(kit_id="SPOT1", kit_status="delivered")
    assert row_of(plain(kit, show_phi=False), ["kit_id", "kit_status", "order_id"]) == ["SPOT1", "delivered", ""]


@pytest.mark.parametrize("show_phi", [False, True])
def test_a_column_can_be_a_field_of_an_object_within(*, show_phi: bool) -> None:
    orders = [OrderSummary(order_id="O1", recipient=part(Recipient, first_name="Alice")), OrderSummary(order_id="O2")]
    shown = [row_of(plain(order, show_phi=show_phi), ["order_id", "recipient.first_name"]) for order in orders]
    assert shown == [["O1", "Alice" if show_phi else HIDDEN], ["O2", ""]]


def test_a_field_that_was_asked_for_is_shown_alone() -> None:
    patient = Patient(patient_id="P-1", first_name="Alice")
    assert plain(patient, show_phi=False, asked_for="patient_id")["patient_id"] == "P-1"
    assert plain(patient, show_phi=False, asked_for="patient_id")["first_name"] == HIDDEN
    assert plain(patient, show_phi=False)["patient_id"] == HIDDEN
