"""What the SDK logs about an outage, for the lines of a bulk run."""

import logging
from types import TracebackType
from typing import Self

__all__ = ["OutageMessages"]

_WHAT_FOLLOWS = ": rows paused"


class OutageMessages(logging.Handler):
    """Keeps what the SDK last logged about an outage, for the run's own lines; a context manager that listens."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.line: str = "the server is unavailable: rows paused, probing one at a time"
        """The whole line."""

    @property
    def cause(self) -> str:
        """The line's first part, which names the server and why its rows do not get through."""
        return self.line.partition(_WHAT_FOLLOWS)[0]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line about a pause."""
        if getattr(record, "spotdx_event", None) == "gate" and getattr(record, "spotdx_gate", None) == "closed":
            self.line = record.getMessage()

    def __enter__(self) -> Self:
        logging.getLogger("spotdx_async").addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("spotdx_async").removeHandler(self)
