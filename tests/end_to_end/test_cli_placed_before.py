"""A reference of one's own is looked up before anything is sent: nothing is created twice; in this process."""

import asyncio
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from spotdx_async._http.runner import Runner
from spotdx_async.cli.app import run
from spotdx_async.testing import FakeSpot, faults
from tests.command_line import Done, Spotdx
from tests.patience import until

ADDRESS = {"street1": "1 Canary Lane", "city": "Canaryville", "state": "IL", "country": "US", "zip": "60609"}
PERSON = {"first_name": "Canary", "last_name": "Bird", "email": "canary@example.org", "phone": "2025550199"}
ORDER: dict[str, Any] = {"kit_types": ["health_kit_1"], "recipient": {**PERSON, "address": ADDRESS}}
REQUISITION: dict[str, Any] = {
    "barcode": "19742938329",
    "panels": ["HIV-PANEL"],
    "account_number": "1234567890",
    "lab": "CRL",
    "state_collected": "IL",
    "patient": {**PERSON, "sex": "F", "date_of_birth": "1990-01-31", "address": ADDRESS},
}
KNOWN_BY = {"orders": "reference", "requisitions": "barcode"}
NOUNS = {"orders": ORDER, "requisitions": REQUISITION}
REF = ("--client-ref", "study-7-A")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def spotdx(spotdx: Spotdx, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Spotdx:
    monkeypatch.setattr(Runner, "lands_within_s", 0.3)  # commands live in real time
    monkeypatch.chdir(tmp_path)
    for noun, value in NOUNS.items():
        Path(f"{noun}.json").write_text(json.dumps(value))

    async def command(*argv: str) -> Done:
        done = await spotdx(*argv)
        assert "anary" not in done.out + done.err
        return done

    return command


def posts(fake: FakeSpot) -> int:
    return sum(request.method == "POST" for request in fake.requests)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_what_was_created_before_is_shown_and_nothing_is_sent(
    spotdx: Spotdx, fake: FakeSpot, noun: str, form: list[str]
) -> None:
    command = (noun, "create", f"{noun}.json", *REF, "--yes", *form)
    first = await spotdx(*command)

    again = await spotdx(*command)

    assert (first[0], again[0], posts(fake), len(fake.creations)) == (0, 0, 1, 1)
    assert fake.creations[0].an_id in again[1]
    assert f"spotdx: it was done before, with this {KNOWN_BY[noun]}: nothing was sent\n" in again[2]
    if form:
        assert json.loads(again[1]).keys() >= json.loads(first[1]).keys()


async def test_nobody_is_asked_about_what_was_done_before(
    spotdx: Spotdx, fake: FakeSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    await spotdx("orders", "create", "orders.json", *REF, "--yes")
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    monkeypatch.setattr(sys, "stderr", seen := Terminal())

    code, _, _ = await spotdx("orders", "create", "orders.json", *REF)

    assert (code, posts(fake), "[y/N]" in seen.getvalue()) == (0, 1, False)


async def test_without_a_terminal_and_a_yes_nothing_is_looked_up(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, _, err = await spotdx("orders", "create", "orders.json", *REF)

    assert (code, "pass --yes" in err, fake.requests) == (2, True, [])


@pytest.mark.parametrize("noun", NOUNS)
async def test_an_attempt_that_is_still_under_way_is_waited_for(
    spotdx: Spotdx, fake: FakeSpot, noun: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Runner, "lands_within_s", 1.5)
    fake.faults.add(faults.land_later(0.4, status=None), method="POST")
    first = asyncio.ensure_future(spotdx(noun, "create", f"{noun}.json", *REF, "--never-sent", "--yes"))
    await until(lambda: posts(fake))

    second = await asyncio.to_thread(run, [noun, "create", f"{noun}.json", *REF, "--yes"])
    await first

    assert (second, len(fake.creations), posts(fake)) == (0, 1, 1)


async def test_a_reference_in_the_metadata_is_looked_up_too(spotdx: Spotdx, fake: FakeSpot) -> None:
    Path("orders.json").write_text(json.dumps({**ORDER, "metadata": {"client_ref": "in-the-file"}}))

    for _ in range(2):
        assert (await spotdx("orders", "create", "orders.json", "--yes"))[0] == 0

    assert (posts(fake), fake.creations[0].body["metadata"]) == (1, {"client_ref": "in-the-file"})


async def test_a_reference_that_we_make_up_is_not_looked_up(spotdx: Spotdx, fake: FakeSpot) -> None:
    code, _, err = await spotdx("orders", "create", "orders.json", "--yes")

    assert (code, [request.method for request in fake.requests], err.count("\n")) == (0, ["POST"], 1)


async def test_an_order_of_other_kits_is_pointed_out(spotdx: Spotdx, fake: FakeSpot) -> None:
    await spotdx("orders", "create", "orders.json", *REF, "--yes")
    Path("orders.json").write_text(json.dumps({**ORDER, "kit_types": ["health_kit_2"]}))

    code, _, err = await spotdx("orders", "create", "orders.json", *REF, "--yes")

    assert (code, posts(fake)) == (1, 1)
    assert "the order with this reference is one of 1 kit (health_kit_1 x1), not of 1 kit (health_kit_2 x1), so" in err


async def test_a_barcode_of_another_requisition_is_pointed_out(spotdx: Spotdx, fake: FakeSpot) -> None:
    await spotdx("requisitions", "create", "requisitions.json", *REF, "--yes")

    code, _, err = await spotdx("requisitions", "create", "requisitions.json", "--client-ref", "study-8", "--yes")

    assert (code, posts(fake)) == (1, 1)
    assert "the barcode belongs to a requisition with another reference, so nothing was sent" in err


async def test_several_with_one_reference_are_all_named(spotdx: Spotdx, fake: FakeSpot) -> None:
    for _ in range(2):
        await spotdx("orders", "create", "orders.json", *REF, "--yes", "--never-sent")

    code, out, err = await spotdx("orders", "create", "orders.json", *REF, "--yes")

    first, second = (creation.an_id for creation in fake.creations)
    assert (code, first in out, f"the others: {second}" in err, posts(fake)) == (0, True, True, 2)


async def test_what_nobody_can_know_is_not_sent(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add("404", times=None, order_id="ORDER123456")  # in the list, and cannot be judged

    code, out, err = await spotdx("orders", "create", "orders.json", *REF, "--yes")

    assert (code, out, posts(fake)) == (3, "", 0)
    assert "answered 404" in err
    assert "whether it was done before is not known, so nothing was sent" in err
    assert (await spotdx("orders", "create", "orders.json", *REF, "--yes", "--never-sent"))[0] == 0
    assert posts(fake) == 1


async def test_a_lookup_that_fails_sends_nothing(spotdx: Spotdx, fake: FakeSpot) -> None:
    fake.faults.add("403", times=None, method="GET")

    code, out, err = await spotdx("orders", "create", "orders.json", *REF, "--yes")

    assert (code, out, posts(fake)) == (1, "", 0)
    assert "cannot be looked up, so nothing was sent" in err
    assert "answered 403" in err


async def test_what_is_known_of_an_earlier_attempt_shortens_the_search(spotdx: Spotdx, fake: FakeSpot) -> None:
    about = ("--sent-at", "2024-01-31T12:00:00Z", "--since", "2024-01-31")

    code, _, _ = await spotdx("orders", "create", "orders.json", *REF, "--yes", *about)

    assert (code, posts(fake)) == (0, 1)
    asked = {request.query["created_after"] for request in fake.requests if request.method == "GET" and request.query}
    assert asked <= {"2024-01-29", "2024-01-30"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ([*REF, "--never-sent", "--since", "2024-01-31"], "--never-sent excludes --sent-at and --since"),
        (["--since", "2024-01-31"], "--sent-at and --since are about a reference: pass --client-ref"),
        ([*REF, "--sent-at", "2999-01-31T12:00:00Z"], "--sent-at must not be in the future"),
        ([*REF, "--since", "yesterday"], "--since must be a date"),
    ],
)
async def test_what_does_not_fit_is_refused(spotdx: Spotdx, fake: FakeSpot, words: list[str], reason: str) -> None:
    code, out, err = await spotdx("orders", "create", "orders.json", "--yes", *words)

    assert (code, out, reason in err, fake.requests) == (2, "", True, [])
