"""What is to be created, checked as a whole: what passes, where each fault is, and that no text shows a value."""

import math
import pickle
import traceback
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
import pytest

from spotdx_async._http import clock
from spotdx_async._requests.arguments import Fault, day_of, refuse
from spotdx_async._requests.validation import (
    ACTIVATION_PATIENT,
    ORDER,
    PATIENT,
    REQUISITION,
    Shape,
    check,
)
from spotdx_async.errors import InvalidInputError
from spotdx_async.models import (
    Address,
    Carrier,
    Country,
    Model,
    NewOrder,
    NewPatient,
    NewRequisition,
    Recipient,
    RequisitionAttributes,
    Sex,
    Tracking,
)
from tests.new_objects import part

M = TypeVar("M", bound=Model)

OPERATION = "POST /api/v2/orders/"
CANARY = "canary-7f3a"
WALL = datetime(2024, 2, 9, 9, 59, 59, tzinfo=UTC)  # in a second a new day begins in the furthest east
TODAY_IN_THE_FURTHEST_EAST = date(2024, 2, 9)

HOME = Address(street1="123 Main St", street2="Apt 1", city="Springfield", state="OH", country=Country.US, zip="00000")
NEW_ORDER = NewOrder(
    kit_types=("health_kit_1", "health_kit_1"),
    recipient=Recipient(first_name="Alice", last_name="Smith", email="alice@example.com", phone="1", address=HOME),
    metadata={"cohort": "A", "deep": [{"n": 1.5}, None, True]},
)
PERSON = NewPatient(
    first_name="Alice",
    last_name="Smith",
    email="alice@example.com",
    phone="1",
    sex=Sex.F,
    date_of_birth=date(1990, 1, 31),
)
NEW_REQUISITION = NewRequisition(
    barcode="19742938328",
    panels=("PANEL-123",),
    account_number="1234567890",
    lab="CRL",
    state_collected="OH",
    patient=attrs.evolve(PERSON, address=HOME),
    tracking=Tracking(tracking_number="94001", carrier=Carrier.USPS),
    attributes=RequisitionAttributes(crl_slip_id="1234567890", crl_tier3_account_number="12345678"),
    metadata={"cohort": "A"},
)
WHOLE: list[tuple[Shape, Model]] = [
    (ORDER, NEW_ORDER),
    (PATIENT, PERSON),
    (ACTIVATION_PATIENT, attrs.evolve(PERSON, address=HOME)),
    (REQUISITION, NEW_REQUISITION),
]
TEXTS = [
    *[(ORDER, f"recipient.{name}") for name in ("first_name", "last_name", "email", "phone")],
    *[(ORDER, f"recipient.address.{name}") for name in ("street1", "street2", "city", "zip")],
    *[(PATIENT, name) for name in ("first_name", "last_name", "phone")],
    *[(ACTIVATION_PATIENT, name) for name in ("first_name", "last_name", "phone", "address.city")],
    *[(REQUISITION, name) for name in ("barcode", "account_number", "lab", "tracking.tracking_number")],
    *[(REQUISITION, f"patient.{name}") for name in ("first_name", "last_name", "phone", "address.street2")],
]
ARABIC = "\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668"  # eight digits of another script


def changed(model: M, path: str, value: Any) -> M:
    """Give the model with another value at the path."""
    name, _, rest = path.partition(".")
    return attrs.evolve(model, **{name: changed(getattr(model, name), rest, value) if rest else value})


def whole(shape: Shape) -> Any:
    return next(model for of, model in WHOLE if of is shape)


def faults_of(value: object, shape: Shape) -> tuple[Fault, ...]:
    try:
        check(value, shape, OPERATION)
    except InvalidInputError as error:
        return error.faults
    return ()


def faults_with(shape: Shape, path: str, value: Any) -> tuple[Fault, ...]:
    return faults_of(changed(whole(shape), path, value), shape)


