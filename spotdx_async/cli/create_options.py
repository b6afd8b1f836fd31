"""Options of creates, of one object and of files of rows. A class is flattened into a command."""

from typing import Annotated, ClassVar, TypeAlias

from attrs import frozen
from cyclopts import Parameter

from spotdx_async.cli.options import Day, FilePath, Flag, Moment, Seconds, Whole, Word
from spotdx_async.cli.row_options import ReadingOptions, RowOptions
from spotdx_async.errors import InvalidInputError


@frozen(kw_only=True)
class EarlierAttempt:
    """What is known of an earlier attempt with the same reference."""

    never_sent: Flag = False
    """The reference was never sent before: do not look first whether it was."""
    sent_at: Moment = None
    """When it was sent at the latest, if it was sent before, such as 2024-01-31T12:00:00Z. Default: not known, so the
    command waits a whole minute before it sends a reference that is not found."""
    since: Day = None
    """Search only what was created since this day, YYYY-MM-DD; it saves time. Default: everything is searched."""


@frozen(kw_only=True)
class CreateOptions(RowOptions):
    """Options of a create of many rows."""

    batch: Annotated[str | None, Parameter(metavar="NAME")] = None
    """A name of yours for these rows, always the same for the same rows: references are made of it and the keys."""
    journal: FilePath = None
    """Record in this file (mode 0600), before each request, what is about to be sent, and what was created. The same
    command resumes a run that was stopped or killed. It holds the ids of what was created, no key and no patient data.
    """
    replaces_failed: Annotated[Flag, Parameter(name="--force")] = False
    """Replace the files given by --failed, --outcomes and --created if they exist."""
    created: FilePath = None
    """Write key, id and state of each row that was sent to this file (CSV, mode 0600), also of those that earlier
    sessions have sent. A rejected row has no line."""
    concurrency: Whole | None = None
    """Requests in flight at once. Default: the profile's, else 8."""
    waits_for_server: Annotated[Flag, Parameter(name="--wait-for-server")] = False
    """Wait that long even for a server that no request has reached yet. Without it the run stops after 30 s, since the
    address may be wrong."""
    lands_within_s: Annotated[Seconds, Parameter(name="--lands-within")] = 60.0
    """How long a request that got no answer may still be executed, in seconds; at least the timeout. What is in
    doubt is looked for after that, and not sent again before."""
    look_first: Day = None
    """Where the journal is lost: read what was created since this day, YYYY-MM-DD, before anything is sent, and send no
    row whose reference is found."""

    accepts_changed_input: ClassVar[bool] = False
    allows_empty: ClassVar[bool] = False
    coalesces: ClassVar[bool] = False
    show_phi: ClassVar[bool] = False


@frozen(kw_only=True)
class SettleOptions(ReadingOptions):
    """Options of ``settle``."""

    journal: Annotated[Word, Parameter(metavar="PATH")]
    """The journal of the batch."""
    batch: Annotated[str | None, Parameter(metavar="NAME")] = None
    """The name of the batch, to make sure that the journal is the one of this batch."""
    created: FilePath = None
    """Write key, id and state of each row that was sent to this file (CSV, mode 0600), also of those that earlier
    sessions have sent."""
    replaces_failed: Annotated[Flag, Parameter(name="--force")] = False
    """Replace the file given by --created, whatever it holds."""
    lands_within_s: Annotated[Seconds, Parameter(name="--lands-within")] = 60.0
    """How long a request that got no answer may still be executed, in seconds."""


SentBefore: TypeAlias = Annotated[EarlierAttempt, Parameter(name="*")]
CreateWith: TypeAlias = Annotated[CreateOptions, Parameter(name="*")]
SettleWith: TypeAlias = Annotated[SettleOptions, Parameter(name="*")]
UNKNOWN_ATTEMPT, USUAL_CREATE = EarlierAttempt(), CreateOptions()


def check_for_rows(client_ref: str | None, earlier: EarlierAttempt) -> None:
    """Refuse, for files of rows, what is said of one object.

    Raises:
        InvalidInputError: something is.
    """
    if client_ref is not None or earlier != UNKNOWN_ATTEMPT:
        raise InvalidInputError(
            "--client-ref, --sent-at, --since and --never-sent are for one object: rows have references by their batch "
            "and key, or one of their own in the column metadata.client_ref; nothing was sent"
        )
