"""What the codec takes in beyond the contract's letter, and what a user finds in the model then."""

import copy
import json
import pickle
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from spotdx_async import DecodeError, InvalidInputError, dumps, loads
from spotdx_async._codec.codec import BadItem, decode, decode_items, decode_rows, has_come_as_null
from spotdx_async.models import (
    GenotypeResult,
    Kit,
    KitEvent,
    KitStatus,
    KitSummary,
    Model,
    Order,
    QuantityResult,
    ReactivityResult,
    Registrant,
    Report,
    Sample,
    Shipment,
    UnknownResult,
)

BEYOND_64_BITS = 123456789012345678901234567890


def read(cls: type[Any], **fields: Any) -> Any:
    return loads(json.dumps(fields), cls)


def written(model: Any) -> Any:
    return json.loads(dumps(model))


def assert_comes_back(cls: type[Any], **fields: Any) -> Any:
    model = read(cls, **fields)
    assert written(model) == fields
    return model


# Enumerations and unknown fields.


@pytest.mark.parametrize("status", ["pending", "kit_type_assigned", "awaiting_collection", "", "PREPARING", "né\u0007"])
def test_an_unknown_status_is_kept_as_plain_text(status: str) -> None:
    kit = assert_comes_back(Kit, status=status)

    assert kit.status == status
    assert type(kit.status) is str


def test_a_known_status_is_the_member() -> None:
    assert assert_comes_back(Kit, status="delivered").status is KitStatus.DELIVERED


@pytest.mark.parametrize("cls", [Kit, KitEvent, Shipment, Registrant, Sample, Report, QuantityResult, UnknownResult])
def test_an_unknown_field_is_kept_in_extra(cls: type[Model]) -> None:
    model = assert_comes_back(cls, metadata={"cohort": ["A", None, 1.5]}, extra="x", as_came=1, _as_came=2)

    assert model.extra == {"metadata": {"cohort": ["A", None, 1.5]}, "extra": "x", "as_came": 1, "_as_came": 2}
    assert type(model.extra) is dict


def test_each_model_has_unknown_fields_of_its_own() -> None:
    first, second = loads(b'[{"kit_id": "1", "x": 1}, {"kit_id": "2", "x": 1}]', tuple[Kit, ...])

    assert first.extra is not second.extra


@pytest.mark.parametrize(
    "change",
    [
        lambda extra: extra.__setitem__("x", 1),
        lambda extra: extra.__ior__({"x": 1}),
        lambda extra: extra.update(x=1),
        lambda extra: extra.setdefault("x", 1),
        lambda extra: extra.pop("x", None),
        lambda extra: extra.clear(),
    ],
)
def test_models_without_unknown_fields_share_a_dict_that_cannot_be_changed(change: Callable[[Any], object]) -> None:
    quick, careful = loads('{"kit_id": "1"}', Kit), loads('{"kit_id": "\\ud800"}', Kit)
    assert quick.extra is careful.extra == {}

    with pytest.raises(TypeError, match="evolve"):
        change(quick.extra)

    assert quick.extra == {}


def test_copies_of_models_without_unknown_fields_share_it_too() -> None:
    kit = loads('{"kit_id": "1", "sample": {}}', Kit)

    for copied in (pickle.loads(pickle.dumps(kit)), copy.deepcopy(kit), copy.copy(kit)):
        assert copied == kit
        assert copied.sample is not None
        assert copied.extra is copied.sample.extra is kit.extra
    assert json.dumps(kit.extra) == "{}"
    assert (kit.extra | {"x": 1}, {**kit.extra, "x": 1}) == ({"x": 1}, {"x": 1})  # type: ignore[operator]


# Null and missing.


def test_a_null_that_came_goes_out_as_null_and_a_missing_property_stays_missing() -> None:
    shipment = assert_comes_back(Shipment, tracking_number=None)

    assert (shipment.tracking_number, shipment.carrier) == (None, None)


@pytest.mark.parametrize("fields", [{}, {"events": None}, {"events": []}], ids=["missing", "null", "empty"])
def test_a_list_that_is_missing_null_or_empty_is_empty_and_stays_what_it_was(fields: dict[str, Any]) -> None:
    assert assert_comes_back(Kit, **fields).events == ()


