"""Whether what was created is found whatever the server and the clocks do: never "not found" of what is there."""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import attrs
import pytest

from spotdx_async import (
    InvalidInputError,
    OutcomeUnknownError,
    SpotClient,
)
from spotdx_async._http import clock
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ORDER, PATIENT, REQUISITION

pytestmark = pytest.mark.virtual_time


async def doubt(spot: SpotClient, fake: FakeSpot, fault: Fault | str = "drop_after") -> OutcomeUnknownError:
    """Place an order whose answer does not come."""
    fake.faults.add(fault, method="POST")
    with pytest.raises(OutcomeUnknownError) as caught:
        await spot.orders.create(ORDER, client_ref="job-17")
    return caught.value


def reshaped(change: Callable[[Any], object]) -> Fault:
    """Answer with JSON that was changed."""

    def reshape(answer: Any) -> Any:
        value = json.loads(answer.body)
        change(value)
        return replace(answer, body=json.dumps(value).encode())

    return Fault("reshaped", executes=True, reshape=reshape)


@pytest.mark.parametrize("hours", [49, -49, 49 * 24, 0.5])
async def test_a_wrong_local_clock_hides_no_order_and_invents_none(
    monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        monkeypatch.setattr(clock, "wall", lambda: datetime.now(UTC) + timedelta(hours=hours))

        found = await spot.orders.reconcile(await doubt(spot, fake))
        not_found = await spot.orders.reconcile(await doubt(spot, fake, "drop_before"))

        assert (found.state, found.value and found.value.order_id) == ("found", fake.creations[0].an_id)
        assert not_found.state == "found"  # by the same reference, which the first order has
        missing = await spot.orders.reconcile(client_ref="job-18", sent_at=clock.wall())
        assert missing.state == "not found"


async def test_a_local_clock_that_is_set_right_meanwhile_hides_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        with monkeypatch.context() as patch:
            patch.setattr(clock, "wall", lambda: datetime.now(UTC) + timedelta(hours=49))
            error = await doubt(spot, fake)
            missing = await doubt(spot, fake, "drop_before")
        fake.creations.clear()

        assert (await spot.orders.reconcile(error)).is_found
        del fake.orders[next(iter(set(fake.orders) - {"O1234567", "ORDER123456", "O2345678"}))]
        assert (await spot.orders.reconcile(missing)).state == "unknown"


async def test_an_order_whose_get_answers_404_once_is_found() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        error = await doubt(spot, fake)
        fake.faults.add("404", order_id=fake.creations[0].an_id, method="GET")

        assert (await spot.orders.reconcile(error)).is_found


async def test_an_order_whose_get_answers_404_at_the_last_look_is_found() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        await doubt(spot, fake)
        fake.faults.add("404", order_id=fake.creations[0].an_id, method="GET")

        found = await spot.orders.reconcile(client_ref="job-17", sent_at=datetime.now(UTC) - timedelta(hours=1))

        assert found.is_found


HIDING: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "a row without its id": ("/api/v2/orders/", lambda rows: [row.pop("order_id") for row in rows]),
    "a row that cannot be read": ("/api/v2/orders/", lambda rows: rows[0].update(created="")),
    "an order without metadata": ("", lambda order: order.pop("metadata", None)),
    "an order with null for metadata": ("", lambda order: order.update(metadata=None)),
    "an order that cannot be read": ("", lambda order: order.update(kits=7)),
}


@pytest.mark.parametrize("name", HIDING)
async def test_what_cannot_be_judged_is_never_what_is_not_there(name: str) -> None:
    path, change = HIDING[name]
    async with FakeSpot() as fake:
        spot = fake.client()
        error = await doubt(spot, fake)
        about = {"path": path} if path else {"order_id": fake.creations[0].an_id}
        fake.faults.add(reshaped(change), method="GET", times=None, **about)

        found = await spot.orders.reconcile(error)

        assert (found.state, found.value) == ("unknown", None)
        assert found.error is not None


async def test_an_order_that_moves_while_the_list_is_read_is_found() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        error = await doubt(spot, fake)
        ours = fake.creations[0].an_id
        others = [(await spot.orders.create(ORDER, client_ref=f"other-{number}")).order_id for number in range(250)]
        reads = 0

        def change(answer: Any) -> Any:
            nonlocal reads
            reads += 1
            moved = {1: [ours, *others[:120]], 3: [*others[:150], ours]}.get(reads, [])
            for an_id in moved:
                assert an_id is not None
                fake.orders[an_id].updated = fake.orders.now()
            return answer

        fake.faults.add(Fault("change", executes=True, reshape=change), path="/api/v2/orders/", method="GET", times=4)

        assert (await spot.orders.reconcile(error)).is_found


