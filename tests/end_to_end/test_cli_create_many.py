"""Creates of files of rows: each done once, whatever kills the command; asked about, accounted for, told."""

import asyncio
import csv
import json
import os
import signal
import stat
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import pytest_asyncio

from spotdx_async import InvalidInputError, NotSentError, report
from spotdx_async.cli.new_objects import ACTIVATIONS, ORDERS, PATIENTS, REQUISITIONS, CreateKind
from spotdx_async.testing import FakeSpot
from tests.command_line import Spotdx
from tests.docs.pages import DOCS, blocks_of
from tests.docs.playing import commands_of, is_like
from tests.workbooks import workbook

HEADER = "key,kit_types,first_name,last_name,email,phone,street1,street2,city,state,country,zip,metadata.site"
PERSON = "Canary,Bird,canary@example.org,2025550199"
PLACE = "1 Canary Lane,,Canaryville,IL,US,60609"
PHI = ("anary", "Bird", "2025550199", "60609")
BATCH = ("--batch", "cohort-7", "--journal", "j")


def order(key: str, *, kits: str = "health_kit_1;health_kit_1", place: str = PLACE) -> str:
    return f"{key},{kits},{PERSON},{place},site of {key}"


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot(orders=[], requisitions=[], kits=["SPOT1", "SPOT2"]) as server:
        yield server


@pytest.fixture
def cohort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return written(tmp_path / "cohort.csv", [HEADER, *(order(f"P{number}") for number in range(12))])


def lines_of(path: Path | str) -> dict[str, tuple[str, str]]:
    with Path(path).open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["key", "id", "state"]
    assert len({key for key, *_ in rows}) == len(rows)
    return {key: (object_id, state) for key, object_id, state in rows}


def placed(fake: FakeSpot) -> dict[str, str]:
    """Give the id of each order by the site in its metadata, of which there is one for each key."""
    sites = {
        str((one.metadata or {})["site"]).removeprefix("site of "): order_id for order_id, one in fake.orders.items()
    }
    assert len(sites) == len(fake.orders)
    return sites


def posts(fake: FakeSpot) -> int:
    return sum(request.method == "POST" for request in fake.requests)


async def test_each_row_becomes_one_object_and_the_same_command_creates_nothing_more(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--json")
    first, again = await spotdx(*command), await spotdx(*command)
    assert (first.code, first.counts) == (0, {"rows": 12, "ok": 12})
    assert (again.code, again.counts, again.summary["done_before"]) == (0, {"rows": 12, "skipped": 12}, 12)
    assert posts(fake) == 12
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}
    assert stat.S_IMODE(Path("placed.csv").stat().st_mode) == 0o600
    one = next(iter(fake.orders.values()))
    assert one.document["kit_types"] == ["health_kit_1", "health_kit_1"]
    assert one.document["recipient"]["address"]["zip"] == "60609"


