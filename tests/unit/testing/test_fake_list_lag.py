"""Lists that show what was done only some seconds later."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest

from spotdx_async.testing import SpotServer
from spotdx_async.testing.state import SpotState
from tests.unit.testing.test_fake_dates import ORDER, ORDERS

TOKEN = "Token test-token"


class Lagging:
    """A state whose lists lag 8 seconds behind, by a clock that the test sets."""

    def __init__(self) -> None:
        self.state = SpotState(kits=["K"], orders=["A", "B"], requisitions=["R"])
        self.at_s = 100.0
        self.state.elapsed_s = lambda: self.at_s
        for store in (self.state.kits, self.state.orders, self.state.requisitions):
            store.list_lag_s = 8

    def call(self, method: str, target: str, body: Any = None) -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        return json.loads(self.state.execute(self.state.read(method, target, sent), TOKEN).body)

    def ids(self, query: str = "") -> list[str]:
        return [row["order_id"] for row in self.call("GET", ORDERS + query)]


@pytest.fixture
def world() -> Lagging:
    return Lagging()


def test_what_was_there_is_listed_from_the_start(world: Lagging) -> None:
    assert world.ids() == ["B", "A"]


def test_a_new_order_is_got_at_once_and_listed_later(world: Lagging) -> None:
    placed = world.call("POST", ORDERS, ORDER)["order_id"]

    assert world.call("GET", f"{ORDERS}{placed}/")["order_id"] == placed
    world.at_s += 7.9
    assert world.ids() == ["B", "A"]
    world.at_s += 0.1
    assert world.ids() == [placed, "B", "A"]


def test_a_row_stays_as_it_was_and_where_it_was(world: Lagging) -> None:
    before = world.call("GET", ORDERS)
    world.state.orders["A"].cancel()
    world.at_s += 4
    world.state.orders["A"].status = "completed"

    assert world.call("GET", f"{ORDERS}A/")["status"] == "completed"
    assert world.call("GET", ORDERS) == before

    world.at_s += 4
    assert [(row["order_id"], row["status"]) for row in world.call("GET", ORDERS)] == [
        ("A", "canceled"),
        ("B", "pending"),
    ]
    world.at_s += 4
    assert world.call("GET", ORDERS)[0]["status"] == "completed"


def test_filters_judge_the_row_that_is_shown(world: Lagging) -> None:
    world.state.orders["A"].cancel()

    assert world.ids("?status=canceled") == []
    assert world.ids("?status=pending") == ["B", "A"]
    world.at_s += 8
    assert world.ids("?status=canceled") == ["A"]


def test_what_was_deleted_is_gone_at_once_and_listed_until_later(world: Lagging) -> None:
    del world.state.orders["A"]

    assert "not found" in world.call("GET", f"{ORDERS}A/")["error"]["detail"]
    assert world.ids() == ["B", "A"]
    world.at_s += 8
    assert world.ids() == ["B"]


def test_what_came_and_went_within_the_lag_shows_for_as_long_as_it_was_there(world: Lagging) -> None:
    placed = world.call("POST", ORDERS, ORDER)["order_id"]
    world.at_s += 2
    del world.state.orders[placed]
    world.at_s += 6
    assert placed in world.ids()
    world.at_s += 2
    assert placed not in world.ids()


def test_kits_and_requisitions_lag_too(world: Lagging) -> None:
    kit, requisition = world.state.kits["K"], world.state.requisitions["R"]
    kit.cancel()
    requisition.deliver()
    world.state.requisitions.add("R2")

    def shown() -> tuple[Any, list[Any]]:
        return (
            world.call("GET", "/api/v2/kits/")[0]["kit_status"],
            [row["status"] for row in world.call("GET", "/api/v2/requisitions/")],
        )

    assert shown() == ("preparing", ["approved"])
    world.at_s += 8
    assert shown() == ("canceled", ["delivered", "approved"])


def test_a_change_within_a_document_is_seen_when_it_is_told(world: Lagging) -> None:
    order = world.state.orders["A"]
    order.document["status"] = "in_progress"
    world.at_s += 8
    assert world.ids("?status=in_progress") == []

    world.state.orders.changed(order)
    world.at_s += 8

    assert world.ids("?status=in_progress") == ["A"]


def test_without_a_lag_all_shows_at_once_again_and_another_lag_holds_for_what_is_to_come(world: Lagging) -> None:
    world.state.orders.add("C")
    world.state.orders.list_lag_s = 3
    world.at_s += 3
    assert world.ids() == ["C", "B", "A"]

    world.state.orders.add("D")
    world.state.orders.list_lag_s = 0

    assert (world.ids(), world.state.orders.list_lag_s) == (["D", "C", "B", "A"], 0)


def test_an_item_that_is_in_no_list_any_more_changes_none(world: Lagging) -> None:
    order = world.state.orders["A"]
    del world.state.orders["A"]
    order.status = "canceled"
    world.at_s += 8

    assert world.ids() == ["B"]


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf")])
def test_a_lag_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="list_lag_s must be a number of seconds, 0 or more"):
        SpotServer().lag_lists(seconds)


@pytest.mark.virtual_time
async def test_over_the_wire_it_lags_by_the_servers_loop() -> None:
    async with SpotServer() as server, aiohttp.ClientSession(headers={"Authorization": TOKEN}) as session:
        server.lag_lists(8)
        async with session.post(server.url + ORDERS, json=ORDER) as response:
            placed = (await response.json())["order_id"]

        async def listed() -> bool:
            async with session.get(server.url + ORDERS) as response:
                return placed in {row["order_id"] for row in await response.json()}

        await asyncio.sleep(7.5)
        assert not await listed()
        await asyncio.sleep(1)
        assert await listed()
        assert (server.kits.list_lag_s, server.orders.list_lag_s, server.requisitions.list_lag_s) == (8, 8, 8)
