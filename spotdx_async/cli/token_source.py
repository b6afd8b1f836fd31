"""Where a token comes from: an environment variable, or a command that prints it. It is never stored or shown."""

import asyncio
import os
import select
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from attrs import field, frozen

from spotdx_async.config import check_token
from spotdx_async.errors import ConfigError

_PATIENCE_S = 30.0
_GRACE_S = 1.0
"""For a command to end by itself after its first line: most end at once. A choice."""
_LOOK_EVERY_S = 0.02
_LONGEST_LINE = 64 * 1024


@frozen
class TokenVariable:
    """An environment variable."""

    name: str
    origin: str
    """What names it."""

    @property
    def text(self) -> str:
        """The source in words."""
        return f"the environment variable {self.name}"

    @property
    def is_empty(self) -> bool:
        """Whether there is certainly no token."""
        return not os.environ.get(self.name)

    def read(self) -> str:
        """Return the token; the client validates it.

        Raises:
            ConfigError: there is none; the message says where the command line takes it from.
        """
        if token := os.environ.get(self.name):
            return token
        profile = "" if self.name == "SPOTDX_TOKEN" else f", which {self.origin} names"
        raise ConfigError(f"no token: set the environment variable {self.name}{profile} (it is never an argument)")

    def for_client(self) -> str:
        """Return what a client takes as its token, the same as ``read``."""
        return self.read()


@frozen
class TokenCommand:
    """A command; the first line that it prints is the token, and ends it with everything that it has started."""

    argv: tuple[str, ...] = field(repr=False)
    origin: str
    """What names it."""
    patience_s: float = _PATIENCE_S

    @property
    def text(self) -> str:
        """The source in words; the arguments after the program's name may be secret, and are left out."""
        return f"the command {self.argv[0]}"

    @property
    def is_empty(self) -> bool:
        """Whether there is certainly no token; only running the command would tell."""
        return False

    def read(self) -> str:
        """Run the command without a shell and without input, and return the token; its standard error is discarded.

        Raises:
            ConfigError: it cannot be run, fails, takes too long, or prints no usable token.
        """
        name = f"the token command {self.argv[0]} of {self.origin}"
        if not hasattr(select, "poll"):  # on Windows, which can wait for sockets alone
            raise ConfigError(
                f"{name} cannot be run on this system: use token_env, the name of an environment variable"
            )
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own command, without a shell
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                # A process group of its own, so that its children can be killed with it: one may keep the pipe open.
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "one of its words cannot be passed on"
            raise ConfigError(f"{name} cannot be started ({reason}): check token_command") from None
        try:
            output = _first_line(process, time.monotonic() + self.patience_s)
            # Nothing is waited for but its exit code, which tells whether it meant that line.
            has_ended = _wait(process, time.monotonic() + _GRACE_S)
        except TimeoutError:
            late = f"{name} took longer than {self.patience_s:g} s: run it by hand to see what it waits for"
            raise ConfigError(late) from None
        finally:
            _end(process)
        if has_ended and process.returncode:
            raise ConfigError(f"{name} ended with exit code {process.returncode}: run it by hand to see why")
        if len(output) > _LONGEST_LINE:
            raise ConfigError(f"{name} printed a first line that is no token: run it by hand to see what it prints")
        token = output.decode("utf-8", errors="replace").strip()
        if not token:
            raise ConfigError(f"{name} printed no token on its first line: run it by hand to see what it prints")
        return check_token(token)

    def for_client(self) -> Callable[[], Awaitable[str]]:
        """Return what a client takes as its token: the command runs now, and again when the server refuses the token.

        Raises:
            ConfigError: as in ``read``.
        """
        # Read now, so that a wrong command is refused before anything is opened, and not run a second time.
        first = [self.read()]

        async def token() -> str:
            return first.pop() if first else await asyncio.to_thread(self.read)

        return token


TokenSource: TypeAlias = TokenVariable | TokenCommand


def _first_line(process: "subprocess.Popen[bytes]", until_s: float) -> bytes:
    """Return what the command prints up to its first line end, the end of its output, or its own end.

    Raises:
        TimeoutError: none of them came in time.
    """
    text = b""
    while b"\n" not in text and len(text) <= _LONGEST_LINE:
        has_ended = _has_ended(process)  # before looking: what it printed last is there by then
        left_s = until_s - time.monotonic()
        if left_s <= 0 and not has_ended:
            raise TimeoutError
        piece = _printed(process, 0.0 if has_ended else min(_LOOK_EVERY_S, left_s))
        if piece == b"" or (piece is None and has_ended):
            break
        text += piece or b""
    return text.partition(b"\n")[0]


def _wait(process: "subprocess.Popen[bytes]", until_s: float) -> bool:
    """Return whether it has ended by then; until it has, what it prints is discarded, so that it need not wait."""
    while not (has_ended := _has_ended(process)) and time.monotonic() < until_s:
        if _printed(process, _LOOK_EVERY_S) == b"":
            time.sleep(_LOOK_EVERY_S)
    return has_ended


def _printed(process: "subprocess.Popen[bytes]", patience_s: float) -> bytes | None:
    """Return what can be read; empty at the end of the output, None if nothing came."""
    assert process.stdout is not None  # noqa: S101 - a pipe; for the type checker
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    return os.read(process.stdout.fileno(), _LONGEST_LINE) if poll.poll(patience_s * 1000) else None


def _has_ended(process: "subprocess.Popen[bytes]") -> bool:
    # Not reaped yet: until then no other process can get its number, nor other processes that of its group.
    if process.returncode is None and hasattr(os, "waitid"):
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    return process.poll() is not None


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the command and everything that it has started: a child of it may run on, and keep its output open."""
    with suppress(ProcessLookupError, PermissionError, AttributeError):  # not every system has process groups
        os.killpg(process.pid, signal.SIGKILL)
    with process:  # closes its output, and waits for it
        process.kill()
