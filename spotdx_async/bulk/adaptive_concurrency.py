"""How many requests of a run may be on their way at once: fewer where that makes fewer fail. Pure: it knows no loop."""

from collections.abc import Collection
from math import log, nextafter, sqrt

from attrs import frozen

from spotdx_async.bulk.outage_signs import divergence

_PERIOD_S = 1.0
"""Over which results are counted: some round trips, and little beside a run."""
_SHORT_PERIOD_S = 0.25
"""The same after a cut, which costs rows while it lasts: a server that was overloaded is relieved as soon as it has
answered what was under way, some round trips later."""
_LEAST_RESULTS = 20
"""In a period, also where it takes longer: at 2 results a second 10 s. With fewer, chance looks like a total outage."""
_LEAST_FOR_CUT = 40
"""So many before a cut, unless nearly all are bad: of 20, chance makes 16 bad where 40 % are."""
_MOST_RESULTS = 200
"""After which a period that takes longer for that ends without certainty: then nothing is cut, and a cut is taken back.
"""
TOTAL = 0.95
"""Share of bad results in a period from which on an outage is total: less than one good result in twenty is not worth
nineteen repeats."""
_UNANSWERED = 0.05
"""Of a period's requests that may be unanswered when it is judged: failures come back sooner than answers where a
server refuses at once what it cannot take."""
_MUCH = 0.1
"""Share of failures from which on less concurrency is tried. TCP and Netflix's AIMD cut at the first loss, and so reach
a few per cent of a rate of which a fixed share is lost; up to here repeats cost next to nothing."""
_SURELY_MUCH = log(20)
"""Odds against chance from which on a share counts as larger than that: a cut without need costs rows."""
_SURELY_HELPED = log(100)
"""How much better the results after a cut must agree with load than with chance: one that is kept by mistake costs rows
until the limit has grown again, which takes a slow server long."""
_SURELY_NOT_HELPED = log(20)
"""The reverse: the next trial mends a mistake."""
_SPARE = 0.9
"""A cut leaves so much of what was served at once, as that is what the server can take: a larger one shows no more, and
costs more. Netflix's 0.9 of all requests shows too little to be judged after one period."""
_LEAST_LEFT = 0.125
"""Of those on their way, by one cut: where nearly all fail for other reasons than load, it costs much."""
_DOUBT = 2.0
"""Standard deviations by which the share that led to a cut is taken for smaller: of many periods it is one of the
largest, and a cut that has done nothing would seem to have helped."""
_STEPS = 64
"""From the least to the most, one for each short period: 16 s."""
_REST_S = (10.0, 20.0, 40.0, 60.0)
"""After a cut that has not helped until the next one: a quarter of a second at half the rate so costs about 1 %."""
_REST_RESULTS = 20
"""The same in results of a cut: where they come slowly it takes long, and would cost much."""
_DIFFERENT = 3.0
"""Standard deviations by which a share exceeds the one that counts as given: one in 700 periods does by chance."""


@frozen
class _Trial:
    """A cut whose results are awaited."""

    limit: int
    """What it was before."""
    results: int
    bad: int
    by_chance: float
    """Share of bad results if load is not the cause."""
    by_load: float
    """The same if it is, and as many are served as before."""


