"""Runs a call: permit, rate-limit slot, token, attempt, verdict, and the repeats."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve

from spotdx_async._http import clock
from spotdx_async._http.answer_check import decoded
from spotdx_async._http.call import BackgroundCall, Call
from spotdx_async._http.client_state import ClientState, WaitTooLongError
from spotdx_async._http.logs import log_pause, log_retry
from spotdx_async._http.messages import (
    SUCCESS,
    Action,
    AttemptResult,
    AttemptState,
    Reply,
    Request,
    Response,
    Token,
    TransportFailure,
    Verdict,
)
from spotdx_async._http.retry import repeat
from spotdx_async._http.verdict import judge_deadline, judge_failure, judge_long_wait, judge_reply
from spotdx_async.config import CallOptions
from spotdx_async.errors import Clue, DecodeError, OutcomeUnknownError, SpotError, is_out_of_files

if TYPE_CHECKING:
    from spotdx_async._observe.dispatch import CallObservation

T = TypeVar("T")
_LONGEST_LIFE_S = 366 * 86400.0
"""Of a request, so that ``may_land_until`` is a valid date even if the settings amount to "no bound"."""
_ACCEPT, _REPEAT, _RAISE = Action.ACCEPT, Action.REPEAT, Action.RAISE


class Runner:
    """Runs calls with one set of options."""

    def __init__(self, state: ClientState, options: CallOptions) -> None:
        self.state = state
        self.allow_any_id: bool = state.allow_any_id
        self.encode: Callable[[Any], object] | None = state.encode
        self.options = options

    @property
    def lands_within_s(self) -> float:
        """Seconds after which a request that was sent has been executed, or never will be.

        Assumed, together with ``lands_within_s`` of the client: servers and their proxies give up on a request within a
        minute. A caller may give up sooner, which says nothing about the server.
        """
        return max(self.state.lands_within_s, self.options.timeout_s)

    def without_bounds(self) -> "Runner":
        """Return a runner of the same client without bounds on waits, for a caller that bounds the whole."""
        return Runner(self.state, evolve(self.options, deadline_s=None, max_wait_s=None))

    def within(self, seconds: float) -> "Runner":
        """Return a runner of the same client whose calls end within so many seconds, or sooner if the options say."""
        deadline_s = self.options.deadline_s
        left_s = seconds if deadline_s is None else min(seconds, deadline_s)
        return Runner(self.state, evolve(self.options, deadline_s=left_s))

    def in_background(self) -> "Runner":
        """Return the same for calls that let all others go first."""
        return _BackgroundRunner(self.state, evolve(self.options, deadline_s=None, max_wait_s=None))

    def call(self, request: Request, decode: Callable[[Reply], T]) -> Coroutine[Any, Any, T]:
        """Send the request as often as its kind and the options allow, and return the decoded answer.

        Raises:
            SpotError: as the error tree says; its cause and context are never foreign exceptions.
        """
        return self._settle(self._new_call(request, decode))

    async def fetch(self, request: Request) -> Response:
        """Do the same without decoding; return the whole answer, always a 2xx."""
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
        observation: "CallObservation | None" = None,
    ) -> AttemptResult:
        """Attempt once, for a caller that repeats by itself; every error of the SDK is in the verdict.

        Args:
            request: what to send.
            decode: turns a 2xx into the verdict's value.
            attempt_state: the caller's; it shows at every moment, and after any exception, what was sent.
            is_repeat: whether the same request was tried before.
            may_go: asked when everything is ready to be sent; if it returns False, no request is made, and the
                verdict has no error.
            observation: reports to the observers.
        """
        state = self.state
        call = Call(request, decode, may_go=may_go, attempt_state=attempt_state, observation=observation)
        if is_repeat:
            state.counters.retries += 1
        else:
            state.counters.calls += 1
        verdict = await self._walk(call, self._drive)
        if verdict.error is not None:
            verdict.error.operation = request.operation
        elif verdict.action is _ACCEPT and not is_repeat:
            state.budget.earn()
        ended_s = state.now()
        return AttemptResult(verdict, call.attempts, call.sent_s if call.attempts else ended_s, ended_s)

    def attempt_row(  # noqa: PLR0917 - once for each request of a run: by position, as that is quickest
        self,
        request_of: Callable[[str, bytes], Request],
        decode: Callable[[Reply], Any],
        key: str,
        body: bytes,
        attempt_state: AttemptState,
        is_repeat: bool,
        may_go: Callable[[], bool],
        observation: "CallObservation | None",
    ) -> Coroutine[Any, Any, AttemptResult]:
        """Do as ``attempt`` does, with the request that ``request_of`` makes of a row's key and body."""
        return self.attempt(
            request_of(key, body),
            decode,
            attempt_state=attempt_state,
            is_repeat=is_repeat,
            may_go=may_go,
            observation=observation,
        )

    def _new_call(self, request: Request, decode: Callable[[Reply], Any]) -> Call:
        try:
            started_s, deadline_s = clock.now(), self.options.deadline_s
        except RuntimeError:
            clock.running_loop()  # raises with the reason
            raise
        self.state.counters.calls += 1
        ends_at_s = None if deadline_s is None else started_s + deadline_s
        return Call(request, decode, started_s=started_s, ends_at_s=ends_at_s)

    async def _settle(self, call: Call) -> Any:
        """Return the decoded answer, or raise the error that is true of all attempts."""
        dispatcher = self.state.dispatcher
        if dispatcher is not None and call.observation is None:
            link = None if call.request.download is None else call.request.download.link
            server = None if link is None else (link.host, link.port)
            with dispatcher.observe(call.request.operation, server=server) as call.observation:
                return await self._settle(call)
        verdict = await self._walk(call, self._drive if call.ends_at_s is None else self._drive_until)
        if verdict.action is _ACCEPT:
            return verdict.value
        assert verdict.error is not None  # noqa: S101 - whatever is not accepted has an error; for the type checker
        request, error = call.request, call.final_error(verdict.error)
        error.operation = request.operation
        error.attempts = call.attempts
        error.elapsed_s = clock.now() - call.started_s
        if request.clue is not None and isinstance(error, (OutcomeUnknownError, DecodeError)):
            error.clue = self._dated(request.clue, call)
        raise error.with_traceback(None)

    async def _walk(self, call: Call, drive: Callable[[Call], Awaitable[Verdict]]) -> Verdict:
        """Count the call as open while it is in progress; errors of the SDK become a verdict."""
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
        """Add the latest time at which the last request may be executed: a broken connection does not tell."""
        now_s, last_byte_s = clock.now(), call.attempt_state.last_byte_s
        # In a session that cannot be watched, the last byte may have gone out just now.
        left_s = self.lands_within_s - (now_s - last_byte_s if last_byte_s >= call.sent_s else 0.0)
        left_s = min(max(0.0, left_s), _LONGEST_LIFE_S)
        return replace(clue, may_land_until=clock.wall() + timedelta(seconds=left_s))

    async def _drive(self, call: Call) -> Verdict:
        """Attempt, and repeat if the verdict says so.

        Where no connection can be opened beside those of other calls, this process may open too few files for so many:
        the call waits until one of the others has ended, and fewer are in flight at once from then on.
        """
        permits = self.state.permits
        if self.options.max_wait_s is not None:
            call.admit_by_s = clock.now() + self.options.max_wait_s
        while True:
            if not permits.try_take():
                try:
                    self.state.auth.check_not_asked_here()  # the source would hold the permit that this call waits for
                    await self.state.bounded(
                        lambda: permits.take(is_bulk=call.is_bulk), call.latest_s, what="a free connection"
                    )
                except WaitTooLongError:
                    return judge_long_wait(call.error, self.options)
            has_permit = True
            try:
                verdict = await self._attempt(call)
                if verdict.action is _REPEAT and is_out_of_files(verdict.error) and permits.retire():
                    has_permit = False
                    self._forget_attempt(call)
                    continue
                if call.may_go is not None:
                    return verdict  # its caller repeats by itself
                if verdict.action is _ACCEPT:
                    self.state.budget.earn()
                elif verdict.action is _REPEAT:
                    verdict = await self._repeat(call, verdict)
                return verdict
            finally:
                if has_permit:
                    permits.leave()

    def _forget_attempt(self, call: Call) -> None:
        """Count no attempt and use no slot where nothing left this process."""
        self.state.give_slot_back()
        self.state.counters.attempts -= 1
        call.attempts -= 1
        call.error = None

    async def _repeat(self, call: Call, first: Verdict) -> Verdict:
        return await repeat(
            first,
            lambda: self._attempt(call),
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
                raise  # raised by the caller's own limiter, so it is the caller's
        return judge_deadline(call.error, call.attempt_state)

    async def _attempt(self, call: Call) -> Verdict:
        state, counters = self.state, self.state.counters
        token = state.admit_now() or await state.admit(
            call.latest_s, is_bulk=call.is_bulk, observation=call.observation
        )
        if token is None:
            return judge_long_wait(call.error, self.options)
        if (call.may_go is not None or call.observation is not None) and not self._goes_out(call):
            # The new token was not refused too: the row may go on when its caller lets it.
            return Verdict(_RAISE if call.error is None else _REPEAT, error=call.error)
        call.attempts += 1
        counters.attempts += 1
        counters.in_flight += 1
        call.sent_s = state.now()
        try:
            sending = state.transport.send(call.request, token, self.options.timeout_s, call.attempt_state)
            result = await (sending if call.observation is None else call.observation.send(sending))
        finally:
            counters.in_flight -= 1
        if type(result) is Reply and result.status in SUCCESS:
            verdict = decoded(call.request, result, call.decode)
            if call.observation is not None:
                # Before it is recorded: if an observer ends the call here, the request may still have arrived.
                call.observation.attempted(verdict.error, result.status)
            if verdict.error is None:
                call.attempt_state.may_have_arrived = False  # no attempt is in progress, and none is to be remembered
            else:
                call.note(verdict)
            return verdict
        return await self._failed(call, token, result)

    def _goes_out(self, call: Call) -> bool:
        """Return whether the request may still go, and report it; otherwise return its slot."""
        goes = False
        try:
            goes = call.may_go is None or call.may_go()
            if goes and call.observation is not None:
                call.observation.going_out(call.attempt_state)
        except BaseException:
            self.state.give_slot_back()
            raise
        if not goes:
            self.state.give_slot_back()
        return goes

    async def _failed(self, call: Call, token: Token, result: Reply | TransportFailure) -> Verdict:
        """Judge an attempt without a 2xx, and do at once what it calls for: pause, or renew the token."""
        state = self.state
        if isinstance(result, TransportFailure):
            verdict = judge_failure(call.request, result)
        else:
            judge = judge_reply if call.request.download is None else call.request.download.judge
            verdict = judge(call.request, result)
        call.note(verdict)
        if call.observation is not None:
            call.observation.attempted(verdict.error, result.status)
        if verdict.is_throttle:
            state.counters.throttled += 1
            if state.tell_throttled is not None and verdict.is_of_server:
                state.tell_throttled(call.sent_s)
        if self.options.max_wait_s is not None:
            call.admit_by_s = clock.now() + self.options.max_wait_s
        call.asked_s = verdict.retry_after_s or 0.0
        if verdict.retry_after_s:
            verdict = evolve(verdict, retry_after_s=self._pause(call, verdict))
        if verdict.action is Action.FOLLOW:
            return await self._attempt(call)  # a request like any other, with a slot of its own
        if verdict.action is Action.RENEW_TOKEN and not call.has_renewed:
            call.has_renewed = True
            if await self._renew(call, token):
                return await self._attempt(call)
        return verdict

    async def _renew(self, call: Call, refused: Token) -> bool:
        """Ask for another token; False if there is none, or it takes longer than the options allow."""
        with suppress(WaitTooLongError):
            return await self.state.bounded(
                lambda: self.state.auth.renew(refused), call.latest_s, what="the token", reason="token"
            )
        return False

    def _may_wait(self, call: Call, last: Verdict, wait_s: float) -> bool:
        """Return whether to repeat after that wait; if so, the budget has paid for it."""
        # Compare with what the server asks for, not what is granted: after a shorter wait it would only refuse again.
        max_wait_s = self.options.max_wait_s
        if max_wait_s is not None and call.asked_s > max_wait_s:
            return False
        if call.ends_at_s is not None and clock.now() + max(wait_s, call.asked_s) >= call.ends_at_s:
            return False
        # A server that is called too fast and names the time wants the repeat: no amplification to pay for.
        is_invited = last.is_throttle and bool(last.retry_after_s)
        return is_invited or not self.options.retry.budget or self.state.budget.spend()

    def _pause(self, call: Call, verdict: Verdict) -> float:
        """Pause the whole client as the server asks, within ``max_pause_s``; return the seconds."""
        asked_s = verdict.retry_after_s or 0.0
        seconds = min(asked_s, self.state.max_pause_s)
        if not verdict.is_of_server:
            return seconds
        until_s = clock.now() + seconds
        if until_s >= self.state.paused_until_s + 1:  # one log line per pause: many calls may learn of it at once
            log_pause(seconds, asked_s=asked_s)
            if call.observation is not None:
                call.observation.paused(seconds)
        self.state.pause(seconds)
        return seconds

    def _on_wait(self, call: Call, last: Verdict, wait_s: float) -> None:
        self.state.counters.retries += 1
        call.is_paused = bool(last.retry_after_s) and last.is_of_server
        if self.options.max_wait_s is not None:
            # max_wait_s bounds waits that the server asked for, not our own back-off.
            own_s = wait_s - (last.retry_after_s or 0.0)
            call.admit_by_s = clock.now() + own_s + self.options.max_wait_s
        log_retry(last.error, operation=call.request.operation, attempt=call.attempts, wait_s=wait_s)
        if call.observation is not None:
            call.observation.repeated(last, wait_s)


class _BackgroundRunner(Runner):
    """Runs calls that wait for permits and slots behind single ones, as the rows of bulk runs do."""

    def _new_call(self, request: Request, decode: Callable[[Reply], Any]) -> Call:
        self.state.counters.calls += 1
        return BackgroundCall(request, decode, started_s=clock.now())
