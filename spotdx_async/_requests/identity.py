"""What distinguishes an operation's answer from other JSON: its id, echoes of the request, its metadata. Pure."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, TypeAlias
from unicodedata import combining, normalize

from attrs import field, frozen

from spotdx_async._codec.json import HugeNumber, parse_exact, serialize_scalar

_METADATA: Final = b'"metadata"'
_NUMBER: Final = re.compile(r"[+-]?\d{1,5000}(?:\.\d{0,5000})?(?:[eE][+-]?\d{1,18})?", re.ASCII)
_NOTHING: Final = object()

Keys: TypeAlias = tuple[str, ...]
"""The keys from the top of an answer to a value in it."""


class Form(Enum):
    """What an answer is as a whole."""

    OBJECT = "object"
    ROWS = "rows"
    TEXTS = "texts"


@frozen
class Identity:
    """What an operation's answer must contain, so that it can be nothing else."""

    form: Form
    id_keys: Keys = ()
    """The keys to its id; for rows, to the id of each."""
    is_asked_for: bool = False
    """Whether the id must be the one in the request's path; otherwise it only must be present."""
    ignores_case: bool = False
    """Whether ids that differ only in case are the same, as UUIDs are."""
    sets_metadata: bool = False
    """Whether the request sets the object's metadata: if the answer shows metadata, it must be what was sent."""
    shows_metadata: bool = False
    """Whether the contract has metadata in the answer; otherwise it comes, if at all, among undocumented fields."""
    quoted_key: bytes = field(init=False, repr=False)
    """The last key to the id, as JSON text."""
    opening: bytes = field(init=False, repr=False)
    """The start of an object whose id comes first, as text; empty unless a specific id is asked for."""
    unfit: tuple[bytes, ...] = field(init=False, repr=False)
    """Beginnings of a text that show at once that it is no such answer: 10 MB of it need not be parsed."""

    @unfit.default
    def _make_unfit(self) -> tuple[bytes, ...]:
        return (b"[", b'"') if self.form is Form.OBJECT else ()

    @quoted_key.default
    def _make_quoted_key(self) -> bytes:
        return b'"%b"' % "".join(self.id_keys[-1:]).encode()

    @opening.default
    def _make_opening(self) -> bytes:
        return b"{%b:" % self.quoted_key if self.is_asked_for else b""


TEXTS = Identity(Form.TEXTS)
"""A list of strings, possibly empty."""


def id_asked_for(
    key: str, *, ignores_case: bool = False, sets_metadata: bool = False, shows_metadata: bool = False
) -> Identity:
    """An object with the id that was asked for."""
    return Identity(
        Form.OBJECT,
        (key,),
        is_asked_for=True,
        ignores_case=ignores_case,
        sets_metadata=sets_metadata,
        shows_metadata=shows_metadata,
    )


def any_id(*keys: str) -> Identity:
    """An object with an id that only the server knows beforehand."""
    return Identity(Form.OBJECT, keys)


def rows_with(key: str) -> Identity:
    """A list whose rows have this key; possibly empty."""
    return Identity(Form.ROWS, (key,))


@frozen
class Echo:
    """Something that was sent and comes back in the answer to a create: another value there means another object."""

    keys: Keys
    """The keys to it in the answer."""
    text: str = field(repr=False)
    """What was sent."""
    is_due: bool = False
    """Whether it must be present if the object that contains it is shown."""
    is_enough: bool = False
    """Whether it identifies the object, together with others like it, if the answer has no id."""
    ignores_case: bool = False
    """Whether texts that differ in case, spaces, accents and Unicode forms are equal: the server may normalise them."""
    may_be_cut: bool = False
    """Whether its beginning is enough if the others with ``is_enough`` are equal: the server's field may be shorter."""


def tidied(text: str) -> str:
    """Return what all spellings of a text have in common: letters without case and accents, with single spaces."""
    # Upper case first: some letters, such as the dotless i, have a capital that maps to a different small letter.
    # Decomposed again at the end, and without marks: a text that was cut may lack some of a letter's marks, which have
    # their own order.
    folded = normalize("NFKD", normalize("NFKD", text).upper().casefold())
    return " ".join("".join(char for char in folded if not combining(char)).split()) or text


def compact(code: str) -> str:
    """Return what all spellings of a code, such as a barcode, have in common: no case, accents and spaces."""
    return "".join(tidied(code).split())


def may_show_another(body: bytes, answer: bytes) -> bool:
    """Return whether an answer, as text without a backslash, may show other metadata than was sent: parse it then.

    Works on the unparsed text, since most answers show no metadata, and the others mostly show it as it was sent. If
    the only ``metadata`` belongs to a nested object, the object itself shows none.
    """
    at = answer.find(_METADATA)
    if at < 0:
        return False
    sent = body[1:-1]  # "metadata":{…}
    return not answer.startswith(sent, at) or answer.find(_METADATA, at + len(sent)) >= 0


def is_what_was_sent(body: bytes, shown: Mapping[str, Any]) -> bool:
    """Return whether the metadata in an answer is what a request has set.

    What a server may do to it without changing its meaning:

    1. Reorder keys, or add some: kept from before, or its own.
    2. Leave out a key, or a list's item, that is null.
    3. Write a number in another form (1, 1.0, 1e0), or as text; ``true`` and ``false`` as text; a text that is a
       number, as that number, if it is written the same.
    4. Trim spaces around a text, or use another Unicode form.

    Args:
        body: of the request that set it.
        shown: the metadata in the answer.
    """
    waiting: list[tuple[Any, Any]] = [(parse_exact(body)["metadata"], shown)]
    while waiting:  # no recursion: it may be deeply nested
        sent, came = waiting.pop()
        if isinstance(sent, dict):
            if not isinstance(came, Mapping):
                return False
            waiting += _pairs(sent, came)
        elif isinstance(sent, list):
            if not isinstance(came, (list, tuple)):
                return False
            kept, left = _without_null(sent), _without_null(came)
            if len(kept) != len(left):
                return False
            waiting += zip(kept, left, strict=True)
        elif not _is_same(sent, came):
            return False
    return True


def _pairs(sent: Mapping[str, Any], came: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    for key, value in sent.items():
        found = came.get(key, _NOTHING)
        if found is not _NOTHING or value is not None:
            yield value, found


def _without_null(items: "list[Any] | tuple[Any, ...]") -> list[Any]:
    return [item for item in items if item is not None]


def _is_same(sent: Any, came: Any) -> bool:
    """Compare two plain values: a boolean is not a number, though Python says so."""
    if sent is None or came is None or came is _NOTHING:
        return sent is came
    if isinstance(sent, bool):
        return came is sent or (isinstance(came, str) and came.strip().lower() == str(sent).lower())
    if isinstance(sent, str):
        if isinstance(came, str):
            return sent == came or normalize("NFC", sent).strip() == normalize("NFC", came).strip()
        is_number = isinstance(came, (int, float)) and not isinstance(came, bool)
        return is_number and serialize_scalar(came).decode() == sent.strip()
    return _is_same_number(sent, came)


def _is_same_number(sent: Any, came: Any) -> bool:
    number = _exact(came)
    if number is None:
        return False
    if isinstance(sent, float) and not isinstance(sent, HugeNumber):
        return float(number) == sent  # a double holds no more digits than that, however many are written
    return number == _exact(sent)


def _exact(value: Any) -> Decimal | None:
    """Return a number, or a text that is one, with all its digits; None for everything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(value.literal if isinstance(value, HugeNumber) else repr(value))
    if not isinstance(value, str) or _NUMBER.fullmatch(text := value.strip()) is None:
        return None
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
