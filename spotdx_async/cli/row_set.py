"""Rows of the input, a bit for each: a set of very many stays small, and can be named in few words."""

from collections.abc import Iterator

from attrs import define, field, frozen

__all__ = ["RowSet", "Span"]


@frozen
class Span:
    """Rows that follow one another in one file."""

    file: str
    """The name of the file."""
    first: int
    last: int

    @property
    def text(self) -> str:
        """The rows in words, without their file."""
        return f"row {self.first}" if self.first == self.last else f"rows {self.first}-{self.last}"


@define
class RowSet:
    """Rows of one or more files, in any order of their coming."""

    count: int = 0
    """How many there are."""
    _names: dict[int, str] = field(factory=dict)
    _bits: dict[int, bytearray] = field(factory=dict)

    def __len__(self) -> int:
        return self.count

    def add(self, file_index: int, file: str, number: int) -> None:
        """Take in a row; one that is there already stays once.

        Args:
            file_index: which of the files.
            file: its name.
            number: of the row, from 1.
        """
        bits = self._bits.setdefault(file_index, bytearray())
        self._names[file_index] = file
        byte, bit = number >> 3, 1 << (number & 7)
        if byte >= len(bits):
            bits.extend(bytes(byte + 1 - len(bits)))
        if not bits[byte] & bit:
            bits[byte] |= bit
            self.count += 1

    def remove(self, file_index: int, number: int) -> str | None:
        """Take a row out, and give the name of its file; None where it is not there."""
        bits = self._bits.get(file_index, bytearray())
        byte, bit = number >> 3, 1 << (number & 7)
        if byte >= len(bits) or not bits[byte] & bit:
            return None
        bits[byte] ^= bit
        self.count -= 1
        return self._names[file_index]

    @property
    def first(self) -> tuple[str, int] | None:
        """The topmost row: the name of its file, and its number; None where there is none."""
        return next(((name, number) for _, name, number in self.rows()), None)

    def take(self, other: "RowSet") -> None:
        """Take in all rows of another set."""
        for index, name, number in other.rows():
            self.add(index, name, number)

    def spans(self) -> Iterator[Span]:
        """Give the rows from the top of the input, as few spans as there are."""
        first = last = 0
        of = ""
        for _, name, number in self.rows():
            if first and of == name and number == last + 1:
                last = number
                continue
            if first:
                yield Span(of, first, last)
            of, first, last = name, number, number
        if first:
            yield Span(of, first, last)

    def rows(self) -> Iterator[tuple[int, str, int]]:
        """Give each row from the top of the input: which file, its name, the row's number."""
        for index in sorted(self._bits):
            for byte, value in enumerate(self._bits[index]):
                if value:
                    yield from ((index, self._names[index], byte << 3 | bit) for bit in range(8) if value >> bit & 1)
