"""Exit codes, lines of errors, and the command line that is not installed."""

import logging
import subprocess
import sys

import pytest

from spotdx_async import AuthenticationError, ConfigError, InvalidInputError, NotFoundError, SpotError
from spotdx_async.cli import app
from spotdx_async.cli.exits import Exit, exit_of, line_of, token_from_environment
from spotdx_async.cli.screen import Screen


def test_the_exit_codes_are_those_that_are_promised() -> None:
    assert [(code.name, code.value) for code in Exit] == [("OK", 0), ("FAILED", 1), ("USAGE", 2), ("STOPPED", 3)]


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("x"), 2), (InvalidInputError("x"), 2), (NotFoundError("x"), 1), (SpotError("x"), 1)],
)
def test_a_wrong_set_up_or_input_is_told_from_a_failure(error: SpotError, code: int) -> None:
    assert exit_of(error) == code


def test_a_refused_token_comes_with_what_to_check() -> None:
    assert line_of(AuthenticationError("no")) == "no; check SPOTDX_TOKEN"
    assert line_of(NotFoundError()) == "NotFoundError"


def test_a_missing_token_says_where_it_is_taken_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "abc")
    assert token_from_environment() == "abc"
    for value in ("", None):
        monkeypatch.delenv("SPOTDX_TOKEN") if value is None else monkeypatch.setenv("SPOTDX_TOKEN", value)
        with pytest.raises(ConfigError, match="set the environment variable SPOTDX_TOKEN"):
            token_from_environment()


def test_what_is_logged_again_and_again_is_shown_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    handler = app._OnScreen(Screen())
    for at_s, text in [
        (0, "a pause"),
        (1, "a pause"),
        (2, "another"),
        (3, "a pause"),
        (12, "a pause"),
        (13, "a pause"),
        (14, "a pause"),
    ]:
        record = logging.LogRecord("spotdx_async", logging.WARNING, "", 0, text, (), None)
        record.created = at_s
        handler.emit(record)
    assert capsys.readouterr().err.splitlines() == [
        "spotdx: a pause",
        "spotdx: another",
        "spotdx: a pause",
        "spotdx: a pause",
    ]


HIDDEN_MODULE = """
import sys
sys.modules[{hidden!r}] = None
sys.argv = ["spotdx", "--version"]
from spotdx_async.__main__ import main
main()
"""


@pytest.mark.parametrize("hidden", ["cyclopts", "rich", "rich.progress"])
def test_without_the_extra_the_command_says_what_to_install(hidden: str) -> None:
    command = [sys.executable, "-c", HIDDEN_MODULE.format(hidden=hidden)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "spotdx: the command line is an extra: pip install 'spotdx-async[cli]'\n"


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    command = [sys.executable, "-c", HIDDEN_MODULE.format(hidden="spotdx_async.files")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own interpreter
    assert done.returncode == 1
    assert "ModuleNotFoundError" in done.stderr


def test_the_core_does_not_import_the_command_line() -> None:
    script = "import sys, spotdx_async.__main__, spotdx_async.client; print({'rich', 'cyclopts'} & set(sys.modules))"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 - our own interpreter
    assert done.stdout == "set()\n"
