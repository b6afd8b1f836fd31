"""An answer counts only where it shows that it is the one to its request: a proxy's 200 is no success."""

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest
from attrs import evolve
from hypothesis import assume, example, given
from hypothesis import strategies as st

from spotdx_async import (
    BulkStopped,
    ConfigError,
    DecodeError,
    InvalidInputError,
    NotFoundError,
    Outcome,
    OutcomeUnknownError,
    PermissionDeniedError,
    SpotClient,
    SpotError,
    WrongAnswerError,
    dumps,
    loads,
)
from spotdx_async._http.answer_check import fault_of
from spotdx_async._requests.identity import any_id
from spotdx_async.models import Patient
from spotdx_async.resources import kits, orders, patients, registration_tokens, requisitions
from spotdx_async.testing import FakeSpot, faults
from tests.new_objects import ORDER, PATIENT, REQUISITION

pytestmark = pytest.mark.virtual_time

KIT, ANOTHER, KNOWN_ORDER, NEW_KIT = "SPOT123456", "SPOT345678", "ORDER123456", "SPOT234567"
NOTHING = {
    "a message": b'{"message": "maintenance"}',
    "an empty object": b"{}",
    "an error": b'{"error": {"status": 500, "type": "internal_server_error", "detail": "canary"}}',
    "null": b"null",
    "a text": b'"ok"',
    "true": b"true",
    "an id that is null": b'{"kit_id": null, "order_id": null, "requisition_id": null, "patient_id": null}',
    "an empty id": b'{"kit_id": "", "order_id": " ", "requisition_id": "", "patient_id": "", "token": ""}',
    "an id that is true": b'{"kit_id": true, "order_id": true, "requisition_id": true, "patient_id": true}',
    "an id deeper inside": json.dumps({"data": {"kit_id": KIT, "order_id": KNOWN_ORDER, "patient_id": "P"}}).encode(),
    "an object in a list": json.dumps([{"message": "maintenance"}]).encode(),
}
Act = Callable[[SpotClient], Awaitable[Any]]
REPEATED: dict[str, Act] = {
    "kits.update_metadata": lambda spot: spot.kits.update_metadata(KIT, {}),
    "kits.get": lambda spot: spot.kits.get(KIT),
    "kits.list": lambda spot: spot.kits.list().first(1),
    "kits.types": lambda spot: spot.kits.types(),
    "orders.update_metadata": lambda spot: spot.orders.update_metadata(KNOWN_ORDER, {}),
    "orders.get": lambda spot: spot.orders.get(KNOWN_ORDER),
    "orders.list": lambda spot: spot.orders.list().first(1),
    "requisitions.get": lambda spot: spot.requisitions.get(KIT),
    "requisitions.list": lambda spot: spot.requisitions.list().first(1),
    "registration_tokens.create": lambda spot: spot.registration_tokens.create("P"),
}
CREATES: dict[str, Act] = {
    "orders.create": lambda spot: spot.orders.create(ORDER),
    "requisitions.create": lambda spot: spot.requisitions.create(REQUISITION),
    "patients.create": lambda spot: spot.patients.create(PATIENT),
    "kits.activate": lambda spot: spot.kits.activate(NEW_KIT, patient=PATIENT),
}


async def error_of(call: Awaitable[Any]) -> SpotError:
    with pytest.raises(SpotError) as caught:
        await call
    return caught.value


def test_every_operation_says_what_identifies_its_answer() -> None:
    nouns = (kits, orders, patients, registration_tokens, requisitions)

    unsaid = [operation.name for noun in nouns for operation in noun.OPERATIONS if operation.identity is None]

    assert unsaid == []


@pytest.mark.parametrize("name", REPEATED)
@pytest.mark.parametrize("answer", NOTHING)
async def test_what_does_not_show_that_it_is_the_answer_is_repeated_and_then_unknown(name: str, answer: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.body(NOTHING[answer], executes=False), times=None)

        error = await error_of(REPEATED[name](fake.client()))

        assert (type(error), error.attempts) == (DecodeError, 4)
        assert isinstance(error, DecodeError)
        assert (error.outcome, error.raw, error.may_be_executed) == ("unknown", None, True)
        assert "canary" not in f"{error!s}{error!r}{error.args}"


