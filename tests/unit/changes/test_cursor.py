"""The text form of what a feed has delivered: what it keeps, how long it is, and how it is refused."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async.changes.cursor import (
    NO_CONTENT,
    OF_THE_WINDOW,
    UNDATED,
    FeedState,
    _checksum,
    day_of_state,
    server_digest,
)
from spotdx_async.errors import InvalidInputError

SERVER = server_digest("https://spot.example")
CANARY = "canary-7"
DAY = day_of_state(datetime(2026, 11, 29, 12, tzinfo=UTC))


def state_of(count: int = 3, day: int = DAY) -> FeedState:
    state = FeedState(noun="kits", server=SERVER, watermark_s=1_796_000_000.0, read_to_s=1.5, since=date(2026, 1, 31))
    for number in range(count):
        an_id = f"{CANARY}-{number}"
        state.note(an_id, day, state.row_digest(an_id, b"row"), state.content_digest(an_id, b"content"))
    return state


def decoded(cursor: Any, *, noun: str = "kits", server: bytes = SERVER) -> FeedState:
    return FeedState.decode(cursor, noun=noun, server=server)


def refusal(cursor: Any, **about: Any) -> str:
    with pytest.raises(InvalidInputError) as caught:
        decoded(cursor, **about)
    return str(caught.value)


def test_a_cursor_holds_all_that_the_feed_knows() -> None:
    state = state_of()
    state.owed = {CANARY: (DAY, DAY), "other": (UNDATED, DAY)}
    state.note("undated", UNDATED, b"123456", b"12345")
    state.note("of the window", OF_THE_WINDOW, b"", b"12345")
    state.long_pass_at_s, state.created_from, state.is_sweep, state.is_complete = 2.5, date(2020, 2, 29), True, False
    state.token = state.token_digest("a token")

    assert decoded(state.encode()) == state


@settings(max_examples=20)
@given(owed=st.dictionaries(st.text(), st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=4))
def test_any_id_is_owed_as_it_came(owed: dict[str, tuple[int, int]]) -> None:
    state = state_of(0)
    state.owed = {**owed, "two\nlines": (1, 2), "half a \ud800 character": (3, 4)}

    assert decoded(state.encode()).owed == state.owed


@pytest.mark.parametrize("count", [0, 1, 1000])
def test_an_entry_has_sixteen_bytes_and_the_rest_a_fixed_size(count: int) -> None:
    assert len(urlsafe_b64decode(state_of(count).encode())) <= 16 * count + 220


def test_no_id_is_in_it_in_clear() -> None:
    state = state_of()
    state.owed = {CANARY: (DAY, DAY)}
    cursor = state.encode()

    assert CANARY not in cursor
    assert CANARY.encode() not in urlsafe_b64decode(cursor)
    assert CANARY not in repr(state)


def test_two_feeds_of_the_same_objects_have_nothing_in_common() -> None:
    one, other = (set(state_of().groups[DAY].items()) for _ in "ab")

    assert not one & other


def test_every_cut_is_refused() -> None:
    cursor = state_of().encode()
    assert cursor[:20] not in refusal(cursor[:-1])
    for length in range(len(cursor)):
        assert "a part of it is missing" in refusal(cursor[:length])
        assert "a part of it is missing" in refusal(cursor[length + 1 :])


def test_every_flipped_bit_is_refused() -> None:
    cursor = state_of(1).encode()
    for at, char in enumerate(cursor):
        for bit in range(8):
            refusal(cursor[:at] + chr(ord(char) ^ 1 << bit) + cursor[at + 1 :])


def test_every_flipped_bit_of_its_bytes_is_refused() -> None:
    raw = urlsafe_b64decode(state_of(1).encode())
    for at in range(len(raw)):
        for bit in range(8):
            refusal(urlsafe_b64encode(raw[:at] + bytes([raw[at] ^ 1 << bit]) + raw[at + 1 :]).decode())


def test_it_may_come_from_a_line_of_a_file() -> None:
    state = state_of()

    assert decoded(f"{state.encode()}\r\n") == state


@pytest.mark.parametrize("cursor", [b"AQ==", 7, 1.5, ["AQ=="], object()])
def test_what_is_not_text_is_refused_by_its_type(cursor: object) -> None:
    assert type(cursor).__name__ in refusal(cursor)


@pytest.mark.parametrize("cursor", ["", " ", "ä", "null", "2026-11-29", "{}", "A" * 400, "=" * 8])
def test_text_that_is_no_cursor_is_refused(cursor: str) -> None:
    assert "not one of changes()" in refusal(cursor)


def test_a_cursor_of_another_list_is_refused() -> None:
    assert "one of kits, not of orders" in refusal(state_of().encode(), noun="orders")


def test_a_cursor_of_another_server_is_refused() -> None:
    assert "another server" in refusal(state_of().encode(), server=server_digest("https://other.example"))


def test_a_cursor_of_a_newer_version_is_refused() -> None:
    body = b"\x02" + urlsafe_b64decode(state_of().encode())[1:-8] + b"what it adds"

    assert "newer version" in refusal(urlsafe_b64encode(body + _checksum(body)).decode())


def test_old_states_are_forgotten_and_the_account_is_still_known_by_a_few() -> None:
    quiet, busy = state_of(100), state_of(100)
    for number in range(5):
        busy.note(f"new-{number}", DAY + 5, b"123456", b"12345")

    for state in (quiet, busy):
        state.forget_before(DAY + 1)

    assert not quiet.groups
    assert quiet.first_known_day() == DAY
    assert quiet.knows_any([f"{CANARY}-{number}" for number in range(100)])
    assert busy.first_known_day() == DAY + 5
    assert not busy.knows_any([f"{CANARY}-{number}" for number in range(100)])
    assert busy.knows_any(["new-1"])
    assert decoded(quiet.encode()) == quiet


def test_an_object_that_is_gone_is_none_to_know_an_account_by() -> None:
    state = state_of(1)

    state.note(f"{CANARY}-0", DAY, b"", NO_CONTENT)
    state.forget_before(DAY + 1)

    assert not state.knows_something


def test_what_a_sweep_does_not_find_any_more_makes_room_first() -> None:
    state = state_of(0)
    for number in range(5):
        state.note(f"{number}", DAY + number, b"123456", b"12345")
    state.begin_sweep()
    state.forget_before(DAY + 5)

    assert state.first_known_day() == DAY
    assert state.knows_any(["4"])
    for number in range(3):
        state.note(f"older-{number}", DAY - 100, b"123456", b"12345")
    state.begin_sweep()
    state.note("4", DAY + 4, b"123456", b"12345")
    state.forget_before(DAY + 5)
    assert [state.knows_any([name]) for name in "01234"] == [False, False, False, True, True]
    assert decoded(state.encode()) == state


def test_the_days_of_what_was_got_without_its_row_are_those_that_the_list_has_shown() -> None:
    state = state_of(0)
    state.note("shown", DAY, b"123456", b"12345")
    state.note("shown", DAY + 9, b"", b"12345", shown=UNDATED)
    state.note("never", DAY + 9, b"", b"12345", shown=UNDATED)
    state.forget_before(DAY + 10)

    assert state.first_known_day() == DAY
    for number in range(4):
        state.note(f"{number}", DAY - 1, b"123456", b"12345")
    assert not state.knows_any(["never"])
    assert state.knows_any(["shown"])


def test_the_states_of_a_window_leave_what_the_account_is_known_by() -> None:
    state = state_of(0)
    state.note("old", DAY - 400, b"123456", b"12345", group=OF_THE_WINDOW)
    del state.groups[OF_THE_WINDOW]

    assert state.knows_something
    assert state.first_known_day() == DAY - 400
