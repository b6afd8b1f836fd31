"""The fake's rows and answers against the table of facts."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from spotdx_async.testing import faults
from spotdx_async.testing.fake_spot import ROUTES, SpotState
from spotdx_async.testing.kit_rules import KIT_STATUSES, SAMPLE_STATUSES

FACTS: dict[str, Any] = tomllib.loads(Path(__file__).with_name("facts.toml").read_text(encoding="utf-8"))
OPERATIONS: dict[str, dict[str, Any]] = {row["name"]: row for row in FACTS["operations"]}
# The operations that the fake plays; the others have no rows yet.
PLAYED = {
    "update kit metadata": ("/api/v2/kits/{}/", b'{"metadata": {"cohort": "A"}}'),
    "get kit": ("/api/v2/kits/{}/", b""),
    "list kits": ("/api/v2/kits/", b""),
    "list kit types": ("/api/v2/kit_types", b""),
    "update order metadata": ("/api/v2/orders/{}/", b'{"metadata": {"cohort": "A"}}'),
    "get order": ("/api/v2/orders/{}/", b""),
}
# Each with the ids of the default world that it is played with.
WITH_IDS = [(name, an_id) for name in PLAYED for an_id in (SpotState().orders if "order" in name else SpotState().kits)]
# The fake shows more nulls than the documents allow, since a client must bear them: no property is marked required.
MORE_NULLS = {("Kit", "registered_to"), ("Kit", "sample"), ("KitSummary", "sample_status")}
SCALARS: dict[str, tuple[type, ...]] = {"string": (str,), "number": (int, float), "boolean": (bool,), "object": (dict,)}
TEXTS: dict[str, Callable[[str], object]] = {
    "instant": datetime.fromisoformat,
    "date": date.fromisoformat,
    "uuid": UUID,
    "url": re.compile("https://").match,
    "email": re.compile(".+@").match,
}


def faults_of(kind: str | list[str], value: Any, where: str) -> Iterator[str]:
    """Give what is wrong with a value of that kind."""
    if isinstance(kind, list):
        if not isinstance(value, list):
            yield f"{where} is no array"
            return
        for index, item in enumerate(value):
            yield from faults_of(kind[0], item, f"{where}[{index}]")
    elif " | " in kind:
        if all(any(faults_of(one, value, where)) for one in kind.split(" | ")):
            yield f"{where} is none of {kind}"
    elif kind in FACTS["shapes"]:
        yield from faults_of_shape(kind, value, where)
    elif not is_of(kind, value):
        yield f"{where} is no {kind}: {value!r}"


def is_of(kind: str, value: Any) -> bool:
    if kind in FACTS["enums"]:
        return value in FACTS["enums"][kind] or value in FACTS["only_in_the_guides"].get(kind, [])
    if kind in SCALARS:
        return isinstance(value, SCALARS[kind]) and not (kind == "number" and isinstance(value, bool))
    try:
        return isinstance(value, str) and TEXTS[kind](value) is not None
    except ValueError:
        return False


def faults_of_shape(shape: str, value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} is no {shape}"
        return
    nullable = FACTS["nullable"].get(shape, [])
    for name, item in value.items():
        if name not in FACTS["shapes"][shape]:
            yield f"{where}.{name} is no property of {shape}"
        elif item is None:
            if name not in nullable and (shape, name) not in MORE_NULLS:
                yield f"{where}.{name} is null"
        else:
            yield from faults_of(FACTS["shapes"][shape][name], item, f"{where}.{name}")


def answer_to(state: SpotState, name: str, an_id: str) -> tuple[int, Any]:
    path, body = PLAYED[name]
    call = state.read(OPERATIONS[name]["method"], path.format(an_id), body)
    answer = state.execute(call, "Token test-token")
    return answer.status, json.loads(answer.body)


def test_the_fakes_rows_are_those_of_the_operations_it_plays() -> None:
    played = {(row["method"], row["path"], tuple(row.get("query", ()))) for row in map(OPERATIONS.get, PLAYED) if row}

    assert {(route.method, route.template, route.query) for route in ROUTES} == played
    assert len(ROUTES) == len(PLAYED)


@pytest.mark.parametrize(("name", "an_id"), WITH_IDS)
def test_an_answer_has_the_documented_shape_and_status(name: str, an_id: str) -> None:
    status, value = answer_to(SpotState(), name, an_id)

    assert status == OPERATIONS[name]["success"]
    assert list(faults_of(OPERATIONS[name]["answer"], value, "answer")) == []


@pytest.mark.parametrize("name", PLAYED)
@pytest.mark.parametrize("change", ["add", "remove"])
def test_only_the_documented_slashes_are_answered(name: str, change: str) -> None:
    path = PLAYED[name][0].format("SPOT123456")
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    if change == "add":
        other = f"{path}/"
    state = SpotState()

    answer = state.execute(state.read(OPERATIONS[name]["method"], other, PLAYED[name][1]), "Token test-token")

    assert answer.status == 404


def test_the_default_world_shows_every_property_of_the_kit_tree() -> None:
    state = SpotState()
    values = [answer_to(state, name, kit_id)[1] for name in ("get kit", "list kits") for kit_id in state.kits]

    seen = set(properties_in(values))

    shapes = ("Kit", "KitEvent", "Shipment", "Registrant", "Sample", "Report", "Quantity", "KitSummary")
    assert {name for shape in shapes for name in FACTS["shapes"][shape]} <= seen


def test_the_default_world_shows_every_property_of_an_order() -> None:
    state = SpotState()

    seen = set(properties_in([answer_to(state, "get order", order_id)[1] for order_id in state.orders]))

    assert {name for shape in ("Order", "Recipient", "Address") for name in FACTS["shapes"][shape]} <= seen


def test_an_order_that_was_never_changed_has_the_shape_of_a_new_one() -> None:
    _, value = answer_to(SpotState(orders=["O1"]), "get order", "O1")

    assert value.keys() == FACTS["shapes"]["CreatedOrder"].keys()


def properties_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from properties_in(item)


@pytest.mark.parametrize(("name", "values"), [("KitStatus", KIT_STATUSES), ("SampleStatus", SAMPLE_STATUSES)])
def test_the_fake_lists_the_documented_statuses_and_those_of_the_guides(name: str, values: tuple[str, ...]) -> None:
    assert [*FACTS["enums"][name], *FACTS["only_in_the_guides"][name]] == list(values)


def test_the_unknown_values_that_the_fake_can_play_are_on_no_list() -> None:
    listed = {value for name in FACTS["enums"] for value in FACTS["enums"][name]}

    assert faults.UNKNOWN_VALUE not in listed
    assert all(faults.UNKNOWN_FIELD not in shape for shape in FACTS["shapes"].values())


@pytest.mark.parametrize("status", [int(status) for status in FACTS["error_types"]])
def test_an_error_has_its_documented_type_in_both_forms(status: int) -> None:
    openapi_type, guide_type = FACTS["error_types"][str(status)]

    openapi, guide = (
        json.loads(SpotState(error_form=form).refuse(status, "Why").body)["error"] for form in ("openapi", "guide")
    )

    assert openapi == {"status": status, "type": openapi_type, "detail": "Why"}
    assert guide == {"code": status, "type": guide_type, "details": ["Why"]}


def test_the_validator_finds_what_is_wrong() -> None:
    wrong = {"kit_id": 1, "status": "lost", "events": {}, "new": 1, "type": None, "sample": {"reports": [[]]}}

    found = sorted(re.sub(r":.*", "", fault) for fault in faults_of("Kit", wrong, "kit"))

    assert found == [
        "kit.events is no array",
        "kit.kit_id is no string",
        "kit.new is no property of Kit",
        "kit.sample.reports[0] is no Report",
        "kit.status is no KitStatus",
        "kit.type is null",
    ]
