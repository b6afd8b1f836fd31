"""Whether metadata that an answer shows is what was sent, however the vendor has tidied it up. Pure; shows no value."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from unicodedata import normalize

from spotdx_async._codec.json import HugeNumber, parse_exact, serialize_scalar

__all__ = ["is_what_was_sent", "may_show_another"]

_KEY: Final = b'"metadata"'
_NUMBER: Final = re.compile(r"[+-]?\d{1,5000}(?:\.\d{0,5000})?(?:[eE][+-]?\d{1,18})?", re.ASCII)
_NOTHING: Final = object()


def may_show_another(body: bytes, answer: bytes) -> bool:
    """Whether an answer, as text without a backslash, may show other metadata than was sent; True says: read it.

    Unread, since most answers show none, and those that do mostly as it was sent. Where the one ``metadata`` is not the
    object's own but of something in it, the object shows none.
    """
    at = answer.find(_KEY)
    if at < 0:
        return False
    sent = body[1:-1]  # "metadata":{…}
    return not answer.startswith(sent, at) or answer.find(_KEY, at + len(sent)) >= 0


def is_what_was_sent(body: bytes, shown: Mapping[str, Any]) -> bool:
    """Whether the metadata of an answer is the one that a request has set.

    What a server may do to it without changing what it says:

    1. Keys in another order, and more of them: kept from before, or its own.
    2. A key, or a list's item, that is null is left out.
    3. A number in another form (1, 1.0, 1e0), or as text; ``true`` and ``false`` as text; a text that is a number, as
       that number, where this is written the same.
    4. Spaces around a text are cut off; it has another form of Unicode.

    Args:
        body: of the request that set it.
        shown: what stands in the answer.
    """
    waiting: list[tuple[Any, Any]] = [(parse_exact(body)["metadata"], shown)]
    while waiting:  # no recursion: it may be nested deep
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
    """Compare two plain values: a boolean is no number, though Python says so."""
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
        return float(number) == sent  # a double holds no more digits, however many are written
    return number == _exact(sent)


def _exact(value: Any) -> Decimal | None:
    """Give a number, or a text that is one, with all its digits; None for all else."""
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
