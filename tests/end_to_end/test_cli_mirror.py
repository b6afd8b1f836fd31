"""``spotdx mirror``: pull once and again and again, export, show; with outages and signals, for people and programs."""

import asyncio
import csv
import fcntl
import json
import os
import re
import signal
import sqlite3
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TextIO

import pytest
import pytest_asyncio

from spotdx_async.mirror import Mirror
from spotdx_async.tables import TABLES
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Done, Spotdx
from tests.end_to_end.test_cli_process import finish, on_a_terminal, start
from tests.patience import PATIENCE_S, until

KITS = 120
FIGURES = {"delivered", "lists", "gets", "unread", "untold"}


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(kits=5) as server:
        yield server


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "spot.db"


def rows_of(db: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(db)) as database:
        return database.execute(query).fetchall()


def is_there(db: Path, query: str) -> bool:
    """Whether a mirror that another process writes has something."""
    try:
        return db.exists() and bool(rows_of(db, query))
    except sqlite3.OperationalError:  # not made yet
        return False


def error_in(done: Done) -> dict[str, Any]:
    (line,) = done.err.splitlines()
    (error,) = json.loads(line).values()
    return dict(error)


# --- Pull, export, show -----------------------------------------------------------------------------------------------


async def test_a_pull_fills_a_mirror_and_the_next_brings_what_has_changed(
    spotdx: Spotdx, fake: FakeSpot, db: Path
) -> None:
    first = await spotdx("mirror", "pull", db)
    assert (first.code, first.err) == (0, "")
    assert re.fullmatch(rf"{db}: 5 kits, 3 orders, 3 requisitions in \d:\d\d\n", first.out)

    fake.kits[next(iter(fake.kits))].ship()
    again = await spotdx("mirror", "pull", db)

    assert re.fullmatch(rf"{db}: 1 kit, 0 orders, 0 requisitions in \d:\d\d\n", again.out)
    assert sorted(rows_of(db, "SELECT kit_id, status FROM kits")) == sorted(
        (an_id, kit.status) for an_id, kit in fake.kits.items()
    )


async def test_the_figures_of_a_pull_as_json(spotdx: Spotdx, db: Path) -> None:
    done = await spotdx("mirror", "pull", db, "--json")

    assert (done.code, done.err) == (0, "")
    assert {*done.summary} == {
        *("kits", "orders", "requisitions", "unread", "is_sweep", "elapsed_s"),
        *("files", "files_failed"),
    }
    assert [{*done.summary[noun]} for noun in ("kits", "orders", "requisitions")] == [FIGURES] * 3
    assert done.summary["kits"] == {"delivered": 5, "lists": 2, "gets": 5, "unread": 0, "untold": 0}


async def test_a_sweep_says_what_the_lists_had_not_shown(spotdx: Spotdx, fake: FakeSpot, db: Path) -> None:
    await spotdx("mirror", "pull", db)
    kit = fake.kits[next(iter(fake.kits))]
    kit.document["events"] = []

    assert (await spotdx("mirror", "pull", db)).out.startswith(f"{db}: 0 kits")
    done = await spotdx("mirror", "pull", db, "--sweep")

    assert done.out.endswith("; 1 change that the lists had not shown\n")
    assert (kit.kit_id,) not in rows_of(db, "SELECT kit_id FROM kit_events")


async def test_an_export_names_its_files(spotdx: Spotdx, db: Path, tmp_path: Path) -> None:
    await spotdx("mirror", "pull", db)

    done = await spotdx("mirror", "export", db, tmp_path / "out", "--format", "csv")
    assert (done.code, done.err) == (0, "")
    lines = [line.split("\t") for line in done.out.splitlines()]
    assert lines == [["table", "file"], *([name, f"{tmp_path}/out/{name}.csv"] for name in (*TABLES, "pulls"))]

    done = await spotdx("mirror", "export", db, tmp_path / "some", "--tables", "kits, current_results", "--json")
    assert done.summary == {name: f"{tmp_path}/some/{name}.parquet" for name in ("kits", "current_results")}
    assert {path.name for path in (tmp_path / "some").iterdir()} == {"kits.parquet", "current_results.parquet"}


