"""The attribute of a client through which a noun is reached; it knows no single noun."""

import asyncio
import inspect
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, NoReturn, TypeVar, get_type_hints, overload

__all__ = ["Noun", "set_by_hand"]

N = TypeVar("N")
_MADE = "_made_nouns"


class Noun(Generic[N]):
    """Makes the operations on one noun for a client when they are first asked for, which imports their module.

    Asked of the class, it returns a noun of no client: something to look at, from which ``unittest.mock`` learns the
    methods and their signatures.
    """

    def __init__(self, make: Callable[[Any], N]) -> None:
        self.make = make
        self._name = make.__name__
        self.__doc__ = make.__doc__
        if sys.version_info >= (3, 13):  # where AsyncMock(spec=SpotClient) looks at this, and no more at what it gives
            inspect.markcoroutinefunction(self)  # type: ignore[type-var]  # as below

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
        made = client.__dict__.setdefault(_MADE, {}).setdefault(self._name, self.make(client))
        kept: N = client.__dict__.setdefault(self._name, made)
        return kept

    def _of_no_client(self) -> N:
        noun_type = get_type_hints(self.make)["return"]
        noun: N = object.__new__(noun_type)
        # AsyncMock(spec=SpotClient) makes what can be awaited only of what has this mark, and else refuses to await
        # any method of a noun.
        if sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(noun)  # type: ignore[type-var]  # any object takes it
        else:
            noun.__dict__["_is_coroutine"] = asyncio.coroutines._is_coroutine  # type: ignore[attr-defined]  # noqa: SLF001
        # From here on it refuses: what a test patches on it would reach no client.
        noun.__class__ = _without_client(noun_type, self._name)
        return noun


@cache
def _without_client(noun_type: type[N], name: str) -> type[N]:
    """Return the class of a noun of no client, which has nothing to call with, and takes no patch."""
    where = f"{noun_type.__module__}.{noun_type.__qualname__}"

    def refuse(*_: object) -> NoReturn:
        raise AttributeError(f"SpotClient.{name} belongs to no client: patch {where}, or the {name} of one client")

    def lack(_: object, attribute: str) -> NoReturn:
        raise AttributeError(f"SpotClient.{name} belongs to no client, and has no {attribute}: make a SpotClient first")

    members = {"__setattr__": refuse, "__delattr__": refuse, "__getattr__": lack, "__module__": noun_type.__module__}
    return type(noun_type.__name__, (noun_type,), members)


def set_by_hand(client: object) -> dict[str, Any]:
    """Return the attributes of a client without the nouns that were made for it: those that a caller has set stay."""
    kept = dict(client.__dict__)  # at once: another thread may be asking for a noun
    made = kept.pop(_MADE, {})
    return {name: value for name, value in kept.items() if made.get(name) is not value}