def test_a_missing_and_a_null_field_make_equal_models() -> None:
    assert read(Kit) == read(Kit, status=None, events=None, sample=None) == Kit()


def test_a_report_may_be_null() -> None:
    sample = assert_comes_back(Sample, reports=[None, {"report_id": "r"}, None])

    assert sample.reports == (None, Report(report_id="r"), None)


def test_an_empty_object_is_an_empty_model_and_not_null() -> None:
    kit = assert_comes_back(Kit, sample={}, registered_to=None)

    assert (kit.sample, kit.registered_to) == (Sample(), None)


# Numbers.


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (20, 20),
        (20.5, 20.5),
        (-0.5, -0.5),
        ("20", 20),
        ("-7", -7),
        ("20.50", 20.5),
        ("1e3", 1000.0),
        ("-0", 0),
        (str(BEYOND_64_BITS), BEYOND_64_BITS),
        (BEYOND_64_BITS, BEYOND_64_BITS),
        (-BEYOND_64_BITS, -BEYOND_64_BITS),
        (2**64 - 1, 2**64 - 1),
        (2**64, 2**64),
        (-(2**63) - 1, -(2**63) - 1),
    ],
)
@pytest.mark.parametrize("cls", [QuantityResult, ReactivityResult, GenotypeResult])
def test_a_range_is_a_number_even_where_it_came_as_text(cls: type[Any], raw: Any, value: float) -> None:
    result = assert_comes_back(cls, range_minimum=raw, range_maximum=raw)

    assert result.range_minimum == result.range_maximum == value
    assert type(result.range_minimum) is type(value)


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "low",
        "nan",
        "NaN",
        "inf",
        "-Infinity",
        "1_000",
        "+5",
        "0x10",
        "007",
        ".5",
        "5.",
        " 5",
        "5\n",
        "٣",
        "１",
        "1e999",
        "9" * 5000,
    ],
    ids=lambda raw: raw[:9],
)
def test_a_range_in_text_that_is_no_json_number_stays_text(raw: str) -> None:
    result = assert_comes_back(QuantityResult, range_minimum=raw)

    assert result.range_minimum == raw
    assert type(result.range_minimum) is str


@pytest.mark.parametrize("raw", ["<10", "12", "1e5", 0, 7, -1.25, 1e300, BEYOND_64_BITS])
def test_a_quantity_is_never_converted(raw: Any) -> None:
    result = assert_comes_back(QuantityResult, result=raw)

    assert result.result == raw
    assert type(result.result) is type(raw)


def test_integers_beyond_64_bits_are_exact_at_any_depth_of_unknown_fields() -> None:
    kit = assert_comes_back(Kit, metadata={"n": [[{"m": BEYOND_64_BITS}]]}, sample={"x": -BEYOND_64_BITS})

    assert kit.extra["metadata"]["n"][0][0]["m"] == BEYOND_64_BITS
    assert kit.sample.extra["x"] == -BEYOND_64_BITS


def test_a_float_that_is_as_large_as_a_long_integer_stays_a_float() -> None:
    result = loads(b'{"result": 1e20, "range_minimum": -2e30}', QuantityResult)

    assert (type(result.result), result.result) == (float, 1e20)
    assert (type(result.range_minimum), result.range_minimum) == (float, -2e30)


# Times.


