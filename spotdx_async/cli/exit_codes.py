"""How a command ends: the exit codes, and one line for each error that says what to do next."""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from spotdx_async.config import host_of, name_server
from spotdx_async.errors import (
    POINTERS,
    AuthenticationError,
    BadRequestError,
    BulkStopped,
    ConfigError,
    DecodeError,
    InvalidInputError,
    LinkExpiredError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    SpotError,
    StatusError,
)


class Exit(IntEnum):
    """The exit codes of all commands."""

    OK = 0
    """All done."""
    FAILED = 1
    """Some rows were rejected, failed or ended unknown; or the one thing asked for failed."""
    USAGE = 2
    """Wrong usage or unusable input: nothing was sent."""
    STOPPED = 3
    """Stopped early; what was not done can be done later."""
    INTERRUPTED = 130
    """Ended by Ctrl-C, with nothing to resume: what shells report for it. After SIGTERM or SIGHUP ``main`` exits with
    what shells report for those."""


_TOKEN_HINT = "check SPOTDX_TOKEN, or what the profile names; spotdx doctor tests the token"  # noqa: S105 - no token
_REFUSED_TOKEN = "does not accept the token"  # noqa: S105 - what the SDK says about one
_AGAIN = "run the command again later; "
_IS_IT_THERE = "spotdx doctor shows whether the server answers"
_CHECK_CONNECTION = "spotdx doctor checks the connection to the server"
_NOTHING_LISTENS = "nothing is listening there: check --base-url; "
_WHICH_PROXY = "check SPOTDX_PROXY, or proxy in the profile: spotdx config shows which counts; "
_NOT_THE_API = "something else may be answering instead of the API, such as a maintenance page: see spotdx doctor"
_NEXT: tuple[tuple[type[SpotError], str], ...] = (
    (AuthenticationError, _TOKEN_HINT),
    (PermissionDeniedError, "the token may not do this: ask the vendor for permission, or use another profile"),
    (NotFoundError, "check the id, and the path in --base-url if there is one; spotdx config shows it"),
    (RateLimitError, "wait a minute, or set a lower --rate"),
    (BadRequestError, "correct what was sent"),
    (ServerError, f"{_AGAIN}{_IS_IT_THERE}"),
    (OutcomeUnknownError, _CHECK_CONNECTION),
    (LinkExpiredError, "a new link was tried too: ask the vendor"),
)
_NEXT_OF_NOT_SENT = {
    "refused": f"{_NOTHING_LISTENS}{_CHECK_CONNECTION}",
    "dns": "check the name in --base-url and this machine's network; spotdx doctor checks both",
    "tls": "spotdx doctor shows what is wrong with the certificate",
    "token": "spotdx doctor tests where the token comes from",
    "outage": f"{_AGAIN}{_IS_IT_THERE}",
}
_OPTION_NAMES = (
    ("wait_for_server=True", "--wait-for-server"),
    ("check base_url", "check --base-url"),
    ("check proxy", "check SPOTDX_PROXY, or proxy in the profile"),
    ("(stop_after)", "(--max-errors)"),
    (
        "allow_any_id=True of SpotClient, ClientSettings and Split, or --allow-any-id of spotdx, lets",
        "--allow-any-id lets",
    ),
    ("pass look_first", "pass --look-first"),
    ("hosts must be a list of names", "--host takes names"),
    ("name it in hosts", "name it with --host"),
)


def exit_of(error: SpotError) -> Exit:
    """Return the exit code for an error that ends a command."""
    return Exit.USAGE if isinstance(error, (ConfigError, InvalidInputError)) else Exit.FAILED


def message_of(error: SpotError) -> str:
    """Return what an error says; not that ``details`` says more, which means something only to a program."""
    return without_pointer(str(error) or type(error).__name__)


def without_pointer(text: str, instead: str = "") -> str:
    """Return an error's message in our options' names, with something else in place of its pointer to ``details``."""
    for pointer in POINTERS:
        text = text.replace(pointer, instead)
    return _with_our_options(text)


def reasons_of(error: SpotError | None, *, show_phi: bool) -> list[str]:
    """Return the server's own reasons as lines, or, since they may name patients, one that says how to see them."""
    if not isinstance(error, StatusError) or not error.details:
        return []
    if show_phi:
        return [f"the server says: {reason}" for reason in error.details]
    count = len(error.details)
    said, them = ("1 reason", "it") if count == 1 else (f"{count} reasons", "them")
    return [f"the server gave {said}, which may name patients: --show-phi shows {them}"]


def line_of(error: SpotError) -> str:
    """Return the error as one line, with the server's request id, and what to do next."""
    text = message_of(error)
    if isinstance(error, (StatusError, OutcomeUnknownError)) and error.request_id is not None:
        text = f"{text}; request id {error.request_id}"
    step = next_step(error)
    return text if step is None else f"{text}; {step}"


def stop_line(stopped: BulkStopped, base_url: str) -> str:
    """Return one line on why a bulk run stopped early, with the server's name, and what to do next."""
    # The end of a run says how to resume, depending on where it stopped: that is not repeated here.
    text = line_of(stopped.cause or stopped).replace(_AGAIN, "")
    for once, again in (("check --base-url", _NOTHING_LISTENS), ("check SPOTDX_PROXY", _WHICH_PROXY)):
        if text.count(once) > 1:
            text = text.replace(again, "")
    host = host_of(base_url)
    return text if host in text else f"{host}: {text}"


@contextmanager
def naming_server(base_url: str) -> Iterator[None]:
    """Name the server in the message of an error whose request never reached it."""
    try:
        yield
    except NotSentError as error:
        name_server(error, host_of(base_url))
        raise


def next_step(error: SpotError) -> str | None:
    """Return what to do about an error; None if its own message says so."""
    if isinstance(error, DecodeError) and error.outcome == "unknown":
        return _NOT_THE_API
    if isinstance(error, NotSentError):
        if error.reason in {"closed", "stopped"}:
            return None
        if error.proxy is not None:
            return f"{_WHICH_PROXY}{_CHECK_CONNECTION}"
        return _NEXT_OF_NOT_SENT.get(error.reason, _CHECK_CONNECTION)
    return next((step for kind, step in _NEXT if isinstance(error, kind)), None)


def of_worker(text: str) -> str:
    """Return a row's error message as a worker reported it, with how to see the server's reasons, if there are any."""
    return without_pointer(text, "; without --dask and --workers, --show-phi shows the server's reasons")


def hinted(text: str) -> str:
    """Return a worker's error message with our options' names, and what to do next if it reports a refused token."""
    text = _with_our_options(text)
    return f"{text}; {_TOKEN_HINT}" if _REFUSED_TOKEN in text and _TOKEN_HINT not in text else text


def _with_our_options(text: str) -> str:
    for ours, theirs in _OPTION_NAMES:
        text = text.replace(ours, theirs)
    return text
