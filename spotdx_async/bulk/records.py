"""What goes into a bulk run and what comes out of it."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Generic, Literal, TypeAlias, TypeVar, get_args

from attrs import field, frozen

from spotdx_async._codec.encoding import Encode, check_encode
from spotdx_async._requests.operation import check_id, check_metadata
from spotdx_async.errors import InvalidInputError, SpotError

__all__ = [
    "DONE_BEFORE",
    "FAILURES",
    "MEANINGS",
    "STATES",
    "UPDATES",
    "InvalidRow",
    "Journal",
    "KitRow",
    "MetadataUpdate",
    "Noun",
    "OrderMetadataUpdate",
    "OrderRow",
    "Outcome",
    "Progress",
    "SharedByRowsError",
    "State",
    "Update",
]

T_co = TypeVar("T_co", covariant=True)

State = Literal["ok", "rejected", "failed", "unknown", "superseded", "skipped"]
STATES: tuple[State, ...] = get_args(State)
FAILURES: frozenset[State] = frozenset({"rejected", "failed", "unknown"})
MEANINGS: Mapping[State, str] = MappingProxyType(
    {
        "ok": "done",
        "rejected": "a bad row, not sent",
        "failed": "refused by the server, or certainly not executed",
        "unknown": "perhaps executed: no usable answer, or a server error (5xx)",
        "superseded": "replaced by a newer value",
        "skipped": "read, but not sent",
    }
)
"""What tables for people say of each state."""
DONE_BEFORE = "done in an earlier session"
"""What they say of a skipped row that a journal has as done."""
Noun = Literal["kits", "orders"]
"""Whose metadata rows set."""


class SharedByRowsError(InvalidInputError):
    """A row has a key, or a reference, that an earlier row of the run has.

    Attributes:
        first: the index of that row.
        what: what both have, in words.
    """

    def __init__(self, message: str = "", *, first: int = 0, what: str = "", **about: Any) -> None:
        super().__init__(message, **about)
        self.first = first
        self.what = what


class _Update:
    """What updates of kits and orders have in common."""

    __slots__ = ()
    ID_NAME: ClassVar[str]
    metadata: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The id: updates of one key keep their order."""
        return getattr(self, self.ID_NAME)  # type: ignore[no-any-return]

    def check(self, *, allow_any_id: bool = False, encode: Encode | None = None) -> None:
        """Check the row as sending would, without sending.

        Args:
            allow_any_id: as for the client.
            encode: as for the client.

        Raises:
            InvalidInputError: with the fault and its place; it shows no value.
            ConfigError: ``encode`` is no plain function.
        """
        check_id(self.ID_NAME, self.key, allow_any_id=allow_any_id)
        check_metadata(self.metadata, check_encode(encode))


@frozen
class MetadataUpdate(_Update):
    """One row of a bulk update of kits."""

    ID_NAME: ClassVar[str] = "kit_id"

    kit_id: str
    """The id of the kit whose metadata to set."""
    metadata: Mapping[str, Any] = field(repr=False)
    """What to set it to: string keys, JSON values."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """Anything that identifies the row to you, such as a primary key: the row's outcome has it as ``Outcome.source``.
    It is never sent, logged or written to a journal, and no repr shows it. It does not travel with a shard: reports of
    distributed runs name rows by their index."""


@frozen
class OrderMetadataUpdate(_Update):
    """One row of a bulk update of orders."""

    ID_NAME: ClassVar[str] = "order_id"

    order_id: str
    """The id of the order whose metadata to replace."""
    metadata: Mapping[str, Any] = field(repr=False)
    """What to set it to: string keys, JSON values."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""