async def test_a_pull_says_that_a_day_to_begin_with_is_for_the_first_one(spotdx: Spotdx, db: Path) -> None:
    first = await spotdx("mirror", "pull", db, "--since", "2019-01-01")
    later = await spotdx("mirror", "pull", db, "--since", "2019-01-01")

    assert (first.code, later.code) == (0, 0)
    assert "--since" not in first.err
    assert later.err.startswith(f"spotdx: --since is for the first pull: {db} exists, and continues from where it is\n")


async def test_an_export_since_a_day_has_what_changed_since(
    spotdx: Spotdx, fake: FakeSpot, db: Path, tmp_path: Path
) -> None:
    kits = [*fake.kits]
    fake.kits[kits[0]].updated = "2019-01-01T00:00:00.000Z"
    await spotdx("mirror", "pull", db)

    await spotdx("mirror", "export", db, tmp_path / "out", "--format", "csv", "--since", "2019-01-02")

    with (tmp_path / "out" / "kits.csv").open() as file:
        assert [row["kit_id"] for row in csv.DictReader(file)] == sorted(kits[1:])


async def test_what_a_mirror_holds_is_shown(spotdx: Spotdx, db: Path) -> None:
    await spotdx("mirror", "pull", db)

    shown = await spotdx("mirror", "show", db)
    assert (shown.code, shown.err) == (0, "")
    fields = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in shown.out.splitlines())
    assert (fields["patient data"], fields["state"]) == ("left out", "up to date with that pull")
    assert (fields["rows of kits"], fields["rows of pulls"]) == ("5", "1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fields["last complete pull"])

    as_json = (await spotdx("mirror", "show", db, "--json")).summary
    assert {*as_json["rows"]} == {*TABLES, "pulls"}
    assert (as_json["phi"], as_json["is_complete"], as_json["statuses"]["kits"]) == (False, True, {"preparing": 5})
    assert as_json["last_pull"] == fields["last complete pull"]


# --- Exit codes -------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_told_by_every_pull_until_it_can(spotdx: Spotdx, fake: FakeSpot, db: Path) -> None:
    """An exit code of 0 says that the mirror holds everything."""
    broken = next(iter(fake.kits))
    fault = faults.body(json.dumps({"kit_id": broken, "type": 5}).encode())
    fake.faults.add(fault, path=f"/api/v2/kits/{broken}/", times=None)
    command = ("mirror", "pull", db)

    for _ in range(2):
        done = await spotdx(*command, "-v")
        assert done.code == 1
        assert (
            "spotdx: 1 object could not be read: the next pull tries them again; -v and --log-file say why" in done.err
        )
        assert (
            "one of the kits that changed cannot be read: GET /api/v2/kits/{kit_id}/: type should be text" in done.err
        )
        assert broken not in done.err
    assert (await spotdx(*command, "--json")).summary["unread"] == 1
    assert (
        "up to date with that pull, but for 1 object that could not be read" in (await spotdx("mirror", "show", db)).out
    )
    assert (await spotdx("mirror", "show", db, "--json")).summary["unread"] == 1
    assert [row for (row,) in rows_of(db, "SELECT unread FROM pulls")] == [1, 1, 1]

    fake.faults.clear()
    assert (await spotdx(*command)).code == 0
    assert rows_of(db, "SELECT count(*) FROM kits") == [(5,)]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("pull",), ""),
        (("pull", "{db}", "--since", "November"), "since must be a date"),
        (("pull", "{db}", "--every", "0"), "no span of time above 0"),
        (("pull", "{db}", "--every", "5 minutes"), "no span of time above 0"),
        (("pull", "{db}", "--every", "1e3"), "no span of time above 0"),
        (("pull", "{db}", "--rate", "0"), "rate"),
        (("pull", "{text}"), "is not a mirror"),
        (("pull", "{folder}"), "is a folder"),
        (("show", "{db}"), "does not exist: make it with pull"),
        (("show", "{text}"), "is not a mirror"),
        (("export", "{db}", "{folder}"), "does not exist: make it with pull"),
        (("export", "{filled}", "{folder}", "--tables", "kits,nothing"), "current_results, and 'nothing' is none"),
        (("export", "{filled}", "{folder}", "--tables", ","), "tables must be a list of some of kits"),
        (("export", "{filled}", "{folder}", "--format", "xlsx"), "xlsx"),
        (("export", "{filled}", "{folder}", "--since", "2026-13-01"), "since must be a date"),
        (("pull", "{filled}", "--phi"), "was made without patient data"),
    ],
    ids=" ".join,
)
async def test_wrong_usage_ends_with_2_and_one_line(
    spotdx: Spotdx, tmp_path: Path, argv: tuple[str, ...], says: str
) -> None:
    places = {"db": tmp_path / "new.db", "filled": tmp_path / "spot.db", "text": tmp_path / "notes.txt"}
    places["text"].write_text("notes\n" * 1000)
    if any("{filled}" in word for word in argv):
        await spotdx("mirror", "pull", places["filled"])
    before = sorted(tmp_path.iterdir())

    words = [word.format(**places, folder=tmp_path) for word in argv]
    done = await spotdx("mirror", *words)
    as_json = await spotdx("mirror", *words, "--json")

    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert says in done.err
    assert (as_json.code, as_json.out, error_in(as_json)["exit_code"]) == (2, "", 2)
    assert sorted(tmp_path.iterdir()) == before