@pytest.mark.parametrize("name", CREATES)
@pytest.mark.parametrize("answer", NOTHING)
async def test_a_create_without_such_an_answer_is_unknown_and_never_repeated(name: str, answer: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add(faults.body(NOTHING[answer], status=201), times=None, method="POST")

        error = await error_of(CREATES[name](fake.client()))

        assert isinstance(error, OutcomeUnknownError)
        assert (error.reason, error.status, error.attempts, error.may_be_executed) == ("unreadable", 201, 1, True)
        assert error.clue is not None
        assert (len(fake.creations), fake.counts["requests"]) == (1, 1)
        assert "canary" not in f"{error!s}{error!r}{error.args}"


@pytest.mark.parametrize("name", ["kits.update_metadata", "kits.get", "orders.update_metadata", "orders.get"])
async def test_another_object_is_never_handed_on_and_never_repeated(name: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add("wrong_object", times=None)

        error = await error_of(REPEATED[name](fake.client()))

        assert isinstance(error, WrongAnswerError)
        assert (error.outcome, error.raw, error.attempts) == ("unknown", None, 1)
        assert error.may_be_executed
        assert fake.counts["requests"] == 1
        assert faults.WRONG_VALUE not in f"{error!s}{error!r}{error.args}{vars(error)}"


@pytest.mark.parametrize("name", ["orders.create", "requisitions.create", "patients.create"])
async def test_the_answer_to_another_create_is_wrong_and_says_how_to_look(name: str) -> None:
    async with FakeSpot() as fake:
        fake.faults.add("wrong_object")

        error = await error_of(CREATES[name](fake.client()))

        assert isinstance(error, WrongAnswerError)
        assert (len(fake.creations), fake.counts["requests"], error.may_be_executed) == (1, 1, True)
        assert error.clue is not None
        assert faults.WRONG_VALUE not in f"{error!s}{error!r}{error.args}"


async def test_an_order_behind_a_wrong_answer_is_found(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add("wrong_object")
    error = await error_of(spot_client.orders.create(ORDER))
    assert isinstance(error, WrongAnswerError)

    found = await spot_client.orders.reconcile(error)

    assert (found.state, found.value and found.value.order_id) == ("found", fake_spot.creations[0].an_id)


@pytest.mark.parametrize("metadata", [None, ...])
async def test_a_create_whose_answer_shows_no_metadata_is_known_by_its_id(fake_spot: FakeSpot, metadata: Any) -> None:
    answer = {"order_id": "O1"} | ({} if metadata is ... else {"metadata": metadata})
    fake_spot.faults.add(faults.body(json.dumps(answer).encode(), status=201))

    order = await fake_spot.client().orders.create(ORDER)

    assert order.order_id == "O1"


async def test_a_create_whose_answer_shows_metadata_without_the_reference_is_unknown(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.body(b'{"order_id": "O1", "metadata": {"other": "x"}}', status=201))

    assert isinstance(await error_of(fake_spot.client().orders.create(ORDER)), OutcomeUnknownError)


async def test_without_a_reference_the_metadata_of_an_answer_is_not_compared(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.body(b'{"order_id": "O1", "metadata": {"other": "x"}}', status=201))

    order = await fake_spot.client(client_ref_key=None).orders.create(ORDER)

    assert order.order_id == "O1"


async def test_the_documented_patient_without_an_id_is_known_by_what_was_sent(fake_spot: FakeSpot) -> None:
    answer = {"first_name": "Robin", "last_name": "SAMPLE ", "email": "Robin@example.com", "sex": "F"}
    spot = fake_spot.client()
    fake_spot.faults.add(faults.body(json.dumps(answer | {"date_of_birth": "1990-01-31"}).encode()))
    assert (await spot.patients.create(PATIENT)).last_name == "SAMPLE "
    spelled = {"date_of_birth": "1990-01-31T00:00:00Z", "last_name": "\uff33ample"}  # a wide letter
    fake_spot.faults.add(faults.body(json.dumps(answer | spelled).encode()))
    error = await error_of(spot.patients.create(PATIENT))  # the same patient, in a form of which no model can be made
    assert isinstance(error, DecodeError)
    assert error.outcome == "done"

    fake_spot.faults.add(faults.body(json.dumps(answer).encode()))
    assert isinstance(await error_of(spot.patients.create(PATIENT)), OutcomeUnknownError)
    fake_spot.faults.add(faults.body(json.dumps(answer | {"date_of_birth": "1971-01-31"}).encode()))
    assert isinstance(await error_of(spot.patients.create(PATIENT)), WrongAnswerError)


NAMES = st.builds(
    str.__add__,
    st.characters(categories=["L"]),
    st.text(st.characters(categories=["L", "M", "Nd", "Zs"], include_characters="-'."), max_size=30),
)
ANSWERED: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "composed": lambda name: normalize("NFC", name),
    "decomposed": lambda name: normalize("NFD", name),
    "compatible": lambda name: normalize("NFKC", name),
    "in capitals": str.upper,
    "in small letters": str.lower,
    "trimmed": str.strip,
    "with single spaces": lambda name: " ".join(name.split()),
    "cut": lambda name: name[: max(1, len(name) * 2 // 3)],
    "decomposed and cut": lambda name: normalize("NFD", name)[: max(1, len(name) * 2 // 3)],
    "composed and cut in capitals": lambda name: normalize("NFC", name).upper()[: max(1, len(name) // 2)],
}


def fault_of_name(sent: str, came: str, **others: Any) -> DecodeError | None:
    """What is wrong with the answer to a create of a patient with this last name."""
    request = patients._creation(evolve(PATIENT, last_name=sent))
    answer = json.loads(dumps(PATIENT)) | {"patient_id": "P", "last_name": came} | others
    body = json.dumps(answer).encode()
    return fault_of(request, any_id("patient_id"), body, loads(body, Patient))


@given(NAMES, st.sampled_from([*ANSWERED]))
@example("Müller-Lüdenscheidt", "cut")
@example("Ångström", "decomposed and cut")
@example("Straße", "composed and cut in capitals")
def test_a_patient_whose_name_was_tidied_or_cut_is_the_one(sent: str, form: str) -> None:
    came = ANSWERED[form](sent)

    assert fault_of_name(sent, came) is None


@given(NAMES, NAMES)
def test_a_patient_with_another_name_is_another_one(sent: str, came: str) -> None:
    one, other = (normalize("NFKD", name.upper()).casefold() for name in (sent, came))
    assume(one[0].isalpha() and other[0].isalpha() and one[0] != other[0])

    assert isinstance(fault_of_name(sent, came), WrongAnswerError)


@pytest.mark.parametrize("name", ["email", "date_of_birth"])
@pytest.mark.parametrize("came", ["Sample", "SAMP", "Example"])
def test_a_cut_name_is_enough_only_where_address_and_day_are_the_same(name: str, came: str) -> None:
    others: dict[str, Any] = {name: {"email": "other@example.com", "date_of_birth": "1971-01-01"}[name]}
    assert isinstance(fault_of_name("Sample", came, **others), WrongAnswerError)
    missing = fault_of_name("Sample", came, **{name: None})
    assert (missing is None) == (came == "Sample")
    assert not isinstance(missing, WrongAnswerError) or came == "Example"


async def test_an_answer_that_lacks_everything_but_the_id_is_accepted(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add(faults.body(json.dumps({"kit_id": KIT}).encode()))

    kit = await spot_client.kits.update_metadata(KIT, {})

    assert (kit.kit_id, kit.status) == (KIT, None)


async def test_ids_of_kits_are_compared_as_they_are_and_uuids_whatever_their_case(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    fake_spot.faults.add(faults.body(json.dumps({"kit_id": KIT.lower()}).encode()))
    assert isinstance(await error_of(spot_client.kits.get(KIT)), WrongAnswerError)

    requisition_id = next(iter(fake_spot.requisitions))
    answer = json.dumps({"requisition_id": requisition_id.upper()}).encode()
    fake_spot.faults.add(faults.body(answer))
    assert (await spot_client.requisitions.get(requisition_id)).requisition_id == requisition_id.upper()
    fake_spot.faults.add(faults.body(b'{"requisition_id": "00000000-0000-0000-0000-000000000000"}'))
    assert isinstance(await error_of(spot_client.requisitions.get(requisition_id)), WrongAnswerError)


async def test_an_empty_list_is_an_answer_and_a_list_keeps_its_single_odd_rows(
    fake_spot: FakeSpot, spot_client: SpotClient
) -> None:
    for _ in range(2):
        fake_spot.faults.add(faults.body(b"[]"))
    assert await spot_client.kits.list().first(5) == []
    assert await spot_client.kits.types() == []

    fake_spot.faults.add(faults.body(b'[{"kit_type": "a"}, {"kit_id": "SPOT1"}]'))
    assert [kit.kit_id for kit in await spot_client.kits.list().first(5)] == [None, "SPOT1"]


async def test_a_raw_request_takes_whatever_comes(fake_spot: FakeSpot, spot_client: SpotClient) -> None:
    fake_spot.faults.add(faults.body(b'{"message": "maintenance"}'))

    response = await spot_client.request("GET", f"/api/v2/kits/{KIT}/")

    assert response.json() == {"message": "maintenance"}


# Bulk runs


async def run(spot: SpotClient, rows: Any, **options: Any) -> list[Outcome[Any]]:
    return [outcome async for outcome in spot.kits.update_metadata_many(rows, **options)]


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("answer", [b'{"message": "maintenance"}', b"{}", b"[]", b"null", b'{"error": "no"}'])
async def test_no_row_is_done_by_a_200_of_a_proxy_and_a_resumed_journal_sends_it(
    tmp_path: Path, answer: bytes, *, decode: bool
) -> None:
    async with FakeSpot(kits=100) as fake:
        rows = [(kit_id, {"n": 1}) for kit_id in fake.kits]
        planned = fake.faults.add(faults.body(answer, executes=False), times=None)
        seen: list[Outcome[Any]] = []
        with pytest.raises(BulkStopped):
            async for outcome in fake.client().kits.update_metadata_many(
                rows, decode=decode, journal=tmp_path / "journal", outage_limit=60
            ):
                seen.append(outcome)  # noqa: PERF401 - what came before the end is looked at
        states = Counter(outcome.state for outcome in seen)
        assert not states.keys() & {"ok", "failed"}
        assert states["unknown"]
        fake.faults.withdraw(planned)

        again = await run(fake.client(), rows, decode=decode, journal=tmp_path / "journal")

        assert Counter(outcome.state for outcome in again) == {"ok": 100}
        assert all(kit.metadata == {"n": 1} for kit in fake.kits.values())


@pytest.mark.parametrize("decode", [True, False])
async def test_three_answers_of_other_objects_in_a_row_stop_a_run(tmp_path: Path, *, decode: bool) -> None:
    async with FakeSpot(kits=100) as fake:
        rows = [(kit_id, {"n": 1}) for kit_id in fake.kits]
        planned = fake.faults.add("wrong_object", times=None)
        seen: list[Outcome[Any]] = []
        with pytest.raises(BulkStopped) as caught:
            async for outcome in fake.client().kits.update_metadata_many(
                rows, decode=decode, concurrency=1, journal=tmp_path / "journal"
            ):
                seen.append(outcome)  # noqa: PERF401 - as above

        assert isinstance(caught.value.cause, WrongAnswerError)
        assert fake.counts["requests"] == 3
        sent = [outcome for outcome in seen if outcome.attempts]
        assert [(outcome.state, type(outcome.error)) for outcome in sent] == [("unknown", WrongAnswerError)] * 3
        assert all(outcome.value is None for outcome in seen)
        fake.faults.withdraw(planned)
        again = await run(fake.client(), rows, decode=decode, journal=tmp_path / "journal")
        assert Counter(outcome.state for outcome in again) == {"ok": 100}


async def test_refusals_and_wrong_answers_are_counted_apart_and_a_good_row_ends_the_count() -> None:
    async with FakeSpot(kits=12) as fake:
        wrong, refused = "wrong_object", faults.status(403)
        for kit_id, fault in zip(fake.kits, [wrong, wrong, None, wrong, wrong, refused, refused, wrong], strict=False):
            if fault is not None:
                fake.faults.add(fault, kit_id=kit_id)

        outcomes = await run(fake.client(), [(kit_id, {}) for kit_id in fake.kits], concurrency=1, ordered=True)

    ends = [outcome.state for outcome in outcomes]
    assert ends == [*["unknown"] * 2, "ok", *["unknown"] * 2, *["failed"] * 2, "unknown", *["ok"] * 4]
    assert isinstance(outcomes[5].error, PermissionDeniedError)


ODD_BUT_RIGHT = {
    "no spaces": b'{"kit_id":"%b","events":[]}',
    "another key first": b'{"type": "t", "kit_id": "%b"}',
    "spaces and lines": b'\n{ "kit_id" :\n "%b" }\n',
    "a byte order mark": b'\xef\xbb\xbf{"kit_id": "%b"}',
    "its key deeper inside as well": b'{"kit_id": "%b", "sample": {"kit_id": "SPOT9"}}',
    "the last of two": b'{"kit_id": "SPOT9", "kit_id": "%b"}',
    "escaped": b'{"\\u006bit_id": "%b"}',
    "with texts that hold braces": b'{"kit_id": "%b", "metadata": {"note": "}{", "other": ":-}"}}',
    "with a text that looks like the end": b'{"kit_id": "%b", "metadata": {"note": "},"}}',
}
ODD_AND_WRONG = {
    "only deeper inside": (b'{"data": {"kit_id": "%b"}}', DecodeError),
    "in a text": (b'{"message": "\\"kit_id\\": \\"%b\\""}', DecodeError),
    "in a list": (b'[{"kit_id": "%b"}]', DecodeError),
    "cut": (b'{"kit_id": "%b", "sample": {"a"', DecodeError),
    "cut at an inner brace": (b'{"kit_id": "%b", "sample": {"a": 1}', DecodeError),
    "cut after a text with a brace": (b'{"kit_id": "%b", "metadata": {"note": ":-}", "n": {"a": 1}', DecodeError),
    "cut within a text": (b'{"kit_id": "%b", "note": "}', DecodeError),
    "cut after a list's object": (b'{"kit_id": "%b", "events": [{"a": "}"}', DecodeError),
    "cut after a text that looks like the end": (b'{"kit_id": "%b", "a": {"b": "},", "c": {}}', DecodeError),
    "the first of two": (b'{"kit_id": "%b", "kit_id": "SPOT9"}', WrongAnswerError),
    "its beginning": (b'{"kit_id": "%b7"}', WrongAnswerError),
    "with an escaped key": (b'{"kit_id": "%b", "kit\\u005fid": "SPOT9"}', WrongAnswerError),
    "at its end": (b'{"kit_id": "SPOT9", "sample": {"kit_id": "%b"}}', WrongAnswerError),
}


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("form", ODD_BUT_RIGHT)
async def test_the_right_id_is_found_in_every_form(fake_spot: FakeSpot, form: str, *, decode: bool) -> None:
    fake_spot.faults.add(faults.body(ODD_BUT_RIGHT[form] % KIT.encode()))

    (outcome,) = await run(fake_spot.client(), [(KIT, {})], decode=decode)

    assert outcome.state == "ok"
    assert fake_spot.counts["requests"] == 1


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("form", ODD_AND_WRONG)
async def test_no_other_place_is_taken_for_the_id(fake_spot: FakeSpot, form: str, *, decode: bool) -> None:
    text, kind = ODD_AND_WRONG[form]
    fake_spot.faults.add(faults.body(text % KIT.encode()), times=None)

    (outcome,) = await run(fake_spot.client(), [(KIT, {})], decode=decode)

    assert (outcome.state, type(outcome.error)) == ("unknown", kind)


@pytest.mark.parametrize("kit_id", ['a"b', 'a","x":"b', "é", "a b", "a'b"])
@pytest.mark.parametrize("decode", [True, False])
async def test_an_id_of_any_characters_is_known_again(kit_id: str, *, decode: bool) -> None:
    async with FakeSpot(kits=[kit_id]) as fake:
        (outcome,) = await run(fake.client(), [(kit_id, {})], decode=decode)

    assert outcome.state == "ok"


async def test_an_id_with_a_quote_is_not_found_in_other_members(fake_spot: FakeSpot) -> None:
    fake_spot.faults.add(faults.body(b'{"kit_id": "a","x":"b"}'))

    (outcome,) = await run(fake_spot.client(), [('a","x":"b', {})], decode=False)

    assert isinstance(outcome.error, WrongAnswerError)


# Ids that lead elsewhere

ELSEWHERE = ["x/../../orders/O1", "a/b", "a\\b", "%2e%2e", "a%2Fb", "a%255cb", "...", "..;", f"{KIT};x", f"{KIT}%3Bx"]
WITH_IDS: dict[str, Callable[[SpotClient, str], Awaitable[Any]]] = {
    "kits.update_metadata": lambda spot, an_id: spot.kits.update_metadata(an_id, {}),
    "kits.get": lambda spot, an_id: spot.kits.get(an_id),
    "kits.activate": lambda spot, an_id: spot.kits.activate(an_id, patient=PATIENT),
    "orders.update_metadata": lambda spot, an_id: spot.orders.update_metadata(an_id, {}),
    "orders.get": lambda spot, an_id: spot.orders.get(an_id),
    "requisitions.get": lambda spot, an_id: spot.requisitions.get(an_id),
    "registration_tokens.create": lambda spot, an_id: spot.registration_tokens.create(an_id),
}


@pytest.mark.parametrize("name", WITH_IDS)
@pytest.mark.parametrize("an_id", ELSEWHERE)
async def test_an_id_that_could_lead_to_another_object_is_refused_unless_it_is_allowed(name: str, an_id: str) -> None:
    async with FakeSpot() as fake:
        with pytest.raises(InvalidInputError) as caught:
            await WITH_IDS[name](fake.client(), an_id)
        assert an_id not in str(caught.value)
        assert fake.counts["requests"] == 0

        error = await error_of(WITH_IDS[name](fake.client(allow_any_id=True), an_id))

        assert isinstance(error, NotFoundError)


@pytest.mark.parametrize("decode", [True, False])
async def test_a_row_with_such_an_id_is_rejected_unless_it_is_allowed(*, decode: bool) -> None:
    async with FakeSpot(kits=[KIT, *ELSEWHERE]) as fake:
        rows = [(kit_id, {"n": 1}) for kit_id in fake.kits]

        outcomes = await run(fake.client(), rows, decode=decode, ordered=True)

        assert [outcome.state for outcome in outcomes] == ["ok", *["rejected"] * len(ELSEWHERE)]
        assert all(isinstance(outcome.error, InvalidInputError) for outcome in outcomes[1:])
        assert fake.counts["requests"] == 1
        allowed = await run(fake.client(allow_any_id=True), rows, decode=decode)
        assert {outcome.state for outcome in allowed} == {"ok"}


async def test_only_true_allows_any_id(fake_spot: FakeSpot) -> None:
    with pytest.raises(ConfigError, match="allow_any_id"):
        fake_spot.client(allow_any_id="false")
