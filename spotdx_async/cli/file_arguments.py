"""Files as a command's arguments; ``-`` is standard input."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from spotdx_async.errors import InvalidInputError

__all__ = ["FilePath", "JsonFile", "RowFiles", "Word", "check_path"]

# A word is taken as it was typed, so that "./-x" stays what it is. That it could be a Path makes shells complete it.
Word: TypeAlias = str | Path
FilePath: TypeAlias = Annotated[Word | None, Parameter(metavar="PATH")]
# "-" is standard input, so that a leading hyphen must be taken for a value here; `check_path` refuses all others.
RowFiles: TypeAlias = Annotated[list[Word], Parameter(name="FILE", allow_leading_hyphen=True)]
JsonFile: TypeAlias = Annotated[Word, Parameter(metavar="PATH", allow_leading_hyphen=True)]


def check_path(word: str | Path) -> str:
    """Give the path as it is.

    Raises:
        InvalidInputError: it is an option that the command does not know.
    """
    path = str(word)
    if path.startswith("-") and path != "-":
        advice = f"--help lists those there are; a file of that name is written ./{path}"
        raise InvalidInputError(f"unknown option {path}: {advice}")
    return path
