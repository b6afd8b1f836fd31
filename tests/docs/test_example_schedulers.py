"""The recipes for schedulers, each run by the scheduler itself, in an environment of its own: ``make schedulers``."""

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spotdx_async.mirror import Mirror
from spotdx_async.testing import FakeSpot
from tests.docs.conftest import CANARY
from tests.docs.pages import DOCS, ROOT, blocks_of
from tests.docs.playing import environment
from tests.docs.test_example_orders import ADDRESS, KEYS, PERSON
from tests.long_set import ONLY_IN_FULL
from tests.unit.mirror.scripted import dump, rows_of

PLACE = Path(os.environ.get("SPOTDX_SCHEDULERS") or ROOT / ".venv")
RECIPES = {"airflow": "airflow_dag.py", "dagster": "dagster_assets.py", "prefect": "prefect_flow.py"}
LONGEST_S = 600
# By these they would keep telemetry to themselves, whatever a recipe says.
TOLD_TO_BE_SILENT = ("CI", "GITHUB_", "BUILDKITE", "TF_BUILD", "DO_NOT_TRACK", "SCARF_", "PYTEST_", "COVERAGE_")


ORDERS_DAG = """
from airflow.sdk import dag


@dag(schedule=None)
def orders():
    order_kits(path="orders.jsonl")


found = orders()
if __name__ == "__main__":
    raise SystemExit(found.test().state != "success")
"""
UPDATE_DAG = """
found = update_kits()
if __name__ == "__main__":
    raise SystemExit(found.test(run_conf={"path": "kits.csv", "folder": "run"}).state != "success")
"""


def fenced(variables: dict[str, str], folder: Path) -> dict[str, str]:
    """Let a Python program reach this machine alone; what it tried beyond is in ``tried.txt`` of the folder."""
    (folder / "site").mkdir()
    shutil.copy(ROOT / "tests" / "docs" / "loopback_only.py", folder / "site" / "sitecustomize.py")
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    return {**variables, "PYTHONPATH": path, "TRIED": str(folder / "tried.txt")}


