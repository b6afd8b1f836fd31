"""What a mirror reports: what a pull has brought, and what the file holds."""

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from spotdx_async.errors import InvalidInputError

__all__ = ["MirrorError", "MirrorState", "NounPull", "PullProgress", "PullReport"]


class MirrorError(InvalidInputError):
    """A mirror's file cannot be used; the message says why and what to do. It is as it was.

    Attributes:
        reason: ``"path"`` (it cannot be created or opened), ``"not a mirror"``, ``"newer"`` or ``"older"`` (made by
            another version of the SDK), ``"phi"`` (made with, or without, patient data), ``"account"`` (filled from
            another account or server), ``"in use"`` (by another pull or program), ``"disk"`` (full, failing, or no more
            files can be opened) or ``"corrupt"``.
    """

    def __init__(self, message: str = "", *, reason: str = "path", **about: object) -> None:
        super().__init__(message, **about)  # type: ignore[arg-type]  # what all errors carry
        self.reason = reason


@frozen(kw_only=True)
class NounPull:
    """What one pull has brought of kits, of orders or of requisitions."""

    delivered: int = 0
    """Objects whose rows were written."""
    lists: int = 0
    """Pages of the list that were fetched."""
    gets: int = 0
    """Objects that were got."""
    unread: int = 0
    """Objects that changed and could not be got, now or before; every pull tries them again. Also rows of the list that
    show no id, and what was listed and is gone: those are counted once."""
    untold: int = 0
    """In a sweep: objects that had changed although the list showed the ``updated`` that was known."""


@frozen(kw_only=True)
class PullReport:
    """What a pull has brought."""

    kits: NounPull = NounPull()
    orders: NounPull = NounPull()
    requisitions: NounPull = NounPull()
    files: int = 0
    """Files of reports that were saved."""
    files_failed: int = 0
    """Files of reports that could not be saved; the next pull tries them again."""
    elapsed_s: float = 0.0
    is_sweep: bool = False

    @property
    def unread(self) -> int:
        """Objects that could not be got, of all three."""
        return self.kits.unread + self.orders.unread + self.requisitions.unread


@frozen(kw_only=True)
class PullProgress:
    """How far a pull is."""

    noun: str
    """``kits``, ``orders`` or ``requisitions``."""
    so_far: NounPull
    """What it has brought of that."""


@frozen(kw_only=True)
class MirrorState:
    """What a mirror holds."""

    phi: bool
    """Whether it holds patient data."""
    rows: Mapping[str, int] = field(factory=dict)
    """Rows by table."""
    statuses: Mapping[str, Mapping[str, int]] = field(factory=dict)
    """How many kits, samples, orders and requisitions have each status, by table; ``""`` for those without one."""
    last_pull: datetime | None = None
    """When the last pull that was completed began, aware, in UTC; None if none was."""
    is_complete: bool = False
    """Whether the last pull was completed."""
    unread: int = 0
    """Objects that the last pull could not read, so that the mirror lacks what has changed in them."""
