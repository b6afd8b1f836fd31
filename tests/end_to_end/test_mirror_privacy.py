"""Canaries in every field of patient data and in unknown fields: none in or around a mirror made without it."""

import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from spotdx_async.mirror import Mirror
from spotdx_async.mirror.export import ExportFormat
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx
from tests.unit.mirror.scripted import rows_of
from tests.unit.tables.test_patient_data import BORN, KIT, NO_TIME, ORDER, PLANTED, REQUISITION, canaries_in

TOKEN = "token-of-canaries"


def planted() -> set[str]:
    """The canaries that a mirror with patient data has: a time that is none has no place in it."""
    return set.union(*(canaries_in(json.dumps(tree)) for _, tree in PLANTED)) - {NO_TIME}


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    """A server whose objects are full of canaries; of two more, one is no kit and one cannot be sent."""
    async with FakeSpot(token=TOKEN, kits=0, orders=0, requisitions=0) as server:
        kit, order, requisition = (json.loads(json.dumps(tree)) for tree in (KIT, ORDER, REQUISITION))
        server.kits.add(kit["kit_id"], document=kit)
        server.orders.add(order["order_id"], document=order, metadata=order["metadata"])
        server.requisitions.add(requisition["requisition_id"], document=requisition)
        for number, fault in enumerate(
            [
                faults.body(json.dumps({**KIT, "kit_id": "SPOT1", "type": {"of": "canary77"}}).encode()),
                faults.body(b'{"error": {"code": 400, "details": ["canary78"]}}', status=400, executes=False),
            ],
            start=1,
        ):
            server.kits.add(f"SPOT{number}")
            server.faults.add(fault, path=f"/api/v2/kits/SPOT{number}/", times=None)
        yield server


def bytes_around(path: Path) -> bytes:
    """Every file of a mirror: the database, what SQLite keeps beside it, the lock."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


def exported(mirror: Mirror, folder: Path) -> bytes:
    forms: tuple[ExportFormat, ...] = ("csv", "jsonl", "parquet", "fhir")
    return b"".join(path.read_bytes() for form in forms for path in mirror.export(folder, form).values())


def shown_in(data: bytes) -> set[str]:
    """The canaries in the bytes of files, whose compression would hide them from nobody but this test."""
    return canaries_in(data.decode(errors="replace").replace("\0", " ").replace("{", " ").replace("[", " "))


async def test_without_patient_data_no_canary_is_in_any_byte_or_word(
    fake: FakeSpot, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path, around, told = tmp_path / "spot.db", list[bytes](), list[str]()

    def progress(so_far: Any) -> None:
        around.append(bytes_around(path))
        told.append(repr(so_far))

    mirror = Mirror(path)
    async with fake.client() as spot:
        report = await mirror.pull(spot, progress=progress)
        swept = await mirror.pull(spot, sweep=True, progress=progress)
    files = bytes_around(path) + exported(mirror, tmp_path / "out")
    words = "\n".join([*told, repr(report), repr(swept), repr(mirror.state()), repr(mirror), caplog.text])

    assert len(planted()) > 40
    assert (report.kits.delivered, report.kits.unread) == (1, 2)
    assert len(around) >= 3
    for data in (*around, files, words.encode()):
        assert b"canary" not in data.lower()
        assert BORN.encode() not in data
        assert TOKEN.encode() not in data
    assert b"kept result" in files


async def test_the_command_line_tells_nothing_of_patients(spotdx: Spotdx, tmp_path: Path, fake: FakeSpot) -> None:
    db, log = tmp_path / "spot.db", tmp_path / "log"
    done = [
        await spotdx("mirror", *words, "-v", "--log-file", log)
        for words in (("pull", db), ("pull", db, "--json"), ("show", db), ("export", db, tmp_path / "out"))
    ]

    assert [each.code for each in done] == [1, 1, 0, 0]
    text = "".join(each.out + each.err for each in done) + log.read_text()
    assert text.count("one of the kits that changed cannot be read") == 8  # in both, by both pulls
    assert ("canary" in text.lower(), BORN in text, fake.token in text) == (False, False, False)


async def test_with_patient_data_every_canary_is_there(fake: FakeSpot, tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "spot.db", phi=True)
    async with fake.client() as spot:
        await mirror.pull(spot)

    mirror.export(tmp_path / "out", "jsonl")

    files = [path.read_bytes() for path in (tmp_path / "out").iterdir()]
    assert planted() - shown_in(b" ".join(files)) == set()


# --- Pseudonyms -------------------------------------------------------------------------------------------------------


async def pseudonyms(fake: FakeSpot, path: Path, token: str) -> list[Any]:
    fake.state.tokens.add(token)
    async with fake.client(token=token) as spot:
        await Mirror(path).pull(spot)
    return rows_of(
        path, "SELECT kit_id, patient_id FROM kits UNION SELECT requisition_id, patient_id FROM requisitions"
    )


async def test_a_patient_has_one_pseudonym_in_all_mirrors_of_a_token(tmp_path: Path) -> None:
    document = {"status": "registered", "events": []}
    people = {"SPOT1": "patient-1", "SPOT2": "patient-2", "SPOT3": "patient-1"}
    async with FakeSpot(kits=0, orders=0, requisitions=0) as fake:
        for kit_id, patient_id in people.items():
            registrant = {"patient_id": patient_id}
            fake.kits.add(kit_id, document={"kit_id": kit_id, "registered_to": registrant, **document})
        of_patient = {"requisition_id": "R1", "patient": {"patient_id": "patient-2"}, "events": [], "status": "created"}
        fake.requisitions.add("R1", document=of_patient)

        one = await pseudonyms(fake, tmp_path / "one.db", "one-token")
        same = await pseudonyms(fake, tmp_path / "same.db", "one-token")
        other = await pseudonyms(fake, tmp_path / "other.db", "another-token")

    assert one == same
    found, of_others = dict(one), dict(other)
    assert found["SPOT1"] == found["SPOT3"]
    assert found["SPOT2"] == found["R1"] != found["SPOT1"]
    assert {*found.values()}.isdisjoint(of_others.values())
    files = bytes_around(tmp_path / "one.db")
    assert b"patient-1" not in files
    assert b"one-token" not in files


async def test_a_mirror_keeps_its_pseudonyms_when_the_token_changes(tmp_path: Path) -> None:
    async with FakeSpot(kits=2) as fake:
        before = await pseudonyms(fake, tmp_path / "spot.db", "one-token")
        kit = fake.kits[next(iter(fake.kits))]
        kit.document["events"] = []
        kit.updated = "2027-01-01T00:00:00.000Z"
        after = await pseudonyms(fake, tmp_path / "spot.db", "another-token")

    assert after == before
