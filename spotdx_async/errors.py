"""Every error of the SDK; imports nothing of ours but what errors carry.

SpotError
├── ConfigError (ValueError)        the client is set up wrongly
├── InvalidInputError (ValueError)  a bad argument or row; nothing was sent
│   └── JournalError                a bulk run's journal cannot be used, or no longer
├── NotSentError                    certainly not executed: safe to repeat
├── OutcomeUnknownError             sent, but no usable answer: look before repeating
├── StatusError                     the server refused or failed
│   ├── BadRequestError 400, 422    ├── AuthenticationError 401    ├── PermissionDeniedError 403
│   ├── NotFoundError 404           ├── RateLimitError 429         ├── ServerError 5xx
│   └── LinkExpiredError            the link of a report's file is gone: get the kit again
├── DecodeError                     a 2xx that is not what the contract says
│   └── WrongAnswerError            a 2xx with a different object than the one asked for
├── WaitTimeoutError                what wait_until waited for did not come in time
└── BulkStopped                     a bulk run ended early

Their text never shows a token, patient data, a query string or a body: what the server wrote stays in attributes
(``details``, ``body``, ``raw``), which ``str``, ``repr`` and ``args`` leave out.
"""

from __future__ import annotations

import copy
import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from spotdx_async.clue import Clue
from spotdx_async.failure_cause import FailureCause

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
    "LinkExpiredError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "RateLimitError",
    "ServerError",
    "SpotError",
    "StatusError",
    "WaitTimeoutError",
    "WrongAnswerError",
]


