"""``spotdx kits activate``, ``spotdx tokens create`` and ``spotdx requisitions get|list``, in this process."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from spotdx_async._http.runner import Runner
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx

PATIENT = {
    "first_name": "Canary",
    "last_name": "Bird",
    "email": "canary@example.org",
    "phone": "2025550199",
    "sex": "F",
    "date_of_birth": "1990-01-31",
}
NEW_KIT = "SPOT900001"


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeSpot]:
    async with FakeSpot() as server:
        server.kits.add(NEW_KIT, status="delivered", registered_to=None)
        yield server


@pytest.fixture
def patient(tmp_path: Path) -> Path:
    path = tmp_path / "patient.json"
    path.write_text(json.dumps(PATIENT))
    return path


@pytest.fixture
def patient_id(fake: FakeSpot) -> str:
    return next(iter(fake.patients))


async def test_a_kit_is_registered_to_a_known_patient(spotdx: Spotdx, fake: FakeSpot, patient_id: str) -> None:
    code, out, err = await spotdx("kits", "activate", NEW_KIT, "--patient-id", patient_id, "--yes", "--json")

    assert (code, json.loads(out), err) == (0, {"data": {"result": "success"}}, "")
    assert fake.requests[-1].body == {"patient_id": patient_id}
    assert len(fake.creations) == 1


@pytest.mark.parametrize(("option", "consent"), [("--research-consent", True), ("--no-research-consent", False)])
async def test_a_kit_is_registered_to_a_new_patient(
    spotdx: Spotdx, fake: FakeSpot, patient: Path, option: str, *, consent: bool
) -> None:
    code, out, err = await spotdx("kits", "activate", NEW_KIT, "--patient", patient, option, "--yes")

    assert (code, "success" in out, err) == (0, True, "")
    sent = fake.requests[-1].body
    assert (sent["first_name"], sent["research_consent"]) == ("Canary", consent)


async def test_an_activation_without_an_answer_is_looked_for_and_found(
    spotdx: Spotdx, fake: FakeSpot, patient: Path
) -> None:
    fake.faults.add("drop_after", method="POST")

    code, out, err = await spotdx("kits", "activate", NEW_KIT, "--patient", patient, "--yes", "--timeout", "0.5")

    assert (code, NEW_KIT in out, "registered" in out) == (0, True, True)
    assert "it was done: nothing is left to do" in err
    assert "anary" not in out + err
    assert len(fake.creations) == 1


async def test_an_activation_that_was_not_carried_out_may_be_given_again(
    spotdx: Spotdx, fake: FakeSpot, patient: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "lands_within_s", 0.2)
    fake.faults.add("drop_before", method="POST")

    code, out, err = await spotdx("kits", "activate", NEW_KIT, "--patient", patient, "--yes", "--timeout", "0.3")

    assert (code, out, fake.creations) == (1, "", [])
    assert err.endswith("it was not done: you may run the same command again\n")


async def test_an_answer_that_is_no_success_fails_the_command(spotdx: Spotdx, fake: FakeSpot, patient_id: str) -> None:
    fake.faults.add(faults.body(b'{"data": {"result": "postponed"}}'), method="POST")

    code, _, _ = await spotdx("kits", "activate", NEW_KIT, "--patient-id", patient_id, "--yes")

    assert code == 1


async def test_a_refused_activation_shows_its_reasons_where_asked_to(
    spotdx: Spotdx, fake: FakeSpot, patient_id: str
) -> None:
    fake.faults.add("403", times=None, method="POST")

    code, out, err = await spotdx("kits", "activate", NEW_KIT, "--patient-id", patient_id, "--yes", "--show-phi")

    assert (code, out) == (1, "")
    assert "the server answered 403" in err
    assert "spotdx: the server says: " in err


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--yes"], "give exactly one of --patient-id and --patient"),
        (["--yes", "--patient-id", "P", "--patient", "FILE"], "give exactly one of --patient-id and --patient"),
        (["--patient", "FILE"], "pass --yes"),
        (["--patient", "-"], "pass --yes"),
        (["--patient-id", "P"], "pass --yes"),
        (["--yes", "--patient-id", ".."], "patient_id must not be"),
        (["--yes", "--patient", "none.json"], "none.json: No such file or directory"),
        (["--patient", "--yes"], "unknown option --yes"),
    ],
)
async def test_wrong_usage_ends_with_2_before_anything_is_sent(
    spotdx: Spotdx, fake: FakeSpot, patient: Path, words: list[str], reason: str
) -> None:
    code, out, err = await spotdx("kits", "activate", NEW_KIT, *(patient if word == "FILE" else word for word in words))

    assert (code, out, err.count("\n"), fake.requests) == (2, "", 1, [])
    assert reason in err


async def test_a_token_is_all_that_stands_on_standard_output(spotdx: Spotdx, fake: FakeSpot, patient_id: str) -> None:
    code, out, err = await spotdx("tokens", "create", patient_id)
    assert (code, out.count("\n"), " " in out) == (0, 1, False)
    assert err == "spotdx: the token is a secret: give it to the patient only; it works once, for 10 minutes\n"
    code, out, err = await spotdx("tokens", "create", patient_id, "--kit-type", "health_kit_1", "--json")
    assert (code, list(json.loads(out))) == (0, ["token"])
    assert json.loads(out)["token"] not in err
    assert fake.requests[-1].body == {"patient_id": patient_id, "kit_type": "health_kit_1"}


async def test_an_answer_without_a_token_is_a_failure(spotdx: Spotdx, fake: FakeSpot, patient_id: str) -> None:
    fake.faults.add(faults.body(b"{}", status=201), times=None, method="POST")

    code, out, err = await spotdx("tokens", "create", patient_id)

    assert (code, out, "token is missing" in err) == (1, "", True)


@pytest.mark.parametrize(("patient_id_given", "code"), [("..", 2), ("NOPE", 1)])
async def test_a_token_for_nobody_is_an_error(spotdx: Spotdx, patient_id_given: str, code: int) -> None:
    got, out, err = await spotdx("tokens", "create", patient_id_given)

    assert (got, out, err.count("\n")) == (code, "", 1)


@pytest.mark.parametrize("form", [[], ["--json"]])
@pytest.mark.parametrize("words", [["get", "ID"], ["list"]])
async def test_requisitions_are_shown_without_patient_data_unless_asked_for(
    spotdx: Spotdx, fake: FakeSpot, words: list[str], form: list[str]
) -> None:
    requisition_id = next(iter(fake.requisitions))
    words = [requisition_id if word == "ID" else word for word in words]
    patient = fake.requisitions[requisition_id].document["patient"]

    code, out, err = await spotdx("requisitions", *words, *form)
    assert (code, err, requisition_id in out) == (0, "", True)
    assert patient["last_name"] not in out
    code, out, _ = await spotdx("requisitions", *words, "--show-phi", *form)
    assert (code, patient["last_name"] in out) == (0, True)


async def test_requisitions_are_listed_up_to_the_limit_and_by_filters(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, out, err = await spotdx("requisitions", "list", "--limit", "2", "--json")
    assert (code, len(json.loads(out)), err) == (0, 2, "")
    code, out, err = await spotdx("requisitions", "list", "--limit", "2")
    assert (code, err) == (0, "spotdx: the first 2 requisitions; --limit or --all shows more\n")
    code, _, _ = await spotdx("requisitions", "list", "--lab", "C R/L", "--status", "approved", "--last-name", "Bird")
    asked = dict(fake.requests[-1].query)
    assert (code, asked["lab"], asked["status"], asked["last_name"]) == (0, "C R/L", "approved", "Bird")


@pytest.mark.parametrize(
    ("argv", "code", "reason"),
    [
        (["get", "3c90c3cc-0d44-4b50-8888-8dd25736052a"], 1, "the server answered 404"),
        (["get", ".."], 2, "requisition_id must not be"),
        (["list", "--limit", "0"], 2, "--limit must be at least 1"),
        (["list", "--updated-before", "soon"], 2, "updated_before must be a date"),
    ],
)
async def test_an_error_is_one_line_and_a_code(spotdx: Spotdx, argv: list[str], code: int, reason: str) -> None:
    got, out, err = await spotdx("requisitions", *argv)

    assert (got, out, err.count("\n")) == (code, "", 1)
    assert reason in err


@pytest.mark.parametrize(
    "words",
    [
        *(["orders", verb] for verb in ("get", "list", "update")),
        *(["requisitions", verb] for verb in ("get", "list")),
        ["kits", "activate"],
        ["tokens", "create"],
    ],
)
async def test_the_help_of_each_command_has_an_example(spotdx: Spotdx, words: list[str]) -> None:
    code, out, err = await spotdx(*words, "--help")

    assert (code, err) == (0, "")
    assert f"Example: spotdx {' '.join(words)}" in out
    assert "screen" not in out.lower()


async def test_options_of_one_kit_and_of_files_of_rows_do_not_mix(
    spotdx: Spotdx, fake: FakeSpot, patient_id: str, tmp_path: Path
) -> None:
    rows = tmp_path / "kits.csv"
    rows.write_text(f"kit_id,patient_id\n{NEW_KIT},{patient_id}\n")
    known = ("--patient-id", patient_id, "--yes")

    file = await spotdx("kits", "activate", rows, *known)
    journal = await spotdx("kits", "activate", NEW_KIT, *known, "--journal", tmp_path / "j")

    assert (file.code, journal.code, fake.counts["requests"]) == (2, 2, 0)
    assert "kits.csv is a file, whose rows say who the patients are: leave out --patient-id" in file.err
    assert "with --patient-id or --patient one kit is activated: --journal is for files of rows" in journal.err
