"""What an error of a create carries for ``reconcile``; knows no error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, repr=False)
class Clue:
    """What it takes to find out whether a create was executed, for ``reconcile``; its ``repr`` shows no value."""

    client_ref: str | None = None
    """The reference in the metadata of what was to be created; None if there is none."""
    client_ref_key: str | None = None
    """The key of that reference in the metadata."""
    began_at: datetime | None = None
    """When the call began, aware, in UTC: nothing can have been created before."""
    may_land_until: datetime | None = None
    """How long the server may still execute the request, going by ``timeout_s``; aware, in UTC."""
    subject: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """The barcode of a requisition, the kit and patient of an activation. Never pickled."""

    def __repr__(self) -> str:
        return "<Clue>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle everything except ``subject``, which may hold patient data."""
        return type(self), (self.client_ref, self.client_ref_key, self.began_at, self.may_land_until)

    def __copy__(self) -> Clue:
        """Return itself: it never changes, and a copy within the process must lose nothing."""
        return self

    def __deepcopy__(self, memo: Any) -> Clue:
        """Return itself, like ``copy``."""
        return self
