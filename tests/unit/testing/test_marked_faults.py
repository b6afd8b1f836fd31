from typing import Any

import pytest

from spotdx_async.testing import FaultPlan, faults
from spotdx_async.testing.answers import Answer
from spotdx_async.testing.expectations import FaultInPlay, MarkedFault
from spotdx_async.testing.routes import Call, Route

A_KIT = Route("kits.get", "GET", "/api/v2/kits/{kit_id}/", lambda *_: Answer(200))
GET = Call("GET", "/api/v2/kits/SPOT123456/", A_KIT, {"kit_id": "SPOT123456"})
UPDATE = Call("POST", GET.path, Route("kits.update_metadata", "POST", A_KIT.template, A_KIT.handler), GET.params)


@pytest.mark.parametrize(
    "options",
    [
        {"operation": "kits.get"},
        {"operation": "GET /api/v2/kits/{kit_id}/"},
        {"method": "get", "path": "/api/v2/kits/SPOT123456/"},
        {"kit_id": "SPOT123456", "method": "GET"},
    ],
)
def test_a_fault_plays_where_its_options_say(options: dict[str, Any]) -> None:
    plan = FaultPlan()

    MarkedFault(("503",), options).plan(plan)

    assert [fault and fault.name for fault in map(plan.pick, (UPDATE, GET, GET))] == [None, "503", None]


def test_a_fault_may_be_one_of_the_users_making() -> None:
    plan = FaultPlan()

    MarkedFault((faults.slow(5),), {"times": None}).plan(plan)

    assert [fault and fault.name for fault in map(plan.pick, (UPDATE, GET, GET))] == ["slow"] * 3


def ended(options: dict[str, Any], requests: int) -> str | None:
    plan = FaultPlan()
    fault: FaultInPlay = MarkedFault(("503",), options).plan(plan)
    for _ in range(requests):
        plan.pick(GET)
    return fault.end()


@pytest.mark.parametrize(
    ("times", "requests", "said"),
    [
        (1, 0, "'503': planned 1, played never"),
        (1, 1, None),
        (1, 2, None),
        (3, 2, "'503': planned 3, played 2"),
        (None, 0, "'503': planned at least once, played never"),
        (None, 5, None),
    ],
)
def test_what_was_not_played_as_often_as_planned_is_told(times: int | None, requests: int, said: str | None) -> None:
    assert ended({"times": times}, requests) == said


@pytest.mark.parametrize("times", [1, 3, None])
def test_what_may_be_unmet_is_not_told(times: int | None) -> None:
    assert ended({"times": times, "unmet_ok": True}, 0) is None


def test_a_fault_that_has_ended_plays_no_more() -> None:
    plan = FaultPlan()
    MarkedFault(("503",), {"times": None}).plan(plan).end()

    assert plan.pick(GET) is None


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (("5o3",), {}, "unknown fault '5o3': use a status such as '503', one of drop_before,"),
        ((503,), {}, "a fault is a Fault or a short name, not int"),
        ((), {}, "it takes one fault and options by keyword, not 0 positional arguments"),
        (("503", 2), {}, "it takes one fault and options by keyword, not 2 positional arguments"),
        (("503",), {"time": 2}, "unknown option 'time': there are times, kit_id, order_id, requisition_id, method,"),
        (("503",), {"times": 0}, "times must be a whole number from 1"),
        (("503",), {"kit_id": 5}, "kit_id must be text"),
        (("503",), {"path": "api"}, "path must start with '/'"),
        (
            ("503",),
            {"operation": "kits.gte"},
            "unknown operation 'kits.gte': use one of kits.update_metadata, kits.get",
        ),
        (("503",), {"operation": "kits.get", "method": "GET"}, "give operation, or method and path"),
    ],
)
def test_what_cannot_be_is_refused_with_what_there_is(
    arguments: tuple[Any, ...], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared below
        MarkedFault(arguments, options)

    assert str(caught.value).startswith(said)
