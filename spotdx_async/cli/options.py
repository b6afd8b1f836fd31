"""Options and arguments that commands share. A class is flattened into a command: the line beneath each is its help."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import attrs
from attrs import frozen
from cyclopts import Parameter, Token

from spotdx_async.cli.usage_faults import unknown_option
from spotdx_async.errors import InvalidInputError
from spotdx_async.files import Format

Flag: TypeAlias = Annotated[bool, Parameter(show_default=False)]
Json: TypeAlias = Annotated[bool, Parameter(name="--json", show_default=False)]
Yes: TypeAlias = Annotated[bool, Parameter(name="--yes", show_default=False)]

_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
# What is no number, nan, is left to those who know the range.
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|nan|[+-]?inf", re.IGNORECASE | re.ASCII)


def _whole(_type: Any, tokens: Sequence[Token]) -> int:
    """Read a number as it is written; cyclopts would round 1.5."""
    (token,) = tokens
    if _WHOLE_NUMBER.fullmatch(token.value) is None:
        raise ValueError(f'"{token.value}" is not a whole number')
    return int(token.value)


def _number(_type: Any, tokens: Sequence[Token]) -> float:
    """Read a number of ASCII digits; Python would read 1_5 as 15, and digits of any script."""
    (token,) = tokens
    if _NUMBER.fullmatch(token.value) is None:
        raise ValueError(f'"{token.value}" is not a number')
    return float(token.value)


Whole: TypeAlias = Annotated[int, Parameter(converter=_whole)]
Number: TypeAlias = Annotated[float, Parameter(converter=_number)]

Moment: TypeAlias = Annotated[str | None, Parameter(metavar="TIME")]
Day: TypeAlias = Annotated[str | None, Parameter(metavar="DAY")]
Seconds: TypeAlias = Annotated[float, Parameter(converter=_number, metavar="SECONDS")]

# A path is kept as it was typed, so that "./-x" stays what it is. The Path in the union makes shells complete it.
Word: TypeAlias = str | Path
FilePath: TypeAlias = Annotated[Word | None, Parameter(metavar="PATH")]
# "-" is standard input, so a leading hyphen must be accepted as a value here; `check_path` refuses all others.
RowFiles: TypeAlias = Annotated[list[Word], Parameter(name="FILE...", allow_leading_hyphen=True)]
Ids: TypeAlias = Annotated[list[str], Parameter(name="ID...", allow_leading_hyphen=True)]
KitsOrFiles: TypeAlias = Annotated[list[Word], Parameter(name="KIT_ID|FILE...", allow_leading_hyphen=True)]
JsonFile: TypeAlias = Annotated[Word, Parameter(metavar="PATH", allow_leading_hyphen=True)]


def check_for_rows(client_ref: str | None, earlier: "EarlierAttempt") -> None:
    """Refuse, for files of rows, what is said of one object.

    Raises:
        InvalidInputError: something is.
    """
    if client_ref is not None or earlier != UNKNOWN_ATTEMPT:
        raise InvalidInputError(
            "--client-ref, --sent-at, --since and --never-sent are for one object: rows have references by their batch "
            "and key, or one of their own in the column metadata.client_ref; nothing was sent"
        )


def check_path(word: Word) -> str:
    """Return the path as it is.

    Raises:
        InvalidInputError: it is an option that the command does not know.
    """
    path = str(word)
    if path.startswith("-") and path != "-":
        raise InvalidInputError(unknown_option(path, f"write a file of that name as ./{path.partition('=')[0]}"))
    return path


@frozen(kw_only=True)
class View:
    """How an answer is shown."""

    show_phi: Flag = False
    """Show patient data as well, and the server's reasons for an error, which may name patients."""
    as_json: Json = False
    """Write JSON."""


