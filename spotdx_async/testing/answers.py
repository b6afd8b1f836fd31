"""What the fake sends: a status, headers and bytes, with JSON and error bodies written by hand.

It shares nothing with the SDK's codec on purpose: a fake that did would agree with its mistakes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from typing import Any, Literal

__all__ = ["Answer", "ErrorForm", "error_answer", "http_date", "json_answer", "page_answer"]

ErrorForm = Literal["openapi", "guide"]

_SERVER_ERRORS = 500
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_ERROR_TYPES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    429: "rate_limit_exceeded",
}


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """One answer, before it is sent."""

    status: int
    body: bytes = b""
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    is_cut: bool = False
    """Whether the connection closes after half of the body that Content-Length promises."""
    dates_ahead_s: Mapping[str, float] = field(default_factory=dict)
    """Headers that hold an HTTP date so many seconds after the server's own ``Date``, whatever ``headers`` has."""

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the bounds of HTTP's success class

    def dated(self, now: datetime, *, with_date: bool) -> "Answer":
        """Return it with the headers that depend on the server's clock, its ``Date`` among them where it has one.

        A date ahead is rounded up to HTTP's whole seconds; a ``Date`` that ``headers`` has stays as it is.
        """
        ahead = {name: http_date(now + timedelta(seconds=s), rounds_up=True) for name, s in self.dates_ahead_s.items()}
        date = {"Date": http_date(now)} if with_date else {}
        return replace(self, headers={**date, **self.headers, **ahead})

    def cut_short(self) -> bytes:
        """Return its bytes, with half of the body and the Content-Length of the whole."""
        return _head(self, self.headers, max(1, len(self.body))) + self.body[: len(self.body) // 2]

    def as_last(self) -> bytes:
        """Return its bytes, as the last answer of a connection."""
        return _head(self, {**self.headers, "Connection": "close"}, len(self.body)) + self.body

    def __repr__(self) -> str:
        return f"<Answer {self.status}, {len(self.body)} bytes>"


def http_date(moment: datetime, *, rounds_up: bool = False) -> str:
    """Return an aware instant as HTTP writes it, in whole seconds."""
    if rounds_up:
        moment += timedelta(microseconds=-moment.microsecond % 1_000_000)
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def json_answer(status: int, value: Any, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with a JSON value in UTF-8."""
    return Answer(status, json.dumps(value, ensure_ascii=False).encode(), headers=headers or {})


def error_answer(
    status: int,
    detail: str | Sequence[str],
    form: ErrorForm = "openapi",
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Answer with an error body in one of the two documented forms; the form with one detail joins several.

    Source: the contract's "Known disagreements": the OpenAPI document has ``status`` and one ``detail``, the guide
        ``code`` and a list of ``details``, and they name the 5xx type differently.
    """
    details = [detail] if isinstance(detail, str) else list(detail)
    if form == "guide":
        error = {"code": status, "type": _error_type(status, "server_error"), "details": details}
    else:
        error = {"status": status, "type": _error_type(status, "internal_server_error"), "detail": "; ".join(details)}
    return json_answer(status, {"error": error}, headers)


def page_answer(status: int, title: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with an HTML page, like a proxy in front of the API."""
    page = f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>\n"
    return Answer(status, page.encode(), "text/html; charset=utf-8", headers or {})


def _head(answer: Answer, headers: Mapping[str, str], length: int) -> bytes:
    lines = [f"HTTP/1.1 {answer.status} {_PHRASES.get(answer.status, 'Error')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [] if answer.content_type is None else [f"Content-Type: {answer.content_type}"]
    return "\r\n".join([*lines, f"Content-Length: {length}", "", ""]).encode()


def _error_type(status: int, server_error: str) -> str:
    return server_error if status >= _SERVER_ERRORS else _ERROR_TYPES.get(status, "bad_request")
