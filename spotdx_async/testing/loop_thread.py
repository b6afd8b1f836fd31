"""A thread with an event loop of its own, for a server that answers while the caller's thread waits or blocks."""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class LoopThread:
    """A daemon thread whose loop runs until ``close``."""

    def __init__(self, name: str) -> None:
        """Start the thread; return once its loop runs."""
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(target=self._work, args=(started,), name=name, daemon=True)
        self._thread.start()
        self._loop = started.result()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread's loop and block until it is done."""
        return self._submit(coroutine).result()

    async def wait_for(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the thread's loop and await it in the running loop."""
        return await asyncio.wrap_future(self._submit(coroutine))

    def close(self) -> None:
        """Cancel what is left on the loop, close it, and join the thread."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
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
