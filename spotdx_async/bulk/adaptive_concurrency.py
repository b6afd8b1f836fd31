"""How many requests of a run may be in flight at once: fewer if that makes fewer fail. Pure: it knows no loop."""

from collections.abc import Collection
from math import log, nextafter, sqrt

from attrs import frozen

from spotdx_async.bulk.outage_signs import divergence

# Where a line below names no law, the value was chosen with benchmarks/bench_outages.py and the simulated servers of
# tests/unit/bulk/test_adaptive_concurrency.py, against these bars: 0.8 of what does not fail is kept at 0 to 40 %
# failures, 0.7 of the time that a flapping server is up, and no run against an overloaded server gets stuck.
_PERIOD_S = 1.0
"""The period over which results are counted: several round trips, and short beside a run."""
_SHORT_PERIOD_S = 0.25
"""The same after a cut, which costs rows while it lasts: an overloaded server is relieved as soon as it has answered
what was in flight, a few round trips later."""
_LEAST_RESULTS = 20
"""In a period, even if that takes longer: 10 s at 2 results a second. With fewer, chance looks like a total outage: 19
bad ones of 20 is the first count that ``TOTAL`` allows a good one in."""
_LEAST_FOR_CUT = 40
"""Results before a cut, unless nearly all are bad: of 20, chance makes 13 bad at a rate of 40 % once in 50 periods."""
_MOST_RESULTS = 200
"""A period ends without certainty after this many: then nothing is cut, and a cut on trial is taken back. A choice: in
flight at 64 at once they are three round trips; waiting for more would let a useless cut last."""
TOTAL = 0.95
"""An outage is total from this share of bad results in a period on. A choice: less than one good result in twenty is
not worth nineteen repeats."""
_UNANSWERED = 0.05
"""Share of a period's requests that may be unanswered when it is judged: failures come back sooner than answers if a
server refuses at once what it cannot handle. A choice: one slow request in twenty must not hold up the judgement."""
_MUCH = 0.1
"""Share of failures from which on less concurrency is tried. TCP and Netflix's AIMD cut at the first loss, and fall to
a few per cent of the rate when a fixed share is lost; up to this share, repeats cost next to nothing."""
_SURELY_MUCH = log(20)
"""Odds against chance from which on a share counts as larger than that, 20 to 1: the usual 5 % of a test. A needless
cut costs rows."""
_SURELY_HELPED = log(100)
"""How much better the results after a cut must agree with load than with chance, 100 to 1: a cut kept by mistake costs
rows until the limit has grown again, which takes long with a slow server."""
_SURELY_NOT_HELPED = log(20)
"""The reverse, 20 to 1: the next trial corrects a mistake."""
_SPARE = 0.9
"""A cut leaves this share of what was served at once, as that is what the server can handle: a larger share shows no
more, and costs more. Netflix's 0.9 of all requests shows too little to be judged after one period."""
_LEAST_LEFT = 0.125
"""Least share of the requests in flight that one cut leaves: if nearly all fail for reasons other than load, cuts are
costly."""
_DOUBT = 2.0
"""Standard deviations by which the share that led to a cut is taken to be smaller: of many periods it is one of the
largest (regression to the mean), and a cut that did nothing would seem to have helped."""
_STEPS = 64
"""Steps from the least to the most, one per short period: 16 s."""
_REST_S = (10.0, 20.0, 40.0, 60.0)
"""From a cut that did not help to the next: a quarter of a second at half the rate then costs about 1 %."""
_REST_RESULTS = 20
"""The same, in multiples of a cut's results: if they come slowly, a trial takes long and would cost much."""
_DIFFERENT = 3.0
"""Standard deviations by which a share exceeds the accepted one: a normal variable does in one of 740 periods by
chance."""


@frozen
class _Trial:
    """A cut whose results are awaited."""

    limit: int
    """The limit before it."""
    results: int
    bad: int
    by_chance: float
    """Expected share of bad results if load is not the cause."""
    by_load: float
    """The same if it is, and as many are served as before."""


class AdaptiveConcurrency:
    """Additive increase, multiplicative decrease; a cut that does not help is taken back.

    An overloaded server refuses less when less is asked of it. If a fixed share fails whatever is sent, as with one bad
    backend of three, a cut costs rows per second and gains nothing. So every cut is a trial:

    1. Certainly more than a tenth of a period's results are bad: cut to nine tenths of what was served at once, for at
       least a quarter of a second.
    2. These results decide. If load were the cause, there would be as many good results and fewer bad ones. If they
       look like chance instead, the cut is taken back, and their share counts as accepted until the next trial.
    3. Otherwise: a 64th of the whole more, at least one, with each further quarter of a second.

    Results are counted, not only seconds: ten requests a second show as much in ten seconds as a hundred in one.
    """

    def __init__(self, most: int) -> None:
        """Start with the most that may be in flight at once."""
        self.limit: int = most
        self._most = most
        self._began_s = float("-inf")
        self._ended_s = float("inf")
        self._results = self._bad = 0
        self._good_s = self._bad_s = self._busy_s = 0.0
        self._busy_until_s = float("-inf")
        self._trial: _Trial | None = None
        # The accepted share of failures, and the number of results that it was learned from.
        self._given, self._given_results = 0.0, 0
        self._unhelped = 0
        self._rests_until_s = float("-inf")
        self._rests_for = 0

    def note(self, *, is_bad: bool, began_s: float, sent: Collection[float], now: float) -> float | None:
        """Note a result; return the share of bad ones if a period has ended.

        A period consists of the requests that begin in it, and is judged when they are answered.

        Args:
            is_bad: whether the request failed.
            began_s: when its request began; a request from outside the period says nothing about it.
            sent: when the requests still in flight began.
            now: the time on the loop's clock.
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
        # A request that began at the same moment may have begun before the cut.
        self._began_s = now if self._trial is None else nextafter(now, float("inf"))
        self._ended_s = float("inf")
        self._results = self._bad = 0
        self._good_s = self._bad_s = self._busy_s = 0.0
        self._busy_until_s = float("-inf")

    def _is_surely_much(self) -> bool:
        share = self._bad / self._results
        return share > _MUCH and self._results * divergence(share, _MUCH) >= _SURELY_MUCH

    def _help(self, trial: _Trial) -> float:
        """Return how much better the results agree with load than with chance: the logarithm of the odds."""
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
        """Return whether certainly more than a tenth fail, and more than the accepted share."""
        if not self._is_surely_much():
            return False
        if not self._given:
            return True
        share = self._bad / self._results
        chance = _DIFFERENT * sqrt(share * (1 - share) * (1 / self._results + 1 / self._given_results))
        return share > self._given + max(_MUCH, chance)

    def _cut(self) -> None:
        results, share = self._results, self._bad / self._results
        # By Little's law, over the time in which any was in flight: the run may have rested in between.
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
    """Return the share of requests that a server of this capacity refuses after a cut, given the share before it."""
    if after <= served:
        return 0.0
    odds = share / (1 - share) * (after - served) / (before - served) if share < 1 else float("inf")
    return odds / (1 + odds) if share < 1 else 1.0
