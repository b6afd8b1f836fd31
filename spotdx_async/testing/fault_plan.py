"""Which fault plays on which request: a test's script, or a seeded mixture. Pure; knows no network."""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from threading import RLock

from spotdx_async.testing.faults import DEFAULT_MIXTURE, Fault, named
from spotdx_async.testing.routes import Call


@dataclass(slots=True)
class PlannedFault:
    """A fault, and the requests that it plays on."""

    fault: Fault
    times_left: int | None
    """How often it will still play; None for always."""
    kit_id: str | None = None
    order_id: str | None = None
    requisition_id: str | None = None
    method: str | None = None
    path: str | None = None
    """A path as sent, or a template such as ``/api/v2/kits/{kit_id}/``."""
    played: int = 0
    """How often it has played."""

    def matches(self, call: Call) -> bool:
        """Return whether it plays on this request and is not used up."""
        return (
            self.times_left != 0
            and (self.kit_id is None or self.kit_id == call.kit_id)
            and (self.order_id is None or self.order_id == call.order_id)
            and (self.requisition_id is None or self.requisition_id == call.requisition_id)
            and (self.method is None or self.method == call.method)
            and (self.path is None or self.path in {call.path, call.template})
        )

    def play(self) -> Fault:
        """Return the fault, and count it as played."""
        self.played += 1
        if self.times_left is not None:
            self.times_left -= 1
        return self.fault


class FaultPlan:
    """The faults to come: the first one added that matches a request plays; if none does, the random mixture may.

    Safe to change while the server answers in another thread.

    Attributes:
        played: how often each fault has played, by name.
    """

    def __init__(self) -> None:
        self.played: Counter[str] = Counter()
        self._planned: list[PlannedFault] = []
        self._rate = 0.0
        self._kinds: tuple[Fault, ...] = ()
        self._dice = random.Random()
        self._lock = RLock()

    def add(
        self,
        fault: Fault | str,
        *,
        times: int | None = 1,
        kit_id: str | None = None,
        order_id: str | None = None,
        requisition_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> PlannedFault:
        """Plan a fault.

        Args:
            fault: one made by a function of ``spotdx_async.testing.faults``, or a short name such as ``"503"``.
            times: how often it plays; None for always.
            kit_id: only for requests of this kit.
            order_id: only for requests of this order.
            requisition_id: only for requests of this requisition.
            method: only for this method.
            path: only for this path, as sent (without the query) or as a template such as ``/api/v2/kits/{kit_id}/``.

        Returns:
            The plan's entry: its ``played`` says how often it has played.

        Raises:
            ValueError: the name is unknown or an argument is out of range; the message says what is allowed.
        """
        _check_times(times)
        if path is not None and not path.startswith("/"):
            raise ValueError("path must start with '/'")
        method = method.upper() if method else None
        ids = (kit_id, order_id, requisition_id)
        planned = PlannedFault(_made(fault), times, *ids, method=method, path=path)
        with self._lock:
            self._planned.append(planned)
        return planned

    def random(self, rate: float, *, seed: int, kinds: Iterable[Fault | str] | None = None) -> None:
        """Play a mixture on that share of all requests, always the same for a seed; it replaces an earlier mixture.

        Args:
            rate: 0 to 1.
            seed: the seed of the sequence. The sequence follows the order of arrival, so concurrent calls may get
                different faults from run to run.
            kinds: the faults, each as often as the others; one named twice plays twice as often. None for every fault
                that costs no waiting.

        Raises:
            ValueError: the rate is out of range, there are no kinds, or a name is unknown.
        """
        if not 0 <= rate <= 1:
            raise ValueError("rate must be between 0 and 1")
        made = tuple(_made(kind) for kind in (DEFAULT_MIXTURE if kinds is None else kinds))
        if not made:
            raise ValueError("kinds must name at least one fault")
        with self._lock:
            self._rate, self._kinds, self._dice = rate, made, random.Random(seed)

    def clear(self) -> None:
        """Remove all faults, script and mixture; keep ``played``."""
        with self._lock:
            self._planned.clear()
            self._rate = 0.0

    def withdraw(self, planned: PlannedFault) -> int | None:
        """Remove an entry of the plan; return how often it would still have played, None for always."""
        with self._lock:
            left, planned.times_left = planned.times_left, 0
            self._planned = [other for other in self._planned if other is not planned]
            return left

    def pick(self, call: Call) -> Fault | None:
        """Return the fault that plays on this request, and count it; None for none."""
        with self._lock:
            planned = self._next(call)
            fault = self._random() if planned is None else self._use(planned)
            if fault is not None:
                self.played[fault.name] += 1
            return fault

    @property
    def has_early(self) -> bool:
        """Whether an early fault is planned."""
        with self._lock:
            return any(planned.fault.is_early for planned in self._planned)

    def pick_early(self, call: Call) -> Fault | None:
        """Return the scripted fault for this request if that is an early one, and count it; else None.

        Args:
            call: a request of which only the headers have arrived. A fault that is not early is left to ``pick``.
        """
        with self._lock:
            planned = self._next(call)
            if planned is None or not planned.fault.is_early:
                return None
            self.played[planned.fault.name] += 1
            return self._use(planned)

    def _next(self, call: Call) -> PlannedFault | None:
        return next((planned for planned in self._planned if planned.matches(call)), None)

    def _use(self, planned: PlannedFault) -> Fault:
        fault = planned.play()
        if planned.times_left == 0:
            self._planned.remove(planned)
        return fault

    def _random(self) -> Fault | None:
        if self._rate and self._dice.random() < self._rate:
            return self._dice.choice(self._kinds)
        return None

    def __repr__(self) -> str:
        return f"<FaultPlan: {len(self._planned)} planned, a share of {self._rate:g} at random>"


def _made(fault: Fault | str) -> Fault:
    if isinstance(fault, Fault):
        return fault
    if isinstance(fault, str):
        return named(fault)
    raise ValueError(f"a fault is a Fault or a short name, not {type(fault).__name__}")


def _check_times(times: object) -> None:
    if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
        raise ValueError("times must be a whole number from 1, or None for always")
