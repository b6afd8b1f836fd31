"""The word in which observers are told how a call or a row ended."""

import pytest

from spotdx_async import (
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    DecodeError,
    EndRecord,
    NotSentError,
    Observer,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    SpotError,
)
from spotdx_async._observe.dispatch import Dispatcher

WRITE, READ = "POST /api/v2/kits/{kit_id}/", "GET /api/v2/kits/{kit_id}/"


class Ends(Observer):
    """Keeps how things ended."""

    def __init__(self) -> None:
        self.records: list[EndRecord] = []

    def end(self, mark: None, record: EndRecord) -> None:  # noqa: ARG002 - of the protocol
        self.records.append(record)


def ending(operation: str, error: SpotError | None) -> str:
    ends = Ends()
    Dispatcher([ends], "https://spot.example").observe(operation).end(error)
    (record,) = ends.records
    return record.outcome


def after_an_open_attempt(error: SpotError) -> SpotError:
    error.may_be_executed = True
    return error


@pytest.mark.parametrize(
    "error",
    [
        BadRequestError("no", status=400),
        AuthenticationError("no", status=401),
        RateLimitError("no", status=429),
        ServerError("no", status=503),
        OutcomeUnknownError("no"),
    ],
)
async def test_a_write_that_may_have_been_carried_out_is_unknown_whatever_came_last(error: SpotError) -> None:
    assert ending(WRITE, after_an_open_attempt(error)) == "unknown"


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (None, "ok"),
        (BadRequestError("no", status=400), "refused"),
        (RateLimitError("no", status=429), "throttled"),
        (ServerError("no", status=503), "failed"),
        (NotSentError("no"), "not_sent"),
        (DecodeError("no"), "unreadable"),
        (BulkStopped("no"), "failed"),
    ],
)
async def test_otherwise_the_last_answer_gives_the_word(error: SpotError | None, word: str) -> None:
    assert ending(WRITE, error) == word


@pytest.mark.parametrize(
    ("error", "word"), [(BadRequestError("no", status=400), "refused"), (ServerError("no", status=503), "failed")]
)
async def test_a_read_changes_nothing_so_that_the_last_answer_is_all_there_is(error: SpotError, word: str) -> None:
    assert ending(READ, after_an_open_attempt(error)) == word
