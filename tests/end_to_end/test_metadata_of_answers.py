"""An update counts where its answer, as far as it shows metadata, shows what was sent."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from spotdx_async import DecodeError, SpotClient
from spotdx_async.testing import FakeSpot, Fault, faults

pytestmark = pytest.mark.virtual_time

KIT, KNOWN_ORDER = "SPOT123456", "ORDER123456"
IDS = {"kits": ("kit_id", KIT), "orders": ("order_id", KNOWN_ORDER)}
WITH_NESTED = {"kits": [{"kit_id": KIT, "metadata": {"cohort": "canary"}}]}

WAYS = ["one", "decoded", "not decoded"]

each_noun = pytest.mark.parametrize("noun", IDS)
each_way = pytest.mark.parametrize("way", WAYS)
# A kit's answer has no metadata by the contract, and is not searched for it where it is not read.
each = pytest.mark.parametrize(
    ("noun", "way"), [("kits", "one"), ("kits", "decoded"), *(("orders", way) for way in WAYS)]
)


def showing(noun: str, metadata: Any, *, executes: bool = True, **more: Any) -> Fault:
    """Answer with the object and this for its metadata; the text as a server in Python writes it."""
    key, an_id = IDS[noun]
    return faults.body(json.dumps({key: an_id, **more, "metadata": metadata}).encode(), executes=executes)


async def state_of(spot: SpotClient, noun: str, way: str, metadata: Mapping[str, Any]) -> tuple[str, Any]:
    """Update by a single call or by a run of one row; give what it ended as, and its error."""
    resource: Any = getattr(spot, noun)
    an_id = IDS[noun][1]
    if way == "one":
        try:
            await resource.update_metadata(an_id, metadata)
        except DecodeError as error:
            return "unknown", error
        return "ok", None
    async with resource.update_metadata_many([(an_id, metadata)], decode=way == "decoded") as run:
        (outcome,) = [outcome async for outcome in run]
    return outcome.state, outcome.error


@each
async def test_an_answer_that_shows_the_metadata_from_before_is_repeated(noun: str, way: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(showing(noun, {"cohort": "OLD"}, executes=False))

        state, _ = await state_of(fake.client(), noun, way, {"cohort": "NEW"})

        assert (state, fake.counts["requests"]) == ("ok", 2)
        assert getattr(fake, noun)[IDS[noun][1]].metadata == {"cohort": "NEW"}


@each
@pytest.mark.parametrize("shown", [{"cohort": "canary-old"}, {"other": "canary-new"}, {}])
async def test_where_every_answer_shows_other_metadata_the_outcome_is_unknown(
    noun: str, way: str, shown: dict[str, Any]
) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(showing(noun, shown, executes=False), times=None)

        state, error = await state_of(fake.client(), noun, way, {"cohort": "canary-new"})

        assert (state, type(error), error.outcome, error.path) == ("unknown", DecodeError, "unknown", "metadata")
        assert (error.may_be_executed, error.raw, fake.counts["requests"]) == (True, None, 4)
        assert "canary" not in f"{error!s}{error!r}{error.args}"


@each
@pytest.mark.parametrize(
    "shown",
    [
        {"n": 1, "t": "x", "gone": None, "in": {"metadata": [1]}},
        {"in": {"metadata": [1.0]}, "t": " x", "n": "1"},
        {"n": 1, "t": "x", "in": {"metadata": [1]}, "kept": "from before"},
        {"n": 1, "t": "x", "in": {"metadata": [1], "\u00e9": "\\"}},
        None,
    ],
)
async def test_what_the_vendor_tidied_up_is_what_was_sent(noun: str, way: str, shown: Any) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(showing(noun, shown), times=None)
        sent = {"n": 1, "t": "x", "gone": None, "in": {"metadata": [1]}}

        state, error = await state_of(fake.client(), noun, way, sent)

        assert (state, error, fake.counts["requests"]) == ("ok", None, 1)


@each_way
@pytest.mark.parametrize("own", [{}, {"metadata": {"cohort": "NEW"}}])
async def test_the_metadata_of_what_stands_in_an_object_is_not_its_own(way: str, own: dict[str, Any]) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.body(json.dumps({"order_id": KNOWN_ORDER, **WITH_NESTED, **own}).encode()))

        assert (await state_of(fake.client(), "orders", way, {"cohort": "NEW"}))[0] == "ok"


@each_way
async def test_metadata_in_what_stands_in_an_object_does_not_stand_for_its_own(way: str) -> None:
    async with FakeSpot() as fake:
        old = {"metadata": {"cohort": "OLD"}}
        fake.faults.add(
            faults.body(json.dumps({"order_id": KNOWN_ORDER, **WITH_NESTED, **old}).encode(), executes=False),
            times=None,
        )

        assert (await state_of(fake.client(), "orders", way, {"cohort": "canary"}))[0] == "unknown"


@each_way
async def test_the_last_of_two_metadata_counts_as_json_has_it(way: str) -> None:
    text = b'{"order_id":"%b","metadata":{"cohort":"NEW"},"metadata":{"cohort":"OLD"}}' % KNOWN_ORDER.encode()
    async with FakeSpot() as fake:
        fake.faults.add(faults.body(text, executes=False), times=None)

        assert (await state_of(fake.client(), "orders", way, {"cohort": "NEW"}))[0] == "unknown"


@each_way
async def test_an_answer_of_another_shape_with_other_metadata_is_not_done(way: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(showing("orders", {"cohort": "OLD"}, executes=False, kits=7))

        state, _ = await state_of(fake.client(), "orders", way, {"cohort": "NEW"})

        assert (state, fake.counts["executed"]) == ("ok", 1)


@each_noun
async def test_what_a_read_shows_is_not_compared(noun: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(showing(noun, {"cohort": "any"}))

        found = await getattr(fake.client(), noun).get(IDS[noun][1])

    assert {"cohort": "any"} in (getattr(found, "metadata", None), found.extra.get("metadata"))


@pytest.mark.parametrize("decode", [True, False])
async def test_answers_that_come_one_late_are_no_success(*, decode: bool) -> None:
    """Each answer is that to the update before: of the second nothing was executed."""
    before: dict[str, Any] = {"answer": None}

    def late(answer: Any) -> Any:
        before["answer"], came = answer, before["answer"]
        return came or answer

    change: Callable[[Any], Any] = late
    async with FakeSpot() as fake:
        client = fake.client()
        fake.faults.add(Fault("first", executes=True, reshape=change), method="POST")
        fake.faults.add(Fault("late", reshape=lambda _: replace(before["answer"])), method="POST", times=1)
        rows = [(KNOWN_ORDER, {"v": 1}), (KNOWN_ORDER, {"v": 2})]

        async with client.orders.update_metadata_many(rows, decode=decode, concurrency=1) as run:
            states = [(outcome.state, outcome.attempts) async for outcome in run]

        assert states == [("ok", 1), ("ok", 2)]
        assert fake.orders[KNOWN_ORDER].metadata == {"v": 2}
