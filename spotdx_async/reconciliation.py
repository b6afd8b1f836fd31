"""Finding out what became of a create whose answer never came; knows no HTTP and no noun."""

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Generic, Literal, Protocol, TypeVar

from attrs import frozen

from spotdx_async._pipeline import clock
from spotdx_async.errors import (
    BadRequestError,
    Clue,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
)

__all__ = ["Reconciliation", "clue_of", "days_since", "reconcile", "search"]


class _Row(Protocol):
    @property
    def created(self) -> datetime | None: ...


S = TypeVar("S", bound=_Row)
T = TypeVar("T")

_SIDE_BY_SIDE = 8
_FIRST_PAUSE_S = 1.0
_A_DAY = timedelta(days=1)
# Troubles that may be gone the next time; a token that is refused, say, is raised.
_PASSING = (DecodeError, NotSentError, OutcomeUnknownError, RateLimitError, ServerError)
# Troubles with one object that say nothing of the next.
_OF_ONE_OBJECT = (BadRequestError, DecodeError, PermissionDeniedError)


@frozen(kw_only=True)
class Reconciliation(Generic[T]):
    """What became of a create.

    ``match`` on the state: with ``"found"`` it was carried out and ``value`` is what it made; with ``"not found"`` it
    was not and can be sent again; with ``"unknown"`` neither is sure, so look again later.
    """

    state: Literal["found", "not found", "unknown"]
    """What is known."""
    value: T | None = None
    """What was created, as the server shows it now; None where it was not found."""
    error: SpotError | None = None
    """Why nothing is known, where the last look failed; None where the request may still be carried out."""

    @property
    def is_found(self) -> bool:
        """Whether it was carried out."""
        return self.state == "found"


def clue_of(error: object, operation: str) -> Clue:
    """Give what an error tells of the create that it ended.

    Raises:
        InvalidInputError: it is no error of that operation whose outcome has to be looked up.
    """
    if isinstance(error, (OutcomeUnknownError, DecodeError)) and error.operation == operation and error.clue:
        return error.clue
    raise InvalidInputError(
        f"error must be an OutcomeUnknownError or a DecodeError of {operation}; after any other error nothing has to "
        "be looked up"
    )


async def reconcile(
    look: Callable[[], Awaitable[T | None]],
    clue: Clue,
    *,
    lands_within_s: float,
    patience_s: float | None,
    sleep: Callable[[float], Awaitable[None]],
) -> Reconciliation[T]:
    """Look, and look again, less and less often, until the request cannot be carried out any longer.

    Args:
        look: gives what was created, or None.
        clue: until when the request may still be carried out.
        lands_within_s: the most that this can be ahead, in seconds, whatever the wall clock says.
        patience_s: the longest wait for it, in seconds; None: as long as it takes.
        sleep: waits.

    Raises:
        SpotError: looking failed, and would fail again: the token is refused, say.
    """
    open_s = max(0.0, min(lands_within_s, _seconds_until(clue.may_land_until)))
    left_s = open_s if patience_s is None else min(open_s, patience_s)
    is_final = left_s >= open_s
    pause_s = _FIRST_PAUSE_S
    while True:
        found, trouble = await _tried(look)
        if found is not None:
            return Reconciliation(state="found", value=found)
        if left_s <= 0:
            return Reconciliation(state="not found" if is_final and trouble is None else "unknown", error=trouble)
        pause_s = min(pause_s, left_s)
        await sleep(pause_s)
        left_s, pause_s = left_s - pause_s, pause_s * 2


async def _tried(look: Callable[[], Awaitable[T | None]]) -> tuple[T | None, SpotError | None]:
    try:
        return await look(), None
    except _PASSING as error:
        if isinstance(error, NotSentError) and error.reason == "closed":
            raise
        return None, error


def days_since(began_at: datetime | None) -> date | None:
    """The first day to look at: the one before, since the server may count its days in another zone."""
    return None if began_at is None else (began_at.astimezone(UTC) - _A_DAY).date()


def search(
    rows: Callable[[], AsyncIterable[S]],
    id_of: Callable[[S], str | None],
    get: Callable[[str], Awaitable[T]],
    is_it: Callable[[T], bool],
    clue: Clue,
) -> Callable[[], Awaitable[T | None]]:
    """Make a look through a list whose rows do not show what tells the one from the others.

    Each look gets the objects of all rows that are new to it, a few side by side, those first that were created about
    when the call began. One that cannot be got hides none of the others, and is got again by the next look.

    Args:
        rows: reads the list.
        id_of: the row's identifier.
        get: the object behind the identifier.
        is_it: whether it is the one.
        clue: when the call began.
    """
    others: set[str] = set()

    async def look() -> T | None:
        found = [row async for row in rows()]
        found.sort(key=lambda row: _seconds_between(row.created, clue.began_at))
        ids = list(dict.fromkeys(an_id for an_id in map(id_of, found) if an_id is not None and an_id not in others))
        trouble: SpotError | None = None
        for start in range(0, len(ids), _SIDE_BY_SIDE):
            for an_id, result in await _got(get, ids[start : start + _SIDE_BY_SIDE]):
                if isinstance(result, SpotError):
                    trouble = trouble or result
                elif result is not None and is_it(result):
                    return result
                else:
                    others.add(an_id)
            if trouble is not None and not isinstance(trouble, _OF_ONE_OBJECT):
                break
        if trouble is not None:
            raise trouble
        return None

    return look


async def _got(get: Callable[[str], Awaitable[T]], ids: Sequence[str]) -> list[tuple[str, T | SpotError | None]]:
    """Get some objects side by side; in place of one that cannot be got its error, of one that is gone None."""

    async def one(an_id: str) -> T | SpotError | None:
        try:
            return await get(an_id)
        except NotFoundError:
            return None
        except SpotError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(an_id)) for an_id in ids]
    return [(an_id, task.result()) for an_id, task in zip(ids, tasks, strict=True)]


def _seconds_between(one: datetime | None, other: datetime | None) -> float:
    return 0.0 if one is None or other is None else abs((one - other).total_seconds())


def _seconds_until(moment: datetime | None) -> float:
    return 0.0 if moment is None else (moment - clock.wall()).total_seconds()
