"""What an attempt's result means; pure. It decides by what is known, never by the HTTP method."""

import re
from collections.abc import Mapping

from spotdx_async._http import clock
from spotdx_async._http.error_answers import request_id_of, safe_headers, server_words
from spotdx_async._http.messages import Action, Reply, Request, TransportFailure, Verdict, is_success
from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    DecodeError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    StatusError,
    WrongAnswerError,
)

__all__ = ["judge_decode_error", "judge_failure", "judge_reply", "retry_after_s"]

_ACCEPTED = Verdict(Action.ACCEPT)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECONDS = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)
_LONGEST_DIGITS = 9
_LONGEST_S = 999_999_999.0  # 30 years: whatever is longer is no sensible wait but a broken header

_LARGEST_KEPT_BODY = 64 * 1024

_ERRORS: dict[int, tuple[type[StatusError], str]] = {
    400: (BadRequestError, "found the request wrong"),
    401: (AuthenticationError, "does not accept the token"),
    403: (PermissionDeniedError, "does not allow this"),
    404: (NotFoundError, "does not know this object"),
    422: (BadRequestError, "found the request wrong"),
    429: (RateLimitError, "was asked too often; nothing was executed, so it can be repeated later"),
}
_WHERE_TO_LOOK = {BadRequestError: "; details says what", PermissionDeniedError: "; details says why"}


def judge_reply(request: Request, reply: Reply) -> Verdict:
    """Judge a whole answer by its status.

    1. 2xx: accepted; what it holds is read next.
    2. 401: the token may be stale.
    3. 3xx (and what HTTP has no final meaning for): never followed, so the outcome is unknown.
    4. 429: surely not executed: repeated, whatever the operation.
    5. 5xx, or 408, to what must not be done twice: it may have been executed before the server, or what stands before
       it, gave up.
    6. 408, 425, 500, 502, 503, 504: repeated.
    7. All else: the server's final no.
    """
    status = reply.status
    if is_success(status):
        return _ACCEPTED
    if status < 400:  # noqa: PLR2004 - HTTP's own classes
        message = f"the server answered {status}, a redirect, which is never followed: check base_url"
        error = OutcomeUnknownError(message, reason="redirect", status=status, request_id=request_id_of(reply.headers))
        return Verdict(Action.RAISE, error=error, may_be_executed=True)
    wait_s = retry_after_s(reply.headers) if status in _PASSING else None
    may_be_executed = status >= 500 or status == 408  # noqa: PLR2004 - HTTP's own codes
    if may_be_executed and not request.is_replay_safe:
        message = f"the server answered {status} and may have carried it out: look before repeating"
        error = OutcomeUnknownError(message, reason="status", status=status, request_id=request_id_of(reply.headers))
        return Verdict(Action.RAISE, error=error, retry_after_s=wait_s, may_be_executed=True)
    refusal = _status_error(reply, wait_s)
    if status == 401:  # noqa: PLR2004 - HTTP's own code
        return Verdict(Action.RENEW_TOKEN, error=refusal)
    if status == 429:  # noqa: PLR2004 - HTTP's own code
        return Verdict(Action.REPEAT, error=refusal, retry_after_s=wait_s, is_throttle=True)
    act = Action.REPEAT if status in _PASSING and request.is_replay_safe else Action.RAISE
    return Verdict(act, error=refusal, retry_after_s=wait_s, may_be_executed=may_be_executed)


def judge_failure(request: Request, trouble: TransportFailure) -> Verdict:
    """Judge an attempt that brought no whole answer.

    1. Surely not executed: repeated, unless the next attempt would meet the same.
    2. A 2xx too large to be read: the operation was carried out, or not; reading it again would end the same.
    3. All else is unknown: repeated only where doing it twice is safe.
    """
    if not trouble.may_have_arrived:
        act = Action.RAISE if trouble.is_lasting else Action.REPEAT
        return Verdict(act, error=NotSentError(trouble.message, reason=trouble.reason, cause=trouble.cause))
    if trouble.reason == "too large" and request.is_replay_safe:
        return Verdict(Action.RAISE, error=DecodeError(trouble.message, outcome="unknown"), may_be_executed=True)
    message = trouble.message if request.is_replay_safe else f"{trouble.message}: look before repeating"
    reason = "unreadable" if trouble.reason == "too large" else trouble.reason
    error = OutcomeUnknownError(message, reason=reason, status=trouble.status, cause=trouble.cause)
    act = Action.REPEAT if request.is_replay_safe and not trouble.is_lasting else Action.RAISE
    return Verdict(act, error=error, may_be_executed=True)


def judge_decode_error(request: Request, reply: Reply, error: DecodeError) -> Verdict:
    """Judge a 2xx that is not what the contract says.

    1. The object asked for in another shape was written by the API itself: the operation is done and is not repeated.
    2. Another object: something mixes answers up, so nobody knows what was done, and asking again would not tell.
    3. What does not show that it is the answer, such as text that is no JSON, may come from a proxy that never asked
       the API: repeated where safe, else unknown.
    """
    if error.outcome == "done" or isinstance(error, WrongAnswerError):
        return Verdict(Action.RAISE, error=error, may_be_executed=True)
    if request.is_replay_safe:
        return Verdict(Action.REPEAT, error=error, may_be_executed=True)
    why = f", and {error.args[0]}" if error.path else " with text that is not JSON"
    message = f"the server answered {reply.status}{why}: look before repeating"
    named = request_id_of(reply.headers)
    unknown = OutcomeUnknownError(message, reason="unreadable", status=reply.status, request_id=named)
    return Verdict(Action.RAISE, error=unknown, may_be_executed=True)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks to wait, from a number or an HTTP date; None where it says nothing usable.

    HTTP knows whole seconds alone; servers that send a fraction get what they ask for, rounded up.

    A date is compared with the answer's own ``Date``, so that a wrong or jumping local clock does not matter; a past
    date is 0.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    text = text.strip()
    if (number := _SECONDS.fullmatch(text)) is not None:
        whole, fraction = number[1], number[2] or ""
        return float(whole) + (fraction.strip("0") != "") if len(whole) <= _LONGEST_DIGITS else None
    until = clock.http_date(text)
    if until is None:
        return None
    since = clock.http_date(headers.get("Date")) or clock.wall()
    wait_s = max(0.0, (until - since).total_seconds())
    return wait_s if wait_s <= _LONGEST_S else None


def _status_error(reply: Reply, wait_s: float | None) -> StatusError:
    status = reply.status
    kind, says = _ERRORS.get(
        status,
        (ServerError, "failed") if status >= 500 else (StatusError, "refused"),  # noqa: PLR2004 - HTTP's classes
    )
    server_type, details = server_words(reply.body)
    where_to_look = _WHERE_TO_LOOK.get(kind, "") if details else ""
    return kind(
        f"the server answered {status}: it {says}{where_to_look}",
        status=status,
        type=server_type,
        details=details,
        retry_after_s=wait_s,
        request_id=request_id_of(reply.headers),
        headers=safe_headers(reply.headers),
        body=reply.body[:_LARGEST_KEPT_BODY],
    )
