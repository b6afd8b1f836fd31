"""Objects as rows: every table's columns are filled, in a fixed order, whatever is missing."""

import json
from datetime import UTC, date, datetime
from typing import Any, get_args

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spotdx_async import InvalidInputError, loads
from spotdx_async.models import (
    Kit,
    KitEvent,
    KitStatus,
    KitSummary,
    Order,
    QuantityResult,
    Report,
    Requisition,
    Sample,
    Shipment,
    UnknownResult,
)
from spotdx_async.tables import (
    TABLES,
    Column,
    ColumnType,
    Table,
    kit_rows,
    order_rows,
    requisition_rows,
    result_rows,
)
from spotdx_async.testing.factories import (
    make_address,
    make_kit,
    make_kit_summary,
    make_order,
    make_recipient,
    make_registrant,
    make_report,
    make_requisition,
    make_sample,
    make_shipment,
)
from tests.drawn_answers import FILLED_KIT, KIT, ORDER, REQUISITION
from tests.long_set import IS_FULL

TYPES: dict[str, type] = {
    "text": str,
    "json": str,
    "integer": int,
    "real": float,
    "boolean": bool,
    "instant": datetime,
    "date": date,
}
FULL = {
    **kit_rows(make_kit(), summary=make_kit_summary(), phi=True),
    **order_rows(make_order(), phi=True),
    **requisition_rows(make_requisition(), phi=True),
}
OBJECTS = [make_kit(), make_order(), make_requisition(), Kit(), Order(), Requisition()]


def rows_of(of: Any, **options: Any) -> dict[str, list[Any]]:
    if isinstance(of, Kit):
        return kit_rows(of, **options)
    options.pop("summary", None)
    if isinstance(of, Requisition):
        return requisition_rows(of, **options)
    options.pop("pseudonym", None)
    return order_rows(of, **options)


def dicts(name: str, of: Any, **options: Any) -> list[dict[str, Any]]:
    return TABLES[name].as_dicts(rows_of(of, **options)[name])


# --- The tables -------------------------------------------------------------------------------------------------------


def test_the_tables_are_those_of_the_mirror() -> None:
    assert list(TABLES) == [
        *("kits", "kit_events", "samples", "sample_events", "shipments", "reports", "results"),
        *("orders", "order_kits", "requisitions", "requisition_events", "requisition_reports"),
    ]


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_a_table_names_its_columns_once_and_keys_among_the_safe_ones(table: Table) -> None:
    keyed = {*table.primary_key, *table.owner, *(name for index in table.indexes for name in index)}

    assert len({*table.names}) == len(table.names)
    assert keyed <= {*table.safe_names}
    assert table.primary_key[: len(table.owner)] == table.owner
    assert [column.name for column in table.columns if column.name in table.primary_key and column.nullable] == []
    assert [column.name for column in table.columns if not column.doc.endswith(".")] == []


def test_a_column_is_patient_data_unless_it_is_marked_as_safe() -> None:
    assert Column(name="new", type="text", doc="New.").is_phi


def test_a_safe_column_behind_patient_data_is_refused() -> None:
    safe = Column(name="safe", type="text", doc="Safe.", is_phi=False)

    with pytest.raises(ValueError, match="patient data stands last"):
        Table(name="t", doc="", columns=(Column(name="new", type="text", doc="New."), safe), primary_key=(), owner=())


def test_a_row_of_another_width_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of order_kits has 6 values for 5 columns"):
        TABLES["order_kits"].shown([("O1", 0, "SPOT1", None, None, "Robin")], phi=False)


# --- Their rows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_every_column_has_values_of_its_type(table: Table) -> None:
    rows = table.as_dicts(FULL[table.name])

    assert rows
    for column in table.columns:
        found = [row[column.name] for row in rows if row[column.name] is not None]
        # Exactly, so that no database needs an adapter for members of enumerations.
        assert {type(value) for value in found} <= {TYPES[column.type]}, column.name
        if column.type == "json":
            assert [value for value in found if not isinstance(json.loads(str(value)), (dict, list))] == []
    assert {*TYPES} == {*get_args(ColumnType)}


@pytest.mark.parametrize("of", OBJECTS, ids=lambda of: f"{type(of).__name__}-{'empty' if of == type(of)() else 'full'}")
@pytest.mark.parametrize("phi", [False, True])
def test_rows_are_as_wide_as_their_table_and_equal_for_equal_objects(of: Any, phi: bool) -> None:
    rows = rows_of(of, phi=phi)

    assert {len(row) == len(TABLES[name].columns) for name, found in rows.items() for row in found} == {True}
    assert rows == rows_of(attrs.evolve(of), phi=phi)