@frozen
class InvalidRow:
    """Stands for a row that is already known to be bad: nothing is sent for it, and it comes out as ``rejected``."""

    error: InvalidInputError = field()
    """What is wrong with it."""
    source: Any = field(default=None, kw_only=True, eq=False, repr=False)
    """As that of a ``MetadataUpdate``."""

    @error.validator
    def _check_error(self, _: object, error: object) -> None:
        if not isinstance(error, InvalidInputError):
            raise InvalidInputError(f"InvalidRow takes an InvalidInputError, not {type(error).__name__}")


Update: TypeAlias = MetadataUpdate | OrderMetadataUpdate
UPDATES: Mapping[Noun, type[Update]] = MappingProxyType({"kits": MetadataUpdate, "orders": OrderMetadataUpdate})
_Pair: TypeAlias = tuple[str, Mapping[str, Any]]
KitRow: TypeAlias = MetadataUpdate | _Pair | InvalidRow | InvalidInputError
"""A row of a bulk update of kits; an error alone stands for a bad row too, one without a ``source``."""
OrderRow: TypeAlias = OrderMetadataUpdate | _Pair | InvalidRow | InvalidInputError
"""The same of orders."""


@frozen(kw_only=True)
class Outcome(Generic[T_co]):
    """What became of one row."""

    index: int
    """The row's place in the input, from 0."""
    key: str | None
    """The kit's or order's id; None if a bad row has none."""
    state: State
    """``ok``: done. ``rejected``: a bad row, nothing sent. ``failed``: refused by the server for good, or certainly not
    executed. ``unknown``: an attempt may have been executed, and no later one succeeded. ``superseded``: a newer value
    took its place. ``skipped``: a journal shows it done (``error`` is None), or the run stopped before it was
    (``error`` says why)."""
    value: T_co | None = field(default=None, repr=False)
    """The decoded answer of an ``ok`` row; None without decoding, or if the answer had another shape (then ``error`` is
    a DecodeError, and the update is done all the same)."""
    error: SpotError | None = None
    """Why a row is not ``ok``."""
    attempts: int = 0
    """Requests made for it."""
    elapsed_s: float = 0.0
    """Seconds from taking it up to its outcome, including waits."""
    request_s: float = 0.0
    """Seconds that its last request took, from connection to last byte, without waits for a permit or a rate limit."""
    source: Any = field(default=None, eq=False, repr=False)
    """The very object that the row had as its ``source``; None where it had none, as a pair of id and metadata."""
    object_id: str | None = None
    """The id of what the row has created, for ``ok`` rows of a run that creates, and for rows ``skipped`` or
    ``rejected`` because that was done before; None for all others, and where the answer did not tell it."""

    @property
    def ok(self) -> bool:
        """Whether this run has executed the update."""
        return self.state == "ok"

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do for the row: executed now or before, or overtaken by a newer value."""
        return self.state in {"ok", "superseded"} or (self.state == "skipped" and self.error is None)


@frozen(kw_only=True)
class Progress:
    """How far a bulk run is at one moment."""

    done: int
    """Rows that have their outcome."""
    by_state: Mapping[State, int]
    """The same by state, each of the six states present; their sum is ``done``."""
    rate: float
    """Rows a second over the last ten seconds."""
    eta_s: float | None
    """Seconds to go at this rate; None if the number of rows is not known, or nothing moves."""
    throttled: int
    """Answers so far that said that requests come too fast (429)."""
    is_paused: bool
    """Whether the server is unavailable: rows are paused, probing one at a time."""
    elapsed_s: float
    """Seconds since the run began."""
    total: int | None
    """Rows of the input, if it says how many it has."""

    @property
    def gate_open(self) -> bool:
        """The opposite of ``is_paused``. Deprecated since 0.2: it will go with 1.0."""
        return not self.is_paused


@frozen
class Journal:
    """The file in which a run records which rows are done, so that the same run can be resumed."""

    path: str | os.PathLike[str]
    """A file that does not exist yet, or one that an earlier session of the same run has left."""
    fingerprint: str | None = None
    """What the input must be to resume, such as a digest of its files; None: only rows that were sent are compared."""
