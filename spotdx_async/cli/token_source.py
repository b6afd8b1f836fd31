"""Where a token comes from: an environment variable, or a command that prints it. It is never stored or shown."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from attrs import field, frozen

from spotdx_async.config import check_token
from spotdx_async.errors import ConfigError

_PATIENCE_S = 30.0


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
    """A command; the first line that it prints is the token."""

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
        with process:
            try:
                output, _ = process.communicate(timeout=self.patience_s)
            except subprocess.TimeoutExpired:
                _kill(process)
                late = f"{name} took longer than {self.patience_s:g} s: run it by hand to see what it waits for"
                raise ConfigError(late) from None
            except BaseException:
                _kill(process)
                raise
        if process.returncode:
            raise ConfigError(f"{name} ended with exit code {process.returncode}: run it by hand to see why")
        token = output.partition(b"\n")[0].decode("utf-8", errors="replace").strip()
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


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the command and everything that it has started: a grandchild would keep its output open."""
    with suppress(ProcessLookupError, AttributeError):  # not every system has process groups
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
