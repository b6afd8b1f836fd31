"""What the attempts of a call say together: whoever raised, nothing that may have been executed is called unsent."""

import pytest

from spotdx_async._http.call import Call
from spotdx_async._http.messages import Action, Request, Verdict
from spotdx_async.errors import (
    ConfigError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    RateLimitError,
    ServerError,
    SpotError,
)

EARLIER = "an earlier attempt may have been executed"


def call_of(method: str = "POST") -> Call:
    return Call(Request(operation=f"{method} /x", method=method, path="/x"), lambda reply: reply)


def judged(call: Call, error: SpotError, *, may_be_executed: bool = False) -> SpotError:
    call.note(Verdict(Action.RAISE, error=error, may_be_executed=may_be_executed))
    return error


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_an_unsent_error_from_elsewhere_while_a_request_is_under_way_is_no_proof(method: str) -> None:
    """A hook of a caller's session may use a client of its own, whose errors are the SDK's too."""
    call = call_of(method)
    call.attempt_state.may_have_arrived = True

    error = call.final_error(NotSentError("of another client", reason="refused"))

    assert type(error) is OutcomeUnknownError
    assert "not sent" not in str(error)


def test_a_refusal_from_elsewhere_while_a_request_is_under_way_says_so() -> None:
    call = call_of()
    call.attempt_state.may_have_arrived = True

    error = call.final_error(NotFoundError("of another client", status=404))

    assert error.may_be_executed


def test_an_error_that_no_attempt_brought_says_that_an_earlier_one_may_have_been_executed() -> None:
    """Such as a token that cannot be used, asked for between two attempts."""
    call = call_of()
    judged(call, ServerError("failed", status=503), may_be_executed=True)

    error = call.final_error(ConfigError("the token is empty"))

    assert error.may_be_executed
    assert EARLIER in str(error)


def test_the_one_attempt_that_may_have_been_executed_is_not_called_an_earlier_one() -> None:
    call = call_of()

    error = call.final_error(judged(call, ServerError("failed", status=503), may_be_executed=True))

    assert error.may_be_executed
    assert EARLIER not in str(error)


def test_what_was_surely_not_executed_stays_so() -> None:
    call = call_of()
    judged(call, RateLimitError("asked too often", status=429))

    error = call.final_error(judged(call, NotSentError("refused", reason="refused")))

    assert type(error) is NotSentError
    assert not error.may_be_executed
