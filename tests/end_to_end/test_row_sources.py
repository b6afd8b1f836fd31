"""A row's ``source`` comes back with its outcome, whatever becomes of the row and of the run, and goes nowhere else."""

import asyncio
import pickle
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import (
    BulkRun,
    BulkStopped,
    InvalidInputError,
    InvalidRow,
    MetadataUpdate,
    OrderMetadataUpdate,
    Outcome,
)
from spotdx_async.testing import FakeSpot, faults

pytestmark = pytest.mark.virtual_time

KITS = [f"SPOT{number}" for number in range(8)]


class Place:
    """Where a row stands in an input of the caller's; equal to nothing but itself."""


class Input:
    """Rows of every kind, and the source that each of them has."""

    def __init__(self, count: int, seed: int) -> None:
        dice = random.Random(seed)
        kinds: list[Callable[[int, Place | None], Any]] = [
            *[lambda n, source: MetadataUpdate(dice.choice(KITS), {"n": n}, source=source)] * 12,
            lambda _, source: InvalidRow(InvalidInputError("cannot be read"), source=source),
            lambda _, source: MetadataUpdate("", {}, source=source),
            lambda _, source: MetadataUpdate(KITS[0], {"x": object()}, source=source),
            lambda _, source: OrderMetadataUpdate("O1", {}, source=source),  # of the other noun
            lambda n, _: (dice.choice(KITS), {"n": n}),
            lambda *_: InvalidInputError("cannot be read"),
        ]
        of_rows = [dice.randrange(len(kinds)) for _ in range(count)]
        self.sources = [Place() if kind < len(kinds) - 2 else None for kind in of_rows]
        self.rows = [kinds[kind](n, self.sources[n]) for n, kind in enumerate(of_rows)]
        self.read = 0

    def __iter__(self) -> Iterator[Any]:
        for row in self.rows:
            self.read += 1
            yield row

    def check(self, outcomes: list[Outcome[Any]]) -> None:
        """Each row that was read has one outcome, with the very object that the row had."""
        assert sorted(outcome.index for outcome in outcomes) == [*range(self.read)]
        assert all(outcome.source is self.sources[outcome.index] for outcome in outcomes)


