import json
from typing import Any

import pytest

from spotdx_async.testing.fake_kits import Kits
from spotdx_async.testing.fake_orders import EXAMPLE_ORDER_ID, FakeOrder, Orders


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


def test_reprs_show_no_patient_data(orders: Orders) -> None:
    order = orders.add("O1", metadata={"note": "secret"})

    assert repr(order) == "<FakeOrder O1 pending>"
    assert repr(orders) == "<Orders: 1>"
