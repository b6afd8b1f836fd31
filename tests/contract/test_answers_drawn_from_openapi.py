"""Properties of the SDK over answers drawn from the vendor's OpenAPI document, where that is at hand.

Each operation's answers go through the resource's own method, behind which a stub stands in for the network alone.
"""

import asyncio
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async import dumps, loads
from spotdx_async._http.logs import quoted
from spotdx_async._http.messages import Reply, Request
from spotdx_async._http.runner import Runner
from spotdx_async._http.verdict import judge_reply
from spotdx_async.errors import (
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    PermissionDeniedError,
    StatusError,
)
from spotdx_async.models import Address, QuantityResult
from tests.calls import call, name_of, nouns
from tests.long_set import IS_FULL

PLACE = Path(__file__).parents[2].parent / "shared" / "spot-api" / "openapi.json"
if not PLACE.is_file():
    pytest.skip("the vendor's OpenAPI document is not at hand: nothing to draw answers from", allow_module_level=True)

pytestmark = pytest.mark.no_cover

DOCUMENT: dict[str, Any] = json.loads(PLACE.read_text(encoding="utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
LEFT_OUT = "api_v2_list_patients"  # a slip there: a path parameter that its path lacks, a requisition as its answer
OPERATIONS: dict[str, dict[str, Any]] = {
    documented["operationId"]: documented
    for methods in DOCUMENT["paths"].values()
    for documented in methods.values()
    if documented["operationId"] != LEFT_OUT
}
NAMES = {
    documented["operationId"]: name_of(method.upper(), path)
    for path, methods in DOCUMENT["paths"].items()
    for method, documented in methods.items()
    if documented["operationId"] != LEFT_OUT
}
"""The client's words for each operation."""

T = TypeVar("T")
Json = st.SearchStrategy[Any]
Schema = dict[str, Any]
MANY = settings(
    max_examples=200 if IS_FULL else 25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# --- The network's stand-in ------------------------------------------------------------


class StubRunner(Runner):
    """Gives one answer to every request, as the road does with a 2xx."""

    def __init__(self, status: int, answer: Any) -> None:
        self.allow_any_id, self.encode = False, None
        self._reply = Reply(status, {}, json.dumps(answer).encode())

    async def call(self, request: Request, decode: Callable[[Reply], T]) -> T:  # noqa: ARG002 - the road's signature
        return decode(self._reply)


LISTS = {
    "api_v2_list_kits": "kit_id",
    "api_v2_list_orders": "order_id",
    "api_v2_list_requisitions": "requisition_id",
}
"""The lists of things, with what tells their rows apart."""


def answered(name: str, status: int, answer: Any) -> Any:
    """Give what the method of that operation makes of the answer."""

    async def ask() -> Any:
        return await call(nouns(StubRunner(status, answer)), str(NAMES[name]))

    return asyncio.run(ask())


def test_every_operation_of_the_document_is_called() -> None:
    assert None not in NAMES.values()


# --- Values drawn from a schema ---------------------------------------------------------------------------------------

WORD = st.text(max_size=12)
ANY: Json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
VENDORS_INSTANT = st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
RFC_3339 = st.builds(
    lambda moment, fraction, zone: moment.strftime(f"20%y-%m-%dT%H:%M:%S{fraction}{zone}"),
    st.datetimes(),
    st.sampled_from(["", ".2", ".222", ".222333", ".222333444"]),
    st.sampled_from(["Z", "z", "+00:00", "-08:00", "+14:00"]),
)
TEXTS: dict[str | None, Json] = {
    "date-time": VENDORS_INSTANT | RFC_3339,
    "date": st.dates().map(str),
    "uuid": st.uuids().map(str),
    "email": st.emails(),
    "url": st.builds("https://app.example.com/results/{}.{}".format, st.uuids(), st.sampled_from(["pdf", "txt"])),
}
PROPERTIES = sorted({name for schema in SCHEMAS.values() for name in schema.get("properties", ())})
# Known beyond the document: what the models have that only other answers carry; the two forms of an address, which may
# be an object within another; a result's type, which says what it is; the guide's own word in an error.
KNOWN_BEYOND = {"patient_id", "updated", "result_type", "details", "address", *SCHEMAS["Address"]["properties"]}
# Names that no schema has, those of the models' own inner fields, and those of other schemas.
NEW_NAME = (WORD | st.sampled_from(["extra", "_as_came", "self", *PROPERTIES])).filter(
    lambda name: name not in KNOWN_BEYOND
)
KINDS = ("documented", "new_values", "new_properties", "nulls")
"""What the answers hold: the document's values alone; texts off the lists; properties that nobody knows; null anywhere
in place of a property, which the contract does not rule out."""


def resolved(schema: Schema) -> Schema:
    """Follow a reference, and lay the parts of an allOf together."""
    if "$ref" in schema:
        return resolved(SCHEMAS[schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema:
        parts = [resolved(part) for part in schema["allOf"]]
        return {"type": "object", "properties": {name: p for part in parts for name, p in part["properties"].items()}}
    return schema


def drawn(schema: Schema, kind: str = "documented") -> Json:
    """Draw what the schema allows: every property present or absent, null where it may be."""
    if "$ref" in schema:
        return drawn_of(schema["$ref"].rpartition("/")[2], kind)
    values = not_null(resolved(schema), kind)
    return st.none() | values if schema.get("nullable") else values


@cache
def drawn_of(name: str, kind: str) -> Json:
    return drawn(SCHEMAS[name], kind)


def not_null(schema: Schema, kind: str) -> Json:
    if "oneOf" in schema:
        return st.one_of([drawn(one, kind) for one in schema["oneOf"]])
    if "enum" in schema:
        listed = st.sampled_from(schema["enum"])
        return listed | WORD if kind == "new_values" and schema["type"] == "string" else listed
    draw: dict[str, Callable[[], Json]] = {
        "object": lambda: drawn_object(schema, kind),
        "array": lambda: st.lists(drawn(schema["items"], kind), max_size=3),
        "string": lambda: drawn_text(schema),
        "number": lambda: drawn_number(schema),
        "boolean": st.booleans,
    }
    return draw[schema["type"]]()


def drawn_object(schema: Schema, kind: str) -> Json:
    if "properties" not in schema:  # metadata may hold anything
        return st.dictionaries(WORD, ANY, max_size=3)
    properties = {name: drawn(one, kind) for name, one in schema["properties"].items()}
    if kind == "nulls":
        properties = {name: st.none() | values for name, values in properties.items()}
    known = st.fixed_dictionaries({}, optional=properties)
    if kind != "new_properties":
        return known
    more = st.dictionaries(NEW_NAME.filter(lambda name: name not in properties), ANY, max_size=2)
    return st.builds(lambda some, new: {**new, **some}, known, more)


def drawn_text(schema: Schema) -> Json:
    plain = st.text(min_size=schema.get("minLength", 0), max_size=schema.get("maxLength", 12))
    return TEXTS.get(schema.get("format"), plain)


def drawn_number(schema: Schema) -> Json:
    least = schema.get("minimum")
    return st.integers(min_value=least) | st.floats(min_value=least, allow_nan=False, allow_infinity=False)


def answer_of(name: str, kind: str) -> st.SearchStrategy[tuple[int, Any]]:
    """Draw an operation's success, with its status."""
    (status,) = [status for status in OPERATIONS[name]["responses"] if status.startswith("2")]
    schema = OPERATIONS[name]["responses"][status]["content"]["application/json"]["schema"]
    values = drawn(schema, kind)
    if name in LISTS:
        values = values.map(lambda rows: each_once(rows, LISTS[name]))
    return st.tuples(st.just(int(status)), values)


def each_once(rows: list[Any], id_name: str) -> list[Any]:
    """Leave out rows whose id came before: a list gives each thing once."""
    first: dict[Any, int] = {}
    for index, row in enumerate(rows):
        an_id = row.get(id_name)
        first.setdefault(index if an_id is None else an_id, index)
    return [rows[index] for index in first.values()]


def canonical(value: Any) -> str:
    """Write JSON so that equal text means equal JSON: Python alone takes True for 1 and 1 for 1.0."""
    return json.dumps(value, sort_keys=True)


# --- Answers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OPERATIONS)
@MANY
@given(data=st.data())
def test_an_answer_is_read_and_goes_out_as_it_came(name: str, kind: str, data: st.DataObject) -> None:
    status, came = data.draw(answer_of(name, kind))

    value = answered(name, status, came)

    assert canonical(json.loads(dumps(value))) == canonical(came)


# The document types a minimum as text without null; its examples, and the guides, have numbers and null.
LIMITS = {
    "text": WORD | st.integers().map(str),
    "number": drawn_number({}),
    "number as text": drawn_number({}).map(json.dumps),
    "null": st.none(),
}


@pytest.mark.parametrize("form", LIMITS)
@pytest.mark.parametrize("end", ["range_minimum", "range_maximum"])
@MANY
@given(data=st.data())
def test_an_end_of_a_range_is_read_in_every_form(end: str, form: str, data: st.DataObject) -> None:
    limit = data.draw(LIMITS[form])
    result = data.draw(drawn(SCHEMAS["ResultQuantity"])) | {"result_type": "quantity", end: limit}
    came = {"sample": {"reports": [{"results": [result]}]}}

    kit = answered("api_v2_get_kit", 200, came)

    read = kit.sample.reports[0].results[0]
    assert isinstance(read, QuantityResult)
    assert form == "text" or getattr(read, end) == (json.loads(limit) if form == "number as text" else limit)
    assert canonical(json.loads(dumps(kit))) == canonical(came)


# The document wraps the address of a requisition's patient in an object of its own; its example does not.
@pytest.mark.parametrize("is_wrapped", [True, False])
@pytest.mark.parametrize("name", ["api_v2_create_requisition", "api_v2_get_requisition", "api_v2_list_requisitions"])
@MANY
@given(data=st.data())
def test_a_patients_address_is_read_in_both_forms(name: str, is_wrapped: bool, data: st.DataObject) -> None:
    address = data.draw(drawn(SCHEMAS["Address"]))
    patient = data.draw(drawn(SCHEMAS["Patient"])) | {"address": {"address": address} if is_wrapped else address}
    came = {"patient": patient}

    value = answered(name, 200, [came] if name in LISTS else came)

    (requisition,) = value if name in LISTS else [value]
    assert requisition.patient.address == loads(json.dumps(address), Address)
    assert canonical(json.loads(dumps(requisition))) == canonical(came)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_of_the_documents_own_examples_is_read(name: str) -> None:
    ((status, answer),) = [(int(one), it) for one, it in OPERATIONS[name]["responses"].items() if one.startswith("2")]
    came = example_of(answer["content"]["application/json"]["schema"])

    value = answered(name, status, came)

    assert canonical(json.loads(dumps(value))) == canonical(came)


def example_of(schema: Schema) -> Any:
    """Put the document's examples together; where it has none, the simplest value of the schema."""
    schema = resolved(schema)
    if "example" in schema:
        return schema["example"]
    if "properties" in schema:
        return {name: example_of(one) for name, one in schema["properties"].items()}
    if schema["type"] == "array":
        return [example_of(schema["items"])]
    plain = {"date-time": "2023-01-01T04:30:11.222Z", "date": "1990-01-01", "email": "alice@example.com"}
    return schema.get("enum", [plain.get(schema.get("format", ""), "text")])[0]


# --- Errors -----------------------------------------------------------------------------------------------------------

# The document's schemas of errors by status, and 401, of which it names the words alone.
ERRORS: dict[int, tuple[str, type[StatusError]]] = {
    400: ("BadRequest", BadRequestError),
    401: ("BadRequest", AuthenticationError),
    403: ("Forbidden", PermissionDeniedError),
    404: ("NotFound", NotFoundError),
}
A_REQUEST = Request("GET /", "GET", "/")


def test_every_error_of_the_document_is_judged_here() -> None:
    documented = {
        (int(status), answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2])
        for operation in OPERATIONS.values()
        for status, answer in operation["responses"].items()
        if not status.startswith("2")
    }

    assert documented == {(status, schema) for status, (schema, _) in ERRORS.items() if status != 401}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("status", ERRORS)
@MANY
@given(data=st.data())
def test_an_error_is_of_its_class_with_the_servers_words(status: int, kind: str, data: st.DataObject) -> None:
    schema, error_class = ERRORS[status]
    body = data.draw(drawn(SCHEMAS[schema], kind))

    error = judge_reply(A_REQUEST, Reply(status, {}, json.dumps(body).encode())).error

    assert type(error) is error_class
    assert isinstance(error, StatusError)
    assert error.status == status
    words = body.get("error") or {}
    if "detail" not in words and kind == "new_properties":
        return  # what stands instead may have the form of another error body
    kind_of_error = words.get("type")
    assert error.type == (None if kind_of_error is None else quoted(kind_of_error))
    assert error.details == said([words.get("detail") or ""])


@pytest.mark.parametrize("status", ERRORS)
@MANY
@given(details=st.lists(WORD, max_size=3))
def test_an_error_in_the_guides_form_has_all_details(status: int, details: list[str]) -> None:
    body = {"error": {"code": status, "type": "bad_request", "details": details}}

    error = judge_reply(A_REQUEST, Reply(status, {}, json.dumps(body).encode())).error

    assert isinstance(error, ERRORS[status][1])
    assert error.details == said(details)


def said(reasons: list[str]) -> tuple[str, ...]:
    """Give what is told of them: all but the empty ones."""
    return tuple(quoted(reason) for reason in reasons if reason.strip())
