"""The tables of a mirror are those of ``TABLES``: columns, types, keys, indexes; and how an older file is migrated."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from attrs import evolve

from spotdx_async.mirror import Mirror, MirrorError, database
from spotdx_async.mirror.schema import APPLICATION_ID, PULLS, VERSION, WAITING_REPORTS
from spotdx_async.models import QuantityResult
from spotdx_async.tables import TABLES, Table
from spotdx_async.testing.factories import make_kit, make_report, make_sample
from tests.unit.mirror.scripted import ScriptedSpot, batch_of_kits, batches, rows_of

KEPT_AS = {"integer": "INTEGER", "real": "REAL", "boolean": "INTEGER"}
each_table = pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)


async def empty(path: Path, *, phi: bool = False) -> Path:
    await Mirror(path, phi=phi).pull(ScriptedSpot())
    return path


@each_table
@pytest.mark.parametrize("phi", [False, True])
async def test_a_table_has_the_columns_that_the_mirror_may_hold_and_no_others(
    tmp_path: Path, table: Table, *, phi: bool
) -> None:
    found = rows_of(await empty(tmp_path / "spot.db", phi=phi), f"PRAGMA table_info({table.name})")

    assert [(name, kind, bool(required), place) for _, name, kind, required, _, place in found] == [
        (
            column.name,
            KEPT_AS.get(column.type, "TEXT"),
            not column.nullable,
            table.primary_key.index(column.name) + 1 if column.name in table.primary_key else 0,
        )
        for column in table.columns
        if phi or not column.is_phi
    ]


async def test_the_table_of_pulls_is_the_one_that_is_described(tmp_path: Path) -> None:
    found = rows_of(await empty(tmp_path / "spot.db"), "PRAGMA table_info(pulls)")

    assert [(name, kind) for _, name, kind, *_ in found] == [
        (column.name, KEPT_AS.get(column.type, "TEXT")) for column in PULLS.columns
    ]
    assert [name for _, name, _, required, *_ in found if not required] == ["pull_id", "ended"]  # the key by itself


@each_table
async def test_a_table_has_its_indexes(tmp_path: Path, table: Table) -> None:
    path = await empty(tmp_path / "spot.db")

    of_table = "SELECT name FROM pragma_index_list(?) WHERE origin = 'c'"
    made = [
        tuple(name for (name,) in rows_of(path, "SELECT name FROM pragma_index_info(?)", index))
        for (index,) in rows_of(path, of_table, table.name)
    ]
    assert sorted(made) == sorted(table.indexes)


@pytest.mark.parametrize(
    "question",
    [
        "SELECT count(*) FROM kits WHERE status = 'registered'",
        "SELECT * FROM kits WHERE updated >= '2026-11-01'",
        "SELECT * FROM kits WHERE order_id = 'O1'",
        "SELECT * FROM kits WHERE patient_id = 'P1'",
        "SELECT * FROM results WHERE kit_id = 'SPOT1'",
        "SELECT * FROM results WHERE requisition_id IN ('R1', 'R2')",
        "SELECT name FROM kits JOIN results USING (kit_id) WHERE kits.order_id = 'O1'",
        "SELECT * FROM current_results WHERE name = 'HDL' AND date_resulted >= '2026-11-01'",
        "SELECT * FROM reports WHERE date_resulted >= '2026-11-01'",
        "SELECT * FROM order_kits WHERE kit_id = 'SPOT1'",
    ],
)
async def test_usual_questions_read_no_whole_table(tmp_path: Path, question: str) -> None:
    plan = rows_of(await empty(tmp_path / "spot.db"), f"EXPLAIN QUERY PLAN {question}")

    assert [step for *_, step in plan if step.startswith("SCAN")] == []


@pytest.mark.parametrize("query", WAITING_REPORTS.values(), ids=WAITING_REPORTS)
async def test_the_next_reports_without_files_are_found_without_a_look_at_the_rest(tmp_path: Path, query: str) -> None:
    """They are asked for once for every hundred objects: with a sort, a first pull of files took hours of it."""
    plan = rows_of(await empty(tmp_path / "spot.db"), f"EXPLAIN QUERY PLAN {query}", "SPOT1")

    assert [step for *_, step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step] == []


async def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    path = await empty(tmp_path / "spot.db")

    assert rows_of(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    assert rows_of(path, "PRAGMA user_version") == [(VERSION,)]
    assert rows_of(path, "PRAGMA journal_mode") == [("wal",)]


async def test_current_results_leaves_out_what_a_newer_report_has_replaced(tmp_path: Path) -> None:
    first, second = make_report(1), make_report(2)
    results = [(QuantityResult(name="HDL", result=value),) for value in (61, 62)]
    amended = [
        evolve(report, results=of, is_amendment=place == 1, date_resulted=first.date_resulted)
        for place, (report, of) in enumerate(zip((first, second), results, strict=True))
    ]
    kit = make_kit(sample=make_sample(reports=tuple(amended)))

    await Mirror(tmp_path / "spot.db").pull(ScriptedSpot(batch_of_kits(kit)))

    assert rows_of(tmp_path / "spot.db", "SELECT report_seq, value FROM current_results") == [(1, 62.0)]
    assert rows_of(tmp_path / "spot.db", "SELECT report_seq, value FROM results") == [(0, 61.0), (1, 62.0)]


# --- Migrations -------------------------------------------------------------------------------------------------------


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK of a later day, whose second version has another table."""
    monkeypatch.setattr(database, "VERSION", 2)
    monkeypatch.setattr(
        database, "MIGRATIONS", {1: ("CREATE TABLE later(a)", "INSERT INTO later SELECT kit_id FROM kits")}
    )


