"""Exports: the same bytes for the same rows, whatever the values are, in whole files or none."""

import asyncio
import csv
import io
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from itertools import repeat
from pathlib import Path
from typing import Any, get_args

import pytest
from pyarrow import parquet

from spotdx_async import InvalidInputError
from spotdx_async.changes import Batch
from spotdx_async.mirror import Mirror, MirrorError, export
from spotdx_async.mirror.export import ExportFormat
from spotdx_async.mirror.parquet import parquet_pieces
from spotdx_async.mirror.schema import PULLS, columns_of
from spotdx_async.mirror.store import MirrorFile
from spotdx_async.models import KitStatus, QuantityResult, Report, Sample
from spotdx_async.tables import TABLES
from spotdx_async.testing.factories import (
    make_kit,
    make_kit_summary,
    make_order,
    make_requisition,
)
from tests.unit.mirror.scripted import ScriptedSpot, batch_of_kits, batches, rows_of

FORMATS = tuple(form for form in get_args(ExportFormat) if form != "fhir")
every_format = pytest.mark.parametrize("form", FORMATS)
STRANGE = 'a "b", c\r\n\r\0;é\n'


async def filled(path: Path, *, phi: bool = False, groups: Any = ([1, 2], [3])) -> Mirror:
    mirror = Mirror(path, phi=phi)
    orders = [Batch(tuple(map(make_order, (1, 2))), "o", (None, None))]
    requisitions = [Batch(tuple(map(make_requisition, (1, 2))), "r", (None, None))]
    await mirror.pull(ScriptedSpot(*batches(*groups), orders=orders, requisitions=requisitions))
    return mirror


async def small(path: Path) -> Mirror:
    """Two kits, of which one has results with strange texts."""
    results = (
        QuantityResult(name=STRANGE, result=5, range_minimum=0.5, time_collected=datetime(2026, 11, 1, 9, tzinfo=UTC)),
        QuantityResult(name="B", result="<10", unit_of_measure=""),
    )
    sample = Sample(sample_id="S1", panels=("P", "Q"), reports=(Report(report_id="R1", results=results),))
    summary = make_kit_summary(
        1, order_id=None, created=datetime(2026, 11, 1, tzinfo=UTC), updated=datetime(2026, 11, 2, 1, 2, 3, 4000, UTC)
    )
    empty = {"events": (), "shipment_to_customer": None, "registered_to": None, "status": KitStatus.DELIVERED}
    of_results = make_kit(1, type="t", sample=sample, **empty)
    mirror = Mirror(path)
    await mirror.pull(
        ScriptedSpot(batch_of_kits(of_results, make_kit(2, type=None, sample=None, **empty), summaries=(summary, None)))
    )
    return mirror


