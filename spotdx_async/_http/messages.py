"""What the stages of a call pass on: requests out, replies and failures back, and the verdict on them.

Reprs show no path with ids, no query, no header and no body. What every call makes anew is not frozen: that would cost
0.8 kI a field (callgrind; a call with aiohttp alone takes 450).
"""

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from attrs import define, field, frozen

from spotdx_async._codec.json import NotJsonError, parse_exact
from spotdx_async.errors import Clue, DecodeError, FailureCause, SpotError

if TYPE_CHECKING:
    from spotdx_async._http.links import Link
    from spotdx_async._requests.identity import Echo, Identity

__all__ = [
    "SUCCESS",
    "Action",
    "AttemptResult",
    "AttemptState",
    "ClosableRun",
    "Download",
    "Reply",
    "Request",
    "Response",
    "Token",
    "TransportFailure",
    "Verdict",
]

SUCCESS: Final = range(200, 300)
"""Statuses that say that the request was executed."""


@define
class Request:
    """One filled-in request, ready to be sent any number of times."""

    operation: str
    """The method and the path template: the only name of this request that texts may show."""
    method: str = field(repr=False)
    path: str = field(repr=False)
    """Percent-encoded, with the ids filled in."""
    query: str = field(default="", repr=False)
    """Percent-encoded, without the question mark."""
    body: bytes | None = field(default=None, repr=False)
    is_replay_safe: bool = False
    """Whether executing it twice leaves the same state as once."""
    clue: Clue | None = field(default=None, repr=False)
    """How to find out whether it was executed, if it must not be done twice: errors carry it."""
    identity: "Identity | None" = field(default=None, repr=False)
    """How its answer is recognised; None: any answer is accepted."""
    an_id: str | None = field(default=None, repr=False)
    """The id in its path, where it has one."""
    echoes: "tuple[Echo, ...]" = field(default=(), repr=False)
    """What of it must come back in the answer."""
    download: "Download | None" = field(default=None, repr=False)
    """Where the body of its answer goes, and where that comes from; None: from the server, into memory."""
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    """Of the caller's own, sent beside the client's."""


class Token:
    """One answer of the token's source. Two with the same text are still two, so that a refused one is recognised."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text: str = text

    def __repr__(self) -> str:
        return "<Token>"


@define(eq=False)
class Reply:
    """A whole HTTP answer of one attempt."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names are compared case-insensitively."""
    body: bytes = field(repr=False)


class Download(Protocol):
    """A file that comes from a link: what the stages of a call ask about it, and give it."""

    link: "Link"
    """Where the attempt in progress goes."""
    carries_token: bool
    """Whether the token may go there, if it is the API's own server."""

    def start(self) -> "TransportFailure | None":
        """Begin an attempt, with nothing of an earlier one; return why it cannot begin, if another one may."""
        ...

    def begin(self, status: int, headers: Mapping[str, str]) -> bool:
        """Take the head of a 2xx; return whether to read its body."""
        ...

    def take(self, piece: bytes) -> bool:
        """Take a piece of the body as it was sent; return whether to read on."""
        ...

    def end(self) -> bool:
        """Take the end of the body; return whether that was all of it."""
        ...

    def judge(self, request: Request, reply: Reply) -> "Verdict":
        """Judge any other answer."""
        ...


@frozen
class TransportFailure:
    """An attempt that brought no complete answer."""

    reason: str
    """A word from ``NotSentError.reason`` or ``OutcomeUnknownError.reason``, or ``"too large"``."""
    message: str
    may_have_arrived: bool
    """False only if the request certainly never reached the server."""
    is_lasting: bool = False
    """Whether another attempt would fail in the same way, as with a certificate that does not match."""
    status: int | None = None
    """The status, if the answer broke off after it."""
    cause: FailureCause | None = None
    """What the system reported."""


@define(eq=False)
class AttemptState:
    """What is known of a call's attempts, at every moment: set where it happens, never concluded afterwards.

    A single call has one for its life, a bulk row one for all its attempts.
    """

    may_have_arrived: bool = False
    """Whether bytes of the current attempt were handed to a connection: set by the transport right before the first
    byte goes, and taken back when the attempt is judged."""
    may_be_executed: bool = False
    """Whether an attempt that was judged may have been executed, by this call or, of a row, by an earlier session:
    once True, nothing makes it False again."""
    last_byte_s: float = float("-inf")
    """When bytes of an attempt were last handed to a connection, on the loop's clock; set with ``may_have_arrived``,
    and not where nobody can know what was sent."""
    is_called_off: bool = False
    """Whether no byte may be handed to a connection any more: set by a bulk run that stops, before it cancels who
    waits, so that a request which is about to be written meanwhile is not."""
    headers: Mapping[str, str] | None = None
    """An observer's headers, sent with the request beside its own."""


class ClosableRun(Protocol):
    """A bulk run as the closing client sees it."""

    def end_with_client(self) -> None:
        """Send nothing more: the client is closed."""
        ...

    async def closed(self) -> None:
        """Wait until its input and its journal are closed, if that is possible here."""
        ...


class Action(Enum):
    """What to do after an attempt.

    On the path of every call, modules bind members to names of their own: before Python 3.12 Python code looks up
    ``Action.ACCEPT`` each time.
    """

    ACCEPT = "accept"
    REPEAT = "repeat"
    RENEW_TOKEN = "renew token"  # noqa: S105 - an act, not a token
    FOLLOW = "follow"
    RAISE = "raise"


@define
class Verdict:
    """What an attempt's result means."""

    action: Action
    value: Any = field(default=None, repr=False)
    """The decoded answer, with ACCEPT."""
    error: SpotError | None = None
    """What to raise if the call ends here."""
    retry_after_s: float | None = None
    """Seconds that the server asked to wait."""
    is_throttle: bool = False
    """Whether the server said that calls come too fast."""
    may_be_executed: bool = False
    """Whether the attempt may have been executed."""
    is_of_server: bool = True
    """Whether the API's own server answered: what another one asks for holds up this call alone."""


@define(eq=False)
class AttemptResult:
    """One attempt of a call whose caller decides about repeats."""

    verdict: Verdict
    attempts: int
    """Requests made: two if a stale token was renewed, none if nothing could be sent."""
    sent_s: float
    """When the last one was sent, on the loop's clock."""
    ended_s: float
    """When its answer was read, or it failed."""


@frozen
class Response:
    """The answer to ``SpotClient.request``: always a 2xx."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    """Names are compared case-insensitively."""
    body: bytes = field(repr=False)
    """Decompressed; may be empty."""
    attempts: int
    """Requests made for this answer."""
    elapsed_s: float
    """Seconds from the call to the answer, including all waits."""
    _operation: str = field(default="", repr=False)

    def json(self) -> Any:
        """Return the body as JSON values, with integers of any length exact.

        Raises:
            DecodeError: the body is not JSON (outcome ``"unknown"``).
        """
        try:
            return parse_exact(self.body)
        except NotJsonError:
            pass
        raise DecodeError(
            "the answer is not JSON",
            operation=self._operation,
            attempts=self.attempts,
            elapsed_s=self.elapsed_s,
        )
