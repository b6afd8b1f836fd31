"""Streams that are full, closed or gone, and signals: the exit code tells the truth, and nothing is half done."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from pathlib import Path
from queue import SimpleQueue
from threading import get_ident
from types import SimpleNamespace
from typing import Any, TextIO, cast

import pytest

from spotdx_async.__main__ import main
from spotdx_async.cli import standard_streams
from spotdx_async.cli.app import run
from spotdx_async.cli.progress import StopSignals
from spotdx_async.cli.standard_streams import EndingSignals, GuardedStream, guarded_outputs, open_closed_streams
from spotdx_async.testing import FakeSpot

FULL = "standard output cannot be written (No space left on device)"
Replaced = Callable[[str], TextIO]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replaced]:
    """Put a stream to /dev/full in place of one of ours."""
    opened = []

    def replaced(name: str) -> TextIO:
        opened.append(open("/dev/full", "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - closed below
        monkeypatch.setattr(sys, name, opened[-1])
        return opened[-1]

    yield replaced
    for stream in opened:
        stream.close()


@pytest.mark.parametrize(
    "words",
    [[], ["--version"], ["kits", "update", "--help"], ["config"], ["config", "--json"], ["completion", "bash"]],
    ids=" ".join,
)
def test_a_full_disk_fails_what_is_to_be_shown(
    words: list[str], full: Replaced, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "t")
    full("stdout")

    assert run(words) == 1

    assert FULL in capsys.readouterr().err


async def test_a_list_that_does_not_reach_the_disk_fails(
    full: Replaced, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with FakeSpot() as fake:
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        for words in (["kits", "list"], ["kits", "get", "SPOT123456", "--json"], ["doctor"]):
            full("stdout")
            assert await asyncio.to_thread(run, [*words, "--base-url", fake.url]) == 1
            assert f"{FULL}: the output is incomplete" in capsys.readouterr().err


@pytest.mark.parametrize("as_json", [False, True])
async def test_a_full_disk_changes_nothing_about_a_run_whose_figures_are_told_elsewhere(
    full: Replaced, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    (tmp_path / "kits.csv").write_text("kit_id,a\nSPOT1,x\nSPOT2,x\n")
    words = ["kits", "update", str(tmp_path / "kits.csv"), *(["--json"] if as_json else [])]
    async with FakeSpot(kits=["SPOT1", "SPOT2"]) as fake:
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        full("stdout")
        assert await asyncio.to_thread(run, [*words, "--base-url", fake.url]) == 0
        assert len(fake.ledger) == 2
    err = capsys.readouterr().err
    assert "2 rows read in" in err
    assert ": 2 ok, 0 rejected" in err
    assert f"{FULL}: the exit code still says what was done" in err


async def test_without_standard_error_a_run_goes_on_and_its_failed_rows_are_kept(
    full: Replaced, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kits.csv").write_text("kit_id,a\nSPOT1,x\nNOPE,x\n")
    words = ["kits", "update", str(tmp_path / "kits.csv"), "--failed", str(tmp_path / "failed.csv")]
    async with FakeSpot(kits=["SPOT1"]) as fake:
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)
        full("stderr")
        assert await asyncio.to_thread(run, [*words, "--base-url", fake.url]) == 1
    assert (tmp_path / "failed.csv").read_text() == "kit_id,a\nNOPE,x\n"
    assert "2 rows read in" in capsys.readouterr().out


def test_a_terminal_that_has_gone_silences_a_stream() -> None:
    class Gone:
        def write(self, _: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            raise OSError(errno.EBADF, "Bad file descriptor")

    guard = GuardedStream(Gone())  # type: ignore[arg-type]
    assert guard.isatty()
    assert guard.write("text") == 4
    assert guard.error is not None
    guard.write("more")
    guard.flush()
    assert not guard.isatty()


def test_streams_are_guarded_once() -> None:
    before = sys.stdout
    with guarded_outputs() as outer, guarded_outputs() as inner:
        assert inner is outer is sys.stdout
    assert sys.stdout is before


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_closed_descriptor_is_opened_on_nothing(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    name = ("stdin", "stdout", "stderr")[number]
    kept = os.dup(number)
    try:
        os.close(number)
        monkeypatch.setattr(sys, name, None)
        open_closed_streams()
        stream = getattr(sys, name)
        assert os.path.samestat(os.fstat(number), Path(os.devnull).stat())
        assert os.get_inheritable(number)
        assert stream.read() == "" if name == "stdin" else stream.write("x") == 1
        stream.close()
        os.fstat(number)
    finally:
        os.dup2(kept, number)
        os.close(kept)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("is_ignored", [False, True], ids=["Ctrl-C is taken", "Ctrl-C is ignored"])
def test_a_signal_before_the_run_ends_the_command_with_a_word(
    name: str, is_ignored: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = getattr(signal, name)
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    signal.signal(number, signal.SIG_DFL)

    def starting(_: list[str]) -> int:
        signal.raise_signal(number)
        return 0

    at_exit: list[Callable[[], object]] = []
    monkeypatch.setattr("spotdx_async.__main__._run", starting)
    monkeypatch.setattr("atexit.register", at_exit.append)
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN if is_ignored else signal.default_int_handler)
        with pytest.raises(SystemExit) as caught:
            main()
        at_exit[0]()
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert caught.value.code == 128 + number
    assert capsys.readouterr().err == "spotdx: stopped\n"


def test_a_hang_up_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopped = []

    async def hang_up() -> None:
        with StopSignals(first=lambda: stopped.append(1), second=lambda: stopped.append(2)):
            signal.raise_signal(signal.SIGHUP)
            await asyncio.sleep(0)

    try:
        with EndingSignals():
            asyncio.run(hang_up())
    finally:
        signal.signal(signal.SIGHUP, before)
    assert not stopped


def test_signals_have_their_handlers_back_after_a_run() -> None:
    async def nothing() -> None:
        with StopSignals(first=lambda: None, second=lambda: None):
            await asyncio.sleep(0)

    with EndingSignals():
        before = signal.getsignal(signal.SIGTERM)
        asyncio.run(nothing())
        assert signal.getsignal(signal.SIGTERM) == before


async def _waits() -> None:
    await asyncio.sleep(5)


def _drop_a_signal(wait: Callable[[], None], number: int = signal.SIGINT) -> None:
    """Send a signal while Python calls back, and wait for it."""

    class It:
        pass

    began_s, it = time.monotonic(), It()
    kept = weakref.ref(it, lambda _: signal.raise_signal(number))
    with pytest.raises(KeyboardInterrupt), EndingSignals():
        del it
        wait()

    assert kept() is None
    assert time.monotonic() - began_s < 4


DROPS = """
import signal, sys, time, weakref
from spotdx_async.cli import standard_streams

