"""What goes into a bulk run and what comes out of it."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from attrs import field, frozen

from spotdx_async._pipeline.operation import check_id, check_metadata
from spotdx_async.errors import SpotError

__all__ = ["MetadataUpdate", "Outcome", "State"]

T_co = TypeVar("T_co", covariant=True)

State = Literal["ok", "rejected", "failed", "unknown", "superseded", "skipped"]


@frozen
class MetadataUpdate:
    """One row of a bulk update."""

    kit_id: str
    """Whose metadata to set."""
    metadata: Mapping[str, Any] = field(repr=False)
    """What to set it to: string keys, JSON values."""

    def check(self) -> None:
        """Check the row as sending would, without sending.

        Raises:
            InvalidInputError: saying what is wrong and where; it shows no value.
        """
        check_id("kit_id", self.kit_id)
        check_metadata(self.metadata)


@frozen(kw_only=True)
class Outcome(Generic[T_co]):
    """What became of one row."""

    index: int
    """The row's place in the input, from 0."""
    key: str | None
    """The kit id; None where a bad row has none."""
    state: State
    """``ok``: done. ``rejected``: a bad row, nothing sent. ``failed``: the server's final no, or surely not executed.
    ``unknown``: sent without a usable answer. ``superseded``: a newer value took its place. ``skipped``: the run
    stopped before it, or a journal shows it done."""
    value: T_co | None = field(default=None, repr=False)
    """The decoded answer of an ``ok`` row; None without decoding, or where the answer had another shape (then ``error``
    is a DecodeError, and the update is done all the same)."""
    error: SpotError | None = None
    """Why a row is not ``ok``."""
    attempts: int = 0
    """Requests made for it."""
    elapsed_s: float = 0.0
    """Seconds from taking it up to its outcome, waits included."""

    @property
    def ok(self) -> bool:
        """Whether the update is done."""
        return self.state == "ok"
