"""What is wrong with a command line, for whoever typed it; knows what cyclopts raises, and no command."""

from collections.abc import Sequence
from shlex import quote

from cyclopts import CoercionError, CycloptsError, MissingArgumentError, UnknownCommandError, UnusedCliTokensError
from cyclopts.exceptions import ConsumeMultipleError

__all__ = ["usage_fault"]


def usage_fault(error: CycloptsError, words: Sequence[str]) -> str:
    """Return what is wrong with the words of a line.

    Where cyclopts names a parameter of the command's function or a type of Python, other words are found for it.
    """
    if isinstance(error, MissingArgumentError) and not isinstance(error, ConsumeMultipleError):
        return _missing(error, words)
    if isinstance(error, UnusedCliTokensError):
        unused = error.unused_tokens or []
        return f"unexpected argument{'s' if len(unused) > 1 else ''}: {' '.join(map(quote, unused))}"
    if isinstance(error, UnknownCommandError) and error.unused_tokens and error.unused_tokens[0].startswith("-"):
        option = error.unused_tokens[0]
        return f"{option} is not an option that may come before the command: those of a command come after it"
    if isinstance(error, CoercionError) and error.target_type is float and error.token is not None:
        return f'Invalid value for {error.token.keyword}: "{error.token.value}" is not a number'
    return " ".join(str(error).split())


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