@pytest.mark.parametrize("after_s", [0.0, 1.0, 7.9])
async def test_after_a_kill_an_order_that_lands_late_is_found_and_never_placed_again(after_s: float) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.slow(8.0), method="POST")
        sent_at = datetime.now(UTC)
        killed = asyncio.create_task(fake.client().orders.create(ORDER, client_ref="job-17"))
        await asyncio.sleep(0.5)
        killed.cancel()
        await asyncio.wait([killed])
        await asyncio.sleep(after_s)
        assert fake.creations == [] or after_s > 7

        spot = fake.client()
        at_once = await spot.orders.reconcile(client_ref="job-17", since=sent_at.date(), patience_s=0)
        known = await asyncio.gather(
            spot.orders.reconcile(client_ref="job-17", sent_at=sent_at),
            spot.orders.reconcile(client_ref="job-17", since=sent_at.date()),
            spot.orders.reconcile(client_ref="job-17"),
        )

        assert at_once.state == ("unknown" if after_s < 7 else at_once.state)
        assert [one.state for one in known] == ["found"] * 3


async def test_what_was_sent_long_ago_is_not_waited_for() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        began_s = clock.now()

        found = await spot.orders.reconcile(client_ref="job-17", sent_at=datetime.now(UTC) - timedelta(minutes=2))

        assert found.state == "not found"
        assert clock.now() - began_s < 1


async def test_two_orders_with_one_reference_are_told() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        first = await spot.orders.create(ORDER, client_ref="job-17")
        second = await spot.orders.create(ORDER, client_ref="job-17")

        found = await spot.orders.reconcile(client_ref="job-17", sent_at=datetime.now(UTC))

        assert found.value in {first, second}  # both may be of one millisecond
        assert found.duplicates == ((second if found.value == first else first).order_id,)


async def test_two_requisitions_with_one_reference_are_told() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        first = await spot.requisitions.create(REQUISITION, client_ref="job-17")
        second = await spot.requisitions.create(attrs.evolve(REQUISITION, barcode="77742938329"), client_ref="job-17")

        found = await spot.requisitions.reconcile(client_ref="job-17", sent_at=datetime.now(UTC))

        assert (found.state, found.value, found.duplicates) == ("found", first, (second.requisition_id,))


async def test_a_requisition_whose_row_lacks_its_barcode_is_found() -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        made = await spot.requisitions.create(REQUISITION)
        hide = reshaped(lambda rows: [row.pop("barcode", None) for row in rows])
        fake.faults.add(hide, path="/api/v2/requisitions/", method="GET", times=None)

        found = await spot.requisitions.reconcile(barcode="77742938328", sent_at=datetime.now(UTC))

        assert (found.state, found.value) == ("found", made)


@pytest.mark.parametrize("sent_at", [datetime(2024, 2, 9, 12), "2024-02-09"])  # noqa: DTZ001 - what the test is about
async def test_an_instant_without_a_zone_is_refused(sent_at: Any) -> None:
    async with FakeSpot() as fake:
        spot = fake.client()

        for call in (spot.orders.reconcile, spot.requisitions.reconcile):
            with pytest.raises(InvalidInputError, match="sent_at"):
                await call(client_ref="job-17", sent_at=sent_at)

        assert fake.counts["requests"] == 0


@pytest.mark.parametrize(
    ("about", "state"),
    [
        ({"status": "registered", "registered_to": None}, "unknown"),
        ({"status": "registered", "registered_to": {"first_name": "Robin"}}, "unknown"),
        ({"status": "delivered", "events": [], "registered_to": None}, "not found"),
    ],
)
async def test_a_kit_that_does_not_tell_whose_it_is_is_not_judged(about: dict[str, Any], state: str) -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        fake.kits.add("SPOT900001", status="delivered", events=[], registered_to=None)
        fake.faults.add("drop_before", method="POST")
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.kits.activate("SPOT900001", patient_id="3c90c3cc-0d44-4b50-8888-8dd25736052a")
        fake.kits["SPOT900001"].document.update(about)

        assert (await spot.kits.reconcile(caught.value)).state == state


@pytest.mark.parametrize(("last_name", "state"), [("MULLER ", "found"), ("Miller", "not found")])
async def test_a_registrant_is_the_patient_however_the_server_has_tidied_up_the_name(
    last_name: str, state: str
) -> None:
    async with FakeSpot() as fake:
        spot = fake.client()
        fake.kits.add("SPOT900001", status="delivered", events=[], registered_to=None)
        fake.faults.add("drop_before", method="POST")
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.kits.activate("SPOT900001", patient=attrs.evolve(PATIENT, last_name="Müller"))
        registrant = {"last_name": last_name, "date_of_birth": str(PATIENT.date_of_birth)}
        fake.kits["SPOT900001"].document.update({"status": "registered", "registered_to": registrant})

        assert (await spot.kits.reconcile(caught.value)).state == state


class OfAHookError(Exception):
    pass


async def test_what_a_hook_raises_while_it_looks_comes_out_by_its_own_class(fake_spot: FakeSpot) -> None:
    async def hook(_session: object, _context: object, params: aiohttp.TraceRequestEndParams) -> None:
        if params.method == "GET" and params.url.path.count("/") > 4:
            raise OfAHookError

    async with fake_spot.client() as spot:
        await spot.orders.create(ORDER, client_ref="job-17")
    trace = aiohttp.TraceConfig()
    trace.on_request_end.append(hook)
    async with (
        aiohttp.ClientSession(trace_configs=[trace]) as session,
        fake_spot.client(session=session) as spot,
    ):
        with pytest.raises(OfAHookError):
            await spot.orders.reconcile(client_ref="job-17", since=datetime.now(UTC).date() - timedelta(days=1))
