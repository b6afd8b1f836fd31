"""The folder of a run on workers: what describes its input, how it was split, and what its journals say together."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import frozen

from spotdx_async import private_files
from spotdx_async.bulk.journal.reading import read_journal
from spotdx_async.bulk.journal.records import JournalState
from spotdx_async.bulk.records import STATES, UPDATES, Noun, State
from spotdx_async.errors import InvalidInputError, JournalError

__all__ = ["RunFolderState", "claim_folder", "note_split", "read_run_folder"]

_RUN = "run.json"
_SPLIT = "split.json"
_JOURNALS = "[0-9]*/shard-[0-9]*.journal"

_Standing: TypeAlias = Literal["complete", "under way", "stopped", "killed", "unreadable"]


@frozen(kw_only=True)
class RunFolderState:
    """What the folder of a run on workers says about it."""

    path: str
    noun: Noun
    """Whose metadata it sets."""
    rows: int
    """Rows of the whole input."""
    shards: int | None
    """How many shards it has; None until all of them were given out in one session."""
    standings: Mapping[int, Literal["complete", "under way", "stopped", "killed", "unreadable"]]
    """How far each shard that was begun is, by its number. Stopped and killed ones are resumed by the same run."""
    faults: Mapping[int, str]
    """Why the journal of a shard cannot be read."""
    by_state: Mapping[State, int]
    """Rows by state, each of the six present: those that the journals record, and bad ones once ``shards`` is known."""
    begun_at: datetime | None
    """When its first shard was begun, UTC; None if none was."""
    changed_at: datetime | None
    """When a journal was last written, UTC."""

    @property
    def not_done(self) -> int:
        """Rows that are not done, whatever the reason; a later value may have overtaken those that failed."""
        return self.rows - self.by_state["ok"] - self.by_state["superseded"]

    @property
    def in_use(self) -> bool:
        """Whether a worker has one of its shards at this moment."""
        return "under way" in self.standings.values()

    @property
    def is_complete(self) -> bool:
        """Whether every shard came to its end; rows of it may have failed."""
        count = sum(standing == "complete" for standing in self.standings.values())
        return self.shards is not None and count == self.shards


def read_run_folder(path: str | os.PathLike[str]) -> RunFolderState:
    """Return what the folder of a run on workers says, even while it is under way; nothing is changed.

    Raises:
        InvalidInputError: there is no such folder, or no run has begun in it.
    """
    folder = Path(path)
    described = _read(folder / _RUN)
    if described is None or described.get("noun") not in UPDATES or not isinstance(described.get("rows"), int):
        raise InvalidInputError(f"{folder}: this folder holds no run of --workers or --dask")
    split = _read(folder / _SPLIT) or {}
    standings: dict[int, _Standing] = {}
    faults: dict[int, str] = {}
    found: list[JournalState] = []
    for number, journal in _journals(folder):
        try:
            found.append(state := read_journal(journal))
        except JournalError as error:
            standings[number], faults[number] = "unreadable", str(error)
        else:
            standings[number] = _standing(state)
    counts: Counter[State] = Counter()
    for state in found:
        counts.update(state.by_state)
    counts["rejected"] += split.get("rejected", 0)
    return RunFolderState(
        path=str(folder),
        noun=described["noun"],
        rows=described["rows"],
        shards=split.get("shards"),
        standings=standings,
        faults=faults,
        by_state={state: counts[state] for state in STATES},
        begun_at=min((state.begun_at for state in found), default=None),
        changed_at=max((state.changed_at for state in found), default=None),
    )


def claim_folder(folder: Path, described: Mapping[str, Any]) -> None:
    """Describe the run in its folder, or make sure that it is the same run that is resumed there.

    Raises:
        InvalidInputError: it belongs to another one.
    """
    place = folder / _RUN
    try:
        theirs = json.loads(private_files.read(place))
    except FileNotFoundError:
        private_files.replace(place, json.dumps(described).encode())
        return
    except private_files.UnfitFileError as error:
        raise InvalidInputError(f"{place} {error.strerror}: name another folder") from None
    except (OSError, ValueError):
        theirs = None
    if theirs != described:
        raise InvalidInputError(
            f"{folder} was begun with another input or another shard_rows: resume with those, or name another folder"
        )


def note_split(folder: Path, *, shards: int, rejected: int) -> None:
    """Write down how the input was split, for those who look at the run; a full disk does not end it for that.

    Args:
        folder: of the run.
        shards: how many there are.
        rejected: rows that are in no shard, since they are bad.
    """
    with suppress(OSError):
        private_files.replace(folder / _SPLIT, json.dumps({"shards": shards, "rejected": rejected}).encode())


def _journals(folder: Path) -> Iterator[tuple[int, Path]]:
    for path in sorted(folder.glob(_JOURNALS)):
        number = path.stem.removeprefix("shard-")
        if number.isdecimal():
            yield int(number), path


def _standing(state: JournalState) -> _Standing:
    if state.in_use:
        return "under way"
    if state.ending is None:
        return "killed"
    return "complete" if state.ending == "complete" else "stopped"


def _read(place: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(private_files.read(place))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
