"""The one script that the server runs: a GCRA in microseconds of the server's own clock, atomic by nature.

The arithmetic is that of ``Gcra``, and the adaptive law that of ``LearnedPace``, with the same names; the vectors in
``tests/limits`` hold them together. The script once grew by 2 % a second at any rate. On the servers of
``benchmarks/bench_adaptive.py`` that meant 3.7 % 429s at 5 calls a second instead of 0.5 %, 61 s instead of 15 to find
a limit four times as high, and over 80 s instead of 2 to find one half as high.

It hands out times, not leave: slots up to a horizon ahead, so that a process takes a block in one round trip, and who
pauses or changes the rate is obeyed by all as soon as the horizon has passed.

Time is divided into cells, one interval each. A slot takes a cell, and lies at most ``burst - 1`` intervals before it:
that alone bounds what any window holds to ``rate * W + burst``. Where a process far away takes cells that begin later
than the first free one, since it could not use that in time, the cells between stay free as a gap for the others.

Between processes, each has a turn of its own, which each slot moves on by what its fair share takes. Up to its share a
process reserves ahead, far enough for its own round trip; beyond its share it gets what is due at once and nobody has
reserved. So those who are near cannot take what those far away are about to ask for, and nothing is left unused.
"""

from functools import cache
from importlib.resources import files

from spotdx_async._http import rate_control

HORIZON_S = 0.5
"""How far ahead slots are handed out, counted from when they can be used by the one that asks."""


@cache
def script() -> str:
    """Return the script: ``redis_script.lua``, after the constants of the adaptive law, which Lua and Python share."""
    constants = "".join(
        f"local {name} = {value!r}\n"
        for name, value in vars(rate_control).items()
        if name.isupper() and isinstance(value, (int, float))
    )
    return constants + (files("spotdx_async.limits") / "redis_script.lua").read_text(encoding="utf-8")
