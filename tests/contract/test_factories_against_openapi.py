"""What the factories make, as JSON, against the vendor's OpenAPI document, where that is at hand.

The schemas are closed before a model is held against them: the document allows any further property.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from spotdx_async import dumps
from spotdx_async.models import Model
from spotdx_async.testing import factories

PLACE = Path(__file__).parents[2].parent / "shared" / "spot-api" / "openapi.json"
if not PLACE.is_file():
    pytest.skip("the vendor's OpenAPI document is not at hand: nothing to hold models against", allow_module_level=True)

DOCUMENT: dict[str, Any] = json.loads(PLACE.read_text(encoding="utf-8"))
Schema = dict[str, Any]

# Where a factory's model stands in the document, if not under its own name: a schema's name, then properties.
NAMED_OTHERWISE = {
    "make_genotype_result": "ResultGenotype",
    "make_new_order": "CreateOrder",
    "make_new_patient": "Patient",
    "make_new_requisition": "CreateRequisition",
    "make_order": "OrderFull",
    "make_quantity_result": "ResultQuantity",
    "make_reactivity_result": "ResultReactivity",
    "make_registrant": "Kit.registered_to",
    "make_registration_token": "PatientRegistrationTokenResponse",
    "make_requisition_attributes": "Requisition.attributes",
    "make_requisition_event": "Requisition.events",
    "make_sample": "Kit.sample",
    "make_tracking": "Requisition.tracking",
}
NOT_IN_THE_DOCUMENT = {
    "make_activation": "an answer that the document leaves unspecified",
    "make_activation_result": "the same",
    "make_unknown_result": "a kind of result that the vendor does not have",
}
PLACES = {
    name: NAMED_OTHERWISE.get(name, name.removeprefix("make_").title().replace("_", ""))
    for name in factories.__all__
    if name not in NOT_IN_THE_DOCUMENT
}


def corrected(schemas: dict[str, Schema]) -> dict[str, Schema]:
    """Correct the schemas where the contract follows the examples and guides, not the document."""
    theirs = {name: schema["properties"] for name, schema in schemas.items() if "properties" in schema}
    answered = theirs["Requisition"]
    tier3 = "crl_tier3_account_number"
    forgotten = {tier3: answered["attributes"]["properties"][tier3]}
    theirs["CreateRequisition"]["attributes"]["properties"] |= forgotten
    theirs["ResultQuantity"]["range_minimum"] = {"type": "number", "nullable": True}
    answered["patient"]["properties"]["address"] = {"$ref": "#/components/schemas/Address"}
    # Assumed: as a kit's registrant has it.
    for properties in (theirs["Patient"], answered["patient"]["properties"]):
        properties["patient_id"] = {"type": "string", "format": "uuid"}
    return schemas


SCHEMAS = corrected(DOCUMENT["components"]["schemas"])


def resolved(schema: Schema) -> Schema:
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    return schema


def closed(schema: Schema) -> Schema:
    """Put the referenced schemas in place, and let no property beyond them pass."""
    whole = dict(resolved(schema))
    if "allOf" in whole:
        parts = [closed(part) for part in whole.pop("allOf")]
        whole["properties"] = {name: one for part in parts for name, one in part["properties"].items()}
    if "properties" in whole:
        whole["properties"] = {name: closed(one) for name, one in whole["properties"].items()}
        whole["additionalProperties"] = False
    if "items" in whole:
        whole["items"] = closed(whole["items"])
    if "oneOf" in whole:
        whole["oneOf"] = [closed(one) for one in whole["oneOf"]]
    return whole


def schema_of(place: str) -> Schema:
    name, _, field = place.partition(".")
    schema = closed({"$ref": f"#/components/schemas/{name}"})
    if field:
        schema = schema["properties"][field]
    items: Schema = schema.get("items", schema)
    return items


def faults_of(made: Model, schema: Schema) -> list[str]:
    validator = OAS30Validator(schema, format_checker=oas30_format_checker)
    return [f"{error.json_path} {error.message}" for error in validator.iter_errors(json.loads(dumps(made)))]


def test_every_factory_has_a_place_or_a_reason() -> None:
    assert {*NAMED_OTHERWISE, *NOT_IN_THE_DOCUMENT} <= {*factories.__all__}


@pytest.mark.parametrize("name", PLACES)
def test_what_a_factory_makes_is_of_the_documents_schema(name: str) -> None:
    assert faults_of(getattr(factories, name)(), schema_of(PLACES[name])) == []
