"""Runs a call: permit, rate-limit slot, token, attempt, verdict, and the repeats."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async._http.call import Call, decoded, final_error, note
from spotdx_async._http.client_state import ClientState, WaitTooLongError
from spotdx_async._http.logs import log_pause, log_retry
from spotdx_async._http.messages import (
    Action,
    AttemptResult,
    AttemptState,
    Reply,
    Request,
    Response,
    Token,
    TransportFailure,
    Verdict,
    is_success,
)
from spotdx_async._http.rate_limiter import GcraLimiter, SlotTooFarError
from spotdx_async._http.retry import repeat
from spotdx_async._http.verdict import judge_failure, judge_reply
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.config import CallOptions
from spotdx_async.errors import (
    Clue,
    DecodeError,
    NotSentError,
    OutcomeUnknownError,
    SpotError,
)

__all__ = ["Runner"]

T = TypeVar("T")
_LONGEST_LIFE_S = 366 * 86400.0
"""Of a request, so that an instant can be told whatever the settings say: they may stand for "no bound"."""
_ACCEPT, _REPEAT, _RAISE = Action.ACCEPT, Action.REPEAT, Action.RAISE


class Runner:
    """Runs calls with one set of options."""

    def __init__(self, state: ClientState, options: CallOptions) -> None:
        self.state = state
        self.allow_any_id: bool = state.allow_any_id
        self.options = options

    @property
    def lands_within_s(self) -> float:
        """Seconds after which a request that was sent has been carried out, or never will be.

        Assumed, with ``lands_within_s`` of the client: servers and what stands before them give up on a request within
        a minute. A caller may give up sooner, and that says nothing of the server.
        """
        return max(self.state.lands_within_s, self.options.timeout_s)

    def without_bounds(self) -> "Runner":
        """Return a runner of the same client without bounds on waits, for a caller who bounds the whole."""
        return Runner(self.state, evolve(self.options, deadline_s=None, max_wait_s=None))

    def call(self, request: Request, decode: Callable[[Reply], T]) -> Coroutine[Any, Any, T]:
        """Send the request as often as its kind and the options allow; the decoded answer comes back.

        Raises:
            SpotError: as the error tree says; nothing foreign is its cause or context.
        """
        return self._settle(self._new_call(request, decode))

    async def fetch(self, request: Request) -> Response:
        """The same without decoding: the whole answer, always a 2xx."""
        call = self._new_call(request, lambda reply: reply)
        reply: Reply = await self._settle(call)
        return Response(
            status=reply.status,
            headers=reply.headers,
            body=reply.body,
            attempts=call.attempts,
            elapsed_s=clock.now() - call.started_s,
            operation=request.operation,
        )

    async def attempt(
        self,
        request: Request,
        decode: Callable[[Reply], Any],
        *,
        attempt_state: AttemptState,
        is_repeat: bool,
        may_go: Callable[[], bool],
        observation: CallObservation | None = None,
    ) -> AttemptResult:
        """Try once, for a caller who repeats by itself; every trouble of the SDK's is in the verdict.

        Args:
            request: what to send.
            decode: from a 2xx to the verdict's value.
            attempt_state: the caller's, who can see in it at every moment, and after anything that is raised, what was
                sent.
            is_repeat: whether the same request was tried before.
            may_go: asked when everything is ready to be sent; where it says no, the try makes no request, and its
                verdict has no error.
            observation: what the observers are told through.
        """
        state = self.state
        call = Call(request, decode, may_go=may_go, attempt_state=attempt_state)
        call.observation = observation
        if is_repeat:
            state.counters.retries += 1
        else:
            state.counters.calls += 1
        verdict = await self._walk(call, self._drive)
        if verdict.error is not None:
            verdict.error.operation = request.operation
        elif verdict.action is _ACCEPT and not is_repeat:
            state.budget.earn()
        ended_s = clock.now()
        return AttemptResult(verdict, call.attempts, call.sent_s if call.attempts else ended_s, ended_s)

    def _new_call(self, request: Request, decode: Callable[[Reply], Any]) -> Call:
        try:
            started_s, deadline_s = clock.now(), self.options.deadline_s
        except RuntimeError:
            clock.running_loop()  # which says what is wrong
            raise
        self.state.counters.calls += 1
        ends_at_s = None if deadline_s is None else started_s + deadline_s
        return Call(request, decode, started_s=started_s, ends_at_s=ends_at_s)

    async def _settle(self, call: Call) -> Any:
        """Give the decoded answer, or raise what tells the truth about all attempts."""
        dispatcher = self.state.dispatcher
        if dispatcher is not None and call.observation is None:
            with dispatcher.observe(call.request.operation) as call.observation:
                return await self._settle(call)
        verdict = await self._walk(call, self._drive if call.ends_at_s is None else self._drive_until)
        if verdict.action is _ACCEPT:
            return verdict.value
        request, error = call.request, final_error(call, verdict)
        error.operation = request.operation
        error.attempts = call.attempts
        error.elapsed_s = clock.now() - call.started_s
        if request.clue is not None and isinstance(error, (OutcomeUnknownError, DecodeError)):
            error.clue = self._dated(request.clue, call)
        raise error.with_traceback(None)

    async def _walk(self, call: Call, drive: Callable[[Call], Awaitable[Verdict]]) -> Verdict:
        """Count the call as open while it is under way; what the SDK raises becomes a verdict."""
        state = self.state
        try:
            if not state.is_clear():
                await state.enter()
            counters = state.counters
            counters.open_calls += 1
            try:
                return await drive(call)
            finally:
                counters.open_calls -= 1
        except SpotError as raised:
            return Verdict(_RAISE, error=raised.with_traceback(None))

    def _dated(self, clue: Clue, call: Call) -> Clue:
        """Add until when the last request may be carried out: a connection that broke says nothing of the server."""
        now_s, last_byte_s = clock.now(), call.attempt_state.last_byte_s
        # Unseen, as through a session whose requests nobody can watch, the last byte may have gone out just now.
        left_s = self.lands_within_s - (now_s - last_byte_s if last_byte_s >= call.sent_s else 0.0)
        left_s = min(max(0.0, left_s), _LONGEST_LIFE_S)
        return replace(clue, may_land_until=clock.wall() + timedelta(seconds=left_s))

    async def _drive(self, call: Call) -> Verdict:
        """Attempt, and repeat where that is called for."""
        permits = self.state.permits
        if self.options.max_wait_s is not None:
            call.admit_by_s = clock.now() + self.options.max_wait_s
        if not permits.try_take():
            try:
                self.state.auth.check_not_asked_here()  # it would hold the permit that this call waits for
                await self._wait(call, lambda: permits.take(is_bulk=call.is_bulk), "a free connection")
            except WaitTooLongError:
                return self._waited_too_long(call)
        try:
            verdict = await self._attempt(call)
            if call.is_bulk:
                return verdict  # its caller repeats by itself
            if verdict.action is _ACCEPT:
                self.state.budget.earn()
            elif verdict.action is _REPEAT:
                verdict = await self._repeat(call, verdict)
            return verdict
        finally:
            permits.leave()

    async def _repeat(self, call: Call, first: Verdict) -> Verdict:
        def attempt() -> Awaitable[Verdict]:
            return self._attempt(call)

        return await repeat(
            first,
            attempt,
            policy=self.options.retry,
            may_wait=lambda last, wait_s: self._may_wait(call, last, wait_s),
            on_wait=lambda last, wait_s: self._on_wait(call, last, wait_s),
            sleep=lambda wait_s: self.state.sleep(wait_s, for_pause=call.is_paused),
        )

    async def _drive_until(self, call: Call) -> Verdict:
        bound = asyncio.timeout_at(call.ends_at_s)
        try:
            async with bound:
                return await self._drive(call)
        except TimeoutError:
            if not bound.expired():
                raise  # a timeout of a limiter that the caller gave us is the caller's own
        return self._out_of_time(call)

    async def _attempt(self, call: Call) -> Verdict:
        state, counters = self.state, self.state.counters
        if not state.is_clear():  # another loop has had the client meanwhile
            await state.enter()
        token = state.admit_now() or await self._admit(call)
        if token is None:
            return self._waited_too_long(call)
        if (call.may_go is not None or call.observation is not None) and not self._goes_out(call):
            # With a renewed token it was not refused again: the row may go on when its caller lets it.
            return Verdict(_RAISE if call.error is None else _REPEAT, error=call.error)
        call.attempts += 1
        counters.attempts += 1
        counters.in_flight += 1
        call.sent_s = clock.now()
        try:
            sending = state.transport.send(call.request, token, self.options.timeout_s, call.attempt_state)
            result = await (sending if call.observation is None else call.observation.send(sending))
        finally:
            counters.in_flight -= 1
        if type(result) is Reply and is_success(result.status):
            verdict = decoded(call, result)
            if call.observation is not None:
                # Before it is noted: should an observer end the call here, the request still may have arrived.
                call.observation.attempted(verdict.error, result.status)
            note(call, verdict)
            return verdict
        return await self._failed(call, token, result)

    def _goes_out(self, call: Call) -> bool:
        """Ask whether the request may still go, and tell that it does; else its slot is free for another."""
        goes = False
        try:
            goes = call.may_go is None or call.may_go()
            if goes and call.observation is not None:
                call.observation.going_out(call.attempt_state)
        except BaseException:
            self._give_slot_back()
            raise
        if not goes:
            self._give_slot_back()
        return goes

    async def _failed(self, call: Call, token: Token, result: Reply | TransportFailure) -> Verdict:
        """Judge an attempt that brought no 2xx, and do what it asks for at once: a pause, another token."""
        state = self.state
        if isinstance(result, TransportFailure):
            verdict = judge_failure(call.request, result)
        else:
            verdict = judge_reply(call.request, result)
        note(call, verdict)
        if call.observation is not None:
            call.observation.attempted(verdict.error, result.status)
        if verdict.is_throttle:
            state.counters.throttled += 1
            if state.tell_throttled is not None:
                state.tell_throttled(call.sent_s)
        if self.options.max_wait_s is not None:
            call.admit_by_s = clock.now() + self.options.max_wait_s
        call.asked_s = verdict.retry_after_s or 0.0
        if verdict.retry_after_s:
            verdict = evolve(verdict, retry_after_s=self._pause(call, verdict.retry_after_s))
        if verdict.action is Action.RENEW_TOKEN and not call.has_renewed:
            call.has_renewed = True
            if await self._renew(call, token):
                return await self._attempt(call)
        return verdict

    async def _renew(self, call: Call, refused: Token) -> bool:
        """Ask for another token; False where there is none, or it takes longer than the options allow."""
        with suppress(WaitTooLongError):
            return await self._wait(call, lambda: self.state.auth.renew(refused), "the token", reason="token")
        return False

    async def _admit(self, call: Call) -> Token | None:
        """Wait for a slot and the token to go with it; None where that takes longer than the options allow.

        The token comes first, and is there when the slot is: while a slow source is asked, slots would be handed out
        and then used all at once. Where it was refused meanwhile the slot goes back, and another is taken.
        """
        state = self.state
        try:
            while True:
                if not state.is_clear():
                    await state.enter()
                if not state.auth.is_ready:
                    await self._wait(call, state.auth.token, "the token", reason="token")
                slot = self._take_slot(call)
                await (slot if call.observation is None else call.observation.wait_for_slot(slot))
                if state.is_clear() and (token := state.auth.current) is not None:
                    return token
                self._give_slot_back()
        except (WaitTooLongError, SlotTooFarError):
            state.check_open()
            return None

    async def _take_slot(self, call: Call) -> None:
        """Wait for the limiter.

        Raises:
            SlotTooFarError: that takes longer than the options allow, as can be told at once.
            WaitTooLongError: the same, of a limiter of the caller's that cannot tell.
        """
        limiter = self.state.limiter
        if not isinstance(limiter, GcraLimiter):
            acquire = self.state.acquire_bulk if call.is_bulk and self.state.acquire_bulk else limiter.acquire
            await self._wait(call, acquire, "the rate limit", reason="limit")
            return
        latest_s = call.latest_s
        within_s = None if latest_s is None else max(0.0, latest_s - clock.now())
        # It keeps the bound itself, and may hand out a slot at the very last moment.
        await self.state.bounded(lambda: limiter.acquire(within_s, is_bulk=call.is_bulk), None, what="the rate limit")

    def _wait(self, call: Call, start: Callable[[], Awaitable[T]], what: str, *, reason: str = "wait") -> Awaitable[T]:
        return self.state.bounded(start, call.latest_s, what=what, reason=reason)

    def _give_slot_back(self) -> None:
        if self.state.give_slot_back is not None:
            self.state.give_slot_back()

    def _may_wait(self, call: Call, last: Verdict, wait_s: float) -> bool:
        """Whether to repeat after so long; says yes only when the budget has paid for it."""
        # What the server asks for counts, not what is granted: after less it would only refuse again.
        max_wait_s = self.options.max_wait_s
        if max_wait_s is not None and call.asked_s > max_wait_s:
            return False
        if call.ends_at_s is not None and clock.now() + max(wait_s, call.asked_s) >= call.ends_at_s:
            return False
        # A server that is asked too fast and names the time asks for the repeat: no amplification to pay for.
        is_invited = last.is_throttle and bool(last.retry_after_s)
        return is_invited or not self.options.retry.budget or self.state.budget.spend()

    def _pause(self, call: Call, asked_s: float) -> float:
        """Let the whole client pause as the server asks, within ``max_pause_s``; give the seconds."""
        seconds = min(asked_s, self.state.max_pause_s)
        until_s = clock.now() + seconds
        if until_s >= self.state.paused_until_s + 1:  # one line a pause: many calls may be told of it at once
            log_pause(seconds, asked_s=asked_s)
            if call.observation is not None:
                call.observation.paused(seconds)
        self.state.pause(seconds)
        return seconds

    def _on_wait(self, call: Call, last: Verdict, wait_s: float) -> None:
        self.state.counters.retries += 1
        call.is_paused = bool(last.retry_after_s)
        if self.options.max_wait_s is not None:
            # What the server asked for is a wait that max_wait_s bounds, a back-off of our own beyond it is none.
            own_s = wait_s - (last.retry_after_s or 0.0)
            call.admit_by_s = clock.now() + own_s + self.options.max_wait_s
        log_retry(last.error, operation=call.request.operation, attempt=call.attempts, wait_s=wait_s)
        if call.observation is not None:
            call.observation.repeated(last, wait_s)

    def _waited_too_long(self, call: Call) -> Verdict:
        if call.error is not None:
            return Verdict(_RAISE, error=call.error)
        max_wait_s, deadline_s = self.options.max_wait_s, self.options.deadline_s
        is_deadline = max_wait_s is None or (deadline_s is not None and deadline_s < max_wait_s)
        name, reason = ("deadline_s", "deadline") if is_deadline else ("max_wait_s", "wait")
        message = f"the wait before the request would be longer than {name} allows, so nothing was sent"
        return Verdict(_RAISE, error=NotSentError(message, reason=reason))

    def _out_of_time(self, call: Call) -> Verdict:
        """Judge a call that its deadline ended.

        1. A request was under way and may have arrived: unknown.
        2. An earlier attempt failed: that failure.
        3. Nothing had been sent.
        """
        error: SpotError
        if call.attempt_state.may_have_arrived:
            error = OutcomeUnknownError("deadline_s passed before the answer came", reason="deadline")
        elif call.error is not None:
            error = call.error
        else:
            error = NotSentError("deadline_s passed before anything was sent", reason="deadline")
        return Verdict(_RAISE, error=error)
