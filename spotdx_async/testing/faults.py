"""The faults that the fake can play, each made by a function of this module. Pure; knows no network.

A fault that executes passes the request on to the API, whose own rules may refuse it (an unknown kit, a wrong token);
one that does not plays before the API sees the request, even before its token check.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Literal, get_args

from spotdx_async.testing.answers import Answer, error_answer, http_date, json_answer, page_answer
from spotdx_async.testing.report_files import expired_answer
from spotdx_async.testing.reshaping import add_unknown, halve, on_success, remove_ids, replace_identity, wrap

__all__ = [
    "DEFAULT_MIXTURE",
    "UNKNOWN_FIELD",
    "UNKNOWN_VALUE",
    "WRONG_VALUE",
    "Fault",
    "FaultForm",
    "HttpDateAhead",
    "RetryAfter",
    "accept_later",
    "body",
    "broken_json",
    "drop_after",
    "drop_before",
    "early",
    "expired_link",
    "half_body",
    "land_later",
    "named",
    "oversized",
    "redirect",
    "slow",
    "slow_answer",
    "status",
    "unknown_enum",
    "unreadable",
    "wrong_object",
]

FaultForm = Literal["openapi", "guide", "html", "empty"]
"""The body of a ``status`` fault: one of the two documented errors, a proxy's page, or nothing."""

UNKNOWN_VALUE = "held_at_customs"
"""The status that ``unknown_enum`` answers with; it is on no list."""
UNKNOWN_FIELD = "added_later"
"""The field that ``unknown_enum`` adds; it is in no contract."""
WRONG_VALUE = "OTHER000000"
"""What ``wrong_object`` puts in place of ids, and of everything else that identifies an object."""
DEFAULT_MIXTURE = (
    *("500", "502", "503", "drop_before", "drop_after"),
    *("half_body", "unreadable", "broken_json", "unknown_enum"),
)
"""The default of a random mixture: every fault that costs no waiting."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_PAST_EVERY_TIMEOUT_S = 600.0  # more than clients in tests wait
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class HttpDateAhead:
    """An HTTP date this many seconds after the answer's own ``Date``, rounded up to HTTP's whole seconds."""

    seconds: float

    def __post_init__(self) -> None:
        _check_seconds(self.seconds)


RetryAfter = int | float | str | datetime | HttpDateAhead
"""A ``Retry-After`` header: numbers and texts are sent as they are, a datetime as an HTTP date."""


def _keep(answer: Answer | None) -> Answer | None:
    return answer


def _drop(_: Answer | None) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault; it can be played any number of times."""

    name: str
    """Its name in the records of requests."""
    executes: bool = False
    """Whether the request reaches the API at all."""
    wait_before_s: float = 0.0
    """Seconds before it reaches the API."""
    wait_after_s: float = 0.0
    """Seconds between that and the answer."""
    reshape: Callable[[Answer | None], Answer | None] = field(default=_keep, repr=False)
    """Turns the API's own answer (None where it got no request) into the one sent; None drops the connection."""
    lands_after_s: float | Callable[[], float] | None = None
    """Seconds after which the API executes the request on its own, whenever it is answered; a function draws them
    for each play; None if it never does. One that ``executes`` too is executed twice."""
    is_early: bool = False
    """Whether it plays as soon as the request's headers have arrived, before its body is read."""
    repeats_after_s: float | None = None
    """Seconds after the execution until the request is executed again, which gives the answer; None if it is not."""


