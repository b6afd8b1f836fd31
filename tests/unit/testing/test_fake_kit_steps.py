from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from spotdx_async.testing.kits import FakeKit, Kits
from spotdx_async.testing.patients import FakePatient

NOW = "2030-01-01T00:00:00.000Z"
PATIENT = FakePatient("p1", first_name="Robin", phone="2025550147")


@pytest.fixture
def kit() -> FakeKit:
    kits = Kits(now=lambda: NOW)
    return kits.add("SPOT1", document={"kit_id": "SPOT1", "status": "preparing", "events": []})


def taken(kit: FakeKit, *steps: str) -> FakeKit:
    for step in steps:
        if step == "register":
            kit.register(PATIENT)
        else:
            getattr(kit, step)()
    return kit


def statuses(events: list[dict[str, Any]]) -> list[str]:
    return [event["status"] for event in events]


def test_a_kit_goes_from_the_parcel_to_its_registration(kit: FakeKit) -> None:
    taken(kit, "ship", "fail_delivery", "deliver", "register")

    assert kit.status == "registered"
    assert statuses(kit.document["events"]) == ["in_transit", "delivery_exception", "delivered", "registered"]
    assert {event["created"] for event in kit.document["events"]} == {NOW}
    assert kit.updated == NOW


def test_a_shipped_kit_has_a_tracking_number(kit: FakeKit) -> None:
    kit.ship()

    shipment = kit.document["shipment_to_customer"]
    assert (len(shipment["tracking_number"]), shipment["carrier"], shipment["created"]) == (22, "usps", NOW)


def test_a_shipment_can_be_named(kit: FakeKit) -> None:
    kit.ship(tracking_number="1", carrier=None)

    assert kit.document["shipment_to_customer"] == {"tracking_number": "1", "carrier": None, "created": NOW}


def test_a_registered_kit_names_its_patient_and_has_a_sample(kit: FakeKit) -> None:
    taken(kit, "ship", "deliver", "register")

    assert kit.registered_to == {"patient_id": "p1", **PATIENT.document}
    assert kit.document["sample"]["status"] == "awaiting_collection"


def test_a_sample_goes_from_its_collection_to_the_report(kit: FakeKit) -> None:
    taken(kit, "ship", "deliver", "register", "fail_collection", "collect", "send_back", "fail_return", "arrive")
    taken(kit, "receive", "check_quality", "result")

    sample = kit.document["sample"]
    assert (kit.status, sample["status"]) == ("registered", "resulted")
    assert statuses(sample["events"]) == [
        *("awaiting_collection", "collection_exception", "collected", "in_transit", "delivery_exception"),
        *("delivered", "received", "extra_quality_checks", "resulted"),
    ]
    assert [shipment["carrier"] for shipment in sample["shipments"]] == ["usps"]
    assert kit.summary()["sample_status"] == "resulted"


@pytest.mark.parametrize("step", ["result", "reject", "check_quality"])
def test_the_way_to_the_lab_is_made_up_where_it_was_not_played(kit: FakeKit, step: str) -> None:
    taken(kit, "ship", "deliver", "register", "collect", step)

    assert statuses(kit.document["sample"]["events"])[1:5] == ["collected", "in_transit", "delivered", "received"]


def test_a_report_holds_results_of_all_three_kinds(kit: FakeKit) -> None:
    taken(kit, "ship", "deliver", "register", "collect")

    report = kit.result()

    assert kit.document["sample"]["reports"] == [report]
    assert {result["result_type"] for result in report["results"]} == {"quantity", "reactivity", "genotype"}
    assert (report["date_collected"], report["date_resulted"], report["is_amendment"]) == (NOW, NOW, False)


def test_a_report_can_be_given(kit: FakeKit) -> None:
    taken(kit, "ship", "deliver", "register", "collect")
    results = [{"result_type": "reactivity", "result": "positive"}]

    report = kit.result(results)
    results[0]["result"] = "negative"

    assert report["results"] == [{"result_type": "reactivity", "result": "positive"}]


def test_a_partial_report_is_completed_and_the_next_one_amends_it(kit: FakeKit) -> None:
    taken(kit, "ship", "deliver", "register", "collect")

    kit.result(is_partial=True)
    partial = kit.document["sample"]["status"]
    taken(kit, "result", "result")

    reports = kit.document["sample"]["reports"]
    assert (partial, kit.document["sample"]["status"]) == ("partially_resulted", "resulted")
    assert [report["is_amendment"] for report in reports] == [False, False, True]
    assert len({report["report_id"] for report in reports}) == 3


