"""A token from an environment variable or from a command: run without a shell, bounded, and never shown."""

import asyncio
import os
import pickle
import select
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from spotdx_async import ConfigError
from spotdx_async.cli import token_source
from spotdx_async.cli.token_source import TokenCommand, TokenVariable

CANARY = "canary-token-42"


def python(script: str, *words: str, patience_s: float = 20.0) -> TokenCommand:
    return TokenCommand((sys.executable, "-c", script, *words), "profile night", patience_s)


def test_a_variable_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHT_TOKEN", "abc")
    source = TokenVariable("NIGHT_TOKEN", "profile night")
    assert (source.read(), source.for_client(), source.is_empty) == ("abc", "abc", False)


@pytest.mark.parametrize("value", ["", None])
def test_a_missing_token_says_where_it_is_taken_from(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, told in (
        ("SPOTDX_TOKEN", r"no token: set the environment variable SPOTDX_TOKEN \(it is never"),
        ("NIGHT_TOKEN", r"set the environment variable NIGHT_TOKEN, which profile night names \(it is never"),
    ):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
        source = TokenVariable(name, "profile night")
        assert source.is_empty
        with pytest.raises(ConfigError, match=told):
            source.read()


def test_the_first_line_of_a_command_is_the_token() -> None:
    assert python("print('abc'); print('login: me')").read() == "abc"
    assert python("import sys; sys.stdout.write('abc\\r\\n')").read() == "abc"


def test_no_shell_reads_the_words(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    word = f"$(touch {trap});`touch {trap}`>{trap}"
    source = python("import sys; print(len(sys.argv[1]))", word)

    assert source.read() == str(len(word))
    assert not trap.exists()


def test_a_command_gets_no_input() -> None:
    assert python("import sys; print('empty' if not sys.stdin.read() else 'input')").read() == "empty"


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (f"import sys; sys.stderr.write('{CANARY}'); sys.exit(3)", "ended with exit code 3: run it by hand to see why"),
        ("pass", "printed no token on its first line"),
        (f"print(); print('{CANARY}')", "printed no token on its first line"),
        (f"print('{CANARY} x')", "the token contains a space"),
    ],
)
def test_a_command_that_gives_no_token_is_said_without_what_it_printed(
    script: str, told: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        python(script).read()

    assert CANARY not in str(caught.value) + "".join(capfd.readouterr())


def test_a_command_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigError, match=r"cannot be started \(No such file or directory\): check token_command"):
        TokenCommand(("/no/such/program",), "profile night").read()
    with pytest.raises(ConfigError, match="one of its words cannot be passed on"):
        TokenCommand(("a\0b",), "profile night").read()


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "pid"
    child = f"""
import subprocess
started = subprocess.Popen(["sleep", "60"])
with open({str(note)!r}, "w") as note:
    note.write(str(started.pid))
started.wait()
"""
    # Its time is up as soon as it has started what is to be ended with it.
    clock = SimpleNamespace(monotonic=lambda: 100.0 if note.exists() and note.read_text() else 0.0)
    monkeypatch.setattr(token_source, "time", clock)

    with pytest.raises(ConfigError, match="took longer than 20 s: run it by hand to see what it waits for"):
        python(child).read()

    assert has_ended(int(note.read_text()))


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """For commands that do not end by themselves, so that their end need not be waited for."""
    monkeypatch.setattr(token_source, "_GRACE_S", 0.05)


RUNS_ON = """
import subprocess, sys, time
started = subprocess.Popen(["sleep", "60"])
with open(sys.argv[1], "w") as note:
    note.write(str(started.pid))
print("abc", end=sys.argv[2], flush=True)
"""


@pytest.mark.usefixtures("short_grace")
@pytest.mark.parametrize(
    ("end", "then"),
    [
        ("\n", "time.sleep(60)"),
        ("\n", "while True: print('more' * 999)"),
        ("\n", ""),
        ("", ""),
        ("", "import os; os.close(1); started.kill(); started.wait(); time.sleep(60)"),
    ],
    ids=["runs on", "prints on", "leaves a child", "leaves a child without a line end", "closes its output"],
)
def test_the_first_line_ends_a_command_and_all_that_it_has_started(tmp_path: Path, end: str, then: str) -> None:
    note = tmp_path / "pid"
    began_s = time.monotonic()

    assert python(RUNS_ON + then, str(note), end, patience_s=40.0).read() == "abc"

    assert time.monotonic() - began_s < 30
    assert has_ended(int(note.read_text()))


def test_a_command_that_fails_after_its_first_line_gives_no_token() -> None:
    script = f"import sys, time; print('{CANARY}', flush=True); time.sleep(0.1); sys.exit(3)"
    with pytest.raises(ConfigError, match="ended with exit code 3") as caught:
        python(script).read()
    assert CANARY not in str(caught.value)


def test_a_command_that_keeps_printing_its_first_line_has_no_more_time_than_others() -> None:
    script = f"import time\nwhile True: print('{CANARY}', end='', flush=True); time.sleep(0.005)"
    with pytest.raises(ConfigError, match=r"took longer than 0\.5 s") as caught:
        python(script, patience_s=0.5).read()
    assert CANARY not in str(caught.value)


@pytest.mark.usefixtures("short_grace")
def test_a_first_line_without_an_end_is_no_token() -> None:
    with pytest.raises(ConfigError, match="printed a first line that is no token") as caught:
        python(f"while True: print('{CANARY}' * 999, end='')").read()
    assert CANARY not in str(caught.value)


def test_ctrl_c_ends_the_command_too(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def interrupted(process: "subprocess.Popen[bytes]", _: float) -> bytes:
        started.append(process.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(token_source, "_first_line", interrupted)
    with pytest.raises(KeyboardInterrupt):
        python("import time; time.sleep(60)").read()

    assert has_ended(started[0])


def has_ended(pid: int) -> bool:
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], 10)[0])
    finally:
        os.close(watch)


def test_the_words_of_a_command_are_never_shown() -> None:
    source = TokenCommand(("vault", CANARY), "profile night")

    assert CANARY not in repr(source) + source.text
    assert source.text == "the command vault"


def test_a_client_is_given_the_token_once_more_when_it_asks_again(tmp_path: Path) -> None:
    count = tmp_path / "count"
    source = python(
        f"f = open({str(count)!r}, 'a'); f.write('x'); f.close(); print('t' * len(open({str(count)!r}).read()))"
    )

    ask = source.for_client()

    async def twice() -> list[str]:
        return [await ask(), await ask()]

    assert asyncio.run(twice()) == ["t", "tt"]
    assert count.read_text() == "xx"


def test_a_source_travels_to_a_worker_without_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHT_TOKEN", CANARY)
    packed = pickle.dumps(TokenVariable("NIGHT_TOKEN", "profile night").read)

    assert CANARY.encode() not in packed
    assert pickle.loads(packed)() == os.environ["NIGHT_TOKEN"]


def test_a_system_that_cannot_wait_for_its_output_is_told_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(select, "poll")

    with pytest.raises(
        ConfigError, match="the token command pass of a profile cannot be run on this system: use token_env"
    ):
        TokenCommand(("pass", "show"), "a profile").read()
