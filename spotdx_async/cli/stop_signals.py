"""SIGINT and SIGTERM as two steps: the first asks for an orderly end, the second for an end at once."""

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["StopSignals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StopSignals:
    """While entered, turns the signals into calls; outside a main thread, or where loops cannot, it does nothing."""

    def __init__(self, *, first: Callable[[], None], second: Callable[[], None]) -> None:
        self._steps = [first, second]
        self._held: list[signal.Signals] = []

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            try:
                loop.add_signal_handler(number, self._step)
            except (NotImplementedError, RuntimeError, ValueError):
                continue
            self._held.append(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._held:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _step(self) -> None:
        if self._steps:
            self._steps.pop(0)()
