"""Lines sorted into 256 heaps by one byte of their hash: in memory while they are few, beyond that in files."""

from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from attrs import define, field

from spotdx_async import private_files

__all__ = ["HASH_BYTES", "Bucket", "Buckets"]

HASH_BYTES = 17
"""Before each line: 16 hexadecimal digits and a tab."""
_COUNT = 256


@define
class Bucket:
    """Lines of one byte of the hash, in the order of their coming."""

    path: Path
    """Where what does not stay in memory is put."""
    rows: int = 0
    size: int = 0
    """Bytes."""
    is_in_file: bool = False
    is_of_one_key: bool = True
    """Whether all lines have the same hash, so that no further byte would part them."""
    _hash: bytes = b""
    _held: list[bytes] = field(factory=list)

    def add(self, line: bytes) -> None:
        """Take a line with its hash before it."""
        found = line[: HASH_BYTES - 1]
        if not self.rows:
            self._hash = found
        elif self._hash != found:
            self.is_of_one_key = False
        self.rows += 1
        self.size += len(line)
        self._held.append(line)

    def put_away(self) -> None:
        """Move what is in memory to the file.

        Raises:
            OSError: the disk is full, say.
        """
        if not self._held:
            return
        with FileIO(self.path, "a", opener=_private) as file:
            rest = memoryview(b"".join(self._held))
            while rest:
                rest = rest[file.write(rest) :]
        self.is_in_file = True
        self._held.clear()

    def lines(self) -> Iterator[bytes]:
        """Give the lines in their order, each with its hash and line end."""
        if self.is_in_file:
            with self.path.open("rb") as file:
                yield from file
        yield from self._held

    def drop(self) -> None:
        """Forget the lines; the file goes."""
        if self.is_in_file:
            self.path.unlink(missing_ok=True)
        self._held.clear()


class Buckets:
    """The heaps of one byte; together they hold ``memory_bytes`` in memory, and the rest in files of a folder."""

    def __init__(self, folder: Path, depth: int, *, memory_bytes: int) -> None:
        """Begin with none.

        Args:
            folder: where files go; made readable by the owner alone when the first is needed.
            depth: which byte of the hash, 0 to 7.
            memory_bytes: what may be held in memory.
        """
        self._folder = folder
        self._digits = slice(2 * depth, 2 * depth + 2)
        self._memory_bytes = memory_bytes
        self._held_bytes = 0
        self._all = [Bucket(folder / f"{number:02x}") for number in range(_COUNT)]

    def add(self, line: bytes) -> None:
        """Take a line with its hash before it.

        Raises:
            OSError: it cannot be put into a file.
        """
        self._all[int(line[self._digits], 16)].add(line)
        self._held_bytes += len(line)
        if self._held_bytes > self._memory_bytes:
            private_files.make_folder(self._folder, must_be_ours=True)
            for bucket in self._all:
                bucket.put_away()
            self._held_bytes = 0

    def __iter__(self) -> Iterator[Bucket]:
        return (bucket for bucket in self._all if bucket.rows)


def _private(path: str, flags: int) -> int:
    return private_files.open_own(path, flags)
