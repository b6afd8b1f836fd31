"""What limiters have in common whose slots come in blocks from elsewhere: the waiters, the slots in hand, the pump.

One task hands slots out while somebody waits. It never waits for the source itself: another task asks, so that the
slots in hand can be used, given back or dropped meanwhile.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from copy import copy
from typing import Any

from spotdx_async._http import clock
from spotdx_async._http.waiters import WaiterQueue
from spotdx_async.errors import NotSentError

HORIZON_S = 0.5
"""How far ahead a source gives slots out: as long as a pause may take to reach every process."""
AWAY_AGAIN_S = 0.25
"""How soon to ask again after a failure. A choice: half of ``HORIZON_S``, so that slots in hand bridge one failure."""
LOOK_AGAIN_S = 1.0
"""The longest time without asking while somebody waits: a pause may have been lifted, or the rate changed. A choice:
one request a second costs a server nothing."""

_NEVER, _ALWAYS = float("inf"), float("-inf")


class BlockLimiter:
    """Belongs to one loop at a time. A subclass decides when and how to ask the source, and what happens at the end."""

    def __init__(self) -> None:
        self._waiters = WaiterQueue[None]()
        self._slots: deque[float] = deque()
        self._paused_until = _ALWAYS
        self._ask_at = _ALWAYS
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self._errands: list[asyncio.Task[None]] = []

    # Decided by the subclass.

    def _enter(self) -> None:
        """Prepare for somebody who is about to wait; raise if nobody may."""

    async def _ask(self, now: float) -> None:
        """Ask the source for a block and add its slots, or set when to ask again; every waiter gets what it raises."""
        raise NotImplementedError

    def _next_ask(self, now: float) -> float:
        """Return when to ask the source; infinity: not as things are."""
        raise NotImplementedError

    def _late_s(self) -> float:
        """Return how late a slot may still be used; after that, it would come on top of those that are due."""
        raise NotImplementedError

    def _lost(self) -> None:
        """Note that slots were not used in time."""

    async def _linger(self) -> bool:
        """Do what needs doing while nobody waits, and return whether somebody may be waiting now."""
        if self._asking is None:
            return False
        await self._rest_until(_NEVER)
        return True

    async def _end(self) -> None:
        """Clean up when the task that hands out slots ends, however it ends."""

    # Waiting.

    async def acquire(self) -> None:
        """Take the next slot, after everybody in this process who came before, and before rows of bulk runs.

        If the wait is cancelled, the slot goes to the next waiter.

        Raises:
            NotSentError: it is closed, or its source cannot be asked and calls are to fail in that case.
            ConfigError: with these settings its source can never be asked.
        """
        await self._wait(is_bulk=False)

    async def acquire_bulk(self) -> None:
        """Take a slot for a row of a bulk run: after single calls, but never less than a tenth of all slots.

        Raises:
            NotSentError: same as ``acquire``.
            ConfigError: same as ``acquire``.
        """
        await self._wait(is_bulk=True)

    def give_back(self) -> None:
        """Return a slot that was not used: the next waiter gets it."""
        self._slots.appendleft(clock.now())
        self._start()

    async def _wait(self, *, is_bulk: bool) -> None:
        self._enter()
        waiter = self._waiters.add(None, is_bulk=is_bulk)
        self._start()
        await self._waiters.wait(waiter, self._take_back)

    def _take_back(self) -> None:
        with suppress(RuntimeError):  # if its loop is gone, the slot is gone too
            self.give_back()

    # Handing out.

    def _start(self) -> None:
        self._wake.set()
        if self._pump is None or self._pump.done():
            self._pump = asyncio.get_running_loop().create_task(self._run(), name="spotdx limit")

    async def _run(self) -> None:
        me = asyncio.current_task()
        try:
            while self._waiters or await self._linger():
                if await self._wait_for_slot():
                    self._hand_out()
        except asyncio.CancelledError:
            if self._pump is me:  # another loop may have taken the limiter
                self._waiters.fail_all(_stopped)
            raise
        except Exception as error:
            # Nobody may wait for something that will not come. The next one who waits starts anew.
            if not self._fail_alike(error):
                raise
        except BaseException as error:
            self._fail_alike(error)
            raise
        finally:
            if self._pump is me:
                asking, self._asking, self._pump = self._asking, None, None
                try:
                    await _cancel([] if asking is None else [asking])
                finally:
                    await self._end()

    def _fail_alike(self, error: BaseException) -> int:
        return self._waiters.fail_all(lambda: _copy_of(error))

    async def _wait_for_slot(self) -> bool:
        """Wait until the first slot is due; return False if things may have changed meanwhile."""
        now = clock.now()
        self._drop_late(now)
        if self._asking is not None and self._asking.done():
            asking, self._asking = self._asking, None
            asking.result()
        ask_at = _NEVER if self._asking is not None else self._next_ask(now)
        if ask_at <= now + clock.INSTANT_S:
            self._asking = asyncio.get_running_loop().create_task(self._ask(now), name="spotdx limit")
            self._asking.add_done_callback(self._wake_up)
            ask_at = _NEVER
        opens_at = max(self._slots[0], self._paused_until) if self._slots else _NEVER
        if opens_at <= now + clock.INSTANT_S:
            return True
        await self._rest_until(min(opens_at, ask_at))
        return False

    def _hand_out(self) -> None:
        waiter = self._waiters.pop()
        if waiter is not None:
            self._slots.popleft()
            waiter.grant()

    def _add_block(self, slots_s: Sequence[float], again_s: float) -> tuple[float, ...]:
        """Add slots at so many seconds from now, and return their times; without any, ask again later."""
        now = clock.now()
        block = tuple(now + slot_s for slot_s in slots_s)
        self._add(block)
        self._ask_at = now if block else now + min(LOOK_AGAIN_S, max(0.001, again_s))
        return block

    def _add(self, slots: Iterable[float]) -> None:
        self._slots = deque(sorted([*self._slots, *slots]))

    def _drop_late(self, now: float) -> None:
        count = len(self._slots)
        while self._slots and self._slots[0] < now - self._late_s():
            self._slots.popleft()
        if count > len(self._slots):
            self._lost()

    async def _rest_until(self, when: float) -> None:
        """Wait until then, or until there is news; no news set before goes unnoticed by those who looked before."""
        self._wake.clear()
        if when == _NEVER:
            await self._wake.wait()
        else:
            await clock.sleep(when - clock.now(), unless=self._wake)

    def _wake_up(self, _: object) -> None:
        self._wake.set()

    # Pauses, and errands to the source that nobody waits for.

    def _pause_here(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, clock.now() + seconds)
        self._slots.clear()
        self._wake.set()

    def _send(self, errand: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run errands to the source in the background, one at a time and in order."""
        before = self._errands[-1:]

        async def run() -> None:
            if before:
                await asyncio.wait(before)
            await errand()

        task = asyncio.get_running_loop().create_task(run(), name="spotdx limit")
        self._errands.append(task)
        task.add_done_callback(self._forget_errand)

    def _forget_errand(self, task: "asyncio.Task[None]") -> None:
        if task in self._errands:
            self._errands.remove(task)

    async def _stop(self) -> None:
        """End the task that hands out slots, and the one that asks."""
        await _cancel([task for task in (self._pump, self._asking) if task is not None])

    async def _drop_errands(self) -> None:
        await _cancel([*self._errands])

    def _leave_loop(self, *, is_gone: bool) -> None:
        """Drop everything of an earlier loop; waiters of one that is idle, not gone, fail when it runs again."""
        if not is_gone:
            self._waiters.fail_all(clock.taken_elsewhere)
            for task in (self._pump, self._asking, *self._errands):
                if task is not None:
                    task.cancel()
        self._waiters = WaiterQueue[None]()
        self._slots.clear()
        self._errands = []
        self._pump = self._asking = None
        self._wake = asyncio.Event()
        self._paused_until = self._ask_at = _ALWAYS


async def _cancel(tasks: "list[asyncio.Task[None]]") -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _copy_of(error: BaseException) -> BaseException:
    """Return a copy of an error for one of several waiters: tracebacks accumulate on each."""
    try:
        return copy(error)
    except Exception:  # noqa: BLE001 - a foreign one that cannot be copied, for whatever reason
        return error


def _stopped() -> NotSentError:
    return NotSentError("the limiter was stopped, so nothing was sent", reason="closed")
