"""The fake server against the vendor's OpenAPI document, by schemathesis: half a minute, so only with the chaos.

The document is patched where it is known to slip, where the fake shows more than it, and where the fake is stricter on
purpose; each patch says why. Schemathesis runs in a process of its own: nothing here imports it.
"""

import asyncio
import copy
import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.testing import FakeSpot
from spotdx_async.testing.state import ROUTES, SpotState

PLACE = Path(__file__).parents[2].parent / "shared" / "spot-api" / "openapi.json"
if not PLACE.is_file():
    pytest.skip(
        "the vendor's OpenAPI document is not at hand: nothing to play against the fake", allow_module_level=True
    )

DOCUMENT: dict[str, Any] = json.loads(PLACE.read_text(encoding="utf-8"))
Schema = dict[str, Any]
TIMEOUT_S = 170.0
EXAMPLES = 100
"""Of each operation in the phase that draws at random."""
# Of schemathesis' checks: a wrong method is looked at below, since the fake answers 404, as to any path of no row. And
# whether a right body is taken can depend on what is there: a barcode is used once, a kit is activated once.
SETTINGS = """
[checks]
unsupported_method.enabled = false

[[operations]]
include-operation-id = ["api_v2_create_requisition", "api_v3_kits_activate_create"]
checks.positive_data_acceptance.enabled = false
"""
CREATES = (
    "api_v2_create_order",
    "api_v2_create_requisition",
    "api_v2_create_patient",
    "api_v2_create_patient_token",
    "api_v3_kits_activate_create",
)
DATES = ("created_before", "created_after", "updated_before", "updated_after")
REFUSAL = {"schema": {"$ref": "#/components/schemas/BadRequest"}}

# --- The document as the fake has it ----------------------------------------------------------------------------------


def every(node: Any) -> Iterator[Schema]:
    """Give every object of the document."""
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from every(item)


def operations(document: Schema) -> Iterator[tuple[str, Schema]]:
    for path, methods in document["paths"].items():
        yield from ((path, operation) for operation in methods.values())


