"""What an attempt's result means; pure. It decides by what is known, never by the HTTP method."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spotdx_async._codec.json import NotJsonError, parse_exact
from spotdx_async._http import clock
from spotdx_async._http.logs import quoted
from spotdx_async._http.messages import SUCCESS, Action, AttemptState, Reply, Request, TransportFailure, Verdict
from spotdx_async.config import CallOptions
from spotdx_async.errors import (
    SAYS_WHAT,
    SAYS_WHY,
    AuthenticationError,
    BadRequestError,
    DecodeError,
    FailureCause,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
    WrongAnswerError,
)

_ACCEPTED = Verdict(Action.ACCEPT)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECONDS = re.compile(r"(\d+)(?:\.(\d+))?", re.ASCII)
_LONGEST_DIGITS = 9
_LONGEST_S = 999_999_999.0  # 30 years: anything longer is a broken header, not a sensible wait

_LARGEST_KEPT_BODY = 64 * 1024

_MOST_REASONS = 20
_DEEPEST = 8
_LARGEST_BODY = 2**20  # nobody writes a larger error, and reading it would block the event loop
_LONGEST_VALUE = 200
_LONGEST_PATH = 100
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_SHORT_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)

# The first one that an answer has names the request; headers made for this very purpose come first.
_REQUEST_IDS = (
    *("x-request-id", "request-id", "x-correlation-id", "x-amzn-requestid"),
    *("cf-ray", "x-cloud-trace-context", "traceparent"),
)
_SAFE_HEADERS = frozenset(
    {
        *_REQUEST_IDS,
        *("age", "allow", "connection", "content-encoding", "content-length", "content-type", "date"),
        *("retry-after", "server", "via", "x-cache"),
    }
)
# By words in their names: under another name, such as x-ratelimit-key, some servers repeat the token.
_RATE_LIMIT = re.compile(
    r"(?:x-)?rate-?limit(?:-(?:limit|remaining|reset|used|policy|after|requests|second|minute|hour|day|month))+"
)

# Members that hold reasons, in the order in which they are reported: those of the API's own two forms, RFC 9457 and its
# predecessor, JSON:API, Django REST framework, FastAPI, OAuth, and the gateways.
_TEXTS = ("title", "message", "Message", "msg", "description", "error_description", "reason")
_GROUPS = ("detail", "error", "details", "errors", "invalid-params", "invalid_params", "non_field_errors")
# Members that say which field a reason is about.
_NAMES = ("pointer", "field", "name", "parameter", "loc", "source")

_ERRORS: dict[int, tuple[type[StatusError], str]] = {
    400: (BadRequestError, "found the request wrong"),
    401: (AuthenticationError, "does not accept the token"),
    403: (PermissionDeniedError, "does not allow this"),
    404: (NotFoundError, "does not know this object"),
    422: (BadRequestError, "found the request wrong"),
    429: (RateLimitError, "was asked too often; nothing was executed, so it can be repeated later"),
}
_WHERE_TO_LOOK = {BadRequestError: SAYS_WHAT, PermissionDeniedError: SAYS_WHY}


def judge_reply(request: Request, reply: Reply) -> Verdict:
    """Judge a whole answer by its status.

    1. 2xx: accepted; the content is checked next.
    2. 401: the token may be stale.
    3. 3xx (and what HTTP has no final meaning for): never followed, so the outcome is unknown.
    4. 429: certainly not executed: repeated, whatever the operation.
    5. 5xx, or 408, to something that must not be done twice: it may have been executed before the server or a proxy
       gave up.
    6. 408, 425, 500, 502, 503, 504: repeated.
    7. Everything else: the server's final refusal.
    """
    status = reply.status
    if status in SUCCESS:
        return _ACCEPTED
    if status < 400:  # noqa: PLR2004 - HTTP's own classes
        message = f"the server answered {status}, a redirect, which is never followed: check base_url"
        error = OutcomeUnknownError(message, reason="redirect", status=status, request_id=_request_id_of(reply.headers))
        return Verdict(Action.RAISE, error=error, may_be_executed=True)
    wait_s = retry_after_s(reply.headers) if status in _PASSING else None
    may_be_executed = status >= 500 or status == 408  # noqa: PLR2004 - HTTP's own codes
    if may_be_executed and not request.is_replay_safe:
        message = f"the server answered {status} and may have executed it: look before repeating"
        error = OutcomeUnknownError(message, reason="status", status=status, request_id=_request_id_of(reply.headers))
        return Verdict(Action.RAISE, error=error, retry_after_s=wait_s, may_be_executed=True)
    refusal = _status_error(reply, wait_s)
    if status == 401:  # noqa: PLR2004 - HTTP's own code
        return Verdict(Action.RENEW_TOKEN, error=refusal)
    if status == 429:  # noqa: PLR2004 - HTTP's own code
        return Verdict(Action.REPEAT, error=refusal, retry_after_s=wait_s, is_throttle=True)
    act = Action.REPEAT if status in _PASSING and request.is_replay_safe else Action.RAISE
    return Verdict(act, error=refusal, retry_after_s=wait_s, may_be_executed=may_be_executed)


def judge_failure(request: Request, trouble: TransportFailure) -> Verdict:
    """Judge an attempt that brought no complete answer.

    1. Certainly not executed: repeated, unless the next attempt would fail in the same way.
    2. A 2xx too large to be read: the operation was executed, or not; another attempt would end the same.
    3. Everything else is unknown: repeated only if doing it twice is safe.
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

    1. The requested object in another shape was written by the API itself: the operation is done and is not repeated.
    2. Another object: something mixes answers up, so nobody knows what was done, and asking again would not tell.
    3. Anything not recognisable as the answer, such as text that is not JSON, may come from a proxy that never asked
       the API: repeated if that is safe, else unknown.
    """
    if error.outcome == "done" or isinstance(error, WrongAnswerError):
        return Verdict(Action.RAISE, error=error, may_be_executed=True)
    if request.is_replay_safe:
        return Verdict(Action.REPEAT, error=error, may_be_executed=True)
    why = f", and {error.args[0]}" if error.path else " with text that is not JSON"
    message = f"the server answered {reply.status}{why}: look before repeating"
    named = _request_id_of(reply.headers)
    unknown = OutcomeUnknownError(message, reason="unreadable", status=reply.status, request_id=named)
    return Verdict(Action.RAISE, error=unknown, may_be_executed=True)


def judge_long_wait(earlier: SpotError | None, options: CallOptions) -> Verdict:
    """Judge a wait before an attempt that would be longer than the options allow, given what failed before."""
    if earlier is not None:
        return Verdict(Action.RAISE, error=earlier)
    max_wait_s, deadline_s = options.max_wait_s, options.deadline_s
    is_deadline = max_wait_s is None or (deadline_s is not None and deadline_s < max_wait_s)
    name, reason = ("deadline_s", "deadline") if is_deadline else ("max_wait_s", "wait")
    message = f"the wait before the request would be longer than {name} allows, so nothing was sent"
    return Verdict(Action.RAISE, error=NotSentError(message, reason=reason))


def judge_deadline(earlier: SpotError | None, attempt_state: AttemptState) -> Verdict:
    """Judge a call that its deadline ended.

    1. A request was in progress and may have arrived: unknown.
    2. An earlier attempt failed: that failure.
    3. Nothing had been sent.
    """
    error: SpotError
    if attempt_state.may_have_arrived:
        error = OutcomeUnknownError("deadline_s passed before the answer came", reason="deadline")
    else:
        error = (
            earlier
            if earlier is not None
            else NotSentError("deadline_s passed before anything was sent", reason="deadline")
        )
    return Verdict(Action.RAISE, error=error)


def error_of_all(
    error: SpotError, request: Request, attempt_state: AttemptState, *, is_of_an_earlier: bool
) -> SpotError:
    """Return the error that is true of all attempts of a call, not only of the last.

    Args:
        error: of the last attempt.
        request: what was sent.
        attempt_state: what is known of all attempts.
        is_of_an_earlier: whether the attempt that may have been executed came before the error's.
    """
    # One still in progress was not judged: the error came from a hook that runs while it is sent.
    if not (attempt_state.may_be_executed or attempt_state.may_have_arrived):
        return error
    message = "an earlier attempt may have been executed, and no later one got through"
    if isinstance(error, NotSentError):
        return OutcomeUnknownError(message, reason="dropped", cause=FailureCause.of(error))
    if request.method == "GET":
        return error  # a read changes nothing, whenever it is executed
    if isinstance(error, RateLimitError):
        return OutcomeUnknownError(message, reason="dropped", status=error.status, request_id=error.request_id)
    error.may_be_executed = True
    if is_of_an_earlier and not isinstance(error, (OutcomeUnknownError, DecodeError)):
        error.args = (f"{error.args[0]}; an earlier attempt may have been executed",)
    return error


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks to wait, from a number or an HTTP date; None if it is unusable.

    HTTP allows only whole seconds; a server that sends a fraction gets what it asks for, rounded up.

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
    server_type, details = _server_words(reply.body)
    where_to_look = _WHERE_TO_LOOK.get(kind, "") if details else ""
    return kind(
        f"the server answered {status}: it {says}{where_to_look}",
        status=status,
        type=server_type,
        details=details,
        retry_after_s=wait_s,
        request_id=_request_id_of(reply.headers),
        headers=_safe_headers(reply.headers),
        body=reply.body[:_LARGEST_KEPT_BODY],
    )


def _request_id_of(headers: Mapping[str, str]) -> str | None:
    """Return the server's name for the request: the first such header in visible ASCII, cut at 200 characters."""
    named = _first_of_each(headers)
    for name in _REQUEST_IDS:
        value = named.get(name, "")
        if _PRINTABLE.fullmatch(value) and " " not in value:
            return value[:_LONGEST_VALUE]
    return None


