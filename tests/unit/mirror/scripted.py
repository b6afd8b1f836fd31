"""A client whose feeds deliver what a test says, and what a mirror's file holds."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from spotdx_async import Kit
from spotdx_async.changes import Batch, ChangeCounts
from spotdx_async.testing.factories import make_kit, make_kit_summary

__all__ = ["KEY", "ScriptedSpot", "batch_of_kits", "batches", "dump", "rows_of"]

KEY = b"k" * 32


@define
class Feed:
    """Delivers batches, each once; an exception among them ends the pass, an event is waited for."""

    batches: list[Any]
    sweep: bool = False
    counts: ChangeCounts = field(factory=ChangeCounts)
    owed: int = 0

    def owes(self, _an_id: str) -> bool:
        return False

    def derived_key(self, _purpose: str) -> bytes:
        return KEY

    async def __aiter__(self) -> AsyncIterator[Batch[Any]]:
        while self.batches:
            await asyncio.sleep(0)
            batch = self.batches.pop(0)
            if isinstance(batch, BaseException):
                raise batch
            if isinstance(batch, asyncio.Event):
                await batch.wait()
                continue
            gets = self.counts.gets + len(batch.items) + len(batch.touched)
            self.counts = ChangeCounts(lists=self.counts.lists + 1, gets=gets)
            yield batch


@define
class Noun:
    """One noun of the client; its feeds begin behind the batch of their cursor, if it ``resumes``."""

    batches: list[Any]
    resumes: bool
    asked: list[dict[str, Any]] = field(factory=list)
    """What each feed was made with."""

    def changes(self, cursor: str | None = None, **options: Any) -> Feed:
        self.asked.append({"cursor": cursor, **options})
        if not self.resumes:
            return Feed(self.batches)
        known = [getattr(batch, "cursor", None) for batch in self.batches]
        return Feed(self.batches[known.index(cursor) + 1 :] if cursor in known else [*self.batches])


class ScriptedSpot:
    """A client as a pull uses it.

    Args:
        batches: those of kits; the others have names.
        resumes: whether a pull gets again what was not stored; else each batch comes once.
    """

    def __init__(
        self, *batches: Any, orders: Sequence[Any] = (), requisitions: Sequence[Any] = (), resumes: bool = False
    ) -> None:
        self.kits, self.orders, self.requisitions = (Noun([*each], resumes) for each in (batches, orders, requisitions))


def batch_of_kits(*items: Kit, cursor: str = "cursor", **fields: Any) -> Batch[Kit]:
    """A batch of kits, each with its row of the list unless ``summaries`` says otherwise."""
    rows = tuple(evolve(make_kit_summary(), kit_id=item.kit_id) for item in items)
    return Batch(items, cursor, fields.pop("summaries", rows), **fields)


def batches(*groups: Sequence[int]) -> list[Batch[Kit]]:
    """A batch for each group of the kits' numbers."""
    return [
        batch_of_kits(*map(make_kit, numbers), cursor=f"cursor {place}")
        for place, numbers in enumerate(groups, start=1)
    ]


def rows_of(path: Path, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
    """What a query finds in a mirror, read as any other program would."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query, parameters).fetchall()


def dump(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Every table's rows, but for those that say when and how they came."""
    with closing(sqlite3.connect(path)) as database:
        names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1")]
        kept = [name for name in names if name not in {"cursors", "pulls"}]
        return {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in kept}  # noqa: S608 - its own names
