"""The reader: one row at a time out of whatever can be iterated, as it stood when it was read, and how it all ends."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from spotdx_async import InvalidInputError, InvalidRow, JournalError, MetadataUpdate, OrderMetadataUpdate, Outcome
from spotdx_async.bulk.journal.records import Known, RowDigests
from spotdx_async.bulk.options import check_rows
from spotdx_async.bulk.reader import Reader
from spotdx_async.bulk.row import Row

pytestmark = pytest.mark.virtual_time

Rows = list[tuple[str, dict[str, int]]]


class ScriptedJournal:
    """Knows what the test says, and what was recorded in it; a digest is the content itself."""

    def __init__(self, known: Mapping[int, tuple[str, bytes]], *, last_index: int | None = None, **about: Any) -> None:
        self.rows = known
        self.last_index = max(known, default=None) if last_index is None else last_index
        self.doubtful_below: int = about.get("doubtful_below", 0)
        self.may_land = frozenset(about.get("may_land", ()))
        self.recorded: list[tuple[int, str, RowDigests]] = []

    async def known(self, index: int) -> Any:
        await asyncio.sleep(1)  # it is read by a thread
        if index not in self.rows:
            return None
        state, content = self.rows[index]
        if state == "unreadable":
            raise JournalError("the journal cannot be read", reason="disk")
        return Known(state, content)  # type: ignore[arg-type]

    def digests(self, key: str, content: bytes) -> RowDigests:
        return RowDigests(key.encode() + content, key.encode())

    def record(self, index: int, state: str, digests: RowDigests) -> None:
        self.recorded.append((index, state, digests))


def reader_of(
    updates: Any, *, kind: Any = MetadataUpdate, journal: ScriptedJournal | None = None, **options: Any
) -> Reader:
    """Build what is tested here: the only place that knows how."""
    lands_until_s = options.pop("lands_until_s", None)
    reader = Reader(updates, kind, **options)
    if journal is not None:
        reader.journal = journal  # type: ignore[assignment]
    if lands_until_s is not None:
        reader.lands_until_s = lands_until_s
    return reader


async def all_of(reader: Reader, most: int = 1000) -> list[Row | Outcome[Any]]:
    items: list[Row | Outcome[Any]] = []
    while len(items) < most and (item := await reader.next()) is not None:
        items.append(item)
    return items


def keys(items: list[Row | Outcome[Any]]) -> list[str | None]:
    return [item.key for item in items]


def how_it_ended(reader: Reader) -> tuple[int, bool, type[BaseException] | None]:
    return reader.read, reader.is_read_up, None if reader.error is None else type(reader.error)


def now() -> float:
    return asyncio.get_running_loop().time()


def rows(count: int) -> Rows:
    return [(f"K{n}", {"n": n}) for n in range(count)]


class Source:
    """Gives rows in one of the ways of Python, then ends or raises; counts what was taken and whether it is closed."""

    def __init__(self, count: int = 3, *, error: BaseException | None = None, at_close: Any = None) -> None:
        self.count, self.error, self.at_close = count, error, at_close
        self.taken = 0
        self.iterators = 0
        self.closes: list[float] = []

    def _give(self) -> tuple[str, dict[str, int]]:
        row = f"K{self.taken}", {"n": self.taken}
        self.taken += 1
        return row

    async def _close(self) -> None:
        if self.at_close is not None:
            await self.at_close()
        self.closes.append(now())

    def generator(self) -> Iterator[Any]:
        try:
            while self.taken < self.count:
                yield self._give()
            if self.error is not None:
                raise self.error
        finally:
            self.closes.append(now())

    async def async_generator(self) -> AsyncIterator[Any]:
        try:
            while self.taken < self.count:
                await asyncio.sleep(0.5)
                yield self._give()
            if self.error is not None:
                raise self.error
        finally:
            await self._close()

    def iterator(self) -> Any:
        source = self

        class Plain:
            """An iterator that the caller opened: it has a close, and it is theirs."""

            def __iter__(self) -> "Plain":
                return self

            def __next__(self) -> Any:
                if source.taken < source.count:
                    return source._give()
                raise source.error or StopIteration

            def close(self) -> None:
                source.closes.append(now())

        return Plain()

    def async_iterator(self) -> Any:
        source = self

        class Plain:
            def __aiter__(self) -> "Plain":
                return self

            async def __anext__(self) -> Any:
                if source.taken < source.count:
                    return source._give()
                raise source.error or StopAsyncIteration

            async def aclose(self) -> None:
                await source._close()

        return Plain()

    def iterable(self) -> Any:
        source = self

        class Opened:
            def __iter__(self) -> Iterator[Any]:
                source.iterators += 1
                return source.generator()

        return Opened()

    def async_iterable(self) -> Any:
        source = self

        class Opened:
            def __aiter__(self) -> AsyncIterator[Any]:
                source.iterators += 1
                return source.async_generator()

        return Opened()

    def by(self, way: str) -> Any:
        make: Callable[[], Any] = getattr(self, way)
        return make()


OPENED_HERE = ("iterable", "async_iterable")
GENERATORS = ("generator", "async_generator")
CALLERS_OWN = ("iterator", "async_iterator")
WAYS = (*OPENED_HERE, *GENERATORS, *CALLERS_OWN)


# What can be read


@pytest.mark.parametrize(
    "updates",
    [
        rows(3),
        tuple(rows(3)),
        dict(rows(3)).items(),
        iter(rows(3)),
        map(tuple, rows(3)),
        [[key, metadata] for key, metadata in rows(3)],
        [MetadataUpdate(key, metadata) for key, metadata in rows(3)],
    ],
)
async def test_each_row_comes_out_once_in_the_order_of_the_input_with_its_number(updates: Any) -> None:
    reader = reader_of(updates)
    check_rows("updates", updates)

    items = await all_of(reader)

    assert [(item.index, item.key, item.body) for item in items if isinstance(item, Row)] == [
        (n, f"K{n}", b'{"metadata":{"n":%d}}' % n) for n in range(3)
    ]
    assert how_it_ended(reader) == (3, True, None)


@pytest.mark.parametrize("way", WAYS)
async def test_whatever_can_be_iterated_is_read_to_its_end(way: str) -> None:
    source = Source(3)
    reader = reader_of(source.by(way))

    assert keys(await all_of(reader)) == ["K0", "K1", "K2"]
    assert how_it_ended(reader) == (3, True, None)
    assert source.iterators == (way in OPENED_HERE)


@pytest.mark.parametrize("way", WAYS)
async def test_an_empty_input_is_read_up_without_an_error(way: str) -> None:
    reader = reader_of(Source(0).by(way))

    assert await all_of(reader) == []
    assert how_it_ended(reader) == (0, True, None)


async def test_what_can_be_iterated_both_ways_is_read_the_asynchronous_way() -> None:
    class Both:
        def __iter__(self) -> Iterator[Any]:
            raise AssertionError("would block the loop")

        def __aiter__(self) -> AsyncIterator[Any]:
            return Source(2).async_generator()

    assert keys(await all_of(reader_of(Both()))) == ["K0", "K1"]


async def test_orders_are_read_as_kits_are() -> None:
    updates = [OrderMetadataUpdate("O1", {}), ("O2", {}), MetadataUpdate("K3", {})]

    items = await all_of(reader_of(updates, kind=OrderMetadataUpdate))

    assert keys(items) == ["O1", "O2", "K3"]
    assert [type(item) for item in items] == [Row, Row, Outcome]  # a kit's row is none of an order's


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_read_or_opened_before_it_is_asked_for(way: str) -> None:
    source = Source(10**9)  # as good as one that never ends
    reader = reader_of(source.by(way))
    assert (source.taken, source.iterators) == (0, 0)

    for asked in range(1, 50):
        await reader.next()
        assert source.taken == reader.read == asked
    assert not reader.is_read_up


@pytest.mark.no_cover
async def test_of_the_rows_that_were_given_out_nothing_is_kept() -> None:
    class Marked(dict[str, int]):
        pass

    reader = reader_of(Marked(n=n) for n in range(100))
    bad = reader_of((Marked(n=n), {}) for n in range(100))
    paired = reader_of((f"K{n}", Marked(n=n)) for n in range(100))
    for _ in range(50):
        for each in (reader, bad, paired):
            await each.next()

    gc.collect()
    assert sum(isinstance(each, Marked) for each in gc.get_objects()) <= 3  # in the generators' own frames


# What a row is


async def test_a_row_is_what_it_was_when_it_was_read_whatever_is_done_to_it_later() -> None:
    def reused() -> Iterator[Any]:
        inner: dict[str, Any] = {"list": []}
        for n in range(3):
            inner["n"] = n
            inner["list"].append(n)
            yield "K", inner
        inner.clear()

    items = await all_of(reader_of(reused()))

    assert [item.body for item in items if isinstance(item, Row)] == [
        b'{"metadata":{"list":[0],"n":0}}',
        b'{"metadata":{"list":[0,1],"n":1}}',
        b'{"metadata":{"list":[0,1,2],"n":2}}',
    ]


BAD: list[tuple[Any, str | None, str]] = [
    (None, None, "not NoneType"),
    (("K", {}, 1), None, "not tuple"),
    (["K"], None, "not list"),
    ("K1", None, "not str"),  # of a text of two letters no pair is made
    ({"kit_id": "K"}, None, "not dict"),
    (OrderMetadataUpdate("O", {}), "O", "not OrderMetadataUpdate"),
    (("", {}), None, "kit_id must not be empty"),
    ((5, {}), None, "kit_id must be text"),
    (("a/b", {}), None, "kit_id must not hold"),
    (("K", None), "K", "metadata must be a mapping"),
    (("K", {"n": float("nan")}), "K", "NaN"),
    (("K", {1: 2}), "K", "keys are strings"),
    (MetadataUpdate("K", {"x": object()}), "K", "metadata.x"),
]


@pytest.mark.parametrize(("bad", "key", "why"), BAD)
async def test_a_bad_row_among_good_ones_comes_out_rejected_in_its_place(bad: Any, key: str | None, why: str) -> None:
    reader = reader_of([("K0", {}), bad, ("K2", {})])

    before, rejected, after = await all_of(reader)

    assert isinstance(before, Row)
    assert isinstance(after, Row)
    assert (after.index, after.key) == (2, "K2")
    assert isinstance(rejected, Outcome)
    assert (rejected.index, rejected.state, rejected.attempts) == (1, "rejected", 0)
    assert rejected.key == key or why.startswith("kit_id")  # where the id itself is bad, see below
    assert isinstance(rejected.error, InvalidInputError)
    assert why in str(rejected.error)
    assert rejected.error.__traceback__ is None  # its frames would hold the row
    assert how_it_ended(reader) == (3, True, None)


@pytest.mark.parametrize(("bad", "key"), [(("a/b", {}), None), (MetadataUpdate("a/b", {}), "a/b"), ((5, {}), None)])
async def test_of_a_bad_id_a_text_is_told_where_the_row_names_it(bad: Any, key: str | None) -> None:
    (rejected,) = await all_of(reader_of([bad]))

    assert rejected.key == key


async def test_an_error_in_a_row_s_place_is_that_row_s_outcome() -> None:
    known_bad = InvalidInputError("line 7 has no kit")

    (rejected,) = await all_of(reader_of([known_bad]))

    assert isinstance(rejected, Outcome)
    assert (rejected.state, rejected.key) == ("rejected", None)
    assert rejected.error is known_bad


async def test_an_invalid_row_is_that_row_s_outcome_with_its_source() -> None:
    known_bad, place = InvalidInputError("line 7 has no kit"), object()

    (rejected,) = await all_of(reader_of([InvalidRow(known_bad, source=place)]))

    assert isinstance(rejected, Outcome)
    assert (rejected.state, rejected.key) == ("rejected", None)
    assert rejected.error is known_bad
    assert rejected.source is place


async def test_every_row_that_has_a_source_comes_out_with_it() -> None:
    places = [object() for _ in range(4)]
    kit, bad_id, bad_value, order = places
    updates = [
        MetadataUpdate("K0", {}, source=kit),
        MetadataUpdate("", {}, source=bad_id),
        MetadataUpdate("K2", {"x": object()}, source=bad_value),
        OrderMetadataUpdate("O3", {}, source=order),  # of the other noun, and so a bad row
        ("K4", {}),
        InvalidInputError("bad"),
    ]

    items = await all_of(reader_of(updates))

    assert [item.source for item in items] == [*places, None, None]


async def test_any_id_passes_where_that_is_allowed() -> None:
    (row,) = await all_of(reader_of([("a/b", {})], allow_any_id=True))

    assert isinstance(row, Row)
    assert row.key == "a/b"


class Failing(Mapping[str, Any]):
    """A mapping of the caller's whose own code raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getitem__(self, key: str) -> Any:
        raise self.error

    def __iter__(self) -> Iterator[str]:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (OSError("the database is gone"), OSError),
        (StopIteration(), RuntimeError),
        (StopAsyncIteration(), InvalidInputError),
    ],
)
async def test_a_row_whose_own_code_raises_ends_the_reading_with_that(
    raised: BaseException, told: type[BaseException]
) -> None:
    reader = reader_of([("K0", {}), ("K1", Failing(raised)), ("K2", {})])

    assert keys(await all_of(reader)) == ["K0"]
    assert how_it_ended(reader) == (1, False, told)


