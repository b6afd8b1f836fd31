"""Waiting until one object meets a condition: when it looks, when it ends, and what it says."""

import asyncio
import copy
import pickle
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from spotdx_async import (
    AuthenticationError,
    InvalidInputError,
    Kit,
    NotFoundError,
    NotSentError,
    SpotClient,
    WaitTimeoutError,
)
from tests.matrix.test_canaries import chain_of, locals_in
from tests.model.changes_server import CANARY, NOUNS, FeedServer, calm_server
from tests.model.server import now

pytestmark = pytest.mark.virtual_time


def is_changed(thing: Any) -> bool:
    return bool(thing.extra["number"])


def waiting(
    server: FeedServer,
    condition: Callable[[Any], object] = is_changed,
    *,
    spot: SpotClient | None = None,
    deadline_s: Any = 100.0,
    **options: Any,
) -> Any:
    spot = spot or server.client(None)[0]
    return getattr(spot, server.noun).wait_until("canary-0", condition, deadline_s=deadline_s, **options)


@pytest.mark.parametrize("noun", NOUNS)
async def test_it_returns_the_object_as_soon_as_a_look_shows_it(noun: str) -> None:
    server = calm_server(noun, 1)
    asyncio.get_running_loop().call_later(70, lambda: server.change(server.things["canary-0"]))

    found = await waiting(server)

    assert found.extra["number"] == 1
    assert 90 <= now() < 91
    assert server.counts["gets"] == 4


async def test_what_holds_already_takes_one_look() -> None:
    server = calm_server("kits", 1)

    assert isinstance(await waiting(server, lambda _kit: "yes"), Kit)
    assert server.counts["gets"] == 1


async def test_at_the_deadline_it_shows_the_last_look() -> None:
    server = calm_server("kits", 1)

    with pytest.raises(WaitTimeoutError, match="did not hold within 100 s") as caught:
        await waiting(server, every_s=40)

    assert now() == pytest.approx(100)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value.last, Kit)
    assert caught.value.operation == "GET /api/v2/kits/{kit_id}/"
    assert not [
        text
        for one in chain_of(caught.value)
        for text in (str(one), repr(one), *locals_in(one.__traceback__))
        if CANARY in text
    ]


async def test_the_last_look_is_never_pickled() -> None:
    server = calm_server("kits", 1)
    with pytest.raises(WaitTimeoutError) as caught:
        await waiting(server)

    kept = pickle.loads(pickle.dumps(caught.value))
    assert (kept.last, str(kept), kept.operation) == (None, str(caught.value), caught.value.operation)
    assert CANARY.encode() not in pickle.dumps(caught.value)
    assert type(copy.copy(caught.value)) is WaitTimeoutError


async def test_an_outage_is_waited_out() -> None:
    server = calm_server("kits", 1)
    server.is_down = True
    loop = asyncio.get_running_loop()
    loop.call_later(10, lambda: server.change(server.things["canary-0"]))
    loop.call_later(200, lambda: setattr(server, "is_down", False))

    assert (await waiting(server, deadline_s=1000)).extra["number"] == 1
    assert now() < 300


async def test_an_outage_until_the_deadline_is_named() -> None:
    server = calm_server("kits", 1)
    server.is_down = True

    with pytest.raises(WaitTimeoutError, match="the last look failed: GET /api/v2/kits/") as caught:
        await waiting(server)

    assert caught.value.last is None
    assert now() == pytest.approx(100)


async def test_a_look_that_hangs_ends_at_the_deadline() -> None:
    server = calm_server("kits", 1)
    server.things["canary-0"].poison = "timeout"

    with pytest.raises(WaitTimeoutError):
        await waiting(server, deadline_s=10)

    assert now() == pytest.approx(10)


async def test_what_holds_before_an_outage_is_kept_as_the_last_look() -> None:
    server = calm_server("kits", 1)
    asyncio.get_running_loop().call_later(40, lambda: setattr(server, "is_down", True))

    with pytest.raises(WaitTimeoutError, match="the last look failed") as caught:
        await waiting(server)

    assert caught.value.last is not None


@pytest.mark.parametrize(("play", "kind"), [("404", NotFoundError), ("401", AuthenticationError)])
async def test_what_does_not_pass_is_raised_at_once(play: str, kind: type[Exception]) -> None:
    server = calm_server("kits", 1)
    server.things["canary-0"].poison = play

    with pytest.raises(kind):
        await waiting(server)

    assert now() < 1


async def test_closing_the_client_ends_it() -> None:
    server = calm_server("kits", 1)
    spot, _ = server.client(None)
    asyncio.get_running_loop().call_later(40, lambda: asyncio.ensure_future(spot.close()))

    with pytest.raises(NotSentError, match="closed"):
        await waiting(server, spot=spot)

    assert now() < 41


async def test_what_the_condition_raises_is_raised_without_the_object() -> None:
    def fail(_kit: Kit) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        await waiting(calm_server("kits", 1), fail)

    assert not [text for text in locals_in(caught.value.__traceback__) if CANARY in text]


async def test_an_sdk_error_of_the_condition_is_the_callers() -> None:
    def fail(_kit: Kit) -> bool:
        raise NotSentError("of the condition's own call")

    with pytest.raises(NotSentError, match="own call"):
        await waiting(calm_server("kits", 1), fail)


async def later(_kit: Any) -> bool:
    return False


class Later:
    async def __call__(self, _kit: Any) -> bool:
        return False


@pytest.mark.parametrize("condition", [later, partial(later), Later(), lambda _kit: later(None)])
async def test_a_condition_that_must_be_awaited_is_refused(condition: Any) -> None:
    with pytest.raises(InvalidInputError, match="plain function"):
        await waiting(calm_server("kits", 1), condition)


@pytest.mark.parametrize("condition", [None, "resulted", 7])
async def test_a_condition_must_be_a_function(condition: Any) -> None:
    server = calm_server("kits", 1)

    with pytest.raises(InvalidInputError, match="plain function"):
        await waiting(server, condition)

    assert server.sends == 0


@pytest.mark.parametrize("option", ["deadline_s", "every_s"])
@pytest.mark.parametrize("value", [0, -1, float("inf"), float("nan"), "60", None, True])
async def test_times_must_be_seconds(option: str, value: Any) -> None:
    server = calm_server("kits", 1)

    with pytest.raises(InvalidInputError, match=option):
        await waiting(server, **{option: value})

    assert server.sends == 0


@pytest.mark.parametrize("an_id", ["", "..", "a/b", 7])
async def test_a_wrong_id_is_refused(an_id: Any) -> None:
    spot, _ = calm_server("kits", 1).client(None)

    with pytest.raises(InvalidInputError, match="kit_id"):
        await spot.kits.wait_until(an_id, is_changed, deadline_s=1)
