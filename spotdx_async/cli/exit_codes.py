"""How a command ends: the exit codes, and one line for each error that says what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from urllib.parse import urlsplit

from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
    name_server,
)

__all__ = ["Exit", "exit_of", "hinted", "host_of", "line_of", "naming_server", "next_step", "stop_line"]


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    """All is done."""
    FAILED = 1
    """Some rows were rejected, failed or unknown; or the one thing asked for failed."""
    USAGE = 2
    """Wrong usage or unusable input: nothing was sent."""
    STOPPED = 3
    """Stopped early; what was not done can be done later."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, with nothing to go on with: what shells give for it."""


_TOKEN_HINT = "check SPOTDX_TOKEN, or what the profile names; spotdx doctor tries the token"  # noqa: S105 - no token
_REFUSED_TOKEN = "does not accept the token"  # noqa: S105 - what the SDK says of one
_AGAIN = "give the command again later; "
_IS_IT_THERE = "spotdx doctor shows whether the server answers"
_NOT_THE_API = "something in between may answer for the API, such as a page about maintenance: spotdx doctor looks"
_NEXT: tuple[tuple[type[SpotError], str], ...] = (
    (AuthenticationError, _TOKEN_HINT),
    (PermissionDeniedError, "the token may not do this: ask the vendor for the right, or take another profile"),
    (NotFoundError, "check the id, and the path in --base-url where there is one; spotdx config shows which"),
    (RateLimitError, "wait a minute, or set a lower --rate"),
    (BadRequestError, "mend what was sent"),
    (ServerError, f"{_AGAIN}{_IS_IT_THERE}"),
    (OutcomeUnknownError, "spotdx doctor looks at the way to the server"),
)
_NEXT_OF_NOT_SENT = {
    "refused": "nothing listens there: check --base-url; spotdx doctor looks at the way to the server",
    "dns": "check the name in --base-url and this machine's network; spotdx doctor looks at both",
    "tls": "spotdx doctor shows what is wrong with the certificate",
    "token": "spotdx doctor tries where the token comes from",
    "outage": f"{_AGAIN}{_IS_IT_THERE}",
}


_IN_WORDS_OF_THE_COMMAND_LINE = (("wait_for_server=True", "--wait-for-server"), ("check base_url", "check --base-url"))


def exit_of(error: SpotError) -> Exit:
    """Give the exit code of an error that ends a command."""
    return Exit.USAGE if isinstance(error, (ConfigError, InvalidInputError)) else Exit.FAILED


def line_of(error: SpotError) -> str:
    """Say the error in one line, with the server's name of the request, and what to do next."""
    text = str(error) or type(error).__name__
    if isinstance(error, (StatusError, OutcomeUnknownError)) and error.request_id is not None:
        text = f"{text}; request id {error.request_id}"
    step = next_step(error)
    return text if step is None else f"{text}; {step}"


def stop_line(stopped: BulkStopped, base_url: str) -> str:
    """Say in one line why a bulk run stopped early, with the name of the server, and what to do next."""
    # How to go on is told at the end of a run, by where it stopped: not here, and not otherwise.
    text = line_of(stopped.cause or stopped).replace(_AGAIN, "")
    for ours, theirs in _IN_WORDS_OF_THE_COMMAND_LINE:
        text = text.replace(ours, theirs)
    host = host_of(base_url)
    return text if host in text else f"{host}: {text}"


@contextmanager
def naming_server(base_url: str) -> Iterator[None]:
    """Name the server in the text of an error whose request never reached it."""
    try:
        yield
    except NotSentError as error:
        name_server(error, host_of(base_url))
        raise


def host_of(base_url: str) -> str:
    """Give the server's name, as texts show it."""
    return urlsplit(base_url).hostname or base_url


def next_step(error: SpotError) -> str | None:
    """Say what to do about an error whose own words do not; None where they do."""
    if isinstance(error, DecodeError) and error.outcome == "unknown":
        return _NOT_THE_API
    if isinstance(error, NotSentError):
        usual = "spotdx doctor looks at the way to the server"
        return None if error.reason in {"closed", "stopped"} else _NEXT_OF_NOT_SENT.get(error.reason, usual)
    return next((step for kind, step in _NEXT if isinstance(error, kind)), None)


def hinted(text: str) -> str:
    """Say what to do next where the text of an error that came from afar tells of a refused token."""
    return f"{text}; {_TOKEN_HINT}" if _REFUSED_TOKEN in text and _TOKEN_HINT not in text else text