async def test_ids_that_the_created_file_cannot_have_are_counted_and_no_other_file_is_lost(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--yes", "--json")
    await spotdx(*command)
    written(cohort, [HEADER, order("P11"), order("P12")])
    notes = written(Path("notes.csv"), ["my own notes"])
    other = await spotdx(*command, "--created", notes)
    fewer = await spotdx(*command, "--created", "placed.csv")
    assert (other.code, notes.read_text(), posts(fake)) == (2, "my own notes\n", 13)
    assert (fewer.code, fewer.summary["not_in_created_file"]) == (0, 11)
    assert "placed.csv lacks 11 rows that were placed before, which this input does not hold" in fewer.err


async def test_bad_rows_are_not_done_as_the_journal_shows(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    written(cohort, [HEADER, order("P1"), order("P2", kits=""), order(""), order("P1"), order("P4", kits="no_such")])
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes", "--json")
    shown = await spotdx("runs", "show", "j", "--json")
    assert (done.counts, len(fake.orders)) == ({"rows": 5, "ok": 1, "rejected": 3, "failed": 1}, 1)
    assert {name: shown.summary[name] for name in ("placed", "failed", "not_sent", "not_done")} == {
        "placed": 1,
        "failed": 1,
        "not_sent": 0,
        "not_done": 4,
    }


async def test_json_lines_parquet_and_excel_hold_the_same_rows(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    names, cells = HEADER.split(","), order("P1").split(",")
    written(
        cohort.with_suffix(".jsonl"),
        [
            json.dumps({"key": "P1", "order": nested("site of P1")}),
            json.dumps({"key": "P2", **nested("site of P2")}),
        ],
    )
    table = pa.table({name: [cell] for name, cell in zip(names, cells, strict=True)})
    pq.write_table(table.set_column(1, "kit_types", pa.array([["health_kit_1", "health_kit_1"]])), "cohort.parquet")
    Path("cohort.xlsx").write_bytes(workbook([names, cells]))
    for number, suffix in enumerate(("csv", "jsonl", "parquet", "xlsx")):
        before = len(fake.orders)
        done = await spotdx("orders", "create", f"cohort.{suffix}", "--batch", suffix, "--journal", suffix, "--yes")
        assert (done.code, done.err) == (0, ""), number
        made = [*fake.orders.values()][before:]
        assert {json.dumps(body(one), sort_keys=True) for one in made} >= {
            json.dumps(nested("site of P1"), sort_keys=True)
        }


def nested(site: str) -> dict[str, Any]:
    first, last, email, phone = PERSON.split(",")
    street1, _, city, state, country, zip_ = PLACE.split(",")
    address = {"street1": street1, "city": city, "state": state, "country": country, "zip": zip_}
    person = {"first_name": first, "last_name": last, "email": email, "phone": phone, "address": address}
    return {"kit_types": ["health_kit_1"] * 2, "recipient": person, "metadata": {"site": site}}


def body(one: Any) -> dict[str, Any]:
    metadata = {name: value for name, value in one.metadata.items() if name != "client_ref"}
    recipient = {name: value for name, value in one.document["recipient"].items() if value is not None}
    recipient["address"] = {name: value for name, value in recipient["address"].items() if value is not None}
    return {"kit_types": one.document["kit_types"], "recipient": recipient, "metadata": metadata}


ROWS = {
    "requisitions": (
        (
            "key,barcode,panels,account_number,lab,state_collected,first_name,last_name,email,phone,sex,date_of_birth,"
            "street1,street2,city,state,country,zip,tracking_number,carrier"
        ),
        f"R1,19742938329,HIV-PANEL;B,1234567890,CRL,IL,{PERSON},F,1990-01-31,{PLACE},,",
    ),
    "patients": ("key,first_name,last_name,email,phone,sex,date_of_birth", f"A,{PERSON},F,1990-01-31"),
}


@pytest.mark.parametrize("noun", ROWS)
async def test_requisitions_and_patients_are_created_from_rows_too(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, noun: str
) -> None:
    path = written(tmp_path / "rows.csv", [*ROWS[noun]])
    names = ("--batch", "b", "--journal", tmp_path / "j", "--created", tmp_path / "ids.csv")
    done = await spotdx(noun, "create", path, *names, "--yes", "--json")
    assert (done.code, done.counts) == (0, {"rows": 1, "ok": 1})
    ((object_id, state),) = lines_of(tmp_path / "ids.csv").values()
    assert object_id in (fake.requisitions if noun == "requisitions" else fake.patients)
    assert state == "ok"


async def test_kits_are_activated_from_rows_for_known_and_new_people(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    people = written(tmp_path / "people.csv", [*ROWS["patients"]])
    await spotdx("patients", "create", people, "--batch", "b", "--journal", tmp_path / "p", "--yes")
    patient_id = next(iter(fake.patients))
    rows = [
        "kit_id,patient_id,first_name,last_name,email,phone,sex,date_of_birth,research_consent",
        f"SPOT1,{patient_id},,,,,,,",
        f"SPOT2,,{PERSON},F,1990-01-31,true",
        f"SPOT3,{patient_id},Canary,,,,,,perhaps",
    ]
    path = written(tmp_path / "kits.csv", rows)
    done = await spotdx("kits", "activate", path, "--journal", tmp_path / "j", "--yes", "--json")
    assert (done.code, done.counts) == (1, {"rows": 3, "ok": 2, "rejected": 1})
    assert (
        "patient_id or the fields of a new patient must be given, and not both; research_consent must be true or false"
        in done.err
    )
    assert "anary" not in done.err


@pytest.mark.parametrize("left_out", ["--batch", "--journal"])
async def test_files_of_rows_need_a_batch_and_a_journal_and_the_message_says_why(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, left_out: str
) -> None:
    at = BATCH.index(left_out)
    done = await spotdx("orders", "create", cohort, *BATCH[:at], *BATCH[at + 2 :], "--yes")
    assert done.code == 2
    assert "--batch NAME and --journal PATH are needed for files of rows: the journal records" in done.err
    assert fake.counts["requests"] == 0


async def test_a_dry_run_tells_every_fault_of_every_row_by_its_path_and_no_value(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    bad = [order(f"B{number}", kits="", place=PLACE.replace("IL,US", "Illinois,DE")) for number in range(30)]
    written(cohort, [HEADER, *bad, order("P1"), order("P1")])
    rows = [{"key": "J", "order": {"kit_types": ["k", 3], "recipient": {"first_name": 7, "street2": "x"}}}]
    lines = written(cohort.with_suffix(".jsonl"), [json.dumps(row) for row in rows])
    done = await spotdx("orders", "create", cohort, "--dry-run", "--json")
    nested_rows = await spotdx("orders", "create", lines, "--dry-run")
    faults = (
        "3 faults: kit_types is required; recipient.address.state must be a state's two letters; "
        "recipient.address.country must be one of US, CA"
    )
    assert (done.code, done.counts) == (1, {"rows": 32, "ok": 1, "rejected": 31})
    assert done.err.count(faults) == 30
    assert "row 32 (line 33): row 31 has the same key" in done.err
    for path in ("kit_types[1] should be text", "recipient.first_name should be text", "recipient.street2 is no field"):
        assert path in nested_rows.err
    assert not any(word in done.err + nested_rows.err for word in (*PHI, "Illinois", "DE,"))
    assert fake.counts["requests"] == 0
    assert not Path("j").exists()


async def test_a_header_without_columns_that_every_row_needs_is_refused_once(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    name = written(
        tmp_path / "ids.csv", ["key,kit_types,first_name,last_name,email,phone", "P1,health_kit_1,,,,", "P2"]
    )
    done = await spotdx("orders", "create", name, *BATCH, "--yes")

    assert done.code == 2
    assert "no column is named street1, city, state, country or zip, which each order needs" in done.err
    assert "row 1" not in done.err
    assert fake.counts["requests"] == 0
    assert not Path("j").exists()


@pytest.mark.parametrize("kind", [ORDERS, REQUISITIONS, PATIENTS, ACTIVATIONS], ids=lambda kind: kind.thing)
def test_the_columns_that_a_header_must_have_are_those_that_a_row_must_fill(kind: CreateKind) -> None:
    dates = {"date_of_birth": "1990-01-31", "sex": "F", "state": "IL", "state_collected": "IL", "country": "US"}
    others = {"email": "r@example.com", "zip": "00000", "carrier": "fedex", "crl_tier3_account_number": "12345678"}
    columns = [name for name in kind.shape.columns if name != "patient_id"]
    cells = {name: {**dates, **others}.get(name, "true" if name == "research_consent" else "x") for name in columns}

    def is_needed(name: str) -> bool:
        content = kind.shape.content_of({**cells, name: ""}, allows_empty=False)
        try:
            kind.build("K1", content, source=None)
        except InvalidInputError as error:
            return all(why == "is required" for _, why in error.faults)
        return False

    kind.build("K1", kind.shape.content_of(cells, allows_empty=False), source=None)
    assert {name for name in columns if is_needed(name)} == set(kind.shape.required)


@pytest.mark.parametrize("is_dry_run", [True, False])
async def test_another_row_is_named_by_its_place_in_the_files(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, is_dry_run: bool
) -> None:
    written(cohort, [HEADER, order("P1"), order("P2"), order("P2")])
    written(cohort.with_name("more.csv"), [HEADER, order("P3"), order("P2"), order("P3")])
    options = ("--dry-run",) if is_dry_run else (*BATCH, "--yes")
    done = await spotdx("orders", "create", "cohort.csv", "more.csv", *options, "--from-row", 2)
    says = "" if is_dry_run else "rejected: "
    assert f"cohort.csv row 3 (line 4): {says}cohort.csv row 2 has the same key" in done.err
    assert f"more.csv row 3 (line 4): {says}more.csv row 1 has the same key" in done.err
    assert ("more.csv row 2 (line 3): cohort.csv row 2 has the same key" in done.err) is is_dry_run
    assert ("1 more row like it" in done.err, posts(fake)) == (not is_dry_run, 0 if is_dry_run else 2)


async def test_a_dry_run_knows_of_references_what_sending_does(spotdx: Spotdx, cohort: Path) -> None:
    rows = [
        {"key": f"P{number}", "order": {**nested("x"), "metadata": {"client_ref": reference}}}
        for number, reference in enumerate(["mine", "mine", "", 7, None])
    ]
    lines = written(cohort.with_suffix(".jsonl"), [json.dumps(row) for row in rows])
    checked = await spotdx("orders", "create", lines, "--dry-run", "--json")
    sent = await spotdx("orders", "create", lines, *BATCH, "--yes", "--json")
    assert checked.counts == sent.counts == {"rows": 5, "ok": 2, "rejected": 3}
    assert "row 2: row 1 has the same reference in its metadata" in checked.err
    assert checked.err.count("metadata.client_ref must be text, and not empty") == 2


@pytest.mark.parametrize("levels", [150, 220, 700, 2_000])
async def test_a_row_that_is_nested_too_deeply_holds_up_no_other(spotdx: Spotdx, cohort: Path, levels: int) -> None:
    deep = "[" * levels + "]" * levels
    rows = [f'{{"key": "P{number}", "order": {json.dumps(nested("x"))}}}' for number in range(4)]
    rows[1] = rows[1].replace('"metadata": {', f'"metadata": {{"deep": {deep}, ')
    rows[2] = rows[2].replace('"kit_types": [', f'"kit_types": [{deep}, ')
    done = await spotdx("orders", "create", written(cohort.with_suffix(".jsonl"), rows), "--dry-run", "--json")
    assert [deep in row for row in rows] == [False, True, True, False]
    assert (done.code, done.counts) == (1, {"rows": 4, "ok": 2 + (levels < 200), "rejected": 2 - (levels < 200)})
    assert ("nested" in done.err, "Traceback" in done.err) == (levels > 200, False)


async def test_what_a_spreadsheet_has_spoilt_is_told_before_it_is_sent(spotdx: Spotdx, cohort: Path) -> None:
    person, place = "Canary,Bird,canary@example.org,{phone}", "1 Canary Lane,,Canaryville,MA,US,{zip}"
    cells = [
        ("2.02555E+09", "2139", "health_kit_1,health_kit_1"),
        ("2025550199.0", "2139.0", "health_kit_1"),
        ("2025550199", '=""02139""', "health_kit_1"),
        ("2025550199", "02139", "health_kit_1"),
        ("2025550199", "02139-4307", "health_kit_1"),
    ]
    rows = [
        f'P{number},"{kits}",{person.format(phone=phone)},{place.format(zip=chr(34) + zip_ + chr(34))},E+1'
        for number, (phone, zip_, kits) in enumerate(cells)
    ]
    done = await spotdx("orders", "create", written(cohort, [HEADER, *rows]), "--dry-run", "--json")
    text = "format the column as text in the spreadsheet"
    assert done.counts == {"rows": 5, "ok": 2, "rejected": 3}
    for told in (
        "row 1 (line 2): 3 faults: kit_types should be a list and is text (several are separated by ; in a cell, and",
        f"recipient.phone is a number in scientific notation, as where digits were lost: {text}",
        f"recipient.address.zip has fewer than five digits, as where leading zeros were lost: {text}",
        f"row 2 (line 3): 2 faults: recipient.phone is a number with a decimal point: {text}; recipient.address.zip is",
        f"row 3 (line 4): recipient.address.zip is a formula: {text}",
    ):
        assert told in done.err
    assert not any(word in done.err for word in ("2139", "E+09", "0199"))


async def test_a_column_by_another_name_is_refused_with_the_name_that_is_meant(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    header = HEADER.replace("first_name", "First Name").replace("zip", "postcode").replace("metadata.site", "site")
    written(cohort, [header, order("P1")])
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    assert done.code == 2
    assert "First Name and postcode: pass --map 'First Name=first_name' --map postcode=zip; " in done.err
    assert "--map site= leaves it out, site=metadata.site keeps it as metadata" in done.err
    maps = ("--map", "First Name=first_name", "--map", "postcode=zip", "--map", "site=metadata.site")
    assert (await spotdx("orders", "create", cohort, *BATCH, *maps, "--yes")).code == 0
    assert placed(fake).keys() == {"P1"}


async def test_a_terminal_is_asked_with_what_it_will_cost_and_a_no_sends_nothing(
    asked: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    written(cohort, [HEADER, *map(order, ("P1", "P2", "P3")), order("P4", kits="")])
    no = await asked("n\n", "orders", "create", cohort, *BATCH)
    assert (no.code, posts(fake)) == (3, 0)
    assert f"3 orders will ship 3 parcels; 1 row cannot be sent. Continue, on {fake.url}? [y/N]" in no.err
    yes = await asked("y\n", "orders", "create", cohort, *BATCH)
    assert (yes.code, posts(fake)) == (1, 3)
    written(cohort, [HEADER, *map(order, ("P1", "P2", "P3", "P4"))])
    more = await asked("y\n", "orders", "create", cohort, *BATCH)
    assert (more.code, posts(fake)) == (0, 4)
    assert "1 order will ship 1 parcel; 3 rows were placed before. Continue" in more.err


async def test_without_a_terminal_it_needs_yes(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    done = await spotdx("orders", "create", cohort, *BATCH)
    assert (done.code, fake.counts["requests"]) == (2, 0)
    assert "pass --yes" in done.err


async def test_options_of_one_object_and_of_rows_do_not_mix(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    one = cohort.with_suffix(".json")
    one.write_text(json.dumps(nested("x")))
    rows = await spotdx("orders", "create", cohort, *BATCH, "--client-ref", "r", "--yes")
    single = await spotdx("orders", "create", one, *BATCH, "--yes")
    fast = await spotdx("orders", "create", one, "--outage-limit", "5", "--yes")
    checked = await spotdx("orders", "create", one, "--dry-run")
    day = await spotdx("orders", "create", cohort, *BATCH, "--look-first", "soon", "--yes")
    assert (rows.code, single.code, fast.code, checked.code, day.code) == (2, 2, 2, 0, 2)
    assert "--outage-limit is for files of rows" in fast.err
    assert "--look-first must be a date" in day.err
    assert "--client-ref, --sent-at, --since and --never-sent are for one object" in rows.err
    assert "holds one object, which is created by itself: --batch is for files of rows" in single.err
    assert fake.counts["requests"] == 0


@pytest.mark.parametrize("other", ["cohort.csv", "j", "failed.csv", "linked.csv"])
async def test_the_created_file_is_no_other_file_of_the_command(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, other: str
) -> None:
    Path("failed.csv").touch()
    Path("linked.csv").hardlink_to(cohort)
    done = await spotdx("orders", "create", cohort, *BATCH, "--failed", "failed.csv", "--created", other, "--yes")
    assert (done.code, fake.counts["requests"]) == (2, 0)
    assert "are the same file" in done.err


@pytest.mark.usefixtures("soon")
async def test_rows_without_an_answer_are_found_again_and_not_sent_twice(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    fake.faults.add("drop_after", times=2, method="POST")
    fake.faults.add("drop_before", times=2, method="POST")
    done = await spotdx("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--json")
    assert (done.code, done.counts) == (0, {"rows": 12, "ok": 12})
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


@pytest.mark.usefixtures("soon")
async def test_somebody_who_waits_is_told_for_what(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spotdx_async.cli.create_run._NOTES_OF_STILLNESS", 0)
    fake.faults.add("drop_before", times=1, method="POST")
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    assert "all rows are done; those that were sent again are checked for duplicates" in done.err


@pytest.mark.usefixtures("soon")
async def test_what_cannot_be_known_stays_in_doubt_gives_1_and_says_how_to_go_on(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", times=1, method="POST")
    path = written(tmp_path / "people.csv", [*ROWS["patients"]])
    names = ("--batch", "b", "--journal", tmp_path / "j", "--created", tmp_path / "ids.csv")
    done = await spotdx("patients", "create", path, *names, "--yes", "--json")
    shown = await spotdx("runs", "show", tmp_path / "j")
    assert (done.code, done.counts) == (1, {"rows": 1, "unknown": 1})
    assert "1 row is in doubt: only the vendor can tell" in done.err
    assert lines_of(tmp_path / "ids.csv") == {"A": ("", "unknown")}
    assert "in doubt" in shown.out
    assert (await spotdx("patients", "create", path, *names, "--yes", "--json")).code == 1
    assert posts(fake) == 1


async def test_duplicates_are_told_loudly_before_files_take_their_places_and_give_1(
    spotdx: Spotdx, cohort: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told, write_report = [], report.write_report

    def write(path: Path, run_stats: report.RunStory) -> None:
        told.append(capsys.readouterr().err)
        write_report(path, run_stats)

    monkeypatch.setattr(report, "write_report", write)
    monkeypatch.setattr("spotdx_async.BulkRun.duplicates", (("O1", "O2"),))
    done = await spotdx("orders", "create", cohort, *BATCH, "--report", "page.html", "--yes", "--json")
    assert (done.code, done.summary["duplicates"]) == (1, [["O1", "O2"]])
    assert "CREATED TWICE: 1 pair carries the same reference: O1 and O2" in told[0]


async def test_the_report_tells_of_the_batch_and_names_no_row(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--report", "run.html", "--yes")
    await spotdx(*command)
    written(cohort, [*cohort.read_text().splitlines(), order("P12"), order("P13", kits="")])
    monkeypatch.setattr("spotdx_async.BulkRun.duplicates", (("O0000001", "O0000009"),))
    await spotdx(*command)
    told = Path("run.html").read_text()
    for fact in (
        "Each row: POST /api/v2/orders/",
        ": 1 placed, 12 placed before, 1 did not go through. Created twice: 1 pair of objects with",
        '<th scope="row">placed</th><td class="number">13</td>',
        '<th scope="row">rejected</th><td class="number">1</td>',
        '<th scope="row">O0000001</th><td>O0000009</td>',
    ):
        assert fact in told
    assert not any(word in told.replace("cohort.csv", "") for word in (*PHI, "P12", "cohort", fake.token))


async def test_an_audit_that_failed_is_told(spotdx: Spotdx, cohort: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    error = NotSentError("no connection", reason="refused")
    monkeypatch.setattr("spotdx_async.BulkRun.audit_error", error)
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes", "--json")
    assert (done.code, done.summary["audit_error"]) == (0, "no connection")
    assert "whether something was created twice could not be looked up at the end: no connection" in done.err


@pytest.mark.usefixtures("soon")
async def test_after_a_kill_settle_sends_nothing_and_the_same_command_places_nothing_twice(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    await killed(fake, cohort, lambda: len(fake.orders) >= 5)
    shown = await spotdx("runs", "show", "j", "--json")
    before = posts(fake)
    settled = await spotdx("orders", "settle", cohort, *BATCH, "--created", "placed.csv", "--json")
    assert (settled.code, posts(fake)) == (0, before)
    assert settled.summary["ok"] + settled.summary["done_before"] == len(fake.orders)
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}
    then = await spotdx("runs", "show", "j")
    assert f"not done      {12 - len(fake.orders)}\n" in then.out
    assert "sends what is not done, and looks for what is in doubt" in then.out
    done = await spotdx("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--json")
    assert shown.summary["placed"] + shown.summary["in_doubt"] == shown.summary["rows"] >= 4
    assert (done.code, done.summary["ok"] + done.summary["done_before"]) == (0, 12)
    assert len(placed(fake)) == 12
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}
    assert not any(word in (Path("j").read_bytes() + done.err.encode()).decode("latin-1") for word in PHI)


@pytest.mark.usefixtures("soon")
async def test_settle_reads_as_create_did_and_needs_no_name_of_the_batch(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    rows = [order(f"P\N{LATIN SMALL LETTER E WITH ACUTE}{number}") for number in range(12)]
    cohort.write_bytes("\r\n".join([HEADER, *rows]).replace(",", "#").encode("latin-1"))
    reading = ("--encoding", "latin-1", "--delimiter", "#")
    await killed(fake, cohort, lambda: len(fake.orders) >= 5, words=(*create_words(cohort), *reading))
    before = posts(fake)
    settled = await spotdx("orders", "settle", cohort, "--journal", "j", *reading, "--json")
    again = await spotdx("orders", "settle", cohort, *BATCH, *reading, "--json")
    other = await spotdx("orders", "settle", cohort, "--journal", "j", "--batch", "cohort-8", *reading)
    assert (settled.code, again.code, other.code, posts(fake)) == (0, 0, 2, before)
    assert settled.summary["ok"] + settled.summary["done_before"] == len(fake.orders)
    assert again.summary["done_before"] == len(fake.orders)
    done = await spotdx("orders", "create", cohort, *BATCH, *reading, "--yes", "--json")
    assert (done.code, done.summary["duplicates"], len(placed(fake))) == (0, [], 12)


async def killed(fake: FakeSpot, cohort: Path, is_time: Callable[[], bool], words: Sequence[str] | None = None) -> None:
    """Run the command as a process that is killed in the middle."""
    fake.latency_s = 0.05
    await ended(fake, cohort, is_time, signal.SIGKILL, words)
    fake.latency_s = 0


async def ended(
    fake: FakeSpot,
    cohort: Path,
    is_time: Callable[[], bool],
    number: signal.Signals,
    words: Sequence[str] | None = None,
) -> int | None:
    """Run the command as a process, and send it a signal; return its exit code."""
    words = words or create_words(cohort)
    env = {**os.environ, "SPOTDX_TOKEN": fake.token, "SPOTDX_BASE_URL": fake.url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "spotdx_async", *words), env=env, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(30):
            while not is_time():
                await asyncio.sleep(0.002)
    finally:
        process.send_signal(number)
        await asyncio.wait_for(process.wait(), 30)
    return process.returncode


def create_words(cohort: Path) -> tuple[str, ...]:
    return ("orders", "create", str(cohort), *BATCH, "--created", "placed.csv", "--yes", "--concurrency", "2")


async def test_the_created_file_of_a_session_that_is_stopped_holds_those_of_earlier_ones(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--json")
    assert (await spotdx(*command)).code == 0
    Path("placed.csv").unlink()
    bad = [order(f"B{number}", kits="") for number in range(3)]
    written(cohort, [HEADER, *bad, *(order(f"P{number}") for number in range(12))])
    done = await spotdx(*command, "--max-errors", "1")
    assert done.code == 3
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


async def test_keys_that_are_no_longer_in_the_input_stay_in_the_created_file(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--failed", "failed.csv")
    assert (await spotdx(*command)).code == 0
    written(cohort, [HEADER, order("P3"), order("new"), order("bad", kits="")])
    done = await spotdx(*command, "--json")
    assert (done.code, done.counts) == (1, {"rows": 3, "ok": 1, "rejected": 1, "skipped": 1})
    assert done.summary["done_before"] == 1
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}
    assert Path("failed.csv").read_text() == f"{HEADER}\n{order('bad', kits='')}\n"
    assert "pass it in place of the input, with the same --batch and --journal" in done.err


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("--created", "key,id,state\nP1,ANOTHER,ok\n"),
        ("--created", "not of this form\n"),
        ("--failed", f"{HEADER}\n{order('of last week')}\n"),
        ("--outcomes", "of last week\n"),
    ],
)
async def test_a_resumed_run_replaces_no_file_of_another_one_unasked(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, option: str, text: str
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--yes")
    assert (await spotdx(*command)).code == 0
    before = fake.counts["requests"]
    other = written(cohort.with_name("other.csv"), [text.rstrip("\n")])
    os.utime(other, (0, datetime.now(UTC).timestamp() - 3600))
    refused = await spotdx(*command, option, "other.csv")
    assert (refused.code, fake.counts["requests"], other.read_text()) == (2, before, text)
    assert "other.csv exists and is not empty: give another name, or --force to replace it" in refused.err
    asked_for = await spotdx(*command, option, "other.csv", "--force")
    assert asked_for.code == 0
    assert not other.exists() or "last week" not in other.read_text()


async def test_bad_rows_are_no_matter_of_settling(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    with cohort.open("a") as file:
        file.write(order("P99", kits="") + "\n")
    assert (await spotdx("orders", "create", cohort, *BATCH, "--yes")).code == 1
    settled = await spotdx("orders", "settle", cohort, "--journal", "j")
    assert (settled.code, len(fake.orders)) == (0, 12)
    assert "kit_types" not in settled.err
    assert "--failed" not in settled.err


async def test_a_file_without_rows_is_told(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    written(cohort, [HEADER])
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    assert (done.code, len(fake.orders), "the input holds no rows" in done.err) == (0, 0, True)


async def test_settling_replaces_the_created_file_of_another_run_if_that_is_asked_for(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    await spotdx("orders", "create", cohort, *BATCH, "--yes")
    written(Path("placed.csv"), ["not of this form"])
    settle = ("orders", "settle", cohort, *BATCH, "--created", "placed.csv")
    codes = [(await spotdx(*settle, *more)).code for more in ((), ("--force",), ())]
    of_any_batch = await spotdx("orders", "settle", cohort, "--journal", "j", "--created", "placed.csv")
    assert (codes, of_any_batch.code) == ([2, 0, 0], 0)
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


@pytest.mark.usefixtures("soon")
async def test_a_created_file_holds_no_line_of_the_one_that_it_was_to_replace(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    before = "key,id,state\nP1,ANOTHER,ok\nof last week,ANOTHER,ok\n"
    Path("placed.csv").write_text(before)
    command = ("orders", "create", str(cohort), *BATCH, "--created", "placed.csv", "--yes", "--force")
    await killed(fake, cohort, lambda: len(fake.orders) >= 3, command)
    assert Path("placed.csv").read_text() == before
    assert (await spotdx(*command)).code == 0
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("text", ["key,id,state\nP1,ANOTHER,ok\n", "not of this form\n"])
async def test_what_another_killed_run_has_left_of_its_created_file_is_kept_and_told(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, text: str, *, is_resumed: bool
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--yes")
    if is_resumed:
        assert (await spotdx(*command)).code == 0
    Path("placed.csv.part").write_text(text)
    done = await spotdx(*command, "--created", "placed.csv")
    assert done.code == 0
    assert "placed.csv.part is what a run that was killed has left: it is kept as placed.csv.1" in done.err
    assert Path("placed.csv.1").read_text() == text
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


async def test_an_order_that_was_placed_with_other_content_is_told_and_keeps_its_id(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    command = ("orders", "create", cohort, *BATCH, "--created", "placed.csv", "--yes", "--json")
    await spotdx(*command)
    text = cohort.read_text()
    cohort.write_text(text.replace("P3,health_kit_1;health_kit_1", "P3,health_kit_1"))
    done = await spotdx(*command)
    assert (done.code, done.summary["rejected"], posts(fake)) == (1, 1, 12)
    assert "placed before with other content under this key" in done.err
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


async def test_rows_on_standard_input_need_yes(fake: FakeSpot, spotdx: Spotdx) -> None:
    done = await spotdx("orders", "create", "-", *BATCH)
    assert (done.code, fake.counts["requests"]) == (2, 0)
    assert "standard input holds the rows and cannot answer a question: pass --yes" in done.err


@pytest.mark.usefixtures("soon")
async def test_the_page_on_cohorts_leads_to_tracking_numbers_through_a_kill(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = blocks_of(DOCS / "cohorts.md")
    cohort.write_text(next(block.text for block in blocks if block.act == "file"))
    console = [block.text for block in blocks if block.act == "elsewhere" and block.language == "console"]
    (place, _), (show, shown), (again, _), (settle, _), (correct, _) = (
        (command.removeprefix("spotdx ").split(), output) for text in console for command, output in commands_of(text)
    )
    await killed(fake, cohort, lambda: len(fake.orders) >= 2, place)
    assert is_like(shown, (await spotdx(*show)).out)
    before = posts(fake)
    assert ((await spotdx(*settle)).code, posts(fake)) == (0, before)
    assert (again, (await spotdx(*again)).code) == (place, 1)
    assert placed_keys() == {"P-001", "P-002", "P-003", "P-004"}
    left = Path("failed.csv").read_text()
    Path("failed.csv").write_text(left.replace(",2139,", ",02139,"))
    assert (await spotdx(*correct)).code == 0
    assert placed_keys() == {"P-001", "P-002", "P-003", "P-004", "P-005"}
    *fulfilled, waiting = fake.orders.values()
    kits = [kit for one in fulfilled for kit in one.fulfil()]
    for kit in kits:
        kit.ship(tracking_number=f"T-{kit.kit_id}")
    (program,) = (block.text for block in blocks if block.act == "elsewhere" and "get_many" in block.text)
    await asyncio.to_thread(exec, compile(program, "cohorts.md", "exec"), {})
    told = {tuple(line.split()[1:]) for line in capsys.readouterr().out.splitlines()}
    assert told == {(kit.kit_id, f"T-{kit.kit_id}") for kit in kits} | {("being", "prepared")}
    assert len(fake.orders) == 5
    assert not waiting.document["kits"]


def placed_keys() -> set[str]:
    return {key for key, (object_id, state) in lines_of("placed.csv").items() if object_id and state == "ok"}


@pytest.mark.usefixtures("soon")
async def test_rows_in_doubt_that_the_input_no_longer_holds_are_told_and_give_1(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path
) -> None:
    fake.faults.add("drop_after", times=1, method="POST")
    path, names = tmp_path / "people.csv", ("--batch", "b", "--journal", tmp_path / "j", "--yes", "--json")
    written(path, [*ROWS["patients"]])
    await spotdx("patients", "create", path, *names)
    written(path, [ROWS["patients"][0], ROWS["patients"][1].replace("A,", "B,", 1)])
    done = await spotdx("patients", "create", path, *names)
    assert (done.code, done.counts, done.summary["in_doubt_elsewhere"]) == (1, {"rows": 1, "ok": 1}, 1)
    assert "1 row of the journal, not in this input, may have been created" in done.err


async def test_a_signal_ends_it_in_order_with_all_that_was_placed_in_the_created_file(
    fake: FakeSpot, cohort: Path
) -> None:
    fake.latency_s = 0.05
    code = await ended(fake, cohort, lambda: len(fake.orders) >= 3, signal.SIGTERM)
    assert code == 3
    assert 3 <= len(fake.orders) < 12
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}


async def test_a_journal_of_another_batch_or_of_updates_is_refused_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    await spotdx("orders", "create", cohort, *BATCH, "--yes")
    kits = written(cohort.with_name("kits.csv"), ["kit_id,a", "SPOT1,x"])
    await spotdx("kits", "update", kits, "--journal", "of-updates")
    before = fake.counts["requests"]
    other = await spotdx("orders", "create", cohort, "--batch", "cohort-8", "--journal", "j", "--yes")
    updates = await spotdx("orders", "create", cohort, "--batch", "cohort-7", "--journal", "of-updates", "--yes")
    reverse = await spotdx("kits", "update", kits, "--journal", "j")
    assert "of another batch" in other.err
    assert "one that sets metadata, and this one creates objects" in updates.err
    assert "one that creates objects, and this one sets metadata" in reverse.err
    assert fake.counts["requests"] == before


async def test_a_lost_journal_is_made_good_by_looking_first(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    await spotdx("orders", "create", cohort, *BATCH, "--yes")
    Path("j").unlink()
    day = datetime.now(UTC).date()
    command = ("orders", "create", cohort, *BATCH, "--look-first", day, "--created", "placed.csv", "--yes", "--json")
    done = await spotdx(*command)
    assert (done.code, done.counts, posts(fake)) == (0, {"rows": 12, "skipped": 12}, 12)
    assert done.summary["done_before"] == 12
    assert lines_of("placed.csv") == {key: (order_id, "ok") for key, order_id in placed(fake).items()}
    waits = "a row that is not found waits for 70 s and another look before it is sent"
    assert f"reading what was created since {day}; {waits}" in done.err


async def test_what_was_there_before_and_cannot_be_seen_stops_the_run_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    day = datetime.now(UTC).date()
    command = ("orders", "create", cohort, *BATCH, "--outage-limit", "0.1", "--yes", "--json")
    fake.faults.add("403", method="GET")
    blind = await spotdx(*command, "--look-first", day)
    future = await spotdx(*command, "--look-first", day + timedelta(days=3))
    patient = await spotdx("patients", "create", cohort, *BATCH, "--yes", "--look-first", day)
    assert (blind.code, future.code, patient.code, posts(fake)) == (3, 2, 2, 0)
    assert f"what was created since {day} cannot be read as a whole, so nothing was sent" in blind.err
    assert "--look-first is in the future by the server's clock" in future.err
    assert "--look-first is for orders and requisitions" in patient.err


async def test_an_empty_file_is_a_journal_to_begin(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    Path("j").touch()
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    assert (done.code, len(fake.orders)) == (0, 12)


async def test_a_journal_that_cannot_be_reached_is_refused_with_advice_that_places_nothing_twice(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    await spotdx("orders", "create", cohort, *BATCH, "--yes")
    Path("second").hardlink_to("j")
    linked = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    Path("second").unlink()
    other = await spotdx("orders", "create", cohort, "--batch", "cohort7", "--journal", "j", "--yes")
    assert (linked.code, other.code, posts(fake)) == (2, 2, 12)
    assert "pass --look-first with it" in linked.err
    assert "name the one of this batch" in other.err
    assert "name another" not in linked.err + other.err


@pytest.mark.usefixtures("soon")
async def test_nothing_of_a_person_is_in_any_file_or_message(spotdx: Spotdx, fake: FakeSpot, cohort: Path) -> None:
    for kind in ("400", "drop_after", "503", "wrong_object"):
        fake.faults.add(kind, times=1, method="POST")
    files = ("--created", "placed.csv", "--report", "r.html", "--outcomes", "o.jsonl", "--log-file", "log", "-v")
    done = await spotdx("orders", "create", cohort, *BATCH, *files, "--yes")
    texts = [done.out, done.err, *(path.read_text("latin-1") for path in cohort.parent.iterdir() if path != cohort)]
    assert len(texts) == 7
    assert not any(word in text for word in PHI for text in texts)


async def test_a_damaged_journal_is_refused_with_advice_that_places_nothing_twice(
    spotdx: Spotdx, fake: FakeSpot, cohort: Path
) -> None:
    await spotdx("orders", "create", cohort, *BATCH, "--yes")
    data = Path("j").read_bytes()
    Path("j").write_bytes(data[:4096] + bytes(len(data) - 4096))
    before = fake.counts["requests"]
    done = await spotdx("orders", "create", cohort, *BATCH, "--yes")
    assert fake.counts["requests"] == before
    assert done.code != 0
    assert "--look-first" in done.err
    assert "sends every row again" not in done.err