def _safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that cannot hold secrets, with lower-case names and without values beyond printable ASCII."""
    return {
        name: value[:_LONGEST_VALUE]
        for name, value in _first_of_each(headers).items()
        if (name in _SAFE_HEADERS or _RATE_LIMIT.fullmatch(name)) and _PRINTABLE.fullmatch(value)
    }


def _first_of_each(headers: Mapping[str, str]) -> dict[str, str]:
    named: dict[str, str] = {}
    for name, value in headers.items():
        named.setdefault(name.lower(), value.strip())
    return named


def _server_words(body: bytes) -> tuple[str | None, tuple[str, ...]]:
    """Return the server's word for the kind of error, and its reasons, each fit for one line; empty if it gave none."""
    if len(body) > _LARGEST_BODY:
        return None, ()
    try:
        answer = parse_exact(body)
    except NotJsonError:
        return None, ()
    return _type_of(answer), _reasons_of(answer)


def _type_of(answer: Any) -> str | None:
    if not isinstance(answer, dict):
        return None
    error = answer.get("error")
    if isinstance(error, dict):
        kind = error.get("type")
        return quoted(kind) if isinstance(kind, str) else None
    kind = answer.get("type")  # a URI in RFC 9457, which is useless for comparisons
    return kind if isinstance(kind, str) and _SHORT_WORD.fullmatch(kind) else None


