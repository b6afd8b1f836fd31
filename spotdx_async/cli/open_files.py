"""How many files this process may still open, learned by opening them for a moment, and what needs more of them."""

import os

from spotdx_async.errors import ConfigError, is_out_of_files

__all__ = ["check_room", "connections_for", "reason_of_place", "spare_files"]

_OF_A_COMMAND = 10
"""Files of an event loop (7), one connection, and what finds the server's address."""
_BESIDE_CONNECTIONS = 5
"""Files that a run opens beside its connections: to find the server's address, the next input, a report."""
_OF_A_JOURNAL = 6
_OF_A_WORKER = 16
"""Files of this process for each process of --workers. Measured: 38 with one process, 119 with eight, all included."""


def reason_of_place(error: OSError) -> str | None:
    """Return what is wrong with the place where a command was started, if that is why something cannot be opened."""
    if is_out_of_files(error):
        return "this process may open no more files: raise the limit, for example with ulimit -n 1024"
    if not isinstance(error, FileNotFoundError):
        return None
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd is the same
    except FileNotFoundError:
        return "the current folder does not exist any more: change to another one, and run the command again"
    return None


def spare_files(most: int) -> int:
    """Return how many more files can be opened now, ``most`` if there are more."""
    opened: list[int] = []
    try:
        opened += os.pipe()  # no file system is needed for it
        while len(opened) < most:
            opened.append(os.dup(opened[0]))
    except OSError as error:
        if not is_out_of_files(error):
            raise
    finally:
        for number in opened:
            os.close(number)
    return min(most, len(opened))


def check_room(*, workers: int = 0) -> None:
    """Make sure that a command can open what it needs.

    Args:
        workers: how many processes of this machine are to be started.

    Raises:
        ConfigError: it cannot.
    """
    needed = _OF_A_COMMAND + (2 + workers) * _OF_A_WORKER if workers else _OF_A_COMMAND
    if (spare := spare_files(needed)) < needed:
        raise _too_few(spare, needed)


def connections_for(concurrency: int, *, has_journal: bool, files: int) -> int:
    """Return how many connections can be open at once beside what else the run opens, at most ``concurrency``.

    Args:
        concurrency: how many are asked for.
        has_journal: whether a journal is going to be opened.
        files: how many other files are going to be opened.

    Raises:
        ConfigError: none can.
    """
    beside = _BESIDE_CONNECTIONS + files + (_OF_A_JOURNAL if has_journal else 0)
    spare = spare_files(beside + concurrency)
    if spare <= beside:
        raise _too_few(spare, beside + 1)
    return spare - beside


def _too_few(spare: int, needed: int) -> ConfigError:
    return ConfigError(
        f"this process may open only {spare} more files at once, and needs {needed}: raise the limit, for example with "
        f"ulimit -n 1024; nothing was sent"
    )
