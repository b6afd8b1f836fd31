"""How many requests of a run may be on their way at once: fewer where that makes fewer fail. Pure: it knows no loop."""

from collections.abc import Collection

__all__ = ["AdaptiveConcurrency"]

_PERIOD_S = 1.0
"""Over which results are counted: some round trips, and little beside a run."""
_SHORT_PERIOD_S = 0.25
"""The same after a cut, which costs rows while it lasts: a server that was overloaded is relieved as soon as it has
answered what was under way, some round trips later."""
_LEAST_RESULTS = 20
"""In a period, also where it takes longer: at 2 results a second 10 s. With fewer, chance looks like a total outage."""
_CERTAINTY = 16.0
"""Results times odds that half the share of failures differs from the whole by two standard deviations."""
_UNANSWERED = 0.05
"""Of a period's requests that may be unanswered when it is judged: failures come back sooner than answers where a
server refuses at once what it cannot take."""
_MUCH = 0.1
"""Share of failures from which on less concurrency is tried. TCP and Netflix's AIMD cut at the first loss, and so reach
a few per cent of a rate of which a fixed share is lost; up to here repeats cost next to nothing."""
_CUT = 0.5
"""As TCP's. Netflix's 0.9 shows too little of what the cut has brought to be judged after one period."""
_STEPS = 64
"""From the least to the most, one for each short period: 16 s."""
_REST_S = (10.0, 20.0, 40.0, 60.0)
"""After a cut that has not helped until the next one: a quarter of a second at half the rate so costs about 1 %."""


class AdaptiveConcurrency:
    """Additive increase, multiplicative decrease; a cut that does not help is taken back.

    A server that has too much to do refuses less when less is asked of it. Where a fixed share fails whatever is sent,
    as with one bad backend of three, a cut takes rows a second and gives nothing. So every cut is a trial:

    1. More than a tenth of a period's results are bad: half of the requests that were on their way, for a quarter of a
       second at least.
    2. These results decide. Were load the cause, as many good results would be left, and fewer bad ones. Where the
       share is nearer to what it was, the cut is taken back, and that share counts as given until the next trial.
    3. Else: a 64th of the whole more, one at least, with each further quarter of a second.
    """

    def __init__(self, most: int) -> None:
        """Begin with the most that may be on their way at once."""
        self.limit: int = most
        self._most = most
        self._began_s = float("-inf")
        self._ended_s = float("inf")
        self._results = self._bad = self._in_flight = 0
        self._trial: tuple[float, int] | None = None
        self._given = 0.0
        self._unhelped = 0
        self._rests_until_s = float("-inf")

    def note(
        self, *, is_bad: bool, began_s: float, in_flight: int, sent: Collection[float], now: float
    ) -> float | None:
        """Take note of a result; give the share of bad ones where a period has ended.

        A period is made of the requests that begin in it, and judged when they are answered.

        Args:
            is_bad: what it is.
            began_s: when its request began; from outside the period it says nothing of it.
            in_flight: requests that were on their way, this one included.
            sent: when those began that still are.
            now: the time.
        """
        if self._began_s <= began_s <= self._ended_s:
            self._count(is_bad=is_bad, began_s=began_s, in_flight=in_flight)
            if self._ended_s > now and self._is_enough(now):
                self._ended_s = now
        if self._ended_s > now:
            return None
        if sum(self._began_s <= other_s <= self._ended_s for other_s in sent) > _UNANSWERED * self._results:
            return None
        share = self._bad / self._results
        self._judge(now)
        self._begin(now)
        return share

    def _count(self, *, is_bad: bool, began_s: float, in_flight: int) -> None:
        if not self._results and self._began_s == float("-inf"):
            self._began_s = began_s
        self._results += 1
        self._bad += is_bad
        self._in_flight += in_flight

    def _is_enough(self, now: float) -> bool:
        bad, count = self._bad, self._results
        period_s = _PERIOD_S if self.limit == self._most else _SHORT_PERIOD_S
        if now - self._began_s < period_s or count < _LEAST_RESULTS:
            return False
        return bad <= _MUCH * count or bad * count >= _CERTAINTY * (count - bad)

    def restart(self, now: float) -> None:
        """Begin anew after an outage; a trial that it has cut off is taken back."""
        if self._trial is not None:
            self.limit, self._trial = self._trial[1], None
        self._begin(now)

    def _begin(self, now: float) -> None:
        self._began_s, self._ended_s = now, float("inf")
        self._results = self._bad = self._in_flight = 0

    def _judge(self, now: float) -> None:
        results, share, in_flight = self._results, self._bad / self._results, self._in_flight / self._results
        if self._trial is not None:
            before, limit = self._trial
            self._trial = None
            by_load = max(0.0, 1 - (1 - before) / _CUT)
            if share > (before + by_load) / 2:
                self.limit, self._given = limit, before
                self._rests_until_s = now + _REST_S[min(self._unhelped, len(_REST_S) - 1)]
                self._unhelped += 1
                return
            self._unhelped = 0
        if now >= self._rests_until_s:
            self._given = 0.0
        half = int(min(in_flight, self.limit) * _CUT)
        # By chance alone the share of a period differs by up to two standard deviations from the one of before.
        margin = _MUCH if not self._given else max(_MUCH, 2 * (share * (1 - share) * 2 / results) ** 0.5)
        if share > self._given + margin and half >= 1:
            self._trial = (share, self.limit)
            self.limit = half
        elif share <= self._given + margin:
            self.limit = min(self._most, self.limit + max(1, self._most // _STEPS))
