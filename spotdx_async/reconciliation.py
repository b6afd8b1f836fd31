"""Finds out what became of a create whose answer never came; knows no HTTP and no noun."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar

from attrs import frozen

from spotdx_async._http import clock
from spotdx_async._http.retry import may_pass
from spotdx_async._requests.answers import ServerClock
from spotdx_async._requests.arguments import day_of, refuse
from spotdx_async._requests.object_search import A_DAY, Look, Times
from spotdx_async.errors import (
    Clue,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    OutcomeUnknownError,
    SpotError,
)

__all__ = ["Reconciliation", "clue_and_times", "clue_of", "nothing_known", "reconcile"]

T = TypeVar("T")

_FIRST_PAUSE_S = 1.0
_FIRST, _LAST = date(2, 1, 1), date(9998, 12, 31)
# A clock that was set between the call and its error could suggest days; no request is given more than an hour.
_LONGEST_LIFE_S = 3600.0
# Replicas may not know an object yet that the list shows: look this many times more when nothing can land any longer.
_MOST_LOOKS_AGAIN = 2
# Dates are cut to whole seconds, so those of two answers differ if this much time lies between them.
_SEEN_ON_A_CLOCK_S = 2.0


@frozen(kw_only=True)
class Reconciliation(Generic[T]):
    """What became of a create.

    ``match`` on the state: with ``"found"`` it was executed and ``value`` is what it created; with ``"not found"``
    it was not and can be sent again; with ``"unknown"`` neither is certain, so look again later. The state is ``"not
    found"`` only if every candidate was judged, and the request cannot be executed any longer.
    """

    state: Literal["found", "not found", "unknown"]
    """What is known."""
    value: T | None = None
    """What was created, as the server shows it now; of several, the one created first; None if nothing was found."""
    duplicates: tuple[str, ...] = ()
    """The ids of further objects with the same reference: it was executed more than once, or created again."""
    error: SpotError | None = None
    """Why nothing is known, if looking failed or something could not be judged; None if the request may still be
    executed."""

    @property
    def is_found(self) -> bool:
        """Return whether it was executed."""
        return self.state == "found"


def clue_of(error: object, operation: str) -> Clue:
    """Return what an error says about the create that it ended.

    Raises:
        InvalidInputError: it is not an error of that operation whose outcome has to be looked up.
    """
    if isinstance(error, (OutcomeUnknownError, DecodeError)) and error.operation == operation and error.clue:
        return error.clue
    raise InvalidInputError(
        f"error must be an OutcomeUnknownError or a DecodeError of {operation}; after any other error nothing has to "
        "be looked up"
    )


def clue_and_times(
    error: object,
    operation: str,
    *,
    client_ref: object,
    client_ref_key: str | None,
    sent_at: object,
    since: object,
    lands_within_s: float,
) -> tuple[Clue, Times]:
    """Return what a caller knows about a create: its error, or what was recorded before it.

    Without an instant nobody knows until when it may be executed, so that is taken to be as long as a request may
    take, from now.

    Raises:
        InvalidInputError: the error belongs to another call, or an argument is wrong.
    """
    day, moment, reference = day_of(since), _instant(sent_at), client_ref if isinstance(client_ref, str) else None
    faults = []
    if since is not None and day is None:
        faults.append(("since", "must be a date, or text in the form YYYY-MM-DD"))
    if client_ref is not None and (reference is None or not reference.strip()):
        faults.append(("client_ref", "must be text, and not empty"))
    if sent_at is not None and error is not None:
        faults.append(("sent_at", "is for a call without an error: an error knows when it was sent"))
    elif sent_at is not None and moment is None:
        faults.append(("sent_at", "must be an aware datetime, such as datetime.now(UTC)"))
    if faults:
        refuse(tuple(faults), operation)
    if error is not None:
        clue = clue_of(error, operation)
        return clue, Times(clue, day)
    if moment is None:
        clue = Clue(reference, client_ref_key)
        return clue, Times(clue, day)
    window_s = min(lands_within_s, _LONGEST_LIFE_S)
    clue = Clue(reference, client_ref_key, moment, moment + timedelta(seconds=window_s))
    return clue, Times(clue, day, slack=A_DAY)


def _instant(value: object) -> datetime | None:
    """Return an aware datetime in UTC; None for anything else, and for the ends of the calendar."""
    if not isinstance(value, datetime) or value.tzinfo is None or not _FIRST < value.date() < _LAST:
        return None
    return value.astimezone(UTC)


async def nothing_known() -> Reconciliation[Any]:
    """Report that nothing is known about a create that carried nothing to recognise it by."""
    return Reconciliation(state="unknown")


async def reconcile(
    look: Callable[[], Awaitable[Look[T]]],
    clue: Clue,
    *,
    lands_within_s: float,
    patience_s: float | None,
    sleep: Callable[[float], Awaitable[None]],
) -> Reconciliation[T]:
    """Look again and again, less and less often, until the request cannot be executed any longer.

    The local clock and the server's both say how long that is; the later of the two counts.

    Args:
        look: looks at the server once.
        clue: until when the request may still be executed; None: for all of ``lands_within_s`` from now.
        lands_within_s: the most that this can be ahead, in seconds, whatever the clocks say, unless the clue comes from
            a client that gives its requests longer.
        patience_s: the longest wait for it, in seconds; None: as long as it takes.
        sleep: waits.

    Raises:
        SpotError: looking failed, and would fail again: the token is refused, say.
    """
    lands_within_s = max(lands_within_s, _life_s(clue))
    open_s = _open_s(clue, clock.wall(), lands_within_s)
    slept_s, pause_s = 0.0, _FIRST_PAUSE_S
    knows_server_time, looks_again, dates = False, 0, _Dates()
    while True:
        began_s = clock.running_loop().time()
        seen = await _tried(look)
        if seen.found is not None:
            return Reconciliation(state="found", value=seen.found, duplicates=seen.duplicates)
        if seen.clock is not None and not knows_server_time:
            knows_server_time = True
            server_says_s = _open_s(clue, seen.clock.now, lands_within_s)
            open_s = max(open_s, min(server_says_s, lands_within_s - slept_s))
        trouble = seen.trouble or dates.trouble_with(seen.clock, began_s)
        left_s = open_s if patience_s is None else min(open_s, patience_s - slept_s)
        if left_s <= 0 and open_s <= 0:
            trouble = trouble or (None if knows_server_time else _no_date())
            if trouble is None:
                return Reconciliation(state="not found")
            if isinstance(trouble, NotFoundError) and looks_again < _MOST_LOOKS_AGAIN and patience_s is None:
                looks_again += 1
                await sleep(_FIRST_PAUSE_S)
                continue
            return Reconciliation(state="unknown", error=trouble)
        if left_s <= 0:
            return Reconciliation(state="unknown", error=trouble)
        pause_s = min(pause_s, left_s)
        await sleep(pause_s)
        open_s, slept_s, pause_s = open_s - pause_s, slept_s + pause_s, pause_s * 2


class _Dates:
    """The dates of the looks so far: the date of an answer that a cache repeats stands still.

    A date before the call needs no extra look here: by the server's clock the request can still land, so there is
    another look anyway.
    """

    def __init__(self) -> None:
        self._seen: list[tuple[float, ServerClock]] = []

    def trouble_with(self, server: ServerClock | None, began_s: float) -> DecodeError | None:
        """Return what is wrong with the date of a look that began then; None if it is later than all before."""
        if server is None:
            return None
        is_old = any(
            server.now <= one.now and _passed_s(one, at_s, server, began_s) >= _SEEN_ON_A_CLOCK_S
            for at_s, one in self._seen
        )
        self._seen.append((began_s, server))
        if not is_old:
            return None
        message = "the answer is no newer than an earlier one, by its Date, so it may come from a cache"
        return DecodeError(message, outcome="done")


def _passed_s(earlier: ServerClock, earlier_s: float, later: ServerClock, later_s: float) -> float:
    """Return how much time certainly passed between looks: a clock may be set, and a test's time may move alone."""
    local = (later.now - later.ahead) - (earlier.now - earlier.ahead)
    return min(later_s - earlier_s, local.total_seconds())


async def _tried(look: Callable[[], Awaitable[Look[T]]]) -> Look[T]:
    try:
        return await look()
    except SpotError as error:
        if not may_pass(error):
            raise
        return Look(trouble=error)


def _life_s(clue: Clue) -> float:
    """Return how long the request of a clue may live at most, including waits before it is sent, within reason.

    The client that made it may have a longer ``timeout_s`` than the one that looks for it.
    """
    if clue.began_at is None or clue.may_land_until is None:
        return 0.0
    return min((clue.may_land_until - clue.began_at).total_seconds(), _LONGEST_LIFE_S)


def _open_s(clue: Clue, now: datetime, lands_within_s: float) -> float:
    if clue.may_land_until is None:
        return lands_within_s
    return max(0.0, min(lands_within_s, (clue.may_land_until - now).total_seconds()))


def _no_date() -> DecodeError:
    message = "the answers have no Date, and the local clock alone cannot tell which objects are older than the call"
    return DecodeError(message, outcome="done")
