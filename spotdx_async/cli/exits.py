"""How a command ends: the exit codes, one line for each error, and what is missing before it can begin."""

import os
from enum import IntEnum

from spotdx_async.errors import AuthenticationError, ConfigError, InvalidInputError, SpotError

__all__ = ["Exit", "exit_of", "line_of", "token_from_environment"]


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    """All is done."""
    FAILED = 1
    """Some rows were rejected, failed or unknown; or the one thing asked for failed."""
    USAGE = 2
    """Wrong usage or unusable input: nothing was sent."""
    STOPPED = 3
    """Stopped early; what was not done can be done later."""


def exit_of(error: SpotError) -> Exit:
    """Give the exit code of an error that ends a command."""
    return Exit.USAGE if isinstance(error, (ConfigError, InvalidInputError)) else Exit.FAILED


def line_of(error: SpotError) -> str:
    """Say the error in one line, and what to check."""
    hint = "; check SPOTDX_TOKEN" if isinstance(error, AuthenticationError) else ""
    return f"{str(error) or type(error).__name__}{hint}"


def token_from_environment() -> str:
    """Give the token; the client checks it further.

    Raises:
        ConfigError: there is none; it says where a command line takes it from.
    """
    if token := os.environ.get("SPOTDX_TOKEN"):
        return token
    raise ConfigError("no token: set the environment variable SPOTDX_TOKEN (it is never an argument)")
