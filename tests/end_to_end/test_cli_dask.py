"""``spotdx kits update --workers`` and ``--dask``: the same account as a run in one process."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot

dask = pytest.importorskip("distributed", reason="the extra dask is not installed")

CSV = "kit_id,n\n" + "".join(f"SPOT{n % 100 + 1:06},{n}\n" for n in range(300)) + ",7\nSPOT999999,8\n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A fake server as a process of its own."""
    code = (
        "import asyncio\nfrom spotdx_async.testing import FakeSpot\n"
        "async def serve():\n"
        "    async with FakeSpot(kits=100, token='canary-token') as fake:\n"
        "        print(fake.url, flush=True)\n"
        "        await asyncio.get_running_loop().run_in_executor(None, input)\n"
        "asyncio.run(serve())"
    )
    process = subprocess.Popen(  # noqa: S603 - our own code
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.communicate("\n")


@pytest.fixture(autouse=True)
def surroundings(server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "canary-token")
    monkeypatch.setenv("SPOTDX_BASE_URL", server)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kits.csv").write_text(CSV)


def update(*options: str, files: tuple[str, ...] = ("kits.csv",)) -> int:
    return run(["kits", "update", *files, *options])


def outcomes_in(path: str) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in Path(path).read_text().splitlines()]
    return sorted(rows, key=lambda row: (row["file"], row["row"]))


