"""How far a run is: a live bar on a terminal, plain lines elsewhere; and the signals that stop it."""

import asyncio
import signal
import threading
from collections.abc import Callable, Mapping
from types import FrameType, MappingProxyType
from typing import Any, Self

from attrs import field, frozen
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from spotdx_async.bulk.records import STATES
from spotdx_async.bulk.stats import Throughput
from spotdx_async.cli.output import Streams, counted, duration, pace

_BAR_EVERY_S = 0.1
_LINE_EVERY_S = 5.0
_EVENT_EVERY_S = 1.0
# Of a terminal that goes away, too; Windows has none.
_SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


@frozen(kw_only=True)
class Standing:
    """How far a run has got at one moment."""

    rows: int
    """Rows that have their outcome."""
    failures: int
    """Those of them that were rejected, failed or ended unknown."""
    rows_per_s: float
    """Throughput over the last seconds."""
    share: float | None
    """How much of the input is done, 0 to 1; None if its size is not known."""
    left_s: float | None
    """Seconds left at this rate; None if that cannot be estimated."""
    elapsed_s: float = 0.0
    """Seconds since the beginning."""
    states: Mapping[str, int] = field(factory=dict)
    """The rows by state."""

    @property
    def text(self) -> str:
        """The same as one line."""
        parts = [counted(self.rows, "row"), pace(self.rows_per_s), counted(self.failures, "failure")]
        if self.share is not None:
            parts.append(f"{self.share:.0%} done")
        if self.left_s is not None:
            parts.append(f"{duration(self.left_s)} left")
        return ", ".join(parts)


class Estimator:
    """Estimates throughput and time left from the last seconds. Pure: the caller passes the time."""

    def __init__(self, now_s: float) -> None:
        self._began_s = now_s
        self._rows, self._share = Throughput(now_s), Throughput(now_s)

    def standing(
        self,
        now_s: float,
        *,
        rows: int,
        failures: int,
        share: float | None,
        states: Mapping[str, int] = MappingProxyType({}),
    ) -> Standing:
        """Record the moment and return how far the run is."""
        rows_per_s, share_per_s = self._rows.note(now_s, rows), self._share.note(now_s, share or 0.0)
        return Standing(
            rows=rows,
            failures=failures,
            rows_per_s=rows_per_s,
            share=share,
            left_s=(1 - share) / share_per_s if share is not None and share < 1 and share_per_s > 0 else None,
            elapsed_s=now_s - self._began_s,
            states=states,
        )


class Display:
    """Shows standings as plain lines, every few seconds."""

    every_s: float = _LINE_EVERY_S

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    def show(self, standing: Standing) -> None:
        """Show where the run stands now."""
        self._streams.say(standing.text)

    def close(self, last: Standing) -> None:
        """Leave the terminal to others; lines stay, and the summary says how it ended."""


class _Events(Display):
    """Events for a program, one JSON object a line."""

    every_s = _EVENT_EVERY_S

    def show(self, standing: Standing) -> None:
        self._streams.tell_event(
            "progress",
            elapsed_s=round(standing.elapsed_s, 3),
            rows=standing.rows,
            failures=standing.failures,
            states={state: standing.states.get(state, 0) for state in STATES},
            rows_per_s=round(standing.rows_per_s, 3),
            share=None if standing.share is None else round(standing.share, 6),
            left_s=None if standing.left_s is None else round(standing.left_s, 1),
        )

    def close(self, last: Standing) -> None:
        self.show(last)


class _Silence(Display):
    """Nothing, with ``--quiet``."""

    def show(self, standing: Standing) -> None:
        pass


class _Bar(Display):
    """A live bar, drawn over itself."""

    every_s = _BAR_EVERY_S

    def __init__(self, streams: Streams, title: str) -> None:
        super().__init__(streams)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[rows]}"),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[failures]}"),
            TextColumn("{task.fields[left]}"),
            console=streams.err.console,
            auto_refresh=False,
        )
        self._task: TaskID = self._progress.add_task(
            title, total=None, rows="0 rows", rate=pace(0), failures="0 failures", left=""
        )
        self._progress.start()

    def show(self, standing: Standing) -> None:
        self._progress.update(
            self._task,
            total=None if standing.share is None else 1.0,
            completed=standing.share or 0.0,
            rows=counted(standing.rows, "row"),
            rate=pace(standing.rows_per_s),
            failures=counted(standing.failures, "failure"),
            left="" if standing.left_s is None else f"{duration(standing.left_s)} left",
        )
        self._progress.refresh()

    def close(self, last: Standing) -> None:
        self.show(last)
        self._progress.stop()


def display_for(streams: Streams, title: str) -> Display:
    """Return what suits standard error: events for a program, a bar on a terminal that can draw one, else lines.

    With ``--quiet`` people get nothing.
    """
    if streams.tells_events:
        return _Events(streams)
    if streams.is_quiet:
        return _Silence(streams)
    if streams.err.is_live:
        return _Bar(streams, title)
    return Display(streams)


async def keep_showing(display: Display, look: Callable[[float], Standing]) -> None:
    """Show the standing again and again until cancelled; ``look`` gets the loop's time."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(display.every_s)
        display.show(look(loop.time()))


class StopSignals:
    """While entered, turns SIGINT, SIGTERM and SIGHUP into two steps: an orderly end first, then an end at once.

    SIGHUP stays ignored where it is, as under ``nohup``. Outside the main thread, or on loops without signal handlers,
    it does nothing.
    """

    def __init__(self, *, first: Callable[[], None], second: Callable[[], None]) -> None:
        self._steps = [first, second]
        self._held: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if number not in {signal.SIGINT, signal.SIGTERM} and before is signal.SIG_IGN:
                continue
            try:
                loop.add_signal_handler(number, self._step)
            # ValueError and RuntimeError: not the main thread. NotImplementedError: a loop on Windows.
            except (NotImplementedError, RuntimeError, ValueError):
                continue
            self._held[number] = before
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._held.items():
            asyncio.get_running_loop().remove_signal_handler(number)
            if before is not None:  # None: it was not set from Python
                signal.signal(number, before)

    def _step(self) -> None:
        if self._steps:
            self._steps.pop(0)()


class LateSignals:
    """Once a run is over, lets one signal pass: all that it could still cut off is the summary.

    A second one does what Ctrl-C does, since standard output may be a pipe that nobody reads. What is given back are
    the handlers of the moment when this was made, so make it where they are those to return to: not those of a loop
    that has ended by then.
    """

    def __init__(self) -> None:
        self._before = {number: signal.getsignal(number) for number in _SIGNALS}
        self._has_passed = False
        self._is_given_back = False

    def take(self) -> None:
        """Take the signals over, where this is the main thread and they are not ignored."""
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN and threading.current_thread() is threading.main_thread():
                signal.signal(number, self._pass)

    def give_back(self) -> None:
        """Return the signals that are still taken."""
        self._is_given_back = True  # none may cut this off
        # SIGINT last: what the others are given back to may do what it does.
        for number, handler in reversed(self._before.items()):
            if handler is not None and signal.getsignal(number) == self._pass:  # None: it was not set from Python
                signal.signal(number, handler)

    def _pass(self, number: int, frame: FrameType | None) -> None:
        if self._is_given_back or not self._has_passed:
            self._has_passed = True
            return
        before = self._before[signal.Signals(number)]
        if not callable(before):
            raise KeyboardInterrupt
        before(number, frame)
