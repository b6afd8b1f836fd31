"""``spotdx demo``: it overcomes its own troubles, and notices when it does not."""

import asyncio
import re
from pathlib import Path

import pytest

from spotdx_async.cli import demo as demonstration
from spotdx_async.cli.app import run
from spotdx_async.cli.update_run import LocalUpdate
from spotdx_async.testing import FakeSpot


def figures(text: str) -> dict[str, str]:
    found = re.findall(r"^  ([a-z][a-z ]+?)\s{2,}(\S.*?)\s*$", text, re.MULTILINE)
    return dict(found)


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_demonstration_ends_with_every_kit_holding_its_value(capsys: pytest.CaptureFixture[str], seed: str) -> None:
    assert run(["demo", "--kits", "400", "--seed", seed]) == 0
    out = capsys.readouterr().out
    told = figures(out)
    assert told["rows ok"] == "400 of 400"
    assert told["kits with their value"] == "400 of 400"
    assert told["foreign writes"] == "0"
    assert int(told["requests received"]) > 400
    assert "429 x3" in told["faults played"]
    assert f"seed {seed}" in out
    assert out.endswith("Every kit holds its value.\n")


def test_the_demonstration_leaves_no_file_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("SPOTDX_TOKEN", "the user's own")
    assert run(["demo", "--kits", "1"]) == 0
    assert list(tmp_path.iterdir()) == []


def test_no_kits_are_no_demonstration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--kits", "0"]) == 2
    assert capsys.readouterr() == ("", "spotdx: --kits must be at least 1\n")


def test_a_lost_value_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compare = demonstration._compare

    def with_a_loss(fake: FakeSpot, path: Path) -> object:
        fake.kits["SPOT000002"].metadata = {}
        return compare(fake, path)

    monkeypatch.setattr(demonstration, "_compare", with_a_loss)
    assert run(["demo", "--kits", "3", "--seed", "1"]) == 1
    out = capsys.readouterr().out
    assert figures(out)["kits with their value"] == "2 of 3"
    assert out.endswith("NOT every kit holds its value.\n")


def test_a_row_that_fails_is_noticed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    begin = LocalUpdate.__enter__
    servers: list[FakeSpot] = []
    start = FakeSpot.start

    async def started(self: FakeSpot) -> None:
        servers.append(self)
        await start(self)

    def spoilt(self: LocalUpdate) -> LocalUpdate:
        del servers[-1].kits["SPOT000002"]
        servers[-1].kits.add("SPOT000002x")
        return begin(self)

    monkeypatch.setattr(FakeSpot, "start", started)
    monkeypatch.setattr(LocalUpdate, "__enter__", spoilt)
    monkeypatch.setattr(demonstration, "_compare", lambda *_: demonstration._Comparison(3, 2, 0))
    assert run(["demo", "--kits", "3", "--seed", "1"]) == 1
    assert "404" in capsys.readouterr().err


@pytest.mark.virtual_time
async def test_the_sandbox_ships_what_was_ordered_so_long_ago() -> None:
    async with FakeSpot(orders=2) as fake:
        shipping = asyncio.create_task(demonstration._ship(fake, 20.0))
        await asyncio.sleep(10)
        fake.orders.add_foreign()
        await asyncio.sleep(11)
        shipping.cancel()
        kits = [kit for order in fake.orders.values() for kit in order.document["kits"]]
    assert [order.status for order in fake.orders.values()] == ["in_progress", "in_progress", "pending"]
    assert all(kit["shipment_to_customer"]["tracking_number"] for kit in kits)