def error_of(value: object, shape: Shape) -> InvalidInputError:
    with pytest.raises(InvalidInputError) as caught:
        check(value, shape, OPERATION)
    return caught.value


@pytest.fixture(autouse=True)
def _wall(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: WALL)


# Whole ones, and what may be left out


@pytest.mark.parametrize(("shape", "model"), WHOLE)
def test_a_whole_one_passes(shape: Shape, model: Model) -> None:
    assert faults_of(model, shape) == ()


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        (ORDER, "metadata"),
        (ORDER, "recipient.address.street2"),
        (PATIENT, "phone"),
        (REQUISITION, "tracking"),
        (REQUISITION, "tracking.tracking_number"),
        (REQUISITION, "tracking.carrier"),
        (REQUISITION, "attributes"),
        (REQUISITION, "attributes.crl_slip_id"),
        (REQUISITION, "attributes.crl_tier3_account_number"),
        (REQUISITION, "metadata"),
        (REQUISITION, "patient.phone"),
        (REQUISITION, "patient.address.street2"),
        *[(ACTIVATION_PATIENT, name) for name in ("first_name", "last_name", "email", "phone", "sex")],
        *[(ACTIVATION_PATIENT, name) for name in ("date_of_birth", "address", "address.zip", "address.country")],
    ],
)
def test_what_the_contract_does_not_require_may_be_left_out(shape: Shape, path: str) -> None:
    assert faults_with(shape, path, None) == ()


@pytest.mark.parametrize(
    ("shape", "path"),
    [
        *[(ORDER, name) for name in ("kit_types", "recipient")],
        *[(ORDER, f"recipient.{name}") for name in ("first_name", "last_name", "email", "phone", "address")],
        *[(ORDER, f"recipient.address.{name}") for name in ("street1", "city", "state", "country", "zip")],
        *[(PATIENT, name) for name in ("first_name", "last_name", "email", "sex", "date_of_birth")],
        *[(REQUISITION, name) for name in ("barcode", "panels", "account_number", "lab", "state_collected", "patient")],
        *[(REQUISITION, f"patient.{name}") for name in ("first_name", "last_name", "email", "sex", "date_of_birth")],
        (REQUISITION, "patient.address"),
        *[(REQUISITION, f"patient.address.{name}") for name in ("street1", "city", "state", "country", "zip")],
    ],
)
def test_what_the_contract_requires_is_required(shape: Shape, path: str) -> None:
    assert faults_with(shape, path, None) == ((path, "is required"),)


@pytest.mark.parametrize(("shape", "path"), [(ORDER, "kit_types"), (REQUISITION, "panels")])
@pytest.mark.parametrize("empty", [(), []])
def test_an_empty_list_is_none(shape: Shape, path: str, empty: Any) -> None:
    assert faults_with(shape, path, empty) == ((path, "is required"),)


def test_an_activation_requires_nothing_since_the_server_alone_knows_what_the_kit_needs() -> None:
    assert faults_of(part(NewPatient), ACTIVATION_PATIENT) == ()
    assert faults_of(part(NewPatient, address=part(Address)), ACTIVATION_PATIENT) == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("email", "alice"),
        ("sex", "X"),
        ("date_of_birth", "31.1.1990"),
        ("address", {"city": "Springfield"}),
        ("address.state", "Ohio"),
        ("address.country", "MX"),
    ],
)
def test_what_an_activation_is_given_is_checked(path: str, value: Any) -> None:
    assert [where for where, _ in faults_with(ACTIVATION_PATIENT, path, value)] == [path]


@pytest.mark.parametrize("address", [HOME, part(Address), {"city": "Springfield"}])
def test_a_new_patient_has_no_place_for_an_address(address: Any) -> None:
    fault = "must be left out: only activations and requisitions take it"

    assert faults_with(PATIENT, "address", address) == (("address", fault),)


def test_unknown_fields_are_left_to_the_server() -> None:
    order = attrs.evolve(NEW_ORDER, extra={"gift": True})

    assert faults_of(order, ORDER) == ()


