"""What a feed of changes has delivered, and its text form: the cursor. Pure; it knows no HTTP.

The text is base64 of: a version, the noun, digests of server and token, a salt, times of the server's clock, the states
that were delivered, and a checksum. Ids and contents are in it as keyed digests only.
"""

import binascii
import json
import secrets
import string
import struct
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Final

from attrs import define, field

from spotdx_async.errors import InvalidInputError

_VERSION = 1
_NOUNS: Final = ("kits", "orders", "requisitions")
_STANDARD_LETTERS = bytes.maketrans(b"-_", b"+/")
_SALT = 8
# An entry has 16 bytes. With n entries, two ids share a digest by a chance of n * n / 2 ** 41 (both then come again); a
# changed state passes for the delivered one by 1 in 2 ** 48.
_ID, _ROW, _CONTENT = 5, 6, 5
_ENTRY = _ID + _ROW + _CONTENT
_CHECKSUM = 8
_ENCIPHERED_AT_ONCE = 64
_ANCHORS = 5  # some of them may be gone by the time
# Version, noun, server, token, salt, flags; four times, three days; the number of groups, the length of the ids owed.
_HEADER = struct.Struct(">BB8s4s8sB4d3iHI")
_GROUP = struct.Struct(">iI")
_DAY = struct.Struct(f">i{_ROW + _CONTENT - 4}x")
_NONE_S, _NO_DAY = float("-inf"), -1
_IS_COMPLETE, _IS_SWEEP = 1, 2
_OF_ANCHORS = -3  # the number of their group in the text

UNDATED: Final = 0
"""The group of states without a date of their last change."""
OF_THE_WINDOW: Final = -2
"""The group of older states, kept while the days on which their objects were created are being read."""


NO_CONTENT: Final = bytes(_CONTENT)
"""In place of a content's digest: the object did not exist when it was got."""


@define
class Delivered:
    """What was delivered of one object."""

    row: bytes
    """The digest of its row in the list; of nothing if no row was known."""
    content: bytes
    """The digest of its content."""
    day: int = UNDATED
    """The group that it is in."""


