"""``spotdx orders|requisitions|patients create``: asked about, done once, looked after; in this process."""

import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from spotdx_async import SpotClient
from spotdx_async.cli.output import Streams
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Spotdx

ADDRESS = {"street1": "1 Canary Lane", "city": "Canaryville", "state": "IL", "country": "US", "zip": "60609"}
PERSON = {"first_name": "Canary", "last_name": "Bird", "email": "canary@example.org", "phone": "2025550199"}
PATIENT = {**PERSON, "sex": "F", "date_of_birth": "1990-01-31"}
ORDER: dict[str, Any] = {
    "kit_types": ["health_kit_1", "health_kit_1"],
    "recipient": {**PERSON, "address": ADDRESS},
    "metadata": {"cohort": "A"},
}
REQUISITION: dict[str, Any] = {
    "barcode": "19742938329",
    "panels": ["HIV-PANEL"],
    "account_number": "1234567890",
    "lab": "CRL",
    "state_collected": "IL",
    "patient": {**PATIENT, "address": ADDRESS},
}
PHI = ["anary", "Bird", "2025550199", "1990-01-31", "60609", "HIV"]
NOUNS: dict[str, Any] = {"orders": ORDER, "requisitions": REQUISITION, "patients": PATIENT}


@pytest.fixture
def file_of(tmp_path: Path) -> Callable[[Any], Path]:
    def write(value: Any) -> Path:
        path = tmp_path / "object.json"
        path.write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())
        return path

    return write


FileOf: TypeAlias = Callable[[Any], Path]


def without_reference(err: str) -> str:
    """Take the line with the reference of what is sent off what a command said."""
    return re.sub(r"spotdx: client reference .*\n", "", err)


def posts(fake: FakeSpot) -> int:
    return sum(request.method == "POST" for request in fake.requests)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_what_is_created_is_shown_without_patient_data_unless_asked_for(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str, form: list[str]
) -> None:
    hidden = await spotdx(noun, "create", file_of(NOUNS[noun]), "--yes", *form)
    assert (hidden.code, without_reference(hidden.err)) == (0, "")
    assert [word for word in PHI if word in hidden.out] == []
    assert "<hidden>" in hidden.out

    again = {**NOUNS[noun], "barcode": "19742938330"} if noun == "requisitions" else NOUNS[noun]
    shown = await spotdx(noun, "create", "--yes", "--show-phi", *form, file_of(again))
    assert (shown.code, without_reference(shown.err), "Canary" in shown.out) == (0, "", True)
    assert len(fake.creations) == posts(fake) == 2


@pytest.mark.usefixtures("soon")
async def test_an_order_is_placed_as_the_file_says(spotdx: Spotdx, fake: FakeSpot, file_of: FileOf) -> None:
    before = set(fake.orders)

    done = await spotdx("orders", "create", file_of(ORDER), "--yes", "--client-ref", "study-7-A", "--json")

    order = json.loads(done.out)
    assert {order["order_id"]} == set(fake.orders) - before
    assert order["status"] == "pending"
    sent = dict(fake.requests[-1].body)
    assert sent.pop("metadata") == {"cohort": "A", "client_ref": "study-7-A"}
    assert sent == {name: value for name, value in ORDER.items() if name != "metadata"}


async def test_the_id_of_a_new_patient_is_shown_since_it_can_be_had_nowhere_else(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf
) -> None:
    before = set(fake.patients)

    done = await spotdx("patients", "create", file_of(PATIENT), "--yes", "--json")

    patient = json.loads(done.out)
    assert {patient.pop("patient_id")} == set(fake.patients) - before
    assert {value for value in patient.values() if value is not None} == {"<hidden>"}