class SpotError(Exception):
    """The base of every error that the SDK raises.

    Attributes:
        operation: the method and the path template, such as ``POST /api/v2/kits/{kit_id}/``; None outside a call.
        attempts: requests made, or begun, for this call; 0 if nothing was tried.
        elapsed_s: seconds from the start of the call to this error.
        may_be_executed: whether an attempt of the call may have been executed, as far as can be known: its bytes were
            handed to a connection, and no answer said that it was refused before execution.
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
    """The client is set up wrongly. Nothing was sent, and repeating will not help."""


class InvalidInputError(SpotError, ValueError):
    """An argument or a row is invalid; nothing was sent. The message says where and why, and shows no value.

    Attributes:
        faults: every fault of what was to be sent, as pairs of a path (``recipient.address.state``) and what is wrong
            there (``must be two letters``), to show beside the fields of a form; empty if the message says it all.
    """

    def __init__(self, message: str = "", *, faults: tuple[tuple[str, str], ...] = (), **about: Any) -> None:
        super().__init__(message, **about)
        self.faults = faults


class JournalError(InvalidInputError):
    """A bulk run's journal cannot be used, or can no longer be written; the message says why and what to do.

    Attributes:
        reason: ``"path"`` (the file cannot be created or opened), ``"not a journal"``, ``"newer"`` (written by a later
            version of the SDK), ``"another run"``, ``"changed input"``, ``"in use"``, ``"corrupt"`` or ``"disk"``.
    """

    def __init__(self, message: str = "", *, reason: str = "path", **about: Any) -> None:
        super().__init__(message, **about)
        self.reason = reason


class NotSentError(SpotError):
    """The request was certainly not executed, so repeating it is safe.

    Attributes:
        reason: ``"refused"``, ``"dns"``, ``"tls"``, ``"connect"`` (any other failure to connect), ``"timeout"`` (while
            connecting), ``"wait"`` (it would exceed ``max_wait_s``), ``"deadline"``, ``"token"`` (the token callable
            failed), ``"limit"`` (the limiter granted no slot), ``"closed"`` (the client was closed, or the connections
            were before the request was written), ``"stopped"`` (the bulk run stopped before this row), ``"outage"``
            (the bulk run gave up waiting for the server) or ``"absent"`` (looking has shown that it was not done).
        cause_type: the class of what failed, such as ``ConnectionResetError``; None if nothing was tried.
        errno: the operating system's error number, if there was one.
        tls_reason: why OpenSSL rejected the certificate or the handshake, in its words.
        proxy_status: the status of a proxy that refused to connect.
        proxy: host and port of the client's own proxy, if the failure was certainly there: it could not be reached, or
            it refused; None otherwise.
    """

    cause_type: str | None
    errno: int | None
    tls_reason: str | None
    proxy_status: int | None
    proxy: str | None

    def __init__(
        self, message: str = "", *, reason: str = "connect", cause: FailureCause | None = None, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.reason = reason
        (cause or FailureCause()).give_to(self)


class OutcomeUnknownError(SpotError):
    """The request was sent but no usable answer came: check the server's state before repeating.

    Attributes:
        status: the HTTP status if one came (a redirect; for a create also 5xx and an unreadable 2xx), else None.
        reason: ``"timeout"``, ``"deadline"``, ``"dropped"``, ``"closed"``, ``"redirect"``, ``"status"`` or
            ``"unreadable"``.
        clue: what it takes to find out whether a create was executed; None for other operations.
        request_id: as in ``StatusError``, if an answer came.
        cause_type, errno, tls_reason, proxy_status, proxy: as in ``NotSentError``.
    """

    may_be_executed: bool = True
    cause_type: str | None
    errno: int | None
    tls_reason: str | None
    proxy_status: int | None
    proxy: str | None

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
        (cause or FailureCause()).give_to(self)


class StatusError(SpotError):
    """The server answered with an error status.

    Attributes:
        status: the HTTP status.
        type: the server's own word for the error, such as ``not_found``; None if it gave none.
        details: the server's reasons in its own words, at most 20; ``recipient.address.zip: …`` if it names the field.
            Control characters are escaped, and each is cut at 200 characters. Empty if the answer gives none in a known
            form. They can name patients: the text of the error never shows them.
        retry_after_s: the seconds that the server asked to wait, if it did.
        request_id: the server's id for this request, from ``X-Request-Id`` or a similar header, to quote to the
            vendor's support; None if there is none.
        headers: the answer's headers that cannot hold a secret, by an allow-list, each cut at 200 characters; names in
            lower case. The text of the error never shows them.
        body: the first 64 kB of the answer, as it came. It can name patients: neither the text of the error nor
            ``vars`` shows it, and it is not pickled. ``copy`` keeps it.
    """

    # A slot, so that it is in neither the pickle nor ``vars``, which error trackers and debug pages show.
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
        self.headers: Mapping[str, str] = dict(headers)  # a copy, which can be pickled
        self.body = body
        self.status = status
        self.type = type
        self.details = details
        self.retry_after_s = retry_after_s

    if not TYPE_CHECKING:  # otherwise a type checker would accept any name

        def __getattr__(self, name: str) -> bytes:
            """Return an empty body if the error was unpickled without its ``__init__``, as Dask does it."""
            if name == "body":
                return b""
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)

    def __copy__(self) -> Self:
        """Copy ``body`` too: a copy within the process must lose nothing."""
        return self._with(self.__dict__)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy ``body`` too, like ``copy``."""
        return self._with(copy.deepcopy(self.__dict__, memo))

    def _with(self, attributes: dict[str, Any]) -> Self:
        again = type(self).__new__(type(self), *self.args)
        again.__dict__.update(attributes)
        again.body = self.body
        return again


class BadRequestError(StatusError):
    """400 or 422: the request is invalid, and repeating it unchanged will not help; ``details`` may say why."""


class AuthenticationError(StatusError):
    """401: the server does not accept the token."""


class PermissionDeniedError(StatusError):
    """403: the token lacks permission, or this is not allowed here; ``details`` may say why."""


class NotFoundError(StatusError):
    """404: the server does not know the object."""


class RateLimitError(StatusError):
    """429: too many requests; not executed, so repeating later is safe."""


