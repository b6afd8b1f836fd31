"""What a pull writes: every row of an object replaced, whatever its values are, and what the list alone says."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from hypothesis import HealthCheck, given, settings

from spotdx_async import Kit, Order, Requisition, loads
from spotdx_async.changes import Batch
from spotdx_async.mirror import Mirror
from spotdx_async.mirror.records import NounPull
from spotdx_async.mirror.store import MirrorFile
from spotdx_async.models import KitEvent, KitSummary, QuantityResult, Report, Sample
from spotdx_async.tables import TABLES, kit_rows, order_rows, requisition_rows
from spotdx_async.testing.factories import (
    make_kit,
    make_kit_summary,
    make_order,
    make_report,
    make_requisition,
    make_sample,
)
from tests.drawn_answers import FILLED_KIT, ORDER, REQUISITION, SUMMARY
from tests.long_set import IS_FULL
from tests.unit.mirror.scripted import ScriptedSpot, batch_of_kits, batches, dump, rows_of

HALF = "\ud800"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "spot.db"


async def pulled(path: Path, *of_kits: Any, phi: bool = False, sweep: bool = False, **others: Any) -> Any:
    return await Mirror(path, phi=phi).pull(ScriptedSpot(*of_kits, **others), sweep=sweep)


# --- Objects are replaced ---------------------------------------------------------------------------------------------


async def test_the_rows_are_those_that_the_tables_are_made_of(path: Path) -> None:
    kit, order, requisition = make_kit(), make_order(), make_requisition()

    await pulled(
        path,
        batch_of_kits(kit, summaries=(make_kit_summary(),)),
        orders=[Batch((order,), "o", (None,))],
        requisitions=[Batch((requisition,), "r", (None,))],
        phi=True,
    )

    found = dump(path)
    of_kit, of_requisition = (
        kit_rows(kit, summary=make_kit_summary(), phi=True),
        requisition_rows(requisition, phi=True),
    )
    expected = {**of_kit, **order_rows(order, phi=True), **of_requisition}
    expected["results"] = [*of_kit["results"], *of_requisition["results"]]
    assert {name: found[name] for name in TABLES} == {name: [*map(kept, expected[name])] for name in TABLES}


def kept(row: Sequence[Any]) -> tuple[Any, ...]:
    """A row as SQLite keeps it."""
    return tuple(
        value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        if isinstance(value, datetime)
        else value.isoformat()
        if hasattr(value, "isoformat")
        else value
        for value in row
    )


async def test_nothing_is_left_of_what_an_object_has_no_more(path: Path) -> None:
    whole = make_kit(sample=make_sample(reports=(make_report(1), make_report(2))))
    await pulled(path, batch_of_kits(whole, make_kit(2)))
    beside = {name: [row for row in of_table if "SPOT000002" in row] for name, of_table in dump(path).items()}

    less = evolve(whole, events=whole.events[:1], sample=None, shipment_to_customer=None)
    await pulled(path, batch_of_kits(less))

    of_kit = {name: [row for row in of_table if "SPOT000001" in row] for name, of_table in dump(path).items()}
    assert {name: len(of_table) for name, of_table in of_kit.items() if of_table} == {"kits": 1, "kit_events": 1}
    of_other = {name: [row for row in of_table if "SPOT000002" in row] for name, of_table in dump(path).items()}
    assert of_other == beside


async def test_a_kit_and_a_requisition_of_the_same_id_keep_their_own_results(path: Path) -> None:
    kit, requisition = make_kit(kit_id="SAME"), make_requisition(requisition_id="SAME")
    await pulled(path, batch_of_kits(kit), requisitions=[Batch((requisition,), "r", (None,))])
    count = "SELECT source, count(*) FROM results GROUP BY source"
    of_kit, of_requisition = (len(rows["results"]) for rows in (kit_rows(kit), requisition_rows(requisition)))
    assert rows_of(path, count) == [("kit", of_kit), ("requisition", of_requisition)]

    await pulled(path, requisitions=[Batch((evolve(requisition, reports=()),), "r", (None,))])
    assert rows_of(path, count) == [("kit", of_kit)]

    await pulled(path, batch_of_kits(evolve(kit, sample=None)))
    assert rows_of(path, count) == []


async def test_ids_that_differ_in_case_are_different_kits(path: Path) -> None:
    await pulled(path, batch_of_kits(make_kit(kit_id="spot1", sample=None), make_kit(kit_id="SPOT1")))
    await pulled(path, batch_of_kits(make_kit(kit_id="spot1", sample=None)))

    assert rows_of(path, "SELECT kit_id FROM kits") == [("SPOT1",), ("spot1",)]
    assert rows_of(path, "SELECT DISTINCT kit_id FROM results") == [("SPOT1",)]


async def test_an_object_that_comes_in_two_batches_is_there_once(path: Path) -> None:
    await pulled(path, *batches([1, 2], [2, 1]))

    assert rows_of(path, "SELECT count(*) FROM kits") == [(2,)]
    assert rows_of(path, "SELECT kits FROM pulls") == [(4,)]


# --- Values -----------------------------------------------------------------------------------------------------------


def with_text(text: str) -> Kit:
    result = QuantityResult(name=text, result=text, comments=text, unit_of_measure=text)
    sample = Sample(sample_id=text, panels=(text,), reports=(Report(report_id=text, results=(result,)),))
    return make_kit(kit_id=f"SPOT{text}", type=text, sample=sample, extra={text: text})


@pytest.mark.parametrize("text", ["a\0b", "\0", "", "ü ☃ 𝔸", "'; DROP TABLE kits; --", '"\n\r\t\\', "﻿"], ids=repr)
async def test_every_text_is_kept_as_it_is(path: Path, text: str) -> None:
    await pulled(path, batch_of_kits(with_text(text)), phi=True)

    assert rows_of(path, "SELECT kit_id, type FROM kits") == [(f"SPOT{text}", text)]
    found = rows_of(path, "SELECT sample_id, report_id, name, value_text, unit, comments FROM results")
    assert found == [(text,) * 6]
    ((panels, extra),) = rows_of(path, "SELECT panels, kits.extra FROM samples JOIN kits USING (kit_id)")
    assert (json.loads(panels), json.loads(extra)) == ([text], {text: text})


async def test_half_of_a_surrogate_pair_is_kept_as_json_escapes_it(path: Path) -> None:
    """SQLite's text is UTF-8, which has no such characters; what holds one must not end all pulls for ever."""
    text = f"ü{HALF}"
    await pulled(path, batch_of_kits(make_kit(1), with_text(text), make_kit(2)), *batches([3]), phi=True)
    # Again: the same rows are found, replaced and counted.
    again = await pulled(
        path,
        batch_of_kits(evolve(with_text(text), events=()), touched=(make_kit_summary(1, order_id=text),)),
        phi=True,
        sweep=True,
    )

    escaped = "ü\\ud800"
    assert rows_of(path, "SELECT kit_id, type FROM kits WHERE kit_id LIKE '%ü%'") == [(f"SPOT{escaped}", escaped)]
    assert rows_of(path, "SELECT DISTINCT kit_id, name FROM results WHERE kit_id LIKE '%ü%'") == [
        (f"SPOT{escaped}", escaped)
    ]
    assert rows_of(path, "SELECT order_id FROM kits WHERE kit_id = 'SPOT000001'") == [(escaped,)]
    assert rows_of(path, "SELECT count(*) FROM kits") == [(4,)]
    assert rows_of(path, "SELECT count(*) FROM kit_events WHERE kit_id LIKE '%ü%'") == [(0,)]
    assert (again.kits.delivered, again.kits.untold) == (1, 1)


