"""Every error of the SDK; imports nothing of ours.

SpotError
├── ConfigError (ValueError)        wrong set-up
├── InvalidInputError (ValueError)  an argument or a row; nothing was sent
│   └── JournalError                a bulk run's journal that cannot be used, or no longer
├── NotSentError                    surely not executed: safe to repeat
├── OutcomeUnknownError             sent, and no usable answer: look before repeating
├── StatusError                     the server said no
│   ├── BadRequestError 400, 422    ├── AuthenticationError 401    ├── PermissionDeniedError 403
│   ├── NotFoundError 404           ├── RateLimitError 429         └── ServerError 5xx
├── DecodeError                     a 2xx that is not what the contract says
│   └── WrongAnswerError            a 2xx with another object than the one asked for
└── BulkStopped                     a bulk run ended early

No text of these shows a token, patient data, a query string or a body: what the server wrote stays in attributes
(``details``, ``body``, ``raw``), which ``str``, ``repr`` and ``args`` leave out.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

__all__ = [
    "AuthenticationError",
    "BadRequestError",
    "BulkStopped",
    "Clue",
    "ConfigError",
    "DecodeError",
    "FailureCause",
    "InvalidInputError",
    "JournalError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "SpotError",
    "StatusError",
    "WrongAnswerError",
]


class SpotError(Exception):
    """The root of every error that the SDK raises.

    Attributes:
        operation: the method and the path template, such as ``POST /api/v2/kits/{kit_id}/``; None outside a call.
        attempts: requests made, or begun, for this call; 0 when nothing was tried.
        elapsed_s: seconds from the start of the call to this error.
        may_be_executed: whether an attempt of the call may have been carried out, as far as anybody can know: its
            bytes were handed to a connection, and no answer said that it was refused before it was carried out.
    """

    may_be_executed: bool = False

    def __init__(
        self, message: str = "", *, operation: str | None = None, attempts: int = 0, elapsed_s: float = 0.0
    ) -> None:
        super().__init__(message)
        self.operation = operation
        self.attempts = attempts
        self.elapsed_s = elapsed_s

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else ""
        if self.operation:
            text = f"{self.operation}: {text}"
        if self.attempts:
            tries = "1 attempt" if self.attempts == 1 else f"{self.attempts} attempts"
            text = f"{text} ({tries}, {self.elapsed_s:.2f} s)"
        return text

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self}>"


class ConfigError(SpotError, ValueError):
    """The client is set up wrongly: nothing was sent, and repeating will not help."""


class InvalidInputError(SpotError, ValueError):
    """An argument or a row is wrong: nothing was sent. The message says where and why, and shows no value.

    Attributes:
        faults: every fault of what was to be sent, as pairs of a path (``recipient.address.state``) and what is wrong
            there (``must be two letters``), to be shown beside the fields of a form; empty where one message says it.
    """

    def __init__(self, message: str = "", *, faults: tuple[tuple[str, str], ...] = (), **about: Any) -> None:
        super().__init__(message, **about)
        self.faults = faults


class JournalError(InvalidInputError):
    """A bulk run's journal cannot be used, or could not be written any further; the message says why and what to do.

    Attributes:
        reason: ``"path"`` (the file cannot be made or opened), ``"not a journal"``, ``"newer"`` (made by a later
            version of the SDK), ``"another run"``, ``"changed input"``, ``"in use"``, ``"corrupt"`` or ``"disk"``.
    """

    def __init__(self, message: str = "", *, reason: str = "path", **about: Any) -> None:
        super().__init__(message, **about)
        self.reason = reason


class NotSentError(SpotError):
    """The request was surely not executed, so repeating it is safe.

    Attributes:
        reason: ``"refused"``, ``"dns"``, ``"tls"``, ``"connect"`` (any other failure to connect), ``"timeout"`` (of the
            connection), ``"wait"`` (longer than ``max_wait_s``), ``"deadline"``, ``"token"`` (the token callable
            failed), ``"limit"`` (the limiter gave no slot), ``"closed"`` (the client, or the connections before the
            request was written), ``"stopped"`` (the bulk run, before this row) or ``"outage"`` (the bulk run, since the
            server did not come back).
        cause_type: the class of what failed, such as ``ConnectionResetError``; None where nothing was tried.
        errno: the operating system's number, where it gave one.
        tls_reason: why OpenSSL did not accept the certificate or the handshake, in its words.
        proxy_status: the status of a proxy that refused to connect.
    """

    cause_type: str | None
    errno: int | None
    tls_reason: str | None
    proxy_status: int | None

    def __init__(
        self, message: str = "", *, reason: str = "connect", cause: FailureCause | None = None, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.reason = reason
        _take_cause(self, cause)


@dataclass(frozen=True, slots=True)
class FailureCause:
    """What the operating system, TLS or a proxy said of an attempt that failed: plain facts, none of them secret."""

    cause_type: str | None = None
    """The class of what failed, such as ``ConnectionResetError``."""
    errno: int | None = None
    tls_reason: str | None = None
    """OpenSSL's verify text, or its reason."""
    proxy_status: int | None = None

    @classmethod
    def of(cls, error: NotSentError | OutcomeUnknownError) -> FailureCause:
        """Give what an error says of it."""
        return cls(error.cause_type, error.errno, error.tls_reason, error.proxy_status)


