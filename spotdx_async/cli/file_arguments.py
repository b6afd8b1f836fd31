"""Files as a command's arguments; ``-`` is standard input."""

from typing import Annotated, TypeAlias

from cyclopts import Parameter

from spotdx_async.errors import InvalidInputError

__all__ = ["JsonFile", "RowFiles", "check_path"]

# "-" is standard input, so that a leading hyphen must be taken for a value here; `check_path` refuses all others.
RowFiles: TypeAlias = Annotated[list[str], Parameter(name="FILE", allow_leading_hyphen=True)]
JsonFile: TypeAlias = Annotated[str, Parameter(allow_leading_hyphen=True)]


def check_path(path: str) -> str:
    """Give the path as it is.

    Raises:
        InvalidInputError: it is an option that the command does not know.
    """
    if path.startswith("-") and path != "-":
        advice = f"--help lists those there are; a file of that name is written ./{path}"
        raise InvalidInputError(f"unknown option {path}: {advice}")
    return path
