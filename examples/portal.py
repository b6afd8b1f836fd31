"""Synchronous code, such as Django, Flask or Celery: one client in a thread with an event loop, for all other threads.

To try it:

    $ pip install '.[cli]'    # in a checkout, as docs/install.md says
    $ spotdx sandbox --port 8123    # in another terminal; then set the two variables that it prints
    $ python examples/portal.py SPOT123456
"""

import asyncio
import atexit
import os
import sys
from collections.abc import Coroutine
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, TypeVar

from spotdx_async import SpotClient, SpotError

T = TypeVar("T")


class Portal:
    """A client in a loop of its own; a call blocks only the thread that makes it."""

    def __init__(self, spot: SpotClient) -> None:
        """Start the thread; the client belongs to it from now on."""
        self.spot, self.pid = spot, os.getpid()
        self._is_over, self._loop = asyncio.Event(), Future[asyncio.AbstractEventLoop]()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), name="spot portal", daemon=True)
        self._thread.start()

    async def _serve(self) -> None:
        self._loop.set_result(asyncio.get_running_loop())
        async with self.spot:
            await self._is_over.wait()
        calls = asyncio.all_tasks() - {asyncio.current_task()}  # the close has ended them: let them say so
        await asyncio.wait_for(asyncio.gather(*calls, return_exceptions=True), timeout=5)

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return what a coroutine returns, or raise what it raises: the SDK's own errors."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop.result())
        try:
            return future.result()
        except BaseException:  # Ctrl-C, or a time limit that interrupts this thread: what is not sent stays so
            future.cancel()
            raise

    def close(self) -> None:
        """Close the client; calls of other threads end as not sent, or as unknown where a request was sent."""
        if self.pid == os.getpid() and self._thread.is_alive():  # a forked child has the object, but not the thread
            self._loop.result().call_soon_threadsafe(self._is_over.set)
            self._thread.join()


_lock, _portals = Lock(), list[Portal]()


def portal() -> Portal:
    """Return this process's portal, made at the first call: no thread of a parent's lives on in a forked child."""
    with _lock:
        if not _portals or _portals[-1].pid != os.getpid():
            _portals.append(Portal(SpotClient()))
            atexit.register(_portals[-1].close)
        return _portals[-1]


def set_cohort(kit_id: str, cohort: str) -> str:
    """Do what a synchronous view or task does, within five seconds, and say what became of it."""
    spot = portal().spot.with_options(deadline_s=5)
    try:
        kit = portal().call(spot.kits.update_metadata(kit_id, {"cohort": cohort}))
    except SpotError as error:
        return f"{type(error).__name__}: {error}"
    return f"{kit.kit_id} {kit.status}"


if __name__ == "__main__":
    print("\n".join(set_cohort(name, "A") for name in sys.argv[1:]))
