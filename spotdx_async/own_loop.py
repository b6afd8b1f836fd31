"""The event loop of the SDK's own programs, the command line and workers: uvloop's if it is installed.

A library runs in its caller's loop and never chooses one; nothing imported from here does so either.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

_new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
with suppress(ImportError):  # an extra
    from uvloop import new_event_loop as _new_loop


def run_in_own_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run like ``asyncio.run``, in three tenths less CPU if uvloop is installed (``benchmarks/bench_call.py``)."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
