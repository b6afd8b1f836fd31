"""Runs a program as if packages that are installed were not: ``fence.py NAMES PROGRAM``.

Names are separated by commas. The program's text runs as ``__main__``; with ``spotdx …`` as the program, its command.
"""

import runpy
import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder
from types import ModuleType


class Fence(MetaPathFinder):
    """Finds what Python's own finder does, without the packages that are to be missing."""

    def __init__(self, missing: frozenset[str]) -> None:
        self._missing = missing

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find a module, or nothing."""
        return None if fullname.partition(".")[0] in self._missing else PathFinder.find_spec(fullname, path, target)

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """Find what ``importlib.metadata`` asks for: some packages look up their own version."""
        return PathFinder.find_distributions(context)


def main(names: str, program: str) -> None:
    """Put the fence up and run."""
    missing = frozenset(names.split(","))
    for name in [name for name in sys.modules if name.partition(".")[0] in missing]:
        del sys.modules[name]  # what a .pth file of a package has imported when Python started
    sys.meta_path[:] = [Fence(missing) if finder is PathFinder else finder for finder in sys.meta_path]
    if program.split()[:1] == ["spotdx"]:
        sys.argv[:] = program.split()
        runpy.run_module("spotdx_async", run_name="__main__", alter_sys=False)
    else:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - the tests' own program


if __name__ == "__main__":
    main(*sys.argv[1:])
