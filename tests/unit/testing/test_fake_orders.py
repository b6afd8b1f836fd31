import json
from typing import Any

import pytest

from spotdx_async.testing.kits import Kits
from spotdx_async.testing.orders import EXAMPLE_ORDER_ID, FakeOrder, Orders
from spotdx_async.testing.patients import FakePatient

NOW = "2030-01-01T00:00:00.000Z"


@pytest.fixture
def orders() -> Orders:
    return Orders()


def answer_of(order: FakeOrder) -> Any:
    return json.loads(order.answer().body)


def test_an_added_order_is_new_and_goes_to_a_person_who_does_not_exist(orders: Orders) -> None:
    answer = answer_of(orders.add('O"1'))

    assert (answer["order_id"], answer["status"], answer["kits"], answer["metadata"]) == ('O"1', "pending", [], None)
    assert "updated" not in answer
    assert answer["recipient"]["email"].endswith("@example.com")


def test_an_order_answers_the_same_before_and_after_its_document_is_made(orders: Orders) -> None:
    order = orders.add("O1")
    before = order.answer().body

    assert order.document["status"] == "pending"

    assert order.answer().body == before


def test_what_is_changed_is_what_the_order_answers(orders: Orders) -> None:
    order = orders.add("O1")

    order.status = "held"
    order.metadata = {"a": 1}
    order.updated = "2024-05-01T00:00:00.000Z"
    del order.document["kit_types"]

    answer = answer_of(order)
    assert (answer["status"], answer["metadata"], answer["updated"]) == ("held", {"a": 1}, "2024-05-01T00:00:00.000Z")
    assert "kit_types" not in answer


def test_changing_one_order_leaves_the_others_alone(orders: Orders) -> None:
    first, second = orders.add("A"), orders.add("B")

    first.document["recipient"]["address"]["city"] = "Elsewhere"

    assert second.recipient["address"]["city"] == "Springfield"
    assert orders.add("C").recipient["address"]["city"] == "Springfield"


def test_what_is_said_of_an_order_replaces_the_example(orders: Orders) -> None:
    kit = Kits().add("SPOT1")

    order = orders.add("A", recipient=None, kits=[kit.document], metadata={}, updated="2024-05-01T00:00:00Z")
    kit.status = "delivered"

    assert order.recipient == {}
    assert answer_of(order)["kits"][0]["status"] == "delivered"
    assert (order.created, order.updated) == ("2023-01-01T04:30:11.222Z", "2024-05-01T00:00:00.000Z")


