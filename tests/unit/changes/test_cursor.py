"""The text form of what a feed has delivered: what it keeps, how long it is, and how it is refused."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotdx_async.changes.cursor import OF_THE_WINDOW, UNDATED, FeedState, _checksum, day_of_state, server_digest
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
def test_an_entry_has_sixteen_bytes_and_the_rest_a_hundred_and_fifty(count: int) -> None:
    assert len(urlsafe_b64decode(state_of(count).encode())) <= 16 * count + 150


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


def test_old_states_are_forgotten_but_for_a_few_by_which_the_account_is_known() -> None:
    quiet, busy = state_of(100), state_of(100)
    busy.note("new", DAY + 5, b"123456", b"12345")

    for state in (quiet, busy):
        state.forget_before(DAY + 1)

    assert len(quiet.groups[DAY]) == 3
    assert quiet.knows_any([f"{CANARY}-{number}" for number in range(100)])
    assert [*busy.groups] == [DAY + 5]


def test_a_state_is_known_once_and_as_it_was_noted_last() -> None:
    state = state_of(1)
    an_id = f"{CANARY}-0"

    state.note(an_id, DAY + 1, b"abcdef", b"12345")

    found = state.delivered(an_id)
    assert found is not None
    assert (found.row, found.content, found.day) == (b"abcdef", b"12345", DAY + 1)
    assert sum(map(len, state.groups.values())) == 1
    assert state.delivered("another") is None


def test_undated_states_are_kept_for_what_is_still_listed() -> None:
    state = state_of(3, UNDATED)

    state.keep_undated([f"{CANARY}-1", "another"])

    assert state.delivered(f"{CANARY}-1") is not None
    assert state.delivered(f"{CANARY}-2") is None
    state.keep_undated([])
    assert UNDATED not in state.groups