def files_in(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- Bytes ------------------------------------------------------------------------------------------------------------

COLUMNS_OF_RESULTS = (
    "source,source_id,report_seq,seq,kit_id,requisition_id,sample_id,report_id,name,result_type,value_text,value,"
    "comparator,bound,unit,low,high,flag,time_collected,date_resulted,is_amendment,is_current\n"
)


async def test_the_bytes_of_csv(tmp_path: Path) -> None:
    (await small(tmp_path / "spot.db")).export(tmp_path / "out", "csv", tables=["kits", "samples", "results"])

    assert files_in(tmp_path / "out") == {
        "kits.csv": b"kit_id,type,status,order_id,created,updated,patient_id\n"
        b"SPOT000001,t,delivered,,2026-11-01T00:00:00.000000Z,2026-11-02T01:02:03.004000Z,\n"
        b"SPOT000002,,delivered,,,,\n",
        "samples.csv": b'kit_id,sample_id,status,type,panels\nSPOT000001,S1,,,"[""P"",""Q""]"\n',
        "results.csv": COLUMNS_OF_RESULTS.encode()
        + b'kit,SPOT000001,0,0,SPOT000001,,S1,R1,"a ""b"", c\r\n\r\0;\xc3\xa9\n",quantity,5,5.0,,,,0.5,,normal,'
        b"2026-11-01T09:00:00.000000Z,,,true\n"
        b"kit,SPOT000001,0,1,SPOT000001,,S1,R1,B,quantity,<10,,<,10.0,,,,,,,,true\n",
    }


async def test_the_bytes_of_json_lines(tmp_path: Path) -> None:
    (await small(tmp_path / "spot.db")).export(tmp_path / "out", "jsonl", tables=["kits", "samples", "results"])

    assert files_in(tmp_path / "out") == {
        "kits.jsonl": b'{"kit_id":"SPOT000001","type":"t","status":"delivered","order_id":null,'
        b'"created":"2026-11-01T00:00:00.000000Z","updated":"2026-11-02T01:02:03.004000Z","patient_id":null}\n'
        b'{"kit_id":"SPOT000002","type":null,"status":"delivered","order_id":null,"created":null,"updated":null,'
        b'"patient_id":null}\n',
        "samples.jsonl": b'{"kit_id":"SPOT000001","sample_id":"S1","status":null,"type":null,"panels":["P","Q"]}\n',
        "results.jsonl": b'{"source":"kit","source_id":"SPOT000001","report_seq":0,"seq":0,"kit_id":"SPOT000001",'
        b'"requisition_id":null,"sample_id":"S1","report_id":"R1","name":"a \\"b\\", c\\r\\n\\r\\u0000;\xc3\xa9\\n",'
        b'"result_type":"quantity","value_text":"5","value":5.0,"comparator":null,"bound":null,"unit":null,"low":0.5,'
        b'"high":null,"flag":"normal","time_collected":"2026-11-01T09:00:00.000000Z","date_resulted":null,'
        b'"is_amendment":null,"is_current":true}\n'
        b'{"source":"kit","source_id":"SPOT000001","report_seq":0,"seq":1,"kit_id":"SPOT000001",'
        b'"requisition_id":null,"sample_id":"S1","report_id":"R1","name":"B","result_type":"quantity",'
        b'"value_text":"<10","value":null,"comparator":"<","bound":10.0,"unit":"","low":null,"high":null,"flag":null,'
        b'"time_collected":null,"date_resulted":null,"is_amendment":null,"is_current":true}\n',
    }


async def test_what_stands_in_a_cell_is_no_end_of_a_row(tmp_path: Path) -> None:
    (await small(tmp_path / "spot.db")).export(tmp_path, "csv", tables=["results"])

    rows = [*csv.DictReader(io.StringIO((tmp_path / "results.csv").read_bytes().decode(), newline=""))]
    assert [row["name"] for row in rows] == [STRANGE, "B"]


async def test_the_values_of_parquet(tmp_path: Path) -> None:
    (await small(tmp_path / "spot.db")).export(tmp_path, "parquet", tables=["kits", "samples", "results"])

    kits, samples, results = (read(tmp_path, name) for name in ("kits", "samples", "results"))
    assert (kits[0]["created"], kits[0]["updated"]) == (
        datetime(2026, 11, 1, tzinfo=UTC),
        datetime(2026, 11, 2, 1, 2, 3, 4000, UTC),
    )
    assert kits[1] == {**dict.fromkeys(kits[1]), "kit_id": "SPOT000002", "status": "delivered"}
    assert json.loads(samples[0]["panels"]) == ["P", "Q"]
    names = ("name", "value", "bound", "low", "is_current", "is_amendment", "seq")
    assert [tuple(row[name] for name in names) for row in results] == [
        (STRANGE, 5.0, None, 0.5, True, None, 0),
        ("B", None, 10.0, None, True, None, 1),
    ]


def read(folder: Path, name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(folder / f"{name}.parquet").to_pylist()
    return rows


async def test_the_schema_of_parquet_stays_what_it_is(tmp_path: Path) -> None:
    """What reads the files relies on names and types: a change here is one for every reader."""
    mirror = await filled(tmp_path / "spot.db", phi=True)

    paths = mirror.export(tmp_path / "out")

    found = [
        f"{name}.{of.name} {of.type}{'' if of.nullable else ' not null'}\n"
        for name, path in paths.items()
        for of in parquet.read_schema(path)
    ]
    kept = Path(__file__).with_name("parquet_schema.txt")
    if os.environ.get("SPOTDX_UPDATE_SNAPSHOTS") == "1":
        kept.write_text("".join(found), encoding="utf-8")
    assert "".join(found) == kept.read_text(encoding="utf-8")
    assert {*paths} == {*TABLES, "pulls"}


@every_format
async def test_the_same_rows_have_the_same_bytes_however_they_came(tmp_path: Path, form: Any) -> None:
    one = await filled(tmp_path / "one.db", phi=True)
    other = await filled(tmp_path / "other.db", phi=True, groups=([3], [2], [1], [2, 1]))

    one.export(tmp_path / "one", form)
    first = files_in(tmp_path / "one")
    one.export(tmp_path / "one", form)
    other.export(tmp_path / "other", form, tables=[*TABLES])

    assert files_in(tmp_path / "one") == first
    del first[f"pulls.{form}"]  # which tells when and how they came
    assert first == files_in(tmp_path / "other")
    assert len(first) == len(TABLES)


@every_format
async def test_without_patient_data_there_are_not_even_columns_for_it(tmp_path: Path, form: Any) -> None:
    (await filled(tmp_path / "spot.db")).export(tmp_path / "out", form)

    for name, table in TABLES.items():
        path = tmp_path / "out" / f"{name}.{form}"
        if form == "parquet":
            columns = parquet.read_schema(path).names
        else:
            with path.open(encoding="utf-8") as file:
                first = file.readline()
            columns = first.rstrip("\n").split(",") if form == "csv" else list(json.loads(first))
        assert tuple(columns) == columns_of(table, phi=False)


@every_format
async def test_an_empty_mirror_has_files_without_rows(tmp_path: Path, form: Any) -> None:
    mirror = Mirror(tmp_path / "spot.db")
    await mirror.pull(ScriptedSpot())

    paths = mirror.export(tmp_path / "out", form)

    assert {*paths} == {*TABLES, "pulls"}
    for name, path in paths.items():
        if name == "pulls":
            continue
        if form == "parquet":
            assert parquet.read_table(path).num_rows == 0
        else:
            assert path.read_text() == ("" if form == "jsonl" else f"{','.join(columns_of(TABLES[name], phi=False))}\n")


# --- Which rows and tables --------------------------------------------------------------------------------------------


async def test_tables_may_be_chosen_and_current_results_too(tmp_path: Path) -> None:
    mirror = await filled(tmp_path / "spot.db")

    paths = mirror.export(tmp_path / "out", "csv", tables=["current_results", "kits", "kits"])

    assert paths == {name: tmp_path / "out" / f"{name}.csv" for name in ("current_results", "kits")}
    assert {*files_in(tmp_path / "out")} == {"current_results.csv", "kits.csv"}
    lines = (tmp_path / "out" / "current_results.csv").read_text().splitlines()
    assert f"{lines[0]}\n" == COLUMNS_OF_RESULTS
    assert len(lines) - 1 == rows_of(mirror.path, "SELECT count(*) FROM current_results")[0][0] > 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tables": ["kits", "nothing"]},
        {"tables": ["mirror"]},
        {"tables": "kits"},
        {"tables": ["kits; --"]},
        {"format": "xlsx"},
        {"since": "yesterday"},
        {"since": 5},
    ],
    ids=str,
)
async def test_what_is_asked_wrongly_is_refused_before_anything_is_written(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    mirror = await filled(tmp_path / "spot.db")

    with pytest.raises(InvalidInputError):
        mirror.export(tmp_path / "out", **wrong)

    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("since", ["2026-11-02", date(2026, 11, 2)])
async def test_since_takes_the_rows_of_all_that_changed_on_that_day_or_later(tmp_path: Path, since: Any) -> None:
    mirror = Mirror(tmp_path / "spot.db")
    moments = (
        datetime(2026, 11, 1, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 2, tzinfo=UTC),
        datetime(2026, 11, 3, tzinfo=UTC),
    )
    rows = tuple(make_kit_summary(number, updated=moment) for number, moment in enumerate(moments, start=1))
    orders = tuple(make_order(number, updated=moment) for number, moment in enumerate(moments, start=1))
    requisitions = tuple(make_requisition(number, updated=moment) for number, moment in enumerate(moments, start=1))
    await mirror.pull(
        ScriptedSpot(
            batch_of_kits(*map(make_kit, (1, 2, 3)), summaries=rows),
            orders=[Batch(orders, "o", (None,) * 3)],
            requisitions=[Batch(requisitions, "r", (None,) * 3)],
        )
    )

    mirror.export(tmp_path / "out", "csv", since=since)
    mirror.export(tmp_path / "all", "csv")

    late = {"kit_id": {row.kit_id for row in rows[1:]}, "order_id": {order.order_id for order in orders[1:]}}
    late["requisition_id"] = {requisition.requisition_id for requisition in requisitions[1:]}
    late["source_id"] = late["kit_id"] | late["requisition_id"]
    for name, table in TABLES.items():
        found, every = (of(tmp_path / folder / f"{name}.csv") for folder in ("out", "all"))
        owner = table.owner[-1]
        assert found == [row for row in every if row[owner] in late[owner]], name
        assert {row[owner] for row in found} == late[owner], name


def of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


@every_format
async def test_pulls_are_exported_as_they_are_told(tmp_path: Path, form: Any) -> None:
    mirror = await filled(tmp_path / "spot.db")
    with pytest.raises(ZeroDivisionError):
        await mirror.pull(ScriptedSpot(ZeroDivisionError()), sweep=True)
    rows = rows_of(mirror.path, "SELECT * FROM pulls")

    path = mirror.export(tmp_path / "out", form, tables=["pulls"])["pulls"]
    late = mirror.export(tmp_path / "late", form, tables=["pulls"], since="9999-12-31")["pulls"]

    first, second = (
        read(path.parent, "pulls")
        if form == "parquet"
        else of(path)
        if form == "csv"
        else [*map(json.loads, path.read_text().splitlines())]
    )
    assert [str(row["kits"]) for row in (first, second)] == ["3", "0"]
    assert [str(row["is_sweep"]).lower() for row in (first, second)] == ["false", "true"]
    assert (second["ended"] or None, [*first]) == (None, [column.name for column in PULLS.columns])
    if form == "parquet":
        assert first["began"] == datetime.fromisoformat(rows[0][1])
        assert parquet.read_table(late).num_rows == 0
    else:
        assert first["began"] == rows[0][1]
        assert late.read_text().count("\n") == (form == "csv")


# --- Files ------------------------------------------------------------------------------------------------------------


@every_format
async def test_files_are_their_owners_alone(tmp_path: Path, form: Any) -> None:
    mirror = await filled(tmp_path / "spot.db")
    before = os.umask(0)
    try:
        paths = mirror.export(tmp_path / "new" / "out", form)
    finally:
        os.umask(before)

    assert {stat.S_IMODE(path.stat().st_mode) for path in paths.values()} == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "new", tmp_path / "new" / "out")} == {0o700}


