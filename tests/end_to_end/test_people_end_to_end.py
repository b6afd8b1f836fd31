"""Requisitions, patients and registration tokens against the fake server: what comes back, and what no text shows."""

import copy
import logging
import pickle
import traceback
from datetime import date
from typing import Any

import attrs
import pytest

from spotdx_async import (
    Address,
    BadRequestError,
    InvalidInputError,
    NewPatient,
    NewRequisition,
    NotFoundError,
    OutcomeUnknownError,
    Registrant,
    RegistrationToken,
    RequisitionAttributes,
    RequisitionStatus,
    Sex,
    SpotClient,
    SpotError,
    Tracking,
    dumps,
    loads,
)
from spotdx_async.testing import FakeSpot, faults
from tests.new_objects import part

PATIENT = NewPatient(
    first_name="Canary",
    last_name="Sample",
    email="canary@example.com",
    phone="2025550147",
    sex=Sex.F,
    date_of_birth=date(1990, 1, 31),
)
REQUISITION = NewRequisition(
    barcode="77700000001",
    panels=["CANARY-PANEL"],
    account_number="1234567890",
    lab="CRL",
    state_collected="OH",
    patient=attrs.evolve(
        PATIENT, address=Address(street1="1 Canary Street", city="Springfield", state="OH", country="US", zip="00000")
    ),
    tracking=Tracking(tracking_number="CANARY9400", carrier="usps"),
    attributes=RequisitionAttributes(crl_slip_id="CANARY1234"),
    metadata={"note": "canary"},
)
KNOWN = "7563e8e2-7fbd-480c-9b8b-2070eda884bf"


async def test_a_new_requisition_is_approved_at_once_and_comes_back_whole(spot_client: SpotClient) -> None:
    made = await spot_client.requisitions.create(REQUISITION)
    got = await spot_client.requisitions.get(str(made.requisition_id))

    assert (made.status, [event.event for event in made.events]) == (
        RequisitionStatus.APPROVED,
        [RequisitionStatus.CREATED, RequisitionStatus.APPROVED],
    )
    assert got == made
    assert got.patient is not None
    assert (got.patient.first_name, got.patient.date_of_birth) == ("Canary", date(1990, 1, 31))
    assert (got.barcode, got.panels, got.lab) == ("77700000001", ("CANARY-PANEL",), "CRL")


