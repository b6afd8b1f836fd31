"""Every bundle is valid: by the models of fhir.resources, and by rules of the standard that these do not check.

They are of R4B (4.3.0), whose Patient, Specimen, Observation, DiagnosticReport and Bundle are those of R4 (4.0.1): what
R4B changed are resources of medicines, of evidence and of subscriptions.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B.bundle import Bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from spotdx_async import Kit, Requisition, loads
from spotdx_async.fhir import bundle, resources
from spotdx_async.testing.factories import make_kit, make_requisition
from tests.drawn_answers import FILLED_KIT, KIT, REQUISITION
from tests.long_set import IS_FULL

pytestmark = pytest.mark.no_cover

MANY = settings(max_examples=10_000 if IS_FULL else 80, suppress_health_check=[HealthCheck.too_slow])
FEWER = settings(max_examples=1_000 if IS_FULL else 30, suppress_health_check=[HealthCheck.too_slow])
TEXT = re.compile(r"[ \r\n\t\S]+")
CODES = {
    "Observation.status": "registered preliminary final amended corrected cancelled entered-in-error unknown",
    "DiagnosticReport.status": "registered partial preliminary final amended corrected appended cancelled "
    "entered-in-error unknown",
    "Specimen.status": "available unavailable unsatisfactory entered-in-error",
    "Patient.gender": "male female other unknown",
    "Bundle.type": "collection",
}


def faults_of(found: dict[str, Any]) -> list[str]:
    """What is wrong with a bundle, as a list of texts."""
    text = json.dumps(found, ensure_ascii=False)
    text.encode()
    try:
        Bundle.model_validate_json(text)
    except ValidationError as error:
        return [str(error)]
    entries = [entry["resource"] for entry in found.get("entry", [])]
    full_urls = [entry["fullUrl"] for entry in found.get("entry", [])]
    targets = {*full_urls}
    faults = [] if len(targets) == len(full_urls) else ["two entries of one id"]
    faults += [fault for path, value in places("", found) for fault in faults_at(path, value, targets)]
    for resource in [found, *entries]:
        for name, codes in CODES.items():
            kind, _, field = name.partition(".")
            if resource["resourceType"] == kind and field in resource and resource[field] not in codes.split():
                faults.append(f"{name} is {resource[field]}")
        if resource["resourceType"] == "Observation":
            values = [name for name in resource if name.startswith("value") or name == "dataAbsentReason"]
            if len(values) != 1:  # obs-6, and no observation without either
                faults.append(f"{values} in one observation")
    return faults


def places(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for name, one in value.items():
            yield from places(f"{path}.{name}", one)
    elif isinstance(value, list):
        for one in value:
            yield from places(path, one)


def faults_at(path: str, value: Any, targets: set[str]) -> Iterator[str]:
    if value in (None, [], {}):  # ele-1: nothing is empty
        yield f"{path} is empty"
    elif isinstance(value, str) and (TEXT.fullmatch(value) is None or value != value.strip()):
        yield f"{path} is {value!r}"
    elif path.endswith(".reference") and value not in targets:
        yield f"{path} leads nowhere"
    elif path.endswith(".comparator") and value not in {"<", "<=", ">=", ">"}:
        yield f"{path} is {value!r}"
    elif path.endswith(".referenceRange") and isinstance(value, dict) and not {"low", "high", "text"} & {*value}:
        yield f"{path} says nothing"  # obs-3


@MANY
@given(FILLED_KIT, st.booleans())
def test_every_bundle_of_a_kit_is_valid_and_the_same_again(tree: Any, phi: bool) -> None:
    assert_valid_and_the_same_again(Kit, tree, phi=phi)


@FEWER
@given(st.tuples(st.just(Kit), KIT) | st.tuples(st.just(Requisition), REQUISITION), st.booleans())
def test_every_bundle_is_valid_whatever_is_missing(answer: tuple[Any, Any], phi: bool) -> None:
    assert_valid_and_the_same_again(*answer, phi=phi)


def assert_valid_and_the_same_again(type_: type[Any], tree: Any, *, phi: bool) -> None:
    first, again = (loads(json.dumps(tree), type_) for _ in range(2))

    found = bundle(first, phi=phi, links=phi, pseudonym=str.upper)

    assert faults_of(found) == []
    assert json.dumps(found) == json.dumps(bundle(again, phi=phi, links=phi, pseudonym=str.upper))


@pytest.mark.parametrize("of", [make_kit(), make_requisition(), Kit(), Requisition()], ids=lambda of: type(of).__name__)
@pytest.mark.parametrize("phi", [False, True])
def test_usual_bundles_are_valid(of: Kit | Requisition, phi: bool) -> None:
    assert faults_of(bundle(of, phi=phi, links=phi)) == []


@pytest.mark.parametrize("of", [make_kit(), make_requisition()], ids=lambda of: type(of).__name__)
def test_single_resources_are_valid_too(of: Kit | Requisition) -> None:
    for resource in resources(of, phi=True, links=True):
        Bundle.model_validate({"resourceType": "Bundle", "type": "collection", "entry": [{"resource": resource}]})


def test_a_fault_would_show() -> None:
    found = bundle(make_kit(), phi=True)
    patient, specimen, observation = (found["entry"][index]["resource"] for index in range(3))
    patient["gender"] = "F"
    specimen["subject"]["reference"] = "urn:uuid:nowhere"
    observation["code"]["text"] = " "
    observation["dataAbsentReason"] = {"text": "both"}

    assert sorted(faults_of(found)) == [
        *(".entry.resource.code.text is ' '", ".entry.resource.subject.reference leads nowhere", "Patient.gender is F"),
        "['valueQuantity', 'dataAbsentReason'] in one observation",
    ]
    del observation["status"]
    (fault,) = faults_of(found)
    assert "status" in fault