def linked(path: Path) -> None:
    path.mkdir()
    (path / "kits.csv").symlink_to(path / "elsewhere")


def unwritable(path: Path) -> None:
    path.mkdir()
    (path / "kits.csv").mkdir()


@pytest.mark.parametrize("made", [linked, unwritable], ids=lambda made: made.__name__)
async def test_a_place_that_cannot_be_written_is_told(tmp_path: Path, made: Callable[[Path], None]) -> None:
    mirror = await filled(tmp_path / "spot.db")
    made(tmp_path / "out")

    with pytest.raises(InvalidInputError, match=r"kits.csv (cannot be written|is a)") as caught:
        mirror.export(tmp_path / "out", "csv")

    assert not isinstance(caught.value, MirrorError)
    assert caught.value.__context__ is None


@pytest.mark.parametrize("form", get_args(ExportFormat))
@pytest.mark.parametrize(
    ("folder", "says"),
    [("notes.txt", "cannot be written: File exists"), ("notes.txt/out", "Not a directory"), ("a\0b", "NUL")],
)
async def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, form: Any, folder: str, says: str) -> None:
    mirror = await filled(tmp_path / "spot.db")
    (tmp_path / "notes.txt").write_text("notes")

    with pytest.raises(InvalidInputError, match=says) as caught:
        mirror.export(tmp_path / folder, form)

    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("name", "form"), [("kits.csv", "csv"), ("kits.parquet", "parquet"), ("Specimen.ndjson", "fhir")]
)
async def test_no_export_replaces_the_mirror_that_it_is_made_of(
    tmp_path: Path, name: str, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = await filled(tmp_path / name)
    before = files_in(tmp_path)
    monkeypatch.chdir(tmp_path)

    for folder in (tmp_path, Path()):
        with pytest.raises(InvalidInputError, match=f"{name} is the mirror itself: name another folder"):
            mirror.export(folder, form)

    assert files_in(tmp_path) == before


async def test_a_full_disk_is_told_and_leaves_the_old_file(tmp_path: Path, small_disk: Path) -> None:
    mirror = await filled(tmp_path / "spot.db", groups=([*range(1, 30)],))
    mirror.export(small_disk / "out", "csv", tables=["kits"])
    before = files_in(small_disk / "out")
    free = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 4096))

    with pytest.raises(InvalidInputError, match="No space left"):
        mirror.export(small_disk / "out", "csv", tables=["kits", "kit_events"])

    assert {name: data for name, data in files_in(small_disk / "out").items() if name == "kits.csv"} == before
    assert {*files_in(small_disk / "out")} == {"kits.csv"}


