"""One step of a life: from which statuses it may be taken and which it leads to. Pure; knows no kit."""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Lifecycle", "Step", "enter"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step, such as the delivery of a kit."""

    name: str
    """What a test calls to take it."""
    leads_to: str
    """The status after it."""
    after: tuple[str, ...]
    """The statuses from which it may be taken."""
    first: str = ""
    """What a test calls to get to one of them."""

    def check(self, what: str, status: Any) -> None:
        """Refuse the step where it is not its turn.

        Raises:
            ValueError: another step has to come first, or it is too late for this one.
        """
        if status not in self.after:
            hint = f" ({self.first} has to come first)" if self.first else ""
            raise ValueError(f"{self.name} needs {what} that is {' or '.join(self.after)}{hint}; this one is {status}")

    def take(self, what: str, document: MutableMapping[str, Any], at: str) -> None:
        """Set the status and append the event, where it is the step's turn.

        Raises:
            ValueError: as ``check``.
        """
        self.check(what, document.get("status"))
        enter(document, self.leads_to, at)


def enter(
    document: MutableMapping[str, Any], status: str, at: str, names: tuple[str, str] = ("status", "created")
) -> None:
    """Set a document's status and append the event to its ``events``; ``names`` are those of an event's two fields."""
    document["status"] = status
    document["events"] = [*(document.get("events") or ()), dict(zip(names, (status, at), strict=True))]


class Lifecycle(ABC):
    """What goes through steps: a document, the fake's clock, and somebody who takes note."""

    __slots__ = ()

    @property
    @abstractmethod
    def document(self) -> dict[str, Any]:
        """The thing as it is answered."""

    @abstractmethod
    def _now(self) -> str:
        """Give this instant by the fake's clock."""

    @abstractmethod
    def _moved(self, at: str) -> None:
        """Take note that a step was taken at that instant."""
