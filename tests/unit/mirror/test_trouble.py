"""What ends a pull early leaves a whole file, which the same pull completes."""

import asyncio
import gc
import os
import resource
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError, NotSentError, ServerError
from spotdx_async._http import clock
from spotdx_async.changes import Batch
from spotdx_async.mirror import Mirror, MirrorError
from spotdx_async.mirror.store import MirrorFile
from spotdx_async.tables import TABLES
from spotdx_async.testing.factories import make_kit, make_order, make_requisition
from tests.long_set import IS_FULL
from tests.patience import PATIENCE_S, until
from tests.unit.mirror.scripted import ScriptedSpot, batch_of_kits, batches, dump, rows_of


def a_client(kits: int = 6) -> ScriptedSpot:
    return ScriptedSpot(
        *batches(*([number, number + 1] for number in range(1, kits, 2))),
        orders=[Batch((make_order(),), "order", (None,))],
        requisitions=[Batch((make_requisition(),), "requisition", (None,))],
        resumes=True,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a mirror holds in the end."""
    return what_it_holds(tmp_path_factory.mktemp("undisturbed") / "spot.db", a_client())


def what_it_holds(path: Path, spot: ScriptedSpot) -> dict[str, Any]:
    asyncio.run(Mirror(path).pull(spot))
    return dump(path)


def check_whole(path: Path) -> None:
    """The file is sound, and the cursor is that of the last rows."""
    assert rows_of(path, "PRAGMA integrity_check") == [("ok",)]
    (count,) = rows_of(path, "SELECT count(*) FROM kits")[0]
    cursors = dict(rows_of(path, "SELECT noun, cursor FROM cursors"))
    assert cursors.get("kits") == (f"cursor {count // 2}" if count else None)
    assert ("orders" in cursors) == bool(rows_of(path, "SELECT 1 FROM orders"))


# --- The disk ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("leaving", [0, 4096, 100_000, *range(200_000, 500_000, 50_000)])
async def test_a_full_disk_ends_a_pull_that_the_next_one_completes(
    small_disk: Path, leaving: int, undisturbed: dict[str, Any]
) -> None:
    path, filler = small_disk / "spot.db", small_disk / "filler"
    free = os.statvfs(small_disk)
    filler.write_bytes(b"x" * (free.f_bavail * free.f_frsize - leaving))

    with pytest.raises(MirrorError) as caught:
        await Mirror(path).pull(a_client())

    assert (caught.value.reason, "the same pull resumes" in str(caught.value)) == ("disk", True)
    assert caught.value.__context__ is None
    filler.unlink()
    if rows_of(path, "SELECT 1 FROM sqlite_master"):
        check_whole(path)
    await Mirror(path).pull(a_client())
    assert dump(path) == undisturbed


async def test_a_disk_without_room_for_another_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = OSError(28, "No space left on device")

    def refuse(*_: Any) -> int:
        raise full

    monkeypatch.setattr("spotdx_async.private_files.open_own", refuse)

    with pytest.raises(MirrorError) as caught:
        await Mirror(tmp_path / "spot.db").pull(a_client())

    assert caught.value.reason == "disk"


@contextmanager
def only_so_many_files(count: int) -> Iterator[None]:
    """Let no more files be opened than a few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(held[0] + 100, 300), hard))
    try:
        with suppress(OSError):
            while True:
                held.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in held:
            os.close(fd)


@pytest.mark.parametrize("count", range(4))
async def test_too_many_open_files_are_told_as_what_they_are(tmp_path: Path, count: int) -> None:
    path = tmp_path / "spot.db"
    if count != 3:  # at last while a new one is made
        await Mirror(path).pull(a_client())

    with only_so_many_files(count), pytest.raises(MirrorError, match="too many files are open: close some") as caught:
        await Mirror(path).pull(a_client()) if count else Mirror(path).state()

    assert caught.value.reason == "disk"
    await Mirror(path).pull(a_client())
    check_whole(path)


