import json
from typing import Any
from uuid import UUID

import pytest

from spotdx_async.testing.requisitions import EXAMPLE_REQUISITION_ID, FakeRequisition, Requisitions

NOW = "2030-01-01T00:00:00.000Z"


@pytest.fixture
def requisitions() -> Requisitions:
    return Requisitions(now=lambda: NOW)


def answer_of(requisition: FakeRequisition, **form: Any) -> Any:
    return json.loads(requisition.answer(**form).body)


def test_an_added_requisition_is_approved_and_has_a_barcode_of_its_own(requisitions: Requisitions) -> None:
    first, second = requisitions.add("a"), requisitions.add("b")

    assert (first.status, answer_of(first)["events"][-1]["event"]) == ("approved", "approved")
    assert first.barcode != second.barcode
    assert answer_of(first)["patient"]["email"].endswith("@example.com")


def test_changing_one_requisition_leaves_the_others_alone(requisitions: Requisitions) -> None:
    requisitions.add("a").document["patient"]["address"]["city"] = "Elsewhere"

    assert requisitions.add("b").patient["address"]["city"] == "Springfield"


def test_the_address_is_sent_in_either_form(requisitions: Requisitions) -> None:
    requisition = requisitions.add("a")

    plain, wrapped = (answer_of(requisition, form=form)["patient"]["address"] for form in ("plain", "wrapped"))

    assert plain["city"] == "Springfield"
    assert wrapped == {"address": plain}
    assert requisition.summary()["patient"]["address"] == plain


@pytest.mark.parametrize("patient", [None, {"first_name": "Kim"}])
def test_a_patient_without_an_address_is_not_given_one(requisitions: Requisitions, patient: Any) -> None:
    assert answer_of(requisitions.add("a", patient=patient), form="wrapped")["patient"] == patient


def test_a_summary_leaves_out_what_the_document_lacks(requisitions: Requisitions) -> None:
    requisition = requisitions.add("a", document={}, updated=NOW)

    assert (requisition.status, requisition.patient, requisition.metadata) == (None, {}, None)
    assert requisition.summary() == {
        "requisition_id": "a",
        "created": "2023-01-01T04:30:11.222Z",
        "updated": NOW,
    }


def test_a_status_can_be_set(requisitions: Requisitions) -> None:
    requisition = requisitions.add("a")

    requisition.status = "held_at_customs"

    assert answer_of(requisition)["status"] == "held_at_customs"


def test_a_barcode_is_there_once(requisitions: Requisitions) -> None:
    requisitions.add("a", barcode="1")

    with pytest.raises(ValueError, match="a requisition with this barcode is there already"):
        requisitions.add("b", barcode="1")
    assert requisitions.has_barcode("1")
    assert list(requisitions) == ["a"]


def test_a_removed_requisition_gives_its_barcode_back(requisitions: Requisitions) -> None:
    requisitions.add("a", barcode="1")

    del requisitions["a"]

    assert requisitions.add("b", barcode="1").barcode == "1"


def test_an_id_is_added_once(requisitions: Requisitions) -> None:
    requisitions.add("a", barcode="1")

    with pytest.raises(ValueError, match="a requisition with this id is there already"):
        requisitions.add("a", barcode="2")
    assert not requisitions.has_barcode("2")


def test_a_misspelt_field_is_refused(requisitions: Requisitions) -> None:
    with pytest.raises(ValueError, match="unknown: brcode; known: account_number, attributes, barcode, created"):
        requisitions.add("a", brcode="1")


def test_ids_that_are_made_up_are_uuids(requisitions: Requisitions) -> None:
    assert {UUID(an_id).version for an_id in requisitions.add_many(2)} == {4}


def test_requisitions_stand_in_order_of_creation_then_of_adding(requisitions: Requisitions) -> None:
    requisitions.add("late", created="2024-01-02T00:00:00Z")
    requisitions.add("early", created="2024-01-01T00:00:00Z")
    requisitions.add("late too", created="2024-01-02T00:00:00Z")

    assert [one.requisition_id for one in requisitions.by_creation()] == ["early", "late", "late too"]


def test_a_requisition_goes_from_its_approval_to_the_report(requisitions: Requisitions) -> None:
    requisition = requisitions.add("a")

    for step in ("fail_delivery", "deliver", "receive", "check_quality"):
        getattr(requisition, step)()
    report = requisition.result()

    assert [event["event"] for event in requisition.document["events"]] == [
        *("created", "approved", "delivery_exception", "delivered", "received", "extra_quality_checks", "resulted"),
    ]
    assert requisition.document["reports"] == [report]
    assert (report["date_received"], report["is_amendment"], requisition.updated) == (NOW, False, NOW)
    assert requisition.result([])["is_amendment"]


@pytest.mark.parametrize(
    ("steps", "too_early", "message"),
    [
        ([], "receive", r"deliver\(\) has to come first.*this one is approved"),
        (["deliver"], "result", r"receive\(\) has to come first.*this one is delivered"),
        (["deliver", "receive", "reject"], "result", r"this one is rejected"),
        (["deliver"], "deliver", r"deliver\(\) needs a requisition that is approved or delivery_exception"),
    ],
)
def test_a_step_out_of_turn_says_what_has_to_come_first(
    requisitions: Requisitions, steps: list[str], too_early: str, message: str
) -> None:
    requisition = requisitions.add("a")
    for step in steps:
        getattr(requisition, step)()
    before = answer_of(requisition)

    with pytest.raises(ValueError, match=message):
        getattr(requisition, too_early)()

    assert answer_of(requisition) == before


def test_the_default_world_shows_one_with_a_report_a_bare_one_and_nulls(requisitions: Requisitions) -> None:
    requisitions.add_default_world()

    full, bare, denied = map(answer_of, requisitions.values())
    assert (full["requisition_id"], full["status"], len(full["reports"])) == (EXAMPLE_REQUISITION_ID, "resulted", 1)
    assert bare.keys() == {"requisition_id", "status", "created", "updated"}
    assert (denied["status"], denied["attributes"], denied["tracking"]["carrier"]) == ("denied", None, None)


def test_a_requisition_of_no_shelf_goes_by_the_machines_clock() -> None:
    requisition = FakeRequisition("a")

    requisition.deliver()

    assert requisition.updated > requisition.created


def test_reprs_show_no_patient_data(requisitions: Requisitions) -> None:
    assert repr(requisitions.add("a")) == "<FakeRequisition a approved>"
    assert repr(requisitions) == "<Requisitions: 1>"