@pytest.mark.parametrize("form", get_args(ExportFormat))
async def test_an_export_that_fails_in_the_middle_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, form: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = await filled(tmp_path / "spot.db")
    mirror.export(tmp_path / "out", form)
    before = files_in(tmp_path / "out")
    rows = MirrorFile.rows

    def failing(*args: Any) -> Iterator[tuple[Any, ...]]:
        yield next(rows(*args))
        raise KeyboardInterrupt

    monkeypatch.setattr(MirrorFile, "rows", failing)
    monkeypatch.setattr("spotdx_async.mirror.fhir_files._BYTES_AT_ONCE", 1)
    with pytest.raises(KeyboardInterrupt):
        mirror.export(tmp_path / "out", form)

    assert files_in(tmp_path / "out") == before


KILLED = """
import os, signal, sys
from spotdx_async.mirror import Mirror
from spotdx_async.mirror import fhir_files
from spotdx_async.mirror.store import MirrorFile
fhir_files._BYTES_AT_ONCE = 1
rows = MirrorFile.rows
def killed(*args):
    yield next(rows(*args))
    os.kill(os.getpid(), signal.SIGKILL)
MirrorFile.rows = killed
Mirror(sys.argv[1]).export(sys.argv[2], sys.argv[3])
"""


def run_killed(*argv: str) -> int:
    command = [sys.executable, "-c", KILLED, *argv]
    return subprocess.run(command, check=False, timeout=60).returncode  # noqa: S603 - our own program