def inlined(schema: Schema) -> Schema:
    """Give a schema with those that it refers to in place, so that changing it changes no other."""
    if "$ref" in schema:
        return inlined(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    whole = copy.deepcopy(schema)
    if "properties" in schema:
        whole["properties"] = {name: inlined(one) for name, one in schema["properties"].items()}
    if "items" in schema:
        whole["items"] = inlined(schema["items"])
    return whole


def patched(fake: FakeSpot) -> Schema:
    """Give the document as the fake has it."""
    document = copy.deepcopy(DOCUMENT)
    # A path parameter that its path lacks, and a requisition as the answer of a list of patients: a slip.
    del document["paths"]["/api/v2/patients/"]["get"]
    patch_answers(document)
    patch_parameters(document, fake)
    patch_bodies(document, fake)
    return document


def patch_answers(document: Schema) -> None:
    schemas = document["components"]["schemas"]
    # The minimum is typed a string, and neither end null; every example has numbers, and the other results null.
    limit = {"type": "number", "nullable": True}
    schemas["ResultQuantity"]["properties"] |= {"range_minimum": limit, "range_maximum": limit}
    # The page's example shows the address itself, as the fake does; the document wraps it in an object of its own.
    schemas["Requisition"]["properties"]["patient"]["properties"]["address"] = {"$ref": "#/components/schemas/Address"}
    # Nulls that a client must bear, and that the fake shows for it: no property is marked required.
    kit = schemas["Kit"]["properties"]
    kit["registered_to"]["nullable"] = kit["sample"]["nullable"] = True
    status = schemas["SampleStatus"]
    schemas["KitSummary"]["properties"]["sample_status"] = {**status, "enum": [*status["enum"], None], "nullable": True}
    # Refusals that any call may meet, and that the document does not write down for each.
    for _, operation in operations(document):
        for code in ("400", "401", "404"):
            operation["responses"].setdefault(code, {"description": "", "content": {"application/json": REFUSAL}})


def patch_parameters(document: Schema, fake: FakeSpot) -> None:
    # Ids that are there, so that more than 404 comes back; and one that is not, whose 404 is looked at too.
    known = {
        "/api/v2/kits/{public_id}/": [*fake.kits, "SPOTZZZZZZ"],
        "/api/v2/orders/{public_id}/": [*fake.orders, "OZZZZZZZ"],
        "/api/v2/requisitions/{id}": [*fake.requisitions, "00000000-0000-4000-8000-000000000000"],
        "/api/v3/kits/{public_id}/activate/": ["SPOT234567"],  # one alone: it stands in the query too
    }
    # Bounds and values that the contract has for each list, and the document not for all; offsets of 18 digits at most.
    schemas = {
        "results": {"type": "integer", "minimum": 1, "maximum": 100},
        "offset": {"type": "integer", "minimum": 0, "maximum": 10**18 - 1},
        **{name: {"type": "string", "format": "date"} for name in DATES},
    }
    for path, operation in operations(document):
        for parameter in operation.get("parameters", ()):
            if parameter["name"] in {"public_id", "id"}:
                parameter["schema"] = {"type": "string", "enum": known[path]}
            elif (path, parameter["name"]) == ("/api/v2/requisitions/", "status"):
                parameter["schema"] = document["components"]["schemas"]["Requisition"]["properties"]["status"]
            else:
                parameter["schema"] = schemas.get(parameter["name"], parameter["schema"])


def patch_bodies(document: Schema, fake: FakeSpot) -> None:
    bodies: dict[str, Schema] = {}
    for _, operation in operations(document):
        if body := operation.get("requestBody"):
            schema = inlined(body["content"]["application/json"]["schema"])
            bodies[operation["operationId"]] = schema
            # JSON alone: the fake reads no forms. And no call goes without the body that it has.
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    order, requisition, patient, token, activation = (bodies[name] for name in CREATES)
    # Forgotten: that it is required to replace an order's metadata.
    bodies["api_v2_update_order_metadata"]["required"] = ["metadata"]
    # Forgotten: what of a requisition's patient is required, and an attribute that stands in the contract.
    requisition["properties"]["patient"]["required"] = [*patient["required"], "address"]
    attributes = requisition["properties"]["attributes"]["properties"]
    attributes["crl_tier3_account_number"] = {"type": "string", "nullable": True, "pattern": "^[A-Za-z0-9]{8}$"}
    attributes["crl_slip_id"] |= {"pattern": "^[A-Za-z0-9]{1,10}$"}
    requisition["properties"]["state_collected"]["pattern"] = "^[A-Za-z]{2}$"
    # What is not there is refused: kit types and patients on no list.
    order["properties"]["kit_types"]["items"]["enum"] = fake.state.kit_types
    token["properties"]["kit_type"]["enum"] = fake.state.kit_types
    token["properties"]["patient_id"]["enum"] = [*fake.patients]
    order["properties"]["recipient"]["properties"]["email"]["format"] = "email"
    # One of two forms, where the document lists what both may hold; which details are required is the fake's own.
    details = {**activation["properties"], "sex": patient["properties"]["sex"]}
    del details["patient_id"]
    by_id = {name: activation["properties"][name] for name in ("patient_id", "research_consent")}
    by_id["patient_id"]["enum"] = [*fake.patients]
    forms = [
        {"type": "object", "properties": by_id, "required": ["patient_id"]},
        {"type": "object", "properties": details, "required": [*fake.state.activation_requires]},
    ]
    activation.clear()
    activation["oneOf"] = forms
    # Refused on purpose, so that a test sees its own mistake: unknown fields, empty texts, empty arrays.
    for schema in every([order, requisition, patient, token, activation]):
        if "properties" in schema:
            schema["additionalProperties"] = False
        if schema.get("type") == "string" and not {"enum", "format", "pattern"} & schema.keys():
            schema["pattern"] = r"\S"
        if schema.get("type") == "array":
            schema["minItems"] = 1


# --- Slashes and methods ----------------------------------------------------------------------------------------------


def filled(path: str, fake: SpotState) -> str:
    """Put the id of something that is there into a path."""
    ids: dict[str, Any] = {"kits": fake.kits, "orders": fake.orders, "requisitions": fake.requisitions}
    an_id = next(iter(ids.get(path.split("/")[3], {"": ""})))
    return path.replace("{public_id}", an_id).replace("{id}", an_id)


PATHS = {path: {method.upper() for method in methods} for path, methods in DOCUMENT["paths"].items()}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_a_path_with_a_slash_too_many_or_too_few_is_not_found(path: str, method: str) -> None:
    state = SpotState()
    right = filled(path, state)
    wrong = [f"{right}/", right.rstrip("/"), right.replace("/api/", "/api//")]

    answers = [state.execute(state.read(method, one, b"{}"), "Token test-token") for one in wrong if one != right]

    assert {answer.status for answer in answers} == {404}


@pytest.mark.parametrize("path", PATHS)
def test_a_method_that_the_path_does_not_have_is_not_found(path: str) -> None:
    state = SpotState()
    methods = {"GET", "POST", "PUT", "PATCH", "DELETE"} - PATHS[path]
    if path == "/api/v2/patients/":
        methods.add("GET")  # the slip

    answers = [state.execute(state.read(one, filled(path, state), b"{}"), "Token test-token") for one in methods]

    assert {answer.status for answer in answers} == {404}


# --- The run ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.environ.get("SPOTDX_CHAOS") != "full", reason="half a minute: only with SPOTDX_CHAOS=full")
@pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed: it is in the group fuzz"
)
async def test_schemathesis_finds_nothing(tmp_path: Path, chaos: Any) -> None:
    async with FakeSpot() as fake:
        # No date of birth lies in the future then: a schema cannot say that it must not.
        fake.state.wall = lambda: datetime(9999, 12, 31, tzinfo=UTC)
        (tmp_path / "openapi.json").write_text(json.dumps(patched(fake)), encoding="utf-8")
        (tmp_path / "schemathesis.toml").write_text(SETTINGS, encoding="utf-8")
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--no-color", "--url", fake.url),
            *("--header", f"Authorization:Token {fake.token}", "--max-examples", str(EXAMPLES)),
            *("--continue-on-failure", "--seed", str(chaos.seed), "--generation-database", "none"),
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                output, _ = await run.communicate()
        finally:
            if run.returncode is None:
                run.kill()
                await run.wait()
        executed = {(request.method, request.template) for request in fake.executed}

    said = output.decode()
    assert run.returncode == 0, said
    print(said)  # noqa: T201 - what was tried, and how much of it
    assert executed == {(route.method, route.template) for route in ROUTES}
