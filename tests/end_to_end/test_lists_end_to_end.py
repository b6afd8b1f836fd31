"""The three lists against the fake server: filters, moving rows, pace, and no patient data from a query in any text."""

import asyncio
import copy
import json
import pickle
import traceback
from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest

from spotdx_async import (
    DecodeError,
    InvalidInputError,
    KitStatus,
    OrderStatus,
    OutcomeUnknownError,
    Pages,
    RateLimit,
    RequisitionStatus,
    RetryPolicy,
    SampleStatus,
    SpotClient,
    SpotError,
)
from spotdx_async.testing import FakeSpot, Fault, faults
from tests.new_objects import ORDER

LISTS: dict[str, Callable[..., Any]] = {
    "kits": lambda spot, **filters: spot.kits.list(**filters),
    "orders": lambda spot, **filters: spot.orders.list(**filters),
    "requisitions": lambda spot, **filters: spot.requisitions.list(**filters),
}
PEOPLE = {
    "email": "canary+mail@example.com",
    "first_name": "Canary Ünal",
    "last_name": "O'Canary & Söhne",
    "phone": "+1 555 canary 0147",
}
DATES = {
    "created_before": date(2030, 12, 31),
    "created_after": "2020-01-01",
    "updated_before": date(2030, 12, 31),
    "updated_after": date(2020, 1, 1),
}
OWN: dict[str, dict[str, Any]] = {
    "kits": {
        "kit_type": "health_kit_1",
        "has_order": True,
        "kit_status": KitStatus.DELIVERED,
        "sample_status": SampleStatus.RECEIVED,
    },
    "orders": {"status": OrderStatus.IN_PROGRESS},
    "requisitions": {"lab": "CRL & Söhne/2", "status": RequisitionStatus.RESULTED},
}


@pytest.mark.parametrize("noun", LISTS)
async def test_every_filter_of_the_contract_arrives_as_it_was_meant(
    fake_spot: FakeSpot, spot_client: SpotClient, noun: str
) -> None:
    await LISTS[noun](spot_client, **PEOPLE, **DATES, **OWN[noun]).first(1)

    query = dict(fake_spot.requests[0].query)
    assert (query.pop("results"), query.pop("offset")) == ("100", "0")
    expected = {
        **PEOPLE,
        "created_before": "2030-12-31",
        "created_after": "2020-01-01",
        "updated_before": "2030-12-31",
        "updated_after": "2020-01-01",
        **{name: "true" if value is True else str(value) for name, value in OWN[noun].items()},
    }
    assert query == expected


@pytest.mark.parametrize("noun", LISTS)
async def test_a_list_without_filters_gives_everything(fake_spot: FakeSpot, spot_client: SpotClient, noun: str) -> None:
    ids = {item_id(item) async for item in LISTS[noun](spot_client)}

    assert ids == set(getattr(fake_spot, noun))
    assert len(ids) > 1


