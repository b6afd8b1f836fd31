"""The files that a command reads and writes, compared with each other before any of them is opened."""

import os
import stat
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import TypeAlias

from attrs import field, frozen

from spotdx_async.cli.create_options import CreateOptions
from spotdx_async.cli.open_files import reason_of_place
from spotdx_async.cli.options import Word
from spotdx_async.cli.row_options import UpdateOptions
from spotdx_async.errors import InvalidInputError
from spotdx_async.files.part_file import part_of
from spotdx_async.files.unreadable_rows import unreadable_of

__all__ = ["Place", "check_places", "input_place", "journal_place", "row_places", "standard_outputs"]

_STANDARD = {0: "standard input", 1: "standard output", 2: "standard error"}
_BESIDE_JOURNAL = ("-wal", "-shm", "-journal", "-lock", "-being-made")
_RUN_FILE = "run.json"
"""What describes a cluster's run, in the folder of its journals."""
Identity: TypeAlias = tuple[int, int] | tuple[int, int, str] | str


@frozen
class Place:
    """A file, and all others that are made next to it."""

    name: str
    """The option that names it, or what it is."""
    files: tuple[Path | int, ...]
    """Paths, or the numbers of descriptors; the first is the file itself."""
    is_written: bool = field(default=False, kw_only=True)

    def identities(self) -> dict[Identity, Path | int]:
        """Return what tells its files from others, whatever name they go by."""
        found = ((_identity(file), file) for file in self.files)
        return {identity: file for identity, file in reversed([*found]) if identity is not None}

    def text_of(self, file: Path | int) -> str:
        """Return the place in words where this one of its files is meant."""
        if isinstance(file, int):
            return self.name
        return f"{self.name} {self.files[0]}" + ("" if file == self.files[0] else f" (which uses {file})")


def check_places(places: Iterable[Place]) -> None:
    """Check that no file has two uses, one of which writes it.

    Raises:
        InvalidInputError: two are the same, by another spelling, a link or a redirection perhaps; or the current
            folder is gone, so that nobody knows.
    """
    known = [(place, place.identities()) for place in places]
    for (one, of_one), (other, of_other) in combinations(known, 2):
        if not (one.is_written or other.is_written):
            continue
        if same := of_one.keys() & of_other.keys():
            identity = min(same, key=lambda known: one.files.index(of_one[known]))
            texts = one.text_of(of_one[identity]), other.text_of(of_other[identity])
            raise InvalidInputError(f"{texts[0]} and {texts[1]} are the same file: name another one")


def row_places(files: Iterable[Word], options: UpdateOptions | CreateOptions) -> Iterator[Place]:
    """Yield the places of a command that sends files of rows.

    Raises:
        InvalidInputError: one is empty, or a folder where only a file can be.
    """
    yield from map(input_place, files)
    for name in ("ca", "cert", "key"):
        if (word := getattr(options, f"dask_tls_{name}", None)) is not None:
            yield Place(f"--dask-tls-{name}", (_path(f"--dask-tls-{name}", word),))
    if options.failed is not None:
        failed = _file("--failed", options.failed)
        both = failed, unreadable_of(failed)
        yield Place("--failed", (*both, *map(part_of, both)), is_written=True)
    if options.journal is not None:
        yield journal_place("--journal", options.journal, is_written=True)
    if options.report is not None:
        yield Place("--report", (_file("--report", options.report),), is_written=True)
    for name, word in (("--outcomes", options.outcomes), ("--created", getattr(options, "created", None))):
        if word is not None:
            path = _file(name, word)
            yield Place(name, (path, part_of(path)), is_written=True)
    yield from standard_outputs()


def input_place(word: Word) -> Place:
    """Return an input; ``-`` is standard input."""
    return Place(_STANDARD[0], (0,)) if str(word) == "-" else Place("the input", (_path("the input", word),))


def journal_place(name: str, word: Word, *, is_written: bool = False) -> Place:
    """Return a journal, of one process or of a cluster, with what is beside or in it."""
    path = _path(name, word)
    beside = (path.with_name(f"{path.name}{suffix}") for suffix in _BESIDE_JOURNAL) if path.name else ()
    return Place(name, (path, *beside, path / _RUN_FILE), is_written=is_written)


def standard_outputs() -> Iterator[Place]:
    """Yield standard output and standard error; as one where they are redirected to one file."""
    for number in (1, 2):
        if number == 1 or _identity(2) != _identity(1):
            yield Place(_STANDARD[number], (number,), is_written=True)


def _path(name: str, word: Word) -> Path:
    if str(word):
        return Path(word)
    raise InvalidInputError(f"{name} is an empty path: a variable of the shell may not be set")


def _file(name: str, word: Word) -> Path:
    path = _path(name, word)
    if path.name in {"", ".."} or str(word).endswith(os.sep):
        raise InvalidInputError(f"{name} {word} is a folder, or is to be one: name a file in it")
    return path


def _identity(file: Path | int) -> Identity | None:
    """Return what a regular file is known by, whether it is there yet or not; None for a terminal, a pipe and such."""
    try:
        about = os.fstat(file) if isinstance(file, int) else file.stat()
    except OSError:
        return None if isinstance(file, int) else _identity_of_missing(file)
    except ValueError:  # no path: whoever opens it says so
        return None
    return (about.st_dev, about.st_ino) if stat.S_ISREG(about.st_mode) else None


def _identity_of_missing(path: Path) -> Identity:
    try:
        real = Path(os.path.realpath(path))
    except OSError as error:
        raise InvalidInputError(reason_of_place(error) or f"{path}: {error.strerror}") from None
    try:
        folder = real.parent.stat()
    except OSError:
        return str(real)
    return folder.st_dev, folder.st_ino, real.name