async def test_the_mirror_of_another_server_is_refused(spotdx: Spotdx, fake: FakeSpot, db: Path) -> None:
    await spotdx("mirror", "pull", db)

    async with FakeSpot() as other:
        other.state.tokens.add(fake.token)
        done = await spotdx("mirror", "pull", db, "--base-url", other.url)

    assert done.code == 2
    assert (
        f"spotdx: {db} cannot be brought up to date by this client (the cursor was made with another server)"
        in done.err
    )
    assert rows_of(db, "SELECT count(*) FROM kits") == [(5,)]


async def test_an_outage_ends_a_pull_that_the_same_command_completes(spotdx: Spotdx, fake: FakeSpot, db: Path) -> None:
    await fake.stop()
    done = await spotdx("mirror", "pull", db)
    as_json = await spotdx("mirror", "pull", db, "--json")
    await fake.start()

    assert (done.code, done.out) == (3, "")
    assert "127.0.0.1" in done.err
    assert done.err.endswith("; what was pulled is kept, and the same command resumes\n")
    assert (as_json.code, as_json.out) == (3, "")
    error = error_in(as_json)
    assert (error["kind"], error["exit_code"]) == ("NotSentError", 3)
    assert error["hint"].endswith("; the same command resumes")
    shown = await spotdx("mirror", "show", db)
    assert "none was completed" in shown.out
    assert "a pull is under way, or was stopped" in shown.out
    assert (await spotdx("mirror", "pull", db)).code == 0


async def test_a_refused_token_ends_with_3_even_where_pulls_are_repeated(
    spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch, db: Path
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "stale")

    for more in ((), ("--every", "0.1s")):
        done = await spotdx("mirror", "pull", db, *more)
        assert (done.code, "does not accept the token" in done.err) == (3, True)


async def test_a_full_disk_ends_with_3(spotdx: Spotdx, small_disk: Path) -> None:
    free = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 100_000))

    done = await spotdx("mirror", "pull", small_disk / "spot.db")

    assert (done.code, "the disk is full or failing" in done.err) == (3, True)
    (small_disk / "filler").unlink()
    assert (await spotdx("mirror", "pull", small_disk / "spot.db")).code == 0