# All faults at once


def test_every_fault_is_listed_at_once_in_the_order_of_the_fields() -> None:
    requisition = part(
        NewRequisition,
        panels=["PANEL-123", 5, ""],  # what is to be found out
        account_number=" ",
        lab="CRL",
        state_collected="Ohio",
        patient=part(
            NewPatient,
            first_name="Alice",
            email="alice",
            sex="f",
            date_of_birth=date(2025, 1, 1),
            address=part(Address, street1="", city="Springfield", state="O1", country="us"),
        ),
        tracking=Tracking(carrier="dhl"),
        attributes=RequisitionAttributes(crl_slip_id="12345678901", crl_tier3_account_number="1234567"),
        metadata={"n": math.nan},
    )

    assert faults_of(requisition, REQUISITION) == (
        ("barcode", "is required"),
        ("panels[1]", "must be text, not an int"),
        ("panels[2]", "must not be empty"),
        ("account_number", "must not be empty"),
        ("state_collected", "must be a state's two letters"),
        ("patient.last_name", "is required"),
        ("patient.email", "must be an e-mail address"),
        ("patient.sex", "must be one of M, F"),
        ("patient.date_of_birth", "must not be in the future"),
        ("patient.address.street1", "must not be empty"),
        ("patient.address.state", "must be a state's two letters"),
        ("patient.address.country", "must be one of US, CA"),
        ("patient.address.zip", "is required"),
        ("tracking.carrier", "must be one of fedex, ups, usps"),
        ("attributes.crl_slip_id", "must be 1 to 10 letters and digits"),
        ("attributes.crl_tier3_account_number", "must be exactly 8 letters and digits"),
        ("metadata.n", "is NaN or infinite, which JSON does not have"),
    )


def test_an_empty_order_says_all_that_it_lacks() -> None:
    assert faults_of(part(NewOrder), ORDER) == (("kit_types", "is required"), ("recipient", "is required"))


def test_the_text_of_the_error_lists_every_fault_and_that_nothing_was_sent() -> None:
    error = error_of(part(NewOrder), ORDER)

    assert str(error) == (
        "POST /api/v2/orders/: 2 faults: kit_types is required; recipient is required; nothing was sent"
    )


def test_a_single_fault_is_not_counted() -> None:
    error = error_of(changed(NEW_ORDER, "recipient.phone", None), ORDER)

    assert str(error) == "POST /api/v2/orders/: recipient.phone is required; nothing was sent"


def test_a_fault_of_the_whole_has_no_path() -> None:
    error = error_of({}, ORDER)

    assert error.faults == (("", "must be a NewOrder, not a dict"),)
    assert str(error) == "POST /api/v2/orders/: must be a NewOrder, not a dict; nothing was sent"


def test_the_error_says_whose_call_it_was_and_that_nothing_was_tried() -> None:
    error = error_of(part(NewOrder), ORDER)

    assert (error.operation, error.attempts, error.elapsed_s) == (OPERATION, 0, 0.0)


def test_the_faults_survive_pickling() -> None:
    error = error_of(part(NewOrder), ORDER)

    again = pickle.loads(pickle.dumps(error))

    assert again.faults == error.faults
    assert str(again) == str(error)


def test_faults_that_were_found_elsewhere_are_said_in_the_same_way() -> None:
    with pytest.raises(InvalidInputError, match="2 faults: a is wrong; b is too; nothing was sent") as caught:
        refuse((("a", "is wrong"), ("b", "is too")), OPERATION)

    assert caught.value.faults == (("a", "is wrong"), ("b", "is too"))


# Values of a field


@pytest.mark.parametrize(("shape", "path"), TEXTS)
@pytest.mark.parametrize("blank", ["", " ", "\t\n", "\u00a0"], ids=ascii)
def test_a_blank_text_is_refused(shape: Shape, path: str, blank: str) -> None:
    assert faults_with(shape, path, blank) == ((path, "must not be empty"),)