def test_every_table_of_an_object_is_there_even_without_rows() -> None:
    assert {name: len(rows) for name, rows in kit_rows(Kit(kit_id="SPOT1")).items()} == {
        "kits": 1,
        **dict.fromkeys(("kit_events", "samples", "sample_events", "shipments", "reports", "results"), 0),
    }
    assert {name: len(rows) for name, rows in requisition_rows(Requisition()).items()} == {
        "requisitions": 1,
        **dict.fromkeys(("requisition_events", "requisition_reports", "results"), 0),
    }


@pytest.mark.parametrize("name", TABLES)
def test_keys_tell_the_rows_of_an_object_apart(name: str) -> None:
    report = make_report()
    kit = make_kit(sample=make_sample(reports=(report, None, report), shipments=(Shipment(),) * 2))
    order = make_order(kits=(kit, kit))
    requisition = make_requisition(reports=(None, report, report))
    both = {**kit_rows(kit), **order_rows(order), **requisition_rows(requisition)}
    both["results"] = [*kit_rows(kit)["results"], *both["results"]]
    table = TABLES[name]

    keys = [tuple(row[key] for key in table.primary_key) for row in table.as_dicts(both[name])]

    assert len(keys) == len({*keys}) > 0
    assert [key for key in keys if None in key] == []


def test_a_null_report_has_no_row_and_keeps_its_position() -> None:
    kit = Kit(kit_id="SPOT1", sample=Sample(reports=(None, make_report())))

    assert [row["seq"] for row in dicts("reports", kit)] == [1]
    assert {row["report_seq"] for row in dicts("results", kit)} == {1}


def test_the_list_says_what_the_kit_itself_does_not() -> None:
    summary = make_kit_summary(order_id="O7", kit_type="of the list")

    (row,) = dicts("kits", make_kit(type=None), summary=summary)
    (own,) = dicts("kits", make_kit(), summary=KitSummary(kit_type="of the list"))
    (bare,) = dicts("kits", make_kit())

    assert (row["order_id"], row["type"], row["created"], row["updated"]) == (
        *("O7", "of the list"),
        *(summary.created, summary.updated),
    )
    assert own["type"] == make_kit().type
    assert (bare["order_id"], bare["created"], bare["updated"]) == (None, None, None)


def test_statuses_are_plain_texts_known_or_not() -> None:
    found = [dicts("kits", Kit(status=status))[0]["status"] for status in (KitStatus.DELIVERED, "pending", None)]

    assert found == ["delivered", "pending", None]
    assert type(found[0]) is str


def test_a_parcel_says_where_it_goes() -> None:
    kit = Kit(kit_id="SPOT1", shipment_to_customer=make_shipment(), sample=Sample(shipments=(Shipment(), Shipment())))

    assert [(row["direction"], row["seq"]) for row in dicts("shipments", kit)] == [
        *[("to_customer", 0), ("to_laboratory", 0), ("to_laboratory", 1)],
    ]


def test_times_are_in_utc() -> None:
    naive, far = datetime(2024, 1, 1, 9), datetime.fromisoformat("2024-01-01T09:00:00-08:00")  # noqa: DTZ001
    beyond = datetime.fromisoformat("9999-12-31T23:00:00-08:00")
    reports = tuple(Report(date_resulted=moment) for moment in (naive, far, beyond))

    found = [row["date_resulted"] for row in dicts("reports", Kit(sample=Sample(reports=reports)))]

    assert found == [datetime(2024, 1, 1, 9, tzinfo=UTC), datetime(2024, 1, 1, 17, tzinfo=UTC), None]
    assert [moment.tzinfo for moment in found[:2]] == [UTC, UTC]


# --- Results ----------------------------------------------------------------------------------------------------------


def test_a_result_row_has_the_columns_that_are_promised() -> None:
    row = result_rows(make_kit())[0]

    assert {
        *("kit_id", "sample_id", "report_id", "name", "result_type", "value_text", "value", "comparator", "unit"),
        *("low", "high", "flag", "time_collected", "date_resulted", "is_amendment", "is_current"),
    } <= {*row}
    assert (row["kit_id"], row["requisition_id"], row["value_text"], row["value"]) == ("SPOT000001", None, "100", 100.0)
    assert (row["low"], row["high"], row["flag"], row["unit"]) == (20.0, 200.0, "normal", "mg/dL")


def test_results_of_kits_and_requisitions_are_one_table() -> None:
    requisition = make_requisition()

    assert result_rows(make_kit()) == TABLES["results"].as_dicts(kit_rows(make_kit())["results"])
    assert result_rows(requisition) == TABLES["results"].as_dicts(requisition_rows(requisition)["results"])
    assert {(row["source"], row["source_id"], row["kit_id"]) for row in result_rows(requisition)} == {
        ("requisition", requisition.requisition_id, None),
    }
    assert result_rows(Kit(kit_id="SPOT1")) == []


