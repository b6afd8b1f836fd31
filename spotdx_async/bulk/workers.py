"""The tasks of a run, and those of them that wait for something to do."""

import asyncio

from attrs import define

from spotdx_async._http.waiters import WaiterQueue
from spotdx_async.bulk.row import Row


@define(eq=False)
class Worker:
    """A task of the run: one that runs rows, or one that does something for all of them, such as reading."""

    row: Row | None = None
    """The row it is running."""
    task: asyncio.Task[None] | None = None
    is_recalled: bool = False
    """Whether the engine has cancelled it."""
    is_cleaning_up: bool = False
    """Whether it has finished its work, and must not be disturbed."""

    def recall(self) -> None:
        """Cancel it, once: a second cancellation would interrupt its clean-up."""
        if self.task is not None and not self.is_recalled and not self.is_cleaning_up:
            self.is_recalled = True
            if self.row is not None:
                self.row.attempt_state.is_called_off = True
            self.task.cancel()

    def is_waiting(self) -> bool:
        """Whether it has a row whose current attempt was not handed to a connection."""
        return self.row is not None and not self.row.attempt_state.may_have_arrived


class IdleWorkers:
    """Workers that have found no row to send. A call with no waiter is lost: look for a row before waiting."""

    def __init__(self) -> None:
        self._queue: WaiterQueue[None] = WaiterQueue()
        self._count = 0

    async def wait(self) -> None:
        """Wait for a call."""
        self._count += 1
        try:
            await self._queue.wait(self._queue.add(None), self.call)
        finally:
            self._count -= 1

    def call(self) -> None:
        """Wake the one that has waited longest."""
        if self._count and (waiter := self._queue.pop()) is not None:
            waiter.grant()

    def call_all(self) -> None:
        """Wake all."""
        while (waiter := self._queue.pop()) is not None:
            waiter.grant()
