"""The troubles of the demonstration: seeded, and fewer for any kit than a call has attempts."""

from spotdx_async import RetryPolicy
from spotdx_async.cli.demo_faults import _ByKit, mishaps_for
from spotdx_async.testing.state import SpotState

KIT_IDS = [f"SPOT{number}" for number in range(2000)]


def troubles(seed: int, kit_ids: list[str] = KIT_IDS) -> dict[str, list[str]]:
    plan = mishaps_for(kit_ids, seed=seed)
    assert isinstance(plan, _ByKit)
    return {kit_id: [fault.name for fault in faults] for kit_id, faults in plan.troubles.items()}


def test_the_same_seed_plays_the_same_troubles() -> None:
    assert troubles(1) == troubles(1)
    assert troubles(1) != troubles(2)


def test_no_kit_meets_more_than_a_call_can_overcome() -> None:
    assert max(map(len, troubles(3).values())) < RetryPolicy().max_attempts - 1
    assert 0.05 < len(troubles(3)) / len(KIT_IDS) < 0.12


def test_every_kind_of_trouble_is_there_and_throttles_are_few() -> None:
    names = [name for played in troubles(4).values() for name in played]
    assert {"500", "503", "429", "drop_before", "drop_after", "half_body", "unreadable", "slow"} <= set(names)
    assert names.count("429") == 3


def test_few_kits_have_their_troubles_too() -> None:
    assert troubles(5, ["SPOT1"])["SPOT1"] == ["429"]


def test_a_trouble_plays_once_on_the_kit_that_it_is_for() -> None:
    plan = mishaps_for(["SPOT1", "SPOT2"], seed=1)
    state = SpotState(kits=["SPOT1", "SPOT2"])
    call = state.read("GET", "/api/v2/kits/SPOT2/")
    first = plan.pick(call)
    assert first is not None
    assert plan.played[first.name] == 1
    while plan.pick(call) is not None:
        pass
    assert plan.pick(state.read("GET", "/api/v2/kits/")) is None