async def test_without_pyarrow_parquet_is_refused(
    spotdx: Spotdx, db: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await spotdx("mirror", "pull", db)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    done = await spotdx("mirror", "export", db, tmp_path / "out")

    assert (done.code, "needs the extra parquet" in done.err) == (2, True)


# --- Options of every command -----------------------------------------------------------------------------------------


async def test_options_may_stand_before_the_command_and_quiet_leaves_the_result(
    spotdx: Spotdx, fake: FakeSpot, db: Path, tmp_path: Path
) -> None:
    done = await spotdx("-q", "--json", "--log-file", tmp_path / "log", "mirror", "pull", db)

    assert (done.code, done.err, done.summary["kits"]["delivered"]) == (0, "", 5)
    log = (tmp_path / "log").read_text()
    assert "spotdx mirror pull\n" in log
    assert "exit code 0" in log
    assert fake.token not in log
    assert str(db) not in log


@pytest.mark.parametrize("at_once", [2, 24])
async def test_as_many_requests_are_in_flight_as_are_asked_for(
    spotdx: Spotdx, fake: FakeSpot, db: Path, at_once: int
) -> None:
    fake.kits.add_many(30)
    fake.latency_s = 0.1

    assert (await spotdx("mirror", "pull", db, "--concurrency", at_once)).code == 0

    assert fake.peak_in_flight == at_once


async def test_phi_is_kept_where_it_is_asked_for(spotdx: Spotdx, fake: FakeSpot, db: Path) -> None:
    assert (await spotdx("mirror", "pull", db, "--phi")).code == 0

    people = [(kit.registered_to["first_name"], kit.registered_to["patient_id"]) for kit in fake.kits.values()]
    assert rows_of(db, "SELECT first_name, patient_id FROM kits") == people
    assert "kept" in (await spotdx("mirror", "show", db)).out


# --- Processes: signals, and pulls again and again --------------------------------------------------------------------


@pytest_asyncio.fixture
async def stuck() -> AsyncIterator[FakeSpot]:
    """A server that never answers about one of the last kits: the first hundred are written, and no more."""
    async with FakeSpot(kits=KITS) as server:
        server.faults.add(faults.slow(600), path=f"/api/v2/kits/{[*server.kits][-1]}/", times=None)
        yield server


async def pulling(server: FakeSpot, db: Path, *argv: str) -> Process:
    """Start a pull, and wait until it is stuck."""
    process = await start(server, "mirror", "pull", str(db), *argv)
    await until(lambda: is_there(db, "SELECT 1 FROM kits") and server.in_flight == 1)
    return process


@pytest.mark.parametrize(("number", "form"), [(signal.SIGINT, []), (signal.SIGTERM, ["--json"])])
async def test_a_signal_ends_a_pull_with_3_and_the_same_command_completes_it(
    stuck: FakeSpot, db: Path, number: signal.Signals, form: list[str]
) -> None:
    process = await pulling(stuck, db, *form)

    process.send_signal(number)

    code, out, err = await finish(process)
    assert (code, out) == (3, "")
    if form:
        error = json.loads(err)["error"]
        assert (error["kind"], error["message"], error["exit_code"]) == ("Interrupted", "stopped after 100 objects", 3)
    else:
        assert err == "spotdx: stopped after 100 objects: the same command resumes\n"
    assert rows_of(db, "SELECT count(*) FROM kits") == [(100,)]
    stuck.faults.clear()
    async with stuck.client() as spot:
        report = await Mirror(db).pull(spot)
    assert (report.kits.delivered, report.kits.gets) == (KITS - 100, KITS - 100)


async def test_a_signal_during_a_repeated_pull_ends_with_0(stuck: FakeSpot, db: Path) -> None:
    process = await pulling(stuck, db, "--every", "1h", "-q")

    process.send_signal(signal.SIGINT)

    assert await finish(process) == (0, "", "")
    assert not Mirror(db).state().is_complete


async def line_of(stream: asyncio.StreamReader | None, is_it: Callable[[str], object]) -> str:
    """Wait for a line."""
    assert stream is not None
    async with asyncio.timeout(PATIENCE_S):
        while line := (await stream.readline()).decode():
            if is_it(line):
                return line
    raise AssertionError("the process has ended before that line")


async def test_pulls_are_repeated_through_an_outage_until_a_signal(fake: FakeSpot, db: Path) -> None:
    process = await start(fake, "mirror", "pull", str(db), "--every", "0.05s", "--timeout", "2")
    await line_of(process.stdout, lambda line: "5 kits" in line)

    await fake.stop()
    told = await line_of(process.stderr, lambda line: "pulling again in" in line)
    await fake.start()
    fake.kits[next(iter(fake.kits))].ship()
    await line_of(process.stdout, lambda line: "1 kit," in line)
    process.send_signal(signal.SIGTERM)

    assert "what was pulled is kept, and pulling again in 0:00" in told
    code, _, err = await finish(process)
    assert (code, err.splitlines()[-1]) == (0, "spotdx: stopped: the mirror is whole, and the same command resumes")
    assert Mirror(db).state().statuses["kits"] == {"preparing": 4, "in_transit": 1}


async def test_a_signal_between_two_pulls_ends_them_at_once(fake: FakeSpot, db: Path) -> None:
    process = await start(fake, "mirror", "pull", str(db), "--every", "1h", "--json")
    figures = await line_of(process.stdout, bool)

    process.send_signal(signal.SIGINT)

    assert json.loads(figures)["kits"]["delivered"] == 5
    assert await finish(process) == (0, "", "spotdx: stopped: the mirror is whole, and the same command resumes\n")


async def test_pulls_end_once_nobody_reads_what_they_tell(fake: FakeSpot, db: Path) -> None:
    """As behind ``| head -1``: such a loop would go on for ever, and nobody would know."""
    process = await start(fake, "mirror", "pull", str(db), "--every", "0.05s", "--json")
    await line_of(process.stdout, bool)
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]  # as when the reader exits

    async with asyncio.timeout(PATIENCE_S):
        assert process.stderr is not None
        err = (await process.stderr.read()).decode()
        code = await process.wait()

    assert (code, err) == (
        0,
        "spotdx: stopped, since nobody reads the output any more: the same command resumes\n",
    )
    assert rows_of(db, "SELECT count(*) FROM kits") == [(5,)]


