"""Names of a package that are imported when they are first asked for (PEP 562); knows none of them.

A module that uses it also imports its names under ``TYPE_CHECKING``: for type checkers and editors, and for what
freezes an application, which finds the imports in the byte code there.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module

# The name for type checkers: importing it from typing would take most of the time of importing the package.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Getter = Callable[[str], Any]


def names_from(module: str, homes: Mapping[str, str]) -> "Getter":
    """Return the ``__getattr__`` of a module.

    It is safe in threads: each module is imported once, and every thread finds the same object.

    Args:
        module: the whole name of the module that has the names.
        homes: by the module that defines them, within the package, names separated by spaces.
    """
    home_of = {name: home for home, names in homes.items() for name in names.split()}

    def get(name: str) -> "Any":
        home = home_of.get(name)
        if home is None:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        value = getattr(import_module(f"spotdx_async.{home}"), name)
        # So that it is asked for once; but not what a test has put in its place, which would outlive the test.
        if str(getattr(value, "__module__", "")).startswith("spotdx_async."):
            setattr(sys.modules[module], name, value)
        return value

    return get
