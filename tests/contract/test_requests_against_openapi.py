"""Properties of what the SDK sends, against the vendor's OpenAPI document, where that is at hand.

Inputs are drawn as JSON trees and made into models. The schemas are closed before a body is held against them: the
document allows any further property, and would let a misspelt one through.
"""

import asyncio
import inspect
import json
import math
import re
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, get_args
from urllib.parse import parse_qsl, quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS30Validator, oas30_format_checker

from spotdx_async import loads
from spotdx_async._http.messages import Reply, Request
from spotdx_async._http.runner import Runner
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import (
    Address,
    Carrier,
    Country,
    KitStatus,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    OrderStatus,
    Recipient,
    RequisitionAttributes,
    RequisitionStatus,
    SampleStatus,
    Sex,
    Tracking,
)
from spotdx_async.resources.kits import Kits
from spotdx_async.resources.orders import Orders
from spotdx_async.resources.patients import Patients
from spotdx_async.resources.registration_tokens import RegistrationTokens
from spotdx_async.resources.requisitions import Requisitions
from spotdx_async.testing import OPERATIONS as CALLS
from tests.calls import call, name_of, nouns
from tests.long_set import IS_FULL
from tests.new_objects import part

PLACE = Path(__file__).parents[2].parent / "shared" / "spot-api" / "openapi.json"
if not PLACE.is_file():
    pytest.skip("the vendor's OpenAPI document is not at hand: nothing to hold bodies against", allow_module_level=True)

DOCUMENT: dict[str, Any] = json.loads(PLACE.read_text(encoding="utf-8"))
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    documented["operationId"]: (method.upper(), path, documented)
    for path, methods in DOCUMENT["paths"].items()
    for method, documented in methods.items()
}

