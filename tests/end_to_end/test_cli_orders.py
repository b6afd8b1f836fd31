"""``spotdx orders update|get|list`` against the fake server, in this process."""

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx

PHI = ["Robin", "Sample", "robin.sample@", "2025550147", "Example Street", "Springfield"]


def table_of(path: Path, order_ids: Sequence[str]) -> Path:
    path.write_text("order_id,cohort,note\n" + "".join(f"{one},A,{one}\n" for one in order_ids))
    return path


async def test_every_order_gets_its_value(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    order_ids = fake.orders.add_many(30)
    fake.faults.add("503", times=3)
    fake.faults.add("drop_after", times=2)

    code, out, err = await spotdx("orders", "update", table_of(tmp_path / "orders.csv", order_ids), "--json")

    assert (code, err, json.loads(out)["ok"]) == (0, "", 30)
    assert {one: fake.orders[one].metadata for one in order_ids} == {
        one: {"cohort": "A", "note": one} for one in order_ids
    }
    assert fake.ledger == []


async def test_rows_that_are_not_done_can_be_fed_in_again(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    path, failed = tmp_path / "orders.jsonl", tmp_path / "failed.jsonl"
    rows = ['{"order_id": "O1", "metadata": {"n": 1}}', '{"kit_id": "O2", "metadata": {}}', '{"order_id": ""}']
    path.write_text("\n".join(rows))

    code, out, err = await spotdx("orders", "update", path, "--failed", failed, "--json")

    assert (code, json.loads(out)["failed"], json.loads(out)["rejected"]) == (1, 1, 2)
    assert "row 2: rejected: the key order_id is missing" in err
    assert sorted(failed.read_text().splitlines()) == sorted(rows)
    fake.orders.add("O1")
    assert (await spotdx("orders", "update", failed))[0] == 1
    assert fake.orders["O1"].metadata == {"n": 1}


async def test_parquet_and_renamed_columns_are_read_as_for_kits(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    order_ids = fake.orders.add_many(5)
    path = tmp_path / "orders.parquet"
    pq.write_table(pa.table({"Order": order_ids, "n": list(range(5)), "note": ["x"] * 5}), path)

    code, _, _ = await spotdx("orders", "update", path, "--map", "Order=order_id", "--map", "note=")

    assert code == 0
    assert [fake.orders[one].metadata for one in order_ids] == [{"n": n} for n in range(5)]


async def test_a_journal_resumes_a_run_of_orders_and_no_run_of_kits(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    order_ids = fake.orders.add_many(10)
    path, journal = table_of(tmp_path / "orders.csv", order_ids), tmp_path / "run.journal"
    fake.faults.add("404", times=None, order_id=order_ids[3])
    assert (await spotdx("orders", "update", path, "--journal", journal))[0] == 1
    fake.faults.clear()

    code, out, _ = await spotdx("orders", "update", path, "--journal", journal, "--json")

    assert (code, json.loads(out)["ok"], json.loads(out)["done_before"]) == (0, 1, 9)
    code, _, err = await spotdx("kits", "update", path, "--map", "order_id=kit_id", "--journal", journal)
    assert (code, "belongs to another run, of POST /api/v2/orders/{order_id}/" in err) == (2, True)
    assert fake.ledger == []


@pytest.mark.parametrize(
    ("text", "argv", "reason"),
    [
        ("kit_id,a\nSPOT1,x\n", [], "no column is named order_id"),
        ("order_id,a\nO1,x\n", ["--map", "order_id"], "--map 'Number=order_id'"),
        ("order_id,a\nO1,x\n", ["--nope"], "unknown option --nope"),
        ("order_id,a\nO1,x\n", ["--rate", "0"], "rate must be a number above 0"),
        ("order_id,a\nO1,x\n", ["--timeout", "0"], "--timeout must be a number above 0"),
    ],
)
async def test_what_cannot_be_used_is_refused_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, *, text: str, argv: list[str], reason: str
) -> None:
    path = tmp_path / "orders.csv"
    path.write_text(text)

    code, out, err = await spotdx("orders", "update", path, *argv)

    assert (code, out, err.count("\n"), fake.requests) == (2, "", 1, [])
    assert reason in err


async def test_a_dry_run_checks_rows_by_the_rules_of_orders(spotdx: Spotdx, fake: FakeSpot, tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_text("order_id,a\nO1,x\n..,y\n")

    code, out, err = await spotdx("orders", "update", path, "--dry-run", "--json")

    assert (code, json.loads(out)["ok"], json.loads(out)["rejected"], fake.requests) == (1, 1, 1, [])
    assert "order_id must not be" in err


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("words", [["get", "O1234567"], ["list"]])
async def test_orders_are_shown_without_patient_data_unless_asked_for(
    spotdx: Spotdx, words: list[str], form: list[str]
) -> None:
    code, out, err = await spotdx("orders", *words, *form)
    assert (code, err) == (0, "")
    assert "O1234567" in out
    assert [word for word in PHI if word in out] == []
    code, out, _ = await spotdx("orders", *words, "--show-phi", *form)
    assert code == 0
    assert "Robin" in out
    assert "<hidden>" not in out


async def test_orders_are_listed_up_to_the_limit(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, err = await spotdx("orders", "list", "--json")
    assert (code, err) == (0, "")
    assert sorted(order["order_id"] for order in json.loads(out)) == sorted(fake.orders)
    code, out, err = await spotdx("orders", "list", "--limit", "2")
    assert (code, err) == (0, "spotdx: the first 2 orders; --limit or --all shows more\n")
    assert out.count("2023-01-0") == 4


async def test_filters_are_passed_on(spotdx: Spotdx, fake: FakeSpot) -> None:
    query = {
        "status": "pending",
        "created_after": "2023-01-01",
        "created_before": "2023-12-31",
        "updated_after": "2023-01-01",
        "updated_before": "2023-12-31",
        "email": "a@b.c",
        "first_name": "A b",
        "last_name": "C",
        "phone": "1",
    }
    options = [word for name, value in query.items() for word in (f"--{name.replace('_', '-')}", value)]
    code, _, _ = await spotdx("orders", "list", *options)
    assert code == 0
    asked = dict(fake.requests[-1].query)
    assert {name: asked.pop(name) for name in query} == query
    assert set(asked) <= {"results", "offset"}


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["get", "NOPE"], 1, "the server answered 404"),
        (["get", ".."], 2, "order_id must not be"),
        (["list", "--created-after", "soon"], 2, "created_after must be a date"),
        (["list", "--limit", "0"], 2, "--limit must be at least 1"),
        (["nope"], 2, "nope"),
    ],
)
async def test_an_error_is_one_line_and_a_code(spotdx: Spotdx, argv: list[str], code: int, reason: str) -> None:
    got, out, err = await spotdx("orders", *argv)
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert err.startswith("spotdx: ")
    assert reason in err
