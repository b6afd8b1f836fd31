"""Models as tables and JSON: patient data hidden by the models' own marking, nothing else lost."""

import io
import json
from datetime import UTC, datetime
from importlib.resources import files

import pytest
from rich.console import Console
from rich.table import Table

from spotdx_async import Kit, KitSummary, OrderSummary, Patient, Recipient, Registrant, Report, Sample, Shipment, loads
from spotdx_async.cli.tables import HIDDEN, fields_table, plain, rows_table, words_table

EXAMPLE = files("spotdx_async.testing").joinpath("kit_example.json").read_bytes()
PHI = ["Alice", "Smith", "1990-01-01", "alice123", "1234567890", "9400123456789999876500", "HDL", "mg/dL", "pdf.pdf"]


def text_of(table: Table) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


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


def test_the_table_of_a_kit_names_each_value_by_its_place() -> None:
    lines = text_of(fields_table(plain(loads(EXAMPLE, Kit), show_phi=False))).splitlines()
    assert any("events[0].status" in line and "preparing" in line for line in lines)
    assert not [word for word in PHI if word in "\n".join(lines)]
    assert "Alice" in text_of(fields_table(plain(loads(EXAMPLE, Kit), show_phi=True)))


def test_what_the_server_says_cannot_steer_the_terminal() -> None:
    kit = Kit(kit_id="SPOT1", type="[red]\x1b[31m", registered_to=Registrant(first_name="\x9b2J"))
    shown = text_of(fields_table(plain(kit, show_phi=True)))
    assert "[red]\\x1b[31m" in shown
    assert "\\x9b2J" in shown
    assert "\\x1b" in text_of(words_table("kit_type", ["\x1b]0;title\x07"]))
    assert "[bold]\\x07" in text_of(rows_table([KitSummary(kit_id="[bold]\x07")], ["kit_id"], show_phi=False))


def test_a_list_of_kits_is_a_table_of_summaries() -> None:
    kits = [KitSummary(kit_id="SPOT1", kit_status="delivered"), KitSummary(kit_id="SPOT2")]
    shown = text_of(rows_table(kits, ["kit_id", "kit_status", "order_id"], show_phi=False))
    assert [word in shown for word in ("kit_id", "SPOT1", "delivered", "SPOT2", "None")] == [True] * 4 + [False]


@pytest.mark.parametrize("show_phi", [False, True])
def test_a_column_can_be_a_field_of_an_object_within(*, show_phi: bool) -> None:
    orders = [OrderSummary(order_id="O1", recipient=Recipient(first_name="Alice")), OrderSummary(order_id="O2")]
    shown = text_of(rows_table(orders, ["order_id", "recipient.first_name"], show_phi=show_phi))
    assert ("Alice" in shown, HIDDEN in shown, "O2" in shown) == (show_phi, not show_phi, True)


def test_a_field_that_was_asked_for_is_shown_alone() -> None:
    patient = Patient(patient_id="P-1", first_name="Alice")
    assert plain(patient, show_phi=False, asked_for="patient_id")["patient_id"] == "P-1"
    assert plain(patient, show_phi=False, asked_for="patient_id")["first_name"] == HIDDEN
    assert plain(patient, show_phi=False)["patient_id"] == HIDDEN
