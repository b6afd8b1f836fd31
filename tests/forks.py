"""Forked children for tests of what a fork leaves of a client."""

import asyncio
import os
import warnings
from collections.abc import Callable

__all__ = ["in_a_forked_child"]


async def in_a_forked_child(work: Callable[[], None]) -> int:
    """Run a function in a forked child; its exit code, 0 where it ended well."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking where threads run, from Python 3.12
        pid = os.fork()
    if pid == 0:  # the child: nothing of pytest may run here
        code = 1
        try:
            asyncio.events._set_running_loop(None)  # as a worker of a forking server has
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    return os.waitstatus_to_exitcode(status)
