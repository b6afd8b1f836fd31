"""What the answer to an operation is read into, and what its headers tell of its age."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from multidict import CIMultiDict

from spotdx_async._codec.codec import BadItem
from spotdx_async._http.messages import Reply
from spotdx_async._requests.answers import ListPage, decoder_of, is_from_cache, server_clock
from spotdx_async.errors import DecodeError
from spotdx_async.models import Kit, KitSummary

NOON = datetime(2024, 2, 9, 12, tzinfo=UTC)


def reply(body: bytes, **headers: str) -> Reply:
    return Reply(200, headers, body)


def test_an_answer_is_read_into_its_model() -> None:
    assert decoder_of(Kit)(reply(b'{"kit_id":"SPOT123456"}')) == Kit(kit_id="SPOT123456")


def test_an_answer_of_texts_is_read_into_a_list_of_them() -> None:
    assert decoder_of(list[str])(reply(b'["a","b"]')) == ["a", "b"]


def test_an_answer_of_texts_that_holds_another_value_is_a_decode_error() -> None:
    with pytest.raises(DecodeError, match=r"\[1\] should be text"):
        decoder_of(list[str])(reply(b'["a",1]'))


def test_an_answer_of_rows_is_read_into_a_page_that_keeps_its_age_and_its_bad_items() -> None:
    headers = {"Date": "Fri, 09 Feb 2024 12:00:00 GMT", "Age": "7"}

    page = decoder_of(ListPage[KitSummary])(reply(b'[{"kit_id":"SPOT123456"},7]', **headers))

    assert page.items[0] == KitSummary(kit_id="SPOT123456")
    assert isinstance(page.items[1], BadItem)
    assert page.clock is not None
    assert (page.clock.now, page.is_from_cache) == (NOON, True)


@pytest.mark.parametrize(
    ("text", "now"),
    [
        ("Fri, 09 Feb 2024 12:00:00 GMT", NOON),
        ("Fri, 09 Feb 2024 12:00:00 +0000", None),
        ("Fri, 31 Feb 2024 12:00:00 GMT", None),
        ("2024-02-09T12:00:00Z", None),
        ("", None),
        (None, None),
    ],
)
def test_the_time_of_an_answer_is_its_date(text: str | None, now: datetime | None) -> None:
    clock = server_clock({"Date": text}, NOON + timedelta(hours=49))

    assert (clock and clock.now) == now
    assert clock is None or clock.ahead == timedelta(hours=-49)


def test_an_answer_without_a_date_tells_no_time() -> None:
    assert server_clock({}, NOON) is None


@pytest.mark.parametrize(
    ("headers", "is_cached"),
    [
        ({}, False),
        ({"Age": "0"}, False),
        ({"Age": " 000 "}, False),
        ({"X-Cache": "HIT"}, False),
        ({"Age": "1"}, True),
        ({"age": "600"}, True),
        ({"AGE": "0, 17"}, True),
        ({"Age": "-1"}, True),
        ({"Age": "canary"}, True),
        ([("Age", "0"), ("Age", "5")], True),
    ],
)
def test_an_answer_out_of_a_cache_is_known_by_its_age(headers: Any, *, is_cached: bool) -> None:
    assert is_from_cache(CIMultiDict(headers)) is is_cached
