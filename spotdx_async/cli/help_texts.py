"""Help texts where Python has removed docstrings (``-OO``, ``PYTHONOPTIMIZE=2``): read from the source again."""

import ast
import inspect
import sys
from collections.abc import Iterable
from types import ModuleType

__all__ = ["are_removed", "restore_texts"]

_REMOVED = 2  # the level of optimisation that removes them


def are_removed() -> bool:
    """Return whether Python has removed docstrings."""
    return sys.flags.optimize >= _REMOVED


def restore_texts(modules: Iterable[ModuleType]) -> None:
    """Give the functions of modules their docstrings back, which are what ``--help`` shows.

    The texts of options, the line beneath each field, are always read from the source.
    """
    for module in modules:
        _restore(module)


def _restore(module: ModuleType) -> None:
    # Not by ast.parse: from Python 3.14 on that removes docstrings, too.
    tree = compile(inspect.getsource(module), module.__name__, "exec", flags=ast.PyCF_ONLY_AST, optimize=0)
    for node in ast.iter_child_nodes(tree):
        found = getattr(module, getattr(node, "name", ""), None)
        if isinstance(node, ast.FunctionDef) and inspect.isfunction(found) and found.__doc__ is None:
            found.__doc__ = ast.get_docstring(node)
