"""The fake's rows and answers against the table of facts."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import date, datetime
from typing import Any
from uuid import UUID

import pytest

from spotdx_async.testing import faults
from spotdx_async.testing.kits import KIT_STATUSES, SAMPLE_STATUSES
from spotdx_async.testing.orders import ORDER_STATUSES
from spotdx_async.testing.requisitions import REQUISITION_STATUSES
from spotdx_async.testing.state import ROUTES, SpotState
from tests.facts import FACTS

OPERATIONS: dict[str, dict[str, Any]] = {row["name"]: row for row in FACTS["operations"]}
PATIENT_ID = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"
SHELVES = {"{kit_id}": "kits", "{order_id}": "orders", "{requisition_id}": "requisitions"}


def target_of(name: str, an_id: str) -> str:
    path: str = OPERATIONS[name]["path"]
    for placeholder in SHELVES:
        path = path.replace(placeholder, an_id)
    return f"{path}?public_id={an_id}" if name == "activate kit" else path


def ids_for(name: str) -> list[str]:
    """Give the ids of the default world that an operation can be played with; one empty where its path takes none."""
    path = OPERATIONS[name]["path"]
    return next((list(getattr(SpotState(), shelf)) for mark, shelf in SHELVES.items() if mark in path), [""])


WITH_IDS = [(name, an_id) for name in OPERATIONS for an_id in ids_for(name)]
# The fake shows more nulls than the documents allow, since a client must bear them: no property is marked required.
MORE_NULLS = {("Kit", "registered_to"), ("Kit", "sample"), ("KitSummary", "sample_status")}
# No answer that is documented carries it, but a patient that is created could not be named afterwards without it.
MORE_FIELDS = {("Patient", "patient_id")}
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
        if (shape, name) in MORE_FIELDS:
            continue
        if name not in FACTS["shapes"][shape]:
            yield f"{where}.{name} is no property of {shape}"
        elif item is None:
            if name not in nullable and (shape, name) not in MORE_NULLS:
                yield f"{where}.{name} is null"
        else:
            yield from faults_of(FACTS["shapes"][shape][name], item, f"{where}.{name}")


def answer_to(state: SpotState, name: str, an_id: str) -> tuple[int, Any]:
    body = json.dumps(OPERATIONS[name]["body"]).encode() if "body" in OPERATIONS[name] else b""
    call = state.read(OPERATIONS[name]["method"], target_of(name, an_id), body)
    answer = state.execute(call, "Token test-token")
    return answer.status, json.loads(answer.body)


def test_the_fakes_rows_are_the_contracts() -> None:
    documented = {(row["method"], row["path"], frozenset(row.get("query", ()))) for row in OPERATIONS.values()}

    assert {(route.method, route.template, frozenset(route.query)) for route in ROUTES} == documented
    assert len(ROUTES) == len(OPERATIONS)


@pytest.mark.parametrize(("name", "an_id"), WITH_IDS)
def test_an_answer_has_the_documented_shape_and_status(name: str, an_id: str) -> None:
    status, value = answer_to(SpotState(), name, an_id)

    assert status == OPERATIONS[name]["success"]
    assert list(faults_of(OPERATIONS[name]["answer"], value, "answer")) == []


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("change", ["add", "remove"])
def test_only_the_documented_slashes_are_answered(name: str, change: str) -> None:
    path = target_of(name, ids_for(name)[0]).partition("?")[0]
    other = path.rstrip("/") if path.endswith("/") else f"{path}/"
    if change == "add":
        other = f"{path}/"
    state = SpotState()

    answer = state.execute(state.read(OPERATIONS[name]["method"], other), "Token test-token")

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


def test_the_default_world_shows_every_property_of_a_requisition() -> None:
    state = SpotState()
    values = [answer_to(state, "get requisition", one)[1] for one in state.requisitions]

    seen = set(properties_in([*values, answer_to(state, "list requisitions", "")[1]]))

    shapes = ("Requisition", "RequisitionPatient", "RequisitionEvent", "Tracking", "Attributes", "Address", "Report")
    assert {name for shape in (*shapes, "RequisitionSummary") for name in FACTS["shapes"][shape]} <= seen


def test_a_new_order_has_all_properties_of_its_shape_and_no_other() -> None:
    _, value = answer_to(SpotState(), "create order", "")

    assert value.keys() == FACTS["shapes"]["CreatedOrder"].keys()


def test_a_kit_keeps_to_the_documented_shape_all_its_life() -> None:
    state = SpotState()
    (kit,) = state.orders["O1234567"].fulfil()
    patient = state.patients[PATIENT_ID]
    life: list[Callable[[], object]] = [
        *(kit.ship, kit.fail_delivery, kit.deliver, lambda: kit.register(patient), kit.fail_collection, kit.collect),
        *(kit.send_back, kit.fail_return, kit.arrive, kit.receive, kit.check_quality),
        *(lambda: kit.result(is_partial=True), kit.result, kit.result),
    ]

    found: list[str] = []
    for step in life:
        step()
        for name, an_id in (("get kit", kit.kit_id), ("list kits", ""), ("get order", "O1234567"), ("list orders", "")):
            found += faults_of(OPERATIONS[name]["answer"], answer_to(state, name, an_id)[1], name)

    assert found == []


def test_a_requisition_keeps_to_the_documented_shape_all_its_life() -> None:
    state = SpotState()
    requisition_id = answer_to(state, "create requisition", "")[1]["requisition_id"]
    requisition = state.requisitions[requisition_id]

    found: list[str] = []
    for name in ("fail_delivery", "deliver", "receive", "check_quality", "result", "result"):
        getattr(requisition, name)()
        for operation in ("get requisition", "list requisitions"):
            value = answer_to(state, operation, requisition_id)[1]
            found += faults_of(OPERATIONS[operation]["answer"], value, operation)

    assert found == []


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


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("KitStatus", KIT_STATUSES),
        ("SampleStatus", SAMPLE_STATUSES),
        ("OrderStatus", ORDER_STATUSES),
        ("RequisitionStatus", REQUISITION_STATUSES),
    ],
)
def test_the_fake_lists_the_documented_statuses_and_those_of_the_guides(name: str, values: tuple[str, ...]) -> None:
    assert [*FACTS["enums"][name], *FACTS["only_in_the_guides"].get(name, [])] == list(values)


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


@pytest.mark.parametrize("name", ["CreateOrder", "CreateRequisition", "Patient"])
def test_a_body_without_a_required_field_is_refused(name: str) -> None:
    operation = {"CreateOrder": "create order", "CreateRequisition": "create requisition", "Patient": "create patient"}
    row, state = OPERATIONS[operation[name]], SpotState()

    answer = state.execute(state.read(row["method"], row["path"], b"{}"), "Token test-token")

    missing = [f"{field}: Field is required" for field in FACTS["required"][name]]
    assert sorted(json.loads(answer.body)["error"]["detail"].split("; ")) == sorted(missing)


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