@frozen(kw_only=True)
class ListView(View):
    """How much of a list is shown, and how."""

    limit: Whole | None = None
    """The most to list. Default: 100."""
    is_whole: Annotated[Flag, Parameter(name="--all")] = False
    """List all there are, page by page as they come; with --json one object a line."""
    columns: Annotated[str | None, Parameter(metavar="NAMES")] = None
    """Show these fields, separated by commas, such as created,status; a field of a field is written
    recipient.address.state."""


@frozen(kw_only=True)
class RequestLimits:
    """How fast requests are sent."""

    rate: Number | None = None
    """The most requests a second. Default: the profile's, else no limit."""
    concurrency: Whole | None = None
    """Requests in flight at once. Default: the profile's, else 64."""


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
class Filters:
    """What all lists can be filtered by. Other users of this machine can see arguments."""

    created_after: Day = None
    """Only those created on this day or later."""
    created_before: Day = None
    """Only those created on this day or earlier."""
    updated_after: Day = None
    """Only those updated on this day or later."""
    updated_before: Day = None
    """Only those updated on this day or earlier."""
    email: str | None = None
    """Only those of the person with this e-mail address. Other users of this machine can see arguments."""
    first_name: str | None = None
    """Only those of people with this given name."""
    last_name: str | None = None
    """Only those of people with this family name."""
    phone: str | None = None
    """Only those of the person with this telephone number."""

    @property
    def query(self) -> dict[str, Any]:
        """The filters as a list call takes them."""
        return attrs.asdict(self)


@frozen(kw_only=True)
class ReadingOptions:
    """How files of rows are read."""

    row_format: Annotated[Format | None, Parameter(name="--format")] = None
    """The format of the rows. Default: guessed from the suffix or the first character."""
    column_map: Annotated[tuple[str, ...], Parameter(name="--map", metavar="COLUMN=KEY", show_default=False)] = ()
    """COLUMN=KEY uses this column for that key or the id, COLUMN= leaves it out; repeatable; not for JSON."""
    delimiter: Annotated[str | None, Parameter(metavar="SIGN")] = None
    """What separates the cells of CSV, such as ';' or tab. Default: the one of , ; tab | that the header shows."""
    encoding: Annotated[str | None, Parameter(metavar="NAME")] = None
    """The encoding of CSV and JSON, such as latin-1. Default: what the first bytes tell, else UTF-8."""
    max_cell: Annotated[str, Parameter(metavar="SIZE")] = "16MiB"
    """The longest cell of CSV; a row with a longer one is rejected."""
    has_one_line_rows: Annotated[Flag, Parameter(name="--one-line-rows")] = False
    """No cell of the CSV holds a line break: each line is a row, so that a broken quote spoils no other."""
    sheet: Annotated[str | None, Parameter(metavar="NAME|NUMBER")] = None
    """The sheet of an Excel workbook, by its name or its number from 1. Default: the first that is visible."""


@frozen(kw_only=True)
class RowOptions(ReadingOptions):
    """Options of every command that reads files of rows and sends them."""

    rate: Number | None = None
    """The most requests a second. Default: the profile's, else no limit."""
    failed: FilePath = None
    """Write the rows that are not done to this file (mode 0600), in the order and form of the input, to be used as
    input again; those that cannot be read go to PATH.unreadable. A file that exists needs --force."""
    replaces_failed: Annotated[Flag, Parameter(name="--force")] = False
    """Replace the files given by --failed and --outcomes if they exist."""
    report: FilePath = None
    """Write a page about the run to this file."""
    outcomes: FilePath = None
    """Write each row's outcome to this file (mode 0600), for programs: .csv, or .jsonl for JSON Lines. It has the id
    of a row, and no other value."""
    outcomes_only: Annotated[Literal["failed"] | None, Parameter(show_choices=True)] = None
    """Write only the rows to it that were rejected, failed or ended unknown."""
    progress: Annotated[Literal["json"] | None, Parameter(show_choices=True)] = None
    """Write progress, messages and the end to standard error as JSON, one object a line, for programs."""
    max_errors: Whole | None = None
    """Stop the run once this many rows were rejected, failed or ended unknown; what is in flight is finished."""
    outage_limit_s: Annotated[Seconds, Parameter(name="--outage-limit")] = 1800.0
    """Stop after an outage of this many seconds."""
    from_row: Whole = 1
    """Begin at this row of the first file; 1 is the first below the header."""
    is_dry_run: Annotated[Flag, Parameter(name="--dry-run")] = False
    """Check every row, send nothing; needs no token."""

    def check(self) -> None:
        """Refuse what is out of range.

        Raises:
            InvalidInputError: an option is.
        """
        if self.max_errors is not None and self.max_errors < 1:
            raise InvalidInputError("--max-errors must be at least 1")
        if not self.outage_limit_s > 0:
            raise InvalidInputError("--outage-limit must be a number of seconds above 0")


