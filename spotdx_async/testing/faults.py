"""The troubles that the fake can play, each a ``Fault`` made by a function of this module. Pure; knows no network.

A fault that executes lets the request be carried out, or be refused by the API's own rules (an unknown kit, a wrong
token); one that does not plays in front of the API, even of its token check.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Literal, get_args

from spotdx_async.testing.answers import Answer, error_answer, page_answer

__all__ = [
    "DEFAULT_MIXTURE",
    "UNKNOWN_FIELD",
    "UNKNOWN_VALUE",
    "WRONG_VALUE",
    "Fault",
    "FaultForm",
    "HttpDateAhead",
    "RetryAfter",
    "body",
    "broken_json",
    "drop_after",
    "drop_before",
    "early",
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
"""What stands in the body of a ``status`` fault: one of the two documented errors, a proxy's page, or nothing."""

UNKNOWN_VALUE = "held_at_customs"
"""The status that ``unknown_enum`` plays; it is on no list."""
UNKNOWN_FIELD = "added_later"
"""The field that ``unknown_enum`` adds; no contract names it."""
WRONG_VALUE = "OTHER000000"
"""What ``wrong_object`` puts in the place of ids, and of all else by which an object is known."""
DEFAULT_MIXTURE = (
    *("500", "502", "503", "drop_before", "drop_after"),
    *("half_body", "unreadable", "broken_json", "unknown_enum"),
)
"""What a random mixture plays where nothing else is named: every trouble that costs no waiting."""

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class HttpDateAhead:
    """An HTTP date so many seconds after the moment at which the fault plays, rounded up to HTTP's whole seconds."""

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
    """One trouble; it can be played any number of times."""

    name: str
    """What the records of requests call it."""
    executes: bool = False
    """Whether the API gets the request at all."""
    wait_before_s: float = 0.0
    """Seconds until the API gets it."""
    wait_after_s: float = 0.0
    """Seconds from then until the answer."""
    reshape: Callable[[Answer | None], Answer | None] = field(default=_keep, repr=False)
    """From the API's own answer (None where it never got the request) to the one sent; None drops the connection."""
    lands_after_s: float | None = None
    """Seconds after which the API carries the request out although it has been answered by then; None: it does not."""
    is_early: bool = False
    """Whether it is played as soon as the request's headers are there, before its body is read."""


def status(code: int, *, retry_after: RetryAfter | None = None, form: FaultForm = "openapi") -> Fault:
    """Answer with an error status; nothing is executed.

    Args:
        code: 400 to 599.
        retry_after: the ``Retry-After`` header, if any.
        form: what stands in the body.
    """
    _check_code(code, 400, 599)
    if form not in get_args(FaultForm):
        raise ValueError(f"form must be one of {', '.join(get_args(FaultForm))}")
    if isinstance(retry_after, datetime) and retry_after.tzinfo is None:
        raise ValueError("retry_after needs a time zone: give an aware datetime")
    if isinstance(retry_after, str) and not retry_after.isprintable():
        raise ValueError("retry_after must hold no control character")

    def reshape(_: Answer | None) -> Answer:
        headers = {} if retry_after is None else {"Retry-After": _retry_after(retry_after)}
        return _error(code, form, headers)

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


def drop_before() -> Fault:
    """Close the connection before anything is executed."""
    return Fault("drop_before", reshape=_drop)


def drop_after() -> Fault:
    """Execute, then close the connection without an answer."""
    return Fault("drop_after", executes=True, reshape=_drop)


def land_later(seconds: float, *, status: int | None = 504) -> Fault:
    """Answer at once, and carry the request out so many seconds later: a gateway that gave up on a slow server.

    Args:
        seconds: from the answer to the execution, on the server's clock; 0 to execute first and answer then. What has
            not landed when the server is closed never does.
        status: the error to answer with, 400 to 599; None to close the connection without an answer.
    """
    _check_seconds(seconds)
    if status is None:
        return Fault("land_later", reshape=_drop, lands_after_s=seconds)
    _check_code(status, 400, 599)
    return Fault("land_later", reshape=lambda _: _error(status, "html", {}), lands_after_s=seconds)


def half_body() -> Fault:
    """Execute, promise the whole answer in Content-Length, send half of its body and close the connection."""
    return Fault("half_body", executes=True, reshape=lambda answer: answer and replace(answer, is_cut=True))


