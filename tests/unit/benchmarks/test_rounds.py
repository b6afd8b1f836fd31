"""The measuring itself: turns, medians, workers. No time is looked at."""

import asyncio

from rounds import Spread, cost, interleaved, kit_ids, ratio, spread


def test_every_kind_has_its_turn_in_every_round_and_begins_one() -> None:
    order: list[str] = []
    kinds = {"a": lambda: order.append("a"), "b": lambda: order.append("b"), "c": lambda: order.append("c")}
    found = interleaved(kinds, rounds=3)
    assert order == [*"abc", *"bca", *"cab", *"abc"]
    assert {name: len(values) for name, values in found.items()} == {"a": 3, "b": 3, "c": 3}


def test_the_round_that_warms_up_is_not_kept() -> None:
    values = iter([100.0, 1.0, 2.0])
    assert interleaved({"a": lambda: next(values)}, rounds=2) == {"a": [1.0, 2.0]}


def test_a_ratio_is_the_median_of_the_rounds_ratios() -> None:
    # The ratios are 0.5, 2 and 3; that of the medians would be 1.
    assert ratio([10, 20, 90], [20, 10, 30]) == Spread(2.0, 0.5, 3.0)


def test_a_single_round_has_no_spread() -> None:
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_no_kit_comes_twice() -> None:
    assert not set(kit_ids(50)) & set(kit_ids(50))


async def test_each_call_is_made_once_by_as_many_workers_as_asked_for() -> None:
    seen: list[str] = []
    under_way: set[str] = set()
    most = 0

    async def call(kit_id: str) -> None:
        nonlocal most
        under_way.add(kit_id)
        most = max(most, len(under_way))
        await asyncio.sleep(0)
        under_way.remove(kit_id)
        seen.append(kit_id)

    await cost(call, 20, 4)
    assert len(set(seen)) == len(seen) == 20
    assert most == 4
