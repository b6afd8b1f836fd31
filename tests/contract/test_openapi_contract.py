"""The table of facts, and the fake's answers, against the vendor's OpenAPI document, where that is at hand."""

import json
import re
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from spotdx_async.testing.state import SpotState
from tests.facts import FACTS

FOLDER = Path(__file__).parents[2].parent / "shared" / "spot-api"
if not (FOLDER / "openapi.json").is_file():
    pytest.skip("the vendor's OpenAPI document is not at hand: the table of facts stands in", allow_module_level=True)

DOCUMENT: dict[str, Any] = json.loads((FOLDER / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = {row["name"]: row for row in FACTS["operations"]}

# Where the contract follows the examples and guides, not the document.
DISAGREEMENTS = {
    "Quantity.range_minimum is a number, not a string",
    "Quantity.range_minimum may be null",
    "Quantity.range_maximum may be null",
    "Requisition.patient.address is the address itself",
    "CreateRequisition.attributes has crl_tier3_account_number",
}
# In the document alone: a slip (a path parameter that its path lacks, a requisition as its answer).
LEFT_OUT = {("GET", "/api/v2/patients/")}
FORMATS = {"date-time": "instant", "date": "date", "uuid": "uuid", "url": "url", "email": "email"}


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference, and lay the parts of an allOf together."""
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        parts = [resolved(part) for part in schema["allOf"]]
        return {"type": "object", "properties": {name: p for part in parts for name, p in part["properties"].items()}}
    return schema


def differences(kind: str | list[str], schema: dict[str, Any], where: str) -> Iterator[str]:
    """Give where the facts' kind and the document's schema say different things."""
    schema = resolved(schema)
    if isinstance(kind, list):
        if schema.get("type") != "array":
            yield f"{where} is an array"
            return
        in_array = f"{where}[]"
        yield from null_differences(in_array, schema["items"])
        yield from differences(kind[0], schema["items"], in_array)
    elif " | " in kind:
        kinds = kind.split(" | ")
        if len(kinds) != len(schema.get("oneOf", ())):
            yield f"{where} is one of {len(kinds)}"
            return
        for one, of_document in zip(kinds, schema["oneOf"], strict=True):
            yield from differences(one, of_document, one if one in FACTS["shapes"] else where)
    elif kind in FACTS["shapes"]:
        yield from shape_differences(kind, schema, where)
    elif kind in FACTS["enums"]:
        if set(schema.get("enum", ())) != set(FACTS["enums"][kind]):
            yield f"{where} is a {kind}"
    elif (theirs := FORMATS.get(schema.get("format", ""), schema.get("type"))) != kind:
        yield f"{where} is a {kind}, not a {theirs}"


def shape_differences(shape: str, schema: dict[str, Any], where: str) -> Iterator[str]:
    ours, theirs = FACTS["shapes"][shape], schema.get("properties", {})
    if list(theirs) == ["address"] and shape == "Address":
        yield f"{where} is the address itself"
        return
    yield from (f"{where} has {name}" for name in ours.keys() - theirs.keys())
    yield from (f"{where} has no {name}" for name in theirs.keys() - ours.keys())
    if shape in FACTS["required"] and set(FACTS["required"][shape]) != set(schema.get("required", ())):
        yield f"{where} requires {', '.join(FACTS['required'][shape])}"
    for name in ours.keys() & theirs.keys():
        inside = f"{where}.{name}"
        yield from null_differences(inside, theirs[name], shape)
        yield from differences(ours[name], theirs[name], inside)


def null_differences(where: str, schema: dict[str, Any], shape: str | None = None) -> Iterator[str]:
    holder, _, name = where.rpartition(".")
    is_ours = name in FACTS["nullable"].get(shape or kind_of(holder), [])
    if is_ours != bool(resolved(schema).get("nullable", schema.get("nullable"))):
        yield f"{where} may {'' if is_ours else 'not '}be null"


def kind_of(path: str) -> str:
    """Give the shape that a path such as ``Kit.sample`` leads to."""
    first, *names = path.replace("[]", "").split(".")
    for name in names:
        kind = FACTS["shapes"][first][name]
        first = kind[0] if isinstance(kind, list) else kind
    return first


def schema_of_answer(row: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = operation_of(row)["responses"][str(row["success"])]["content"]["application/json"]["schema"]
    return found


def operation_of(row: dict[str, Any]) -> dict[str, Any]:
    for path, methods in DOCUMENT["paths"].items():
        if bare(path) == bare(row["path"]) and row["method"].lower() in methods:
            found: dict[str, Any] = methods[row["method"].lower()]
            return found
    raise AssertionError(f"the document has no {row['method']} {row['path']}")


def bare(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_the_table_has_the_documents_operations_and_slashes() -> None:
    documented = {(method.upper(), bare(path)) for path, methods in DOCUMENT["paths"].items() for method in methods}

    assert {(row["method"], bare(row["path"])) for row in FACTS["operations"]} == documented - LEFT_OUT


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_has_the_documents_query_and_success_status(name: str) -> None:
    row, documented = OPERATIONS[name], operation_of(OPERATIONS[name])

    named = {one["name"] for one in documented.get("parameters", ()) if one["in"] == "query"}
    assert set(row.get("query", ())) == named
    assert [status for status in documented["responses"] if status.startswith("2")] == [str(row["success"])]


@pytest.mark.parametrize("name", [name for name, row in OPERATIONS.items() if "results" in row.get("query", ())])
def test_a_page_is_of_1_to_100_where_the_document_gives_bounds(name: str) -> None:
    parameters = {one["name"]: one["schema"] for one in operation_of(OPERATIONS[name])["parameters"]}

    assert parameters["results"].get("minimum", 1) == 1
    assert parameters["results"].get("maximum", 100) == 100
    assert parameters["offset"].get("minimum", 0) == 0


def test_the_shapes_are_the_documents_but_for_the_known_disagreements() -> None:
    found: set[str] = set()
    for row in FACTS["operations"]:
        kind = row["answer"]
        inner = kind[0] if isinstance(kind, list) else kind
        schema = resolved(schema_of_answer(row))
        if isinstance(kind, list):
            assert schema["type"] == "array"
            schema = schema["items"]
        found |= set(differences(inner, schema, inner))
    for name in ("CreateOrder", "CreateRequisition"):
        found |= set(differences(name, SCHEMAS[name], name))

    assert {shortened(fault) for fault in found} == DISAGREEMENTS


def shortened(fault: str) -> str:
    """Name the result kinds alone: they are reached by several ways."""
    return re.sub(r"^\S*\b(Quantity\.)", r"\1", fault)


@pytest.mark.parametrize("name", ["KitStatus", "SampleStatus", "OrderStatus"])
def test_a_status_has_the_documents_values(name: str) -> None:
    assert set(FACTS["enums"][name]) == set(SCHEMAS[name]["enum"])


# --- The fake's answers against the document's schemas ----------------------------------------------------------------

SCALARS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "number": (int, float),
    "integer": (int,),
}
# What the fake shows beyond the document: nulls that a client must bear, the first disagreement above, the id that a
# created patient needs, and a status of samples that the guides alone name.
BEYOND = {
    "patient_id is no property",
    "status is on no list: collected",
    "registered_to is null",
    "sample is null",
    "sample_status is null",
    "range_minimum is no string",
}


def faults_of(schema: dict[str, Any], value: Any, where: str = "") -> Iterator[str]:
    """Give what the schema does not allow in the value."""
    is_nullable = schema.get("nullable") or resolved(schema).get("nullable")
    schema = resolved(schema)
    if value is None:
        if not is_nullable:
            yield f"{where} is null"
    elif "oneOf" in schema:
        yield from fewest(list(faults_of(one, value, where)) for one in schema["oneOf"])
    elif schema["type"] == "object" and isinstance(value, dict):
        for name, item in value.items() if "properties" in schema else ():  # metadata may hold anything
            if name not in schema["properties"]:
                yield f"{name} is no property"
            else:
                yield from faults_of(schema["properties"][name], item, name)
    elif schema["type"] == "array" and isinstance(value, list):
        for item in value:
            yield from faults_of(schema["items"], item, where)
    else:
        yield from faults_of_scalar(schema, value, where)


def fewest(candidates: Iterator[list[str]]) -> list[str]:
    """Take the alternative that fits best; of two that fit as well, the one whose ``result_type`` is right."""
    return min(candidates, key=lambda found: (len(found), any(fault.startswith("result_type") for fault in found)))


def faults_of_scalar(schema: dict[str, Any], value: Any, where: str) -> Iterator[str]:
    if not isinstance(value, SCALARS.get(schema["type"], ())):
        yield f"{where} is no {schema['type']}"
    elif "enum" in schema and value not in schema["enum"]:
        yield f"{where} is on no list: {value}"
    elif not is_of_format(schema.get("format"), value):
        yield f"{where} is no {schema['format']}"


def is_of_format(name: str | None, value: Any) -> bool:
    readers: dict[str | None, Any] = {"date-time": datetime.fromisoformat, "date": date.fromisoformat, "uuid": UUID}
    try:
        readers.get(name, str)(value)
    except ValueError:
        return False
    return True


PATIENT_ID = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"
ADDRESS = {"street1": "1 Example Street", "city": "Springfield", "state": "CA", "country": "US", "zip": "00000"}
CONTACT = {"first_name": "Robin", "last_name": "Sample", "email": "robin@example.com", "phone": "2025550147"}
PATIENT = {**CONTACT, "sex": "F", "date_of_birth": "1990-01-01"}
REQUISITION = {
    "barcode": "1",
    "panels": ["PANEL-123"],
    "account_number": "1",
    "lab": "CRL",
    "state_collected": "OH",
    "patient": {**PATIENT, "address": ADDRESS},
}
SHELVES = {"{kit_id}": "kits", "{order_id}": "orders", "{requisition_id}": "requisitions"}


def targets_of(row: dict[str, Any]) -> list[str]:
    """Return what an operation can be asked of the default world: once for each object, or a page of a list."""
    path: str = row["path"]
    for placeholder, shelf in SHELVES.items():
        if placeholder in path:
            return [path.replace(placeholder, an_id) for an_id in getattr(SpotState(), shelf)]
    return [f"{path}?results=100" if "query" in row else path]


PLAYED = [
    ("create requisition", "/api/v2/requisitions/", REQUISITION),  # without what the document's answer lacks
    ("activate kit", "/api/v3/kits/SPOT234567/activate/?public_id=SPOT234567", {"patient_id": PATIENT_ID}),
    ("activate kit", "/api/v3/kits/SPOT345678/activate/?public_id=SPOT345678", PATIENT),
]
PLAYED += [
    (name, target, row.get("body"))
    for name, row in OPERATIONS.items()
    if name not in {"create requisition", "activate kit"}
    for target in targets_of(row)
]


def answer_to(state: SpotState, name: str, target: str, body: Any = None) -> tuple[int, Any]:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = state.execute(state.read(OPERATIONS[name]["method"], target, sent), "Token test-token")
    return answer.status, json.loads(answer.body)


def test_every_operation_is_played() -> None:
    assert {name for name, _, _ in PLAYED} == OPERATIONS.keys()


@pytest.mark.parametrize(("name", "target", "body"), PLAYED)
def test_the_fakes_answers_are_of_the_documents_schemas(name: str, target: str, body: Any) -> None:
    status, value = answer_to(SpotState(address_form="wrapped"), name, target, body)

    assert status == OPERATIONS[name]["success"]
    assert set(faults_of(schema_of_answer(OPERATIONS[name]), value, "answer")) <= BEYOND


def test_the_plain_address_of_a_requisition_is_all_that_sets_it_apart_from_the_document() -> None:
    _, value = answer_to(SpotState(), "create requisition", "/api/v2/requisitions/", REQUISITION)

    found = set(faults_of(schema_of_answer(OPERATIONS["create requisition"]), value, "answer"))

    assert found == {f"{name} is no property" for name in ADDRESS}


def test_a_kit_of_the_fake_lives_by_the_documents_schemas() -> None:
    state = SpotState()
    (kit,) = state.orders["O1234567"].fulfil()
    kit.ship()
    kit.deliver()
    kit.register(state.patients[PATIENT_ID])
    kit.collect()
    kit.result()

    for name, target in (("get kit", f"/api/v2/kits/{kit.kit_id}/"), ("get order", "/api/v2/orders/O1234567/")):
        _, value = answer_to(state, name, target)
        assert set(faults_of(schema_of_answer(OPERATIONS[name]), value, "answer")) <= BEYOND


@pytest.mark.parametrize(
    ("target", "authorization", "status", "schema"),
    [
        ("/api/v2/kits/SPOTZZZZZZ/", "Token test-token", 404, "NotFound"),
        ("/api/v2/orders/OZZZZZZZ/", "Token test-token", 404, "NotFound"),
        ("/api/v2/requisitions/RZZZZZZZ", "Token test-token", 404, "NotFound"),
        ("/api/v2/kits/?results=0", "Token test-token", 400, "BadRequest"),
        ("/api/v2/kit_types", None, 401, "BadRequest"),
    ],
)
def test_the_fakes_errors_are_of_the_documents_schemas(
    target: str, authorization: str | None, status: int, schema: str
) -> None:
    state = SpotState()

    answer = state.execute(state.read("GET", target), authorization)

    assert answer.status == status
    assert list(faults_of(SCHEMAS[schema], json.loads(answer.body))) == []


def test_a_refused_activation_is_of_the_documents_schema() -> None:
    state, body = SpotState(), {**PATIENT, "state": "NY"}

    status, value = answer_to(state, "activate kit", "/api/v3/kits/SPOT234567/activate/?public_id=SPOT234567", body)

    assert status == 403
    assert list(faults_of(SCHEMAS["Forbidden"], value)) == []
    assert value["error"]["detail"] == SCHEMAS["Forbidden"]["properties"]["error"]["properties"]["detail"]["example"]


def test_the_fakes_first_kit_is_the_documented_example() -> None:
    example = json.loads((FOLDER / "kit-example.json").read_text(encoding="utf-8"))

    assert SpotState().kits["SPOT123456"].document == example


def test_the_validator_finds_what_the_schema_does_not_allow() -> None:
    wrong = {
        "kit_id": 1,
        "status": "lost",
        "new": 1,
        "type": None,
        "events": [{"created": "yesterday"}],
        "sample": {"reports": [None, {"results": [{"result_type": "genotype", "result": "XY"}]}]},
    }

    assert sorted(faults_of(SCHEMAS["Kit"], wrong)) == [
        "created is no date-time",
        "kit_id is no string",
        "new is no property",
        "result is on no list: XY",
        "status is on no list: lost",
        "type is null",
    ]