@pytest.mark.parametrize(("shape", "path"), TEXTS)
@pytest.mark.parametrize(
    ("value", "named"), [(5, "an int"), (True, "a bool"), (b"x", "a bytes"), (["x"], "a list"), ({}, "a dict")]
)
def test_what_is_no_text_is_refused_by_its_type(shape: Shape, path: str, value: Any, named: str) -> None:
    assert faults_with(shape, path, value) == ((path, f"must be text, not {named}"),)


ZIPS = [(ORDER, "recipient.address.zip"), (REQUISITION, "patient.address.zip"), (ACTIVATION_PATIENT, "address.zip")]


@pytest.mark.parametrize(("shape", "path"), ZIPS)
@pytest.mark.parametrize("digits", ["2139", "501", "7", " 2139", "2139\n"])
def test_a_postal_code_that_has_lost_its_leading_zeros_is_refused(shape: Shape, path: str, digits: str) -> None:
    assert faults_with(shape, path, digits) == ((path, "has fewer than five digits, as where leading zeros were lost"),)


@pytest.mark.parametrize(("shape", "path"), ZIPS)
@pytest.mark.parametrize("code", ["02139", "00501", "02139-4307", "021394307", "K1A 0B1", ARABIC])
def test_other_postal_codes_are_left_to_the_server(shape: Shape, path: str, code: str) -> None:
    assert faults_with(shape, path, code) == ()


@pytest.mark.parametrize(
    ("shape", "path"), [(ORDER, "recipient.phone"), (PATIENT, "phone"), (REQUISITION, "patient.phone")]
)
def test_a_telephone_number_that_has_lost_its_digits_is_refused(shape: Shape, path: str) -> None:
    lost = "is a number in scientific notation, as where digits were lost"

    assert [faults_with(shape, path, value) for value in ("2.02555E+09", "2e+9")] == 2 * [((path, lost),)]
    assert [faults_with(shape, path, value) for value in ("2025550147", "+1 202 555 0147", "555-0147 x9")] == 3 * [()]


STATES = [(ORDER, "recipient.address.state"), (REQUISITION, "state_collected"), (REQUISITION, "patient.address.state")]


@pytest.mark.parametrize(("shape", "path"), STATES)
@pytest.mark.parametrize("state", ["CA", "ca", "Oh", "ZZ"])
def test_a_state_is_two_letters_of_either_case(shape: Shape, path: str, state: str) -> None:
    assert faults_with(shape, path, state) == ()


@pytest.mark.parametrize(("shape", "path"), STATES)
@pytest.mark.parametrize(
    "bad", ["California", "C", "", "C1", "12", "\u00c7A", " CA", "CA ", "C A", "CA\n", "\uff23\uff21", 5, b"CA", ["CA"]]
)
def test_what_is_no_state_is_refused(shape: Shape, path: str, bad: Any) -> None:
    assert faults_with(shape, path, bad) == ((path, "must be a state's two letters"),)


CHOICES = [
    (ORDER, "recipient.address.country", "must be one of US, CA"),
    (PATIENT, "sex", "must be one of M, F"),
    (REQUISITION, "tracking.carrier", "must be one of fedex, ups, usps"),
]


@pytest.mark.parametrize(
    ("shape", "path", "values"),
    [
        (ORDER, "recipient.address.country", [*Country, "US", "CA"]),
        (PATIENT, "sex", [*Sex, "M", "F"]),
        (REQUISITION, "tracking.carrier", [*Carrier, "fedex", "ups", "usps"]),
    ],
)
def test_a_value_of_the_contract_passes_as_member_and_as_text(shape: Shape, path: str, values: list[str]) -> None:
    assert [faults_with(shape, path, value) for value in values] == [()] * len(values)