@pytest.mark.parametrize(
    ("noun", "question"),
    [
        ("orders", "Order 2 kits (health_kit_1 x2) for one recipient on {url}? [y/N] "),
        ("requisitions", "Create a requisition of 1 panel for one patient on {url}? [y/N] "),
        ("patients", "Create one patient on {url}? [y/N] "),
    ],
)
async def test_on_a_terminal_it_is_asked_first_without_patient_data(
    asked: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str, question: str
) -> None:
    path = file_of(NOUNS[noun])

    for answer in ("n\n", "\n", ""):
        refused = await asked(answer, noun, "create", path)
        assert (refused.code, refused.out, fake.requests) == (3, "", [])
        assert refused.err.startswith(question.format(url=fake.url))
        assert refused.err.endswith("spotdx: nothing was sent\n")
        assert [word for word in PHI if word in refused.err] == []
    agreed = await asked("y\n", noun, "create", path, "--json")
    assert (agreed.code, without_reference(agreed.err)) == (0, question.format(url=fake.url))
    assert len(fake.creations) == 1


async def test_a_question_names_some_kinds_of_kits_and_the_production_server(
    asked: Spotdx, fake: FakeSpot, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTDX_BASE_URL")
    kinds = ["b", *(f"kind{number}" for number in range(7)), "b\x1b[31m", "b"]

    done = await asked("no\n", "orders", "create", file_of({**ORDER, "kit_types": kinds}))

    assert (done.code, fake.requests) == (3, [])
    told = "Order 10 kits (b x2, kind0 x1, kind1 x1, kind2 x1, kind3 x1, and 4 other kinds) for one recipient on the"
    assert done.err.startswith(f"{told} production server?")
    shown = await asked("no\n", "orders", "create", file_of({**ORDER, "kit_types": ["\x1b[31m[red]"]}))
    assert "Order 1 kit (\\x1b[31m[red] x1) for" in shown.err


@pytest.mark.parametrize("noun", NOUNS)
async def test_where_nobody_can_be_asked_nothing_is_sent(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str
) -> None:
    for path in (file_of(NOUNS[noun]), "-"):
        done = await spotdx(noun, "create", path)
        assert (done.code, done.out, done.err.count("\n"), fake.requests) == (2, "", 1, [])
        assert "pass --yes" in done.err


async def test_a_dash_on_a_terminal_needs_a_yes_too(asked: Spotdx, fake: FakeSpot) -> None:
    done = await asked("y\n", "orders", "create", "-")

    assert (done.code, fake.requests) == (2, [])
    assert "pass --yes" in done.err


async def test_rows_on_standard_input_are_told_what_they_need(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = b"key,kit_types\nP1,health_kit_1\n"
    monkeypatch.setattr("spotdx_async.files.json_file._open", lambda _path: io.BytesIO(rows))

    done = await spotdx("orders", "create", "-", "--yes")

    assert done.code == 2
    assert "broken JSON" in done.err
    assert "rows need --batch NAME and --journal PATH" in done.err


@pytest.mark.parametrize("yes", [[], ["--yes"]])
@pytest.mark.parametrize(
    ("noun", "content", "reason"),
    [
        ("orders", b"", "the file is empty"),
        ("orders", b"[]", "is not a JSON object"),
        ("orders", b'{"kit_types": ["health_kit_1"', "broken JSON"),
        ("orders", {}, "2 faults: kit_types is required; recipient is required; nothing was sent"),
        ("orders", {**ORDER, "kit_type": "x"}, "unknown fields: kit_type"),
        ("orders", {"recipient": {"address": {"street_2": "x"}}}, "unknown fields: recipient.address.street_2"),
        ("orders", {**ORDER, "kit_types": "health_kit_1"}, "kit_types should be"),
        ("orders", {**ORDER, "kit_types": []}, "kit_types is required"),
        ("orders", {**ORDER, "recipient": {**PERSON, "address": {**ADDRESS, "country": "DE"}}}, "address.country must"),
        ("requisitions", {**REQUISITION, "panels": []}, "panels is required"),
        ("requisitions", {**REQUISITION, "attributes": {"crl_slip_id": "x" * 11}}, "attributes.crl_slip_id must be"),
        ("patients", {**PATIENT, "date_of_birth": "31.01.1990"}, "date_of_birth"),
        ("patients", {**PATIENT, "date_of_birth": "9990-01-31"}, "date_of_birth must not be in the future"),
        ("patients", {**PATIENT, "address": ADDRESS}, "address must be left out"),
    ],
)
async def test_a_wrong_file_is_refused_before_anybody_is_asked(
    asked: Spotdx, fake: FakeSpot, file_of: FileOf, *, noun: str, content: Any, reason: str, yes: list[str]
) -> None:
    done = await asked("y\n", noun, "create", file_of(content), *yes)

    assert (done.code, done.out, done.err.count("\n"), fake.requests) == (2, "", 1, [])
    assert reason in done.err
    assert "[y/N]" not in done.err
    assert [word for word in PHI if word in done.err] == []


async def test_what_is_no_file_is_refused_by_its_name(
    spotdx: Spotdx, fake: FakeSpot, tmp_path: Path, file_of: FileOf
) -> None:
    cases: list[tuple[list[object], str]] = [
        ([tmp_path], f"{tmp_path}: Is a directory"),
        ([tmp_path / "none.json"], "none.json: No such file or directory"),
        ([], "FILE is missing"),
        (["--nope"], "unknown option --nope"),
        ([file_of(ORDER), "--nope"], "--nope"),
        ([file_of(ORDER), "--client-ref", ""], "client_ref"),
    ]
    for words, reason in cases:
        done = await spotdx("orders", "create", *words, "--yes")
        assert (done.code, done.out, done.err.count("\n"), fake.requests) == (2, "", 1, [])
        assert reason in done.err


async def test_a_file_with_a_byte_order_mark_is_read(spotdx: Spotdx, fake: FakeSpot, file_of: FileOf) -> None:
    done = await spotdx("orders", "create", file_of(b"\xef\xbb\xbf" + json.dumps(ORDER).encode()), "--yes")

    assert (done.code, len(fake.creations)) == (0, 1)


async def test_without_a_token_nobody_is_asked(
    asked: Spotdx, fake: FakeSpot, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPOTDX_TOKEN")

    done = await asked("y\n", "orders", "create", file_of(ORDER))

    assert (done.code, fake.requests) == (2, [])
    assert done.err == "spotdx: no token: set the environment variable SPOTDX_TOKEN (it is never an argument)\n"


@pytest.mark.parametrize("noun", ["orders", "requisitions"])
async def test_a_create_without_an_answer_is_looked_for_and_found(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str
) -> None:
    fake.faults.add("drop_after", method="POST")

    done = await spotdx(noun, "create", file_of(NOUNS[noun]), "--yes", "--json", "--timeout", "0.5")

    assert done.code == 0
    assert "spotdx: it was done: nothing is left to do\n" in done.err
    shown = json.loads(done.out)
    assert shown.get("order_id", shown.get("requisition_id")) in {*fake.orders, *fake.requisitions}
    assert len(fake.creations) == posts(fake) == 1
    assert [word for word in PHI if word in done.out + done.err] == []


def last_line(err: str) -> str:
    return err.splitlines()[-1]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("noun", ["orders", "requisitions"])
@pytest.mark.parametrize("reference", [None, "study 7's"])
async def test_the_reference_is_told_before_anything_is_sent_and_finds_what_was_created(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str, reference: str | None
) -> None:
    given = [] if reference is None else ["--client-ref", reference]

    done = await spotdx(noun, "create", file_of(NOUNS[noun]), "--yes", *given)
    told, _, command = last_line(done.err).partition("; if no answer comes: ")
    program, *words = shlex.split(command)
    found = await spotdx(*words, "--json")

    sent = fake.creations[0].body["metadata"]["client_ref"]
    assert told == f"spotdx: client reference {sent}"
    assert sent == (reference or sent)
    assert program == "spotdx"
    answer = json.loads(found.out)
    assert (found.code, answer["state"], answer["duplicates"]) == (0, "found", [])
    assert fake.creations[0].an_id in answer["value"].values()
    assert [word for word in PHI if word in found.out + found.err] == []


async def test_nothing_is_sent_before_the_reference_is_told(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int]] = []
    monkeypatch.setattr(Streams, "say", lambda _screen, text: told.append((text, len(fake.requests))))

    await spotdx("orders", "create", file_of(ORDER), "--yes")

    [(text, requests)] = told
    assert text.startswith("client reference ")
    assert requests == 0


@pytest.mark.usefixtures("soon")
async def test_what_was_never_created_is_not_found(spotdx: Spotdx) -> None:
    for about in (["--client-ref", "study-8"], ["--client-ref", "study-8", "--sent-at", "2026-01-01T00:00:00Z"]):
        done = await spotdx("orders", "reconcile", *about)
        assert (done.code, done.out) == (1, "")
        assert last_line(done.err) == "spotdx: it was not done, and no longer can be: it may be sent again"

    done = await spotdx("requisitions", "reconcile", "--barcode", "0", "--json")
    assert (done.code, json.loads(done.out)) == (1, {"state": "not found", "value": None, "duplicates": []})


@pytest.mark.usefixtures("soon")
async def test_what_cannot_be_looked_at_leaves_it_open(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add("404", times=None, order_id="ORDER123456")

    done = await spotdx("orders", "reconcile", "--client-ref", "study-8")

    assert (done.code, done.out) == (3, "")
    assert "answered 404" in done.err
    assert last_line(done.err).startswith("spotdx: whether it was done is not known: look again later")


async def test_several_with_one_reference_are_named(spotdx: Spotdx, fake: FakeSpot, file_of: FileOf) -> None:
    for _ in range(2):
        await spotdx("orders", "create", file_of(ORDER), "--yes", "--client-ref", "study-7", "--never-sent")
    first, second = (creation.an_id for creation in fake.creations)

    done = await spotdx("orders", "reconcile", "--client-ref", "study-7")

    assert (done.code, first in done.out) == (0, True)
    assert last_line(done.err) == f"spotdx: it was done more than once; the others with this reference: {second}"


@pytest.mark.parametrize(
    ("about", "told"),
    [
        (["--client-ref", "x", "--sent-at", "2024-01-31T12:00:00"], "--sent-at must be a date and time with a zone"),
        (["--client-ref", "x", "--sent-at", "yesterday"], "--sent-at must be a date and time with a zone"),
        (["--client-ref", "x", "--sent-at", "2999-01-31T12:00:00Z"], "--sent-at must not be in the future"),
        (["--client-ref", "x", "--since", "yesterday"], "--since must be a date"),
        (["--client-ref", ""], "client_ref must be text, and not empty"),
    ],
)
@pytest.mark.parametrize("noun", ["orders", "requisitions"])
async def test_what_cannot_be_looked_for_is_refused(
    spotdx: Spotdx, fake: FakeSpot, noun: str, about: list[str], told: str
) -> None:
    done = await spotdx(noun, "reconcile", *about)

    assert (done.code, done.out, fake.requests) == (2, "", [])
    assert told in done.err


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("noun", ["orders", "requisitions"])
@pytest.mark.parametrize("fault", ["drop_before", "500"])
async def test_a_create_that_was_not_carried_out_may_be_given_again(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, noun: str, fault: str
) -> None:
    fake.faults.add(fault, method="POST")
    command = (noun, "create", file_of(NOUNS[noun]), "--yes", "--timeout", "0.3")

    done = await spotdx(*command)

    assert (done.code, done.out, fake.creations, posts(fake)) == (1, "", [], 1)
    assert done.err.endswith("spotdx: it was not done: you may run the same command again\n")
    assert (await spotdx(*command)).code == 0
    assert len(fake.creations) == 1


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize(
    ("looking", "told"), [("404", "answered 404"), ("401", "check SPOTDX_TOKEN"), ("500", "answered 500")]
)
async def test_where_looking_fails_too_it_is_said_what_to_do(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, looking: str, told: str
) -> None:
    fake.faults.add("drop_after", method="POST")
    fake.faults.add(looking, times=None, method="GET")

    done = await spotdx("orders", "create", file_of(ORDER), "--yes", "--timeout", "0.3")

    assert (done.code, done.out, len(fake.creations)) == (1, "", 1)
    assert "still not known: look with spotdx orders reconcile before you run this command again" in done.err
    assert told in done.err


async def test_a_new_patient_cannot_be_looked_for(spotdx: Spotdx, fake: FakeSpot, file_of: FileOf) -> None:
    fake.faults.add("drop_after", method="POST")

    done = await spotdx("patients", "create", file_of(PATIENT), "--yes")

    assert (done.code, done.out, len(fake.creations), len(fake.requests)) == (1, "", 1, 1)
    assert "whether it was done cannot be looked up: only the vendor can tell" in done.err


async def test_a_refusal_keeps_the_reasons_that_may_name_patients_until_asked_for(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf
) -> None:
    path = file_of(REQUISITION)
    assert (await spotdx("requisitions", "create", path, "--yes")).code == 0

    done = await spotdx("requisitions", "create", path, "--yes")
    assert done.code == 1
    assert "the server answered 400" in done.err
    assert "the server gave 1 reason, which may name patients: --show-phi shows it" in done.err
    done = await spotdx("requisitions", "create", path, "--yes", "--show-phi")
    assert (done.code, "spotdx: the server says: barcode: " in done.err) == (1, True)
    assert len(fake.creations) == 1


@pytest.mark.parametrize("fault", [faults.body(b'{"message": "Canary"}', status=201), faults.wrong_object()])
async def test_an_answer_of_something_else_makes_it_look_for_the_order(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, fault: faults.Fault
) -> None:
    fake.faults.add(fault, method="POST")

    done = await spotdx("orders", "create", file_of(ORDER), "--yes")

    assert (done.code, len(fake.creations)) == (0, 1)
    assert "it was done: nothing is left to do" in done.err
    assert "Canary" not in done.err


async def test_an_answer_of_another_shape_is_no_failure(spotdx: Spotdx, fake: FakeSpot, file_of: FileOf) -> None:
    fake.faults.add(faults.body(b'{"order_id": "O1", "kit_types": "Canary"}', status=201), method="POST")

    done = await spotdx("orders", "create", file_of(ORDER), "--yes")

    assert (done.code, done.out) == (0, "")
    assert "it was done all the same: do not run this command again" in done.err
    assert "Canary" not in done.err


async def test_an_interrupt_under_way_says_that_it_may_have_been_done(
    spotdx: Spotdx, fake: FakeSpot, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = SpotClient.__aexit__

    async def interrupted(self: SpotClient, *about: Any) -> None:
        await close(self, *about)
        raise KeyboardInterrupt

    monkeypatch.setattr(SpotClient, "__aexit__", interrupted)

    done = await spotdx("orders", "create", file_of(ORDER), "--yes")

    assert (done.code, len(fake.creations)) == (1, 1)
    assert without_reference(done.err) == (
        "spotdx: stopped while it was under way, so it may have been done: "
        "look with spotdx orders reconcile before you run this command again\n"
    )


@pytest.mark.parametrize("noun", NOUNS)
async def test_the_help_shows_the_form_of_the_file_and_an_example(spotdx: Spotdx, noun: str) -> None:
    done = await spotdx(noun, "create", "--help")

    assert (done.code, done.err) == (0, "")
    assert all(word in done.out for word in (f"Example: spotdx {noun} create", '"first_name"', "--yes", "--show-phi"))
    assert "screen" not in done.out.lower()