@pytest.mark.parametrize(
    ("raw", "text", "with_phi"),
    [
        (b'"<10"', "<10", "<10"),
        (b'" 12 (H) "', " 12 (H) ", " 12 (H) "),
        (b"12.50", "12.5", "12.5"),
        (b"1e400", "1e400", "1e400"),
        (b"true", "true", "true"),
        (b"null", None, None),
        (b'{"of": ["Robin"]}', None, '{"of":["Robin"]}'),
        (b'["Robin"]', None, '["Robin"]'),
    ],
)
def test_a_value_stays_as_it_came(raw: bytes, text: str | None, with_phi: str | None) -> None:
    result = loads(b'{"result_type": "new", "result": %s, "name": %s}' % (raw, raw), UnknownResult)
    kit = Kit(sample=Sample(reports=(Report(results=(result,)),)))

    (row,), (whole,) = result_rows(kit), result_rows(kit, phi=True)

    assert (row["value_text"], row["name"]) == (text, text)
    assert (whole["value_text"], whole["name"]) == (with_phi, with_phi)


def test_ends_of_a_range_that_are_no_numbers_are_kept_apart() -> None:
    result = QuantityResult(result=5, range_minimum="see note", range_maximum=10)
    kit = Kit(sample=Sample(reports=(Report(results=(result,)),)))

    (row,), (whole,) = result_rows(kit), result_rows(kit, phi=True)

    assert (row["low"], row["high"], row["low_text"], row["high_text"]) == (None, 10.0, None, None)
    assert (whole["low_text"], whole["high_text"]) == ("see note", None)


# --- Patient data -----------------------------------------------------------------------------------------------------


def test_a_patient_is_a_pseudonym_without_phi() -> None:
    kit, requisition = make_kit(registered_to=make_registrant(patient_id="P1")), make_requisition()
    asked: list[str] = []

    def pseudonym(patient_id: str) -> str:
        asked.append(patient_id)
        return f"pseudonym {len(asked)}"

    assert dicts("kits", kit)[0]["patient_id"] is None
    assert dicts("kits", kit, pseudonym=pseudonym)[0]["patient_id"] == "pseudonym 1"
    assert dicts("requisitions", requisition, pseudonym=pseudonym)[0]["patient_id"] == "pseudonym 2"
    assert dicts("kits", kit, pseudonym=pseudonym, phi=True)[0]["patient_id"] == "P1"
    assert dicts("kits", make_kit(registered_to=None), pseudonym=pseudonym)[0]["patient_id"] is None
    assert asked == ["P1", requisition.patient and requisition.patient.patient_id]


def test_unknown_fields_are_json_beside_those_of_the_parts() -> None:
    kit = make_kit(extra={"metadata": {"a": 1}}, registered_to=make_registrant(extra={"nickname": "ü"}))
    order = make_order(recipient=None, extra={}, metadata={})
    addressed = make_order(recipient=make_recipient(address=make_address(extra={"floor": 3})))

    assert dicts("kits", kit, phi=True)[0]["extra"] == '{"metadata":{"a":1},"registered_to":{"nickname":"ü"}}'
    assert dicts("orders", addressed, phi=True)[0]["extra"] == '{"recipient":{"address":{"floor":3}}}'
    assert [dicts("orders", order, phi=True)[0][name] for name in ("metadata", "extra")] == ["{}", None]


def test_unknown_fields_of_any_depth_and_size_are_written() -> None:
    deep = b'{"kit_id": "SPOT1", "deep": ' + b"[" * 900 + b"1e400" + b"]" * 900 + b', "half": "\\ud800"}'

    (row,) = dicts("kits", loads(deep, Kit), phi=True)

    assert row["extra"] == '{"deep":' + "[" * 900 + "1e400" + "]" * 900 + ',"half":"\\ud800"}'


def test_what_has_no_json_form_is_refused_without_showing_it() -> None:
    order = make_order(metadata={"Robin": {1, 2}})
    kit = Kit(events=(KitEvent(extra={"Robin": {1, 2}}),))

    assert dicts("orders", order)[0]["metadata"] is None
    assert dicts("kit_events", kit)[0]["extra"] is None
    with pytest.raises(InvalidInputError, match="of type set") as caught:
        order_rows(order, phi=True)
    assert caught.value.__context__ is None


# --- Any answer of the server -----------------------------------------------------------------------------------------


@pytest.mark.no_cover
@settings(max_examples=300 if IS_FULL else 60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.tuples(st.just(Kit), FILLED_KIT | KIT)
    | st.tuples(st.just(Order), ORDER)
    | st.tuples(st.just(Requisition), REQUISITION)
)
def test_any_object_makes_rows_of_the_tables_types(answer: tuple[Any, Any]) -> None:
    type_, tree = answer
    of = loads(json.dumps(tree), type_)

    for phi in (False, True):
        for name, rows in rows_of(of, phi=phi).items():
            columns = TABLES[name].columns
            for row in rows:
                assert len(row) == len(columns)
                assert {
                    column.name: type(value)
                    for column, value in zip(columns, row, strict=True)
                    if value is not None and type(value) is not TYPES[column.type]
                } == {}