@pytest.mark.parametrize(("shape", "path", "says"), CHOICES)
@pytest.mark.parametrize("bad", ["us", "MX", "m", "FedEx", "dhl", "US ", "F\n", "", 1, ["US"], {}])
def test_a_value_beyond_the_contract_is_refused_where_it_is_sent(shape: Shape, path: str, says: str, bad: Any) -> None:
    assert faults_with(shape, path, bad) == ((path, says),)


@pytest.mark.parametrize("slip", ["1", "A", "a1B2c3D4e5", "0000000000"])
def test_a_slip_has_up_to_ten_letters_and_digits(slip: str) -> None:
    assert faults_with(REQUISITION, "attributes.crl_slip_id", slip) == ()


@pytest.mark.parametrize(
    "bad", ["", "12345678901", "A-1", "A 1", " A1", "A1\n", "\u00c41", ARABIC, "\uff11", "\u00b2", 5, b"1"]
)
def test_another_slip_is_refused(bad: Any) -> None:
    path = "attributes.crl_slip_id"

    assert faults_with(REQUISITION, path, bad) == ((path, "must be 1 to 10 letters and digits"),)


@pytest.mark.parametrize("number", ["12345678", "abcdEFGH", "0000000a"])
def test_a_tier_3_account_has_exactly_eight_letters_and_digits(number: str) -> None:
    assert faults_with(REQUISITION, "attributes.crl_tier3_account_number", number) == ()


@pytest.mark.parametrize("bad", ["", "1234567", "123456789", "1234-678", "1234567 ", "1234567\n", ARABIC, 12345678])
def test_another_tier_3_account_is_refused(bad: Any) -> None:
    path = "attributes.crl_tier3_account_number"

    assert faults_with(REQUISITION, path, bad) == ((path, "must be exactly 8 letters and digits"),)


@pytest.mark.parametrize("email", ["a@b", "alice+kit@example.com", "\u00fc@example.com", '"a"@b.c'])
@pytest.mark.parametrize(("shape", "path"), [(PATIENT, "email"), (REQUISITION, "patient.email")])
def test_an_e_mail_address_of_a_patient_has_two_sides(shape: Shape, path: str, email: str) -> None:
    assert faults_with(shape, path, email) == ()


@pytest.mark.parametrize("bad", ["", "alice", "@b", "a@", "a@b@c", "a b@c", " a@b", "a@b\n", 5, b"a@b"])
@pytest.mark.parametrize(("shape", "path"), [(PATIENT, "email"), (REQUISITION, "patient.email")])
def test_what_is_no_e_mail_address_is_refused(shape: Shape, path: str, bad: Any) -> None:
    assert faults_with(shape, path, bad) == ((path, "must be an e-mail address"),)


# Dates


@pytest.mark.parametrize(
    "born",
    [
        TODAY_IN_THE_FURTHEST_EAST,
        date(2024, 2, 8),
        date(1, 1, 1),
        "2024-02-09",
        "2024-02-08",
        "1990-01-31",
        "2000-02-29",
    ],
)
def test_a_day_that_has_begun_somewhere_passes(born: Any) -> None:
    assert faults_with(PATIENT, "date_of_birth", born) == ()


@pytest.mark.parametrize("born", [date(2024, 2, 10), "2024-02-10", date(9999, 12, 31)])
def test_a_day_that_has_begun_nowhere_is_refused(born: Any) -> None:
    assert faults_with(PATIENT, "date_of_birth", born) == (("date_of_birth", "must not be in the future"),)


def test_tomorrow_passes_from_the_moment_that_it_begins_in_the_furthest_east(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "wall", lambda: datetime(2024, 2, 9, 10, tzinfo=UTC))

    assert faults_with(PATIENT, "date_of_birth", date(2024, 2, 10)) == ()
    assert faults_with(PATIENT, "date_of_birth", date(2024, 2, 11)) != ()