async def test_half_of_a_pair_in_a_patients_id_has_a_pseudonym(path: Path) -> None:
    kit = make_kit()
    assert kit.registered_to is not None

    await pulled(path, batch_of_kits(evolve(kit, registered_to=evolve(kit.registered_to, patient_id=HALF))))

    ((found,),) = rows_of(path, "SELECT patient_id FROM kits")
    assert len(found) == 32


async def test_numbers_of_any_size_are_kept_as_text_and_as_far_as_they_are_numbers(path: Path) -> None:
    amounts = [10**30, -(10**400), 2**63, 0.1, 1e308]
    results = tuple(QuantityResult(name="HDL", result=amount) for amount in amounts)
    kit = make_kit(sample=Sample(reports=(Report(results=results),)))

    await pulled(path, batch_of_kits(kit))

    found = rows_of(path, "SELECT value_text, value FROM results ORDER BY seq")
    assert [text for text, _ in found] == [str(amount) for amount in amounts]
    assert [value for _, value in found] == [1e30, None, 2.0**63, 0.1, 1e308]


async def test_instants_are_text_in_utc_that_sorts_by_time(path: Path) -> None:
    east = timezone(timedelta(hours=5))
    moments = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 29, 10),  # noqa: DTZ001 - without a zone: taken as UTC
        datetime(2026, 11, 29, 16, tzinfo=east),
        datetime(9999, 12, 31, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=east),  # none in UTC
    ]
    kit = make_kit(events=tuple(KitEvent(created=moment) for moment in moments), sample=None)

    await pulled(path, batch_of_kits(kit))

    assert [moment for (moment,) in rows_of(path, "SELECT created FROM kit_events ORDER BY seq")] == [
        "0001-01-01T00:00:00.000000Z",
        "0999-12-31T23:59:59.999999Z",
        "2026-11-29T10:00:00.000000Z",
        "2026-11-29T11:00:00.000000Z",
        "9999-12-31T00:00:00.000000Z",
        None,
    ]