@pytest.mark.parametrize(
    ("raw", "moment"),
    [
        ("2023-01-01T04:30:11.222Z", datetime(2023, 1, 1, 4, 30, 11, 222_000, tzinfo=UTC)),
        ("2023-01-01T04:30:11Z", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11.000Z", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11.222333Z", datetime(2023, 1, 1, 4, 30, 11, 222_333, tzinfo=UTC)),
        ("2023-01-01T04:30:11.222333444Z", datetime(2023, 1, 1, 4, 30, 11, 222_333, tzinfo=UTC)),
        ("2023-01-01T04:30:11+00:00", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11+05:30", datetime(2022, 12, 31, 23, 0, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11.5-0800", datetime(2023, 1, 1, 12, 30, 11, 500_000, tzinfo=UTC)),
        ("2023-01-01T04:30:11", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11.2222", datetime(2023, 1, 1, 4, 30, 11, 222_200, tzinfo=UTC)),
        ("2023-01-01T0430+0100", datetime(2023, 1, 1, 3, 30, tzinfo=UTC)),
        ("2023-01-01t04:30:11z", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01 04:30:11Z", datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01", datetime(2023, 1, 1, tzinfo=UTC)),
        # As long as the usual forms.
        ("2023-W01-1T04:30:11.222Z", datetime(2023, 1, 2, 4, 30, 11, 222_000, tzinfo=UTC)),
        ("2023-W01-1T04:30:11Z", datetime(2023, 1, 2, 4, 30, 11, tzinfo=UTC)),
        ("2023-01-01T04:30:11,222Z", datetime(2023, 1, 1, 4, 30, 11, 222_000, tzinfo=UTC)),
        ("2023-01-01T043011.22222Z", datetime(2023, 1, 1, 4, 30, 11, 222_220, tzinfo=UTC)),
        ("2023-01-01T043011.2Z", datetime(2023, 1, 1, 4, 30, 11, 200_000, tzinfo=UTC)),
        ("2023-01-01T04:30:11.2+01", datetime(2023, 1, 1, 3, 30, 11, 200_000, tzinfo=UTC)),
        ("20230101T04:30:11.22222Z", datetime(2023, 1, 1, 4, 30, 11, 222_220, tzinfo=UTC)),
        ("2023-01-01 04:30:11.222Z", datetime(2023, 1, 1, 4, 30, 11, 222_000, tzinfo=UTC)),
        ("2023-01-01T04:30:11.220Z", datetime(2023, 1, 1, 4, 30, 11, 220_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
    ],
)
def test_a_time_is_an_instant_in_utc_and_goes_out_in_the_form_it_came_in(raw: str, moment: datetime) -> None:
    event = assert_comes_back(KitEvent, created=raw)

    assert event.created == moment
    assert event.created.tzinfo is UTC


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC), "2023-01-01T04:30:11Z"),
        (datetime(2023, 1, 1, 4, 30, 11, 5_000, tzinfo=UTC), "2023-01-01T04:30:11.005Z"),
        (datetime(2023, 1, 1, 4, 30, 11, 5, tzinfo=UTC), "2023-01-01T04:30:11.000005Z"),
        (datetime(2023, 1, 1, 4, 30, 11), "2023-01-01T04:30:11Z"),  # noqa: DTZ001 - a user may build one without a zone
        (datetime(2023, 1, 1, 4, 30, tzinfo=timezone(timedelta(hours=2))), "2023-01-01T02:30:00Z"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2))), "0001-01-01T00:00:00+02:00"),
    ],
)
def test_a_time_of_your_own_is_written_in_utc_with_all_its_microseconds(moment: datetime, text: str) -> None:
    assert written(KitEvent(created=moment)) == {"created": text}


def test_a_date_is_a_date() -> None:
    registrant = assert_comes_back(Registrant, date_of_birth="1990-02-28")

    assert registrant.date_of_birth == date(1990, 2, 28)
    assert not isinstance(registrant.date_of_birth, datetime)


# Results.


@pytest.mark.parametrize(
    ("tag", "kind"), [("quantity", QuantityResult), ("reactivity", ReactivityResult), ("genotype", GenotypeResult)]
)
def test_a_known_kind_of_result_is_told_by_its_tag(tag: str, kind: type[Any]) -> None:
    report = assert_comes_back(Report, results=[{"result_type": tag, "result": "x"}])

    assert report.results == (kind(result="x"),)
    assert report.results[0].result_type == tag


LOOSE: dict[str, Any] = {
    "name": ["n"],
    "time_collected": 5,
    "result": {"low": None},
    "unit_of_measure": False,
    "range_minimum": "20",
    "range_maximum": BEYOND_64_BITS,
    "comments": [],
    "more": {},
}


