"""FHIR resources that are made of a mirror are those that are made of the objects themselves."""

import json
from pathlib import Path
from typing import Any

import pytest

from spotdx_async import InvalidInputError, Kit, Requisition
from spotdx_async.fhir import resources
from spotdx_async.mirror import Mirror
from spotdx_async.models import QuantityResult
from spotdx_async.testing import FakeSpot
from spotdx_async.testing.factories import make_kit, make_report, make_sample
from tests.unit.mirror.scripted import ScriptedSpot, batch_of_kits

Made = dict[tuple[str, str], dict[str, Any]]


@pytest.mark.parametrize("phi", [False, True])
async def test_a_mirror_gives_the_resources_of_the_objects(fake_spot: FakeSpot, tmp_path: Path, *, phi: bool) -> None:
    expected: Made = {}
    mirror = Mirror(tmp_path / "spot.db", phi=phi)
    async with fake_spot.client() as spot:
        await mirror.pull(spot)
        found: list[Kit | Requisition] = [await spot.kits.get(kit_id) for kit_id in fake_spot.kits]
        found += [await spot.requisitions.get(one) for one in fake_spot.requisitions]
    for each in found:
        expected |= keyed([*resources(each, phi=phi)])

    paths = mirror.export(tmp_path / "fhir", "fhir")

    made = keyed([json.loads(line) for path in paths.values() for line in path.read_text().splitlines()])
    assert paths.keys() == {"Specimen", "Observation", "DiagnosticReport"} | ({"Patient"} if phi else set())
    assert len(made) > 10
    if not phi:  # a pseudonym is the mirror's own
        made = {key: {name: part for name, part in one.items() if name != "subject"} for key, one in made.items()}
    assert made == expected


async def test_the_same_mirror_gives_the_same_bytes_and_each_patient_once(fake_spot: FakeSpot, tmp_path: Path) -> None:
    document = fake_spot.kits["SPOT123456"].document
    fake_spot.kits.add("SPOT999999", document={**document, "kit_id": "SPOT999999"})
    mirror = Mirror(tmp_path / "spot.db", phi=True)
    async with fake_spot.client() as spot:
        await mirror.pull(spot)

    first, second = (mirror.export(tmp_path / name, "fhir") for name in ("one", "two"))

    assert [path.read_bytes() for path in first.values()] == [path.read_bytes() for path in second.values()]
    ids = [json.loads(line)["id"] for line in first["Patient"].read_text().splitlines()]
    assert len(ids) == len(set(ids)) > 0


@pytest.mark.parametrize("phi", [False, True])
async def test_what_a_mirror_leaves_out_of_a_range_makes_no_result_high(tmp_path: Path, *, phi: bool) -> None:
    results = (
        QuantityResult(name="A", result=12, range_minimum="see note", range_maximum=10),
        QuantityResult(name="B", result=5, range_minimum=1, range_maximum=1e209),
    )
    kit = make_kit(sample=make_sample(reports=(make_report(results=results),)))
    mirror = Mirror(tmp_path / "spot.db", phi=phi)
    await mirror.pull(ScriptedSpot(batch_of_kits(kit)))

    text = mirror.export(tmp_path / "fhir", "fhir")["Observation"].read_text()

    first, second = map(json.loads, text.splitlines())
    (direct, _) = (one for one in resources(kit, phi=phi) if one["resourceType"] == "Observation")
    assert first.get("interpretation") is direct.get("interpretation") is None
    assert first["referenceRange"] == direct["referenceRange"]
    assert second["interpretation"][0]["coding"][0]["code"] == "N"
    assert "1e+209" in text or "1e209" in text  # and no digits that nobody has measured


async def test_resources_without_patients_are_not_put_beside_patients(fake_spot: FakeSpot, tmp_path: Path) -> None:
    """Whoever hands such a folder on takes all of it for the last export."""
    async with fake_spot.client() as spot:
        await Mirror(tmp_path / "phi.db", phi=True).pull(spot)
        await Mirror(tmp_path / "spot.db").pull(spot)
    Mirror(tmp_path / "phi.db").export(tmp_path / "fhir", "fhir")
    before = {path.name: path.read_bytes() for path in (tmp_path / "fhir").iterdir()}

    with pytest.raises(InvalidInputError, match=r"Patient\.ndjson is of an export with patient data: remove it"):
        Mirror(tmp_path / "spot.db").export(tmp_path / "fhir", "fhir")

    assert {path.name: path.read_bytes() for path in (tmp_path / "fhir").iterdir()} == before


async def test_fhir_is_not_made_by_table(fake_spot: FakeSpot, tmp_path: Path) -> None:
    async with fake_spot.client() as spot:
        await Mirror(tmp_path / "spot.db").pull(spot)

    with pytest.raises(InvalidInputError, match="leave tables out"):
        Mirror(tmp_path / "spot.db").export(tmp_path / "fhir", "fhir", tables=["kits"])


def keyed(made: list[dict[str, Any]]) -> Made:
    return {(one["resourceType"], one["id"]): one for one in made}
