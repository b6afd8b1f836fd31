import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from spotdx_async.testing.kits import FakeKit, Kits
from spotdx_async.testing.made_up import EXAMPLE_KIT_ID
from spotdx_async.testing.store import stamp


@pytest.fixture
def kits() -> Kits:
    return Kits()


def test_an_added_kit_answers_like_the_example_under_its_own_id(kits: Kits) -> None:
    kit = kits.add('A"B')

    answer: dict[str, Any] = json.loads(kit.answer().body)

    assert answer["kit_id"] == 'A"B'
    assert answer["sample"]["reports"][0]["results"][1]["result"] == "<10"


def test_a_kit_answers_the_same_before_and_after_its_document_is_made(kits: Kits) -> None:
    kit = kits.add("SPOT1")
    before = kit.answer().body

    assert kit.document["status"] == "preparing"

    assert kit.answer().body == before


def test_a_changed_document_is_what_the_kit_answers(kits: Kits) -> None:
    kit = kits.add("SPOT1")

    kit.document["sample"]["status"] = "on_no_list"
    del kit.document["events"]
    kit.status = "registered"

    answer = json.loads(kit.answer().body)
    assert answer["sample"]["status"] == "on_no_list"
    assert "events" not in answer
    assert answer["status"] == "registered"


def test_changing_one_kit_leaves_the_others_alone(kits: Kits) -> None:
    first, second = kits.add("A"), kits.add("B")

    first.document["sample"]["panels"].append("X")

    assert second.document["sample"]["panels"] == ["PANEL-123"]
    assert kits.add("C").document["sample"]["panels"] == ["PANEL-123"]


def test_what_is_said_of_a_kit_replaces_the_example(kits: Kits) -> None:
    kit = kits.add(
        "A", status="delivered", sample=None, metadata={"cohort": "A"}, order_id="O1", created="2024-05-01T00:00:00Z"
    )

    assert kit.status == "delivered"
    assert kit.document["sample"] is None
    assert kit.metadata == {"cohort": "A"}
    assert kit.summary() == {
        "kit_id": "A",
        "kit_type": "health_kit_1",
        "order_id": "O1",
        "kit_status": "delivered",
        "sample_status": None,
        "created": "2024-05-01T00:00:00.000Z",
        "updated": "2024-05-01T00:00:00.000Z",
    }


def test_a_summary_leaves_out_what_the_document_lacks(kits: Kits) -> None:
    kit = kits.add("A", document={"kit_id": "A"}, updated=datetime(2024, 5, 2, tzinfo=UTC))

    assert kit.status is None
    assert kit.registered_to == {}
    assert kit.summary() == {
        "kit_id": "A",
        "order_id": None,
        "created": "2023-01-01T04:30:11.222Z",
        "updated": "2024-05-02T00:00:00.000Z",
    }


def test_a_misspelt_field_is_refused_and_nothing_is_added(kits: Kits) -> None:
    with pytest.raises(ValueError, match="unknown: stauts; known: created, document, events"):
        kits.add("A", stauts="delivered")

    assert "A" not in kits


@pytest.mark.parametrize("kit_id", ["", ".", ".."])
def test_an_id_that_is_no_path_segment_is_refused(kits: Kits, kit_id: str) -> None:
    with pytest.raises(ValueError, match="one segment of a path"):
        kits.add(kit_id)


def test_an_id_is_added_once(kits: Kits) -> None:
    kits.add("A")

    with pytest.raises(ValueError, match="there already"):
        kits.add("A")


def test_many_kits_get_ids_that_are_free(kits: Kits) -> None:
    kits.add("SPOT000002")

    assert kits.add_many(2) == ("SPOT000001", "SPOT000003")
    assert kits.add_many(1) == ("SPOT000004",)
    assert kits.add_many(["A", "B"]) == ("A", "B")
    assert list(kits) == ["SPOT000002", "SPOT000001", "SPOT000003", "SPOT000004", "A", "B"]


def test_kits_stand_in_order_of_creation_then_of_adding(kits: Kits) -> None:
    kits.add("late", created="2024-01-02T00:00:00Z")
    kits.add("early", created="2024-01-01T00:00:00Z")
    kits.add("late too", created="2024-01-02T00:00:00.000+00:00")

    assert [kit.kit_id for kit in kits.by_creation()] == ["early", "late", "late too"]


def test_a_removed_kit_is_gone_from_the_list(kits: Kits) -> None:
    kits.add_many(["A", "B"])
    assert len(kits.by_creation()) == 2

    del kits["A"]

    assert [kit.kit_id for kit in kits.by_creation()] == ["B"]
    assert len(kits) == 1


def test_the_default_world_shows_an_example_a_bare_kit_and_nulls(kits: Kits) -> None:
    kits.add_default_world()

    example, bare, nulls = (json.loads(kit.answer().body) for kit in kits.by_creation())
    assert example["kit_id"] == EXAMPLE_KIT_ID
    assert bare.keys() == {"kit_id", "type", "status", "events"}
    assert (nulls["sample"], nulls["registered_to"], nulls["shipment_to_customer"]["carrier"]) == (None, None, None)


def test_reprs_show_no_patient_data(kits: Kits) -> None:
    kit = kits.add("SPOT1", metadata={"note": "secret"})

    assert repr(kit) == "<FakeKit SPOT1 preparing>"
    assert repr(kits) == "<Kits: 1>"


def test_stamps_are_utc_milliseconds_with_a_z() -> None:
    assert stamp(datetime(2023, 1, 1, 6, 30, 11, 222999, timezone(timedelta(hours=2)))) == "2023-01-01T04:30:11.222Z"
    assert stamp("2023-01-01T04:30:11Z") == "2023-01-01T04:30:11.000Z"


@pytest.mark.parametrize("moment", ["2023-01-01T04:30:11", "not a date"])
def test_an_instant_without_a_zone_is_refused(moment: str) -> None:
    with pytest.raises(ValueError, match=r"zone|isoformat"):
        FakeKit("A", created=moment)