async def test_a_requisition_from_a_state_without_testing_is_denied_and_made_all_the_same(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    made = await spot_client.requisitions.create(attrs.evolve(REQUISITION, state_collected="NY"))

    assert made.status is RequisitionStatus.DENIED
    assert len(fake_spot.creations) == 1


@pytest.mark.parametrize("form", ["plain", "wrapped"])
async def test_a_patients_address_is_read_in_both_documented_forms(
    fake_spot: FakeSpot, spot_client: SpotClient, form: Any
) -> None:
    fake_spot.state.address_form = form

    made = await spot_client.requisitions.create(REQUISITION)

    assert REQUISITION.patient is not None
    assert made.patient is not None
    assert made.patient.address == REQUISITION.patient.address


async def test_a_barcode_that_is_in_use_is_refused_by_the_server(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    await spot_client.requisitions.create(REQUISITION)

    with pytest.raises(BadRequestError) as caught:
        await spot_client.requisitions.create(REQUISITION)

    assert "barcode" in caught.value.details[0]
    assert len(fake_spot.creations) == 1


async def test_a_requisition_is_asked_for_without_a_slash_at_the_end(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    requisition_id = next(iter(fake_spot.requisitions))

    await spot_client.requisitions.get(requisition_id)

    assert fake_spot.requests[0].path == f"/api/v2/requisitions/{requisition_id}"
    with pytest.raises(NotFoundError):
        await spot_client.requisitions.get("0b4c9a3e-51f7-4a39-9a3c-000000000000")


async def test_a_new_patient_comes_back_with_an_id(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    patient = await spot_client.patients.create(PATIENT)

    assert patient.patient_id in fake_spot.patients
    assert (patient.first_name, patient.sex, patient.address) == ("Canary", Sex.F, None)
    assert fake_spot.requests[0].body["date_of_birth"] == "1990-01-31"


async def test_an_address_is_not_dropped_in_silence(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    with pytest.raises(InvalidInputError, match="address must be left out"):
        await spot_client.patients.create(attrs.evolve(PATIENT, address=part(Address, state="OH")))

    assert fake_spot.counts["requests"] == 0


async def test_a_registration_token_is_used_up_by_one_registration(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    token = await spot_client.registration_tokens.create(KNOWN, kit_type="health_kit_1")
    assert token.token is not None

    fake_spot.redeem(token.token, "SPOT234567")

    registrant = (await spot_client.kits.get("SPOT234567")).registered_to
    assert isinstance(registrant, Registrant)
    assert registrant.patient_id == KNOWN
    with pytest.raises(ValueError, match=r"once|used"):
        fake_spot.redeem(token.token)


async def test_a_token_for_nobody_is_a_not_found_error(spot_client: SpotClient) -> None:
    with pytest.raises(NotFoundError):
        await spot_client.registration_tokens.create("0b4c9a3e-51f7-4a39-9a3c-000000000000")


@pytest.mark.parametrize("patient_id", ["", None, 7, "a\nb"])
async def test_an_unusable_patient_id_is_refused_before_sending(fake_spot: FakeSpot, patient_id: Any) -> None:
    with pytest.raises(InvalidInputError, match="patient_id"):
        await fake_spot.client().registration_tokens.create(patient_id)

    assert fake_spot.counts["requests"] == 0


@pytest.mark.virtual_time
async def test_a_token_is_made_again_after_a_failure_since_the_first_runs_out_unused() -> None:
    async with FakeSpot() as fake:
        fake.faults.add("drop_after")

        await fake.client().registration_tokens.create(KNOWN)

        assert [created.noun for created in fake.creations] == ["registration token"] * 2


async def test_no_text_shows_a_registration_token(
    fake_spot: FakeSpot, spot_client: SpotClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    token = await spot_client.registration_tokens.create(KNOWN)
    fake_spot.faults.add(faults.body(b'{"token": {"secret": "eyJcanary"}}', status=201), times=None)
    error = await error_of(spot_client.registration_tokens.create(KNOWN))

    assert repr(token) == "RegistrationToken(<hidden>)"
    assert str(token.token) not in f"{token} {[token]} {caplog.text}"
    for text in texts_of(error):
        assert "canary" not in text
    assert loads(dumps(token), RegistrationToken) == token


@pytest.mark.parametrize(
    "fault", ["400", "403", "404", "409", "500", "drop_after", "half_body", "unreadable", "redirect"]
)
@pytest.mark.parametrize("noun", ["requisition", "patient", "activation"])
async def test_no_text_of_a_failed_create_shows_what_was_sent(
    fake_spot: FakeSpot, spot_client: SpotClient, caplog: pytest.LogCaptureFixture, fault: str, noun: str
) -> None:
    caplog.set_level(logging.DEBUG)
    fake_spot.faults.add(fault)

    error = await error_of(
        {
            "requisition": lambda: spot_client.requisitions.create(REQUISITION),
            "patient": lambda: spot_client.patients.create(PATIENT),
            "activation": lambda: spot_client.kits.activate("SPOT234567", patient=REQUISITION.patient),
        }[noun]()  # type: ignore[no-untyped-call]
    )

    for text in (*texts_of(error), caplog.text):
        assert not [canary for canary in ("canary", "2025550147", "1990-01-31") if canary in text.lower()]


async def error_of(call: Any) -> SpotError:
    try:
        await call
    except SpotError as error:
        return error
    raise AssertionError("no error came")


def texts_of(error: SpotError) -> list[str]:
    shown = {name: value for name, value in vars(error).items() if name != "raw"}  # raw is for the caller alone
    return [
        *(str(error), repr(error), repr(error.args), repr(shown)),
        *(str(pickle.dumps(error)), str(pickle.dumps(copy.copy(error)))),
        "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),
    ]


async def test_a_copy_of_an_error_still_knows_what_to_look_for(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("drop_after", method="POST")
    error = await error_of(spot_client.requisitions.create(REQUISITION))
    assert isinstance(error, OutcomeUnknownError)

    found = await spot_client.requisitions.reconcile(copy.deepcopy(error))

    assert found.is_found
