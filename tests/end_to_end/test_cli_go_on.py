"""How to go on after a run that left rows undone: whoever does as the summary says has every kit's last value set."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async import distributed
from spotdx_async.bulk.records import State
from spotdx_async.cli import row_run
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot, faults
from spotdx_async.testing.faults import Fault

QUICK = ("--timeout", "0.2", "--lands-within", "0.2")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeSpot]:
    with FakeSpot(kits=[f"SPOT{number}" for number in range(10)]) as server:
        monkeypatch.setenv("SPOTDX_TOKEN", server.token)
        monkeypatch.setenv("SPOTDX_BASE_URL", server.url)
        yield server


def update(*words: str | Path) -> int:
    return run(["kits", "update", *map(str, words), *QUICK])


def csv_of(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("kit_id,n\n" + "".join(f"{kit_id},{value}\n" for kit_id, value in rows))
    return path


def jsonl_of(path: Path, rows: list[tuple[str, str]]) -> Path:
    lines = (json.dumps({"kit_id": kit_id, "metadata": {"n": value}}) for kit_id, value in rows)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def parquet_of(path: Path, rows: list[tuple[str, str]]) -> Path:
    arrow = pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    columns = {"kit_id": [kit_id for kit_id, _ in rows], "n": [value for _, value in rows]}
    parquet.write_table(arrow.table(columns), path)
    return path


OLD_AND_NEW = [("SPOT1", "old"), ("SPOT2", "x"), ("SPOT1", "new"), ("SPOT3", "first"), ("SPOT3", "second")]


@pytest.mark.parametrize("made", [csv_of, jsonl_of, parquet_of])
@pytest.mark.parametrize("trouble", ["400", "wrong object", "503"])
def test_the_failed_rows_hold_no_value_that_is_older_than_one_that_was_set(
    fake: FakeSpot, tmp_path: Path, made: Callable[..., Path], trouble: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed = tmp_path / "failed"
    fault = faults.wrong_object() if trouble == "wrong object" else trouble
    fake.faults.add(fault, times=4 if trouble == "503" else 1, kit_id="SPOT1")
    fake.faults.add("400", times=2, kit_id="SPOT3")

    code = update(made(tmp_path / "kits", OLD_AND_NEW), "--failed", failed, "--json")

    out, err = capsys.readouterr()
    told = json.loads(out)
    assert (code, told["ok"], told["failed"] + told["unknown"], told["overtaken"]) == (1, 2, 3, 1)
    assert [(span["first"], span["last"]) for span in told["overtaken_rows"]] == [(1, 1)]
    overtaken = "1 row that failed was overtaken by a later value of the same id, so it needs nothing more"
    assert f"{overtaken}: row 1\n" in err
    assert "old" not in failed.read_text()
    assert failed.read_text().index("first") < failed.read_text().index("second")
    assert update(failed) == 0
    assert {n: fake.kits[f"SPOT{n}"].metadata["n"] for n in (1, 2, 3)} == {1: "new", 2: "x", 3: "second"}


def test_the_same_of_rows_that_come_through_a_pipe(fake: FakeSpot, tmp_path: Path) -> None:
    text = b"kit_id,n\nSPOT1,old\nSPOT1,new\nSPOT2,x\nNOSUCH,y\n"
    fake.faults.add("400", times=1, kit_id="SPOT1")
    command = [sys.executable, "-m", "spotdx_async", "kits", "update", "-", "--failed", str(tmp_path / "failed")]

    done = subprocess.run(command, input=text, capture_output=True, timeout=60, check=False)  # noqa: S603 - our own

    assert done.returncode == 1
    assert (tmp_path / "failed").read_text() == "kit_id,n\nNOSUCH,y\n"


def test_a_bad_row_that_names_its_kit_is_overtaken_as_well(fake: FakeSpot, tmp_path: Path) -> None:
    path = tmp_path / "kits.jsonl"
    good = '{"kit_id": "SPOT1", "metadata": {"n": 2}}\n'
    path.write_text('{"kit_id": "SPOT1", "metadata": 7}\n' + good + '{"kit_id": "SPOT2", "metadata": 7}\n')

    assert update(path, "--failed", tmp_path / "failed") == 1

    assert (tmp_path / "failed").read_text() == '{"kit_id": "SPOT2", "metadata": 7}\n'
    assert fake.kits["SPOT1"].metadata == {"n": 2}


def test_with_a_journal_the_same_command_is_what_to_give(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, failed = csv_of(tmp_path / "kits.csv", OLD_AND_NEW), tmp_path / "failed.csv"
    fake.faults.add("400", times=2, kit_id="SPOT3")
    words = (path, "--failed", failed, "--journal", tmp_path / "run.journal")

    assert update(*words) == 1
    err = capsys.readouterr().err
    advice = "the same command retries what is not done, so run that instead of using the file"
    assert f"written to {failed}; {advice}\n" in err
    assert "correct" not in err
    assert update(*words) == 0
    assert not failed.exists()
    assert fake.kits["SPOT3"].metadata["n"] == "second"


@pytest.mark.usefixtures("fake")
def test_a_row_that_an_earlier_session_has_overtaken_is_in_no_file(tmp_path: Path) -> None:
    path = tmp_path / "kits.jsonl"
    bad = '{"kit_id": "SPOT1", "metadata": 7}\n'
    path.write_text(bad + '{"kit_id": "SPOT1", "metadata": {"n": 2}}\n{"kit_id": "NOSUCH", "metadata": {}}\n')
    words = (path, "--failed", tmp_path / "failed", "--journal", tmp_path / "run.journal")
    for _ in range(2):
        assert update(*words) == 1
        assert (tmp_path / "failed").read_text() == '{"kit_id": "NOSUCH", "metadata": {}}\n'


@pytest.mark.parametrize("words", [(), ("--journal", "nightly")])
def test_the_same_of_rows_that_workers_send(
    fake: FakeSpot,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    monkeypatch.chdir(tmp_path)
    path = jsonl_of(tmp_path / "kits.jsonl", OLD_AND_NEW)
    bad = '{"kit_id": "SPOT2", "metadata": 7}\n'
    path.write_text(bad + path.read_text() + bad)
    fake.faults.add("400", times=1, kit_id="SPOT1")
    fake.faults.add("400", times=2, kit_id="SPOT3")

    code = run(["kits", "update", str(path), "--workers", "1", "--failed", "failed.jsonl", "--json", *words])

    told = json.loads(capsys.readouterr().out)
    assert (code, told["ok"], told["overtaken"]) == (1, 2, 2)
    assert [(span["first"], span["last"]) for span in told["overtaken_rows"]] == [(1, 2)]
    lines = path.read_text().splitlines()
    assert Path("failed.jsonl").read_text().splitlines() == [lines[4], lines[5], lines[6]]
    for failed in Path("nightly").rglob("*.failed.jsonl"):
        assert "old" not in failed.read_text()


@pytest.mark.parametrize("is_begun", [True, False])
def test_rows_that_nobody_has_reported_on_are_among_those_to_go_on_with(
    fake: FakeSpot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_begun: bool
) -> None:
    pytest.importorskip("distributed", reason="the extra dask is not installed")

    @asynccontextmanager
    async def connected(*_: object, **__: object) -> AsyncIterator[None]:
        yield

    async def cut_off(given: AsyncIterator[object], *, on_report: Callable[..., None], **_: object) -> None:
        assert len([row async for row in given]) == 5
        if is_begun:
            on_report(distributed.ShardReport(shard=-1, counts={"rejected": 0}))
            counts: dict[State, int] = {"ok": 1, "failed": 1}
            outcomes = (distributed.RowOutcome(2, "SPOT1", "failed"), distributed.RowOutcome(3, "SPOT1", "ok"))
            on_report(distributed.ShardReport(shard=0, counts=counts, undone=(2,), outcomes=outcomes))
        raise asyncio.CancelledError

    monkeypatch.setattr(distributed, "connected", connected)
    monkeypatch.setattr(distributed, "update_metadata_distributed", cut_off)
    path, failed, outcomes = csv_of(tmp_path / "kits.csv", OLD_AND_NEW), tmp_path / "failed.csv", tmp_path / "out.jsonl"

    assert update(path, "--workers", "2", "--failed", failed, "--outcomes", outcomes, "--json") == 3

    out, err = capsys.readouterr()
    told = json.loads(out)
    assert f"row 1 of {path} is the first that is left: to resume, pass the same input with --from-row 1" in err
    assert f"what is left includes the rows in {failed}: do not use it as input" in err
    assert failed.read_text() == ("kit_id,n\nSPOT1,new\n" if is_begun else path.read_text())
    # The summary and the file for programs have the same account of all five rows.
    account = {"ok": 1, "failed": 1, "unknown": 3} if is_begun else {"skipped": 5}
    assert (
        {state: told[state] for state in account}
        == account
        == Counter(json.loads(line)["state"] for line in outcomes.read_text().splitlines())
    )
    assert told["rows"] == 5
    assert ("a request without a usable answer may still overwrite a newer value" in err) == is_begun
    assert not fake.ledger


@pytest.mark.usefixtures("fake")
def test_a_dry_run_tells_which_bad_rows_would_be_overtaken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kits.jsonl"
    bad = '{"kit_id": "SPOT1", "metadata": 7}\n'
    path.write_text(bad + '{"kit_id": "SPOT1", "metadata": {}}\n' + bad)

    assert update(path, "--dry-run", "--failed", tmp_path / "failed") == 1

    assert "would be overtaken by a later value of the same id, so it needs nothing more: row 1" in (
        capsys.readouterr().err
    )
    assert (tmp_path / "failed").read_text() == bad


def test_a_stop_says_that_the_rest_was_not_read_and_begins_at_the_first_row_that_is_not_done(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = csv_of(tmp_path / "kits.csv", [(f"SPOT{n % 10}", str(n)) for n in range(300)])
    fake.faults.add("401", kit_id="SPOT7")

    assert update(path, "--failed", tmp_path / "failed.csv", "--concurrency", "1") == 3

    err = capsys.readouterr().err
    assert ", and the rest of the input was not read\n" in err
    assert f"row 8 of {path} is the first that is left: to resume, pass the same input with --from-row 8" in err
    assert f"what is left includes the rows in {tmp_path / 'failed.csv'}: do not use it as input" in err
    assert "correct" not in err


@contextmanager
def stopped_by_signal(after_ms: int | None) -> Iterator[None]:
    @contextmanager
    def signals(*, first: Callable[[], None], second: Callable[[], None]) -> Iterator[None]:  # noqa: ARG001 - its form
        asyncio.get_running_loop().call_later((after_ms or 0) / 1000, first)
        yield

    with pytest.MonkeyPatch.context() as patched:
        if after_ms is not None:
            patched.setattr(row_run, "StopSignals", signals)
        yield


@frozen
class Case:
    rows: list[tuple[int, bool]]
    """Of each the kit, and whether it is refused by a 400."""
    stop: str
    stops_kit: int | None
    at: int
    concurrency: int
    has_failed: bool

    def given(self) -> list[tuple[str, str]]:
        return [(f"SPOT{kit}", str(number)) for number, (kit, _) in enumerate(self.rows)]

    def plan(self, fake: FakeSpot) -> None:
        fake.faults.clear()
        for kit in fake.kits.values():
            kit.metadata.clear()
        for kit_number, is_refused in self.rows:
            if is_refused:
                fake.faults.add("400", kit_id=f"SPOT{kit_number}")
        made: dict[str, Fault | str] = {
            "401": "401",
            "redirect": faults.redirect(),
            "wrong object": faults.wrong_object(),
        }
        where = None if self.stops_kit is None else f"SPOT{self.stops_kit}"
        if self.stop in made:
            fake.faults.add(made[self.stop], times=1 if self.stop == "401" else 3, kit_id=where)


CASES = st.builds(
    Case,
    rows=st.lists(st.tuples(st.integers(0, 4), st.sampled_from([False, False, True])), min_size=1, max_size=40),
    stop=st.sampled_from(["401", "redirect", "wrong object", "signal"]),
    stops_kit=st.none() | st.integers(0, 4),
    at=st.integers(0, 30),
    concurrency=st.integers(1, 8),
    has_failed=st.booleans(),
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CASES)
def test_whoever_follows_the_hint_after_any_stop_has_every_kits_last_value_set(
    fake: FakeSpot, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    case.plan(fake)
    path, failed = csv_of(tmp_path / "kits.csv", case.given()), tmp_path / "failed.csv"
    failed.unlink(missing_ok=True)
    capsys.readouterr()

    with stopped_by_signal(case.at if case.stop == "signal" else None):
        words: list[str | Path] = ["--failed", failed] if case.has_failed else []
        code = update(path, "--concurrency", str(case.concurrency), "--json", *words)
    fake.faults.clear()

    out, err = capsys.readouterr()
    told = json.loads(out)
    if found := re.search(r"to resume, pass .* with --from-row (\d+)", err):
        assert (code, told["next_row"]) == (3, {"file": str(path), "row": int(found[1])})
        assert update(path, "--from-row", found[1]) == 0
    elif told["failed"] + told["unknown"] + told["skipped"] > told["overtaken"]:
        assert code == 1
        assert update(failed if case.has_failed else path) == 0
    want = dict(case.given())
    assert {kit_id: fake.kits[kit_id].metadata.get("n") for kit_id in want} == want
