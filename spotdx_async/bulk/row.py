"""A row on its way, with what its attempts have shown."""

from typing import Any, Literal, TypeAlias

from attrs import define, field

from spotdx_async._http.clock import NEVER_S
from spotdx_async._http.messages import AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.journal.records import RowDigests
from spotdx_async.bulk.outage_signs import Seen

Effect: TypeAlias = Literal["sets", "creates", "reads"]
"""What executing a row's request does: sets a value, which may be repeated; creates something, which must not be; or
changes nothing."""

_MOST_OVERTAKEN = 250
"""Rows that one row may overtake before the journal hears of them: their digests are kept until it has ended."""
_ROW_SIZE = 1024
"""Bytes that a row takes beside its body, with its timer while it rests (tracemalloc)."""
_OVERTAKEN_SIZE = 256
"""The same for each row that it has overtaken: a tuple and its digests."""


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its attempts have shown."""

    index: int
    key: str = field(repr=False)
    """The id whose metadata to set."""
    body: bytes = field(repr=False)
    """The body to send: written when the row was read, so that later changes to the mapping have no effect."""
    digests: RowDigests | None = field(default=None, repr=False)
    """Its digests for the journal; None without a journal."""
    source: Any = field(default=None, repr=False)
    """Whatever the caller identifies the row by: handed back with its outcome, and used for nothing else."""
    effect: Effect = "sets"
    """What executing it does."""
    target: Any = field(default=None, repr=False)
    """What the send gets beside the body: the id in the path, or the whole request."""
    object_id: str | None = field(default=None, repr=False)
    """The id of what it has created, once that is known."""
    attempt_state: AttemptState = field(factory=AttemptState, repr=False)
    """What is known of its attempts."""
    tries: int = 0
    """Tries so far; a try with a renewed token makes two requests."""
    attempts: int = 0
    """Requests made."""
    failing_since_s: float = float("-inf")
    """When the request of its first failed try began."""
    charged: int = 0
    """Failed tries while the run was not paused."""
    odds: tuple[float, ...] = ()
    """How likely each of these was if it was not the row's own fault: the share of others that failed at the time."""
    seen: Seen = field(factory=Seen, repr=False)
    """What was known of other rows when it first failed."""
    others_served: bool = False
    """Whether another row was served between the first and the last of its failures."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    lands_until_s: float = NEVER_S
    """Until when a try without a usable answer may still be executed, even after a later one was answered."""
    rests_until_s: float = NEVER_S
    """Not tried before then: an earlier value of its key may land until then, or calls come too fast."""
    is_held: bool = False
    """Whether it waits until an earlier value of its key cannot land any more, or for another try, or is behind a row
    that does: it then counts beside the window until its turn comes."""
    is_probe: bool = False
    """Whether it is the one that is tried while the run is paused."""
    last: Verdict | None = field(default=None, repr=False)
    """The verdict on the last try that failed."""
    observation: CallObservation | None = field(default=None, repr=False)
    """Reports it to the observers, once it is taken up; None if there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    overtaken: list[tuple[int, RowDigests, bool]] = field(factory=list, repr=False)
    """Rows whose place it has taken, and whether an earlier session may have sent them: the journal records them when
    it has ended."""

    @property
    def size(self) -> int:
        """Approximate memory in bytes."""
        return _ROW_SIZE + len(self.body) + len(self.overtaken) * _OVERTAKEN_SIZE

    @property
    def may_be_executed(self) -> bool:
        """Whether an attempt may have changed something, in this session or an earlier one."""
        if self.effect == "reads":
            return False
        return self.attempt_state.may_be_executed or self.attempt_state.may_have_arrived

    @property
    def can_be_overtaken(self) -> bool:
        """Whether a newer row may take its place: it has not been taken up yet."""
        return self.began_s is None and len(self.overtaken) < _MOST_OVERTAKEN

    def hold(self) -> None:
        """Mark it as held, and shrink it to the size it reports: orjson leaves 4 KB behind the smallest body."""
        self.is_held = True
        self.body = memoryview(self.body).tobytes()

    def become(self, newer: "Row") -> None:
        """Become the newer row, in the same place; nothing has been tried yet."""
        if self.digests is not None:
            self.overtaken.append((self.index, self.digests, self.attempt_state.may_be_executed))
        self.index, self.body, self.digests, self.source, self.attempt_state = (
            newer.index,
            newer.body,
            newer.digests,
            newer.source,
            newer.attempt_state,
        )
        # What an earlier session may have sent of either: the older value would land over the newer one.
        self.rests_until_s = max(self.rests_until_s, self.lands_until_s)
        self.lands_until_s = max(self.lands_until_s, newer.lands_until_s)
        if self.is_held:
            self.hold()