def test_workers_of_this_machine_give_the_usual_account_and_resume(capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = ("--outcomes", "out.jsonl")
    code = update("--workers", "2", "--json", "--failed", "failed.csv", "--journal", "nightly", *outcomes)
    out, err = capsys.readouterr()
    told = json.loads(out)

    assert code == 1
    assert (told["rows"], told["ok"], told["rejected"], told["failed"]) == (302, 300, 1, 1)
    assert (told["stopped"], told["next_row"], told["failed_file"]) == (None, None, "failed.csv")
    assert Path("failed.csv").read_text() == "kit_id,n\n,7\nSPOT999999,8\n"
    assert "row 301 (line 302): rejected: the kit_id is empty" in err
    assert "row 302 (line 303): failed: the server answered 404" in err
    assert "canary-token" not in err
    rows = outcomes_in("out.jsonl")
    assert [(row["file"], row["row"], row["line"]) for row in rows] == [(1, n, n + 1) for n in range(1, 303)]
    assert {(row["state"], row["attempts"], row["message"]) for row in rows[:300]} == {("ok", 1, None)}
    assert [row["key"] for row in rows[:2]] == ["SPOT000001", "SPOT000002"]
    assert [(row["key"], row["state"], row["error"]) for row in rows[300:]] == [
        (None, "rejected", "InvalidInputError"),
        ("SPOT999999", "failed", "NotFoundError"),
    ]

    assert run(["runs", "show", "nightly", "--json"]) == 0
    state = json.loads(capsys.readouterr().out)
    assert (state["rows"], state["ok"], state["failed"], state["rejected"], state["not_done"]) == (302, 300, 1, 1, 2)
    assert (state["shards"], state["shards_by_state"]["complete"], state["complete"]) == (1, [0], True)

    code = update("--workers", "1", "--json", "--failed", "failed.csv", "--journal", "nightly", *outcomes)
    assert {(row["state"], row["message"]) for row in outcomes_in("out.jsonl")[:300]} == {("skipped", "done before")}
    told = json.loads(capsys.readouterr().out)

    assert code == 1
    assert (told["skipped"], told["done_before"], told["failed"]) == (300, 300, 1)


def test_a_cluster_is_reached_by_its_address_and_a_refused_token_stops(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTDX_TOKEN", "canary-wrong")
    with dask.LocalCluster(
        n_workers=1, processes=False, protocol="tcp", host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        options = ("--rate", "500", "--json", "--failed", "failed.csv", "--outcomes", "out.jsonl")
        code = update("--dask", cluster.scheduler_address, *options)
    out, err = capsys.readouterr()
    told = json.loads(out)

    assert code == 3
    assert "401" in told["stopped"]
    assert "does not accept the token" in err
    assert "; check SPOTDX_TOKEN" in told["stopped"]
    assert told["rows"] == 302
    assert told["ok"] == 0
    assert Path("failed.csv").read_text() == CSV
    rows = outcomes_in("out.jsonl")
    assert [row["row"] for row in rows] == [*range(1, 303)]
    assert {row["state"] for row in rows} == {"failed", "rejected", "skipped"}
    assert all(row["error"] for row in rows)
    assert "canary" not in err


@pytest.mark.parametrize(
    ("options", "files", "reason"),
    [
        (["--workers", "2", "--dask", "tcp://127.0.0.1:1"], ["kits.csv"], "not both"),
        (["--workers", "2", "--wait-for-server"], ["kits.csv"], "--wait-for-server is not available with"),
        (["--workers", "0"], ["kits.csv"], "at least 1"),
        (["--workers", "257"], ["kits.csv"], "--workers must be at most 256"),
        (["--workers", "2"], ["-"], "standard input"),
        (["--workers", "2", "--report", "page.html"], ["kits.csv"], "--report"),
        (["--workers", "2", "--journal", "kits.csv"], ["kits.csv"], "are the same file"),
        (["--workers", "2", "--journal", "kits.csv"], ["others.csv"], "names a folder"),
    ],
)
def test_what_cannot_be_is_refused(
    options: list[str], files: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert update(*options, files=tuple(files)) == 2
    assert reason in capsys.readouterr().err


def test_without_a_token_workers_are_not_started(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")

    assert update("--workers", "2") == 2
    assert "no token" in capsys.readouterr().err


def test_workers_ask_the_source_of_the_profile_for_their_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("config.toml").write_text('[profiles.night]\ntoken_env = "NIGHT_TOKEN"\n')
    monkeypatch.setenv("SPOTDX_CONFIG", "config.toml")
    monkeypatch.delenv("SPOTDX_TOKEN")
    monkeypatch.setenv("NIGHT_TOKEN", "canary-token")
    Path("one.csv").write_text("kit_id,n\nSPOT000001,1\n")

    assert update("--workers", "1", "--profile", "night", "--json", files=("one.csv",)) == 0
    assert json.loads(capsys.readouterr().out)["ok"] == 1


def test_a_dry_run_needs_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert update("--workers", "2", "--dry-run", "--json") == 1
    assert json.loads(capsys.readouterr().out)["ok"] == 301


def test_without_dask_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("clusters", "dask_engine", "dask_plugins"):
        monkeypatch.delitem(sys.modules, f"spotdx_async.distributed.{module}", raising=False)
        monkeypatch.delattr(f"spotdx_async.distributed.{module}", raising=False)
    for name in ("TlsFiles", "connected", "is_open_to_network", "update_metadata_distributed"):
        monkeypatch.delattr(f"spotdx_async.distributed.{name}", raising=False)  # kept since it was first asked for
    monkeypatch.setitem(sys.modules, "distributed", None)

    assert update("--workers", "2") == 2
    assert "pip install 'spotdx-async[dask]'" in capsys.readouterr().err


async def test_orders_go_the_same_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeSpot(orders=10) as fake:
        lines = [json.dumps({"order_id": order_id, "metadata": {"n": 1}}) for order_id in fake.state.orders]
        Path("orders.jsonl").write_text("\n".join(lines))
        argv = ["orders", "update", "orders.jsonl", "--workers", "1", "--json", "--base-url", fake.url]
        monkeypatch.setenv("SPOTDX_TOKEN", fake.token)

        code, out = await _in_thread(argv, capsys)

        assert code == 0
        assert json.loads(out)["ok"] == len(fake.order_ledger) == 10


async def _in_thread(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code: Any = await asyncio.to_thread(run, argv)
    return code, capsys.readouterr().out
