"""What goes into a journal and what comes out of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeAlias

from attrs import frozen

from spotdx_async.bulk.records import State

__all__ = ["JournalState", "Known", "Recorded", "RowDigests"]


@frozen
class RowDigests:
    """What a journal keeps of a row."""

    content: bytes
    """Of its key and its content: whether it is the same row."""
    key: bytes
    """Of its key alone: whether it is for the same kit or order."""
    may_land: bool = False
    """Whether a try of the row may be carried out after it has ended: a later session holds the next value of its key.
    """


Recorded: TypeAlias = tuple[int, State, RowDigests]
"""A row's number, how it ended, and its digests."""


@frozen
class Known:
    """What an earlier session has recorded of a row."""

    state: State
    """How it ended."""
    content: bytes
    """The digest of its key and its content."""


@frozen(kw_only=True)
class JournalState:
    """What a journal tells of its run."""

    path: str
    """Where it lies."""
    version: int
    """Of its form."""
    operation: str
    """What the run does: the method and the path template."""
    rows: int
    """Rows recorded."""
    by_state: Mapping[State, int]
    """The same by state, each of the six states present; rows that were only ``skipped`` are never recorded."""
    next_index: int
    """The first row number above all that are recorded; rows below it may be missing."""
    begun_at: datetime
    """When the first session began, UTC."""
    changed_at: datetime
    """When it was last written, UTC."""
    sessions: int
    """How often the run was begun or resumed."""
    ending: str | None
    """How the last session ended, such as ``complete``; None while it goes on, and after it was killed."""
    in_use: bool
    """Whether a run has it at this moment."""