class Kept:
    """A mirror's file that is written to without a client."""

    def __init__(self, folder: Path) -> None:
        self.file = MirrorFile.open(folder / "spot.db", phi=True, for_pull=True)
        self._pull = self.file.begin(is_sweep=True)

    def write(self, noun: str, item: Any, row: Any) -> int:
        """Write it, as what a sweep has found; return whether it is another one than before."""
        return self.file.write(noun, Batch((item,), "c", (row,)), self._pull, NounPull(), is_sweep=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    one = Kept(tmp_path_factory.mktemp("drawn"))
    yield one
    one.file.close()


@given(kit=FILLED_KIT, summary=SUMMARY, order=ORDER, requisition=REQUISITION)
@settings(max_examples=1000 if IS_FULL else 40, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_server_sends_is_written_and_is_the_same_when_it_comes_again(
    written: Kept, kit: Any, summary: Any, order: Any, requisition: Any
) -> None:
    drawn = {
        "kits": loads(json.dumps({**kit, "kit_id": "K1"}), Kit),
        "orders": loads(json.dumps({**order, "order_id": "O1"}), Order),
        "requisitions": loads(json.dumps({**requisition, "requisition_id": "R1"}), Requisition),
    }
    rows = {
        "kits": loads(json.dumps({**summary, "kit_id": "K1"}), KitSummary),
        "orders": drawn["orders"],
        "requisitions": drawn["requisitions"],
    }
    for noun, item in drawn.items():
        written.write(noun, item, rows[noun])
        assert written.write(noun, item, rows[noun]) == 0


# --- What the list alone says -----------------------------------------------------------------------------------------


async def test_a_row_that_changed_alone_changes_what_the_list_says(path: Path) -> None:
    await pulled(path, *batches([1, 2]))
    before = dump(path)

    row = make_kit_summary(1, order_id="O9", updated=datetime(2026, 11, 1, 12))  # noqa: DTZ001 - taken as UTC
    await pulled(path, Batch((), "next", (), (row,)))

    query = "SELECT order_id, updated FROM kits WHERE kit_id = 'SPOT000001'"
    assert rows_of(path, query) == [("O9", "2026-11-01T12:00:00.000000Z")]
    after = dump(path)
    assert [name for name in after if after[name] != before[name]] == ["kits"]
    assert rows_of(path, "SELECT cursor FROM cursors") == [("next",)]


@pytest.mark.parametrize(("own", "found"), [(None, "of the list"), ("its own", "its own")])
async def test_a_type_that_the_list_alone_has_learnt_is_kept(path: Path, own: str | None, found: str) -> None:
    await pulled(path, batch_of_kits(make_kit(type=own), summaries=(make_kit_summary(1, kit_type=None),)))

    await pulled(path, Batch((), "next", (), (make_kit_summary(1, kit_type="of the list"),)))

    assert rows_of(path, "SELECT type FROM kits") == [(found,)]


@pytest.mark.parametrize("moment", [datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=5))), "soon", None])
async def test_a_row_without_a_usable_moment_of_change_ends_no_pull(path: Path, moment: Any) -> None:
    row = make_kit_summary(1, updated=moment)

    await pulled(path, batch_of_kits(make_kit(), summaries=(row,)))
    await pulled(path, batch_of_kits(make_kit(), summaries=(row,)), sweep=True)
    await pulled(path, Batch((), "next", (), (row,)))

    assert rows_of(path, "SELECT updated FROM kits") == [(None,)]