async def test_a_second_pull_is_refused_and_a_repeated_one_waits_for_its_turn(
    spotdx: Spotdx, fake: FakeSpot, db: Path
) -> None:
    repeated = await start(fake, "mirror", "pull", str(db), "--every", "0.05s")
    await line_of(repeated.stdout, lambda line: "5 kits" in line)
    with (db.parent / "spot.db-lock").open("r+") as lock:
        await until(lambda: is_taken(lock))
        await line_of(repeated.stderr, lambda line: "by another pull" in line and "pulling again in" in line)
        for more in ((), ("--every", "1h")):
            done = await spotdx("mirror", "pull", db, *more)
            assert (done.code, "is being filled by another pull: wait until it has ended" in done.err) == (2, True)
    await line_of(repeated.stdout, lambda line: "0 kits" in line)

    repeated.send_signal(signal.SIGTERM)
    assert (await finish(repeated))[0] == 0


def is_taken(lock: TextIO) -> bool:
    """Take the lock of a mirror, as another pull does."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def test_on_a_terminal_a_live_line_is_shown_and_then_the_result(fake: FakeSpot, db: Path) -> None:
    fake.latency_s = 0.2
    code, shown = await on_a_terminal(fake, "mirror", "pull", str(db))

    assert code == 0
    assert "\x1b[2K" in shown
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown)
    assert "pulling" in plain
    assert f"{db}: 5 kits, 3 orders, 3 requisitions in" in plain.replace("\r\n", "")
    assert "\x1b[?25h" in shown  # the cursor is given back