async def an_older_file(path: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "VERSION", 1)
        await Mirror(path).pull(ScriptedSpot(*batches([1, 2])))
    return path


@pytest.mark.usefixtures("later")
async def test_a_pull_brings_an_older_file_up_to_date_and_keeps_its_rows(tmp_path: Path) -> None:
    path = await an_older_file(tmp_path / "spot.db")

    await Mirror(path).pull(ScriptedSpot(*batches([3])))

    assert rows_of(path, "PRAGMA user_version") == [(2,)]
    assert rows_of(path, "SELECT a FROM later") == [("SPOT000001",), ("SPOT000002",)]
    assert rows_of(path, "SELECT count(*) FROM kits") == [(3,)]


@pytest.mark.usefixtures("later")
async def test_an_older_file_is_read_after_a_pull_alone(tmp_path: Path) -> None:
    path = await an_older_file(tmp_path / "spot.db")

    with pytest.raises(MirrorError, match="older version of spotdx_async: pull once") as caught:
        Mirror(path).state()

    assert caught.value.reason == "older"
    assert rows_of(path, "PRAGMA user_version") == [(1,)]


@pytest.mark.usefixtures("later")
async def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await an_older_file(tmp_path / "spot.db")
    broken = ("CREATE TABLE later(a)", "INSERT INTO nowhere VALUES (1)")
    monkeypatch.setattr(database, "MIGRATIONS", {1: broken})

    with pytest.raises(MirrorError):
        await Mirror(path).pull(ScriptedSpot())

    assert rows_of(path, "PRAGMA user_version") == [(1,)]
    assert rows_of(path, "SELECT name FROM sqlite_master WHERE name = 'later'") == []
    assert rows_of(path, "SELECT count(*) FROM kits") == [(2,)]


async def test_a_file_of_a_later_version_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    path = await empty(tmp_path / "spot.db")
    with closing(sqlite3.connect(path)) as newer:
        newer.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = path.read_bytes()

    for use in (lambda: Mirror(path).state(), lambda: Mirror(path).export(tmp_path / "out", "csv")):
        with pytest.raises(MirrorError, match="newer version") as caught:
            use()
        assert caught.value.reason == "newer"
    with pytest.raises(MirrorError, match="newer version"):
        await Mirror(path).pull(ScriptedSpot())

    assert path.read_bytes() == before
    assert not (tmp_path / "out").exists()
