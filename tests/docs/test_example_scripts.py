"""The scripts in ``examples/``, run as their docstrings say, against the fake server."""

import ast
import asyncio
import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from spotdx_async import SpotClient, read_journal
from spotdx_async.mirror import Mirror
from spotdx_async.testing import FakeSpot
from tests.docs.conftest import CANARY
from tests.docs.pages import ROOT, every_page
from tests.docs.playing import environment
from tests.docs.test_example_schedulers import RECIPES

EXAMPLES = ROOT / "examples"
SCRIPTS = {
    *("dask_run.py", "dlt_source.py", "duckdb_query.py", "etl_worker.py", "gather_batch.py"),
    *("aws_lambda.py", "order_cohort.py", "order_task.py", "portal.py", "sync_script.py"),
}
SERVICES = {"aiohttp_app.py", "fastapi_app.py", "fastapi_kits.py", "order_service.py", "webhook_receiver.py"}


def run(name: str, *arguments: str, fake: FakeSpot, folder: Path) -> tuple[int, str]:
    """Run a script; give its exit code and all that it wrote, in which no canary may be."""
    done = subprocess.run(  # noqa: S603 - our own script
        [sys.executable, str(EXAMPLES / name), *arguments],
        cwd=folder,
        env={**environment(fake), "DLT_DATA_DIR": str(folder / "dlt")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert CANARY not in done.stdout
    return done.returncode, done.stdout


def lines_to_read(text: str) -> int:
    """Count the lines of a program without its head: the docstring, and imports, of which some take a line each."""
    first = next(node for node in ast.parse(text).body[1:] if not isinstance(node, ast.Import | ast.ImportFrom))
    return len(text.splitlines()) - first.lineno + 1


def test_every_example_is_tested_short_and_says_how_to_run_it() -> None:
    found = {path.name: path.read_text(encoding="utf-8") for path in EXAMPLES.glob("*.py")}

    assert found.keys() == SCRIPTS | SERVICES | {*RECIPES.values()}
    assert {name: lines for name, text in found.items() if (lines := lines_to_read(text)) >= 80} == {}
    heads = {name: text.split('"""')[1] for name, text in found.items()}
    assert [name for name, head in heads.items() if "$ spotdx sandbox" not in head] == []
    installs = "# in a checkout, as docs/install.md says"
    assert [name for name, head in heads.items() if "$ pip install '.[cli" not in head or installs not in head] == []


def test_how_to_install_is_said_in_one_place() -> None:
    pages = {page: page.read_text(encoding="utf-8") for page in every_page()}
    says = {page.name for page, text in pages.items() if re.search(r"pip install\b.*spotdx", text)}
    names = {page.name for page, text in pages.items() if "install.md)" in text}

    assert says == {"install.md", "deploying.md", "upgrading.md"}  # the others of a wheel that is there
    assert names >= {"README.md", "index.md", "tutorial.md", "deploying.md"}


def test_a_batch_tells_of_each_kit_whatever_became_of_the_others(watched: FakeSpot, tmp_path: Path) -> None:
    first, second = [*watched.kits][:2]
    watched.faults.add("503", kit_id=first)

    code, output = run("gather_batch.py", "B", first, "SPOT000000", second, fake=watched, folder=tmp_path)

    assert code == 1
    lines = output.splitlines()
    assert lines[0] == f"{first} {watched.kits[first].status}"
    assert lines[1].startswith("SPOT000000 NotFoundError: POST /api/v2/kits/{kit_id}/")
    assert lines[2] == f"{second} {watched.kits[second].status}"
    assert {watched.kits[kit_id].metadata["cohort"] for kit_id in (first, second)} == {"B"}


def test_the_synchronous_script_counts_kits_by_their_status(watched: FakeSpot, tmp_path: Path) -> None:
    statuses = [str(kit.status) for kit in watched.kits.values()]

    code, output = run("sync_script.py", fake=watched, folder=tmp_path)

    assert code == 0
    counted = dict(line.rsplit(" ", 1) for line in output.splitlines())
    assert counted == {status: str(statuses.count(status)) for status in statuses}


def test_the_synchronous_script_says_why_it_cannot_tell(watched: FakeSpot, tmp_path: Path) -> None:
    watched.accepted_tokens.clear()

    code, output = run("sync_script.py", fake=watched, folder=tmp_path)

    assert code == 1
    assert output.startswith("cannot tell: GET /api/v2/kits/: ")


def test_the_functions_handler_is_called_twice_by_its_script(watched: FakeSpot, tmp_path: Path) -> None:
    code, output = run("aws_lambda.py", "SPOT123456", "SPOT000000", fake=watched, folder=tmp_path)

    told = [{"kit_id": "SPOT123456", "status": watched.kits["SPOT123456"].status}, {"error": "NotFoundError"}]
    assert (code, [json.loads(line) for line in output.splitlines()]) == (0, told)


def etl_inputs(folder: Path, fake: FakeSpot, count: int) -> list[str]:
    """A database and a Parquet file with so many rows each, and one row of a kit that does not exist."""
    kit_ids = [f"SPOT{number:06}" for number in range(2 * count)]
    for kit_id in kit_ids:
        fake.kits.add(kit_id)
    database = sqlite3.connect(folder / "cohorts.db")
    database.execute("CREATE TABLE cohorts (kit_id TEXT, cohort TEXT)")
    rows = [(kit_id, f"{CANARY}-cohort") for kit_id in kit_ids[:count]]
    database.executemany("INSERT INTO cohorts VALUES (?, ?)", [*rows, ("SPOT999999", "A")])
    database.commit()
    database.close()
    cohorts = [f"{CANARY}-{number}" for number in range(count)]
    pq.write_table(pa.table({"kit_id": kit_ids[count:], "cohort": cohorts}), folder / "more.parquet")
    return ["cohorts.db", "more.parquet"]


def test_the_etl_worker_updates_every_kit_and_tells_what_is_left_over(watched: FakeSpot, tmp_path: Path) -> None:
    inputs = etl_inputs(tmp_path, watched, 10)

    code, output = run("etl_worker.py", "night", *inputs, fake=watched, folder=tmp_path)

    assert code == 1
    assert output.splitlines()[0].startswith("row 10: failed: POST /api/v2/kits/{kit_id}/: ")
    assert output.splitlines()[-1].strip() == "20 ok, 1 failed"
    assert [entry.metadata["cohort"] for entry in watched.ledger].count(f"{CANARY}-cohort") == 10
    assert CANARY not in (tmp_path / "night.html").read_text(encoding="utf-8")


def test_the_etl_worker_goes_on_after_a_signal_to_stop(watched: FakeSpot, tmp_path: Path) -> None:
    inputs = etl_inputs(tmp_path, watched, 25)
    command = [sys.executable, str(EXAMPLES / "etl_worker.py"), "night", *inputs]
    first = subprocess.Popen(  # noqa: S603 - our own script
        command, cwd=tmp_path, env=environment(watched), stdout=subprocess.PIPE, text=True
    )
    while watched.counts["executed"] < 5:
        assert first.poll() is None
        time.sleep(0.01)  # another process: nothing tells of its rows but the fake's counts
    first.send_signal(signal.SIGTERM)
    output, _ = first.communicate(timeout=60)

    code, rest = run("etl_worker.py", "night", *inputs, fake=watched, folder=tmp_path)

    assert first.returncode == 3
    assert "by a signal" in output
    assert code == 1
    assert "skipped" in rest
    assert sorted(entry.kit_id for entry in watched.ledger) == [f"SPOT{number:06}" for number in range(50)]
    assert read_journal(tmp_path / "night.journal").ending == "complete"


def test_the_run_on_dask_updates_every_kit(watched: FakeSpot, tmp_path: Path) -> None:
    kit_ids = [*watched.kits]
    (tmp_path / "kits.csv").write_text("kit_id,cohort\n" + "".join(f"{kit_id},B\n" for kit_id in kit_ids))

    code, output = run("dask_run.py", "kits.csv", fake=watched, folder=tmp_path)

    assert (code, output) == (0, f"{len(kit_ids)} ok\n")
    assert [kit.metadata for kit in watched.kits.values()] == [{"cohort": "B"}] * len(kit_ids)


def test_dlt_loads_everything_once_and_then_what_has_changed(watched: FakeSpot, tmp_path: Path) -> None:
    first, _ = run("dlt_source.py", fake=watched, folder=tmp_path)
    changed = next(iter(watched.kits))
    watched.kits[changed].document.update(status="canceled", sample=None)
    watched.kits[changed].updated = "2030-01-01T00:00:00.000Z"
    second, output = run("dlt_source.py", fake=watched, folder=tmp_path)

    assert (first, second) == (0, 0), output
    with duckdb.connect(str(tmp_path / "spot_pull.duckdb"), read_only=True) as database:
        kits = dict(database.execute("SELECT kit_id, status FROM spot.kits").fetchall())
        doubled = database.execute(
            "SELECT count(*) - count(DISTINCT (source, source_id, report_seq, seq)) FROM spot.results"
        ).fetchone()
        left = [
            database.execute(f"SELECT count(*) FROM spot.{table} WHERE kit_id = ?", [changed]).fetchone()  # noqa: S608 - our own names
            for table in ("samples", "reports", "results")
        ]
        others = database.execute("SELECT count(*) FROM spot.kit_events WHERE kit_id != ?", [changed]).fetchone()
    assert kits.keys() == set(watched.kits)
    assert left == [(0,)] * 3
    assert others != (0,)
    assert kits[changed] == "canceled"
    assert doubled == (0,)


def test_duckdb_answers_from_a_mirror_and_from_its_export_alike(watched: FakeSpot, tmp_path: Path) -> None:
    async def pull() -> None:
        async with SpotClient(watched.token, base_url=watched.url) as spot:
            await Mirror(tmp_path / "spot.db").pull(spot)

    asyncio.run(pull())
    Mirror(tmp_path / "spot.db").export(tmp_path / "tables")

    code, of_mirror = run("duckdb_query.py", "spot.db", fake=watched, folder=tmp_path)
    _, of_files = run("duckdb_query.py", "tables", fake=watched, folder=tmp_path)

    assert code == 0, of_mirror
    assert "HDL Cholesterol: " in of_mirror
    assert of_files == of_mirror