@frozen(kw_only=True)
class UpdateOptions(RowOptions):
    """Options of ``kits update`` and ``orders update``."""

    concurrency: Whole | None = None
    """Requests in flight at once. Default: the profile's, else 64."""
    journal: FilePath = None
    """Record in this file (mode 0600) which rows are done, so that the run can be resumed; it holds no id or value.
    With --dask or --workers: a folder that the workers share, which holds the rows during the run."""
    accepts_changed_input: Annotated[Flag, Parameter(name="--accept-changed-input")] = False
    """With --journal: resume with an input that was mended or extended. Rows that are done are known by what they hold,
    and are not sent again, wherever they stand now; the input must hold them all. Not with --dask or --workers."""
    coalesces: Annotated[Flag, Parameter(name="--coalesce")] = False
    """Send only the latest of the values that are waiting for the same id."""
    allows_empty: Annotated[Flag, Parameter(name="--allow-empty")] = False
    """Send {} for a row in which only the id is given, which erases what is set. Default: such a row is rejected."""
    waits_for_server: Annotated[Flag, Parameter(name="--wait-for-server")] = False
    """Wait that long even for a server that no request has reached yet. Without it the run stops after 30 s, since the
    address may be wrong. Not with --dask or --workers."""
    lands_within_s: Annotated[Seconds, Parameter(name="--lands-within")] = 60.0
    """How long a request that got no answer may still be executed, in seconds; at least the timeout. The next value
    of its id waits that long, also after a run that was killed."""
    show_phi: Flag = False
    """Show the server's reasons for rows that it refuses, which may name patients. Not with --dask or --workers."""
    dask: Annotated[str | None, Parameter(metavar="ADDRESS")] = None
    """Run on the workers of the Dask cluster at this address, such as tls://host:8786."""
    dask_tls_ca: FilePath = None
    """The CA certificates (PEM) that identify the cluster at a tls:// address; with the next two."""
    dask_tls_cert: FilePath = None
    """The client certificate (PEM) to show to the cluster."""
    dask_tls_key: FilePath = None
    """The key (PEM) of that certificate."""
    workers: Whole | None = None
    """Run on this many processes of this machine, closed to others: encrypted, with a certificate made for this run."""


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


Shown: TypeAlias = Annotated[View, Parameter(name="*")]
Filtered: TypeAlias = Annotated[Filters, Parameter(name="*")]
UpdateWith: TypeAlias = Annotated[UpdateOptions, Parameter(name="*")]
CreateWith: TypeAlias = Annotated[CreateOptions, Parameter(name="*")]
SettleWith: TypeAlias = Annotated[SettleOptions, Parameter(name="*")]
ListShown: TypeAlias = Annotated[ListView, Parameter(name="*")]
SentBefore: TypeAlias = Annotated[EarlierAttempt, Parameter(name="*")]
AtMost: TypeAlias = Annotated[RequestLimits, Parameter(name="*")]
HIDING, ALL, USUAL_UPDATE, USUAL_CREATE = View(), Filters(), UpdateOptions(), CreateOptions()
FIRST, UNLIMITED, UNKNOWN_ATTEMPT = ListView(), RequestLimits(), EarlierAttempt()