# How the input ends


@pytest.mark.parametrize("at", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [ValueError("line 4"), OSError(5, "gone"), TimeoutError(), LookupError()])
async def test_what_an_input_raises_is_kept_and_is_no_end_of_it(error: Exception, way: str, at: int) -> None:
    reader = reader_of(Source(at, error=error).by(way))

    assert len(await all_of(reader)) == at
    assert reader.error is error
    assert not reader.is_read_up
    assert reader.read == at
    assert not reader.was_cancelled


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
async def test_what_is_no_mere_error_gets_out_at_once(error: BaseException, way: str) -> None:
    reader = reader_of(Source(2, error=error).by(way))
    assert len(await all_of(reader, 2)) == 2

    with pytest.raises(type(error)):
        await reader.next()

    assert how_it_ended(reader) == (2, False, None)


class RaisingNext:
    """Raises where it gives a row, outside of any generator, which would wrap some of it."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        raise self.error


class RaisingAnext:
    def __init__(self, error: BaseException, *, is_late: bool = True) -> None:
        self.error, self.is_late = error, is_late

    def __aiter__(self) -> Any:
        return self

    def __anext__(self) -> Any:
        async def raise_it() -> Any:
            raise self.error

        if self.is_late:
            return raise_it()
        raise self.error


class RaisingIter:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __iter__(self) -> Any:
        raise self.error


class RaisingAiter:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __aiter__(self) -> Any:
        raise self.error


def misusing(error: BaseException) -> Iterator[Any]:
    yield from ()
    raise error


async def async_misusing(error: BaseException) -> AsyncIterator[Any]:
    for row in rows(0):
        yield row
    raise error


def at_once(error: BaseException) -> RaisingAnext:
    return RaisingAnext(error, is_late=False)


IS_END = None
MISUSE: list[tuple[Callable[[BaseException], Any], type[BaseException], type[BaseException] | None]] = [
    (RaisingNext, StopIteration, IS_END),
    (RaisingNext, StopAsyncIteration, InvalidInputError),
    (RaisingIter, StopIteration, RuntimeError),
    (RaisingIter, StopAsyncIteration, InvalidInputError),
    (RaisingAnext, StopAsyncIteration, IS_END),
    (RaisingAnext, StopIteration, RuntimeError),
    (at_once, StopIteration, RuntimeError),
    (RaisingAiter, StopIteration, RuntimeError),
    (RaisingAiter, StopAsyncIteration, InvalidInputError),
    (misusing, StopIteration, RuntimeError),
    (misusing, StopAsyncIteration, InvalidInputError),
    (async_misusing, StopIteration, RuntimeError),
    (async_misusing, StopAsyncIteration, RuntimeError),
]


@pytest.mark.parametrize(("source", "raised", "told"), MISUSE)
async def test_only_the_end_of_an_iteration_s_own_kind_ends_the_input(
    source: Callable[[BaseException], Any], raised: type[BaseException], told: type[BaseException] | None
) -> None:
    reader = reader_of(source(raised()))

    assert await reader.next() is None
    assert how_it_ended(reader) == (0, told is IS_END, told)


@pytest.mark.parametrize("updates", [7, object(), [1].__len__])
async def test_what_cannot_be_iterated_after_all_is_an_error_of_the_input(updates: Any) -> None:
    reader = reader_of(updates)

    assert await reader.next() is None
    assert how_it_ended(reader) == (0, False, TypeError)


@pytest.mark.parametrize("way", WAYS)
async def test_a_cancellation_that_nobody_aimed_at_the_reader_is_an_error_of_the_input(way: str) -> None:
    reader = reader_of(Source(2, error=asyncio.CancelledError()).by(way))

    assert len(await all_of(reader)) == 2
    assert how_it_ended(reader) == (2, False, InvalidInputError)
    assert "cancelled after 2 rows, and nobody had cancelled the run" in str(reader.error)


async def waiting_for_ever(turned_into: type[BaseException] | None = None) -> AsyncIterator[Any]:
    yield rows(1)[0]
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if turned_into is None:
            raise
        raise turned_into from None


async def cancelled_while_it_reads(reader: Reader) -> "asyncio.Task[Any]":
    reading = asyncio.ensure_future(all_of(reader))
    await asyncio.sleep(1000)
    assert not reading.done()
    reading.cancel()
    await asyncio.wait([reading])
    return reading


async def test_an_input_that_waits_for_ever_is_given_up_with_the_reader_s_cancellation() -> None:
    reader = reader_of(waiting_for_ever())

    reading = await cancelled_while_it_reads(reader)

    assert reading.cancelled()
    assert how_it_ended(reader) == (1, False, None)


async def test_an_input_s_own_word_for_the_cancellation_is_known_as_such() -> None:
    reader = reader_of(waiting_for_ever(turned_into=ConnectionError))

    reading = await cancelled_while_it_reads(reader)

    assert len(reading.result()) == 1
    assert reader.was_cancelled
    assert how_it_ended(reader) == (1, False, ConnectionError)


async def test_a_cancellation_of_the_reader_that_comes_between_two_rows_is_no_fault_of_the_input() -> None:
    def cancelling() -> Iterator[Any]:
        for row in rows(5):
            yield row
            reading.cancel()  # as a signal's handler may, while the input's own code runs

    reader = reader_of(cancelling())
    reading = asyncio.ensure_future(all_of(reader))
    await asyncio.wait([reading])

    assert reading.cancelled()
    assert reader.error is None
    assert reader.read == 2  # the one at hand when it came was read


# How it is closed


@pytest.mark.parametrize(("way", "is_closed"), [(way, way not in CALLERS_OWN) for way in WAYS])
@pytest.mark.parametrize("read", [1, 2])
async def test_what_was_opened_here_and_generators_are_closed_and_nothing_of_the_caller_s(
    way: str, is_closed: bool, read: int
) -> None:
    source = Source(10)
    reader = reader_of(source.by(way))
    await all_of(reader, read)

    await reader.close()
    await reader.close()

    assert len(source.closes) == is_closed
    assert reader.close_error is None
    assert source.taken == read


@pytest.mark.parametrize("way", WAYS)
async def test_an_input_that_was_never_read_is_closed_without_being_opened(way: str) -> None:
    source = Source(3)
    updates = source.by(way)
    reader = reader_of(updates)

    await reader.close()

    assert (source.taken, source.iterators, source.closes) == (0, 0, [])
    assert reader.close_error is None
    if way in GENERATORS:
        assert keys(await all_of(reader_of(updates))) == []


@pytest.mark.parametrize("way", ["async_generator", "async_iterable"])
async def test_what_an_input_raises_when_it_is_closed_is_kept(way: str) -> None:
    async def fail() -> None:
        raise OSError("the cursor is gone")

    reader = reader_of(Source(3, at_close=fail).by(way))
    await reader.next()

    await reader.close()

    assert isinstance(reader.close_error, OSError)
    assert reader.error is None


def stubborn() -> Iterator[Any]:
    with suppress(GeneratorExit):
        yield rows(1)[0]
    yield rows(2)[1]


async def test_a_generator_that_does_not_let_itself_be_closed_is_told() -> None:
    updates = stubborn()
    reader = reader_of(updates)
    await reader.next()

    await reader.close()

    assert isinstance(reader.close_error, RuntimeError)


@pytest.mark.parametrize("way", ["async_generator", "async_iterable"])
async def test_an_aclose_that_hangs_is_given_up_after_ten_seconds_and_told(way: str) -> None:
    reader = reader_of(Source(3, at_close=asyncio.Event().wait).by(way))
    await reader.next()
    began_s = now()

    await reader.close()

    assert now() - began_s == pytest.approx(10)
    assert isinstance(reader.close_error, TimeoutError)
    assert "aclose" in str(reader.close_error)
    assert "10 s" in str(reader.close_error)


@pytest.mark.parametrize("own", [TimeoutError("the database did not answer"), ConnectionError("cut off")])
async def test_what_an_input_says_of_its_own_when_it_is_closed_stays_what_it_is(own: Exception) -> None:
    async def fail() -> None:
        if isinstance(own, ConnectionError):
            with suppress(asyncio.CancelledError):  # it puts the cutting off in its own words
                await asyncio.Event().wait()
        raise own

    reader = reader_of(Source(3, at_close=fail).async_iterable())
    await reader.next()

    await reader.close()

    assert reader.close_error is own


async def test_a_cancellation_while_it_is_closed_gets_out() -> None:
    reader = reader_of(Source(3, at_close=asyncio.Event().wait).async_generator())
    await reader.next()
    closing = asyncio.ensure_future(reader.close())
    await asyncio.sleep(1)
    closing.cancel()
    await asyncio.wait([closing])

    assert closing.cancelled()
    await reader.close()  # once is enough
    assert reader.close_error is None


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_was_opened_here_is_closed_once_though_it_counts_as_false(is_async: bool) -> None:
    closed: list[float] = []

    class Remaining:
        """An iterator whose length is what is left, as that of some cursors."""

        def __len__(self) -> int:
            return 0

        def __next__(self) -> Any:
            raise StopIteration

        async def __anext__(self) -> Any:
            raise StopAsyncIteration

        def __iter__(self) -> "Remaining":
            return self

        def __aiter__(self) -> "Remaining":
            return self

        def close(self) -> None:
            closed.append(now())

    class Table:
        def __iter__(self) -> Remaining:
            return Remaining()

    class AsyncTable:
        def __aiter__(self) -> Remaining:
            return Remaining()

    reader = reader_of(AsyncTable() if is_async else Table())
    assert await all_of(reader) == []

    await reader.close()
    await reader.close()

    assert len(closed) == 1


async def test_an_iterator_with_nothing_to_close_is_left_alone() -> None:
    class Opened:
        def __iter__(self) -> Iterator[Any]:
            return iter(rows(3))

    reader = reader_of(Opened())
    await reader.next()

    await reader.close()

    assert reader.close_error is None


# With a journal

CONTENT = b'K0{"n":0}'


async def test_without_anything_known_rows_are_read_with_their_marks() -> None:
    journal = ScriptedJournal({})

    items = await all_of(reader_of(rows(2), journal=journal))

    assert [item.digests for item in items if isinstance(item, Row)] == [
        RowDigests(b'K0{"n":0}', b"K0"),
        RowDigests(b'K1{"n":1}', b"K1"),
    ]
    assert not any(item.may_be_executed for item in items if isinstance(item, Row))
    assert journal.recorded == []


@pytest.mark.parametrize("state", ["ok", "superseded", "failed", "unknown", "rejected"])
async def test_a_row_that_an_earlier_session_has_ended_is_sent_again_unless_it_is_done(state: str) -> None:
    (item,) = await all_of(reader_of(rows(1), journal=ScriptedJournal({0: (state, CONTENT)}), lands_until_s=60.0))

    if state in {"ok", "superseded"}:
        assert isinstance(item, Outcome)
        assert (item.state, item.key, item.error) == ("skipped" if state == "ok" else state, "K0", None)
        assert item.is_done
    else:
        assert isinstance(item, Row)
        assert item.may_be_executed == (state == "unknown")
        assert (item.lands_until_s == 60.0) == (state == "unknown")


@pytest.mark.parametrize(("doubtful_below", "is_doubtful"), [(0, [False, False]), (1, [True, False]), (2, [True] * 2)])
async def test_a_row_that_a_killed_session_may_have_sent_may_be_executed(
    doubtful_below: int, is_doubtful: list[bool]
) -> None:
    journal = ScriptedJournal({}, doubtful_below=doubtful_below)

    items = await all_of(reader_of(rows(2), journal=journal, lands_until_s=60.0))

    assert [item.may_be_executed for item in items if isinstance(item, Row)] == is_doubtful
    assert [item.lands_until_s == 60.0 for item in items if isinstance(item, Row)] == is_doubtful


async def test_a_recorded_row_below_a_killed_session_s_mark_is_what_the_record_says() -> None:
    journal = ScriptedJournal({0: ("failed", CONTENT)}, doubtful_below=2)

    first, second = await all_of(reader_of(rows(2), journal=journal))

    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.may_be_executed, second.may_be_executed) == (False, True)


async def test_a_row_waits_until_an_earlier_session_s_value_of_its_key_has_landed() -> None:
    journal = ScriptedJournal({}, may_land=[b"K1"])

    first, second = await all_of(reader_of(rows(2), journal=journal, lands_until_s=60.0))

    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert (first.rests_until_s, second.rests_until_s) == (float("-inf"), 60.0)
    assert not second.may_be_executed  # it is another value that may land


@pytest.mark.parametrize("state", ["ok", "failed", "unknown", "superseded"])
async def test_another_row_than_the_journal_knows_ends_the_reading_before_it_counts(state: str) -> None:
    reader = reader_of(rows(3), journal=ScriptedJournal({1: (state, b"another"), 2: ("ok", b"another")}))

    assert keys(await all_of(reader)) == ["K0"]
    assert how_it_ended(reader) == (1, False, JournalError)
    assert isinstance(reader.error, JournalError)
    assert reader.error.reason == "changed input"
    assert "row 2 " in str(reader.error)  # counted from 1


@pytest.mark.parametrize(("count", "is_whole"), [(0, False), (2, False), (3, True), (4, True)])
async def test_an_input_shorter_than_the_journal_is_a_changed_one(count: int, is_whole: bool) -> None:
    reader = reader_of(rows(count), journal=ScriptedJournal({}, last_index=2))

    assert len(await all_of(reader)) == count
    assert how_it_ended(reader) == (count, is_whole, None if is_whole else JournalError)
    assert is_whole or "the journal knows row 3" in str(reader.error)


async def test_a_bad_row_is_recorded_when_it_is_read_and_known_again() -> None:
    journal = ScriptedJournal({})
    bad = [("K0", {"x": object()}), ("", {})]
    await all_of(reader_of(bad, journal=journal))

    assert [(index, state) for index, state, _ in journal.recorded] == [(0, "rejected"), (1, "rejected")]
    assert [digests.key for _, _, digests in journal.recorded] == [b"K0", b""]

    again = ScriptedJournal({index: (state, digests.content) for index, state, digests in journal.recorded})
    assert [item.state for item in await all_of(reader_of(bad, journal=again)) if isinstance(item, Outcome)] == [
        "rejected",
        "rejected",
    ]
    mended = reader_of(rows(2), journal=again)
    assert await all_of(mended) == []
    assert how_it_ended(mended) == (0, False, JournalError)


@pytest.mark.parametrize("state", ["ok", "superseded", "failed", "rejected"])
async def test_a_row_that_an_earlier_session_has_ended_comes_out_with_its_source_of_now(state: str) -> None:
    place = object()
    updates = [MetadataUpdate("K0", {"n": 0}, source=place)]

    (item,) = await all_of(reader_of(updates, journal=ScriptedJournal({0: (state, CONTENT)})))

    assert item.source is place


@pytest.mark.parametrize("way", WAYS)
async def test_a_reader_that_is_cancelled_while_it_asks_the_journal_has_taken_no_row_from_the_input(way: str) -> None:
    source = Source(10)
    reader = reader_of(source.by(way), journal=ScriptedJournal({0: ("failed", CONTENT), 9: ("failed", b"")}))
    reading = asyncio.ensure_future(all_of(reader))
    await asyncio.sleep(0.5)  # the first row is looked up
    reading.cancel()
    await asyncio.wait([reading])

    assert reading.cancelled()
    assert source.taken == reader.read == 0
    assert keys(await all_of(reader, 1)) == ["K0"]
    await reader.close()


async def test_a_journal_that_cannot_be_read_ends_the_reading() -> None:
    reader = reader_of(rows(3), journal=ScriptedJournal({1: ("unreadable", b"")}))

    assert keys(await all_of(reader)) == ["K0"]
    assert how_it_ended(reader) == (1, False, JournalError)


# What is refused before a run begins


@pytest.mark.parametrize(
    ("updates", "why"),
    [
        ({"K": {}}, "a mapping: pass its .items"),
        (SimpleNamespace(), "not SimpleNamespace"),
        ("K1", "not str"),
        (b"K1", "not bytes"),
        (None, "not NoneType"),
    ],
)
def test_what_holds_no_rows_is_refused_before_a_run_begins(updates: Any, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        check_rows("updates", updates)


@pytest.mark.parametrize("way", WAYS)
def test_whatever_can_be_iterated_is_let_through(way: str) -> None:
    check_rows("updates", Source().by(way))