def item_id(item: Any) -> str:
    values = (getattr(item, name, None) for name in ("kit_id", "requisition_id", "order_id"))
    return str(next(value for value in values if value is not None))


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize(
    "filters",
    [
        {"email": ""},
        {"email": 7},
        {"phone": "a\nb"},
        {"created_before": "31.12.2024"},
        {"created_after": "2024-02-02", "created_before": "2024-02-01"},
        {"updated_after": True},
    ],
)
async def test_a_wrong_filter_is_refused_at_once(fake_spot: FakeSpot, noun: str, filters: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as caught:
        LISTS[noun](fake_spot.client(), **filters)

    assert caught.value.faults[0][0] in filters
    assert fake_spot.counts["requests"] == 0


async def test_statuses_filter_by_member_and_by_text(spot_client: SpotClient) -> None:
    by_member = await spot_client.orders.list(status=OrderStatus.PENDING).first(10)
    by_text = await spot_client.orders.list(status="pending").first(10)

    assert by_member == by_text
    assert {order.status for order in by_member} == {OrderStatus.PENDING}


async def test_orders_that_move_to_the_front_meanwhile_come_once(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.orders.add_many(350)
    seen: list[str] = []

    async for order in spot_client.orders.list():
        if len(seen) == 50:  # while the second page is under way or read
            for order_id in seen[:30]:
                await spot_client.orders.update_metadata(order_id, {"moved": True})
        seen.append(item_id(order))

    assert len(seen) == len(set(seen))
    assert set(seen) == set(fake_spot.orders)


@pytest.mark.parametrize("noun", LISTS)
async def test_a_server_that_repeats_a_page_for_ever_ends_in_a_clear_error(fake_spot: FakeSpot, noun: str) -> None:
    name = {"kits": "kit_id", "orders": "order_id", "requisitions": "requisition_id"}[noun]
    page = "[" + ",".join(f'{{"{name}": "X{number}"}}' for number in range(100)) + "]"
    fake_spot.faults.add(faults.body(page.encode()), times=None, method="GET")
    given: list[Any] = []

    with pytest.raises(DecodeError, match="same page"):
        async for item in LISTS[noun](fake_spot.client()):
            given.append(item)  # noqa: PERF401 - what came before the error counts

    assert (len(given), fake_spot.counts["requests"]) == (100, 3)


@pytest.mark.virtual_time
async def test_pages_are_paced_by_the_clients_limiter() -> None:
    loop = asyncio.get_running_loop()
    async with FakeSpot(orders=1001) as fake:
        spot = fake.client(rate_limit=RateLimit(2, burst=1))
        started = loop.time()

        assert len([order async for order in spot.orders.list()]) == 1001

        assert loop.time() - started >= 5.0  # eleven pages, half a second apart
        arrivals = [request.at_s for request in fake.requests]
        assert all(later - earlier >= 0.499 for earlier, later in pairwise(arrivals))


@pytest.mark.virtual_time
async def test_the_next_page_is_under_way_while_this_one_is_worked_on() -> None:
    loop = asyncio.get_running_loop()
    async with FakeSpot(orders=1000, latency_s=1.0) as fake:
        started = loop.time()

        async for _ in fake.client().orders.list().by_page():
            await asyncio.sleep(1.0)  # the work on a page, virtual

        assert loop.time() - started < 12.5  # not the twenty of taking turns


# Patient data in queries


TROUBLES: dict[str, Fault] = {
    "400": faults.status(400),
    "403": faults.status(403),
    "404": faults.status(404, form="guide"),
    "503": faults.status(503),
    "redirect": faults.redirect(),
    "drop_before": faults.drop_before(),
    "half_body": faults.half_body(),
    "unreadable": faults.unreadable(),
    "another shape": faults.body(b'{"canary": 1}'),
    "wrong items": faults.body(b"[7]"),
    "slow": faults.slow_answer(9),
    "429": faults.status(429, retry_after=3600),
}


@pytest.mark.virtual_time
@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("name", TROUBLES)
async def test_no_text_shows_what_a_list_was_filtered_by(
    noun: str, name: str, caplog: pytest.LogCaptureFixture, recwarn: pytest.WarningsRecorder
) -> None:
    caplog.set_level(1)
    loop = asyncio.get_running_loop()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0  # asyncio then tells of every step of every task
    caplog.set_level(1, "asyncio")
    async with FakeSpot() as fake:
        fake.faults.add(TROUBLES[name], times=None)
        spot = fake.client(timeout_s=2, max_wait_s=60, retry=RetryPolicy(max_attempts=2))
        pages = LISTS[noun](spot, **PEOPLE)

        error = await error_of(pages)

        loop.set_debug(False)
        texts = [
            *(str(error), repr(error), repr(error.args), repr(vars(error))),
            *(str(pickle.dumps(error)), str(pickle.dumps(copy.deepcopy(error)))),
            *("".join(traceback.TracebackException.from_exception(error, capture_locals=True).format()),),
            *(caplog.text, repr(pages), str(spot.stats)),
            *(str(warning.message) for warning in recwarn.list),
        ]
        if not isinstance(error, DecodeError):  # whose `raw` is what came, to be looked at by the caller alone
            assert not [text for text in texts if "canary" in text.lower()]
        for value in PEOPLE.values():
            assert not [text for text in texts if value in text or quote(value) in text]
        assert fake.requests[0].query["first_name"] == PEOPLE["first_name"]


async def error_of(pages: Pages[Any]) -> SpotError:
    # Apart from the test, so that its locals, which hold the filters, are in no traceback.
    try:
        await pages.first(1)
    except SpotError as error:
        return error
    raise AssertionError("no error came")


# Items that cannot be read


@pytest.mark.parametrize("noun", LISTS)
async def test_one_odd_item_costs_no_other(fake_spot: FakeSpot, noun: str) -> None:
    name = {"kits": "kit_id", "orders": "order_id", "requisitions": "requisition_id"}[noun]
    rows = [f'{{"{name}": "X{number}"}}' for number in range(48)]
    rows[7] = f'{{"{name}": "canary", "created": ""}}'
    rows[8] = f'{{"{name}": "canary", "odd": NaN}}'
    rows[9] = f'{{"{name}": "X9 \\ud800", "odd": 1e400}}'
    fake_spot.faults.add(faults.body(f"[{','.join(rows)}]".encode()), times=None, method="GET")
    spot = fake_spot.client()
    told: list[tuple[int, int]] = []

    skipped = [item async for item in LISTS[noun](spot, on_bad_item="skip")]
    listened = LISTS[noun](spot, on_bad_item=lambda offset, index, _error: told.append((offset, index)), start_offset=3)
    heard = [item async for item in listened]
    with pytest.raises(DecodeError, match="item 7 of the page at offset 0 cannot be read") as caught:
        await LISTS[noun](spot).first(48)

    assert len(skipped) == len(heard) == 46
    assert getattr(skipped[7], name) == "X9 \ud800"
    assert told == [(3, 7), (3, 8)]
    assert fake_spot.requests[1].query["offset"] == "3"
    assert caught.value.operation == f"GET /api/v2/{noun}/"
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.args}"
    assert fake_spot.counts["requests"] == 3  # JSON of another shape is asked for once


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("option", [{"on_bad_item": "drop"}, {"start_offset": -1}])
def test_a_wrong_option_of_a_list_is_refused_at_once(noun: str, option: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=next(iter(option))):
        LISTS[noun](SpotClient("token"), **option)


async def test_an_answer_with_a_byte_order_mark_is_read(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add(faults.body(b'\xef\xbb\xbf{"kit_id": "SPOT1"}'), method="GET", path="/api/v2/kits/SPOT1/")

    assert (await spot_client.kits.get("SPOT1")).kit_id == "SPOT1"


async def test_a_page_of_kits_with_large_metadata_is_read_and_one_of_tiny_values_is_not_and_never_repeated() -> None:
    async with FakeSpot() as fake:
        metadata = {f"key {n}": f"a value, of {n}" for n in range(1000)}
        page = [{"kit_id": f"SPOT{n}", "metadata": metadata} for n in range(100)]
        fake.faults.add(faults.body(json.dumps(page).encode()))
        assert len(await fake.client().kits.list().first(100)) == 100
        before = fake.counts["requests"]
        fake.faults.add(faults.body(b"[" + b"{}," * 300_000 + b"{}]"), times=None)
        for call in (fake.client().kits.list().first(1), fake.client().orders.create(ORDER)):
            with pytest.raises((DecodeError, OutcomeUnknownError), match="more values than one for every 20") as caught:
                await call
            assert caught.value.attempts == 1
            assert caught.value.may_be_executed
        assert fake.counts["requests"] == before + 2
