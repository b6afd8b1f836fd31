"""Why rows did not go through, grouped; a group never shows a row, a key, or what the server wrote."""

import re
from collections import Counter

from attrs import frozen

from spotdx_async.bulk.records import State
from spotdx_async.errors import DecodeError, InvalidInputError, OutcomeUnknownError, SpotError, StatusError

__all__ = ["MOST_SHOWN", "Reason", "Reasons"]

MOST_SHOWN = 50
_MOST_KEPT = 500
_LONGEST_TEXT = 300
_DIGITS = re.compile(r"\d+")
_METADATA_PATH = re.compile(r"\bmetadata(?:\.\w+|\[[^\]]*\])+…?")


@frozen
class Reason:
    """What the rows of one group have in common."""

    state: State
    """What became of them."""
    error: str | None = None
    """The class of their error; None for the group of all that fits in no other."""
    status: int | None = None
    """The HTTP status, where there was an answer."""
    word: str | None = None
    """The error's ``reason``, where it has one."""
    text: str = "other reasons"
    """The error's message; numbers and places in the metadata are left out where they differ from row to row."""


class Reasons:
    """Counts rows by reason: the first 500 groups, and the rest by state."""

    def __init__(self) -> None:
        self._counts: Counter[Reason] = Counter()

    def add(self, state: State, error: SpotError) -> None:
        """Count a row."""
        reason = _reason(state, error)
        if reason not in self._counts and len(self._counts) >= _MOST_KEPT:
            reason = Reason(state)
        self._counts[reason] += 1

    def groups(self) -> list[tuple[Reason, int]]:
        """Give the groups, the largest first; at most 50, and one a state for the rest."""
        named = [(reason, count) for reason, count in self._counts.most_common() if reason.error is not None]
        rest: Counter[State] = Counter()
        for reason, count in self._counts.items():
            rest[reason.state] += count
        for reason, count in named[:MOST_SHOWN]:
            rest[reason.state] -= count
        return named[:MOST_SHOWN] + [(Reason(state), count) for state, count in rest.most_common() if count > 0]


def _reason(state: State, error: SpotError) -> Reason:
    word = getattr(error, "reason", None)
    status = error.status if isinstance(error, (StatusError, OutcomeUnknownError)) else None
    return Reason(state, type(error).__name__, status, word if isinstance(word, str) else None, _text(error))


def _text(error: SpotError) -> str:
    # Of an error only its message is looked at: details and raw can name patients, str() has times that differ.
    text = str(error.args[0]) if error.args else ""
    if isinstance(error, (InvalidInputError, DecodeError)):
        text = _DIGITS.sub("N", _METADATA_PATH.sub("metadata.…", text))  # a key of the metadata may be a name too
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"
