"""What one call remembers across its attempts, and the error that is true of all of them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from attrs import define, field

from spotdx_async._http.messages import AttemptState, Reply, Request, Verdict
from spotdx_async._http.verdict import error_of_all
from spotdx_async.errors import SpotError

if TYPE_CHECKING:
    from spotdx_async._observe.dispatch import CallObservation


@define(eq=False, repr=False)
class Call:
    """What one call remembers across its attempts."""

    request: Request
    decode: Callable[[Reply], Any]
    started_s: float = 0.0
    ends_at_s: float | None = None
    may_go: Callable[[], bool] | None = None
    """Asked once more when the slot has come: the wait for it may have been long."""
    attempt_state: AttemptState = field(factory=AttemptState)
    observation: "CallObservation | None" = None
    """Reports to the observers; None if there are none."""
    admit_by_s: float | None = None
    """Latest end of the waits before the current attempt, all together; None: no bound."""
    asked_s: float = 0.0
    """How long the server asked to wait after the last attempt, whether granted or not."""
    is_paused: bool = False
    """Whether it waits before a repeat because the server asked for it."""
    attempts: int = 0
    error: SpotError | None = None
    """Of the last attempt that failed."""
    earlier_may_be_executed: bool = False
    """Whether an attempt before the last one that was judged may have been executed."""
    has_renewed: bool = False
    sent_s: float = 0.0
    """When the last request was sent."""

    @property
    def is_bulk(self) -> bool:
        """Whether it is a row of a bulk run, whose caller repeats by itself."""
        return self.may_go is not None

    @property
    def latest_s(self) -> float | None:
        """The latest time for sending the next attempt; None: no bound."""
        if self.admit_by_s is None or self.ends_at_s is None:
            return self.ends_at_s if self.admit_by_s is None else self.admit_by_s
        return min(self.admit_by_s, self.ends_at_s)

    def note(self, verdict: Verdict) -> None:
        """Record what a judged attempt says about the call; from here on no attempt is in progress."""
        attempt_state = self.attempt_state
        if verdict.error is not None:
            self.error = verdict.error
            self.earlier_may_be_executed = attempt_state.may_be_executed
            if verdict.may_be_executed:
                attempt_state.may_be_executed = True
        attempt_state.may_have_arrived = False

    def final_error(self, error: SpotError) -> SpotError:
        """Return the error that is true of all attempts, given the error of the last one."""
        is_of_an_earlier = self.earlier_may_be_executed or error is not self.error
        return error_of_all(error, self.request, self.attempt_state, is_of_an_earlier=is_of_an_earlier)


@define(eq=False, repr=False)
class BackgroundCall(Call):
    """A call that lets single ones go first, and is repeated as they are."""

    @property
    def is_bulk(self) -> bool:
        """True: it waits where the rows of bulk runs wait."""
        return True
