"""Answers of the server as hypothesis draws them: properties missing, null or unknown, and values of every size."""

from datetime import datetime
from typing import Any

from hypothesis import strategies as st

Json = st.SearchStrategy[Any]

WORD = st.text(max_size=12)
INTEGER = st.integers() | st.integers(min_value=-(10**60), max_value=10**60)
NUMBER = INTEGER | st.floats(allow_nan=False, allow_infinity=False)
ANY: Json = st.recursive(
    st.none() | st.booleans() | NUMBER | WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORD, inner, max_size=3),
    max_leaves=8,
)
ZONE = st.sampled_from(["Z", "Z", "Z", "", "z", "+00:00", "-08:00", "+0530", "+01"])
FRACTION = st.sampled_from(["", ".222", ",222", ".000", ".5", ".12345", ".123456", ".123456789"])
TIME = st.builds(
    lambda moment, day, mark, clock, fraction, zone: moment.strftime(f"{day}{mark}{clock}") + fraction + zone,
    st.datetimes(min_value=datetime(1999, 12, 31), max_value=datetime(2099, 12, 31)),  # noqa: DTZ001 - zones follow
    st.sampled_from(["%Y-%m-%d", "%Y-%m-%d", "%Y%m%d", "%G-W%V-%u"]),
    st.sampled_from(["T", "T", "T", " ", "t"]),
    st.sampled_from(["%H:%M:%S", "%H:%M:%S", "%H%M%S"]),
    FRACTION,
    ZONE,
)
DATE = st.dates().map(lambda day: day.isoformat())
AMOUNT = st.sampled_from(["<10", "> 200", "≥5", ">=.5", "1,200", "negative", "12 (H)", "1e400"])
LIMIT = NUMBER | NUMBER.map(str) | WORD


def known_or_not(*values: str) -> Json:
    return st.sampled_from([*values, "pending", "rejected"]) | WORD


def shape(**fields: Json) -> Json:
    """Draw objects in which each property is present, null or missing, beside properties that nobody knows."""
    nullable = {name: st.none() | values for name, values in fields.items()}
    unknown = st.dictionaries(WORD.filter(lambda name: name not in {*fields, "result_type"}), ANY, max_size=2)
    return st.builds(lambda some, more: {**more, **some}, st.fixed_dictionaries({}, optional=nullable), unknown)


def listed(items: Json) -> Json:
    return st.lists(items, max_size=2)


def tagged(results: Json, tag: Json) -> Json:
    return st.builds(lambda result, word: {**result, "result_type": word}, results, tag)


