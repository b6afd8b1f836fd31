"""What was executed, in order: updates of metadata, and what was created. Pure; knows no rules."""

from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Creation", "LedgerEntry", "Noun", "OrderLedgerEntry"]

Noun = Literal["order", "requisition", "patient", "activation", "registration token"]


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One executed update of a kit's metadata."""

    kit_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The place of its request in ``requests``."""


@dataclass(frozen=True, slots=True)
class OrderLedgerEntry:
    """One executed update of an order's metadata."""

    order_id: str
    metadata: dict[str, Any] = field(repr=False)
    """The value that the update set."""
    index: int
    """The place of its request in ``requests``."""


@dataclass(frozen=True, slots=True)
class Creation:
    """One executed create: what must not happen twice."""

    noun: Noun
    an_id: str = field(repr=False)
    """Of what was created; of an activation the kit's, of a registration token its number, never the token."""
    body: dict[str, Any] = field(repr=False)
    """What was sent."""
    index: int
    """The place of its request in ``requests``."""