def test_the_steps_are_stamped_one_by_one() -> None:
    clock = iter(range(1, 100))
    kits = Kits(now=lambda: f"2030-01-{next(clock):02}T00:00:00.000Z")
    kit = taken(kits.add("A", status="preparing", sample=None, events=None), "ship", "deliver", "register", "collect")

    report = kit.result()

    assert report["date_collected"] < report["date_received"] < report["date_resulted"] == kit.updated


@pytest.mark.parametrize(
    ("steps", "too_early", "message"),
    [
        ([], "deliver", r"deliver\(\) needs a kit that is in_transit.*\(ship\(\) has to come first\).*is preparing"),
        ([], "fail_delivery", r"ship\(\) has to come first"),
        (["ship"], "ship", r"ship\(\) needs a kit that is preparing.*this one is in_transit"),
        (["ship"], "register", r"deliver\(\) has to come first.*in_transit"),
        (["ship", "deliver"], "collect", r"register\(\) has to come first.*delivered"),
        (["ship", "deliver", "register"], "cancel", r"cancel\(\) needs a kit.*registered"),
        (["ship", "deliver", "register"], "send_back", r"collect\(\) has to come first.*awaiting_collection"),
        (["ship", "deliver", "register"], "result", r"collect\(\) has to come first.*awaiting_collection"),
        (["ship", "deliver", "register", "collect"], "arrive", r"send_back\(\) has to come first"),
        (["ship", "deliver", "register", "collect", "send_back"], "receive", r"arrive\(\) has to come first"),
        (["ship", "deliver", "register", "collect", "reject"], "result", r"this one is rejected"),
        (["ship", "deliver", "register", "collect", "result"], "check_quality", r"this one is resulted"),
        (["cancel"], "ship", r"this one is canceled"),
    ],
)
def test_a_step_out_of_turn_says_what_has_to_come_first(
    kit: FakeKit, steps: list[str], too_early: str, message: str
) -> None:
    taken(kit, *steps)
    before = kit.answer().body

    with pytest.raises(ValueError, match=message):
        taken(kit, too_early)

    assert kit.answer().body == before


def test_no_sample_is_made_by_a_step_that_comes_too_early(kit: FakeKit) -> None:
    with pytest.raises(ValueError, match=r"collect\(\) has to come first\); this one is None"):
        kit.result()

    assert "sample" not in kit.document


def test_a_registered_kit_without_a_sample_gets_one_when_it_is_collected() -> None:
    kit = Kits().add("A", status="registered", sample=None)

    kit.collect()

    assert kit.document["sample"]["status"] == "collected"


@pytest.mark.parametrize("status", ["preparing", "pending", "kit_type_assigned", "delivered", "held_at_customs"])
def test_a_kit_can_be_activated_whatever_the_carrier_says(kit: FakeKit, status: str) -> None:
    kit.status = status

    kit.activate(PATIENT)

    assert (kit.status, kit.registered_to["patient_id"]) == ("registered", "p1")


@pytest.mark.parametrize("spoil", [lambda kit: kit.activate(PATIENT), lambda kit: kit.cancel()])
def test_a_kit_is_activated_once_and_not_after_it_was_canceled(kit: FakeKit, spoil: Callable[[FakeKit], None]) -> None:
    spoil(kit)

    assert not kit.can_be_activated
    with pytest.raises(ValueError, match=r"registered once, and not after cancel\(\)"):
        kit.activate(PATIENT)


def test_the_documented_example_goes_on_from_its_status() -> None:
    kit = Kits(now=lambda: NOW).add("SPOT1")

    kit.ship()

    assert kit.status == "in_transit"
    assert len(kit.document["events"]) == 5
    assert kit.document["events"][-1] == {"status": "in_transit", "created": NOW}


def test_a_step_changes_no_other_kit() -> None:
    kits = Kits()
    first, second = kits.add("A"), kits.add("B")

    taken(first, "ship", "deliver", "register", "collect", "result")

    assert second.status == "preparing"
    assert kits.add("C").answer().body == second.answer().body.replace(b'"B"', b'"C"')


def test_whoever_watches_the_kits_is_told_of_each_step() -> None:
    kits = Kits()
    seen = []
    kits.watchers.append(lambda moved: seen.append((moved.kit_id, moved.status)))

    taken(kits.add("A"), "ship", "deliver")

    assert seen == [("A", "in_transit"), ("A", "delivered")]


def test_a_kit_of_no_shelf_goes_by_the_machines_clock() -> None:
    kit = FakeKit("A")

    kit.ship()

    assert datetime.fromisoformat(kit.updated) <= datetime.now(UTC)
    assert kit.updated > kit.created
