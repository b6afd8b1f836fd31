"""Exit codes, lines of errors, and the command line that is not installed."""

import logging
import subprocess
import sys

import pytest

from spotdx_async import (
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    ConfigError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
)
from spotdx_async.cli import app
from spotdx_async.cli.exit_codes import Exit, exit_of, hinted, line_of, naming_server, stop_line
from spotdx_async.cli.outage_messages import OutageMessages
from spotdx_async.cli.output import Streams
from spotdx_async.errors import FailureCause


def test_the_exit_codes_are_those_that_are_promised() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "STOPPED": 3,
        "INTERRUPTED": 130,
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConfigError("x"), 2), (InvalidInputError("x"), 2), (NotFoundError("x"), 1), (SpotError("x"), 1)],
)
def test_a_wrong_set_up_or_input_is_told_from_a_failure(error: SpotError, code: int) -> None:
    assert exit_of(error) == code


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (AuthenticationError("no"), "check SPOTDX_TOKEN, or what the profile names; spotdx doctor tests the token"),
        (PermissionDeniedError("no"), "ask the vendor for permission"),
        (NotFoundError("no"), "check the id, and the path in --base-url if there is one"),
        (RateLimitError("no"), "set a lower --rate"),
        (BadRequestError("no"), "correct what was sent"),
        (ServerError("no"), "run the command again later"),
        (OutcomeUnknownError("no"), "spotdx doctor"),
        (NotSentError("no", reason="dns"), "check the name in --base-url"),
        (NotSentError("no", reason="refused"), "check --base-url"),
        (
            NotSentError("no", reason="refused", cause=FailureCause("ConnectionRefusedError", 111, proxy="proxy:3128")),
            "no; check SPOTDX_PROXY, or proxy in the profile: spotdx config shows which counts; spotdx doctor",
        ),
        (NotSentError("no", reason="dns", cause=FailureCause(proxy="proxy:3128")), "no; check SPOTDX_PROXY"),
        (NotSentError("no", reason="tls"), "spotdx doctor shows what is wrong with the certificate"),
        (NotSentError("no", reason="token"), "where the token comes from"),
        (NotSentError("no", reason="timeout"), "spotdx doctor checks the connection to the server"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{type(value).__name__}",
)
def test_an_error_comes_with_what_to_do_next(error: SpotError, step: str) -> None:
    assert line_of(error).startswith("no; ")
    assert step in line_of(error)


@pytest.mark.parametrize("kind", [NotFoundError, ServerError, OutcomeUnknownError])
def test_an_error_names_the_request_for_the_vendors_support(kind: type[StatusError | OutcomeUnknownError]) -> None:
    assert line_of(kind("no", request_id="abc-1")).startswith("no; request id abc-1; ")
    assert "request id" not in line_of(kind("no"))


def test_an_error_whose_own_words_say_what_to_do_gets_no_others() -> None:
    assert line_of(ConfigError("set X")) == "set X"
    assert line_of(InvalidInputError("--limit must be at least 1")) == "--limit must be at least 1"
    assert line_of(NotSentError("stopped", reason="stopped")) == "stopped"


