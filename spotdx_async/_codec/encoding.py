"""Asks a function of the caller's for the JSON form of values that JSON lacks. Pure; it knows no request."""

import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

from spotdx_async._codec.json import DEEPEST, Unencodable, first_fault
from spotdx_async.errors import ConfigError

Encode: TypeAlias = Callable[[Any], object]
"""Returns the JSON form of a value that JSON lacks."""


class _TooDeepError(Exception):
    """The value is nested deeper than JSON may be, or contains itself."""


def check_encode(encode: object) -> Encode | None:
    """Return a caller's function.

    Raises:
        ConfigError: it is no function, or an async one.
    """
    # A method of that name can be async too, and is asked as its class has it.
    kinds = (encode, getattr(type(encode), "__call__", None))  # noqa: B004 - what it is, not whether it is there
    if encode is not None and (not callable(encode) or any(map(inspect.iscoroutinefunction, kinds))):
        raise ConfigError("encode must be a plain function that takes a value and returns its JSON form, or None")
    return encode


def encoded(tree: Any, encode: Encode | None) -> Any:
    """Return a value with what JSON lacks encoded; what cannot be has its place taken, to be refused with a reason.

    Args:
        tree: strings, numbers, lists and so on, which may hold anything; not changed.
        encode: asked once for each value of a type that JSON lacks; not for NaN, or for keys that are not strings.
    """
    if encode is None or first_fault(tree) is None:
        return tree
    return _with_all_encoded(tree, encode, 0)


def _with_all_encoded(value: Any, encode: Encode, depth: int) -> Any:
    if value is None or isinstance(value, (str, int, float)):
        return value
    if not isinstance(value, (dict, list, tuple)):
        return _asked(value, encode)
    if depth > DEEPEST:
        raise _TooDeepError
    try:  # copied first: the function may change what it finds
        if isinstance(value, dict):
            return {key: _with_all_encoded(item, encode, depth + 1) for key, item in [*dict.items(value)]}
        return [_with_all_encoded(item, encode, depth + 1) for item in [*value]]
    except _TooDeepError:
        if depth != 1:  # a value that contains itself twice would be walked for ever if each level went on
            raise
    return Unencodable(f"is nested deeper than {DEEPEST} levels")


def _asked(value: Any, encode: Encode) -> Any:
    kind = f"is of type {type(value).__name__}"
    try:
        result = encode(value)
    except Exception as error:  # noqa: BLE001 - the caller's own; its text may show the value, so only its class is kept
        return Unencodable(f"{kind}, for which encode raised {type(error).__name__}")
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # else Python warns that it was never awaited
        return Unencodable(f"{kind}, for which encode returned something to be awaited: it must be a plain function")
    fault = first_fault(result)
    if fault is None:
        return result
    path, why = fault
    return Unencodable(f"{kind}, for which encode returned a value that{f' at {path}' if path else ''} {why}")
