"""The tasks of a run."""

import asyncio

from attrs import define

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