@pytest.mark.parametrize("seed", range(24))
async def test_every_outcome_has_its_own_row_s_source(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    options: dict[str, Any] = {
        "concurrency": dice.choice([1, 3, 16]),
        "ordered": dice.random() < 0.5,
        "coalesce": dice.random() < 0.5,
        "journal": tmp_path / "run.journal" if dice.random() < 0.5 else None,
    }
    ending = dice.choice(["end", "stop", "401", "leave", "cancel", "client"])
    async with FakeSpot(kits=KITS, latency_s=0.2) as fake:
        for fault in ("400", "503", faults.drop_after()):
            fake.faults.add(fault, times=dice.randint(1, 4), kit_id=dice.choice(KITS))
        for session in range(2):
            given = Input(60, seed)  # the same rows with sources of their own
            client = fake.client()
            async with client as spot:
                run: BulkRun[Any] = spot.kits.update_metadata_many(given, decode=False, **options)
                if ending == "401" and session == 0:
                    fake.faults.add("401", times=2, kit_id=dice.choice(KITS))
                after = 10**9 if session else dice.randint(0, 40)
                outcomes = await taken(run, ending, after, client.close)
                outcomes += run.remaining_outcomes()
                assert run.remaining_outcomes() == []
            given.check(outcomes)
            fake.faults.clear()
            if session:
                assert given.read == 60
            if session and options["ordered"]:
                assert [outcome.index for outcome in outcomes] == [*range(60)]


async def taken(run: BulkRun[Any], ending: str, after: int, close: Callable[[], Any]) -> list[Outcome[Any]]:
    """Take outcomes to the end, or end the run in some way after so many."""
    outcomes: list[Outcome[Any]] = []

    async def consume() -> None:
        async with run:
            async for outcome in run:
                outcomes.append(outcome)
                if len(outcomes) < after:
                    continue
                if ending == "leave":
                    return
                if ending == "stop":
                    run.stop()
                if ending == "client":
                    await close()

    consumer = asyncio.ensure_future(consume())
    if ending == "cancel":
        while not consumer.done() and len(outcomes) < after:
            await asyncio.sleep(0.1)
        consumer.cancel()
    with suppress(BulkStopped, asyncio.CancelledError):
        await consumer
    return outcomes


async def test_of_a_run_that_is_cut_off_the_rest_says_what_was_sent() -> None:
    bad = InvalidRow(InvalidInputError("cannot be read"), source=0)
    rows: list[Any] = [bad, *(MetadataUpdate(f"SPOT{n}", {"n": n}, source=n) for n in range(1, 50))]
    async with FakeSpot(kits=[f"SPOT{n}" for n in range(50)], latency_s=1000) as fake, fake.client() as spot:
        async with spot.kits.update_metadata_many(rows, concurrency=4, decode=False) as run:
            first = await anext(run)
            await asyncio.sleep(10)
            with pytest.raises(InvalidInputError, match="the run is under way"):
                run.remaining_outcomes()
        rest = run.remaining_outcomes()

        outcomes = [first, *rest]
        sent = Counter(request.path.split("/")[-2] for request in fake.requests)
    assert sorted(outcome.source for outcome in outcomes) == [*range(len(outcomes))]
    assert all(outcome.index == outcome.source for outcome in outcomes)
    states = Counter(outcome.state for outcome in outcomes)
    assert states["unknown"] == 4
    assert states["skipped"] > 0
    for outcome in outcomes:
        assert sent[f"SPOT{outcome.source}"] == (outcome.state == "unknown")


async def test_a_run_that_never_began_and_one_that_came_to_its_end_have_no_rest() -> None:
    async with FakeSpot(kits=KITS) as fake, fake.client() as spot:
        assert spot.kits.update_metadata_many([(KITS[0], {})]).remaining_outcomes() == []
        async with spot.kits.update_metadata_many([(KITS[0], {})]) as run:
            assert [outcome.state async for outcome in run] == ["ok"]
        assert run.remaining_outcomes() == []


async def test_what_an_input_that_cannot_be_closed_holds_up_is_told_all_the_same() -> None:
    async def rows() -> AsyncIterator[Any]:
        try:
            for n in range(3):
                yield MetadataUpdate(KITS[n], {"n": n}, source=n)
            await asyncio.Event().wait()
        finally:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(8)

    async with FakeSpot(kits=KITS, latency_s=1000) as fake, fake.client() as spot:
        run = spot.kits.update_metadata_many(rows())
        consumer = asyncio.ensure_future(anext(run))
        await asyncio.sleep(10)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer

        outcomes = run.remaining_outcomes()

        assert [(outcome.source, outcome.state) for outcome in outcomes] == [(n, "unknown") for n in range(3)]
        await run.aclose()
        assert run.remaining_outcomes() == []


async def test_a_source_is_in_no_text_no_error_and_no_journal(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    canary = "CANARY of a source"
    rows: list[Any] = [
        MetadataUpdate(KITS[0], {"n": 0}, source=canary),
        MetadataUpdate(KITS[1], {"n": 1}, source=canary),
        InvalidRow(InvalidInputError("cannot be read"), source=canary),
        MetadataUpdate("", {}, source=canary),
    ]
    async with FakeSpot(kits=KITS) as fake, fake.client() as spot:
        fake.faults.add("400", kit_id=KITS[1])
        fake.faults.add("503", kit_id=KITS[0])
        run = spot.kits.update_metadata_many(rows, journal=tmp_path / "run.journal")
        outcomes = [outcome async for outcome in run]
        sent = [request.body for request in fake.requests]

    assert [outcome.source for outcome in outcomes] == [canary] * 4
    shown = [repr(each) for each in (*rows, *outcomes)] + [str(outcome) for outcome in outcomes] + [caplog.text]
    pickled = [pickle.dumps(outcome.error) for outcome in outcomes]
    stored = [path.read_bytes() for path in tmp_path.iterdir()]
    everything = "".join(shown).encode() + b"".join([*pickled, *stored, *map(repr_bytes, sent)])
    assert b"CANARY" not in everything


def repr_bytes(body: object) -> bytes:
    return repr(body).encode()


def test_rows_that_differ_in_their_source_alone_are_equal() -> None:
    assert MetadataUpdate("K", {}, source=1) == MetadataUpdate("K", {}, source=2)
    assert OrderMetadataUpdate("O", {}, source=1) == OrderMetadataUpdate("O", {})
    assert MetadataUpdate("K", {}).source is None


def test_an_invalid_row_takes_an_error_and_shows_nothing_else() -> None:
    with pytest.raises(InvalidInputError, match="not str") as raised:
        InvalidRow("CANARY")  # type: ignore[arg-type]
    assert "CANARY" not in str(raised.value)