@pytest.mark.parametrize(
    "bad",
    [
        datetime(1990, 1, 31, tzinfo=UTC),
        datetime(1990, 1, 31),  # noqa: DTZ001 - an instant without a zone is none either
        "2023-02-29",
        "1990-13-01",
        "0000-01-01",
        "1990-1-31",
        "19900131",
        "31.01.1990",
        "1990-W05-3",
        "1990-01-31T00:00:00Z",
        "1990-01-31\n",
        " 1990-01-31",
        "\u0661\u0669\u0669\u0660-01-31",
        "",
        1990,
        True,
        b"1990-01-31",
    ],
)
def test_what_is_no_day_is_refused(bad: Any) -> None:
    assert faults_with(PATIENT, "date_of_birth", bad) == (
        ("date_of_birth", "must be a date, or text in the form YYYY-MM-DD"),
    )


def test_the_day_of_a_date_and_of_its_text_is_the_same() -> None:
    assert day_of(date(1990, 1, 31)) == day_of("1990-01-31") == date(1990, 1, 31)
    assert day_of(None) is None


# Wrong types at every level


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "a NoneType"),
        ({"kit_types": ["k"]}, "a dict"),
        ("order", "a str"),
        (NewOrder, "a type"),
        (PERSON, "a NewPatient"),
        (part(Address), "an Address"),
    ],
)
def test_what_is_no_order_is_refused(value: Any, named: str) -> None:
    assert faults_of(value, ORDER) == (("", f"must be a NewOrder, not {named}"),)


@pytest.mark.parametrize(
    ("shape", "path", "expected"),
    [
        (ORDER, "recipient", "a Recipient"),
        (ORDER, "recipient.address", "an Address"),
        (REQUISITION, "patient", "a NewPatient"),
        (REQUISITION, "patient.address", "an Address"),
        (REQUISITION, "tracking", "a Tracking"),
        (REQUISITION, "attributes", "a RequisitionAttributes"),
        (ACTIVATION_PATIENT, "address", "an Address"),
    ],
)
@pytest.mark.parametrize(
    ("value", "named"),
    [({}, "a dict"), ("Alice", "a str"), (0, "an int"), ([], "a list"), (Sex.F, "a Sex"), (NEW_ORDER, "a NewOrder")],
)
def test_an_inner_model_of_another_type_is_refused_with_its_place(
    shape: Shape, path: str, expected: str, value: Any, named: str
) -> None:
    assert faults_with(shape, path, value) == ((path, f"must be {expected}, not {named}"),)


@pytest.mark.parametrize(("shape", "path"), [(ORDER, "kit_types"), (REQUISITION, "panels")])
@pytest.mark.parametrize(
    ("value", "named"), [("abc", "a str"), ({"a"}, "a set"), ({"a": 1}, "a dict"), (5, "an int"), ("", "a str")]
)
def test_what_is_no_list_is_refused(shape: Shape, path: str, value: Any, named: str) -> None:
    assert faults_with(shape, path, value) == ((path, f"must be a list of texts, not {named}"),)


@pytest.mark.parametrize(("shape", "path"), [(ORDER, "kit_types"), (REQUISITION, "panels")])
@pytest.mark.parametrize("of", [list, tuple])
def test_each_item_of_a_list_is_checked(shape: Shape, path: str, of: type[Any]) -> None:
    items = of(["a", 5, "", " ", None, ["b"], "c"])

    assert faults_with(shape, path, items) == (
        (f"{path}[1]", "must be text, not an int"),
        (f"{path}[2]", "must not be empty"),
        (f"{path}[3]", "must not be empty"),
        (f"{path}[4]", "must be text, not a NoneType"),
        (f"{path}[5]", "must be text, not a list"),
    )


# Metadata


@pytest.mark.parametrize(
    "metadata", [{}, {"": None}, {"a": [1, {"b": "ü"}]}, {"n": 10**40}, MappingProxyType({"cohort": "A"})]
)
def test_metadata_that_json_has_passes(metadata: Any) -> None:
    assert faults_with(ORDER, "metadata", metadata) == ()