class It:
    pass

standard_streams._AGAIN_S = 0.0  # so that most signals come where the one before is still being dropped
sys.setswitchinterval(1e-6)
for _ in range(50):
    it = It()
    others = [weakref.ref(it, lambda _: sum(range(100))) for _ in range(20)]  # the last one comes first
    kept = weakref.ref(it, lambda _: signal.raise_signal(signal.SIGINT))
    try:
        with standard_streams.EndingSignals():
            del it
            time.sleep(5)
        sys.exit("a signal was lost")
    except KeyboardInterrupt:
        pass
"""


def test_a_signal_comes_again_as_often_as_python_drops_it() -> None:
    done = subprocess.run([sys.executable, "-c", DROPS], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603

    assert (done.returncode, done.stderr) == (0, "")


def _alone() -> None:
    _drop_a_signal(lambda: time.sleep(5))


def _in_a_loop() -> None:
    _drop_a_signal(lambda: asyncio.run(_waits()))


def _where_ctrl_c_is_ignored() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _drop_a_signal(lambda: time.sleep(5), number=signal.SIGTERM)


def _where_what_else_is_dropped_cannot_be_told() -> None:
    def fails(_: object) -> None:
        raise OSError

    class Fails:
        def __del__(self) -> None:
            raise ValueError

    def wait() -> None:
        Fails()
        time.sleep(5)

    told: SimpleQueue[str] = SimpleQueue()
    sys.unraisablehook = fails
    with redirect_stderr(cast("Any", SimpleNamespace(write=told.put, flush=lambda: None))):
        _drop_a_signal(wait)
        while "ValueError" not in told.get(timeout=5):
            pass


@pytest.mark.parametrize(
    "place", [_alone, _in_a_loop, _where_ctrl_c_is_ignored, _where_what_else_is_dropped_cannot_be_told]
)
def test_a_signal_in_a_weak_reference_s_callback_is_not_lost(place: Callable[[], None]) -> None:
    """In an interpreter of its own, as a command has it: no other hooks, and nobody else's garbage."""
    code = f"from {__name__} import {place.__name__} as place; place()"
    root = Path(__file__).parents[3]
    done = subprocess.run(  # noqa: S603 - this module's own
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=root
    )

    assert done.returncode == 0, done.stderr


def test_what_else_python_drops_is_told_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    told: SimpleQueue[Any] = SimpleQueue()
    monkeypatch.setattr(sys, "unraisablehook", told.put)

    class Fails:
        def __del__(self) -> None:
            raise ValueError

    with EndingSignals():
        Fails()
        assert told.get(timeout=5).exc_type is ValueError
    assert sys.unraisablehook == told.put


def test_signals_are_taken_where_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(standard_streams, "_thread", SimpleNamespace(start_new_thread=start, get_ident=get_ident))
    hook, before = sys.unraisablehook, signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(KeyboardInterrupt), EndingSignals():
            assert sys.unraisablehook is hook
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