@pytest.mark.parametrize(
    ("order_id", "about", "message"),
    [
        ("A", {"stauts": "pending"}, "unknown: stauts; known: created, document, kit_types, kits"),
        ("", {}, "an order id must be one segment of a path"),
        ("..", {}, "an order id must be one segment of a path"),
        ("A", {"created": "2024-05-01"}, "time zone"),
    ],
)
def test_what_makes_no_order_is_refused_and_nothing_is_added(
    orders: Orders, order_id: str, about: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        orders.add(order_id, **about)

    assert len(orders) == 0


def test_an_id_is_added_once(orders: Orders) -> None:
    orders.add("A")

    with pytest.raises(ValueError, match="an order with this id is there already"):
        orders.add("A")


def test_many_orders_get_ids_that_are_free(orders: Orders) -> None:
    orders.add("O0000002")

    assert orders.add_many(2) == ("O0000001", "O0000003")
    assert orders.add_many(["A", "B"]) == ("A", "B")
    del orders["A"]
    assert list(orders) == ["O0000002", "O0000001", "O0000003", "B"]


def test_the_default_world_shows_a_new_order_one_with_its_kit_and_a_bare_one(orders: Orders) -> None:
    kits = Kits()
    kits.add_default_world()

    orders.add_default_world(kits)

    new, shipped, bare = map(answer_of, orders.values())
    assert (new["order_id"], new["status"], new["metadata"]) == (EXAMPLE_ORDER_ID, "pending", None)
    assert shipped["kits"] == [kits["SPOT345678"].document]
    assert kits["SPOT345678"].order_id == shipped["order_id"]
    assert bare.keys() == {"order_id", "status", "kits", "created", "metadata"}


def test_the_default_world_stands_without_the_kit_too(orders: Orders) -> None:
    orders.add_default_world({})

    assert answer_of(orders["ORDER123456"])["kits"] == []


def test_orders_stand_by_their_last_change_newest_first(orders: Orders) -> None:
    orders.add("old", created="2024-01-01T00:00:00Z")
    orders.add("changed", created="2023-01-01T00:00:00Z", updated="2024-01-03T00:00:00Z")
    orders.add("new", created="2024-01-02T00:00:00Z")
    orders.add("new too", created="2024-01-02T00:00:00Z")

    assert [order.order_id for order in orders.by_update()] == ["changed", "new too", "new", "old"]


def test_a_change_moves_an_order_to_the_front(orders: Orders) -> None:
    orders.add_many(["A", "B", "C"])
    assert [order.order_id for order in orders.by_update()] == ["C", "B", "A"]

    orders["B"].updated = "2030-01-01T00:00:00.000Z"
    del orders["C"]

    assert [order.order_id for order in orders.by_update()] == ["B", "A"]


def test_the_order_of_a_list_is_kept_until_something_changes(orders: Orders) -> None:
    orders.add_many(1000)

    assert orders.by_update() is orders.by_update()


def test_a_summary_of_an_order_that_was_never_changed_says_when_it_was_placed(orders: Orders) -> None:
    order = orders.add("A")

    assert order.summary() == {
        "order_id": "A",
        "status": "pending",
        "recipient": order.recipient,
        "created": order.created,
        "updated": order.created,
    }
    assert orders.add("B", document={}).summary().keys() == {"order_id", "created", "updated"}


def test_fulfilling_an_order_makes_a_kit_for_each_type() -> None:
    kits = Kits(now=lambda: NOW)
    order = Orders(kits, now=lambda: NOW).add("O1", kit_types=["health_kit_1", "health_kit_2", "health_kit_1"])

    made = order.fulfil()

    assert [kits[kit.kit_id] for kit in made] == made
    assert [(kit.document["type"], kit.status, kit.order_id) for kit in made] == [
        ("health_kit_1", "preparing", "O1"),
        ("health_kit_2", "preparing", "O1"),
        ("health_kit_1", "preparing", "O1"),
    ]
    assert {(kit.created, kit.updated) for kit in made} == {(NOW, NOW)}
    assert (order.status, order.updated) == ("in_progress", NOW)
    assert answer_of(order)["kits"] == [kit.document for kit in made]


def test_what_befalls_a_kit_shows_in_its_order(orders: Orders) -> None:
    order = orders.add("O1")
    (kit,) = order.fulfil()

    kit.ship()

    assert answer_of(order)["kits"][0]["status"] == "in_transit"
    assert order.status == "in_progress"


def test_an_order_is_completed_when_its_last_kit_is_delivered() -> None:
    instants = iter(f"2030-01-{day:02}T00:00:00.000Z" for day in range(1, 30))
    clock = lambda: next(instants)  # noqa: E731 - one clock for both shelves
    order = Orders(Kits(now=clock), now=clock).add("O1", kit_types=["a", "b"])
    first, last = order.fulfil()
    for kit in (first, last):
        kit.ship()

    first.deliver()
    before = order.status
    last.deliver()

    assert (before, order.status) == ("in_progress", "completed")
    assert order.updated == last.updated


def test_a_kit_that_is_activated_on_its_way_counts_as_arrived(orders: Orders) -> None:
    order = orders.add("O1")
    (kit,) = order.fulfil()

    kit.activate(FakePatient("p1"))

    assert order.status == "completed"


def test_a_kit_of_another_order_or_of_none_completes_nothing() -> None:
    kits = Kits()
    order = Orders(kits).add("O1", status="in_progress")

    for kit in (kits.add("A", order_id="O1"), kits.add("B", order_id="O2"), kits.add("C")):
        kit.ship()
        kit.deliver()

    assert (order.status, order.updated) == ("in_progress", None)


@pytest.mark.parametrize("step", ["fulfil", "cancel"])
@pytest.mark.parametrize("status", ["in_progress", "completed", "canceled"])
def test_only_a_pending_order_is_fulfilled_or_canceled(orders: Orders, step: str, status: str) -> None:
    order = orders.add("O1", status=status)

    with pytest.raises(ValueError, match=rf"{step}\(\) needs an order that is pending; this one is {status}"):
        getattr(order, step)()

    assert (order.status, order.updated) == (status, None)


def test_a_pending_order_can_be_canceled(orders: Orders) -> None:
    order, homeless = orders.add("O1"), FakeOrder("O2")

    order.cancel()
    homeless.cancel()

    assert order.status == homeless.status == "canceled"
    assert order.updated is not None


def test_an_order_of_no_fake_has_nowhere_to_put_its_kits() -> None:
    with pytest.raises(ValueError, match="among the fake's orders first"):
        FakeOrder("O1").fulfil()


def test_reprs_show_no_patient_data(orders: Orders) -> None:
    order = orders.add("O1", metadata={"note": "secret"})

    assert repr(order) == "<FakeOrder O1 pending>"
    assert repr(orders) == "<Orders: 1>"
