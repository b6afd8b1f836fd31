"""Options and arguments of all kinds of commands. A class is flattened: the line beneath each option is its help."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from attrs import frozen
from cyclopts import Parameter, Token

from spotdx_async.cli.usage_faults import unknown_option
from spotdx_async.errors import InvalidInputError

Flag: TypeAlias = Annotated[bool, Parameter(show_default=False)]
Json: TypeAlias = Annotated[bool, Parameter(name="--json", show_default=False)]
Yes: TypeAlias = Annotated[bool, Parameter(name="--yes", show_default=False)]

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
# What is no number, nan, is left to those who know the range.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|[+-]?inf", re.IGNORECASE | re.ASCII)


def _whole(_type: Any, tokens: Sequence[Token]) -> int:
    """Read a number as it is written; cyclopts would round 1.5."""
    (token,) = tokens
    if _WHOLE_NUMBER.fullmatch(token.value) is None:
        raise ValueError(f'"{token.value}" is not a whole number')
    return int(token.value)


def _number(_type: Any, tokens: Sequence[Token]) -> float:
    """Read a number of ASCII digits; Python would read 1_5 as 15, and digits of any script."""
    (token,) = tokens
    if _NUMBER.fullmatch(token.value) is None:
        raise ValueError(f'"{token.value}" is not a number')
    return float(token.value)


Whole: TypeAlias = Annotated[int, Parameter(converter=_whole)]
Number: TypeAlias = Annotated[float, Parameter(converter=_number)]

Moment: TypeAlias = Annotated[str | None, Parameter(metavar="TIME")]
Day: TypeAlias = Annotated[str | None, Parameter(metavar="DAY")]
Seconds: TypeAlias = Annotated[float, Parameter(converter=_number, metavar="SECONDS")]

# A path is kept as it was typed, so that "./-x" stays what it is. The Path in the union makes shells complete it.
Word: TypeAlias = str | Path
FilePath: TypeAlias = Annotated[Word | None, Parameter(metavar="PATH")]
# "-" is standard input, so a leading hyphen must be accepted as a value here; `check_path` refuses all others.
RowFiles: TypeAlias = Annotated[list[Word], Parameter(name="FILE...", allow_leading_hyphen=True)]
Ids: TypeAlias = Annotated[list[str], Parameter(name="ID...", allow_leading_hyphen=True)]
KitsOrFiles: TypeAlias = Annotated[list[Word], Parameter(name="KIT_ID|FILE...", allow_leading_hyphen=True)]
JsonFile: TypeAlias = Annotated[Word, Parameter(metavar="PATH", allow_leading_hyphen=True)]


def check_path(word: Word) -> str:
    """Return the path as it is.

    Raises:
        InvalidInputError: it is an option that the command does not know.
    """
    path = str(word)
    if path.startswith("-") and path != "-":
        raise InvalidInputError(unknown_option(path, f"write a file of that name as ./{path.partition('=')[0]}"))
    return path


@frozen(kw_only=True)
class View:
    """How an answer is shown."""

    show_phi: Flag = False
    """Show patient data as well, and the server's reasons for an error, which may name patients."""
    as_json: Json = False
    """Write JSON."""


@frozen(kw_only=True)
class RequestLimits:
    """How fast requests are sent."""

    rate: Number | None = None
    """The most requests a second. Default: the profile's, else no limit."""
    concurrency: Whole | None = None
    """Requests in flight at once. Default: the profile's, else 64."""


Shown: TypeAlias = Annotated[View, Parameter(name="*")]
AtMost: TypeAlias = Annotated[RequestLimits, Parameter(name="*")]
HIDING, UNLIMITED = View(), RequestLimits()
