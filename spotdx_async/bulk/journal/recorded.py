"""What the journal of a run that creates says of keys, while no run has it; nothing here changes it."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import partial
from typing import TypeAlias

from spotdx_async.bulk.journal.lock import is_locked
from spotdx_async.bulk.journal.paths import absolute, check_companions, look, of_creates, refusal
from spotdx_async.bulk.journal.reading import CREATES, PARKED, WORDS, checked, reading, translating_errors
from spotdx_async.bulk.journal.records import Digester
from spotdx_async.bulk.records import Journal, State
from spotdx_async.errors import JournalError

RecordedCreate: TypeAlias = tuple[str, State | None, str | None]
"""A key, how its row has ended, and the id of what it has created; both None where nothing was sent that counts."""


def recorded_creates(
    journal: Journal | None, keys: Iterable[str], *, operation: str, server: str, batch: str | None
) -> Iterator[RecordedCreate]:
    """Yield what is recorded of each key, in the order of the keys.

    Args:
        journal: where it is; None, or one that is not there yet or empty, knows no key.
        keys: the keys.
        operation: what the run does.
        server: with which server.
        batch: the name of its batch; None: whatever it is.

    Raises:
        JournalError: it is in use, or not this run's, or damaged; it is as it was.
    """
    try:
        yield from _recorded(journal, keys, operation, server, batch)
    except JournalError as error:
        refused = of_creates(error)
    else:
        return
    raise refused


def _recorded(
    journal: Journal | None, keys: Iterable[str], operation: str, server: str, batch: str | None
) -> Iterator[RecordedCreate]:
    place = None if journal is None else absolute(journal.path)
    about = None if place is None else look(place)
    if place is None or about is None or not about.st_size:  # an empty file is one that a run may begin
        yield from ((key, None, None) for key in keys)
        return
    check_companions(place)
    if is_locked(place):
        raise refusal(place, "is in use by another run", reason="in use")
    meta = translating_errors(place, lambda: checked(place, CREATES, operation, server, batch))
    digester = Digester(meta.secret)
    with closing(translating_errors(place, lambda: reading(place, is_still=True))) as database:
        for key in keys:
            query = "SELECT state, object FROM creates WHERE key = ?"
            ask = partial(database.execute, query, (digester.create_key(key),))
            found = translating_errors(place, ask).fetchone()
            if found is None:
                yield key, None, None
            else:
                yield key, "unknown" if found[0] == PARKED else WORDS.get(found[0]), found[1]
