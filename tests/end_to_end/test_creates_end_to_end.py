"""What must not be done twice, over every fault that the fake can play: executed at most once, and told truly."""

import asyncio
import pickle
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any, Protocol
from uuid import UUID

import attrs
import pytest

from spotdx_async import (
    ConfigError,
    DecodeError,
    InvalidInputError,
    NewPatient,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    Reconciliation,
    RetryPolicy,
    SpotClient,
    SpotError,
    StatusError,
)
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ADDRESS, PATIENT, REQUISITION, part
from tests.new_objects import ORDER as PLAIN_ORDER

pytestmark = pytest.mark.no_cover

ORDER = attrs.evolve(PLAIN_ORDER, metadata={"cohort": "A"})
KIT = "SPOT234567"


class Chaos(Protocol):
    """The fixture of tests/conftest.py."""

    is_full: bool
    seed: int


Act = Callable[[SpotClient], Awaitable[Any]]
CREATES: dict[str, Act] = {
    "order": lambda spot: spot.orders.create(ORDER),
    "requisition": lambda spot: spot.requisitions.create(REQUISITION),
    "patient": lambda spot: spot.patients.create(PATIENT),
    "activation": lambda spot: spot.kits.activate(KIT, patient=PATIENT),
}
OPERATIONS = {
    "order": "POST /api/v2/orders/",
    "requisition": "POST /api/v2/requisitions/",
    "patient": "POST /api/v2/patients/",
    "activation": "POST /api/v3/kits/{kit_id}/activate/",
}
RECONCILERS: dict[str, Callable[[SpotClient, Any], Awaitable[Reconciliation[Any]]]] = {
    "order": lambda spot, error: spot.orders.reconcile(error),
    "requisition": lambda spot, error: spot.requisitions.reconcile(error),
    "activation": lambda spot, error: spot.kits.reconcile(error),
}
TIMEOUT_S = 5.0
# Everything that the fake can play: each with what the caller gets. Where it is "unknown", nobody can know better.
FAULTS: dict[str, tuple[Fault, type[SpotError] | None]] = {
    **{str(code): (faults.status(code), StatusError) for code in (400, 403, 404, 405, 409, 410, 418, 422, 425, 451)},
    **{str(code): (faults.status(code), OutcomeUnknownError) for code in (408, 500, 501, 502, 503, 504, 507, 520, 599)},
    "503 with Retry-After": (faults.status(503, retry_after=1), OutcomeUnknownError),
    "500 as a page": (faults.status(500, form="html"), OutcomeUnknownError),
    "502 without a body": (faults.status(502, form="empty"), OutcomeUnknownError),
    "504 in the guide's form": (faults.status(504, form="guide"), OutcomeUnknownError),
    "429": (faults.status(429), None),
    "429 with Retry-After": (faults.status(429, retry_after=7), None),
    "429 with a date": (faults.status(429, retry_after=faults.HttpDateAhead(3)), None),
    **{f"redirect {code}": (faults.redirect(code), OutcomeUnknownError) for code in (301, 302, 303, 307, 308)},
    "drop_before": (faults.drop_before(), OutcomeUnknownError),
    "drop_after": (faults.drop_after(), OutcomeUnknownError),
    "half_body": (faults.half_body(), OutcomeUnknownError),
    "slow": (faults.slow(1.0), None),
    "slow beyond the timeout": (faults.slow(20.0), OutcomeUnknownError),
    "slow_answer": (faults.slow_answer(1.0), None),
    "slow_answer beyond the timeout": (faults.slow_answer(20.0), OutcomeUnknownError),
    "unreadable": (faults.unreadable(), OutcomeUnknownError),
    "broken_json": (faults.broken_json(), OutcomeUnknownError),
    "unknown_enum": (faults.unknown_enum(), None),
    "empty 200": (faults.body(b""), OutcomeUnknownError),
    "null": (faults.body(b"null"), OutcomeUnknownError),
    "a list": (faults.body(b"[]"), OutcomeUnknownError),
    "no id": (faults.body(b'{"message": "maintenance"}'), OutcomeUnknownError),
    "another shape": (
        faults.body(b'{"order_id": 7, "patient_id": 7, "requisition_id": 7, "data": {"result": 7}}'),
        DecodeError,
    ),
    "204": (faults.body(b"", status=204, content_type=None), OutcomeUnknownError),
    "an executed 500": (faults.body(b"", status=500, executes=True), OutcomeUnknownError),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", CREATES)
@pytest.mark.parametrize("name", FAULTS)
async def test_a_create_is_executed_at_most_once_and_its_error_is_true(noun: str, name: str) -> None:
    fault, expected = FAULTS[name]
    async with FakeSpot() as fake:
        fake.faults.add(fault, method="POST")
        spot = fake.client(timeout_s=TIMEOUT_S)

        error = await error_of(CREATES[noun](spot))

        assert (error is None) if expected is None else isinstance(error, expected)
        sent = [request for request in fake.requests if request.method == "POST"]
        assert len(sent) == (2 if name.startswith("429") else 1)
        if error is None:
            assert len(fake.creations) == 1
        if isinstance(error, (StatusError, NotSentError)):
            assert fake.creations == []
        if error is not None:
            assert (error.operation, error.attempts) == (OPERATIONS[noun], 1)
        if isinstance(error, (OutcomeUnknownError, DecodeError)) and noun in RECONCILERS:
            found = await RECONCILERS[noun](spot, error)
            assert found.state == ("found" if fake.creations else "not found")
            assert len([request for request in fake.requests if request.method == "POST"]) == 1


async def error_of(call: Awaitable[Any]) -> SpotError | None:
    try:
        await call
    except SpotError as error:
        return error
    return None


@pytest.mark.parametrize("noun", CREATES)
async def test_a_create_goes_out_on_a_connection_of_its_own(noun: str, fake_spot: FakeSpot) -> None:
    spot = fake_spot.client()

    await spot.kits.types()
    await CREATES[noun](spot)
    await spot.kits.types()

    first, create, last = fake_spot.requests
    assert create.connection != first.connection == last.connection
    assert create.headers["connection"] == "close"


@pytest.mark.parametrize("noun", CREATES)
async def test_a_create_that_never_left_is_repeated(noun: str, fake_spot: FakeSpot) -> None:
    spot = fake_spot.client(retry=RetryPolicy(base_s=0.2, cap_s=0.2, max_attempts=30, budget=False))
    await fake_spot.stop()

    call = asyncio.ensure_future(CREATES[noun](spot))
    while not spot.stats.retries:
        await asyncio.sleep(0)
    await fake_spot.start()
    await call

    assert len(fake_spot.creations) == len(fake_spot.requests) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", CREATES)
async def test_a_create_with_a_stale_token_is_executed_once(noun: str) -> None:
    async with FakeSpot() as fake:
        tokens = iter(["stale-token", fake.token])
        spot = fake.client(token=lambda: next(tokens))

        await CREATES[noun](spot)

        assert fake.requests[0].status == 401
        assert (len(fake.requests), len(fake.creations)) == (2, 1)


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", CREATES)
async def test_a_create_whose_deadline_passes_in_flight_has_an_unknown_outcome(noun: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.slow_answer(20))
        spot = fake.client(deadline_s=2)

        error = await error_of(CREATES[noun](spot))

        assert isinstance(error, OutcomeUnknownError)
        assert error.reason == "deadline"
        assert error.clue is not None
        if noun in RECONCILERS:
            assert (await RECONCILERS[noun](fake.client(), error)).is_found


# The client reference


async def test_an_order_and_a_requisition_carry_a_new_reference_each(spot_client: SpotClient) -> None:
    orders = [await spot_client.orders.create(ORDER) for _ in range(3)]
    requisition = await spot_client.requisitions.create(REQUISITION)

    references = [(made.metadata or {})["client_ref"] for made in orders]
    references.append((requisition.metadata or {})["client_ref"])
    assert len({UUID(reference) for reference in references}) == 4
    assert {UUID(reference).version for reference in references} == {4}
    assert orders[0].metadata == {"cohort": "A", "client_ref": references[0]}
    assert ORDER.metadata == {"cohort": "A"}


async def test_the_reference_has_the_key_that_the_client_is_made_with(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client(client_ref_key="our_ref")

    order = await spot.with_options(timeout_s=5).orders.create(ORDER)

    assert order.metadata is not None
    assert set(order.metadata) == {"cohort", "our_ref"}


async def test_without_a_key_nothing_is_added_and_reconcile_knows_nothing(fake_spot: FakeSpot) -> None:
    spot = fake_spot.client(client_ref_key=None)
    fake_spot.faults.add("drop_after", method="POST")

    with pytest.raises(OutcomeUnknownError) as caught:
        await spot.orders.create(ORDER)

    assert fake_spot.creations[0].body["metadata"] == {"cohort": "A"}
    assert (await spot.orders.reconcile(caught.value)).state == "unknown"


@pytest.mark.parametrize("key", ["", " ", 7, b"client_ref"])
def test_a_key_that_is_none_is_refused(key: Any) -> None:
    with pytest.raises(ConfigError, match="client_ref_key"):
        SpotClient("token", client_ref_key=key)


async def test_a_reference_of_the_callers_own_finds_an_order_whose_call_was_cancelled(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add(faults.slow_answer(60), method="POST")
    call = asyncio.create_task(spot_client.orders.create(ORDER, client_ref="our-order-17"))
    while not fake_spot.creations:
        await asyncio.sleep(0)
    call.cancel()
    await asyncio.wait([call])

    found = await spot_client.orders.reconcile(client_ref="our-order-17", since=date.today())  # noqa: DTZ011 - a day

    assert found.is_found
    assert found.value is not None
    assert found.value.order_id == fake_spot.creations[0].an_id


async def test_a_requisition_is_found_by_its_barcode_alone(spot_client: SpotClient) -> None:
    made = await spot_client.requisitions.create(REQUISITION)

    found = await spot_client.requisitions.reconcile(barcode="77742938328")

    assert (found.state, found.value) == ("found", made)


@pytest.mark.virtual_time
async def test_what_was_never_sent_is_not_found_when_it_cannot_land_any_longer() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()

        order = await spot.orders.reconcile(client_ref="our-order-18")
        requisition = await spot.requisitions.reconcile(barcode="0")

        assert (order.state, requisition.state) == ("not found", "not found")


@pytest.mark.virtual_time
async def test_an_earlier_requisition_that_keeps_the_barcode_is_not_ours() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        await spot.requisitions.create(REQUISITION)
        fake.faults.add("drop_after", method="POST")
        error = await error_of(spot.requisitions.create(REQUISITION))
        assert isinstance(error, OutcomeUnknownError)

        assert (await spot.requisitions.reconcile(error)).state == "not found"
        assert len(fake.creations) == 1


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", RECONCILERS)
async def test_an_error_finds_its_object_in_another_process(noun: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add("drop_after", method="POST")
        error = await error_of(CREATES[noun](fake.client()))

        elsewhere = pickle.loads(pickle.dumps(error))
        about = {"kit_id": KIT} if noun == "activation" else {}
        nouns = {
            "order": fake.client().orders,
            "requisition": fake.client().requisitions,
            "activation": fake.client().kits,
        }
        found: Reconciliation[Any] = await nouns[noun].reconcile(elsewhere, **about)  # type: ignore[attr-defined]

        assert found.is_found
        assert KIT.encode() not in pickle.dumps(error)
        assert b"77742938328" not in pickle.dumps(error)


@pytest.mark.virtual_time
async def test_an_order_that_lands_late_is_found_before_it_could_be_placed_again() -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.slow(40), method="POST")
        spot = fake.client(timeout_s=2)
        error = await error_of(spot.orders.create(ORDER))
        assert isinstance(error, OutcomeUnknownError)

        at_once = await spot.orders.reconcile(error, patience_s=0)
        in_the_end = await spot.orders.reconcile(error)

        assert (at_once.state, at_once.value) == ("unknown", None)
        assert in_the_end.is_found


@pytest.mark.virtual_time
async def test_where_looking_fails_the_outcome_stays_unknown_and_says_why() -> None:
    async with FakeSpot() as fake:
        fake.faults.add("drop_after", method="POST")
        spot = fake.client()
        error = await error_of(spot.orders.create(ORDER))
        assert isinstance(error, OutcomeUnknownError)
        fake.faults.add("503", times=None, method="GET")

        found = await spot.orders.reconcile(error, patience_s=3)

        assert (found.state, found.value) == ("unknown", None)
        assert isinstance(found.error, StatusError)


@pytest.mark.virtual_time
async def test_an_order_is_found_among_a_thousand_of_the_same_day() -> None:
    async with FakeSpot() as fake:
        spot = fake.client(concurrency=200)
        fake.faults.add("drop_after", method="POST")
        error = await error_of(spot.orders.create(ORDER))
        assert isinstance(error, OutcomeUnknownError)
        await asyncio.gather(*(spot.orders.create(ORDER) for _ in range(1000)))
        before = len(fake.requests)

        found = await spot.orders.reconcile(error)

        assert found.value is not None
        assert found.value.order_id == fake.creations[0].an_id
        assert len(fake.requests) - before < 60  # the list, and those of about that time


@pytest.mark.parametrize("error", [None, ValueError(), NotSentError("x"), OutcomeUnknownError("x", operation="GET /x")])
async def test_an_error_that_is_no_create_s_is_refused(fake_spot: FakeSpot, error: Any) -> None:
    spot = fake_spot.client()

    for noun in (spot.orders, spot.requisitions, spot.kits):
        with pytest.raises(InvalidInputError):
            await noun.reconcile(error)

    assert fake_spot.counts["requests"] == 0


# Activation


async def test_a_kit_is_activated_for_a_known_patient(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    patient = await spot_client.patients.create(PATIENT)
    assert patient.patient_id is not None

    activation = await spot_client.kits.activate(KIT, patient_id=patient.patient_id, research_consent=False)

    assert activation.data is not None
    assert activation.data.result == "success"
    request = fake_spot.requests[-1]
    assert (request.path, request.query) == (f"/api/v3/kits/{KIT}/activate/", {"public_id": KIT})
    assert request.body == {"patient_id": patient.patient_id, "research_consent": False}
    kit = await spot_client.kits.get(KIT)
    assert kit.registered_to is not None
    assert kit.registered_to.patient_id == patient.patient_id


async def test_a_new_patient_is_sent_flat_and_without_a_country(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    await spot_client.kits.activate(KIT, patient=REQUISITION.patient)

    assert fake_spot.requests[-1].body == {
        "first_name": "Robin",
        "last_name": "Sample",
        "email": "robin@example.com",
        "sex": "F",
        "date_of_birth": "1990-01-31",
        "street1": "1 Example Street",
        "city": "Springfield",
        "state": "CA",
        "zip": "00000",
    }


async def test_where_testing_is_not_allowed_the_servers_reason_is_in_the_details(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    patient = attrs.evolve(PATIENT, address=attrs.evolve(ADDRESS, state="NY"))

    with pytest.raises(PermissionDeniedError) as caught:
        await spot_client.kits.activate(KIT, patient=patient)

    assert "New York" in caught.value.details[0]
    assert "New York" not in str(caught.value)
    assert fake_spot.creations == []


@pytest.mark.parametrize(
    "about",
    [
        {},
        {"patient_id": "x", "patient": PATIENT},
        {"patient_id": ""},
        {"patient_id": 7},
        {"patient": {"first_name": "Robin"}},
        {"patient": part(NewPatient, sex="x")},
        {"patient_id": "x", "research_consent": "yes"},
    ],
)
async def test_an_activation_that_cannot_be_meant_is_not_sent(fake_spot: FakeSpot, about: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        await fake_spot.client().kits.activate(KIT, **about)

    assert fake_spot.counts["requests"] == 0


@pytest.mark.virtual_time
async def test_a_kit_that_somebody_else_registered_is_not_our_activation() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        await spot.kits.activate(KIT, patient=attrs.evolve(PATIENT, last_name="Other"))
        fake.faults.add("drop_after", method="POST")
        error = await error_of(spot.kits.activate(KIT, patient=PATIENT))
        assert isinstance(error, OutcomeUnknownError)

        assert (await spot.kits.reconcile(error)).state == "not found"


# Very many

# Without those that are a final no, which would only make looking fail, and without an empty list in place of an
# answer: nobody can find what a list denies.
MISHAPS = [fault for name, (fault, expected) in FAULTS.items() if expected is not StatusError and name != "a list"]
PLENTY_S = 7 * 24 * 3600.0  # virtual


@pytest.mark.virtual_time
async def test_of_very_many_orders_under_faults_none_is_lost_and_none_placed_twice(chaos: Chaos) -> None:
    # Not finding one takes getting all of them, so the work grows with the square.
    references = [f"order-{number}" for number in range(250 if chaos.is_full else 80)]
    async with FakeSpot() as fake, asyncio.timeout(PLENTY_S):
        fake.faults.random(0.3, seed=chaos.seed, kinds=MISHAPS)
        spot = fake.client(timeout_s=TIMEOUT_S)

        def create(reference: str) -> Act:
            return lambda spot: spot.orders.create(ORDER, client_ref=reference)

        placed = await asyncio.gather(*(carefully(spot, create(one), RECONCILERS["order"]) for one in references))

        executed = Counter(creation.body["metadata"]["client_ref"] for creation in fake.creations)
        assert executed == dict.fromkeys(references, 1)
        assert [order.metadata["client_ref"] for order in placed] == references


@pytest.mark.virtual_time
async def test_of_very_many_requisitions_under_faults_none_is_lost_and_none_made_twice(chaos: Chaos) -> None:
    barcodes = [f"{number:011}" for number in range(1000 if chaos.is_full else 80)]
    async with FakeSpot() as fake, asyncio.timeout(PLENTY_S):
        fake.faults.random(0.3, seed=chaos.seed, kinds=MISHAPS)
        spot = fake.client(timeout_s=TIMEOUT_S)

        def create(barcode: str) -> Act:
            return lambda spot: spot.requisitions.create(attrs.evolve(REQUISITION, barcode=barcode))

        made = await asyncio.gather(*(carefully(spot, create(one), RECONCILERS["requisition"]) for one in barcodes))

        assert Counter(creation.body["barcode"] for creation in fake.creations) == dict.fromkeys(barcodes, 1)
        assert [requisition.barcode for requisition in made] == barcodes


async def carefully(spot: SpotClient, create: Act, reconcile: Callable[[SpotClient, Any], Awaitable[Any]]) -> Any:
    """Create one as a careful user does: look after an unknown outcome, and create it again only if it is not there."""
    while True:
        try:
            return await create(spot)
        except (OutcomeUnknownError, DecodeError) as error:
            doubt = error
        except (StatusError, NotSentError):
            continue
        found = await settled(spot, doubt, reconcile)
        if found is not None:
            return found


async def settled(spot: SpotClient, error: SpotError, reconcile: Callable[[SpotClient, Any], Awaitable[Any]]) -> Any:
    while (found := await reconcile(spot, error)).state == "unknown":
        pass
    return found.value