@define(kw_only=True)
class FeedState:
    """What a feed has delivered, as of one moment.

    All times are the server's, in seconds since 1970.
    """

    noun: str
    server: bytes
    """A digest of the server's address."""
    token: bytes = b"\0" * 4
    """A digest of the token of the last pass."""
    salt: bytes = field(factory=lambda: secrets.token_bytes(_SALT), repr=False)
    watermark_s: float = _NONE_S
    """When the last pass that was read to its end began."""
    read_to_s: float = _NONE_S
    """Everything that changed up to then was surely shown when it was last read."""
    deep_read_at_s: float = _NONE_S
    """When the list was last read down to ``read_to_s``."""
    is_complete: bool = True
    """Whether the last pass was read to its end."""
    since: date | None = None
    """The day that the feed begins with; None: with the first object."""
    long_pass_at_s: float = _NONE_S
    """When a pass that reads by days of creation began; none is under way at minus infinity."""
    created_from: date | None = None
    """In such a pass: what was created before that day is done."""
    created_to: date | None = None
    """In such a pass: the last day of the window that is being read, whose states are kept; None: it has no end."""
    is_sweep: bool = False
    """Whether that pass gets everything again."""
    owed: dict[str, tuple[int, int]] = field(factory=dict, repr=False)
    """Ids of objects that changed and could not be got, with the days of their last change and of the first try."""
    groups: dict[int, dict[bytes, bytes]] = field(factory=dict, repr=False)
    """States by the ordinal of the day of their last change: a digest of the id, one of the row, one of the content."""
    anchors: dict[bytes, int] = field(factory=dict, repr=False)
    """Digests of the ids of the few delivered objects that changed last, however long ago, with the days of that.

    By them a cursor is recognised as this account's when no other state is kept. A day is ``UNDATED`` if no row showed
    it, and negative until a sweep that has begun since finds the object still there: both make room for others first.
    """
    _last: tuple[str, bytes] = field(default=("", b""), init=False, repr=False, eq=False)

    @property
    def is_long(self) -> bool:
        """Whether a pass that reads by days of creation is under way."""
        return self.long_pass_at_s != _NONE_S

    @property
    def has_begun(self) -> bool:
        """Whether a pass was ever read to its end."""
        return self.watermark_s != _NONE_S

    def first_kept_day(self) -> date:
        """Return the first day whose states are kept beyond their window, in a pass that reads by days of creation."""
        # A sweep may be given up, and what was delivered before it must not come again then.
        kept_s = self.watermark_s if self.is_sweep and self.has_begun else self.long_pass_at_s
        return first_day(min(kept_s, self.long_pass_at_s))

    def row_digest(self, an_id: str, row: bytes) -> bytes:
        """Return a digest of an object's row in the list."""
        return blake2b(row, digest_size=_ROW, key=self.salt, person=b"row", salt=self._id_digest(an_id)).digest()

    def content_digest(self, an_id: str, content: bytes) -> bytes:
        """Return a digest of an object's content."""
        digest = blake2b(content, digest_size=_CONTENT, key=self.salt, person=b"content", salt=self._id_digest(an_id))
        return digest.digest()

    def delivered(self, an_id: str) -> Delivered | None:
        """Return what was delivered of an object; None if nothing is known."""
        key = self._id_digest(an_id)
        for day, group in self.groups.items():
            if (state := group.get(key)) is not None:
                return Delivered(state[:_ROW], state[_ROW:], day)
        return None

    def note(
        self, an_id: str, day: int, row: bytes, content: bytes, *, group: int | None = None, shown: int | None = None
    ) -> None:
        """Note what is delivered of an object, in place of what was before.

        Args:
            an_id: its id.
            day: of its last change; ``UNDATED`` if it shows none.
            row: the digest of its row in the list.
            content: that of its content.
            group: the group that its state is kept in, if not that of the day.
            shown: the day that the list shows, as far as it is known, if not that of the last change.
        """
        key = self._id_digest(an_id)
        for states in self.groups.values():
            states.pop(key, None)
        self.groups.setdefault(day if group is None else group, {})[key] = (row or bytes(_ROW)) + content
        self.owed.pop(an_id, None)
        before = self.anchors.pop(key, UNDATED)
        if content != NO_CONTENT and (day if shown is None else True):
            self.anchors[key] = day if shown is None else max(shown, abs(before))
            if len(self.anchors) > _ANCHORS:
                del self.anchors[min(self.anchors, key=lambda known: _rank(self.anchors[known]))]

    def begin_sweep(self) -> None:
        """Let what the sweep finds take the place of objects that are gone, by which no account can be recognised."""
        self.anchors = {key: -abs(day) for key, day in self.anchors.items()}

    def forget_before(self, day: int) -> None:
        """Drop the states whose last change was before a day, since the list is not asked for them any more."""
        for known in self.dated_groups():
            if known < day:
                del self.groups[known]

    def keep_undated(self, ids: Iterable[str]) -> None:
        """Drop the states without a date, except those of the objects that the list still shows."""
        states = self.groups.pop(UNDATED, {})
        if kept := {key: states[key] for an_id in ids if (key := self._id_digest(an_id)) in states}:
            self.groups[UNDATED] = kept

    def dated_groups(self) -> list[int]:
        """Return the days whose states are known, the oldest first."""
        return sorted(day for day, states in self.groups.items() if day > UNDATED and states)

    def token_digest(self, token: str) -> bytes:
        """Return a digest by which the same token is recognised; too short to find a token by."""
        return blake2b(token.encode(), digest_size=4, key=self.salt, person=b"token").digest()

    @property
    def knows_something(self) -> bool:
        """Whether anything was delivered that the account can be recognised by."""
        return bool(self.anchors) or any(self.groups.values())

    def first_known_day(self) -> int | None:
        """Return the first of the days on which the known objects changed last; None if no such day is known."""
        return min((*self.dated_groups(), *(abs(day) for day in self.anchors.values() if day)), default=None)

    def knows_any(self, ids: Iterable[str]) -> bool:
        """Return whether something was delivered of one of these objects."""
        known: list[Mapping[bytes, object]] = [self.anchors, *self.groups.values()]
        return any(key in each for key in map(self._id_digest, ids) for each in known)

    def _id_digest(self, an_id: str) -> bytes:
        if an_id == self._last[0]:  # each object's is needed several times in a row
            return self._last[1]
        digest = blake2b(an_id.encode(errors="surrogatepass"), digest_size=_ID, key=self.salt).digest()
        self._last = an_id, digest
        return digest

    # --- Text ---------------------------------------------------------------------------------------------------------

    def encode(self) -> str:
        """Return the cursor."""
        owed = self._enciphered(json.dumps(self.owed).encode() if self.owed else b"")
        flags = _IS_COMPLETE * self.is_complete | _IS_SWEEP * self.is_sweep
        groups = [(day, states) for day, states in self.groups.items() if states]
        if self.anchors:
            groups.append((_OF_ANCHORS, {key: _DAY.pack(day) for key, day in self.anchors.items()}))
        parts = [
            _HEADER.pack(
                *(_VERSION, _NOUNS.index(self.noun), self.server, self.token, self.salt, flags),
                *(self.watermark_s, self.read_to_s, self.deep_read_at_s, self.long_pass_at_s),
                *(_ordinal(self.since), _ordinal(self.created_from), _ordinal(self.created_to)),
                *(len(groups), len(owed)),
            ),
            owed,
        ]
        for day, states in groups:
            parts.append(_GROUP.pack(day, len(states)))
            for key, state in states.items():
                parts += (key, state)
        body = b"".join(parts)
        return urlsafe_b64encode(body + _checksum(body)).decode()

    @classmethod
    def decode(cls, cursor: object, *, noun: str, server: bytes) -> "FeedState":
        """Read a cursor.

        Raises:
            InvalidInputError: it is none, damaged, of a newer version, of another noun or of another server.
        """
        body = _body_of(cursor)
        _, noun_number, its_server, token, salt, flags, *rest = _HEADER.unpack_from(body)
        its_noun = _NOUNS[noun_number] if noun_number < len(_NOUNS) else "something else"
        if its_noun != noun:
            raise InvalidInputError(f"the cursor is one of {its_noun}, not of {noun}: store one for each")
        if its_server != server:
            raise InvalidInputError(
                "the cursor was made with another server: pass the one that was stored for this base_url, or None to "
                "begin again"
            )
        watermark_s, read_to_s, deep_read_at_s, long_pass_at_s, *ordinals, groups, owed_size = rest
        since, created_from, created_to = map(_day, ordinals)
        at = _HEADER.size
        state = cls(
            noun=noun,
            server=server,
            token=token,
            salt=salt,
            watermark_s=watermark_s,
            read_to_s=read_to_s,
            deep_read_at_s=deep_read_at_s,
            is_complete=bool(flags & _IS_COMPLETE),
            since=since,
            long_pass_at_s=long_pass_at_s,
            created_from=created_from,
            created_to=created_to,
            is_sweep=bool(flags & _IS_SWEEP),
        )
        if owed_size:
            days = json.loads(state._enciphered(body[at : at + owed_size]))
            state.owed = {an_id: (day, since) for an_id, (day, since) in days.items()}
        at += owed_size
        for _ in range(groups):
            day, size = _GROUP.unpack_from(body, at)
            at += _GROUP.size
            entries = (body[one : one + _ENTRY] for one in range(at, at + size * _ENTRY, _ENTRY))
            state.groups[day] = {entry[:_ID]: entry[_ID:] for entry in entries}
            at += size * _ENTRY
        anchors = state.groups.pop(_OF_ANCHORS, {})
        state.anchors = {key: _DAY.unpack(packed)[0] for key, packed in anchors.items()}
        return state

    def _enciphered(self, text: bytes) -> bytes:
        """Return a text that nobody reads by accident, such as in a log; the same again gives the text."""
        keys = (
            blake2b(number.to_bytes(8, "big"), key=self.salt, person=b"owed").digest()
            for number in range(-(-len(text) // _ENCIPHERED_AT_ONCE))
        )
        return bytes(one ^ other for one, other in zip(text, b"".join(keys), strict=False))


_DAMAGED = "the cursor is not one of changes(), or a part of it is missing: pass the text of batch.cursor unchanged"


def day_of_state(updated: datetime | None) -> int:
    """Return the group of a state that was last changed at this moment."""
    return UNDATED if updated is None else updated.astimezone(UTC).toordinal()


def first_day(watermark_s: float) -> date:
    """Return the day that the list is asked for: the one before the watermark."""
    return (datetime.fromtimestamp(watermark_s, UTC) - timedelta(days=1)).date()


def server_digest(base_url: str) -> bytes:
    """Return the digest by which a cursor recognises its server."""
    return blake2b(base_url.encode(), digest_size=8, person=b"server").digest()


def _rank(day: int) -> tuple[bool, int]:
    return day > UNDATED, abs(day)


def _body_of(cursor: object) -> bytes:
    if not isinstance(cursor, str):
        raise InvalidInputError(f"cursor must be the text of batch.cursor, or None, not {type(cursor).__name__}")
    text = cursor.strip(string.whitespace)
    try:
        # Not by urlsafe_b64decode: what does not belong there it leaves out, of which Python 3.15 warns.
        whole = binascii.a2b_base64(text.encode("ascii").translate(_STANDARD_LETTERS), strict_mode=True)
    except ValueError:
        whole = b""
    if urlsafe_b64encode(whole).decode() != text:
        whole = b""
    body, checksum = whole[:-_CHECKSUM], whole[-_CHECKSUM:]
    if not body or _checksum(body) != checksum:
        raise InvalidInputError(_DAMAGED)
    if body[0] > _VERSION:
        raise InvalidInputError("the cursor was made by a newer version of spotdx_async: update this one")
    return body


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM, person=b"spotdx cursor").digest()


def _ordinal(day: date | None) -> int:
    return _NO_DAY if day is None else day.toordinal()


def _day(ordinal: int) -> date | None:
    return None if ordinal == _NO_DAY else date.fromordinal(ordinal)