@pytest.mark.parametrize("tag", [{}, {"result_type": None}, {"result_type": "titer"}], ids=["missing", "null", "new"])
@pytest.mark.parametrize("fields", [{}, LOOSE, dict.fromkeys(LOOSE)], ids=["empty", "of other types", "null"])
def test_an_unknown_kind_of_result_keeps_its_tag_and_all_its_fields(
    tag: dict[str, Any], fields: dict[str, Any]
) -> None:
    result = assert_comes_back(Report, results=[{**tag, **fields}]).results[0]

    assert type(result) is UnknownResult
    assert result.result_type == tag.get("result_type")
    assert result.result == fields.get("result")
    assert result.range_minimum == fields.get("range_minimum")


def test_the_time_of_an_unknown_kind_is_an_instant_where_it_can_be_read() -> None:
    good = assert_comes_back(UnknownResult, time_collected="2023-01-01T04:30:11Z")
    bad = assert_comes_back(UnknownResult, time_collected="yesterday")

    assert good.time_collected == datetime(2023, 1, 1, 4, 30, 11, tzinfo=UTC)
    assert bad.time_collected == "yesterday"


def test_a_result_that_is_read_alone_may_lack_its_tag() -> None:
    result = assert_comes_back(QuantityResult, result=5)

    assert result == QuantityResult(result=5)
    assert written(attrs.evolve(result, result=6)) == {"result": 6}


@pytest.mark.parametrize("word", ["positive", "inconclusive", ""])
def test_words_beyond_the_contract_are_kept_in_results(word: str) -> None:
    assert assert_comes_back(ReactivityResult, result=word).result == word


# Writing.


def test_a_model_of_your_own_writes_only_what_it_holds() -> None:
    kit = Kit(kit_id="SPOT1", status=KitStatus.DELIVERED, sample=Sample(reports=(Report(results=(QuantityResult(),)),)))

    assert written(kit) == {
        "kit_id": "SPOT1",
        "status": "delivered",
        "sample": {"reports": [{"results": [{"result_type": "quantity"}]}]},
    }


@pytest.mark.parametrize(
    ("came", "change", "out"),
    [
        ({"range_minimum": "20"}, {"range_minimum": 30}, {"range_minimum": 30}),
        ({"range_minimum": "20"}, {"range_minimum": None}, {}),
        ({"range_minimum": "20"}, {"comments": "c"}, {"range_minimum": "20", "comments": "c"}),
        ({"range_minimum": None}, {"range_minimum": 0}, {"range_minimum": 0}),
        ({"comments": None}, {"comments": "c"}, {"comments": "c"}),
        ({"x": 1}, {"extra": {"y": 2}}, {"y": 2}),
        ({"result": None}, {"name": "n"}, {"result": None, "name": "n"}),
    ],
)
def test_a_changed_field_goes_out_as_it_is_now_and_the_others_as_they_came(
    came: dict[str, Any], change: dict[str, Any], out: dict[str, Any]
) -> None:
    result = read(QuantityResult, result_type="quantity", **came)

    assert written(attrs.evolve(result, **change)) == {"result_type": "quantity", **out}


def test_a_changed_value_goes_out_even_where_python_calls_it_equal() -> None:
    result = attrs.evolve(read(UnknownResult, result=1), result=True)

    assert written(result)["result"] is True


def test_a_field_wins_over_an_extra_of_the_same_name() -> None:
    assert written(Kit(kit_id="SPOT1", extra={"kit_id": "other", "type": "t"})) == {"kit_id": "SPOT1", "type": "t"}


def test_lists_and_tuples_of_models_are_written_as_lists() -> None:
    assert written([Kit(kit_id="1"), Kit(kit_id="2")]) == written((Kit(kit_id="1"), Kit(kit_id="2")))
    assert written(()) == []


@pytest.mark.parametrize(
    ("model", "where"),
    [
        (QuantityResult(result=float("nan")), "result"),
        (Sample(reports=(Report(results=(QuantityResult(range_maximum=float("inf")),)),)), "range_maximum"),
        (Kit(extra={"canary-7f3a": {1: "canary-7f3a"}}), "key of type int"),
        (Kit(extra={"a": object()}), "object"),
    ],
)
def test_a_value_without_a_json_form_is_refused_with_its_place(model: Model, where: str) -> None:
    with pytest.raises(InvalidInputError, match=where) as caught:
        dumps(model)

    assert "canary-7f3a" not in str(caught.value)
    assert caught.value.__cause__ is caught.value.__context__ is None