@pytest.mark.parametrize(
    ("metadata", "path", "says"),
    [
        ({"n": math.nan}, "metadata.n", "is NaN or infinite, which JSON does not have"),
        ({"a": [1, {"n": -math.inf}]}, "metadata.a[1].n", "is NaN or infinite, which JSON does not have"),
        ({5: "a"}, "metadata", "has a key of type int; JSON keys are strings"),
        ({"a": {None: 1}}, "metadata.a", "has a key of type NoneType; JSON keys are strings"),
        ({"when": WALL}, "metadata.when", "is of type datetime, which JSON does not have: pass its isoformat()"),
        ({"a b": {1}}, "metadata[…]", "is of type set, which JSON does not have: pass a list of its items"),
        ({"a": "\ud800"}, "metadata.a", "holds text that is not valid Unicode"),
        ("cohort", "metadata", "must be a mapping, not a str"),
        (["cohort"], "metadata", "must be a mapping, not a list"),
        (0, "metadata", "must be a mapping, not an int"),
    ],
)
@pytest.mark.parametrize("shape", [ORDER, REQUISITION])
def test_metadata_that_json_does_not_have_is_refused(shape: Shape, metadata: Any, path: str, says: str) -> None:
    assert faults_with(shape, "metadata", metadata) == ((path, says),)


# What the error shows


EVERYTHING_WRONG = [
    (
        ORDER,
        NewOrder(
            kit_types=(b"canary-7f3a", "k"),  # type: ignore[arg-type]  # what is to be found out
            recipient=part(
                Recipient,
                first_name=[CANARY],  # what is to be found out
                last_name={CANARY},  # what is to be found out
                address=Address(street1="", city=CANARY, state=CANARY, country=CANARY, zip=b"canary-7f3a"),  # type: ignore[arg-type]  # what is to be found out
            ),
            metadata={"note": {CANARY}, f"{CANARY} key": 1},
        ),
    ),
    (
        REQUISITION,
        part(
            NewRequisition,
            barcode=CANARY,
            panels=CANARY,
            state_collected=CANARY,
            patient=part(
                NewPatient,
                first_name=CANARY,
                email=CANARY,
                sex=CANARY,
                date_of_birth=CANARY,  # what is to be found out
                address={"street1": CANARY},  # what is to be found out
            ),
            tracking=Tracking(tracking_number="", carrier=CANARY),
            attributes=RequisitionAttributes(crl_slip_id=CANARY, crl_tier3_account_number=f"{CANARY}\n"),
            metadata=CANARY,  # what is to be found out
        ),
    ),
    (PATIENT, part(NewPatient, first_name=CANARY, email=CANARY, sex=CANARY, address=part(Address, city=CANARY))),
    (ACTIVATION_PATIENT, part(NewPatient, first_name=CANARY, email=CANARY, address=part(Address, state=CANARY))),
    (REQUISITION, CANARY),
]


@pytest.mark.parametrize(("shape", "value"), EVERYTHING_WRONG)
def test_no_text_of_the_error_shows_a_value(shape: Shape, value: Any) -> None:
    error = error_of(value, shape)

    shown = [str(error), repr(error), repr(error.args), repr(error.faults), repr(pickle.dumps(error))]
    shown += traceback.format_exception(error)

    assert not [text for text in shown if "canary" in text]
    assert error.faults


@pytest.mark.parametrize(("shape", "value"), EVERYTHING_WRONG)
def test_no_other_error_stands_behind_the_error(shape: Shape, value: Any) -> None:
    error = error_of(value, shape)

    assert (error.__cause__, error.__context__) == (None, None)


@pytest.mark.parametrize(("shape", "value"), EVERYTHING_WRONG)
def test_the_faults_are_pairs_of_texts(shape: Shape, value: Any) -> None:
    faults = error_of(value, shape).faults

    assert type(faults) is tuple
    assert all(tuple(map(type, fault)) == (str, str) for fault in faults)
