"""The faults of the demonstration: seeded, and fewer for any kit than a call has attempts."""

import pytest

from spotdx_async import RetryPolicy
from spotdx_async.cli.app import run
from spotdx_async.cli.demo import plan_faults
from spotdx_async.testing.state import SpotState

KIT_IDS = [f"SPOT{number}" for number in range(2000)]


def faults(seed: int, kit_ids: list[str] = KIT_IDS) -> dict[str, list[str]]:
    plan = plan_faults(kit_ids, seed=seed)
    return {kit_id: [fault.name for fault in faults] for kit_id, faults in plan.planned.items()}


def test_the_same_seed_plays_the_same_faults() -> None:
    assert faults(1) == faults(1)
    assert faults(1) != faults(2)


def test_no_kit_meets_more_than_a_call_can_overcome() -> None:
    assert max(map(len, faults(3).values())) < RetryPolicy().max_attempts - 1
    assert 0.05 < len(faults(3)) / len(KIT_IDS) < 0.12


def test_every_kind_of_fault_is_there_and_throttles_are_few() -> None:
    names = [name for played in faults(4).values() for name in played]
    assert {"500", "503", "429", "drop_before", "drop_after", "half_body", "unreadable", "slow"} <= set(names)
    assert names.count("429") == 3


def test_few_kits_have_their_faults_too() -> None:
    assert faults(5, ["SPOT1"])["SPOT1"] == ["429"]


def test_a_fault_plays_once_on_the_kit_that_it_is_for() -> None:
    plan = plan_faults(["SPOT1", "SPOT2"], seed=1)
    state = SpotState(kits=["SPOT1", "SPOT2"])
    call = state.read("GET", "/api/v2/kits/SPOT2/")
    first = plan.pick(call)
    assert first is not None
    assert plan.played[first.name] == 1
    while plan.pick(call) is not None:
        pass
    assert plan.pick(state.read("GET", "/api/v2/kits/")) is None


@pytest.mark.parametrize("share", ["2", "-0.1", "nan"])
def test_a_share_of_faults_out_of_range_is_refused_with_the_range(
    share: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sandbox", f"--faults={share}"]) == 2
    assert "--faults is a share of requests, from 0 (none) to 1 (all)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--kits=-1", "--kits must be 0 or more"),
        ("--latency=nan", "latency_s must be 0 or more"),
        ("--latency=inf", "latency_s must be 0 or more"),
        ("--ship-after=nan", "--ship-after must be 0 or more seconds"),
        ("--rate-limit=nan", "rate_limit must be a number of requests per second above 0"),
    ],
)
def test_a_sandbox_out_of_range_is_refused_and_does_not_begin(
    option: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def begin(*_: object) -> int:
        return 0

    monkeypatch.setattr("spotdx_async.cli.demo._serve", begin)

    assert run(["sandbox", option]) == 2
    assert told in capsys.readouterr().err
