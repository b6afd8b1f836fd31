"""What is wrong with a command line, for whoever typed it; knows what cyclopts raises, and no command."""

from collections.abc import Iterable, Sequence
from inspect import BoundArguments, Parameter
from shlex import quote

from cyclopts import (
    App,
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)
from cyclopts.exceptions import ConsumeMultipleError

__all__ = ["mistyped_option", "unknown_option", "usage_fault"]

_WHERE_IT_BELONGS = (
    "the token is never an argument: set the environment variable SPOTDX_TOKEN, or name its source in a profile"
)
_LIKENESS = 0.75  # of two letters that changed places; cyclopts' own 0.6 takes --token for --json


def usage_fault(error: CycloptsError, words: Sequence[str]) -> str:
    """Return what is wrong with the words of a line.

    Where cyclopts names a parameter of the command's function or a type of Python, other words are found for it.
    """
    if isinstance(error, MissingArgumentError) and not isinstance(error, ConsumeMultipleError):
        return _missing(error, words)
    if isinstance(error, UnusedCliTokensError):
        unused = error.unused_tokens or []
        return f"unexpected argument{'s' if len(unused) > 1 else ''}: {' '.join(map(quote, unused))}"
    if isinstance(error, UnknownOptionError) and _is_token(str(error.token.keyword)):
        return _WHERE_IT_BELONGS
    if isinstance(error, UnknownCommandError) and error.unused_tokens and error.unused_tokens[0].startswith("-"):
        option, _, _ = error.unused_tokens[0].partition("=")
        if _is_token(option):
            return _WHERE_IT_BELONGS
        return f"{option} is not an option that may come before the command: those of a command come after it"
    if isinstance(error, CoercionError) and error.target_type is float and error.token is not None:
        return f'Invalid value for {error.token.keyword}: "{error.token.value}" is not a number'
    return " ".join(str(error).split())


def unknown_option(word: str, instead: str) -> str:
    """Return what is wrong with a word in the place of a file or an id; what follows its ``=`` may be a secret."""
    option, _, _ = word.partition("=")
    return _WHERE_IT_BELONGS if _is_token(option) else f"unknown option {option}: --help lists them; {instead}"


def mistyped_option(app: App, words: Sequence[str], bound: BoundArguments) -> str | None:
    """Return what is wrong with a line if a file or an id of it is probably an option that was mistyped."""
    given = [
        str(word)
        for name, value in bound.arguments.items()
        if bound.signature.parameters[name].kind is Parameter.POSITIONAL_ONLY and isinstance(value, list | tuple)
        for word in value
    ]
    options = [word.partition("=")[0] for word in given if word.startswith("--")]
    if not options:
        return None
    known = {
        name for argument in app.parse_commands(words)[1][-1].assemble_argument_collection() for name in argument.names
    }
    return next((fault for option in options if (fault := _meant(option, known))), None)


def _meant(option: str, known: Iterable[str]) -> str | None:
    if _is_token(option):
        return _WHERE_IT_BELONGS
    from difflib import get_close_matches  # of no use where nothing is wrong

    near = get_close_matches(option, known, n=1, cutoff=_LIKENESS)
    return f"unknown option {option}: did you mean {near[0]}? --help lists all" if near else None


def _is_token(option: str) -> bool:
    return option.lstrip("-").casefold().startswith("token")


def _missing(error: MissingArgumentError, words: Sequence[str]) -> str:
    name = error.keyword or (error.argument.name if error.argument is not None else "an argument")
    if name not in words:
        return f"{name.removesuffix('...')} is missing"
    following = words[words.index(name) + 1 : words.index(name) + 2]
    if following == ["-"]:
        return f"{name} does not take -, neither as standard input nor as standard output"
    if following and following[0].startswith("-"):
        return f"{name} needs a value; one that begins with a hyphen is written {name}=VALUE"
    return f"{name} needs a value"
