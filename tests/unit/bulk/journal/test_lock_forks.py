"""The lock of a journal does not outlive the process that took it, whatever that process has forked."""

import os
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import attrs
import pytest

from spotdx_async.bulk.journal.lock import JournalLock, is_locked
from spotdx_async.errors import JournalError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")

SLEEP = "import sys; print('up', flush=True); sys.stdin.read()"
"""A program that stays until its standard input is closed."""


@attrs.define
class Family:
    """A process that runs a test's act, and the children that it leaves: they live until the test ends."""

    parent: int
    out: int
    keep_alive: int

    def kill_parent(self) -> None:
        os.kill(self.parent, signal.SIGKILL)
        os.waitpid(self.parent, 0)

    def told(self) -> str:
        """Read one word that the family said."""
        return os.read(self.out, 100).decode()

    def hear(self, children: int) -> None:
        """Wait until so many children run, and all are forked: one that has not begun still has its parent's files."""
        told = ""
        while told.count("1") < children or "all" not in told:
            word = self.told()
            assert word
            told += word


@pytest.fixture
def family() -> Iterator[Callable[[Callable[["Child"], None]], Family]]:
    made: list[Family] = []

    def start(act: Callable[["Child"], None]) -> Family:
        out, say = os.pipe()
        listen, keep_alive = os.pipe()
        parent = fork()
        if not parent:
            os.close(out)
            os.close(keep_alive)
            with suppress(BaseException):
                act(Child(say, listen))
            os._exit(1)
        os.close(say)
        os.close(listen)
        made.append(Family(parent, out, keep_alive))
        return made[-1]

    yield start
    for one in made:
        os.close(one.keep_alive)  # all that still live end by this
        with suppress(OSError):
            one.kill_parent()
        while os.read(one.out, 100):
            pass
        os.close(one.out)


@attrs.define
class Child:
    """What a process of the family can do."""

    say_fd: int
    listen_fd: int

    def say(self, word: str) -> None:
        os.write(self.say_fd, word.encode())

    def stay(self, word: str = "") -> None:
        if word:
            self.say(word)
        os.read(self.listen_fd, 1)
        os._exit(0)

    def fork(self, act: Callable[[], None]) -> None:
        if not fork():
            with suppress(BaseException):
                act()
            os._exit(1)


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's own about threads, which a test here wants
        return os.fork()


def can_take(journal: Path) -> bool:
    try:
        JournalLock.take(journal).release()
    except JournalError as error:
        return error.reason != "in use"
    return True


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "run.journal"


def test_a_forked_child_does_not_keep_the_lock_of_a_killed_run(
    journal: Path, family: Callable[[Callable[[Child], None]], Family]
) -> None:
    def act(me: Child) -> None:
        lock = JournalLock.take(journal)
        me.fork(lambda: me.stay("forked"))
        me.stay()
        lock.release()

    run = family(act)
    assert run.told() == "forked"
    assert (is_locked(journal), can_take(journal)) == (True, False)

    run.kill_parent()

    assert not is_locked(journal)
    assert can_take(journal)


def test_neither_does_a_child_s_child_nor_a_program_that_was_started(
    journal: Path, family: Callable[[Callable[[Child], None]], Family]
) -> None:
    def act(me: Child) -> None:
        lock = JournalLock.take(journal)

        def fork_again() -> None:
            me.fork(lambda: me.stay("1"))
            me.stay()

        me.fork(fork_again)
        # Both what closes all descriptors and what leaves those that are inheritable.
        for close_fds in (True, False):
            with subprocess.Popen(  # noqa: S603 - our own text
                [sys.executable, "-c", SLEEP], stdin=me.listen_fd, stdout=subprocess.PIPE, close_fds=close_fds
            ) as program:
                assert program.stdout is not None
                program.stdout.readline()
                me.fork(lambda: me.stay("1"))
                if not close_fds:
                    me.say("all")
                    me.stay()
                program.stdout.close()
                program.stdout = None
                program.returncode = 0  # it stays
        lock.release()

    run = family(act)
    run.hear(3)

    run.kill_parent()

    assert can_take(journal)


def test_nor_one_that_is_forked_by_another_thread_while_locks_are_taken(
    tmp_path: Path, family: Callable[[Callable[[Child], None]], Family]
) -> None:
    journals = [tmp_path / f"{number}.journal" for number in range(200)]

    def act(me: Child) -> None:
        kept: list[JournalLock] = []
        taker = threading.Thread(target=lambda: kept.extend(JournalLock.take(journal) for journal in journals))
        taker.start()
        for _ in range(40):
            me.fork(lambda: me.stay("1"))
        taker.join()
        me.say("all")
        me.stay()

    run = family(act)
    run.hear(40)

    run.kill_parent()

    assert [journal for journal in journals if not can_take(journal)] == []


def test_a_child_that_lets_go_leaves_its_parent_s_lock_and_can_take_others(journal: Path, tmp_path: Path) -> None:
    lock = JournalLock.take(journal)
    child = fork()
    if not child:
        code = 1
        with suppress(BaseException):
            lock.free()
            lock.release()
            own = JournalLock.take(tmp_path / "another.journal")
            is_right = is_locked(journal) and is_locked(tmp_path / "another.journal") and not can_take(journal)
            own.release()
            code = 0 if is_right else 2
        os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert is_locked(journal)
    lock.release()
    assert not (tmp_path / "run.journal-lock").exists()
