"""How objects of one kind are listed, got and recognised, for whoever looks for what a run has created."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

from attrs import define, field, frozen

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
    """Returns what else identifies a row, such as a barcode; None if it shows none."""


@define
class Sight(Generic[S]):
    """What the list has shown by now."""

    rows: dict[str, S]
    """Objects that are not the run's own, as far as it knows, and were not judged."""
    newest_change: float | None
    """When the last of what this scan has shown was changed; None where the order does not tell."""
    now: float | None
    """The server's time when it began, in seconds since 1970."""
    trouble: SpotError | None


def raise_if_down(results: Sequence[object]) -> None:
    """Raise what the server failed with if it has failed with all of them, or would with any other.

    One that fails among others is fetched again by the next look.
    """
    errors = [each for each in results if isinstance(each, SpotError) and not isinstance(each, OF_ONE_OBJECT)]
    for error in errors:
        if len(errors) == len(results) or not may_pass(error):
            raise error.with_traceback(None)


def evidence_of(metadata: Mapping[str, object] | None, key: str) -> Evidence:
    """Return what an object's metadata show, by the key of references."""
    if metadata is None:
        return Evidence(is_bare=True)
    reference = metadata.get(key)
    return Evidence(reference if isinstance(reference, str) else None)