def slow(seconds: float) -> Fault:
    """Execute after so many seconds, and answer then. A client that gave up is not noticed, as in real life."""
    _check_seconds(seconds)
    return Fault("slow", executes=True, wait_before_s=seconds)


def slow_answer(seconds: float) -> Fault:
    """Execute at once and answer after so many seconds."""
    _check_seconds(seconds)
    return Fault("slow_answer", executes=True, wait_after_s=seconds)


def unreadable() -> Fault:
    """Execute and answer 200 with an HTML page; an error of the API itself stays as it is."""
    page = page_answer(200, "Please sign in")
    return Fault("unreadable", executes=True, reshape=_of_success(lambda _: page))


def broken_json() -> Fault:
    """Execute and answer with JSON that ends halfway, under a Content-Length that fits; errors stay as they are."""
    return Fault("broken_json", executes=True, reshape=_of_success(_halve))


def oversized(size: int) -> Fault:
    """Execute and answer as the API does, with spaces after the JSON until the body has ``size`` bytes."""
    _check_size(size)
    padded = _of_success(lambda answer: replace(answer, body=answer.body.ljust(size)))
    return Fault("oversized", executes=True, reshape=padded)


def unknown_enum() -> Fault:
    """Execute and answer with ``UNKNOWN_VALUE`` for each status and an ``UNKNOWN_FIELD``; errors stay as they are."""
    return Fault("unknown_enum", executes=True, reshape=_of_success(_add_unknown))


def wrong_object() -> Fault:
    """Execute and answer with another object than the one asked for, as a cache that mixes answers up.

    Its id is ``WRONG_VALUE``, and so are the values of its metadata, its barcode and its last name, where it has them.
    Lists, and answers without an id, stay as they are, and so do errors.
    """
    return Fault("wrong_object", executes=True, reshape=_of_success(_of_another))


def body(
    content: bytes,
    *,
    status: int = 200,
    content_type: str | None = "application/json",
    headers: Mapping[str, str] | None = None,
    executes: bool = True,
) -> Fault:
    """Answer with anything at all.

    Args:
        content: the body.
        status: 200 to 599.
        content_type: its header; None to send none.
        headers: more of them.
        executes: whether the request is carried out before.
    """
    _check_code(status, 200, 599)
    answer = Answer(status, content, content_type, dict(headers or {}))
    return Fault("body", executes=executes, reshape=lambda _: answer)


_BY_NAME: Mapping[str, Callable[[], Fault]] = {
    made.__name__: made
    for made in (drop_before, drop_after, half_body, unreadable, broken_json, unknown_enum, wrong_object, redirect)
}


def named(name: str) -> Fault:
    """Make the fault of a short name: a status such as ``"503"``, or a function of this module that needs nothing.

    Raises:
        ValueError: there is none; the message lists them.
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
    phrase = _PHRASES.get(code, "Trouble")
    if form == "html":
        return page_answer(code, f"{code} {phrase}", headers)
    return error_answer(code, phrase, form, headers)


def _retry_after(value: RetryAfter) -> str:
    if isinstance(value, HttpDateAhead):
        value = datetime.now(UTC) + timedelta(seconds=value.seconds)
        value += timedelta(microseconds=-value.microsecond % 1_000_000)
    if isinstance(value, datetime):
        return format_datetime(value.astimezone(UTC), usegmt=True)
    return str(value)


def _of_success(change: Callable[[Answer], Answer]) -> Callable[[Answer | None], Answer | None]:
    return lambda answer: change(answer) if answer is not None and answer.is_success else answer


def _halve(answer: Answer) -> Answer:
    return replace(answer, body=answer.body[: len(answer.body) // 2])


def _add_unknown(answer: Answer) -> Answer:
    value: Any = json.loads(answer.body)
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            item |= {name: UNKNOWN_VALUE for name in ("status", "kit_status", "sample_status") if name in item}
            item[UNKNOWN_FIELD] = {"of": "a later version"}
    return replace(answer, body=json.dumps(value, ensure_ascii=False).encode())


def _of_another(answer: Answer) -> Answer:
    value: Any = json.loads(answer.body)
    if isinstance(value, dict):
        known = ("kit_id", "order_id", "requisition_id", "patient_id", "barcode", "last_name")
        value |= {name: WRONG_VALUE for name in known if name in value}
        if isinstance(value.get("metadata"), dict):
            value["metadata"] = dict.fromkeys(value["metadata"], WRONG_VALUE)
    return replace(answer, body=json.dumps(value, ensure_ascii=False).encode())


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
