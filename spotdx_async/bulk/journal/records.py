"""What goes into a journal and what comes out of it: never an id or a value, only keyed digests of them."""

import hashlib
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Protocol, TypeAlias

from attrs import frozen

from spotdx_async.bulk.records import State
from spotdx_async.errors import JournalError

SECRET_BYTES = 16
_DIGEST_BYTES = 8
UNREADABLE = b"\0"
"""Digested in place of the content of a row that cannot be sent."""


@frozen
class RowDigests:
    """What a journal keeps of a row."""

    content: bytes
    """Of its key and its content: whether it is the same row."""
    key: bytes
    """Of its key alone: whether it is for the same kit or order."""
    may_land: bool = False
    """Whether an attempt of the row may be executed after it has ended: a later session holds the key's next value.
    """


@frozen
class CreateDigests:
    """What a journal keeps of a row that creates: long enough that no two of millions are the same."""

    key: bytes
    content: bytes
    """Of everything that is sent."""
    reference: bytes | None = None
    """Of the reference in the metadata; None for what carries none."""
    mark: bytes | None = None
    """Of what else identifies it, such as a requisition's barcode; None if nothing does."""


Recorded: TypeAlias = tuple[int, State, RowDigests]
"""A row's number, how it ended, and its digests."""


class Digester:
    """Makes keyed digests: those of two journals cannot be compared, and no precomputed table helps.

    Anyone who can read a journal has its secret too and can test guesses; only the file's mode protects against that.
    """

    def __init__(self, secret: bytes) -> None:
        self._content = hashlib.blake2b(key=secret, digest_size=_DIGEST_BYTES, person=b"content")
        self._key = hashlib.blake2b(key=secret, digest_size=_DIGEST_BYTES, person=b"key")
        self._text = hashlib.blake2b(key=secret, digest_size=SECRET_BYTES, person=b"text")

    def row(self, key: str, content: bytes) -> RowDigests:
        """Return the digests of a row."""
        name = key.encode("utf-8", "surrogatepass")
        of_content, of_key = self._content.copy(), self._key.copy()
        # With the length in front, no other pair of key and content reads the same.
        of_content.update(b"%d:%b" % (len(name), name))
        of_content.update(content)
        of_key.update(name)
        return RowDigests(of_content.digest(), of_key.digest())

    def named(self, kind: str, data: bytes) -> bytes:
        """Return the digest of a value of one kind, such as a key: those of two kinds never match."""
        digest = self._text.copy()
        digest.update(kind.encode())
        digest.update(b"\0")
        digest.update(data)
        return digest.digest()

    def create_key(self, key: str) -> bytes:
        """Return the digest by which a row that creates is known, the same for every Unicode form of its key.

        The same letters come out of one program composed and out of another decomposed.
        """
        return self.named("key", unicodedata.normalize("NFC", key).encode("utf-8", "surrogatepass"))

    def text(self, text: str) -> bytes:
        """Return the digest of a text that is only compared, such as the server's address."""
        digest = self._text.copy()
        digest.update(text.encode("utf-8", "surrogatepass"))
        return digest.digest()


@frozen
class Known:
    """What an earlier session has recorded about a row."""

    state: State
    """How it ended."""
    content: bytes
    """The digest of its key and its content."""


class RowJournal(Protocol):
    """A run's open journal, whatever its format, as the engine sees it."""

    on_failure: Callable[[JournalError], object]
    """Called once, in the loop, when nothing more can be written."""

    @property
    def has_room(self) -> bool:
        """Whether another row may be read, and sent."""
        ...

    async def room(self) -> None:
        """Wait until that is so, or nothing can be written any more."""
        ...

    def may_read(self, index: int) -> bool:
        """Return whether the row with this number may be read."""
        ...

    async def wait_to_read(self, index: int) -> None:
        """Wait until that is so, or nothing can be written any more."""
        ...


@frozen(kw_only=True)
class JournalState:
    """What a journal says about its run."""

    path: str
    """Its path."""
    version: int
    """The version of its format."""
    operation: str
    """What the run does: the method and the path template."""
    rows: int
    """Rows recorded."""
    by_state: Mapping[State, int]
    """The same by state, each of the six states present; rows that were only ``skipped`` are never recorded."""
    next_index: int
    """The first row number above all recorded ones; rows below it may be missing."""
    begun_at: datetime
    """When the first session began, UTC."""
    changed_at: datetime
    """When it was last written, UTC."""
    sessions: int
    """How often the run was begun or resumed."""
    ending: str | None
    """How the last session ended, such as ``complete``; None while it runs, and after it was killed."""
    in_use: bool
    """Whether a run has it at this moment."""
    creates: bool = False
    """Whether it is the journal of a run that creates."""
    parked: int = 0
    """Of the ``unknown`` rows of a run that creates, those for which looking has shown nothing certain; the others are
    in doubt: sent, or about to be, and not looked for since."""
    not_sent: int = 0
    """Rows of a run that creates that were about to be sent, and surely were not executed; they are not among ``rows``.
    """
    left: int | None = None
    """Of a run that creates, how many rows its last session left undone, bad ones included; None if no session has come
    to its end."""
    duplicates: tuple[tuple[str, str], ...] = ()
    """The ids of objects that were created for one row, in pairs, as all sessions of a run that creates have found."""


@frozen(kw_only=True)
class AcceptedInput:
    """What of a changed input a journal knows, once it is resumed with it."""

    rows: int
    """Rows of the input."""
    done: int
    """Rows that are done, or overtaken by a later row of their id that is done: they are not sent."""
    done_again: int
    """Rows that were done, and are sent again: in this input they come after a value that was set later."""
