"""How objects of one kind are listed, got and recognised, for whoever looks for what a run has created."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from attrs import field, frozen

from spotdx_async._http.retry import may_pass
from spotdx_async._requests.list_scan import Row
from spotdx_async.errors import (
    BadRequestError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
    SpotError,
)
from spotdx_async.pagination import Listing

S = TypeVar("S", bound=Row)
T = TypeVar("T")


OF_ONE_OBJECT = (BadRequestError, DecodeError, InvalidInputError, NotFoundError, PermissionDeniedError)
"""Errors of a single object, which say nothing about the next one."""
_SEVERAL = 3
"""Objects that fail together, so that the server is at fault. A choice: a third makes a coincidence unlikely."""


@frozen
class Evidence:
    """What an object shows of its origin."""

    reference: str | None = field(default=None, repr=False)
    """The reference in its metadata; None without one."""
    is_bare: bool = False
    """Whether it shows no metadata at all."""


@frozen(kw_only=True)
class Listed(Generic[S, T]):
    """How objects of one kind are listed, got and recognised."""

    noun: str
    listing: Listing[S]
    get: Callable[[str], Awaitable[T]]
    keep: Callable[[S], S]
    """Returns what is needed of a row."""
    evidence_of: Callable[[T], Evidence]
    likeness_of: Callable[[S], str | None]
    """Returns what the rows for one person have in common; None if the row does not tell."""
    mark_of: Callable[[S], str | None] = lambda _row: None
    """Returns what else identifies a row, such as a barcode, however the server writes it; None if it shows none."""


def raise_if_down(results: Sequence[object]) -> None:
    """Raise what the server failed with if it has failed with all of several, or would with any other.

    One that fails among others, or is the only one left, is fetched again by the next look: it may itself be at fault.
    """
    errors = [each for each in results if isinstance(each, SpotError) and not isinstance(each, OF_ONE_OBJECT)]
    for error in errors:
        if len(errors) == len(results) >= _SEVERAL or not may_pass(error):
            raise error.with_traceback(None)


def evidence_of(metadata: Mapping[str, object] | None, key: str) -> Evidence:
    """Return what an object's metadata show, by the key of references."""
    if not metadata:  # empty where a server has dropped the only one
        return Evidence(is_bare=True)
    reference = metadata.get(key)
    return Evidence(reference if isinstance(reference, str) else None)


def seconds_of(moment: datetime | None) -> float | None:
    """Return a moment in seconds since 1970."""
    return None if moment is None else moment.timestamp()


def nothing_certain(why: str) -> SpotError:
    """Return the error that says why a look has not settled something."""
    return DecodeError(why, outcome="done")
