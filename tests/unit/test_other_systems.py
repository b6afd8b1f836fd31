"""Where POSIX is missing, as on Windows: nothing needs ``fcntl``, ``fork`` or signals; journals are locked."""

import subprocess
import sys
from pathlib import Path

import pytest

BEGIN = """
import sys
from pathlib import Path
from tests import without_posix
without_posix.hide()
"""
EVERY_MODULE = """
import pkgutil, importlib, spotdx_async
sys.modules["distributed"] = sys.modules["dask"] = None  # Dask's own needs are not ours
seen = 0
for found in pkgutil.walk_packages(spotdx_async.__path__, "spotdx_async."):
    if found.name.endswith("__main__"):
        continue
    try:
        importlib.import_module(found.name)
        seen += 1
    except (ImportError, spotdx_async.ConfigError) as error:
        missing = (getattr(error, "name", None) or "").partition(".")[0]
        if "Dask is not" not in str(error) and missing not in {"dask", "distributed", "opentelemetry", "redis"}:
            raise
print(seen)
"""
CALLS = """
import asyncio
from spotdx_async import JournalError
from spotdx_async.bulk.journal.lock import JournalLock, is_locked
from spotdx_async.mirror import Mirror
from tests.new_objects import ORDER
from spotdx_async.testing import FakeSpot

folder = Path(sys.argv[1])

async def main():
    async with FakeSpot(kits=3) as fake, fake.client() as spot:
        kits = sorted(fake.kits)
        print("get", (await spot.kits.get(kits[0])).kit_id)
        async with spot.kits.update_metadata_many([(k, {"n": 1}) for k in kits], journal=folder / "u.journal") as run:
            async for outcome in run:
                print("row", outcome.state)
        again = spot.kits.update_metadata_many([(k, {"n": 1}) for k in kits], journal=folder / "u.journal")
        print("again", [outcome.state async for outcome in again])
        rows = [("a", ORDER), ("b", ORDER)]
        runs = spot.orders.create_many(rows, batch="b", journal=folder / "c.journal")
        print("created", [outcome.state async for outcome in runs])
        report = await Mirror(folder / "m.db").pull(spot)
        print("pulled", type(report).__name__)

asyncio.run(main())
lock = JournalLock.take(folder / "x.journal")
lock.fill()
try:
    JournalLock.take(folder / "x.journal")
except JournalError as error:
    print("second", error.reason, is_locked(folder / "x.journal"))
lock.release()
print("after", is_locked(folder / "x.journal"))
JournalLock.take(folder / "x.journal").release()
print("left", sorted(path.name for path in folder.iterdir() if path.name.endswith("-lock")))
"""
COMMANDS = """
import os
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot

folder = Path(sys.argv[1])
with FakeSpot(kits=2) as fake:
    kits = sorted(fake.kits)
    rows = folder / "rows.csv"
    rows.write_text(f"kit_id,cohort\\n{kits[0]},A\\n{kits[1]},B\\n", encoding="utf-8")
    os.environ |= {"SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url, "XDG_CONFIG_HOME": str(folder)}
    journal = str(folder / "k.journal")
    for words in (
        ["kits", "get", kits[0], "--json"],
        ["kits", "list", "--json"],
        ["kits", "types"],
        ["kits", "update", str(rows), "--journal", journal, "--failed", str(folder / "failed.csv"), "--json"],
        ["kits", "update", str(rows), "--journal", journal, "--failed", str(folder / "failed.csv"), "--json"],
        ["runs", "show", journal],
        ["orders", "list"],
        ["mirror", "pull", str(folder / "m.db")],
        ["mirror", "show", str(folder / "m.db")],
        ["doctor"],
    ):
        print("code", run(words), *words[:2], file=sys.stderr)
"""


def run_there(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error::ResourceWarning", "-c", BEGIN + program, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603 - our own text


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the stand-in for Windows' locks is made of Linux's")


def test_every_module_can_be_imported(tmp_path: Path) -> None:
    done = run_there(EVERY_MODULE, tmp_path)

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 200


def test_calls_runs_creates_and_mirrors_work(tmp_path: Path) -> None:
    done = run_there(CALLS, tmp_path)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "get SPOT000001",
        *["row ok"] * 3,
        "again ['skipped', 'skipped', 'skipped']",
        "created ['ok', 'ok']",
        "pulled PullReport",
        "second in use True",
        "after False",
        "left ['m.db-lock']",  # which a pull leaves everywhere
    ]


def test_the_main_commands_work(tmp_path: Path) -> None:
    done = run_there(COMMANDS, tmp_path)

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("code") and line.split()[1] != "0"] == [], (
        done.stderr
    )
