"""``--log-file``: what the SDK logs, and how the command began and ended, in a private file.

It holds no token, id or patient data: the words of the command are in it, not what they are about, but for names of
files in what is said of them.
"""

import logging
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TextIO

from spotdx_async import private_files
from spotdx_async.cli.exit_codes import message_of
from spotdx_async.cli.help import VERSION
from spotdx_async.cli.open_files import reason_of_place
from spotdx_async.cli.output import Streams
from spotdx_async.errors import ConfigError, SpotError

__all__ = ["LogFile", "log_to"]

# What each line begins with, so that no other file is taken for a log and written to.
_LINE = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
_PEEK_BYTES = 32


class LogFile(logging.Handler):
    """Appends lines to a file of mode 0600; one that can no longer be written is given up, and that is said once."""

    def __init__(self, path: str, streams: Streams) -> None:
        """Open the file.

        Raises:
            ConfigError: it cannot be opened, or holds something other than a log.
        """
        super().__init__(logging.DEBUG)
        self._path, self._streams = path, streams
        self._file: TextIO | None = _opened(path)

    def write(self, level: str, text: str, at_s: float | None = None) -> None:
        """Write a line."""
        if self._file is None:
            return
        moment = time.time() if at_s is None else at_s
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        try:
            self._file.write(f"{stamp}.{int(moment % 1 * 1000):03}Z {level} {' '.join(text.split())}\n")
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def emit(self, record: logging.LogRecord) -> None:
        """Write what the SDK logs."""
        self.write(record.levelname, record.getMessage(), record.created)

    def close(self) -> None:
        """Close the file."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        except OSError as error:
            self._give_up(error)
        super().close()

    def _give_up(self, error: OSError) -> None:
        self._file = None
        self._streams.say(f"the log file {self._path} cannot be written any further ({error.strerror})")


@contextmanager
def log_to(path: str | None, streams: Streams) -> Iterator["Log"]:
    """Log to a file until the block ends; None: nowhere.

    Raises:
        ConfigError: the file cannot be used.
    """
    if path is None:
        yield Log(None)
        return
    handler = LogFile(path, streams)
    logger = logging.getLogger("spotdx_async")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield Log(handler)
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
        handler.close()


class Log:
    """The beginning and the end of a command, as lines of a log; of none, if there is no file."""

    def __init__(self, file: LogFile | None) -> None:
        self._file = file
        self._began_s = time.monotonic()

    def begin(self, command: Sequence[str]) -> None:
        """Write which command begins."""
        self._write("INFO", f"{VERSION}: spotdx {' '.join(command)}")

    def fail(self, error: BaseException) -> None:
        """Write what ended the command."""
        text = f": {message_of(error)}" if isinstance(error, SpotError) else ""
        self._write("ERROR", f"{type(error).__name__}{text}")

    def end(self, exit_code: int) -> None:
        """Write how the command ended."""
        self._write("INFO", f"exit code {exit_code} after {time.monotonic() - self._began_s:.3f} s")

    def _write(self, level: str, text: str) -> None:
        if self._file is not None:
            self._file.write(level, text)


def _opened(path: str) -> TextIO:
    try:
        about = private_files.look(path)
        if about is not None and about.st_size:
            with open(path, "rb") as file:  # noqa: PTH123 - the path as it was typed
                if _LINE.match(file.read(_PEEK_BYTES)) is None:
                    raise ConfigError(f"--log-file: {path} holds something other than a log: name another file")
        fd = private_files.open_own(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError as error:
        reason = reason_of_place(error) or f"{path}: {error.strerror or error}"
        raise ConfigError(f"--log-file: {reason}") from None
    return open(fd, "a", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123 - closed by the handler