@dataclass(frozen=True, slots=True, repr=False)
class Clue:
    """What finds out whether a create was carried out, read by ``reconcile`` of its noun; no text shows its values."""

    client_ref: str | None = None
    """The reference in the metadata of what was to be created; None where there is none."""
    client_ref_key: str | None = None
    """The key of that reference in the metadata."""
    began_at: datetime | None = None
    """When the call began, aware, UTC: nothing of it can have been created before."""
    may_land_until: datetime | None = None
    """Until when the server may still carry the request out, as far as ``timeout_s`` tells; aware, UTC."""
    subject: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Of a requisition its barcode, of an activation the kit and the patient. Never pickled."""

    def __repr__(self) -> str:
        return "<Clue>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle everything but ``subject``, which may hold patient data."""
        return type(self), (self.client_ref, self.client_ref_key, self.began_at, self.may_land_until)

    def __copy__(self) -> Clue:
        """Give itself: it never changes, and a copy within the process loses nothing."""
        return self

    def __deepcopy__(self, memo: Any) -> Clue:
        """Give itself, as ``copy``."""
        return self


def _take_cause(error: NotSentError | OutcomeUnknownError, cause: FailureCause | None) -> None:
    cause = cause or FailureCause()
    error.cause_type, error.errno = cause.cause_type, cause.errno
    error.tls_reason, error.proxy_status = cause.tls_reason, cause.proxy_status


