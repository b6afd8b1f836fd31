import json
from uuid import UUID

import pytest

from spotdx_async.testing.patients import EXAMPLE_PATIENT_ID, Patients


@pytest.fixture
def patients() -> Patients:
    return Patients()


def test_an_added_patient_is_a_person_who_does_not_exist(patients: Patients) -> None:
    patient = patients.add("p1")

    answer = json.loads(patient.answer().body)
    assert answer["patient_id"] == patient.patient_id == "p1"
    assert answer["email"].endswith("@example.com")
    assert patient.address == {}


def test_what_is_said_of_a_patient_replaces_the_example(patients: Patients) -> None:
    patient = patients.add("p1", first_name="Kim", sex=None, address={"state": "NY"})

    assert (patient.document["first_name"], patient.document["sex"]) == ("Kim", None)
    assert patient.address["state"] == "NY"


def test_a_registrant_has_no_field_that_the_patient_lacks(patients: Patients) -> None:
    patient = patients.add("p1", document={"last_name": "Sample"})

    assert patient.registrant() == {"patient_id": "p1", "last_name": "Sample"}


def test_changing_one_patient_leaves_the_others_alone(patients: Patients) -> None:
    patients.add("a").document["first_name"] = "Kim"

    assert patients.add("b").document["first_name"] == "Robin"


def test_a_misspelt_field_is_refused_and_nothing_is_added(patients: Patients) -> None:
    with pytest.raises(ValueError, match="unknown: frist_name; known: address, date_of_birth, document"):
        patients.add("p1", frist_name="Kim")

    assert len(patients) == 0


def test_an_id_is_added_once(patients: Patients) -> None:
    patients.add("p1")

    with pytest.raises(ValueError, match="a patient with this id is there already"):
        patients.add("p1")


def test_ids_that_are_made_up_are_uuids(patients: Patients) -> None:
    ids = patients.add_many(3)

    assert {UUID(an_id).version for an_id in ids} == {4}
    assert list(patients) == list(ids)


def test_the_default_world_holds_whom_the_documented_kit_is_registered_to(patients: Patients) -> None:
    patients.add_default_world()

    assert patients[EXAMPLE_PATIENT_ID].document["first_name"] == "Alice"


def test_reprs_show_nothing_of_a_patient(patients: Patients) -> None:
    assert repr(patients.add("p1")) == "<FakePatient>"
    assert repr(patients) == "<Patients: 1>"