ODD_JSON = [
    '{"kit_id": "SPOT1 \\ud800"}',
    '{"kit_id": "SPOT1", "metadata": {"\\udfff": ["\\ud800", 1e400]}}',
    '{"metadata": -1e999, "n": 1E+400}',
    '{"sample": {"reports": [{"results": [{"result_type": "quantity", "result": 1e400, "range_maximum": 1e400}]}]}}',
    '{"events": [{"status": "\\udc00", "created": null}]}',
    '{"kit_id": "Zoë \\ud800", "n": %s}' % ("1" * 400),
]


@pytest.mark.parametrize("text", ODD_JSON, ids=range(len(ODD_JSON)))
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_whatever_is_json_is_read_and_written_again(text: str, mark: str) -> None:
    kit = loads(mark + text, Kit)

    assert json.loads(dumps(kit)) == json.loads(text)
    assert loads(dumps(kit), Kit) == kit
    assert loads((mark + text).encode(), Kit) == kit


def test_a_number_that_no_float_holds_is_an_infinite_result_and_written_as_it_came() -> None:
    text = b'{"result_type":"quantity","result":1e400}'

    result = loads(text, QuantityResult)

    assert result.result == float("inf")
    assert dumps(result) == text


def test_an_answer_with_a_byte_order_mark_is_read() -> None:
    assert decode(b'\xef\xbb\xbf{"kit_id": "SPOT1"}', Kit) == Kit(kit_id="SPOT1")
    assert decode(b'\xef\xbb\xbf["a"]', tuple[str, ...]) == ("a",)


# Lists whose items stand each for itself.


@pytest.mark.parametrize(
    ("item", "path", "fault"),
    [
        ('{"kit_id": "canary", "created": ""}', "[1].created", "should be a date and time and is text"),
        ('{"kit_id": 5, "x": "canary"}', "[1].kit_id", "should be text and is a number"),
        ('{"kit_id": "canary", "x": {"y": [NaN]}}', "[1]", "holds NaN or Infinity, which JSON does not have"),
        ('{"kit_id": "canary", "created": -Infinity}', "[1]", "holds NaN or Infinity, which JSON does not have"),
        ("null", "[1]", "should be an object and is null"),
        ('"canary"', "[1]", "should be an object and is text"),
        ("1e400", "[1]", "should be an object and is a number"),
    ],
)
def test_one_item_that_does_not_fit_spoils_no_other(item: str, path: str, fault: str) -> None:
    first, bad, last = decode_items(f'[{{"kit_id": "a"}}, {item}, {{"kit_id": "\\ud800"}}]'.encode(), KitSummary)

    assert (first, last) == (KitSummary(kit_id="a"), KitSummary(kit_id="\ud800"))
    assert isinstance(bad, BadItem)
    assert (str(bad.error), bad.error.path, bad.error.outcome) == (f"{path} {fault}", path, "done")
    assert "canary" not in repr(bad) + repr(bad.error)
    assert bad.error.__cause__ is bad.error.__context__ is None