def _reasons_of(answer: Any) -> tuple[str, ...]:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):  # the API's own form: its siblings are not reasons
        reasons = _in_known_members(error, "", 1)
    else:
        reasons = _in_value(answer, "", 0, is_text_a_reason=not isinstance(answer, dict))
    return tuple(reason for reason, _ in zip(reasons, range(_MOST_REASONS), strict=False))


def _in_value(value: Any, path: str, depth: int, *, is_text_a_reason: bool) -> Iterator[str]:
    if isinstance(value, str):
        if is_text_a_reason and value.strip():
            yield quoted(f"{path}: {value}" if path else value)
    elif depth >= _DEEPEST:
        return
    elif isinstance(value, dict):
        yield from _in_object(value, path, depth, is_text_a_reason=is_text_a_reason)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            has_own_name = not isinstance(item, dict) or _says_a_text(item)
            place = path if has_own_name else f"{path}[{index}]"
            yield from _in_value(item, place, depth + 1, is_text_a_reason=True)


def _in_object(value: dict[str, Any], path: str, depth: int, *, is_text_a_reason: bool) -> Iterator[str]:
    """Yield the reasons in one object, depending on whether it states one in words.

    1. It does: it is a message, and its other members describe it, or repeat what was sent.
    2. It does not: its members are fields with their faults, except for groups, which name no field.
    """
    if _says_a_text(value):
        # In the whole answer a name is that of the error; in one of several reasons it is the field's.
        place = _joined(path, _field_of(value)) if is_text_a_reason else path
        yield from _in_known_members(value, place, depth)
        return
    for name, item in value.items():
        place = path if name in _GROUPS else _joined(path, name)
        is_reason = is_text_a_reason or name in _GROUPS
        yield from _in_value(item, place, depth + 1, is_text_a_reason=is_reason)


def _says_a_text(value: dict[str, Any]) -> bool:
    return any(isinstance(value.get(name), str) for name in (*_TEXTS, *_GROUPS))


def _in_known_members(value: dict[str, Any], path: str, depth: int) -> Iterator[str]:
    for name in (*_TEXTS, *_GROUPS):
        if name in value:
            yield from _in_value(value[name], path, depth + 1, is_text_a_reason=True)


def _field_of(value: dict[str, Any]) -> str:
    """Return the field that a reason is about, as a path with dots; empty if none is named."""
    for name in _NAMES:
        named = value.get(name)
        if name == "source" and isinstance(named, dict):
            named = named.get("pointer") or named.get("parameter")
        if isinstance(named, str) and named:
            return _dotted(named)
        if isinstance(named, list) and named:
            return ".".join(str(part)[:_LONGEST_PATH] for part in named[:_DEEPEST] if isinstance(part, (str, int)))
    return ""


def _dotted(named: str) -> str:
    """Convert a JSON pointer, even in a URI's fragment, to the form of this SDK's paths."""
    pointer = named.removeprefix("#")
    if not pointer.startswith("/"):
        return named
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def _joined(path: str, name: str) -> str:
    joined = f"{path}.{name}" if path and name else path or name
    return joined if len(joined) <= _LONGEST_PATH else f"{joined[: _LONGEST_PATH - 1]}…"
