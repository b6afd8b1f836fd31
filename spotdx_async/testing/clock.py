"""Event loops for tests: one whose time jumps to its next timer, and one in a thread of its own.

On virtual time an hour of back-off takes a test no time, and its length can be asserted exactly; real sockets still
work. In a thread a server answers while the caller's thread waits or blocks. Knows nothing but asyncio.
"""

import asyncio
import contextlib
import math
import selectors
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor, Future
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple, Unpack

_RESOLUTION_S = time.get_clock_info("monotonic").resolution

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop whose ``time()`` starts at 0 and moves only by jumps to the next timer.

    Before a jump it polls its sockets for ``grace_s`` of real time, so that data on its way over loopback to another
    task of the same loop arrives first. It never jumps while a job of ``run_in_executor`` (or ``asyncio.to_thread``)
    is pending, or inside ``standing_still()``. It knows nothing of other threads and processes.

    Args:
        grace_s: real seconds to wait for traffic before each jump.
        patience_s: real seconds to wait, while time stands still or there is no timer, before it raises RuntimeError.
    """

    def __init__(self, *, grace_s: float = 0.001, patience_s: float = 30.0) -> None:
        self._jumps = _JumpingSelector(grace_s, patience_s)
        super().__init__(self._jumps)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jumps.now_s

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop virtual time inside the block: for work that another thread or process does for this loop."""
        self._jumps.holds += 1
        try:
            yield
        finally:
            self._jumps.holds -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Run ``func`` in a thread; time stands still until it is done or cancelled."""
        future = super().run_in_executor(executor, func, *args)
        self._jumps.holds += 1
        future.add_done_callback(self._release)
        return future

    async def shutdown_default_executor(self, *timeout: Any) -> None:
        """Wait for the threads in real time: Python sets a time limit, to which the loop must not jump."""
        with self.standing_still():
            await super().shutdown_default_executor(*timeout)

    def _release(self, _: asyncio.Future[Any]) -> None:
        self._jumps.holds -= 1


def run_virtual(coroutine: Coroutine[Any, Any, _T], *, debug: bool | None = None) -> _T:
    """Run a coroutine on a ``VirtualTimeLoop`` and return its result, as ``asyncio.run`` does on a real loop."""
    with asyncio.Runner(debug=debug, loop_factory=VirtualTimeLoop) as runner:
        return runner.run(coroutine)


class VirtualClock:
    """The clock of a loop with virtual time. The fixture ``spot_clock``.

    Args:
        loop: the loop whose time it shows, usually a ``VirtualTimeLoop``.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._began_s = loop.time()
        self._began = datetime.now(UTC)

    @property
    def elapsed_s(self) -> float:
        """Virtual seconds since the clock was made, which the fixture does when the test begins."""
        return self._loop.time() - self._began_s

    def wall(self) -> datetime:
        """Return the time of day, aware, in UTC: the machine's when the clock was made, plus the virtual seconds since.

        ``fake_spot`` uses it in virtual time; give it to a fake of your own by ``FakeSpot(wall=spot_clock.wall)``.
        """
        return self._began + timedelta(seconds=self.elapsed_s)

    async def advance(self, seconds: float) -> None:
        """Let virtual time pass, with everything that is due in it.

        Raises:
            ValueError: the seconds are negative.
        """
        if not seconds >= 0:
            raise ValueError("seconds must be 0 or more: time does not go back")
        await asyncio.sleep(seconds)

    def __repr__(self) -> str:
        return f"<VirtualClock: {self.elapsed_s:g} virtual seconds>"


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that answers "nothing came in that time" without letting the time pass."""

    def __init__(self, grace_s: float, patience_s: float) -> None:
        super().__init__()
        self.now_s = 0.0
        self.holds = 0
        self._grace_s = grace_s
        self._patience_s = patience_s

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        # 1. something is ready to run: poll, do not wait
        if timeout is not None and timeout <= 0:
            return super().select(0)
        # 2. only a socket or a thread can wake the loop, or time stands still for a thread
        if timeout is None or self.holds:
            return self._wait()
        # 3. a timer is next: traffic on its way comes first
        found = super().select(self._grace_s if self._has_sockets() else 0)
        if not found:
            self._jump(timeout)
        return found

    def _jump(self, seconds: float) -> None:
        self.now_s += seconds
        # asyncio fires the timers before now + resolution. After 52 days the float cannot hold that sum, and a
        # loop that stood exactly on its timer would spin for ever.
        if self.now_s + _RESOLUTION_S == self.now_s:
            self.now_s = math.nextafter(self.now_s, math.inf)

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(self._patience_s)
        if not found:
            raise RuntimeError(
                f"nothing happened for {self._patience_s:g} real seconds on a loop with virtual time: "
                + ("a thread that time stands still for is not done" if self.holds else "no timer and no traffic")
            )
        return found

    def _has_sockets(self) -> bool:
        return len(self.get_map()) > 1  # the first is the loop's own pipe


class LoopThread:
    """A daemon thread whose loop runs until ``close``."""

    def __init__(self, name: str) -> None:
        """Start the thread; return once its loop runs."""
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._work, args=(started,), name=name, daemon=True)
        self._thread.start()
        self._loop = started.result()

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the thread's loop and block until it is done."""
        return self._submit(coroutine).result()

    async def wait_for(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine on the thread's loop and await it in the running loop."""
        return await asyncio.wrap_future(self._submit(coroutine))

    def close(self) -> None:
        """Cancel what is left on the loop, close it, and join the thread."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _submit(self, coroutine: Coroutine[Any, Any, _T]) -> Future[_T]:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _work(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        # asyncio's own loop: a policy or a test's loop factory may make loops that cannot run in a second thread.
        try:
            with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                runner.run(self._until_ended(started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)  # without a free file descriptor, say, there is no loop

    async def _until_ended(self, started: "Future[asyncio.AbstractEventLoop]") -> None:
        self._ended = asyncio.Event()
        started.set_result(asyncio.get_running_loop())
        await self._ended.wait()
