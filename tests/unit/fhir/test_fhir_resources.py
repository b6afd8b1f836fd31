"""What becomes of each part of a kit or requisition in FHIR."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError, Kit, loads
from spotdx_async.fhir import UNITS, bundle, resources
from spotdx_async.models import (
    GenotypeResult,
    QuantityResult,
    ReactivityResult,
    Registrant,
    Report,
    Requisition,
    Result,
    Sample,
    UnknownResult,
)
from spotdx_async.testing.factories import (
    make_address,
    make_genotype_result,
    make_kit,
    make_patient,
    make_quantity_result,
    make_reactivity_result,
    make_registrant,
    make_report,
    make_requisition,
    make_sample,
    make_unknown_result,
)

SAMPLES = Path(__file__).parents[2] / "samples"
UCUM = "http://unitsofmeasure.org"


def made(of: Any, kind: str, **options: Any) -> list[dict[str, Any]]:
    return [resource for resource in resources(of, **options) if resource["resourceType"] == kind]


def observed(*results: Result, **options: Any) -> list[dict[str, Any]]:
    """The observations of a kit with these results."""
    return made(Kit(kit_id="SPOT1", sample=Sample(reports=(Report(results=results),))), "Observation", **options)


def value_of(result: Result, **options: Any) -> dict[str, Any]:
    (found,) = observed(result, **options)
    return {name: value for name, value in found.items() if name.startswith("value") or name == "dataAbsentReason"}


# --- The bundle -------------------------------------------------------------------------------------------------------


def test_the_bundle_of_the_vendors_example_stays_what_it_is() -> None:
    """Ids that change would make new resources of old results wherever they were sent before."""
    kit = loads((SAMPLES / "kit.json").read_bytes(), Kit)

    found = bundle(kit, phi=True, links=True, codes={("HDL Cholesterol", "mg/dL"): {"system": "urn:x", "code": "HDL"}})

    assert json.dumps(found, indent=1) == (SAMPLES / "fhir_bundle.json").read_text(encoding="utf-8").rstrip("\n")


def test_another_process_makes_the_same_bytes() -> None:
    program = (
        "import json; from spotdx_async.fhir import bundle; from spotdx_async.testing.factories import make_kit; "
        "print(json.dumps(bundle(make_kit(7), phi=True)))"
    )

    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONHASHSEED": "7"},
        timeout=60,
    )

    assert done.stdout.rstrip("\n") == json.dumps(bundle(make_kit(7), phi=True))


def test_a_bundle_holds_the_resources_and_they_refer_to_one_another_in_it() -> None:
    found = bundle(make_kit(), phi=True)
    alone = [*resources(make_kit(), phi=True)]

    assert (found["resourceType"], found["type"]) == ("Bundle", "collection")
    assert [entry["fullUrl"] for entry in found["entry"]] == [f"urn:uuid:{resource['id']}" for resource in alone]
    by_type = [*dict.fromkeys(resource["resourceType"] for resource in alone)]
    assert by_type == ["Patient", "Specimen", "Observation", "DiagnosticReport"]
    targets = {f"{resource['resourceType']}/{resource['id']}" for resource in alone}
    assert {*references_in(alone)} <= targets
    assert {*references_in(found)} <= {entry["fullUrl"] for entry in found["entry"]}
    assert len({*references_in(alone)}) == len({*references_in(found)}) == 5


def references_in(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        yield from ([value["reference"]] if "reference" in value else [])
        value = [*value.values()]
    if isinstance(value, list):
        for one in value:
            yield from references_in(one)


def test_nothing_makes_a_bundle_without_entries() -> None:
    empty = bundle(Kit(kit_id="SPOT1"))

    assert {*empty} == {"resourceType", "id", "type"}


def test_kits_share_no_ids_but_those_of_a_patient() -> None:
    person = make_registrant(patient_id="P1")
    one, other = (make_kit(number, registered_to=person) for number in (1, 2))

    shared = {one["id"] for one in resources(one, phi=True)} & {other["id"] for other in resources(other, phi=True)}

    assert shared == {made(one, "Patient", phi=True)[0]["id"]}
    nameless = Registrant()
    assert len({made(make_kit(n, registered_to=nameless), "Patient", phi=True)[0]["id"] for n in (1, 2)}) == 2


# --- Results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "value"),
    [
        (123, {"value": 123}),
        (12.5, {"value": 12.5}),
        ("12.0", {"value": 12}),
        (10**40, {"value": 10**40}),
        ("<10", {"value": 10, "comparator": "<"}),
        ("≥ 0.5", {"value": 0.5, "comparator": ">="}),
    ],
)
def test_an_amount_is_a_quantity_and_a_bound_says_so(result: Any, value: dict[str, Any]) -> None:
    made_of = QuantityResult(result=result, unit_of_measure="pg/mL")

    unit = {"unit": "pg/mL", "system": UCUM, "code": "pg/mL"}
    assert value_of(made_of) == {"valueQuantity": {**value, **unit}}


@pytest.mark.parametrize("text", ["1,200", "12 (H)", "negative", "not detected"])
def test_an_amount_that_is_not_surely_one_is_text(text: str) -> None:
    assert value_of(QuantityResult(result=text, unit_of_measure="mg/dL")) == {"valueString": text}


@pytest.mark.parametrize(
    ("unit", "code"),
    [("µg/dL", "ug/dL"), ("μIU/mL", "u[IU]/mL"), ("mcg/dL", "ug/dL"), ("mIU/L", "m[IU]/L"), ("%", "%")],
)
def test_a_unit_of_the_list_has_its_code(unit: str, code: str) -> None:
    (found,) = value_of(QuantityResult(result=1, unit_of_measure=unit)).values()

    assert found == {"value": 1, "unit": unit, "system": UCUM, "code": code}


@pytest.mark.parametrize("unit", ["K/uL", "MG/DL", "mg / dL", "ratio", "Index"])
def test_any_other_unit_is_text_alone(unit: str) -> None:
    (found,) = value_of(QuantityResult(result=1, unit_of_measure=unit)).values()

    assert found == {"value": 1, "unit": unit}
    assert value_of(QuantityResult(result=1)) == {"valueQuantity": {"value": 1}}


def test_the_list_of_units_maps_texts_to_codes_of_ucum() -> None:
    assert {code for code in UNITS.values() if any(sign in code for sign in "µμ ")} == set()
    assert {code: UNITS[code] for code in UNITS.values() if UNITS.get(code, code) != code} == {}
    assert UNITS["mg/dL"] == "mg/dL"


@pytest.mark.parametrize(("word", "code"), [("positive", "10828004"), ("Negative ", "260385009")])
def test_a_finding_is_a_code_of_snomed(word: str, code: str) -> None:
    (found,) = value_of(ReactivityResult(result=word)).values()

    assert found["text"] == word.strip()
    assert [(one["system"], one["code"]) for one in found["coding"]] == [("http://snomed.info/sct", code)]


def test_other_findings_and_genotypes_are_text() -> None:
    assert value_of(ReactivityResult(result="reactive")) == {"valueString": "reactive"}
    assert value_of(GenotypeResult(result="TT")) == {"valueString": "TT"}
    assert value_of(UnknownResult(result="positive")) == {"valueString": "positive"}


def test_an_unknown_kind_is_what_its_value_is_and_hidden_where_it_is_an_object() -> None:
    reason = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason"}
    masked = {"dataAbsentReason": {"coding": [{**reason, "code": "masked", "display": "Masked"}]}}
    missing = {"dataAbsentReason": {"coding": [{**reason, "code": "unknown", "display": "Unknown"}]}}

    assert value_of(UnknownResult(result=5)) == {"valueQuantity": {"value": 5}}
    assert value_of(UnknownResult(result=False)) == {"valueBoolean": False}
    assert value_of(UnknownResult(result={"of": "Robin"})) == masked
    assert value_of(UnknownResult(result={"of": "Robin"}), phi=True) == {"valueString": '{"of":"Robin"}'}
    assert [value_of(UnknownResult(result=nothing)) for nothing in (None, "", " \n")] == [missing] * 3
    assert value_of(QuantityResult()) == missing


def test_a_range_has_its_ends_and_text_only_with_phi() -> None:
    result = QuantityResult(result=5, unit_of_measure="mg/dL", range_minimum=1, range_maximum="see note")
    unit = {"unit": "mg/dL", "system": UCUM, "code": "mg/dL"}

    ranges = [observed(result, phi=phi)[0]["referenceRange"] for phi in (False, True)]

    assert ranges == [[{"low": {"value": 1, **unit}}], [{"low": {"value": 1, **unit}, "text": "high: see note"}]]
    assert "referenceRange" not in observed(QuantityResult(result=5))[0]
    assert "referenceRange" not in observed(QuantityResult(result=5, range_minimum="see note"))[0]


@pytest.mark.parametrize(
    ("result", "flag"),
    [
        (make_quantity_result(result=10), "L"),
        (make_quantity_result(result=100), "N"),
        (make_quantity_result(result="> 200"), "H"),
        (make_reactivity_result(result="positive"), "POS"),
        (make_reactivity_result(), "NEG"),
        (make_genotype_result(), None),
    ],
)
def test_a_flag_is_the_interpretation(result: Result, flag: str | None) -> None:
    (found,) = observed(result)

    codes = [one["code"] for concept in found.get("interpretation", []) for one in concept["coding"]]
    assert codes == ([] if flag is None else [flag])


def test_codes_are_the_callers_or_none() -> None:
    ours, theirs = {"system": "urn:lab", "code": "7"}, {"system": "http://loinc.org", "code": "2085-9"}
    results = (
        QuantityResult(name="HDL", unit_of_measure="mg/dL"),
        QuantityResult(name="HDL", unit_of_measure="mmol/L"),
        GenotypeResult(name="rs1"),
        QuantityResult(),
        UnknownResult(name="HDL", unit_of_measure=["mg/dL"]),
    )

    found = observed(*results, codes={("HDL", "mg/dL"): [ours, theirs], ("rs1", None): ours, ("HDL", "mmol/L"): None})

    assert [one["code"] for one in found] == [
        {"coding": [ours, theirs], "text": "HDL"},
        {"text": "HDL"},
        {"coding": [ours], "text": "rs1"},
        {"coding": [{**found[3]["code"]["coding"][0], "code": "unknown"}]},
        {"text": "HDL"},
    ]
    assert found[0]["code"]["coding"][0] is not ours


@pytest.mark.parametrize("wrong", ["2085-9", ["2085-9"], 7, [{}]])
def test_codes_that_are_no_codings_are_refused(wrong: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"codes must map \(name, unit\)"):
        observed(QuantityResult(name="HDL"), codes={("HDL", None): wrong})


# --- Reports, specimens and their states ------------------------------------------------------------------------------

DATED, BARE = make_report(), make_report(date_resulted=None)
AMENDED = make_report(is_amendment=True)


@pytest.mark.parametrize(
    ("status", "report", "expected"),
    [
        ("resulted", DATED, ("final", {"final"})),
        ("resulted", BARE, ("final", {"final"})),
        ("received", DATED, ("final", {"final"})),
        ("received", BARE, ("unknown", {"unknown"})),
        (None, BARE, ("unknown", {"unknown"})),
        ("received", Report(), ("registered", set())),
        ("resulted", AMENDED, ("amended", {"amended"})),
        ("partially_resulted", AMENDED, ("amended", {"amended"})),
        ("partially_resulted", DATED, ("partial", {"final"})),
        ("extra_quality_checks", DATED, ("preliminary", {"preliminary"})),
        ("canceled", AMENDED, ("cancelled", {"cancelled"})),
        ("rejected", DATED, ("cancelled", {"cancelled"})),
        ("a new word", DATED, ("final", {"final"})),
        ("received", None, ("registered", set())),
        ("canceled", None, ("cancelled", set())),
    ],
)
def test_statuses_follow_the_sample_and_the_report(
    status: str | None, report: Report | None, expected: tuple[str, set[str]]
) -> None:
    kit = make_kit(sample=make_sample(status=status, reports=(report,)))

    (told,) = made(kit, "DiagnosticReport")

    assert (told["status"], {one["status"] for one in made(kit, "Observation")}) == expected


def test_a_requisition_that_was_denied_is_cancelled() -> None:
    assert made(make_requisition(status="denied", reports=()), "DiagnosticReport")[0]["status"] == "cancelled"


def test_a_result_that_a_newer_report_replaces_is_tagged() -> None:
    old = make_report(results=(make_quantity_result(), make_genotype_result()))
    new = make_report(results=(make_quantity_result(result=99),), is_amendment=True)
    kit = make_kit(sample=make_sample(reports=(old, new)))

    found = made(kit, "Observation")

    tags = [[tag["code"] for tag in one.get("meta", {}).get("tag", [])] for one in found]
    assert tags == [["superseded"], [], []]
    assert [one["status"] for one in found] == ["final", "final", "amended"]


def test_times_are_those_of_the_result_else_of_the_report() -> None:
    own, whole = datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC), datetime(2024, 1, 1, 9, tzinfo=UTC)
    results = (QuantityResult(time_collected=own), QuantityResult(), UnknownResult(time_collected="soon"))
    report = Report(results=results, date_collected=whole, date_received=whole, date_resulted=own)
    kit = Kit(sample=Sample(reports=(report,)))

    assert [one["effectiveDateTime"] for one in made(kit, "Observation")] == [
        *("2024-01-02T03:04:05.678Z", "2024-01-01T09:00:00Z", "2024-01-01T09:00:00Z"),
    ]
    (told,), (taken,) = made(kit, "DiagnosticReport"), made(kit, "Specimen")
    assert (told["effectiveDateTime"], told["issued"]) == ("2024-01-01T09:00:00Z", "2024-01-02T03:04:05.678Z")
    assert taken["collection"] == {"collectedDateTime": "2024-01-01T09:00:00Z"}
    assert taken["receivedTime"] == "2024-01-01T09:00:00Z"


def test_a_specimen_has_no_time_where_reports_disagree() -> None:
    reports = tuple(Report(date_received=datetime(2024, 1, day, tzinfo=UTC)) for day in (1, 2))

    assert "receivedTime" not in made(Kit(sample=Sample(reports=reports)), "Specimen")[0]


@pytest.mark.parametrize(
    ("status", "expected"),
    [("received", "available"), ("rejected", "unsatisfactory"), ("in_transit", None), ("new", None), (None, None)],
)
def test_a_specimen_is_available_once_the_laboratory_has_it(status: str | None, expected: str | None) -> None:
    (taken,) = made(Kit(sample=Sample(sample_id="S1", status=status, type="adx100")), "Specimen")

    assert taken.get("status") == expected
    assert taken["container"] == [{"type": {"text": "adx100"}}]
    assert [one["value"] for one in taken["identifier"]] == ["S1"]


def test_a_report_is_named_after_its_panels() -> None:
    kit = make_kit(sample=make_sample(panels=("A", " ", "B")))
    code = {"system": "urn:x", "code": "1"}

    assert made(kit, "DiagnosticReport", codes={("B", None): code})[0]["code"] == {"coding": [code], "text": "A, B"}
    assert made(Kit(sample=Sample()), "DiagnosticReport")[0]["code"] == {"text": "Laboratory report"}


# --- Patient data -----------------------------------------------------------------------------------------------------


def test_a_patient_is_there_with_phi() -> None:
    person = make_registrant(patient_id="P1", sex="F", date_of_birth=date(1931, 3, 7), phone=None, email="a@b.example")

    (found,) = made(make_kit(registered_to=person), "Patient", phi=True)

    assert {name: value for name, value in found.items() if name != "id"} == {
        "resourceType": "Patient",
        "identifier": [{"system": "https://app.spotdx.com/api/v2/patients", "value": "P1"}],
        "name": [{"family": person.last_name, "given": [person.first_name]}],
        "telecom": [{"system": "email", "value": "a@b.example"}],
        "gender": "female",
        "birthDate": "1931-03-07",
    }
    assert "gender" not in made(make_kit(registered_to=Registrant(sex="X")), "Patient", phi=True)[0]


def test_without_phi_the_subject_is_a_pseudonym_or_nobody() -> None:
    kit = make_kit(registered_to=make_registrant(patient_id="P1"))

    with_pseudonym = [*resources(kit, pseudonym=lambda patient_id: f"pseudonym of {len(patient_id)}")]

    assert made(kit, "Patient") == []
    assert {"subject" in one for one in resources(kit)} == {False}
    assert [one["subject"] for one in with_pseudonym] == [
        {
            "type": "Patient",
            "identifier": {
                "system": "https://app.spotdx.com/api/v2/patients#pseudonym",
                "value": "pseudonym of 2",
            },
        },
    ] * len(with_pseudonym)


def test_a_requisition_is_a_case_too() -> None:
    requisition = make_requisition(patient=make_patient(address=make_address()))
    address = make_address()

    found = [*resources(requisition, phi=True)]

    assert [*dict.fromkeys(one["resourceType"] for one in found)] == [
        *("Patient", "Specimen", "Observation", "DiagnosticReport"),
    ]
    assert found[0]["address"] == [
        {
            "line": [address.street1, address.street2],
            "city": address.city,
            "state": address.state,
            "postalCode": address.zip,
            "country": "US",
        }
    ]
    assert [one["value"] for one in found[1]["identifier"]] == [requisition.requisition_id, requisition.barcode]
    assert {*resources_ids(Requisition(requisition_id="1"))}.isdisjoint(resources_ids(Kit(kit_id="1", sample=Sample())))


def resources_ids(of: Kit | Requisition) -> list[str]:
    return [one["id"] for one in resources(of)]


def test_links_are_there_when_asked_for_and_only_with_phi() -> None:
    report = make_report(pdf="https://example.com/1.pdf", txt="no address")
    kit = make_kit(sample=make_sample(reports=(report,)))

    assert "presentedForm" not in made(kit, "DiagnosticReport", phi=True)[0]
    assert made(kit, "DiagnosticReport", phi=True, links=True)[0]["presentedForm"] == [
        {"contentType": "application/pdf", "url": "https://example.com/1.pdf"}
    ]
    for make in (bundle, resources):
        with pytest.raises(InvalidInputError, match="pass phi=True"):
            make(kit, links=True)


def test_comments_are_notes_with_phi() -> None:
    result = make_unknown_result(comments=" fasting ")

    assert observed(result, phi=True)[0]["note"] == [{"text": "fasting"}]
    assert "note" not in observed(result)[0]


def test_characters_that_fhir_forbids_are_replaced() -> None:
    (found,) = observed(QuantityResult(name="\u2003A\x00B\u00a0C\ud800\n", result="a\tb"))

    assert found["code"] == {"text": "A\ufffdB C\ufffd"}
    assert found["valueString"] == "a\tb"