ABOUT_RESULT = {"name": WORD, "time_collected": TIME, "unit_of_measure": WORD, "comments": WORD}
LIMITS = {"range_minimum": LIMIT, "range_maximum": LIMIT}
QUANTITY = tagged(shape(**ABOUT_RESULT, **LIMITS, result=NUMBER | NUMBER.map(str) | AMOUNT | WORD), st.just("quantity"))
REACTIVITY = tagged(shape(**ABOUT_RESULT, **LIMITS, result=WORD), st.just("reactivity"))
GENOTYPE = tagged(shape(**ABOUT_RESULT, **LIMITS, result=WORD), st.just("genotype"))
NEW_TAG = st.none() | st.sampled_from(["titer", "Quantity", ""])
LOOSE = shape(**dict.fromkeys([*ABOUT_RESULT, *LIMITS, "result"], ANY))
UNKNOWN = tagged(LOOSE, NEW_TAG) | LOOSE
EVENT = shape(status=known_or_not("preparing", "delivered", "resulted"), created=TIME)
SHIPMENT = shape(tracking_number=WORD, carrier=known_or_not("ups", "usps"), created=TIME)
REPORT = shape(
    report_id=WORD,
    results=listed(QUANTITY | REACTIVITY | GENOTYPE | UNKNOWN),
    pdf=WORD,
    txt=WORD,
    date_collected=TIME,
    date_received=TIME,
    date_resulted=TIME,
    is_amendment=st.booleans(),
)
REGISTRANT = shape(
    patient_id=WORD,
    first_name=WORD,
    last_name=WORD,
    date_of_birth=DATE,
    sex=known_or_not("M", "F"),
    email=WORD,
    phone=WORD,
)
SAMPLE = shape(
    sample_id=WORD,
    status=known_or_not("resulted", "received"),
    events=listed(EVENT),
    type=known_or_not("adx100", "saliva_3"),
    shipments=listed(SHIPMENT),
    panels=listed(WORD),
    reports=listed(st.none() | REPORT),
)
KIT = shape(
    kit_id=WORD,
    type=WORD,
    status=known_or_not("preparing", "registered"),
    events=listed(EVENT),
    shipment_to_customer=SHIPMENT,
    registered_to=REGISTRANT,
    sample=SAMPLE,
)
SUMMARY = shape(
    kit_id=WORD,
    kit_type=WORD,
    order_id=WORD,
    kit_status=known_or_not("preparing"),
    sample_status=known_or_not("resulted"),
    created=TIME,
    updated=TIME,
)
LINES_OF_ADDRESS = ("street1", "street2", "city", "state", "country", "zip")
ADDRESS = shape(
    street1=WORD,
    street2=WORD,
    city=WORD,
    state=WORD,
    country=known_or_not("US", "CA"),
    zip=WORD,
)
RECIPIENT = shape(first_name=WORD, last_name=WORD, email=WORD, phone=WORD, address=ADDRESS)
METADATA = st.dictionaries(WORD, ANY, max_size=3)
ORDER_SUMMARY = shape(
    order_id=WORD,
    status=known_or_not("in_progress", "completed"),
    recipient=RECIPIENT,
    created=TIME,
    updated=TIME,
)
ORDER = shape(
    order_id=WORD,
    status=known_or_not("in_progress", "completed"),
    recipient=RECIPIENT,
    kit_types=listed(WORD),
    kits=listed(KIT),
    created=TIME,
    updated=TIME,
    metadata=METADATA,
)
NEW_ORDER = shape(kit_types=listed(WORD), recipient=RECIPIENT, metadata=METADATA)
# The address itself, or inside an object of its own, with others beside it or in its place.
# One of its own fields does not stand there by chance, as anything: in its place that would be the address's.
WRAPPED = st.builds(
    lambda more, inner: {**more, "address": inner},
    st.dictionaries(WORD.filter(lambda word: word not in LINES_OF_ADDRESS), ANY, max_size=2),
    ADDRESS | st.none() | WORD,
)
PERSON = {
    "first_name": WORD,
    "last_name": WORD,
    "email": WORD,
    "phone": WORD,
    "sex": known_or_not("M", "F"),
    "date_of_birth": DATE,
}
NEW_PATIENT = shape(**PERSON, address=ADDRESS)
PATIENT = shape(**PERSON, patient_id=WORD, address=ADDRESS | WRAPPED)
TRACKING = shape(tracking_number=WORD, carrier=known_or_not("ups", "usps"))
ATTRIBUTES = shape(crl_slip_id=WORD, crl_tier3_account_number=WORD)
REQUISITION_STATUS = known_or_not("created", "approved", "denied", "resulted")
REQUISITION_EVENT = shape(event=REQUISITION_STATUS, date=TIME)
SAMPLE_IN_A_LAB = {"barcode": WORD, "account_number": WORD, "lab": WORD, "panels": listed(WORD)}
NEW_REQUISITION = shape(
    **SAMPLE_IN_A_LAB,
    state_collected=WORD,
    patient=NEW_PATIENT,
    tracking=TRACKING,
    attributes=ATTRIBUTES,
    metadata=METADATA,
)
REQUISITION_SUMMARY = shape(
    **SAMPLE_IN_A_LAB,
    requisition_id=WORD,
    patient=PATIENT,
    status=REQUISITION_STATUS,
    created=TIME,
    updated=TIME,
)
REQUISITION = shape(
    **SAMPLE_IN_A_LAB,
    requisition_id=WORD,
    state_collected=WORD,
    patient=PATIENT,
    tracking=TRACKING,
    status=REQUISITION_STATUS,
    events=listed(REQUISITION_EVENT),
    reports=listed(st.none() | REPORT),
    attributes=ATTRIBUTES,
    metadata=METADATA,
    created=TIME,
    updated=TIME,
)

# Of what is drawn above nearly every kit lacks a sample, a report or a result. These have them, with usual values too.
UNIT = st.sampled_from(["mg/dL", "pg/mL", "µIU/mL", "%", "K/uL", "ratio"]) | WORD
USUAL_RESULT = {"name": st.sampled_from(["HDL", "TSH"]) | WORD, "time_collected": TIME, "comments": WORD}
RANGE = {name: st.integers(0, 9) | st.none() | LIMIT for name in LIMITS}
MEASURED = st.one_of(
    st.fixed_dictionaries(
        {
            "result_type": st.just("quantity"),
            "result": st.integers(0, 9) | st.floats(0, 9) | AMOUNT | NUMBER | WORD,
            "unit_of_measure": UNIT | st.none(),
            **USUAL_RESULT,
            **RANGE,
        }
    ),
    st.fixed_dictionaries(
        {"result_type": st.just("reactivity"), "result": st.sampled_from(["positive", "negative"]), **USUAL_RESULT}
    ),
    st.fixed_dictionaries({"result_type": st.just("genotype"), "result": st.just("TT"), **USUAL_RESULT}),
    st.fixed_dictionaries({"result_type": st.sampled_from(["titer", None]), "result": ANY, "name": ANY, **RANGE}),
    QUANTITY | UNKNOWN,
)
FILLED_REPORT = st.fixed_dictionaries(
    {
        "report_id": WORD,
        "results": st.lists(MEASURED, min_size=1, max_size=4),
        "pdf": st.just("https://example.com/1.pdf") | WORD,
        "is_amendment": st.booleans(),
        "date_collected": TIME | st.none(),
        "date_resulted": TIME | st.none(),
    }
)
SAMPLE_STATUS = known_or_not(
    *("resulted", "received", "partially_resulted", "extra_quality_checks", "canceled", "awaiting_collection")
)
FILLED_KIT = st.builds(
    lambda kit, sample, person: {**kit, "sample": sample, "registered_to": person},
    KIT,
    st.builds(
        lambda sample, status, reports: {**sample, "status": status, "reports": reports},
        SAMPLE,
        SAMPLE_STATUS,
        st.lists(FILLED_REPORT | st.none(), min_size=1, max_size=3),
    ),
    st.fixed_dictionaries(
        {
            "patient_id": WORD,
            "first_name": WORD,
            "last_name": WORD,
            "sex": st.sampled_from("MFX"),
            "date_of_birth": DATE,
        }
    ),
)