class ServerError(StatusError):
    """5xx: the server failed. Only for operations that are safe to repeat; a create raises OutcomeUnknownError."""


class LinkExpiredError(StatusError):
    """401, 403, 404 or 410 where a report's file was: its link is no longer valid. Get the kit again for a new one.

    ``details`` and ``body`` are empty: they may hold the link, which opens the file to whoever has it.
    """


class DecodeError(SpotError):
    """A 2xx answer is not what the contract says. It never means that a write failed.

    Attributes:
        path: where the answer differs, such as ``sample.reports[0].results``; empty for the whole answer.
        outcome: ``"done"``: it is the object asked for, in another shape, so the operation was executed; ``"unknown"``:
            not JSON, or JSON that does not show that it answers this request, such as a proxy's ``{"message": …}``, an
            object without its id, ``[]`` or null.
        raw: the parsed JSON if ``outcome`` is ``"done"``, else None. It can hold patient data: not shown, not pickled.
        clue: what it takes to find the object that a create made; None for other operations.
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
        self.outcome: Literal["done", "unknown"] = outcome  # a type checker may infer str
        self.raw = raw
        self.clue = clue

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle everything except ``raw``, which may hold patient data."""
        return type(self), self.args, {**self.__dict__, "raw": None}


class WrongAnswerError(DecodeError):
    """A 2xx answer describes a different object than the one asked for: something on the way mixes answers up.

    The request is never repeated, nothing of the answer is passed on, and what became of the request is unknown.
    ``path`` says where the answer differs; ``outcome`` is ``"unknown"`` and ``raw`` None. Three consecutive rows that
    end like this stop a bulk run.
    """


class WaitTimeoutError(SpotError, TimeoutError):
    """The condition of ``wait_until`` did not hold within ``deadline_s``. Waiting again is always safe.

    Attributes:
        last: the object as it was got last; None if it was never got. Never shown, and never pickled.
    """

    def __init__(self, message: str = "", *, last: Any = None, **about: Any) -> None:
        super().__init__(message, **about)
        self.last = last

    def __reduce__(self) -> Any:
        """Pickle everything but ``last``, which holds patient data."""
        return type(self), self.args, {**self.__dict__, "last": None}


class BulkStopped(SpotError):  # noqa: N818 - a stop is not a fault of the caller; the name is promised
    """A bulk run ended early, after a failure that every further row would meet.

    Every row that was read has had its outcome. With a journal the same call resumes; without one, send the rows that
    were not done again, then those from ``next_index`` on.

    Attributes:
        cause: the error that stopped the run.
        next_index: the index of the first row that was not read; earlier rows are not necessarily done.
        unsent: how many rows were read but not sent; their outcome is ``"skipped"``.
        stop_after: the ``stop_after`` that was reached, ``cause`` being the last row's error; None for other reasons.
    """

    def __init__(
        self, message: str = "", *, cause: SpotError | None = None, next_index: int = 0, unsent: int = 0, **about: Any
    ) -> None:
        super().__init__(message, **about)
        self.cause = cause
        self.next_index = next_index
        self.unsent = unsent
        self.stop_after: int | None = None


SAYS_WHAT, SAYS_WHY, GET_AGAIN = "; details says what", "; details says why", "; get the kit again for a new one"
POINTERS = (SAYS_WHAT, SAYS_WHY, GET_AGAIN)
"""Ends of messages for programs: they point to an attribute or a call, which a terminal or a page does not have."""
OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})
"""The system's errors for a process, or a machine, that may open no more files."""
REFUSALS_OF_A_PROXY = frozenset({401, 403, 407})
"""What a proxy answers in place of a tunnel where another try would end the same."""


def is_out_of_files(error: object) -> bool:
    """Return whether nothing could be opened because this process, or this machine, may open no more files."""
    return isinstance(error, (OSError, NotSentError)) and error.errno in OUT_OF_FILES
