from collections import Counter
from typing import Any, cast

import pytest

from spotdx_async.testing import faults
from spotdx_async.testing.fault_plan import FaultPlan
from spotdx_async.testing.routes import Call
from spotdx_async.testing.state import SpotState

STATE = SpotState()
UPDATE_A = STATE.read("POST", "/api/v2/kits/A/?x=1")
UPDATE_B = STATE.read("POST", "/api/v2/kits/B/")
GET_A = STATE.read("GET", "/api/v2/kits/A/")


@pytest.fixture
def plan() -> FaultPlan:
    return FaultPlan()


def names(plan: FaultPlan, *calls: Call) -> list[str | None]:
    picked = [plan.pick(call) for call in calls]
    return [None if fault is None else fault.name for fault in picked]


def test_nothing_plays_where_nothing_is_planned(plan: FaultPlan) -> None:
    assert names(plan, UPDATE_A, GET_A) == [None, None]


def test_a_fault_plays_once_where_nothing_else_is_said(plan: FaultPlan) -> None:
    plan.add("503")

    assert names(plan, UPDATE_A, UPDATE_A) == ["503", None]


def test_a_fault_plays_as_often_as_planned(plan: FaultPlan) -> None:
    planned = plan.add(faults.drop_after(), times=2)

    assert names(plan, UPDATE_A, UPDATE_A, UPDATE_A) == ["drop_after", "drop_after", None]
    assert planned.played == 2


def test_a_fault_without_a_number_plays_always(plan: FaultPlan) -> None:
    plan.add("503", times=None)

    assert names(plan, *[UPDATE_A] * 50) == ["503"] * 50
    assert plan.played == {"503": 50}


def test_the_first_added_that_matches_plays_first(plan: FaultPlan) -> None:
    plan.add("500")
    plan.add("502")

    assert names(plan, UPDATE_A, UPDATE_A, UPDATE_A) == ["500", "502", None]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ({"kit_id": "B"}, [None, "503", None]),
        ({"method": "get"}, [None, None, "503"]),
        ({"path": "/api/v2/kits/A/"}, ["503", None, "503"]),
        ({"path": "/api/v2/kits/{kit_id}/"}, ["503", "503", "503"]),
        ({"kit_id": "A", "method": "POST"}, ["503", None, None]),
        ({"path": "/api/v2/kits/"}, [None, None, None]),
    ],
)
def test_a_fault_keeps_to_the_requests_it_is_for(
    plan: FaultPlan, only: dict[str, Any], expected: list[str | None]
) -> None:
    plan.add("503", times=None, **only)

    assert names(plan, UPDATE_A, UPDATE_B, GET_A) == expected


def test_a_fault_keeps_to_the_order_it_is_for(plan: FaultPlan) -> None:
    plan.add("503", times=None, order_id="A")
    orders = [STATE.read("POST", f"/api/v2/orders/{order_id}/") for order_id in "AB"]

    assert names(plan, *orders, UPDATE_A) == ["503", None, None]


def test_a_fault_keeps_to_the_requisition_it_is_for(plan: FaultPlan) -> None:
    plan.add("503", times=None, requisition_id="A")
    requisitions = [STATE.read("GET", f"/api/v2/requisitions/{one}") for one in "AB"]

    assert names(plan, *requisitions, UPDATE_A) == ["503", None, None]


def test_a_fault_for_a_kit_strikes_its_activation_too(plan: FaultPlan) -> None:
    plan.add("503", kit_id="A")

    assert names(plan, STATE.read("POST", "/api/v3/kits/A/activate/?public_id=A"), UPDATE_A) == ["503", None]


def test_a_request_that_a_fault_is_not_for_does_not_use_it_up(plan: FaultPlan) -> None:
    plan.add("503", kit_id="B")

    assert names(plan, UPDATE_A, UPDATE_B) == [None, "503"]


def test_a_mixture_is_the_same_for_the_same_seed(plan: FaultPlan) -> None:
    other = FaultPlan()
    plan.random(0.5, seed=7)
    other.random(0.5, seed=7)

    assert names(plan, *[UPDATE_A] * 200) == names(other, *[UPDATE_A] * 200)


def test_a_mixture_plays_on_its_share_of_the_requests(plan: FaultPlan) -> None:
    plan.random(0.2, seed=1, kinds=["503", faults.slow(0.1)])

    played = Counter(names(plan, *[UPDATE_A] * 2000))

    assert played.keys() == {None, "503", "slow"}
    assert 300 < 2000 - played[None] < 500
    assert plan.played["503"] == played["503"]


@pytest.mark.parametrize(("rate", "expected"), [(0, {None}), (1, set(faults.DEFAULT_MIXTURE))])
def test_a_mixture_of_everything_or_nothing_is_exact(plan: FaultPlan, rate: float, expected: set[str | None]) -> None:
    plan.random(rate, seed=1)

    assert set(names(plan, *[UPDATE_A] * 300)) == expected


def test_the_script_plays_before_the_mixture(plan: FaultPlan) -> None:
    plan.random(1, seed=1, kinds=["502"])
    plan.add("503")

    assert names(plan, UPDATE_A, UPDATE_A) == ["503", "502"]


def test_a_cleared_plan_plays_nothing(plan: FaultPlan) -> None:
    plan.add("503", times=None)
    plan.random(1, seed=1)

    plan.clear()

    assert names(plan, UPDATE_A) == [None]
    assert repr(plan) == "<FaultPlan: 0 planned, a share of 0 at random>"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fault": "nonsense"}, "one of drop_before"),
        ({"fault": cast("str", 503)}, "not int"),
        ({"fault": "503", "times": 0}, "whole number from 1, or None"),
        ({"fault": "503", "times": 1.5}, "whole number from 1, or None"),
        ({"fault": "503", "times": True}, "whole number from 1, or None"),
        ({"fault": "503", "path": "api/v2/kits/"}, "start with '/'"),
    ],
)
def test_a_bad_argument_plans_nothing(plan: FaultPlan, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan.add(**arguments)

    assert names(plan, UPDATE_A) == [None]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": 1.1}, "between 0 and 1"),
        ({"rate": float("nan")}, "between 0 and 1"),
        ({"rate": 0.5, "kinds": []}, "at least one"),
        ({"rate": 0.5, "kinds": ["nonsense"]}, "unknown fault"),
    ],
)
def test_a_bad_mixture_is_refused(plan: FaultPlan, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plan.random(seed=1, **arguments)
