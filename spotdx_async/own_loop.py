"""The event loop of the SDK's own programs, the command line and workers: uvloop's where it is installed.

A library runs in the loop of its caller and never chooses one; nothing that is imported from here does so either.
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
    """As ``asyncio.run``, in three tenths less CPU where uvloop is installed (``benchmarks/bench_call.py``)."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        return runner.run(main)
