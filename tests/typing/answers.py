"""Models and errors: kinds of result, values beyond an enumeration, what an error tells. Checked, never run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, assert_never, assert_type

from spotdx_async import (
    BadRequestError,
    BulkStopped,
    Clue,
    DecodeError,
    GenotypeResult,
    InvalidInputError,
    JournalError,
    Kit,
    KitStatus,
    NewOrder,
    NotSentError,
    Order,
    OutcomeUnknownError,
    QuantityResult,
    RateLimitError,
    ReactivityResult,
    Result,
    SpotClient,
    SpotError,
    StatusError,
    UnknownResult,
)


def read_kit(kit: Kit) -> None:
    assert_type(kit.kit_id, str | None)
    assert_type(kit.extra, Mapping[str, Any])
    assert_type(kit.extra.get("metadata"), Any | None)
    for event in kit.events:
        assert_type(event.created, datetime | None)
    if kit.sample is not None:
        for report in kit.sample.reports:
            if report is not None:
                for result in report.results:
                    assert_type(result, QuantityResult | ReactivityResult | GenotypeResult | UnknownResult)


def tell_status(kit: Kit) -> str:
    """A status is one of the list, or a text that the list does not have; both compare with texts."""
    if kit.status == "pending":
        return "not on the list"
    match kit.status:
        case KitStatus.DELIVERED:
            return "there"
        case KitStatus() as known:
            return known.value
        case str() as word:
            return word
        case None:
            return "none"
        case _:
            assert_never(kit.status)


def value_by_match(result: Result) -> int | float | str | None:
    match result:
        case QuantityResult(result=amount, unit_of_measure=unit):
            assert_type(amount, int | float | str | None)
            assert_type(unit, str | None)
            return amount
        case ReactivityResult() | GenotypeResult():
            assert_type(result.result, str | None)
            return result.result
        case UnknownResult():
            assert_type(result.result, Any)
            return None
        case _:
            assert_never(result)


def value_by_isinstance(result: Result) -> None:
    if isinstance(result, QuantityResult):
        assert_type(result.result_type, Literal["quantity"])
        assert_type(result.range_minimum, int | float | str | None)
    elif isinstance(result, UnknownResult):
        assert_type(result.result_type, str | None)
    else:
        assert_type(result, ReactivityResult | GenotypeResult)


async def place(spot: SpotClient, order: NewOrder) -> Order | None:
    try:
        return await spot.orders.create(order)
    except OutcomeUnknownError as error:
        assert_type(error.status, int | None)
        assert_type(error.clue, Clue | None)
        found = await spot.orders.reconcile(error, patience_s=0)
        assert_type(found.state, Literal["found", "not found", "unknown"])
        assert_type(found.is_found, bool)
        return found.value


def explain(error: SpotError) -> None:
    assert_type(error.operation, str | None)
    assert_type(error.attempts, int)
    assert_type(error.elapsed_s, float)
    match error:
        case InvalidInputError():
            assert_type(error.faults, tuple[tuple[str, str], ...])
        case NotSentError():
            assert_type(error.reason, str)
        case RateLimitError() | BadRequestError():
            assert_type(error.retry_after_s, float | None)
        case StatusError():
            assert_type(error.status, int)
            assert_type(error.type, str | None)
            assert_type(error.details, tuple[str, ...])
            assert_type(error.request_id, str | None)
            assert_type(error.body, bytes)
        case DecodeError():
            assert_type(error.outcome, Literal["done", "unknown"])
            assert_type(error.raw, Any)
        case BulkStopped():
            assert_type(error.cause, SpotError | None)
            assert_type(error.next_index, int)
        case _:
            pass


def is_of_the_caller(error: ValueError) -> str:
    """A wrong argument is a ValueError to code that knows no SDK."""
    return error.reason if isinstance(error, JournalError) else str(error)