def status(code: int, *, retry_after: RetryAfter | None = None, form: FaultForm = "openapi") -> Fault:
    """Answer with an error status; nothing is executed.

    Args:
        code: 400 to 599.
        retry_after: the ``Retry-After`` header, if any.
        form: the form of the body.
    """
    _check_code(code, 400, 599)
    if form not in get_args(FaultForm):
        raise ValueError(f"form must be one of {', '.join(get_args(FaultForm))}")
    if isinstance(retry_after, datetime) and retry_after.tzinfo is None:
        raise ValueError("retry_after needs a time zone: give an aware datetime")
    if isinstance(retry_after, str) and not retry_after.isprintable():
        raise ValueError("retry_after must hold no control character")

    ahead_s = {"Retry-After": retry_after.seconds} if isinstance(retry_after, HttpDateAhead) else {}

    def reshape(_: Answer | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": _retry_after(retry_after)}
        return replace(_error(code, form, headers), dates_ahead_s=ahead_s)

    return Fault(str(code), reshape=reshape)


def early(code: int = 413) -> Fault:
    """Answer with an error status before the request's body is read; nothing is executed."""
    return replace(status(code), name="early", is_early=True)


def redirect(code: int = 302, location: str = "/moved/") -> Fault:
    """Answer with a redirect; nothing is executed."""
    if code not in _REDIRECTS:
        raise ValueError(f"code must be one of {', '.join(map(str, _REDIRECTS))}")
    answer = Answer(code, content_type=None, headers={"Location": location})
    return Fault("redirect", reshape=lambda _: answer)


def expired_link(code: int = 403) -> Fault:
    """Answer as a storage does to a link to a report's file that has expired; nothing is executed.

    To let all links expire, and kits have new ones, call ``expire`` of the fake's ``report_files``.
    """
    _check_code(code, 400, 499)
    return Fault("expired_link", reshape=lambda _: expired_answer(code))


def drop_before() -> Fault:
    """Close the connection before anything is executed."""
    return Fault("drop_before", reshape=_drop)


def drop_after() -> Fault:
    """Execute, then close the connection without an answer."""
    return Fault("drop_after", executes=True, reshape=_drop)


def land_later(
    seconds: float | tuple[float, float], *, status: int | None = 504, answers_after_s: float = 0.0, seed: int = 0
) -> Fault:
    """Answer with an error and execute the request later, as when a gateway gives up on a slow server.

    Args:
        seconds: from the request to its execution, on the clock of the server's loop; 0 to execute before the answer.
            Two numbers are the least and the most: each play draws between them. A request still to be executed
            when the server is closed never is.
        status: the error to answer with, 400 to 599; None to close the connection without an answer.
        answers_after_s: seconds from the request to that; more than the client's timeout, and the client gives up.
        seed: the seed of what is drawn, the same sequence for each.
    """
    lands_after_s = _drawn(*seconds, seed) if isinstance(seconds, tuple) else seconds
    for one in (*(seconds if isinstance(seconds, tuple) else (seconds,)), answers_after_s):
        _check_seconds(one)
    if status is None:
        return Fault("land_later", reshape=_drop, lands_after_s=lands_after_s, wait_after_s=answers_after_s)
    _check_code(status, 400, 599)
    page = _error(status, "html", {})
    return Fault("land_later", reshape=lambda _: page, lands_after_s=lands_after_s, wait_after_s=answers_after_s)


def accept_later(seconds: float) -> Fault:
    """Answer "activate kit" with success at once and execute it this much later: until then the kit shows nothing.

    What the API then refuses is never executed, and nobody is told.
    """
    _check_seconds(seconds)
    answer = json_answer(200, {"data": {"result": "success"}})
    return Fault("accept_later", reshape=lambda _: answer, lands_after_s=seconds)


def repeated(seconds: float = 0.0, *, answer: Literal["first", "last"] = "last") -> Fault:
    """Execute twice and answer once, like a proxy that sends a request again by itself.

    Args:
        seconds: from the first execution to the second.
        answer: whose answer comes: the last one's, after the second execution, as from a proxy that lost the first
            answer; or the first one's, before it. The last may be a refusal, such as that of a barcode used twice.
    """
    _check_seconds(seconds)
    if answer not in {"first", "last"}:
        raise ValueError("answer must be 'first' or 'last'")
    if answer == "first":
        return Fault("repeated", executes=True, lands_after_s=seconds)
    return Fault("repeated", executes=True, repeats_after_s=seconds)


def half_body() -> Fault:
    """Execute, promise the whole answer in Content-Length, send half of its body and close the connection."""
    return Fault("half_body", executes=True, reshape=lambda answer: answer and replace(answer, is_cut=True))


def slow(seconds: float) -> Fault:
    """Execute after this many seconds, then answer. Like a real server, it does not notice a client that gave up."""
    _check_seconds(seconds)
    return Fault("slow", executes=True, wait_before_s=seconds)


def slow_answer(seconds: float) -> Fault:
    """Execute at once, and answer after this many seconds."""
    _check_seconds(seconds)
    return Fault("slow_answer", executes=True, wait_after_s=seconds)


def unreadable(status: int = 200) -> Fault:
    """Execute and answer with an HTML page under this status, 200 to 299; errors of the API itself stay as they are."""
    _check_code(status, 200, 299)
    page = page_answer(status, "Please sign in")
    return Fault("unreadable", executes=True, reshape=on_success(lambda _: page))


def broken_json() -> Fault:
    """Execute and answer with the first half of the JSON, with a matching Content-Length; errors stay as they are."""
    return Fault("broken_json", executes=True, reshape=on_success(halve))


def oversized(size: int) -> Fault:
    """Execute and pad the API's answer with spaces to a body of ``size`` bytes."""
    _check_size(size)
    padded = on_success(lambda answer: replace(answer, body=answer.body.ljust(size)))
    return Fault("oversized", executes=True, reshape=padded)


def unknown_enum() -> Fault:
    """Execute and answer with ``UNKNOWN_VALUE`` for each status and an ``UNKNOWN_FIELD``; errors stay as they are."""
    return Fault(
        "unknown_enum",
        executes=True,
        reshape=on_success(_add_unknown),
    )


def wrong_object() -> Fault:
    """Execute and answer with a different object than the one asked for, like a cache that mixes up its answers.

    Its id is ``WRONG_VALUE``, and so are the values of its metadata, its barcode and its last name, where it has them.
    Lists, answers without an id and errors stay as they are.
    """
    return Fault("wrong_object", executes=True, reshape=on_success(_replace_identity))


def without_id() -> Fault:
    """Execute and answer without the object's id; lists and errors stay as they are."""
    return Fault("without_id", executes=True, reshape=on_success(remove_ids))


def wrapped() -> Fault:
    """Execute and answer with JSON of another shape: the answer under ``data``; errors stay as they are."""
    return Fault("wrapped", executes=True, reshape=on_success(wrap))


def body(
    content: bytes,
    *,
    status: int = 200,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    executes: bool = True,
) -> Fault:
    """Answer with an arbitrary body.

    Args:
        content: the body.
        status: 200 to 599.
        content_type: the Content-Type header; None to send none.
        headers: further headers.
        executes: whether the request is executed first.
    """
    _check_code(status, 200, 599)
    answer = Answer(status, content, content_type, dict(headers or {}))
    return Fault("body", executes=executes, reshape=lambda _: answer)


_WITHOUT_ARGUMENTS: tuple[Callable[[], Fault], ...] = (
    *(drop_before, drop_after, half_body, unreadable, broken_json, unknown_enum, wrong_object, redirect),
    *(without_id, wrapped, repeated, expired_link),
)
_BY_NAME: Mapping[str, Callable[[], Fault]] = {made.__name__: made for made in _WITHOUT_ARGUMENTS}


def of_creates(lands_within_s: float, *, seed: int) -> tuple[Fault, ...]:
    """Return a mixture for ``FaultPlan.random``: every fault after which nobody can tell whether a create was executed.

    And three that are sure: a 429, a 503, a connection that closes before. A repeating proxy is not in it, as no client
    can prevent what that does.

    Args:
        lands_within_s: the most seconds after which those that land later do.
        seed: the seed of these seconds.
    """
    landing = [
        land_later((0.0, lands_within_s), status=code, answers_after_s=wait_s, seed=seed + number)
        for number, (code, wait_s) in enumerate([(504, 0.0), (None, 0.0), (504, _PAST_EVERY_TIMEOUT_S)])
    ]
    sure = (status(429), status(503), drop_before())
    read = (half_body(), unreadable(201), broken_json(), without_id(), wrapped(), wrong_object())
    return (*sure, *landing, drop_after(), slow_answer(_PAST_EVERY_TIMEOUT_S), *read)


def named(name: str) -> Fault:
    """Return the fault of a short name: a status such as ``"503"``, or a function of this module without arguments.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]()
    if len(name) == len("503") and name.isascii() and name.isdigit():
        return status(int(name))
    raise ValueError(
        f"unknown fault {name!r}: use a status such as '503', one of {', '.join(_BY_NAME)}, "
        "or a Fault made by a function of spotdx_async.testing.faults"
    )


def _error(code: int, form: FaultForm, headers: Mapping[str, str]) -> Answer:
    if form == "empty":
        return Answer(code, content_type=None, headers=headers)
    phrase = _PHRASES.get(code, "Error")
    if form == "html":
        return page_answer(code, f"{code} {phrase}", headers)
    return error_answer(code, phrase, form, headers)


def _retry_after(value: RetryAfter) -> str:
    if isinstance(value, HttpDateAhead):
        return http_date(datetime.now(UTC) + timedelta(seconds=value.seconds), rounds_up=True)
    return http_date(value) if isinstance(value, datetime) else str(value)


def _add_unknown(answer: Answer) -> Answer:
    return add_unknown(answer, UNKNOWN_VALUE, UNKNOWN_FIELD)


def _replace_identity(answer: Answer) -> Answer:
    return replace_identity(answer, WRONG_VALUE)


def _drawn(least: float, most: float, seed: int) -> Callable[[], float]:
    if not least <= most:
        raise ValueError("the least of the seconds must not be more than the most")
    dice = random.Random(seed)
    return lambda: dice.uniform(least, most)


def _check_code(code: object, least: int, most: int) -> None:
    if isinstance(code, bool) or not isinstance(code, int) or not least <= code <= most:
        raise ValueError(
            f"a status here is a whole number from {least} to {most}; see redirect() and body() for others"
        )


def _check_size(size: object) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 0:
        raise ValueError("size must be a whole number of bytes, 0 or more")


def _check_seconds(seconds: object) -> None:
    if not isinstance(seconds, (int, float)) or not math.isfinite(seconds) or seconds < 0:
        raise ValueError("seconds must be a number, 0 or more")
