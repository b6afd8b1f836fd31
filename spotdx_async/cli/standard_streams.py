"""Standard input, output and error as a process really gets them: closed, full, or of a terminal that went away.

Light, since it comes before everything else; knows no command.
"""

from __future__ import annotations

import _thread
import atexit
import errno
import gc
import io
import os
import signal
import sys
import time
from _queue import SimpleQueue  # of queue, without what that imports
from contextlib import contextmanager, suppress

TYPE_CHECKING = False  # in place of the import: the front page does not wait for typing
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import IO, Any, NoReturn, Self, TextIO

__all__ = ["EndingSignals", "GuardedStream", "guarded_outputs", "is_terminal", "leave", "open_closed_streams"]

_OF_A_SIGNAL = 128
"""What shells add to a signal's number for the exit code of a command that it has ended."""
_ENDING = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
_AGAIN_S = 0.05
"""Longer than a callback takes as a rule, and too short to be noticed."""


def open_closed_streams() -> None:
    """Open descriptors 0 to 2 on the null device where they are closed.

    Otherwise the next file or socket gets such a number: uvloop then closes what is not its own and aborts the process.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            _send_nowhere(number)
        if getattr(sys, name) is None:
            stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115 - kept
            setattr(sys, name, stream)


class GuardedStream:
    """A stream for text that never fails: once it cannot be written it falls silent, and ``error`` says why."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self.is_silent: bool = False
        """Whether nothing more gets through: its reader has gone, say, as ``head`` does."""
        self.error: OSError | None = None
        """Why it cannot be written; None if it can, and where its reader has gone, which is no error."""
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a letter that the encoding lacks is no reason to fail

    def write(self, text: str) -> int:
        """Write the text, or nothing."""
        if not self.is_silent:
            try:
                self._stream.write(text)
            except OSError as error:
                self._fall_silent(error)
        return len(text)

    def flush(self) -> None:
        """Hand over what was written."""
        if not self.is_silent:
            try:
                self._stream.flush()
            except OSError as error:
                self._fall_silent(error)

    def isatty(self) -> bool:
        """Return whether it is a terminal that is still there."""
        return not self.is_silent and self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of its descriptor."""
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _fall_silent(self, error: OSError) -> None:
        self.is_silent = True
        if error.errno != errno.EPIPE:
            self.error = error
        with suppress(OSError, ValueError):  # what has no descriptor has no last flush that could fail
            _send_nowhere(self._stream.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a person may be at the other end; a stream that was closed before Python started is None."""
    return stream is not None and not stream.closed and stream.isatty()


@contextmanager
def guarded_outputs() -> Iterator[GuardedStream]:
    """Guard standard output and standard error, unless they are guarded already; yield the first."""
    kept = sys.stdout, sys.stderr
    out, err = guards = [it if isinstance(it, GuardedStream) else GuardedStream(it) for it in kept]
    sys.stdout, sys.stderr = out, err
    try:
        yield out
    finally:
        for guard in guards:
            guard.flush()
        sys.stdout, sys.stderr = kept


class EndingSignals:
    """While entered, SIGTERM and SIGHUP do what Ctrl-C does, unless they are ignored or something else takes them.

    No such signal is lost: where Python must drop the KeyboardInterrupt, as in a weak reference's callback, of which
    imports have many, it comes again a moment later, until it is taken.
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._held: dict[int, Any] = {}
        self._hook = sys.unraisablehook
        self._dropped: SimpleQueue[Any] = SimpleQueue()

    def code(self, interrupted: int) -> int:
        """Return the exit code of a command that was interrupted: that of the signal, if it was one of these."""
        return interrupted if self._received is None else _OF_A_SIGNAL + self._received

    def __enter__(self) -> Self:
        for number in (getattr(signal, name) for name in _ENDING if hasattr(signal, name)):
            if signal.getsignal(number) is signal.SIG_DFL:
                self._held[number] = signal.signal(number, self._end)
        self._hook = sys.unraisablehook
        with suppress(RuntimeError):  # no thread to be had, as in a full container: a rare signal may be lost then
            _thread.start_new_thread(self._send_again, (_thread.get_ident(),))
            # No function of Python: within one a signal could come, and what it raises would be dropped without a word.
            sys.unraisablehook = self._dropped.put
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._hook
        self._dropped.put(None)
        for number, handler in self._held.items():
            signal.signal(number, handler)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self._received = number
        # That of the event loop cancels its task first, so that everything is closed in order.
        handler = signal.getsignal(signal.SIGINT)
        if not callable(handler):  # ignored, as in the background of a script
            raise KeyboardInterrupt
        handler(signal.SIGINT, frame)

    def _send_again(self, thread: int) -> None:
        """Interrupt a thread, the main one, again for each KeyboardInterrupt that was dropped; pass the rest on."""
        if hasattr(signal, "pthread_sigmask"):  # signals are for the main thread, which may be waiting
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while (dropped := self._dropped.get()) is not None:
            if not issubclass(dropped.exc_type, KeyboardInterrupt):
                self._pass_on(dropped)
                continue
            time.sleep(_AGAIN_S)
            number = signal.SIGINT
            if self._received is not None and not callable(signal.getsignal(number)):
                number = signal.Signals(self._received)  # SIGINT would be ignored, or end the process on the spot
            if hasattr(signal, "pthread_kill"):
                signal.pthread_kill(thread, number)  # which ends a wait of its, too
            else:
                _thread.interrupt_main(number)

    def _pass_on(self, dropped: Any) -> None:
        try:
            self._hook(dropped)
        except Exception:  # noqa: BLE001 - somebody else's, which must not end the thread
            sys.__unraisablehook__(dropped)


def leave(code: int) -> NoReturn:
    """Exit with a code that is certain: a signal that comes while Python shuts down does not replace it.

    Such a signal ends the process at once, for the shutdown may have to wait for a thread that hangs.
    """
    numbers = [getattr(signal, name) for name in ("SIGINT", *_ENDING) if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    for number in ours:
        signal.signal(number, lambda *_: os._exit(code))

    def end() -> None:
        # Python takes its handlers away before it ends: a signal would then kill the process as if nothing was done.
        for number in ours:
            signal.signal(number, signal.SIG_IGN)
        gc.freeze()  # else Python looks through everything for garbage, although the process and all of it goes

    atexit.register(end)
    sys.exit(code)


def _send_nowhere(number: int) -> None:
    """Have a descriptor discard all it still gets, including Python's own last flush, and give nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere == number:  # it was closed, and is the lowest
        os.set_inheritable(number, True)  # noqa: FBT003 - it takes no keyword
        return
    try:
        os.dup2(nowhere, number)
    finally:
        os.close(nowhere)