class OutcomeUnknownError(SpotError):
    """The request was sent and no usable answer came: look at the server's state before repeating.

    Attributes:
        status: the HTTP status, where one came (a redirect; for a create also 5xx and an unreadable 2xx), else None.
        reason: ``"timeout"``, ``"deadline"``, ``"dropped"``, ``"closed"``, ``"redirect"``, ``"status"`` or
            ``"unreadable"``.
        clue: what finds out whether a create was carried out; None for other operations.
        request_id: as of ``StatusError``, where an answer came; it names the request to the vendor's support.
        cause_type, errno, tls_reason, proxy_status: as of ``NotSentError``.
    """

    may_be_executed: bool = True
    cause_type: str | None
    errno: int | None
    tls_reason: str | None
    proxy_status: int | None

    def __init__(
        self,
        message: str = "",
        *,
        reason: str = "dropped",
        status: int | None = None,
        clue: Clue | None = None,
        cause: FailureCause | None = None,
        request_id: str | None = None,
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.request_id = request_id
        self.reason = reason
        self.status = status
        self.clue = clue
        _take_cause(self, cause)


class StatusError(SpotError):
    """The server said no.

    Attributes:
        status: the HTTP status.
        type: the server's own word, such as ``not_found``; None where it gave none.
        details: the server's reasons, in its words, 20 at most; ``recipient.address.zip: …`` where it names the field.
            Control characters are escaped, and each is cut at 200 characters. Empty where the answer gives none in a
            known form. They can name patients: no text of the error shows them.
        retry_after_s: seconds that the server asked to wait, where it did.
        request_id: the server's name of this request, from ``X-Request-Id`` or a header like it, to be given to the
            vendor's support; None where there is none.
        headers: those of the answer that can hold no secret, by an allow-list, each cut at 200 characters; names in
            lower case. No text of the error shows them.
        body: the first 64 kB of the answer, as it came. It can name patients: no text of the error shows it, neither
            does ``vars``, and it is not pickled. ``copy`` keeps it.
    """

    # A slot, so that it stands in neither the pickle nor ``vars``, which error trackers and debug pages show.
    __slots__ = ("body",)

    body: bytes

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        type: str | None = None,  # noqa: A002 - the server's and API.md's word
        details: tuple[str, ...] = (),
        retry_after_s: float | None = None,
        request_id: str | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        body: bytes = b"",
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.request_id = request_id
        self.headers: Mapping[str, str] = dict(headers)  # of our own, which can be pickled
        self.body = body
        self.status = status
        self.type = type
        self.details = details
        self.retry_after_s = retry_after_s

    if not TYPE_CHECKING:  # else a checker would take any name

        def __getattr__(self, name: str) -> bytes:
            """Give an empty body where the error was unpickled without its ``__init__``, as Dask does it."""
            if name == "body":
                return b""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __copy__(self) -> Self:
        """Copy ``body`` too: a copy within the process loses nothing."""
        return self._with(self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy ``body`` too, as ``copy``."""
        return self._with(copy.deepcopy(self.__dict__, memo))

    def _with(self, attributes: dict[str, Any]) -> Self:
        again = type(self).__new__(type(self), *self.args)
        again.__dict__.update(attributes)
        again.body = self.body
        return again


class BadRequestError(StatusError):
    """400 or 422: the server found the request wrong; ``details`` says what, where the server did.

    Repeating it unchanged will not help.
    """


class AuthenticationError(StatusError):
    """401: the server does not accept the token."""


class PermissionDeniedError(StatusError):
    """403: the token may not do this, or it is not allowed here; ``details`` says why, where the server did."""


class NotFoundError(StatusError):
    """404: the server does not know the object."""


class RateLimitError(StatusError):
    """429: too many requests; not executed, so repeating later is safe."""


class ServerError(StatusError):
    """5xx: the server failed. Raised only for operations that are safe to repeat; a create gets OutcomeUnknownError."""


class DecodeError(SpotError):
    """A 2xx answer is not what the contract says. It never means that a write failed.

    Attributes:
        path: where the answer differs, such as ``sample.reports[0].results``; empty for the whole answer.
        outcome: ``"done"``: the object asked for, in another shape, so the operation was carried out; ``"unknown"``:
            not JSON, or JSON that does not show that it is the answer to this request, such as a proxy's
            ``{"message": …}``, an object without its id, ``[]`` or null.
        raw: the parsed JSON with ``"done"``, else None. It can hold patient data: never shown and never pickled.
        clue: what finds the object that a create has made; None for other operations.
    """

    may_be_executed: bool = True

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        outcome: Literal["done", "unknown"] = "unknown",
        raw: Any = None,
        clue: Clue | None = None,
        **about: Any,
    ) -> None:
        super().__init__(message, **about)
        self.path = path
        self.outcome: Literal["done", "unknown"] = outcome  # a checker may take it for any text
        self.raw = raw
        self.clue = clue

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle everything but ``raw``, which may hold patient data."""
        return type(self), self.args, {**self.__dict__, "raw": None}


class WrongAnswerError(DecodeError):
    """A 2xx answer is of another object than the one asked for: a proxy, a cache or the server mixes answers up.

    It is never repeated, nothing of the answer is handed on, and nobody knows what became of the request. ``path`` says
    where the answer differs; ``outcome`` is ``"unknown"`` and ``raw`` None. Three rows in a row that end so stop a bulk
    run.
    """


class BulkStopped(SpotError):  # noqa: N818 - a stop is not a fault of the caller; the name is promised
    """A bulk run ended early, after a trouble that every further row would meet.

    All rows that were read have had outcomes. Without a journal send those not done again, then ``next_index`` and on.

    Attributes:
        cause: the error that stopped the run.
        next_index: the index of the first row that was not read; rows above it may not be done.
        unsent: how many rows were read but not sent; they came as ``"skipped"``.
    """

    def __init__(
        self, message: str = "", *, cause: SpotError | None = None, next_index: int = 0, unsent: int = 0, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.cause = cause
        self.next_index = next_index
        self.unsent = unsent


_OF_THE_WAY = frozenset({"refused", "dns", "tls", "connect", "timeout"})


def name_server(error: SpotError, host: str) -> None:
    """Name the server in the text of an error whose request never reached it: the name may be what is wrong."""
    said = error.args[0] if error.args else ""
    if isinstance(error, NotSentError) and error.reason in _OF_THE_WAY and host not in said:
        error.args = (f"{said} ({host})",)
