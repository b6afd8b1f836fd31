"""What the SDK says of an outage, for a run's own lines: which server, and why its rows do not get through."""

import logging
from types import TracebackType
from typing import Self

__all__ = ["OutageMessages"]

_WHAT_FOLLOWS = ": rows wait"


class OutageMessages(logging.Handler):
    """Keeps the last line that the log has about a closed gate; a context manager that listens while it is open."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.line: str = "the server is out of order: rows wait, and one at a time looks whether it is back"
        """The whole line."""

    @property
    def trouble(self) -> str:
        """The line's first part, which names the server and why its rows do not get through."""
        return self.line.partition(_WHAT_FOLLOWS)[0]

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line of a gate that closes."""
        if getattr(record, "spotdx_event", None) == "gate" and getattr(record, "spotdx_gate", None) == "closed":
            self.line = record.getMessage()

    def __enter__(self) -> Self:
        logging.getLogger("spotdx_async").addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("spotdx_async").removeHandler(self)
