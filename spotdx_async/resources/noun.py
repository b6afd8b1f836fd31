"""The attribute of a client through which a noun is reached; it knows no single noun."""

import asyncio
import inspect
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar, get_type_hints, overload

__all__ = ["Noun"]

N = TypeVar("N")


class Noun(Generic[N]):
    """Makes the operations on one noun for a client when they are first asked for, which imports their module.

    Asked of the class, it returns a noun of no client: something to look at, from which ``unittest.mock`` learns the
    methods and their signatures.
    """

    def __init__(self, make: Callable[[Any], N]) -> None:
        self.make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        """Remember the name of the attribute."""
        self._name = name

    @overload
    def __get__(self, client: None, owner: type) -> N: ...
    @overload
    def __get__(self, client: object, owner: type | None = None) -> N: ...
    def __get__(self, client: object | None, owner: type | None = None) -> N:
        """Return the client's noun, the same one each time."""
        if client is None:
            return self._of_no_client()
        # No setter: what is kept here is found before this method. Threads that ask first at once get the same one.
        made: N = client.__dict__.setdefault(self._name, self.make(client))
        return made

    def _of_no_client(self) -> N:
        noun_type = get_type_hints(self.make)["return"]
        noun: N = object.__new__(noun_type)
        # AsyncMock(spec=SpotClient) makes what can be awaited only of what has this mark, and else refuses to await
        # any method of a noun.
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(noun)  # type: ignore[type-var]  # any object takes it
        else:
            noun.__dict__["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
        return noun