async def test_a_file_that_may_not_grow_is_told(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    await Mirror(path).pull(ScriptedSpot())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(MirrorError) as caught:
            await Mirror(path).pull(a_client(40))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.reason == "disk"
    check_whole(path)
    await Mirror(path).pull(a_client(40))
    check_whole(path)
    assert Mirror(path).state().rows["kits"] == 40


async def test_a_disk_of_temporary_files_that_is_full_is_not_taken_for_damage(tmp_path: Path) -> None:
    """SQLite then ends the transaction by itself, and refuses to end it once more."""
    path = tmp_path / "spot.db"
    await Mirror(path).pull(a_client())
    file = MirrorFile.open(path, for_pull=False)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
    try:
        with pytest.raises(MirrorError) as caught, file.snapshot() as database, file.seen_ids(database) as is_new:
            for number in range(1_000_000):
                is_new(f"{number:0100}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        file.close()

    assert caught.value.reason == "disk"
    assert "that of temporary files may be another" in str(caught.value)


async def test_damage_is_told_when_it_is_met(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    await Mirror(path).pull(a_client())
    ((page,),) = rows_of(path, "SELECT rootpage FROM sqlite_master WHERE name = 'results'")
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)

    with pytest.raises(MirrorError, match="damaged: move it away") as caught:
        Mirror(path).export(tmp_path / "out", "csv")
    assert caught.value.reason == "corrupt"
    with pytest.raises(MirrorError, match="damaged: move it away"):
        await Mirror(path).pull(ScriptedSpot(*batches(range(1, 50))))
    left = {file.name for file in (tmp_path / "out").iterdir()}
    assert left < {f"{name}.csv" for name in TABLES}  # those that could be read, and no half of another


# --- Errors of the feed, and of whoever calls -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [ServerError("500", status=500), NotSentError("gone", reason="outage"), OSError("of a hook")], ids=repr
)
async def test_what_was_delivered_before_an_error_is_kept(tmp_path: Path, error: Exception) -> None:
    path = tmp_path / "spot.db"

    with pytest.raises(type(error)) as caught:
        await Mirror(path).pull(ScriptedSpot(*batches([1, 2], [3, 4]), error, *batches([5, 6])))

    assert caught.value is error
    check_whole(path)
    assert rows_of(path, "SELECT count(*) FROM kits") == [(4,)]
    assert not Mirror(path).state().is_complete
    assert rows_of(path, "SELECT kits, gets, lists, ended FROM pulls") == [(4, 4, 2, None)]


async def test_a_cursor_that_is_refused_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "spot.db"
    await Mirror(path).pull(ScriptedSpot(*batches([1])))
    refusal = InvalidInputError("the cursor is another account's: none of the kits that it knows is listed")

    with pytest.raises(MirrorError) as caught:
        await Mirror(path).pull(ScriptedSpot(refusal))

    assert caught.value.reason == "account"
    assert str(caught.value) == (
        f"{path} cannot be brought up to date by this client (the cursor is another account's): name another file"
    )
    assert rows_of(path, "SELECT count(*) FROM kits") == [(1,)]


async def test_nothing_of_another_account_is_written_before_it_is_recognised(tmp_path: Path) -> None:
    """An account without kits has a cursor of kits that knows none, and so takes those of any other."""
    path = tmp_path / "spot.db"
    requisitions = [Batch((make_requisition(),), "requisition", (None,))]
    await Mirror(path).pull(ScriptedSpot(requisitions=requisitions))
    refusal = InvalidInputError("the cursor is another account's: none of the requisitions that it knows is listed")

    with pytest.raises(MirrorError) as caught:
        await Mirror(path).pull(ScriptedSpot(*batches([1]), requisitions=[refusal]))

    assert caught.value.reason == "account"
    assert rows_of(path, "SELECT count(*) FROM kits") == [(0,)]


async def test_an_error_of_progress_ends_the_pull_with_the_batch_kept(tmp_path: Path) -> None:
    def progress(_: Any) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Mirror(tmp_path / "spot.db").pull(a_client(), progress=progress)

    check_whole(tmp_path / "spot.db")
    assert rows_of(tmp_path / "spot.db", "SELECT count(*) FROM kits") == [(2,)]


class CanaryError(Exception):
    """Raised by a hook of the caller's."""


@pytest.mark.parametrize("trouble", ["disk", "progress", "model"])
async def test_no_error_has_patients_in_its_frames(tmp_path: Path, trouble: str) -> None:
    """Error trackers show the locals of every frame that an error passed through."""
    path = tmp_path / "spot.db"
    kit = make_kit(extra={"note": "canary"} if trouble != "model" else {"note": {"canary"}})
    await Mirror(path, phi=True).pull(ScriptedSpot())
    if trouble == "disk":
        with closing(sqlite3.connect(path)) as database:
            database.execute("CREATE TRIGGER no BEFORE INSERT ON kits BEGIN SELECT raise(ABORT, 'no'); END")

    def progress(_: Any) -> None:
        if trouble == "progress":
            raise CanaryError

    spot = ScriptedSpot(batch_of_kits(kit))
    with pytest.raises((MirrorError, CanaryError, InvalidInputError)) as caught:
        await Mirror(path, phi=True).pull(spot, progress=progress)

    del spot, kit
    assert [name for name, _ in locals_behind(caught.value) if name in {"kit", "batch", "made", "rows", "item"}] == []
    assert "canary" not in repr([value for _, value in locals_behind(caught.value)])


def locals_behind(error: BaseException) -> Iterator[tuple[str, Any]]:
    """The variables of the frames behind an error, its context included, but for those of this file."""
    found: BaseException | None = error
    while found is not None:
        trace = found.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename != __file__:
                yield from trace.tb_frame.f_locals.items()
            trace = trace.tb_next
        found = found.__context__


# --- Cancellations ----------------------------------------------------------------------------------------------------


def of_mirrors() -> set[str]:
    """What is open: files of mirrors, and threads that write them."""
    open_files = {str(fd.resolve()) for fd in Path("/proc/self/fd").iterdir()}
    return {name for name in open_files if "spot.db" in name} | {
        thread.name for thread in threading.enumerate() if thread.name.startswith("spotdx mirror")
    }


class Cancelling:
    """Cancels a pull at one of its waits for the mirror's thread: before it begins, or while the thread works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waits = 0
        self._at: tuple[int, bool] | None = None
        self._pull: asyncio.Task[Any] | None = None
        self._wait = clock.seen_through
        monkeypatch.setattr("spotdx_async.mirror.mirror.clock.seen_through", self._seen_through)

    async def pulled(self, path: Path, at: tuple[int, bool] | None) -> bool:
        """Pull, and cancel at the wait of that number; return whether that ended the pull."""
        self.waits, self._at = 0, at
        self._pull = asyncio.ensure_future(Mirror(path).pull(a_client()))
        await asyncio.wait([self._pull])
        return self._pull.cancelled()

    async def _seen_through(self, job: Any) -> Any:
        assert self._pull is not None
        number, self.waits = self.waits, self.waits + 1
        if self._at == (number, True):
            self._pull.cancel()
        elif self._at == (number, False):
            asyncio.get_running_loop().call_soon(self._pull.cancel)
        return await self._wait(job)


async def test_a_cancellation_at_any_wait_leaves_a_whole_file_and_nothing_open(
    tmp_path: Path, undisturbed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    cancelling = Cancelling(monkeypatch)
    assert not await cancelling.pulled(tmp_path / "spot.db", None)

    waits = [(number, is_before) for number in range(cancelling.waits) for is_before in (True, False)]
    for at in waits if IS_FULL else waits[::4] + waits[3::4]:
        path = tmp_path / f"{at}" / "spot.db"
        path.parent.mkdir()

        assert await cancelling.pulled(path, at), at

        assert of_mirrors() == set()
        if rows_of(path, "SELECT 1 FROM sqlite_master"):
            check_whole(path)
        await cancelling.pulled(path, None)
        assert dump(path) == undisturbed, at


@pytest.mark.parametrize("steps", range(12))
async def test_a_cancellation_while_the_feed_is_read_leaves_nothing_open(tmp_path: Path, steps: int) -> None:
    pull = asyncio.ensure_future(Mirror(tmp_path / "spot.db").pull(a_client()))
    for _ in range(steps):
        await asyncio.sleep(0)

    pull.cancel()
    await asyncio.wait([pull])

    assert pull.cancelled()
    assert of_mirrors() == set()


@pytest.mark.parametrize("is_waited_for", [True, False])
async def test_a_cancellation_is_told_as_one_although_the_batch_under_way_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_waited_for: bool
) -> None:
    begun, goes_on = threading.Event(), threading.Event()

    def write(*_: Any, **__: Any) -> int:
        begun.set()
        goes_on.wait(30)
        raise MirrorError("the disk is full", reason="disk")

    monkeypatch.setattr("spotdx_async.mirror.store.MirrorFile.write", write)
    spot = ScriptedSpot(*batches([1], [2])) if is_waited_for else ScriptedSpot(*batches([1]), asyncio.Event())
    pull = asyncio.ensure_future(Mirror(tmp_path / "spot.db").pull(spot))
    await asyncio.to_thread(begun.wait, 30)

    pull.cancel()
    asyncio.get_running_loop().call_later(0.01, goes_on.set)
    await asyncio.wait([pull])

    assert pull.cancelled()
    assert of_mirrors() == set()


@pytest.mark.parametrize("insists", [False, True])
async def test_an_opening_that_goes_on_after_its_cancellation_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, insists: bool
) -> None:
    """Such as one that waits for another program's lock for longer than a cancellation waits."""
    monkeypatch.setattr("spotdx_async._http.clock._PATIENCE_S", 0.01)
    goes_on, opening = threading.Event(), threading.Event()
    connect: Any = sqlite3.connect

    def slowly(*args: Any, **options: Any) -> Any:
        opening.set()
        goes_on.wait(30)
        return connect(*args, **options)

    monkeypatch.setattr("spotdx_async.mirror.database.sqlite3.connect", slowly)
    pull = asyncio.ensure_future(Mirror(tmp_path / "spot.db").pull(a_client()))
    await asyncio.to_thread(opening.wait, 30)

    pull.cancel()
    async with asyncio.timeout(PATIENCE_S):
        while insists and not pull.done():  # who insists need not wait, and the loop is not held up
            await asyncio.wait([pull], timeout=0.02)
            pull.cancel()
    goes_on.set()
    await asyncio.wait([pull])

    assert pull.cancelled()
    monkeypatch.undo()
    await until(lambda: of_mirrors() == set())
    await Mirror(tmp_path / "spot.db").pull(a_client())  # the lock is free
    assert of_mirrors() == set()


# --- Loops, and what stays open ---------------------------------------------------------------------------------------


def test_one_mirror_is_pulled_again_and_again_in_any_loop_and_leaves_nothing_open(
    tmp_path: Path, undisturbed: dict[str, Any]
) -> None:
    mirror, spot = Mirror(tmp_path / "spot.db"), a_client()

    async def twice() -> None:
        await mirror.pull(spot)
        await mirror.pull(spot)

    asyncio.run(twice())
    asyncio.run(mirror.pull(spot))
    mirror.export(tmp_path / "out", "csv")
    gc.collect()

    assert of_mirrors() == set()
    assert dump(mirror.path) == undisturbed
    assert [feed["cursor"] for feed in spot.kits.asked] == [None, "cursor 3", "cursor 3"]
    assert rows_of(mirror.path, "SELECT kits, orders, requisitions FROM pulls") == [(6, 1, 1), (0, 0, 0), (0, 0, 0)]


async def test_many_mirrors_are_pulled_side_by_side(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    paths = [tmp_path / f"{number}.db" for number in range(4)]

    await asyncio.gather(*(Mirror(path).pull(a_client()) for path in paths))

    assert [dump(path) == undisturbed for path in paths] == [True] * 4


async def test_since_is_for_the_first_pull(tmp_path: Path) -> None:
    spot = ScriptedSpot(*batches([1]))

    for _ in range(2):
        await Mirror(tmp_path / "spot.db").pull(spot, since="2026-11-01", concurrency=3)

    assert spot.kits.asked == [
        {"cursor": None, "since": "2026-11-01", "concurrency": 3},
        {"cursor": "cursor 1", "since": None, "concurrency": 3},
    ]
    assert spot.orders.asked[1] == {"cursor": None, "since": "2026-11-01", "concurrency": 3}


@pytest.mark.parametrize(
    "options",
    [
        {"since": "November"},
        {"nouns": ()},
        {"nouns": ("kits", "patients")},
        {"nouns": "kits"},
        {"concurrency": 0},
        {"concurrency": 1.5},
        {"hosts": ["https://files.example.com"]},
        {"hosts": "files.example.com"},
    ],
    ids=str,
)
async def test_wrong_arguments_are_refused_before_a_file_is_made(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        await Mirror(tmp_path / "spot.db").pull(ScriptedSpot(), **options)

    assert [*tmp_path.iterdir()] == []