@pytest.mark.parametrize("form", ["csv", "fhir"])
async def test_an_export_that_is_killed_leaves_the_old_file_and_the_next_one_clears_up(
    tmp_path: Path, form: Any
) -> None:
    mirror = await filled(tmp_path / "spot.db")
    mirror.export(tmp_path / "out", form)
    before = files_in(tmp_path / "out")

    code = await asyncio.to_thread(run_killed, str(mirror.path), str(tmp_path / "out"), form)

    assert code == -signal.SIGKILL
    left = files_in(tmp_path / "out")
    assert {name: left[name] for name in before} == before
    assert len(left) > len(before)
    mirror.export(tmp_path / "out", form)
    assert files_in(tmp_path / "out") == before


async def test_without_pyarrow_parquet_is_refused_in_one_sentence_and_the_others_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirror = await filled(tmp_path / "spot.db")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)

    with pytest.raises(
        InvalidInputError, match=r"the extra parquet \(pyarrow\): install it, or export as csv"
    ) as caught:
        mirror.export(tmp_path / "out")

    assert caught.value.__context__ is None
    assert not (tmp_path / "out").exists()
    mirror.export(tmp_path / "out", "csv")


# --- Memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [export._csv, export._json_lines, parquet_pieces], ids=FORMATS[1:] + FORMATS[:1])
def test_rows_are_written_as_they_are_read(write: Any) -> None:
    """The rows never end: what waits for the last one would never come to its first piece."""
    columns = TABLES["kit_events"].columns[:4]
    pieces = write(columns, repeat(("SPOT1", 1, "delivered", "2026-11-01T00:00:00.000000Z")))

    assert [len(next(pieces)) > 0 for _ in range(2)] == [True, True]
    pieces.close()


def test_a_row_group_of_parquet_is_as_small_as_its_rows_are_large(tmp_path: Path) -> None:
    columns = TABLES["kit_events"].columns[:4]
    usual = ("SPOT1", 1, "delivered", "2026-11-01T00:00:00.000000Z")

    def groups_of(rows: list[tuple[Any, ...]]) -> list[int]:
        path = tmp_path / "rows.parquet"
        path.write_bytes(b"".join(parquet_pieces(columns, rows)))
        about = parquet.ParquetFile(path).metadata
        return [about.row_group(place).num_rows for place in range(about.num_row_groups)]

    assert groups_of([usual] * 40_001) == [20_000, 20_000, 1]
    assert groups_of([("x" * 20_000, *usual[1:])] * 2_001) == [1_000, 1_000, 1]
