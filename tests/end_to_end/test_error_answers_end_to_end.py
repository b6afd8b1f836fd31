"""What a caller is told of the answer of an error: its request id, reasons and headers, and none of it in any text."""

import traceback

import pytest

from spotdx_async import (
    Address,
    BadRequestError,
    NewOrder,
    OutcomeUnknownError,
    RateLimitError,
    Recipient,
    RetryPolicy,
)
from spotdx_async._http.messages import Action, AttemptState, Verdict
from spotdx_async.bulk.outcomes import ended
from spotdx_async.bulk.row import Row
from spotdx_async.testing import FakeSpot, faults

ADDRESS = Address(street1="1 Example Street", city="Springfield", state="CA", country="US", zip="00000")
RECIPIENT = Recipient(
    first_name="Robin", last_name="Sample", email="r@example.com", phone="2025550147", address=ADDRESS
)
ORDER = NewOrder(kit_types=("health_kit_1",), recipient=RECIPIENT)
REASONS = b'{"recipient": {"first_name": ["canary_reason"]}}'
HEADERS = {"X-Request-Id": "abc-1", "Set-Cookie": "canary_cookie=1", "X-RateLimit-Key": "canary_key"}
REFUSED = faults.body(REASONS, status=400, headers=HEADERS, executes=False)
THROTTLED = faults.body(b"", status=429, headers=HEADERS, executes=False)


@pytest.mark.virtual_time
async def test_a_refusal_carries_what_the_server_said_and_shows_none_of_it(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(REFUSED)

    async with fake_spot.client() as spot:
        with pytest.raises(BadRequestError) as caught:
            await spot.kits.update_metadata("SPOT123456", {"a": 1})

    error = caught.value
    assert (error.request_id, error.body) == ("abc-1", REASONS)
    assert error.details == ("recipient.first_name: canary_reason",)
    assert error.headers["x-request-id"] == "abc-1"
    assert error.headers["content-type"].startswith("application/json")
    assert "canary" not in repr(error.headers)
    assert "details says what" in str(error)
    for text in (str(error), repr(error), repr(error.args), *traceback.format_exception(error)):
        assert "canary" not in text


@pytest.mark.virtual_time
async def test_a_create_whose_outcome_is_unknown_names_the_request(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.body(b"", status=502, headers=HEADERS))

    async with fake_spot.client() as spot:
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.orders.create(ORDER)

    assert caught.value.request_id == "abc-1"


@pytest.mark.virtual_time
async def test_an_outcome_that_is_unknown_since_an_earlier_attempt_names_the_last_request(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add("drop_after")
    fake_spot.faults.add(THROTTLED)

    async with fake_spot.client(retry=RetryPolicy(max_attempts=2)) as spot:
        with pytest.raises(OutcomeUnknownError) as caught:
            await spot.kits.update_metadata("SPOT123456", {"a": 1})

    assert (caught.value.status, caught.value.request_id) == (429, "abc-1")


def test_a_row_that_is_unknown_since_an_earlier_attempt_names_the_last_request() -> None:
    row = Row(0, "SPOT123456", b"{}", attempt_state=AttemptState(may_be_executed=True))
    throttled = RateLimitError("no", status=429, request_id="abc-1")

    outcome = ended(row, Verdict(Action.REPEAT, error=throttled), 0.0)

    assert outcome.state == "unknown"
    assert isinstance(outcome.error, OutcomeUnknownError)
    assert (outcome.error.status, outcome.error.request_id) == (429, "abc-1")