class AdaptiveConcurrency:
    """Additive increase, multiplicative decrease; a cut that does not help is taken back.

    A server that has too much to do refuses less when less is asked of it. Where a fixed share fails whatever is sent,
    as with one bad backend of three, a cut takes rows a second and gives nothing. So every cut is a trial:

    1. Surely more than a tenth of a period's results are bad: nine tenths of what was served at once, for a quarter of
       a second at least.
    2. These results decide. Were load the cause, as many good results would be left, and fewer bad ones. Where they
       rather are what chance brings, the cut is taken back, and their share counts as given until the next trial.
    3. Else: a 64th of the whole more, one at least, with each further quarter of a second.

    Results are counted, not only seconds: ten requests a second show as much in ten seconds as a hundred in one.
    """

    def __init__(self, most: int) -> None:
        """Start with the most that may be under way at once."""
        self.limit: int = most
        self._most = most
        self._began_s = float("-inf")
        self._ended_s = float("inf")
        self._results = self._bad = 0
        self._good_s = self._bad_s = self._busy_s = 0.0
        self._busy_until_s = float("-inf")
        self._trial: _Trial | None = None
        # The share that counts as given, and the number of results that it is known from.
        self._given, self._given_results = 0.0, 0
        self._unhelped = 0
        self._rests_until_s = float("-inf")
        self._rests_for = 0

    def note(self, *, is_bad: bool, began_s: float, sent: Collection[float], now: float) -> float | None:
        """Note a result; return the share of bad ones where a period has ended.

        A period is made of the requests that begin in it, and judged when they are answered.

        Args:
            is_bad: what it is.
            began_s: when its request began; from outside the period it says nothing of it.
            sent: when those began that still are.
            now: the time.
        """
        if self._began_s <= began_s <= self._ended_s:
            self._count(is_bad=is_bad, began_s=began_s, now=now)
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

    def _count(self, *, is_bad: bool, began_s: float, now: float) -> None:
        if not self._results and self._began_s == float("-inf"):
            self._began_s = began_s
        self._results += 1
        if is_bad:
            self._bad += 1
            self._bad_s += now - began_s
        else:
            self._good_s += now - began_s
        self._busy_s += now - max(began_s, self._busy_until_s)
        self._busy_until_s = now

    def _is_enough(self, now: float) -> bool:
        count, trial = self._results, self._trial
        period_s = _PERIOD_S if self.limit == self._most else _SHORT_PERIOD_S
        if now - self._began_s < period_s or count < _LEAST_RESULTS:
            return False
        if count >= _MOST_RESULTS:
            return True
        if trial is not None:
            return not -_SURELY_NOT_HELPED < self._help(trial) < _SURELY_HELPED
        if self._bad <= _MUCH * count or self._bad >= TOTAL * count:
            return True
        return count >= _LEAST_FOR_CUT and self._is_surely_much()

    def restart(self, now: float) -> None:
        """Start again after an outage; a cut that was still on trial is taken back."""
        if self._trial is not None:
            self.limit, self._trial = self._trial.limit, None
        self._begin(now)

    def _begin(self, now: float) -> None:
        # What began at the same moment may have begun before the cut.
        self._began_s = now if self._trial is None else nextafter(now, float("inf"))
        self._ended_s = float("inf")
        self._results = self._bad = 0
        self._good_s = self._bad_s = self._busy_s = 0.0
        self._busy_until_s = float("-inf")

    def _is_surely_much(self) -> bool:
        share = self._bad / self._results
        return share > _MUCH and self._results * divergence(share, _MUCH) >= _SURELY_MUCH

    def _help(self, trial: _Trial) -> float:
        """How much better the results agree with load than with chance: the logarithm of the odds."""
        share = self._bad / self._results
        return self._results * (divergence(share, trial.by_chance) - divergence(share, trial.by_load))

    def _judge(self, now: float) -> None:
        trial, self._trial = self._trial, None
        if trial is not None:
            if self._help(trial) < _SURELY_HELPED:
                self._take_back(trial, now)
                return
            self._unhelped = 0
        self._rests_for -= self._results
        if now >= self._rests_until_s and self._rests_for <= 0:
            self._given = 0.0
        if not self._is_too_much():
            self.limit = min(self._most, self.limit + max(1, self._most // _STEPS))
        else:
            self._cut()

    def _is_too_much(self) -> bool:
        """Whether surely more fail than a tenth, and than what counts as given."""
        if not self._is_surely_much():
            return False
        if not self._given:
            return True
        share = self._bad / self._results
        chance = _DIFFERENT * sqrt(share * (1 - share) * (1 / self._results + 1 / self._given_results))
        return share > self._given + max(_MUCH, chance)

    def _cut(self) -> None:
        results, share = self._results, self._bad / self._results
        # By Little's law, over the time in which any was on its way: a run may have rested in between.
        whole_s = self._good_s + self._bad_s
        in_flight = min(self.limit, whole_s / self._busy_s) if self._busy_s else self.limit
        # By the time that they take, as refusals may come back sooner than answers; by number, where they take longer.
        served = in_flight * (1 - min(share, self._bad_s / whole_s if whole_s else share))
        less = max(1, min(self.limit - 1, round(max(_SPARE * served, _LEAST_LEFT * in_flight))))
        if less >= in_flight:
            return
        by_chance = share - _DOUBT * sqrt(share * (1 - share) / results)
        by_load = max(_refused(share, served, in_flight, less), by_chance / 8)
        if by_load < by_chance:
            self._trial = _Trial(self.limit, results, self._bad, by_chance, by_load)
            self.limit = less

    def _take_back(self, trial: _Trial, now: float) -> None:
        self.limit = trial.limit
        self._given_results = trial.results + self._results
        self._given = (trial.bad + self._bad) / self._given_results
        self._rests_until_s = now + _REST_S[min(self._unhelped, len(_REST_S) - 1)]
        self._rests_for = _REST_RESULTS * self._results
        self._unhelped += 1


def _refused(share: float, served: float, before: float, after: float) -> float:
    """Return the share of requests that a server of this capacity refuses after a cut, from the share before it."""
    if after <= served:
        return 0.0
    odds = share / (1 - share) * (after - served) / (before - served) if share < 1 else float("inf")
    return odds / (1 + odds) if share < 1 else 1.0
