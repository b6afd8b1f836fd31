"""A queue for each key: its rows go one after the other, those of different keys side by side."""

from attrs import define, field

from spotdx_async._http.clock import NEVER_S
from spotdx_async._http.messages import AttemptState, Verdict
from spotdx_async._observe.dispatch import CallObservation
from spotdx_async.bulk.first_tries import Seen
from spotdx_async.bulk.journal.file import RowDigests

__all__ = ["KeyQueues", "Row"]

_MOST_OVERTAKEN = 250
"""Rows that one row may overtake while nothing tells the journal of them: their digests are kept until it has ended."""
_LEAST_TO_SWEEP = 1024
_ROW_SIZE = 1024
"""Bytes that a row takes beside its body, with its timer while it rests (tracemalloc)."""
_OVERTAKEN_SIZE = 256


@define(eq=False)
class Row:
    """A row that was read and has no outcome yet, with what its tries have shown."""

    index: int
    key: str = field(repr=False)
    """Whose metadata to set."""
    body: bytes = field(repr=False)
    """What to send: written when the row was read, so that nothing that is done to the mapping later changes it."""
    digests: RowDigests | None = field(default=None, repr=False)
    """The journal's marks of it; None without a journal."""
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
    """How likely each of these was if it was not its own fault: what others failed with at the time."""
    seen: Seen = field(factory=Seen, repr=False)
    """What was known of others when it had first failed."""
    others_served: bool = False
    """Whether another row was served between the first and the last of its failures."""
    began_s: float | None = None
    """When it was taken up, on the loop's clock; None while it only waits."""
    request_s: float = 0.0
    """Seconds that the last request took."""
    lands_until_s: float = NEVER_S
    """Until when a try without a usable answer may still be carried out, also after a later one was answered."""
    rests_until_s: float = NEVER_S
    """Until when it is not tried: an earlier value of its key may land till then, or calls come too fast."""
    is_held: bool = False
    """Whether it waits until an earlier value of its key cannot land any more, or for another try, or has come behind
    a row that did: it stands beside the window until its turn has come."""
    is_probe: bool = False
    """Whether it is the one that is tried while the run is paused."""
    last: Verdict | None = field(default=None, repr=False)
    """On the last try that failed."""
    observation: CallObservation | None = field(default=None, repr=False)
    """What observers are told through, once it is taken up; None where there are none."""
    following: "Row | None" = field(default=None, repr=False)
    """The next row of the same key, which waits for this one's outcome."""

    overtaken: list[tuple[int, RowDigests, bool]] = field(factory=list, repr=False)
    """Rows whose place it has taken, and whether an earlier session may have sent them: the journal hears of them when
    it has ended."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        return _ROW_SIZE + len(self.body) + len(self.overtaken) * _OVERTAKEN_SIZE

    @property
    def may_be_executed(self) -> bool:
        """Whether an attempt may have been carried out, in this session or an earlier one."""
        return self.attempt_state.may_be_executed or self.attempt_state.may_have_arrived

    @property
    def can_be_overtaken(self) -> bool:
        """Whether a newer row may take its place: it has not been taken up yet."""
        return self.began_s is None and len(self.overtaken) < _MOST_OVERTAKEN

    def hold(self) -> None:
        """Mark it as held, and let it take as little as its size says: orjson leaves 4 KB behind the smallest body."""
        self.is_held = True
        self.body = memoryview(self.body).tobytes()

    def become(self, newer: "Row") -> None:
        """Stand for the newer row from now on, in the same place; nothing has been tried yet."""
        if self.digests is not None:
            self.overtaken.append((self.index, self.digests, self.attempt_state.may_be_executed))
        self.index, self.body, self.digests, self.attempt_state = (
            newer.index,
            newer.body,
            newer.digests,
            newer.attempt_state,
        )
        # What an earlier session may have sent of either: of the older one it would land over the newer.
        self.rests_until_s = max(self.rests_until_s, self.lands_until_s)
        self.lands_until_s = max(self.lands_until_s, newer.lands_until_s)
        if self.is_held:
            self.hold()


class KeyQueues:
    """Who may go now, and who waits for whom; and which keys rest, since an earlier value may still land."""

    def __init__(self) -> None:
        self._last: dict[str, Row] = {}
        self._rests_until_s: dict[str, float] = {}
        self._sweep_at = _LEAST_TO_SWEEP

    def last(self, key: str) -> Row | None:
        """The row of the key that came last, while its queue is in use."""
        return self._last.get(key)

    def enter(self, row: Row) -> bool:
        """Take a row in; whether it is its turn, which may be to rest, else it follows the row of its key before it."""
        key = row.key
        before = self._last.get(key)
        self._last[key] = row
        if before is None:
            if self._rests_until_s and (until_s := self._rests_until_s.pop(key, NEVER_S)) > row.rests_until_s:
                row.rests_until_s = until_s
            return True
        before.following = row
        if before.is_held:
            row.hold()
        return False

    def leave(self, row: Row, now_s: float) -> Row | None:
        """Tell that a row has its outcome; give the next one of its key, which rests while this one may land.

        Args:
            row: which has ended.
            now_s: on the loop's clock.
        """
        following, until_s = row.following, row.lands_until_s
        if following is None:
            del self._last[row.key]
            if until_s > now_s:
                self._rest(row.key, until_s, now_s)
        elif until_s > following.rests_until_s:
            following.rests_until_s = until_s
        return following

    def hold(self, row: Row) -> tuple[int, int]:
        """Mark a row and those behind it as held; give how many more are so now, and the bytes that they take."""
        count = size = 0
        each: Row | None = row
        while each is not None and not each.is_held:  # behind one that is held all are
            each.hold()
            count, size = count + 1, size + each.size
            each = each.following
        return count, size

    def _rest(self, key: str, until_s: float, now_s: float) -> None:
        """Remember that a key rests, should another row of it come; forget those that rest no more."""
        resting = self._rests_until_s
        resting[key] = until_s
        if len(resting) >= self._sweep_at:
            self._rests_until_s = {key: until_s for key, until_s in resting.items() if until_s > now_s}
            self._sweep_at = max(_LEAST_TO_SWEEP, 2 * len(self._rests_until_s))
