"""Plays a page: its blocks one after the other, in one folder, against one fake server, as its reader would."""

import contextlib
import importlib.util
import io
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Self

from spotdx_async import JournalError, read_journal
from spotdx_async.testing import FakeSpot
from tests.docs.pages import ROOT, Block

__all__ = ["Player", "commands_of", "environment", "is_like", "load_example"]

_LONGEST_S = 60
_PORT_IN_PAGES = "8123"


def is_like(expected: str, found: str) -> bool:
    """Whether a text is as a page shows it; ``…`` stands for anything, and how wide the gaps are does not matter."""
    parts = [re.escape(part) for part in _narrow(expected).split("…")]
    return re.fullmatch(".*?".join(parts), _narrow(found), re.DOTALL) is not None


def environment(fake: FakeSpot) -> dict[str, str]:
    """What a program needs to find the fake, and ``spotdx`` and this folder's package to be found by it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    named = {"SPOTDX_BASE_URL": fake.url, "SPOTDX_TOKEN": fake.token}
    return {**os.environ, **named, "PATH": path, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}


def load_example(name: str) -> ModuleType:
    """Import a file of ``examples/``, as its own module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Player:
    """Plays blocks in their order; Python blocks share their names.

    Args:
        fake: the server that the page's programs find in the environment.
        folder: where they run.
    """

    def __init__(self, fake: FakeSpot, folder: Path) -> None:
        self._folder = folder
        self._environment = environment(fake)
        self._module = ModuleType("__main__")
        self._printed = ""
        self._status = 0
        self._port = _free_port()
        self._background: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._background:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=_LONGEST_S)

    def play(self, block: Block) -> None:
        """Play one block; tests wait for ``finish``.

        Raises:
            AssertionError: it does not do what the page says.
        """
        text = block.text.replace(_PORT_IN_PAGES, str(self._port))
        plays: dict[str, Callable[[str, Block], None]] = {
            "run": self._run,
            "test": lambda text, block: self._write(f"test_line_{block.line}.py", text),
            "shell": self._shell,
            "background": self._begin,
            "killed": self._kill,
            "file": lambda text, block: self._write(block.about, text),
            "output": lambda text, block: _compare(block.place, text, self._printed),
        }
        if block.act in plays:
            plays[block.act](text, block)

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text, encoding="utf-8")

    def _run(self, text: str, block: Block) -> None:
        code = compile("\n" * block.line + text, block.page, "exec", dont_inherit=True)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.chdir(self._folder), _set(self._environment):
            exec(code, self._module.__dict__)  # noqa: S102 - our own page
        self._printed = printed.getvalue()

    def finish(self) -> None:
        """Run the page's tests, all at once since starting pytest takes a second.

        Raises:
            AssertionError: one of them fails, or the page's last command has.
        """
        assert self._status == 0, f"the last command ended with {self._status}"
        if [*self._folder.glob("test_*.py")]:
            options = "-q -o asyncio_mode=auto -p no:cacheprovider -p no:schemathesis"
            status, found = self._carry_out(f"{sys.executable} -m pytest {options}")
            assert status == 0, found

    def _shell(self, text: str, block: Block) -> None:
        commands = [*commands_of(text)]
        shows_output = any(expected.strip() for _, expected in commands)
        for command, expected in commands:
            place = f"{block.place}: {command}"
            if assigned := re.fullmatch(r"export (\w+)=(\S+)", command):
                self._environment[assigned[1]] = assigned[2]
                continue
            if command != "echo $?":
                assert self._status == 0, f"{place}: the command before ended with {self._status}"
            if command.startswith("make "):
                # That there is such a target is all that is tried: targets run these tests, or install packages.
                self._status, found = self._carry_out(f"make --dry-run -C {ROOT} {command.removeprefix('make ')}")
                assert self._status == 0, f"{place}: {found}"
                continue
            self._status, found = self._carry_out(f"(exit {self._status}); {command}")
            if shows_output:
                _compare(place, expected, found)

    def _carry_out(self, command: str) -> tuple[int, str]:
        done = subprocess.run(  # noqa: S603 - our own pages
            ["bash", "-c", command],  # noqa: S607 - the reader's own
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        return done.returncode, done.stdout

    def _begin(self, text: str, block: Block) -> None:
        ((command, expected),) = commands_of(text)
        process = self._started(command)
        self._background.append(process)
        assert process.stdout is not None
        found = "".join(process.stdout.readline() for _ in expected.splitlines())
        _compare(f"{block.place}: {command}", expected, found)

    def _kill(self, text: str, block: Block) -> None:
        ((command, _),) = commands_of(text)
        process = self._started(command)
        journal = self._folder / block.about
        while not (journal.exists() and _rows_in(journal)):
            assert process.poll() is None, f"{block.place}: it ended by itself"
            time.sleep(0.02)  # another process: nothing here is told of its rows
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, f"{block.place}: it ended by itself"

    def _started(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(  # noqa: S603 - our own pages
            ["bash", "-c", f"exec {command}"],  # noqa: S607 - as above
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """Give the commands of a console block, each with what it writes; a comment in it is not part of it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, output = part.partition("\n")
        while command.endswith("\\"):
            more, _, output = output.partition("\n")
            command = command[:-1] + more
        yield re.sub(r"\s+# .*", "", command), output


def _compare(place: str, expected: str, found: str) -> None:
    assert is_like(expected, found), f"{place}\nexpected:\n{expected}\nfound:\n{found}"


def _rows_in(journal: Path) -> int:
    try:
        return read_journal(journal).rows
    except JournalError:  # the process has made the file, and not yet filled it
        return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _narrow(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(re.sub("─+", "─", line) for line in lines if line)


@contextlib.contextmanager
def _set(variables: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