class Shell:
    """Carries out commands in a folder, where a scheduler is installed and finds the fake."""

    def __init__(self, scheduler: str, fake: FakeSpot, home: Path) -> None:
        programs = PLACE / scheduler / "bin"
        if not programs.exists():
            pytest.skip(f"{scheduler} is not installed into {programs.parent}: make schedulers")
        found = {key: value for key, value in environment(fake).items() if not key.startswith(TOLD_TO_BE_SILENT)}
        self._home = home
        self._environment = {
            **fenced(found, home),
            "PATH": f"{programs}{os.pathsep}{found['PATH']}",
            "HOME": str(home),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "150",  # a slow machine is no failure of the recipe
        }

    def run(self, *commands: str) -> str:
        """Give what they wrote; all of them succeed."""
        process = subprocess.Popen(  # noqa: S603 - our own recipes
            ["bash", "-ec", "\n".join(commands)],  # noqa: S607 - the reader's own
            cwd=self._home,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            output, _ = process.communicate(timeout=LONGEST_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what a scheduler has started too
        assert process.returncode == 0, output
        return output


class Nights:
    """Carries out what a recipe's docstring says, but for the minute between two tries."""

    def __init__(self, scheduler: str, fake: FakeSpot, home: Path) -> None:
        self._shell = Shell(scheduler, fake, home)
        name = RECIPES[scheduler]
        text = (ROOT / "examples" / name).read_text(encoding="utf-8")
        assert text.count("RETRY_S = 60\n") == 1
        (home / "examples").mkdir()
        (home / "examples" / name).write_text(text.replace("RETRY_S = 60\n", "RETRY_S = 0\n"), encoding="utf-8")
        docstring = ast.get_docstring(ast.parse(text)) or ""
        # Installing is `make schedulers`, and the server is the fake.
        _, _, *self._first, self._again = re.findall(r"^ *\$ (.+?)(?: +#.*)?$", docstring, re.MULTILINE)

    def first(self) -> str:
        """Give what the first night wrote."""
        return self._shell.run(*self._first)

    def another(self) -> str:
        """Do it again, in another process."""
        exports = ["export " + found.partition("export ")[2] for found in self._first if "export " in found]
        return self._shell.run(*exports, self._again)


@ONLY_IN_FULL
@pytest.mark.no_cover
@pytest.mark.parametrize("scheduler", RECIPES)
async def test_each_night_brings_what_has_changed_once_though_a_try_fails(
    watched: FakeSpot, tmp_path: Path, scheduler: str
) -> None:
    for number in range(250):
        watched.kits.add(f"SPOT9{number:05}")
    refused = watched.faults.add("401", kit_id="SPOT900125")  # a batch is stored, the next one fails
    nights = Nights(scheduler, watched, tmp_path)

    said = nights.first()

    mirror, tables = tmp_path / "spot" / "spot.db", tmp_path / "spot" / "tables"
    pulls = "SELECT ended IS NOT NULL, kits FROM pulls ORDER BY pull_id"
    assert refused.played == 1, said
    # None was got twice but the one that was refused.
    assert watched.operation_counts["kits.get"] == len(watched.kits) + 1
    assert [has_ended for has_ended, _ in rows_of(mirror, pulls)] == [0, 1]
    assert sum(kits for _, kits in rows_of(mirror, pulls)) == len(watched.kits)
    exported = {path.name: path.read_bytes() for path in tables.iterdir() if path.stem != "pulls"}
    assert len(exported) > 5

    asked = watched.operation_counts["kits.list"]
    said += nights.another()

    assert watched.operation_counts["kits.list"] == asked + 1
    assert watched.operation_counts["kits.get"] == len(watched.kits) + 1
    assert {path.name: path.read_bytes() for path in tables.iterdir() if path.stem != "pulls"} == exported
    async with watched.client() as spot:
        await Mirror(tmp_path / "new.db").pull(spot)
    assert dump(mirror) == dump(tmp_path / "new.db")
    check_that_nothing_got_out(said, tmp_path)


@ONLY_IN_FULL
@pytest.mark.no_cover
def test_airflow_runs_what_the_other_pages_show_of_it(watched: FakeSpot, tmp_path: Path) -> None:
    shell = Shell("airflow", watched, tmp_path)
    dags = tmp_path / "dags"
    dags.mkdir()
    shutil.copy(ROOT / "examples" / "order_task.py", dags)
    (order_block,) = [block.text for block in blocks_of(DOCS / "etl.md") if "AirflowFailException" in block.text]
    assert order_block.count("minutes=2") == order_block.count("/var/lib/our-orders") == 1
    orders = order_block.replace("minutes=2", "minutes=0").replace("/var/lib/our-orders", str(tmp_path))
    (dags / "orders.py").write_text(orders + ORDERS_DAG)
    (update,) = [block.text for block in blocks_of(DOCS / "distributed.md") if "# recipe: airflow" in block.text]
    assert update.endswith("\nupdate_kits()\n")
    (dags / "update.py").write_text(update.removesuffix("update_kits()\n") + UPDATE_DAG)
    order = {"kit_types": ["health_kit_1"], "recipient": {**PERSON, "address": ADDRESS}}
    (tmp_path / "orders.jsonl").write_text("".join(json.dumps({"key": key, "order": order}) + "\n" for key in KEYS))
    kit_ids = [*watched.kits]
    (tmp_path / "kits.csv").write_text("kit_id,cohort\n" + "".join(f"{kit_id},B\n" for kit_id in kit_ids))
    before, refused = len(watched.orders), watched.faults.add("401", method="POST", path="/api/v2/orders/")

    said = shell.run(
        f"export AIRFLOW_HOME={tmp_path}/airflow AIRFLOW__CORE__DAGS_FOLDER={dags} AIRFLOW__CORE__LOAD_EXAMPLES=False",
        "airflow db migrate",
        "python dags/orders.py",
        "python dags/update.py",
    )

    assert refused.played == 1, said
    assert len(watched.orders) == before + len(KEYS)
    assert [watched.kits[kit_id].metadata for kit_id in kit_ids] == [{"cohort": "B"}] * len(kit_ids)
    (tmp_path / "orders.jsonl").unlink()  # who ordered is in the input alone
    check_that_nothing_got_out(said, tmp_path)


@ONLY_IN_FULL
@pytest.mark.no_cover
def test_the_recipe_for_prefect_lets_its_sdk_tell_nothing_on_a_terminal_either(
    watched: FakeSpot, tmp_path: Path
) -> None:
    ask = "from prefect.analytics import is_telemetry_enabled; print(is_telemetry_enabled())"

    said = Shell("prefect", watched, tmp_path).run(
        f"cd {ROOT / 'examples'}", f"python -c '{ask}'", f"python -c 'import prefect_flow; {ask}'"
    )

    assert said.split() == ["True", "False"]


def check_that_nothing_got_out(said: str, folder: Path) -> None:
    tried = folder / "tried.txt"
    assert not tried.exists(), tried.read_text()
    assert [*folder.rglob("event.log")] == []  # what Dagster's daemon would send later
    assert CANARY not in said
    assert [path for path in folder.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()] == []


def test_what_a_program_would_tell_others_stays_here_and_is_known(tmp_path: Path) -> None:
    program = """
import socket, urllib.request
for place in ("http://telemetry.example/", "http://192.0.2.1/"):
    try:
        urllib.request.urlopen(place, timeout=1)
    except OSError as error:
        print(error)
with socket.create_server(("127.0.0.1", 0)) as server:
    socket.create_connection(server.getsockname()).close()
"""
    said = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], env=fenced({"PATH": ""}, tmp_path), capture_output=True, text=True, check=True
    )

    assert said.stdout.count("no network but loopback in the tests") == 2
    assert (tmp_path / "tried.txt").read_text() == "telemetry.example\n192.0.2.1\n"
