"""What an answer that is no 2xx says, made safe to carry: its reasons, its request id, its harmless headers.

Pure, and tolerant of every body: one that has none of the known forms says nothing, and nothing here raises.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spotdx_async._codec.json import NotJsonError, parse_exact
from spotdx_async._http.logs import quoted

__all__ = ["request_id_of", "safe_headers", "server_words"]

_MOST_REASONS = 20
_DEEPEST = 8
_LARGEST_BODY = 2**20  # more is no error that somebody wrote, and reading it would hold up the event loop
_LONGEST_VALUE = 200
_LONGEST_PATH = 100
_PRINTABLE = re.compile(r"[\x20-\x7e]+")
_SHORT_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)

# The first that an answer has names the request: first those that servers make for this very purpose.
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
# By the words of their names: under another name, such as x-ratelimit-key, some servers repeat the token.
_RATE_LIMIT = re.compile(
    r"(?:x-)?rate-?limit(?:-(?:limit|remaining|reset|used|policy|after|requests|second|minute|hour|day|month))+"
)

# Members that hold reasons, in the order in which they are told: of the API's own two forms, RFC 9457 and its
# forerunner, JSON:API, Django REST framework, FastAPI, OAuth, and the gateways.
_TEXTS = ("title", "message", "Message", "msg", "description", "error_description", "reason")
_GROUPS = ("detail", "error", "details", "errors", "invalid-params", "invalid_params", "non_field_errors")
# Members that say which field a reason is about.
_NAMES = ("pointer", "field", "name", "parameter", "loc", "source")


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The server's name of the request: of the first such header that is visible ASCII, cut at 200 characters."""
    named = _first_of_each(headers)
    for name in _REQUEST_IDS:
        value = named.get(name, "")
        if _PRINTABLE.fullmatch(value) and " " not in value:
            return value[:_LONGEST_VALUE]
    return None


def safe_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers that can hold no secret, with names in lower case; what is not printable ASCII is left out."""
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


def server_words(body: bytes) -> tuple[str | None, tuple[str, ...]]:
    """The server's word for the kind of error, and its reasons, each fit for a line; nothing where it gave none."""
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
    kind = answer.get("type")  # a URI in RFC 9457, which is nothing to compare with
    return kind if isinstance(kind, str) and _SHORT_WORD.fullmatch(kind) else None


def _reasons_of(answer: Any) -> tuple[str, ...]:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):  # the API's own form: what stands beside it is no reason
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
    """Read one object, by whether it says a reason in words.

    1. It does: it is a message, and its other members are about it, or repeat what was sent.
    2. It does not: its members are fields with what is wrong with each, but for the groups, which name no field.
    """
    if _says_a_text(value):
        # The whole answer's name is that of the error, of one reason among several it is the field's.
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
    """The field that a reason is about, as a path with dots; empty where none is named."""
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
    """Write a JSON pointer, also one in a URI's fragment, as the paths of this SDK are written."""
    pointer = named.removeprefix("#")
    if not pointer.startswith("/"):
        return named
    return ".".join(part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/"))


def _joined(path: str, name: str) -> str:
    joined = f"{path}.{name}" if path and name else path or name
    return joined if len(joined) <= _LONGEST_PATH else f"{joined[: _LONGEST_PATH - 1]}…"
