"""What a fault of a row that creates needs around it: the server, the disk, the moment of a kill, another call."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import attrs

from spotdx_async import Journal, JournalError
from spotdx_async._http import clock
from spotdx_async.bulk.create_engine import CreateEngine
from spotdx_async.bulk.journal.creates_file import CreatesFile, Entry
from spotdx_async.bulk.journal.creates_writer import CreatesWriter
from spotdx_async.testing import Fault
from spotdx_async.testing.answers import Answer
from tests.matrix.create_stage import Stage
from tests.new_objects import ORDER

# What is wrong around the first run


async def _list_is_down(stage: Stage) -> None:
    stage.fake.faults.add("503", times=None, method="GET")
    stage.run["outage_limit"] = 60


async def _list_is_late(stage: Stage) -> None:
    stage.fake.orders.list_lag_s = 600


async def _no_date(stage: Stage) -> None:
    stage.fake.date_ahead_s = None


async def _no_metadata(stage: Stage) -> None:
    stage.fake.orders.strip_metadata("missing")


async def _server_is_down(stage: Stage) -> None:
    await stage.fake.stop()


async def _disk_is_full(stage: Stage) -> None:
    def write(_file: CreatesFile, _entries: list[Entry], _ending: str | None = None) -> None:
        raise JournalError("the disk is full", reason="disk")

    stage.patch.setattr(CreatesFile, "write", write)


async def _bad_row(stage: Stage) -> None:
    stage.rows[1] = (stage.key(1), attrs.evolve(ORDER, kit_types=()))


async def _odd_answer(stage: Stage) -> None:
    def reshape(answer: Answer | None) -> Answer | None:
        assert answer is not None
        return replace(answer, body=json.dumps({**json.loads(answer.body), "kits": 7}).encode())

    stage.fake.faults.add(Fault("odd", executes=True, reshape=reshape), method="POST")


async def _earlier_answer(stage: Stage) -> None:
    def reshape(answer: Answer | None) -> Answer | None:
        assert answer is not None
        (first, *_) = stage.fake.orders
        return replace(answer, body=json.dumps({"order_id": first, "status": "pending"}).encode())

    stage.fake.faults.add(Fault("cached", executes=True, reshape=reshape), method="POST")


async def _is_deleted(stage: Stage) -> None:
    asyncio.get_running_loop().call_later(20, lambda: stage.fake.orders.__delitem__(stage.created[0]))


async def _clock_is_ahead(stage: Stage) -> None:
    wall = clock.wall
    stage.patch.setattr(clock, "wall", lambda: wall() + timedelta(days=1))


async def _clock_is_behind(stage: Stage) -> None:
    wall = clock.wall
    stage.patch.setattr(clock, "wall", lambda: wall() - timedelta(days=1))


async def _journal_in_use(stage: Stage) -> None:
    place = Journal(stage.journal)
    stage.other = await CreatesWriter.open(
        place, operation="POST /api/v2/orders/", server=stage.fake.url, batch=stage.batch
    )


SET_UPS: Final[Mapping[str, Callable[[Stage], Awaitable[None]]]] = {
    "the list is down": _list_is_down,
    "the list is late": _list_is_late,
    "no date": _no_date,
    "no metadata": _no_metadata,
    "the server is down": _server_is_down,
    "the disk is full": _disk_is_full,
    "a bad row": _bad_row,
    "the answer is odd": _odd_answer,
    "the answer is an earlier one": _earlier_answer,
    "it is deleted": _is_deleted,
    "the clock is a day ahead": _clock_is_ahead,
    "the clock is a day behind": _clock_is_behind,
    "another process has the journal": _journal_in_use,
}


# When a process is killed

Kill = Callable[[], Awaitable[None]]


async def _before_it_is_recorded(stage: Stage, kill: Kill) -> None:
    rows = stage.rows

    async def until_killed() -> AsyncIterator[Any]:
        yield rows[0]
        await kill()

    stage.rows = until_killed()  # type: ignore[assignment]


async def _before_it_leaves(stage: Stage, kill: Kill) -> None:
    intended = CreateEngine._intended

    async def then_kill(engine: CreateEngine[Any], row: Any) -> bool:
        await intended(engine, row)
        await kill()
        return False

    stage.patch.setattr(CreateEngine, "_intended", then_kill)


async def _under_way(stage: Stage, kill: Kill) -> None:
    """Whoever waits looks whether the request has arrived."""


async def _before_the_answer_is_recorded(stage: Stage, kill: Kill) -> None:
    stage.on_outcome = kill


KILLS: Final[Mapping[str, Callable[[Stage, Kill], Awaitable[None]]]] = {
    "before it is recorded": _before_it_is_recorded,
    "before it leaves": _before_it_leaves,
    "under way": _under_way,
    "before the answer is recorded": _before_the_answer_is_recorded,
}


# What happens before the same call is made again


async def _content_changes(stage: Stage) -> None:
    key, order = stage.rows[1]
    stage.rows[1] = key, attrs.evolve(order, kit_types=("health_kit_1", "health_kit_1"))


async def _journal_is_lost(stage: Stage) -> None:
    stage.journal.unlink()


async def _look_first(stage: Stage) -> None:
    stage.journal.unlink()
    stage.run["look_first"] = clock.wall().date()


async def _metadata_replaced(stage: Stage) -> None:
    await _look_first(stage)
    stage.fake.orders[stage.created[0]].metadata = {"site": "another"}


async def _other_account(stage: Stage) -> None:
    for order_id in [*stage.fake.orders]:
        del stage.fake.orders[order_id]


async def _other_batch(stage: Stage) -> None:
    stage.batch = "cohort-8"


async def _other_batch_and_journal(stage: Stage) -> None:
    stage.batch, stage.journal = "cohort-8", stage.journal.with_name("other")


async def _journal_is_damaged(stage: Stage) -> None:
    content = stage.journal.read_bytes()
    stage.journal.write_bytes(content[:4096] + bytes(len(content) - 4096))


async def _is_canceled(stage: Stage) -> None:
    stage.fake.orders[stage.created[0]].cancel()


BETWEEN: Final[Mapping[str, Callable[[Stage], Awaitable[None]]]] = {
    "the content changes": _content_changes,
    "the journal is lost": _journal_is_lost,
    "the journal is lost, and look_first given": _look_first,
    "the same, and its metadata were replaced": _metadata_replaced,
    "another account": _other_account,
    "the journal is damaged": _journal_is_damaged,
    "another batch": _other_batch,
    "another batch and journal": _other_batch_and_journal,
    "it is canceled": _is_canceled,
}