async def test_a_kit_that_was_got_without_its_row_keeps_what_the_list_had_said(path: Path) -> None:
    """Such as one that could not be read when it changed, and can days later, when the list is not asked for it."""
    row = make_kit_summary(1)
    await pulled(path, batch_of_kits(make_kit(type=None), summaries=(row,)))
    ((created,),) = rows_of(path, "SELECT created FROM kits")

    await pulled(path, batch_of_kits(make_kit(type=None, events=()), make_kit(2), summaries=(None, None)))

    assert rows_of(path, "SELECT order_id, created, type, updated FROM kits") == [
        (row.order_id, created, row.kit_type, None),
        (None, None, make_kit(2).type, None),
    ]


async def test_such_a_kit_is_in_every_export_of_what_changed(path: Path, tmp_path: Path) -> None:
    await pulled(path, batch_of_kits(make_kit(1), make_kit(2), summaries=(None, make_kit_summary(2))))

    Mirror(path).export(tmp_path, "jsonl", tables=["kits"], since="2030-01-01")

    (line,) = (tmp_path / "kits.jsonl").read_text().splitlines()
    assert json.loads(line)["kit_id"] == "SPOT000001"


# --- Sweeps -----------------------------------------------------------------------------------------------------------


async def test_a_sweep_counts_what_had_changed_although_the_list_did_not_show_it(path: Path) -> None:
    kits = [make_kit(number) for number in range(1, 5)]
    await pulled(path, batch_of_kits(*kits[:3]))

    changed = batch_of_kits(kits[0], evolve(kits[1], events=()), evolve(kits[2], events=()), kits[3])
    told = evolve(changed.summaries[2], updated=datetime(2026, 11, 1, tzinfo=UTC))
    rows = (*changed.summaries[:2], told, changed.summaries[3])
    report = await pulled(path, evolve(changed, summaries=rows), sweep=True)

    assert (report.is_sweep, report.kits.delivered, report.kits.untold) == (True, 4, 1)
    assert rows_of(path, "SELECT is_sweep, kits, untold FROM pulls ORDER BY pull_id") == [(0, 3, 0), (1, 4, 1)]
    assert rows_of(path, "SELECT count(*) FROM kit_events WHERE kit_id IN ('SPOT000002', 'SPOT000003')") == [(0,)]


async def test_a_new_signature_of_a_link_is_no_change(path: Path) -> None:
    def signed(number: int) -> Kit:
        report = make_report(pdf=f"https://files.example.com/1.pdf?X-Amz-Signature={number}", txt=None)
        return make_kit(sample=make_sample(reports=(report,)))

    await pulled(path, batch_of_kits(signed(1)), phi=True)
    report = await pulled(path, batch_of_kits(signed(2)), phi=True, sweep=True)

    assert report.kits.untold == 0
    assert rows_of(path, "SELECT pdf FROM reports") == [("https://files.example.com/1.pdf?X-Amz-Signature=2",)]


async def test_a_number_and_the_text_of_it_are_not_the_same(path: Path) -> None:
    def with_result(amount: Any) -> Kit:
        return make_kit(sample=Sample(reports=(Report(results=(QuantityResult(name="HDL", result=amount),)),)))

    await pulled(path, batch_of_kits(with_result(5)))
    report = await pulled(path, batch_of_kits(with_result(5.5)), sweep=True)

    assert report.kits.untold == 1


async def test_orders_and_requisitions_are_swept_too(path: Path) -> None:
    order, requisition = make_order(), make_requisition()
    await pulled(
        path, orders=[Batch((order,), "o", (order,))], requisitions=[Batch((requisition,), "r", (requisition,))]
    )

    other, another = evolve(order, kits=()), evolve(requisition, events=())
    report = await pulled(
        path,
        orders=[Batch((other,), "o", (order,))],
        requisitions=[Batch((another,), "r", (requisition,))],
        sweep=True,
    )

    assert (report.orders.untold, report.requisitions.untold) == (1, 1)


# --- Whole or not at all ----------------------------------------------------------------------------------------------


async def test_what_cannot_be_written_whole_leaves_neither_rows_nor_cursor(path: Path) -> None:
    await pulled(path, *batches([1]))
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TRIGGER no BEFORE INSERT ON results BEGIN SELECT raise(ABORT, 'no'); END")
    before, cursor = dump(path), rows_of(path, "SELECT * FROM cursors")

    with pytest.raises(Exception, match=r"cannot be used by SQLite \(error 19\)"):
        await pulled(path, batch_of_kits(make_kit(1, events=()), make_kit(2), cursor="next"))

    assert (dump(path), rows_of(path, "SELECT * FROM cursors")) == (before, cursor)