def test_a_refused_token_that_a_worker_tells_of_comes_with_the_same_step() -> None:
    told = "POST /api/v2/kits/{kit_id}/: the server answered 401: it does not accept the token (1 attempt, 0.01 s)"
    assert hinted(told) == f"{told}; check SPOTDX_TOKEN, or what the profile names; spotdx doctor tests the token"
    assert hinted(hinted(told)) == hinted(told)
    assert hinted("the run was stopped") == "the run was stopped"


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (
            AuthenticationError("it does not accept the token", status=401),
            (
                "spot.example: it does not accept the token; check SPOTDX_TOKEN, or what the profile names; "
                "spotdx doctor tests the token"
            ),
        ),
        (
            NotSentError("no useful answer for 1800 s: spot.example: connection refused", reason="outage"),
            (
                "no useful answer for 1800 s: spot.example: connection refused; "
                "spotdx doctor shows whether the server answers"
            ),
        ),
        (
            NotSentError("spot.example: check base_url, or pass wait_for_server=True to wait", reason="stopped"),
            "spot.example: check --base-url, or pass --wait-for-server to wait",
        ),
        (
            NotSentError(
                "spot.example: refused: check base_url, or pass wait_for_server=True to wait", reason="refused"
            ),
            (
                "spot.example: refused: check --base-url, or pass --wait-for-server to wait; "
                "spotdx doctor checks the connection to the server"
            ),
        ),
        (
            NotSentError(
                "spot.example: the proxy p:1: check proxy, or pass wait_for_server=True to wait",
                reason="refused",
                cause=FailureCause(proxy="p:1"),
            ),
            (
                "spot.example: the proxy p:1: check SPOTDX_PROXY, or proxy in the profile, or pass --wait-for-server "
                "to wait; spotdx doctor checks the connection to the server"
            ),
        ),
    ],
)
def test_a_run_that_stopped_names_its_server_and_the_flags_of_the_command_line(cause: SpotError, line: str) -> None:
    assert stop_line(BulkStopped("the run stopped", cause=cause), "https://spot.example") == line


def test_how_to_go_on_is_not_told_in_the_line_of_a_stop_as_well() -> None:
    for cause in (ServerError("no", status=503), NotSentError("no", reason="outage")):
        assert "run the command again" in line_of(cause)
        assert "run the command again" not in stop_line(BulkStopped("", cause=cause), "https://spot.example")


def test_a_server_is_not_named_where_it_was_the_proxy_that_was_not_reached() -> None:
    error = NotSentError("the proxy p:1 refused the connection", reason="refused", cause=FailureCause(proxy="p:1"))
    with pytest.raises(NotSentError), naming_server("https://spot.example/v1"):
        raise error
    assert str(error) == "the proxy p:1 refused the connection"


def test_a_server_that_was_not_reached_is_named_once() -> None:
    for _ in range(2):
        error = NotSentError("the server refused the connection", reason="refused")
        with pytest.raises(NotSentError), naming_server("https://spot.example/v1"):
            raise error
        assert str(error) == "the server refused the connection (spot.example)"


def test_the_server_is_not_named_where_it_was_not_looked_for() -> None:
    error = NotSentError("the token function failed", reason="token")
    with pytest.raises(NotSentError), naming_server("https://spot.example"):
        raise error
    assert str(error) == "the token function failed"


def test_a_run_that_stopped_without_a_cause_says_so_in_its_own_words() -> None:
    assert stop_line(BulkStopped("the run stopped"), "https://spot.example") == "spot.example: the run stopped"


def test_the_name_of_a_server_has_its_port_where_the_address_has_one() -> None:
    stopped, error = BulkStopped("the run stopped"), NotSentError("refused", reason="refused")
    with pytest.raises(NotSentError), naming_server("https://spot.example:8443/v1"):
        raise error

    assert stop_line(stopped, "https://spot.example:8443/v1") == "spot.example:8443: the run stopped"
    assert str(error) == "refused (spot.example:8443)"


def test_an_outage_is_told_in_the_words_of_the_log() -> None:
    log = logging.getLogger("spotdx_async")
    with OutageMessages() as news:
        assert news.cause == "the server is unavailable"
        closed = {"spotdx_event": "gate", "spotdx_gate": "closed"}
        log.warning("the server is unavailable%s: rows paused", " (spot.example: refused)", extra=closed)
        log.warning("the server is back", extra={"spotdx_event": "gate", "spotdx_gate": "open"})
        log.warning("a pause", extra={"spotdx_event": "pause"})
    log.warning("another: rows paused", extra=closed)

    assert news.line == "the server is unavailable (spot.example: refused): rows paused"
    assert news.cause == "the server is unavailable (spot.example: refused)"


def test_what_is_logged_again_and_again_is_shown_once_in_a_while(capsys: pytest.CaptureFixture[str]) -> None:
    handler = app._OnScreen(Streams(), logging.WARNING)
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
sys.argv = ["spotdx", "demo", "--kits", "1"]
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
