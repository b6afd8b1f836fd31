"""Timestamps that older programs store as INT96, whose years go far beyond what pyarrow makes of them; knows no file.

pyarrow reads them as 64 bits of nanoseconds, and what does not fit wraps around: the end of 9999 becomes 1816. Read as
seconds they fit, but lose the rest. Both together are exact.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

__all__ = ["BothArrays"]

_PER_SECOND = 10**9
_WRAPS_AT = 2**64


@frozen
class BothArrays:
    """An Arrow array whose timestamps were read as nanoseconds and as seconds; used as the former."""

    nanos: Any
    seconds: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.nanos, name)

    def __len__(self) -> int:
        return len(self.nanos)

    def __getitem__(self, place: int) -> Any:
        return self.nanos[place]

    def slice(self, start: int, length: int) -> "BothArrays":
        """Return a part of it."""
        return BothArrays(self.nanos.slice(start, length), self.seconds.slice(start, length))

    def field(self, number: int) -> "BothArrays":
        """Return a field of structs."""
        return BothArrays(self.nanos.field(number), self.seconds.field(number))

    @property
    def values(self) -> "BothArrays":
        """The items of lists."""
        return BothArrays(self.nanos.values, self.seconds.values)

    @property
    def keys(self) -> "BothArrays":
        """The keys of maps."""
        return BothArrays(self.nanos.keys, self.seconds.keys)

    @property
    def items(self) -> "BothArrays":
        """The values of maps."""
        return BothArrays(self.nanos.items, self.seconds.items)

    def view(self, stored: Any) -> Any:
        """Return what is stored: of such timestamps the exact nanoseconds, however many."""
        if self.nanos.type == self.seconds.type:
            return self.nanos.view(stored)
        return _Numbers([*_exact(self.nanos.view(stored).to_pylist(), self.seconds.view(stored).to_pylist())])


@frozen
class _Numbers:
    numbers: Sequence[int | None]

    def to_pylist(self) -> Sequence[int | None]:
        return self.numbers


def _exact(nanos: Sequence[int | None], seconds: Sequence[int | None]) -> Iterator[int | None]:
    for wrapped, second in zip(nanos, seconds, strict=True):
        if wrapped is None or second is None:
            yield None
            continue
        # The digits below a second are what both have in common, however often the nanoseconds wrapped around.
        yield second * _PER_SECOND + (wrapped - second * _PER_SECOND) % _WRAPS_AT