@pytest.mark.parametrize(
    ("body", "outcome"),
    [(b"{}", "done"), (b"null", "done"), (b"<html>", "unknown"), (b"NaN", "unknown"), (b"[1", "unknown")],
)
def test_what_is_no_list_is_no_answer(body: bytes, outcome: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_items(body, KitSummary)

    assert caught.value.outcome == outcome


def test_null_is_told_from_nothing() -> None:
    assert has_come_as_null(loads(b'{"order_id": "1", "metadata": null}', Order), "metadata")
    for text in (b'{"order_id": "1"}', b'{"metadata": {}}'):
        assert not has_come_as_null(loads(text, Order), "metadata")


def test_what_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    ring: dict[str, Any] = {}
    ring["ring"] = ring

    for extra in ({"a": loop}, {"a": ring}):
        with pytest.raises(InvalidInputError):
            dumps(Kit(extra=extra))


# What can be asked for.


def test_text_bytes_and_buffers_are_read_alike() -> None:
    text = '{"kit_id": "SPOT1", "metadata": {"name": "Zoë", "n": 123456789012345678901234567890}}'
    body = text.encode()

    assert len({dumps(loads(data, Kit)) for data in (text, body, bytearray(body), memoryview(body))}) == 1


def test_lists_are_read_into_tuples() -> None:
    body = b'[{"kit_id": "1", "order_id": null, "kit_status": "pending"}, {}]'

    assert loads(body, tuple[KitSummary, ...]) == (KitSummary(kit_id="1", kit_status="pending"), KitSummary())
    assert decode(b'["kit_a", "kit_b"]', tuple[str, ...]) == ("kit_a", "kit_b")
    assert loads(b"[]", tuple[Kit, ...]) == ()


def test_any_object_can_be_asked_for() -> None:
    assert decode(b'{"a": 1}', dict[str, Any]) == {"a": 1}


@pytest.mark.parametrize(
    "type_", [int, str, dict, list[Kit], tuple[Kit, str], tuple[int, ...], tuple[object, ...], dict[str, Any], None]
)
def test_loads_refuses_types_that_are_no_models(type_: Any) -> None:
    with pytest.raises(InvalidInputError):
        loads(b"{}", type_)


@pytest.mark.parametrize("data", [None, 5, {"kit_id": "1"}])
def test_loads_refuses_what_is_no_text(data: Any) -> None:
    with pytest.raises(InvalidInputError):
        loads(data, Kit)


def test_a_subclass_of_a_model_is_read_as_itself() -> None:
    @attrs.frozen(kw_only=True, repr=False)
    class MyKit(Kit):
        metadata: Mapping[str, Any] | None = None

    class Plain(Kit):
        pass

    mine = assert_comes_back(MyKit, kit_id="SPOT1", metadata={"n": BEYOND_64_BITS}, x=1)
    plain = assert_comes_back(Plain, kit_id="SPOT1")

    assert (type(mine), mine.metadata) == (MyKit, {"n": BEYOND_64_BITS})
    assert (type(plain), plain.kit_id) == (Plain, "SPOT1")


def test_a_model_with_a_field_that_has_no_rule_is_refused() -> None:
    @attrs.frozen(kw_only=True, repr=False)
    class Odd(Model):
        ratio: complex | None = None
        count: int | None = None

    with pytest.raises(InvalidInputError, match="no rule"):
        loads(b"{}", Odd)


def text_of_row(row: str, *others: str) -> bytes:
    _, texts = decode_rows(f"[{','.join([row, *others])}]".encode(), KitSummary)
    return texts[0]


@pytest.mark.parametrize("others", [(), ("5",), ('{"kit_id": NaN}',)], ids=["alone", "beside no object", "beside NaN"])
def test_a_row_has_the_same_text_whatever_stands_beside_it_and_in_any_order(others: tuple[str, ...]) -> None:
    known = text_of_row('{"kit_id": "é", "new": {"b": 1.50, "a": null}}')

    assert text_of_row('{"new": {"a": null, "b": 1.5}, "kit_id": "\\u00e9"}', *others) == known


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("null", '""'),
        ("1", "true"),
        ("1e400", "1e500"),
        (str(BEYOND_64_BITS), str(BEYOND_64_BITS + 1)),
        ('"\\ud800"', '"\\ud801"'),
        ("[" * 300 + "]" * 300, "[" * 301 + "]" * 301),
    ],
)
def test_another_row_has_another_text(one: str, other: str) -> None:
    texts = [text_of_row(f'{{"kit_id": "K1", "new": {value}}}') for value in (one, other)]

    assert texts[0] != texts[1]
    assert all(texts)


def test_a_row_that_cannot_be_read_has_no_text() -> None:
    items, texts = decode_rows(b'[{"kit_id": 5}, {"kit_id": "K1"}]', KitSummary)

    assert (type(items[0]), texts[0]) == (BadItem, b"")
    assert (items[1], texts[1]) == (KitSummary(kit_id="K1"), b'{"kit_id":"K1"}')
