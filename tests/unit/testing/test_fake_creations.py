import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from spotdx_async.testing import SpotServer
from spotdx_async.testing.patients import EXAMPLE_PATIENT_ID
from spotdx_async.testing.state import SpotState

ADDRESS = {"street1": "1 Example Street", "city": "Springfield", "state": "CA", "country": "US", "zip": "00000"}
CONTACT = {"first_name": "Robin", "last_name": "Sample", "email": "robin@example.com", "phone": "2025550147"}
PATIENT = {**CONTACT, "sex": "F", "date_of_birth": "1990-01-01"}
ORDER = {"kit_types": ["health_kit_1"], "recipient": {**CONTACT, "address": ADDRESS}, "metadata": {"key": ["k1"]}}
REQUISITION = {
    "barcode": "1",
    "panels": ["PANEL-123"],
    "account_number": "1",
    "lab": "CRL",
    "state_collected": "OH",
    "patient": {**PATIENT, "address": ADDRESS},
    "metadata": {"key": ["k1"]},
}
ACTIVATION = "/api/v3/kits/SPOT234567/activate/?public_id=SPOT234567"
CREATES: dict[str, tuple[str, dict[str, Any]]] = {
    "order": ("/api/v2/orders/", ORDER),
    "requisition": ("/api/v2/requisitions/", REQUISITION),
    "patient": ("/api/v2/patients/", PATIENT),
    "activation": (ACTIVATION, {"patient_id": EXAMPLE_PATIENT_ID}),
    "registration token": ("/api/v2/tokens/patient_registration/", {"patient_id": EXAMPLE_PATIENT_ID}),
}


def play(state: SpotState) -> list[Any]:
    answers = []
    for index, (target, body) in enumerate(CREATES.values()):
        call = state.read("POST", target, json.dumps(body).encode(), index=index)
        answers.append(json.loads(state.execute(call, "Token test-token").body))
    return answers


def test_every_create_stands_in_the_ledger_with_what_was_sent() -> None:
    state = SpotState()

    order, requisition, patient, _, _ = play(state)

    assert [(creation.noun, creation.body) for creation in state.creations] == [
        (noun, body) for noun, (_, body) in CREATES.items()
    ]
    assert [creation.an_id for creation in state.creations] == [
        *(order["order_id"], requisition["requisition_id"], patient["patient_id"], "SPOT234567", "1"),
    ]
    assert [creation.index for creation in state.creations] == [0, 1, 2, 3, 4]


def test_changing_what_was_created_leaves_the_ledger_alone() -> None:
    state = SpotState()
    order, requisition, patient, *_ = play(state)

    state.orders[order["order_id"]].recipient["address"]["city"] = "Elsewhere"
    (state.orders[order["order_id"]].metadata or {})["key"].append("k2")
    state.requisitions[requisition["requisition_id"]].metadata["key"].append("k2")
    state.patients[patient["patient_id"]].document["phone"] = "2025550199"

    assert [creation.body for creation in state.creations][:3] == [ORDER, REQUISITION, PATIENT]


def test_the_repr_of_a_creation_shows_no_id_and_no_body() -> None:
    state = SpotState()
    play(state)

    assert repr(state.creations[2]) == "Creation(noun='patient', index=2)"


def test_without_a_ledger_everything_is_created_all_the_same() -> None:
    state = SpotState(keep_ledger=False)

    order, *_ = play(state)

    assert state.creations == []
    assert order["order_id"] in state.orders


@pytest.fixture
async def server() -> AsyncIterator[SpotServer]:
    async with SpotServer() as server:
        yield server


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers={"Authorization": "Token test-token"}) as session:
        yield session


async def post(session: aiohttp.ClientSession, server: SpotServer, noun: str) -> tuple[int, Any]:
    target, body = CREATES[noun]
    async with session.post(server.url + target, json=body) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("noun", CREATES)
async def test_a_create_is_played_over_the_wire(server: SpotServer, session: aiohttp.ClientSession, noun: str) -> None:
    status, _ = await post(session, server, noun)

    assert status == (201 if noun in {"order", "registration token"} else 200)
    assert [(creation.noun, creation.index) for creation in server.creations] == [(noun, 0)]
    assert server.requests[0].executed


@pytest.mark.parametrize("noun", CREATES)
@pytest.mark.parametrize(("fault", "times"), [("drop_before", 0), ("drop_after", 1)])
async def test_a_create_is_executed_before_a_late_drop_alone(
    server: SpotServer, session: aiohttp.ClientSession, noun: str, fault: str, times: int
) -> None:
    server.faults.add(fault)

    with pytest.raises((aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
        await post(session, server, noun)

    assert [creation.noun for creation in server.creations] == [noun] * times


@pytest.mark.parametrize("noun", CREATES)
async def test_an_unknown_value_comes_with_a_create_that_was_executed(
    server: SpotServer, session: aiohttp.ClientSession, noun: str
) -> None:
    server.faults.add("unknown_enum")

    status, answer = await post(session, server, noun)

    assert status in {200, 201}
    assert answer["added_later"]
    assert ("status" in answer) == (noun in {"order", "requisition"})
    assert len(server.creations) == 1


async def test_a_token_is_redeemed_at_the_server_by_its_own_clock(session: aiohttp.ClientSession) -> None:
    moments = [datetime(2030, 1, 1, tzinfo=UTC)]
    async with SpotServer(wall=lambda: moments[-1]) as server:
        first, late = [(await post(session, server, "registration token"))[1]["token"] for _ in range(2)]

        patient = server.redeem(first, "SPOT234567")
        moments.append(moments[0] + timedelta(minutes=11))

        assert patient is server.patients[EXAMPLE_PATIENT_ID]
        assert server.kits["SPOT234567"].updated == "2030-01-01T00:00:00.000Z"
        with pytest.raises(ValueError, match="older than 10 minutes"):
            server.redeem(late)


def test_what_a_server_starts_with_can_be_named() -> None:
    server = SpotServer(orders=["o1"], requisitions=["r1"], patients=["p1"])

    assert (list(server.orders), list(server.requisitions), list(server.patients)) == (["o1"], ["r1"], ["p1"])
    assert (server.creations, server.order_ledger) == ([], [])