T = TypeVar("T")
Json = st.SearchStrategy[Any]
Schema = dict[str, Any]
Send = Callable[[Runner], Awaitable[Any]]
MANY = settings(
    max_examples=300 if IS_FULL else 60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- The network's stand-in -------------------------------------------------------------------------------------------


class StubRunner(Runner):
    """Keeps the requests, and answers each with the next of the answers; the last one answers all others."""

    def __init__(self, *answers: Any) -> None:
        self.allow_any_id, self.encode = True, None
        self.requests: list[Request] = []
        self._answers = answers

    async def call(self, request: Request, decode: Callable[[Reply], T]) -> T:
        answer = self._answers[min(len(self.requests), len(self._answers) - 1)]
        self.requests.append(request)
        return decode(Reply(200, {}, json.dumps(answer).encode()))


def sent(send: Send, *answers: Any) -> list[Request]:
    """Give the requests that a call makes."""
    runner = StubRunner(*(answers or ({},)))

    async def call() -> None:
        await send(runner)

    asyncio.run(call())
    return runner.requests


def refused(send: Send) -> InvalidInputError:
    """Give the error of a call that sends nothing."""
    runner = StubRunner({})

    async def call() -> None:
        await send(runner)

    with pytest.raises(InvalidInputError) as caught:
        asyncio.run(call())
    assert runner.requests == []
    return caught.value


# --- The document's schemas, closed -----------------------------------------------------------------------------------


def closed(schema: Schema) -> Schema:
    """Put the referenced schemas in place, and let no property beyond them pass."""
    if "$ref" in schema:
        return closed(DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    whole = dict(schema)
    if "properties" in schema:
        whole["properties"] = {name: closed(one) for name, one in schema["properties"].items()}
        whole["additionalProperties"] = False
    if "items" in schema:
        whole["items"] = closed(schema["items"])
    return whole


def body_schema(name: str) -> Schema:
    schema = closed(OPERATIONS[name][2]["requestBody"]["content"]["application/json"]["schema"])
    if name == "api_v2_create_requisition":
        # In the contract and in the answer's schema, and forgotten in that of the request.
        answer = closed({"$ref": "#/components/schemas/Requisition"})
        tier3 = "crl_tier3_account_number"
        attributes = schema["properties"]["attributes"]
        attributes["properties"] = {
            **attributes["properties"],
            tier3: answer["properties"]["attributes"]["properties"][tier3],
        }
    return schema


def faults_of(name: str, body: Any) -> list[str]:
    """Give what the document's schema does not allow in a body."""
    validator = OAS30Validator(body_schema(name), format_checker=oas30_format_checker)
    return sorted({f"{'.'.join(map(str, error.path))} {error.validator}" for error in validator.iter_errors(body)})


def canonical(value: Any) -> str:
    """Write JSON so that equal text means equal JSON: Python alone takes True for 1 and 1 for 1.0."""
    return json.dumps(value, sort_keys=True)


def body_of(request: Request) -> Any:
    assert request.body is not None
    return json.loads(request.body)


# --- Inputs -----------------------------------------------------------------------------------------------------------

TEXT = st.text(min_size=1, max_size=20).filter(str.strip)
ANY: Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
METADATA = st.dictionaries(st.text(max_size=9), ANY, max_size=3)
AN_ID = st.text(min_size=1, max_size=20).filter(lambda text: text not in {".", ".."} and text.isprintable())
EMAIL = st.emails() | st.builds("{}@{}.example".format, *[st.from_regex(r"[^@\s]{1,9}", fullmatch=True)] * 2)
TWO_LETTERS = st.from_regex("[A-Za-z]{2}", fullmatch=True)
# What spreadsheets leave of a postal code or a telephone number is refused, which the document does not ask for.
ZIP = TEXT.filter(lambda text: re.fullmatch(r"\d{1,4}", text.strip()) is None)
PHONE = TEXT.filter(lambda text: "E+" not in text)
ADDRESS = st.fixed_dictionaries(
    {"street1": TEXT, "city": TEXT, "state": TWO_LETTERS, "country": st.sampled_from(["US", "CA"]), "zip": ZIP},
    optional={"street2": TEXT},
)
RECIPIENT = st.fixed_dictionaries(
    {"first_name": TEXT, "last_name": TEXT, "email": EMAIL, "phone": PHONE, "address": ADDRESS}
)
ORDER = st.fixed_dictionaries(
    {"kit_types": st.lists(TEXT, min_size=1, max_size=3), "recipient": RECIPIENT}, optional={"metadata": METADATA}
)
PERSON: dict[str, Json] = {
    "first_name": TEXT,
    "last_name": TEXT,
    "email": EMAIL,
    "sex": st.sampled_from(["M", "F"]),
    "date_of_birth": st.dates(max_value=date(2024, 5, 1)).map(str),
}
PATIENT = st.fixed_dictionaries(PERSON, optional={"phone": PHONE})
REQUISITION = st.fixed_dictionaries(
    {
        "barcode": TEXT,
        "panels": st.lists(TEXT, min_size=1, max_size=3),
        "account_number": TEXT,
        "lab": TEXT,
        "state_collected": TWO_LETTERS,
        "patient": st.fixed_dictionaries({**PERSON, "address": ADDRESS}, optional={"phone": PHONE}),
    },
    optional={
        "tracking": st.fixed_dictionaries(
            {}, optional={"tracking_number": TEXT, "carrier": st.sampled_from(["fedex", "ups", "usps"])}
        ),
        "attributes": st.fixed_dictionaries(
            {},
            optional={
                "crl_slip_id": st.from_regex("[A-Za-z0-9]{1,10}", fullmatch=True),
                "crl_tier3_account_number": st.from_regex("[A-Za-z0-9]{8}", fullmatch=True),
            },
        ),
        "metadata": METADATA,
    },
)
# Which details an activation requires depends on the kit type, so any may be missing.
ACTIVATION = st.fixed_dictionaries(
    {},
    optional={
        **PERSON,
        "phone": PHONE,
        "address": st.fixed_dictionaries(
            {},
            optional={
                **dict.fromkeys(("street1", "street2", "city"), TEXT),
                "zip": ZIP,
                "state": TWO_LETTERS,
                "country": st.sampled_from(["US", "CA"]),
            },
        ),
    },
)
PARTS: dict[str, type[Model]] = {
    "recipient": Recipient,
    "patient": NewPatient,
    "address": Address,
    "tracking": Tracking,
    "attributes": RequisitionAttributes,
}
TYPES: dict[str, Callable[[str], Any]] = {
    "sex": Sex,
    "country": Country,
    "carrier": Carrier,
    "date_of_birth": date.fromisoformat,
}


def made(model: Any, tree: Mapping[str, Any], *, is_typed: bool = False) -> Any:
    """Make a model of a tree; typed: with the SDK's enumerations and dates in place of texts."""
    values = {}
    for name, value in tree.items():
        if name in PARTS and isinstance(value, dict):
            values[name] = made(PARTS[name], value, is_typed=is_typed)
        else:
            values[name] = TYPES[name](value) if is_typed and name in TYPES else value
    return model(**values)


# --- Methods, paths and bodies ----------------------------------------------------------------------------------------

A_REF = "8c1f0c5e"
AN_ADDRESS = {"street1": "123 Main St", "city": "San Francisco", "state": "CA", "country": "US", "zip": "94105"}
A_PATIENT = {
    "first_name": "Alice",
    "last_name": "Smith",
    "email": "alice@example.com",
    "sex": "F",
    "date_of_birth": "1990-01-01",
}
A_RECIPIENT = {
    "first_name": "Alice",
    "last_name": "Smith",
    "email": "alice@example.com",
    "phone": "1234567890",
    "address": AN_ADDRESS,
}
AN_ORDER = {"kit_types": ["health_kit_1"], "recipient": A_RECIPIENT}
A_REQUISITION = {
    "barcode": "19742938328",
    "panels": ["PANEL-123"],
    "account_number": "1234567890",
    "lab": "CRL",
    "state_collected": "OH",
    "patient": {**A_PATIENT, "address": AN_ADDRESS},
}


def orders(runner: Runner) -> Orders:
    return Orders(runner, "client_ref")


def requisitions(runner: Runner) -> Requisitions:
    return Requisitions(runner, "client_ref")


NAMES = {operation: name_of(method, path) for operation, (method, path, _) in OPERATIONS.items()}
LISTS: dict[str, Callable[[Runner], Any]] = {
    "api_v2_list_kits": Kits,
    "api_v2_list_orders": orders,
    "api_v2_list_requisitions": requisitions,
}


def test_every_operation_of_the_document_is_called_but_for_its_slip() -> None:
    assert [operation for operation, name in NAMES.items() if name is None] == ["api_v2_list_patients"]


@pytest.mark.parametrize("name", [operation for operation, name in NAMES.items() if name is not None])
@MANY
@given(an_id=AN_ID)
def test_a_request_has_the_documents_method_path_and_slashes(name: str, an_id: str) -> None:
    (request,) = sent(lambda runner: call(nouns(runner), str(NAMES[name]), an_id), [] if "_list_" in name else {})

    method, path, documented = OPERATIONS[name]
    assert request.method == method
    assert request.path == re.sub(r"\{\w+\}", quote(an_id, safe=""), path)
    assert (request.body is None) == ("requestBody" not in documented)


@MANY
@given(tree=ORDER, is_typed=st.booleans())
def test_an_orders_body_is_of_the_documents_schema(tree: Any, *, is_typed: bool) -> None:
    order = made(NewOrder, tree, is_typed=is_typed)

    (request,) = sent(lambda runner: orders(runner).create(order, client_ref=A_REF))

    body = body_of(request)
    assert faults_of("api_v2_create_order", body) == []
    assert canonical(body) == canonical({**tree, "metadata": {**tree.get("metadata", {}), "client_ref": A_REF}})


@MANY
@given(tree=REQUISITION, is_typed=st.booleans())
def test_a_requisitions_body_is_of_the_documents_schema(tree: Any, *, is_typed: bool) -> None:
    requisition = made(NewRequisition, tree, is_typed=is_typed)

    (request,) = sent(lambda runner: requisitions(runner).create(requisition, client_ref=A_REF))

    body = body_of(request)
    assert faults_of("api_v2_create_requisition", body) == []
    assert canonical(body) == canonical({**tree, "metadata": {**tree.get("metadata", {}), "client_ref": A_REF}})


@pytest.mark.parametrize("metadata", [{}, {"metadata": {}}, {"metadata": {"cohort": "A"}}])
def test_without_a_place_for_the_reference_the_metadata_is_sent_as_it_is(metadata: Any) -> None:
    order, requisition = made(NewOrder, AN_ORDER | metadata), made(NewRequisition, A_REQUISITION | metadata)

    (of_order,) = sent(lambda runner: Orders(runner, None).create(order))
    (of_requisition,) = sent(lambda runner: Requisitions(runner, None).create(requisition))

    assert body_of(of_order) == AN_ORDER | metadata
    assert body_of(of_requisition) == A_REQUISITION | metadata


@MANY
@given(tree=PATIENT, is_typed=st.booleans())
def test_a_patients_body_is_of_the_documents_schema(tree: Any, *, is_typed: bool) -> None:
    patient = made(NewPatient, tree, is_typed=is_typed)

    (request,) = sent(lambda runner: Patients(runner).create(patient))

    assert faults_of("api_v2_create_patient", body_of(request)) == []
    assert body_of(request) == tree


@MANY
@given(kit_id=AN_ID, tree=ACTIVATION, consent=st.none() | st.booleans(), is_typed=st.booleans())
def test_an_activation_of_a_new_patient_is_of_the_documents_schema(
    kit_id: str, tree: Any, *, consent: bool | None, is_typed: bool
) -> None:
    patient = made(NewPatient, tree, is_typed=is_typed)

    (request,) = sent(lambda runner: Kits(runner).activate(kit_id, patient=patient, research_consent=consent))

    flat = {**tree, **tree.get("address", {}), "research_consent": consent}
    left_out = {"address", "country"} | ({"research_consent"} if consent is None else set())
    assert faults_of("api_v3_kits_activate_create", body_of(request)) == []
    assert body_of(request) == {name: value for name, value in flat.items() if name not in left_out}
    assert parse_qsl(request.query, strict_parsing=True) == [("public_id", kit_id)]


@MANY
@given(kit_id=AN_ID, patient_id=AN_ID, consent=st.none() | st.booleans())
def test_an_activation_of_a_known_patient_is_of_the_documents_schema(
    kit_id: str, patient_id: str, *, consent: bool | None
) -> None:
    (request,) = sent(lambda runner: Kits(runner).activate(kit_id, patient_id=patient_id, research_consent=consent))

    expected = {"patient_id": patient_id} | ({} if consent is None else {"research_consent": consent})
    assert faults_of("api_v3_kits_activate_create", body_of(request)) == []
    assert body_of(request) == expected
    assert parse_qsl(request.query, strict_parsing=True) == [("public_id", kit_id)]


@MANY
@given(patient_id=AN_ID, kit_type=st.none() | AN_ID)
def test_a_tokens_body_is_of_the_documents_schema(patient_id: str, kit_type: str | None) -> None:
    (request,) = sent(lambda runner: RegistrationTokens(runner).create(patient_id, kit_type))

    assert faults_of("api_v2_create_patient_token", body_of(request)) == []
    assert body_of(request) == {"patient_id": patient_id} | ({} if kit_type is None else {"kit_type": kit_type})


@pytest.mark.parametrize(
    ("name", "make"), [("api_v2_update_kit_metadata", Kits), ("api_v2_update_order_metadata", orders)]
)
@MANY
@given(an_id=AN_ID, metadata=METADATA)
def test_a_metadata_updates_body_is_of_the_documents_schema(name: str, make: Any, an_id: str, metadata: Any) -> None:
    (request,) = sent(lambda runner: make(runner).update_metadata(an_id, metadata))

    assert faults_of(name, body_of(request)) == []
    assert canonical(body_of(request)) == canonical({"metadata": metadata})


@pytest.mark.parametrize(
    ("name", "tree"),
    [
        ("api_v2_create_patient", {**A_PATIENT, "phone": None}),
        ("api_v2_create_requisition", {**A_REQUISITION, "tracking": None}),
        ("api_v3_kits_activate_create", {**A_PATIENT, "phone": None}),
        ("api_v3_kits_activate_create", {**A_PATIENT, "address": None}),
    ],
)
def test_an_input_that_was_read_with_nulls_is_of_the_documents_schema(name: str, tree: Any) -> None:
    send: dict[str, Send] = {
        "api_v2_create_patient": lambda runner: Patients(runner).create(loads(json.dumps(tree), NewPatient)),
        "api_v2_create_requisition": lambda runner: requisitions(runner).create(
            loads(json.dumps(tree), NewRequisition)
        ),
        "api_v3_kits_activate_create": lambda runner: Kits(runner).activate(
            "SPOT123456", patient=loads(json.dumps(tree), NewPatient)
        ),
    }

    (request,) = sent(send[name])

    assert faults_of(name, body_of(request)) == []


def test_the_closed_schemas_find_what_the_document_does_not_allow() -> None:
    order = {
        "kit_types": "health_kit_1",
        "recipient": {**A_RECIPIENT, "adress": {}, "address": {**AN_ADDRESS, "country": "MX"}, "phone": None},
        "metadata": None,
    }
    patient = {**A_PATIENT, "email": "alice", "date_of_birth": "01/01/1990"}
    requisition = {**A_REQUISITION, "attributes": {"crl_slip_id": "12345678901"}, "tracking": None}

    assert faults_of("api_v2_create_order", order) == [
        "kit_types type",
        "recipient additionalProperties",
        "recipient.address.country enum",
        "recipient.phone type",
    ]
    assert faults_of("api_v2_create_patient", patient) == ["date_of_birth format", "email format"]
    assert faults_of("api_v2_create_requisition", requisition) == ["attributes.crl_slip_id maxLength", "tracking type"]


# --- Queries of the lists ---------------------------------------------------------------------------------------------

PRINTABLE = AN_ID.filter(str.strip)
STATUSES = {
    ("api_v2_list_kits", "kit_status"): KitStatus,
    ("api_v2_list_kits", "sample_status"): SampleStatus,
    ("api_v2_list_orders", "status"): OrderStatus,
    ("api_v2_list_requisitions", "status"): RequisitionStatus,
}
DATES = ("created_before", "created_after", "updated_before", "updated_after")


def query_schemas(name: str) -> dict[str, Schema]:
    return {one["name"]: closed(one["schema"]) for one in OPERATIONS[name][2]["parameters"]}


@st.composite
def filters_of(draw: st.DrawFn, name: str) -> dict[str, Any]:
    filters: dict[str, Any] = {}
    for parameter, schema in query_schemas(name).items():
        if parameter in {"results", "offset"} or draw(st.booleans()):
            continue
        if parameter in DATES:
            filters[parameter] = draw(st.dates())
        elif (name, parameter) in STATUSES:
            filters[parameter] = draw(st.sampled_from(STATUSES[name, parameter]))
        else:
            filters[parameter] = draw(st.booleans() if schema["type"] == "boolean" else PRINTABLE)
    for what in ("created", "updated"):
        first, last = f"{what}_after", f"{what}_before"
        if first in filters and last in filters:
            filters[first], filters[last] = sorted([filters[first], filters[last]])
    return filters


READERS: dict[str, Callable[[str], Any]] = {"integer": int, "boolean": {"true": True, "false": False}.__getitem__}


@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_every_filter_of_the_document_and_no_other(name: str) -> None:
    filters = inspect.signature(LISTS[name](StubRunner([])).list).parameters["filters"].annotation
    (ours,) = get_args(filters)  # of Unpack

    assert ours.__annotations__.keys() == query_schemas(name).keys() - {"results", "offset"}


@pytest.mark.parametrize("name", LISTS)
@MANY
@given(data=st.data())
def test_a_lists_query_is_of_the_documents_parameters_and_types(name: str, data: st.DataObject) -> None:
    filters = data.draw(filters_of(name))

    (request,) = sent(lambda runner: LISTS[name](runner).list(**filters).first(1), [])

    pairs = parse_qsl(request.query, keep_blank_values=True, strict_parsing=True)
    texts = {one: str(value).lower() if isinstance(value, bool) else str(value) for one, value in filters.items()}
    assert sorted(pairs) == sorted({**texts, "results": "100", "offset": "0"}.items())
    schemas = query_schemas(name)
    for parameter, text in pairs:
        value = READERS.get(schemas[parameter]["type"], str)(text)
        assert OAS30Validator(schemas[parameter]).is_valid(value)
        assert parameter not in DATES or date.fromisoformat(text).isoformat() == text


@pytest.mark.parametrize("name", LISTS)
def test_the_next_page_is_asked_for_within_the_documents_bounds(name: str) -> None:
    requests = sent(lambda runner: LISTS[name](runner).list().first(150), [{}] * 100, [])

    schemas = query_schemas(name)
    pages = [{one: int(text) for one, text in parse_qsl(request.query)} for request in requests]
    assert pages == [{"results": 100, "offset": 0}, {"results": 100, "offset": 100}]
    assert all(OAS30Validator(schemas[one]).is_valid(value) for page in pages for one, value in page.items())


# --- Inputs with one fault --------------------------------------------------------------------------------------------

GONE = object()
SHORT = 8  # a wrong value this long stands in no message by chance
NO_TEXT = st.sampled_from(["", " ", "\t\n", 12345678, ["Verborgen"]])
NO_TWO_LETTERS = st.sampled_from(["CAL", "Verborgen", "C", "C4", "ÖÄ", " CA", "CA\n", 12])
NO_DAY = st.sampled_from(["01/02/1990", "19900102", "1990-02-30", "1990-W01-1", "١٩٩٠-01-02", 19900102, "Verborgen"])
FUTURE = st.integers(2, 4000).map(lambda days: (datetime.now(UTC) + timedelta(days=days)).date())
NO_LIST = st.just(["Verborgen"]) | st.just("Verborgen")
NO_METADATA = st.sampled_from(["Verborgen", ["Verborgen"], 12345678])

NO_ADDRESS: dict[str, Json] = {
    "street1": NO_TEXT,
    "street2": NO_TEXT,
    "city": NO_TEXT,
    "state": NO_TWO_LETTERS,
    "country": st.sampled_from(["MX", "us", "USA", "Verborgen", 12345678]),
    "zip": NO_TEXT,
}
NO_PERSON: dict[str, Json] = {
    "first_name": NO_TEXT,
    "last_name": NO_TEXT,
    "email": st.sampled_from(["Verborgen", "Verborgen@", "@Verborgen", "Ver borgen@example.com", "a@b@Verborgen", 12]),
    "phone": NO_TEXT,
    "sex": st.sampled_from(["X", "f", "female", 12345678]),
    "date_of_birth": NO_DAY | FUTURE,
}


def under(path: str, faults: Mapping[str, Json]) -> dict[str, Json]:
    return {f"{path}.{name}": values for name, values in faults.items()}


# By the path that the error is to name: what stands there. The fields that the document requires are taken from it.
ORDER_FAULTS: dict[str, Json] = {
    "kit_types": st.just("Verborgen"),
    "kit_types[0]": NO_TEXT,
    "recipient": NO_METADATA,
    **under("recipient", dict.fromkeys(("first_name", "last_name", "email", "phone"), NO_TEXT)),
    "recipient.address": NO_METADATA,
    **under("recipient.address", NO_ADDRESS),
    "metadata": NO_METADATA,
    "metadata.score": st.sampled_from(
        [math.nan, math.inf, {"Verborgen"}, datetime(1990, 1, 2, tzinfo=UTC), b"Verborgen"]
    ),
}
REQUISITION_FAULTS: dict[str, Json] = {
    **dict.fromkeys(("barcode", "account_number", "lab"), NO_TEXT),
    "panels": st.just("Verborgen"),
    "panels[0]": NO_TEXT,
    "state_collected": NO_TWO_LETTERS,
    "patient": NO_METADATA,
    **under("patient", NO_PERSON),
    "patient.address": NO_METADATA,
    **under("patient.address", NO_ADDRESS),
    "tracking": NO_METADATA,
    "tracking.tracking_number": NO_TEXT,
    "tracking.carrier": st.sampled_from(["dhl", "Verborgen", "USPS", 12345678]),
    "attributes": NO_METADATA,
    "attributes.crl_slip_id": st.sampled_from(
        ["12345678901", "Verborgenes", "1234 5", "", "Ä123", "123\n", 1234567890]
    ),
    "attributes.crl_tier3_account_number": st.sampled_from(["1234567", "123456789", "Verborgen", "", 12345678]),
    "metadata": NO_METADATA,
}
PATIENT_FAULTS = {**NO_PERSON, "address": ADDRESS}
ACTIVATION_FAULTS = {**NO_PERSON, "address": NO_METADATA, **under("address", NO_ADDRESS)}


def required_in(schema: Schema, path: str = "") -> Iterator[str]:
    """Give the paths that a schema requires, those within others too."""
    for name in schema.get("required", ()):
        yield path + name
    for name, inner in schema.get("properties", {}).items():
        yield from required_in(inner, f"{path}{name}.")


# The document forgets to require a requisition's patient's fields: the SDK takes them from "create patient".
REQUIRED = {
    "api_v2_create_order": [*required_in(body_schema("api_v2_create_order"))],
    "api_v2_create_patient": [*required_in(body_schema("api_v2_create_patient"))],
    "api_v2_create_requisition": [
        *required_in(body_schema("api_v2_create_requisition")),
        *[f"patient.{name}" for name in (*required_in(body_schema("api_v2_create_patient")), "address")],
    ],
}
SENDS: dict[str, Callable[[Any], Send]] = {
    "api_v2_create_order": lambda tree: lambda runner: orders(runner).create(made(NewOrder, tree)),
    "api_v2_create_requisition": lambda tree: lambda runner: requisitions(runner).create(made(NewRequisition, tree)),
    "api_v2_create_patient": lambda tree: lambda runner: Patients(runner).create(made(NewPatient, tree)),
    "api_v3_kits_activate_create": lambda tree: (
        lambda runner: Kits(runner).activate("SPOT123456", patient=made(NewPatient, tree))
    ),
}
VALID = {
    "api_v2_create_order": ORDER,
    "api_v2_create_requisition": REQUISITION,
    "api_v2_create_patient": PATIENT,
    "api_v3_kits_activate_create": ACTIVATION,
}
FAULTS = {
    "api_v2_create_order": ORDER_FAULTS,
    "api_v2_create_requisition": REQUISITION_FAULTS,
    "api_v2_create_patient": PATIENT_FAULTS,
    "api_v3_kits_activate_create": ACTIVATION_FAULTS,
}


def with_value(tree: Any, path: str, value: Any) -> Any:
    """Give the tree with another value at the path, or without one; parts on the way that are missing are made."""
    first, _, rest = path.partition(".")
    name, is_item, _ = first.partition("[")
    if is_item:
        return {**tree, name: [value, *tree.get(name, ())]}
    if rest:
        return {**tree, name: with_value(tree.get(name) or {}, rest, value)}
    return {one: it for one, it in tree.items() if one != name} | ({} if value is GONE else {name: value})


CHOSEN = {"sex", "country", "carrier", "state", "state_collected", "date_of_birth", "attributes"}


def marked(value: Any) -> Any:
    """Begin every free text with a word that no message has: what is drawn may stand in one by chance."""
    if isinstance(value, dict):
        return {name: item if name in CHOSEN else marked(item) for name, item in value.items()}
    if isinstance(value, list):
        return [marked(item) for item in value]
    return f"Verborgen{value}" if isinstance(value, str) else value


def shown_by(error: InvalidInputError) -> str:
    return "".join([str(error), repr(error), repr(error.args), repr(error.faults), *traceback.format_exception(error)])


def check_refusal(name: str, path: str, tree: Any) -> InvalidInputError:
    error = refused(SENDS[name](tree))

    assert [where for where, _ in error.faults] == [path]
    assert error.operation is not None
    assert (error.__cause__, error.__context__) == (None, None)
    assert "Verborgen" not in shown_by(error)
    return error


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, paths in REQUIRED.items() for path in paths])
@settings(MANY, max_examples=MANY.max_examples // 10)
@given(data=st.data())
def test_without_a_field_that_is_required_nothing_is_sent(name: str, path: str, data: st.DataObject) -> None:
    check_refusal(name, path, with_value(marked(data.draw(VALID[name])), path, GONE))


@pytest.mark.parametrize(("name", "path"), [(name, path) for name, faults in FAULTS.items() for path in faults])
@settings(MANY, max_examples=MANY.max_examples // 4)
@given(data=st.data())
def test_with_one_wrong_value_nothing_is_sent_and_the_error_names_the_path_alone(
    name: str, path: str, data: st.DataObject
) -> None:
    tree, value = marked(data.draw(VALID[name])), data.draw(FAULTS[name][path])

    error = check_refusal(name, path, with_value(tree, path, value))

    assert len(str(value)) < SHORT or str(value) not in shown_by(error)


def test_all_faults_are_named_at_once() -> None:
    order = with_value(with_value(AN_ORDER, "recipient.address.state", "California"), "recipient.email", GONE)

    error = refused(SENDS["api_v2_create_order"](order))

    assert [path for path, _ in error.faults] == ["recipient.email", "recipient.address.state"]


@pytest.mark.parametrize("both", [{}, {"patient_id": "Verborgen", "patient": part(NewPatient)}])
def test_an_activation_needs_one_of_patient_id_and_patient(both: Any) -> None:
    error = refused(lambda runner: Kits(runner).activate("SPOT123456", **both))

    assert [path for path, _ in error.faults] == ["patient_id or patient"]
    assert "Verborgen" not in shown_by(error)


@pytest.mark.parametrize("name", [name for name, (_, path) in CALLS.items() if "{" in path])
@pytest.mark.parametrize("an_id", ["", ".", "..", "a\n", "\ud800", None, 5])
def test_an_id_that_is_no_path_segment_is_not_sent(name: str, an_id: Any) -> None:

    error = refused(lambda runner: call(nouns(runner), name, an_id))

    assert "_id must" in str(error)


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize(
    ("wrong", "value"),
    [
        ("email", ""),
        ("phone", 12345678),
        ("created_before", "01/02/1990"),
        ("updated_after", datetime(1990, 1, 2, tzinfo=UTC)),
    ],
)
def test_a_wrong_filter_is_named_and_nothing_is_sent(name: str, wrong: str, value: Any) -> None:
    async def send(runner: Runner) -> None:
        await LISTS[name](runner).list(**{wrong: value}).first(1)

    error = refused(send)

    assert [path for path, _ in error.faults] == [wrong]
    assert not value or str(value) not in shown_by(error)
